package localnode

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// MineOn mines a block with exactly these transactions, in this order, on any
// block the node holds, and hands it to the node. Its coinbase pays script the
// subsidy without the fees and is like no other, so the same transactions can be
// mined again on another branch. The node moves to the new block when its branch
// has the most work. Simnet's height may not be a multiple of 2016, where the
// difficulty changes.
func (b *Bitcoin) MineOn(ctx context.Context, parent chainhash.Hash, script []byte, txs ...*wire.MsgTx) (*wire.MsgBlock, error) {
	// The block itself: btcd answers getblockheader for its best chain only.
	below, err := b.Block(ctx, parent)
	if err != nil {
		return nil, err
	}
	height := b.heightOf(below) + 1
	coinbase, err := b.coinbase(height, script, txs)
	if err != nil {
		return nil, err
	}
	block := wire.NewMsgBlock(&wire.BlockHeader{
		Version:   0x20000000,
		PrevBlock: parent,
		Timestamp: time.Unix(max(time.Now().Unix(), below.Header.Timestamp.Unix()+1), 0),
		Bits:      below.Header.Bits,
	})
	block.Transactions = append([]*wire.MsgTx{coinbase}, txs...)
	block.Header.MerkleRoot = merkleRoot(block.Transactions, (*wire.MsgTx).TxHash)
	if err := solve(&block.Header); err != nil {
		return nil, err
	}
	return block, b.submit(ctx, block)
}

// Mine is MineOn the node's best block.
func (b *Bitcoin) Mine(ctx context.Context, script []byte, txs ...*wire.MsgTx) (*wire.MsgBlock, error) {
	tip, err := b.Tip(ctx)
	if err != nil {
		return nil, err
	}
	return b.MineOn(ctx, tip, script, txs...)
}

// MineEmpty mines n blocks without transactions on a block and returns the last.
// It is the other branch of a reorg: one more block than ours, and the node moves.
func (b *Bitcoin) MineEmpty(ctx context.Context, parent chainhash.Hash, script []byte, n int) (chainhash.Hash, error) {
	for range n {
		block, err := b.MineOn(ctx, parent, script)
		if err != nil {
			return chainhash.Hash{}, err
		}
		parent = block.BlockHash()
	}
	return parent, nil
}

// heightOf reads the height a block's coinbase begins with (BIP 34).
func (b *Bitcoin) heightOf(block *wire.MsgBlock) int32 {
	script := block.Transactions[0].TxIn[0].SignatureScript
	if block.BlockHash() == *b.Params.GenesisHash || len(script) == 0 {
		return 0
	}
	if script[0] >= txscript.OP_1 && script[0] <= txscript.OP_16 {
		return int32(script[0]-txscript.OP_1) + 1
	}
	var height int32
	for i := min(int(script[0]), len(script)-1); i > 0; i-- {
		height = height<<8 | int32(script[i])
	}
	return height
}

// coinbase makes the first transaction of a block: BIP 34 height, something
// random, and the commitment of BIP 141 when a transaction has a witness.
func (b *Bitcoin) coinbase(height int32, script []byte, txs []*wire.MsgTx) (*wire.MsgTx, error) {
	unique := []byte(rand.Text())
	scriptSig, err := txscript.NewScriptBuilder().AddInt64(int64(height)).AddData(unique).Script()
	if err != nil {
		return nil, fmt.Errorf("make coinbase: %w", err)
	}
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, wire.MaxPrevOutIndex), scriptSig, nil))
	subsidy := int64(50e8) >> (height / b.Params.SubsidyReductionInterval)
	coinbase.AddTxOut(wire.NewTxOut(subsidy, script))

	for _, tx := range txs {
		if !tx.HasWitness() {
			continue
		}
		reserved := make([]byte, chainhash.HashSize)
		coinbase.TxIn[0].Witness = wire.TxWitness{reserved}
		// The coinbase's own leaf is zero by definition.
		root := merkleRoot(append([]*wire.MsgTx{coinbase}, txs...), func(tx *wire.MsgTx) chainhash.Hash {
			if tx == coinbase {
				return chainhash.Hash{}
			}
			return tx.WitnessHash()
		})
		commitment := chainhash.DoubleHashB(append(root[:], reserved...))
		magic := []byte{txscript.OP_RETURN, txscript.OP_DATA_36, 0xaa, 0x21, 0xa9, 0xed}
		coinbase.AddTxOut(wire.NewTxOut(0, append(magic, commitment...)))
		break
	}
	return coinbase, nil
}

func merkleRoot(txs []*wire.MsgTx, leaf func(*wire.MsgTx) chainhash.Hash) chainhash.Hash {
	level := make([]chainhash.Hash, 0, len(txs)+1)
	for _, tx := range txs {
		level = append(level, leaf(tx))
	}
	for len(level) > 1 {
		if len(level)%2 == 1 {
			level = append(level, level[len(level)-1])
		}
		for i := range len(level) / 2 {
			level[i] = chainhash.DoubleHashH(append(level[2*i][:], level[2*i+1][:]...))
		}
		level = level[:len(level)/2]
	}
	return level[0]
}

// solve searches a nonce, of which every second or so will do on networks for
// tests.
func solve(header *wire.BlockHeader) error {
	// Bits are a floating number: one byte of exponent, three of mantissa.
	target := new(big.Int).Lsh(big.NewInt(int64(header.Bits&0x7fffff)), uint(8*(header.Bits>>24-3)))
	for {
		hash := header.BlockHash()
		for i := range chainhash.HashSize / 2 {
			hash[i], hash[chainhash.HashSize-1-i] = hash[chainhash.HashSize-1-i], hash[i]
		}
		if new(big.Int).SetBytes(hash[:]).Cmp(target) <= 0 {
			return nil
		}
		if header.Nonce++; header.Nonce == 0 {
			return errors.New("solve block: no nonce fits")
		}
	}
}

func (b *Bitcoin) submit(ctx context.Context, block *wire.MsgBlock) error {
	raw, err := serialize(block)
	if err != nil {
		return err
	}
	var refusal *string
	if err := b.Call(ctx, "submitblock", &refusal, raw); err != nil {
		return err
	}
	// "inconclusive" is a valid block on another branch.
	if refusal != nil && *refusal != "inconclusive" {
		return fmt.Errorf("submit block %s: %s", block.BlockHash(), *refusal)
	}
	return nil
}
