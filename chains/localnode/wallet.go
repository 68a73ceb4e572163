package localnode

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Kind is a form of address of a wallet's one key.
type Kind int

// The forms a wallet can be paid in, and spend from.
const (
	P2WPKH Kind = iota
	P2PKH
	P2TR
)

// dust is what nodes refuse to see in an output, with some room.
const dust = 1000

// Coin is an output a wallet can spend.
type Coin struct {
	OutPoint wire.OutPoint
	Value    int64
	Script   []byte

	// mature is the lowest height of a block that may spend it.
	mature int32
}

// Payment says what a transaction is to do. The zero value of a field leaves the
// choice to the wallet.
type Payment struct {
	// To is paid in this order, before the change.
	To []*wire.TxOut

	// Inputs are spent, all of them and no others. They may be unconfirmed, or
	// spent by another transaction already: that is a double spend.
	Inputs []Coin

	// Fee in satoshi; zero means five a byte, roughly.
	Fee int64

	// Replaceable signals BIP 125.
	Replaceable bool

	// Change is the form of the address the rest goes to.
	Change Kind
}

// Wallet is a single key on a chain for tests. It remembers which coins the
// node's best chain gives it and asks again after a reorg, so one wallet serves
// one node, or nodes on the same chain. All methods are safe for concurrent use;
// payments are made one after another.
type Wallet struct {
	key     *btcec.PrivateKey
	params  *chaincfg.Params
	scripts map[Kind][]byte
	names   map[Kind]string

	mu    sync.Mutex
	chain []footprint // by height; guarded by mu
}

// footprint is what one block did to a wallet.
type footprint struct {
	hash  chainhash.Hash
	gains []Coin
	spent []wire.OutPoint
}

// NewWallet returns the wallet of a seed, always the same one for the same seed.
// Anybody who reads the seed has its coins.
func NewWallet(seed string, params *chaincfg.Params) (*Wallet, error) {
	secret := sha256.Sum256([]byte("tallyd test wallet " + seed))
	key, public := btcec.PrivKeyFromBytes(secret[:])
	hash := address.Hash160(public.SerializeCompressed())
	witness, err := address.NewAddressWitnessPubKeyHash(hash, params)
	if err != nil {
		return nil, fmt.Errorf("make wallet: %w", err)
	}
	legacy, err := address.NewAddressPubKeyHash(hash, params)
	if err != nil {
		return nil, fmt.Errorf("make wallet: %w", err)
	}
	taproot, err := address.NewAddressTaproot(txscript.ComputeTaprootKeyNoScript(public).SerializeCompressed()[1:], params)
	if err != nil {
		return nil, fmt.Errorf("make wallet: %w", err)
	}
	w := &Wallet{key: key, params: params, scripts: map[Kind][]byte{}, names: map[Kind]string{}}
	for kind, addr := range map[Kind]address.Address{P2WPKH: witness, P2PKH: legacy, P2TR: taproot} {
		if w.scripts[kind], err = txscript.PayToAddrScript(addr); err != nil {
			return nil, fmt.Errorf("make wallet: %w", err)
		}
		w.names[kind] = addr.EncodeAddress()
	}
	return w, nil
}

// Address is the wallet's address of a kind, as the wallet's network spells it.
func (w *Wallet) Address(kind Kind) string { return w.names[kind] }

// Script is the scriptPubKey of an address of the wallet.
func (w *Wallet) Script(kind Kind) []byte { return w.scripts[kind] }

// Coins are the wallet's coins that the next block could spend and that no
// transaction in the node's mempool spends, the oldest first.
func (w *Wallet) Coins(ctx context.Context, b *Bitcoin) ([]Coin, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.coins(ctx, b)
}

// CoinsOf are the outputs of a transaction that belong to the wallet, to spend
// them before it is mined.
func (w *Wallet) CoinsOf(tx *wire.MsgTx) []Coin {
	var coins []Coin
	for n, out := range tx.TxOut {
		if w.owns(out.PkScript) {
			coins = append(coins, Coin{OutPoint: *wire.NewOutPoint(new(tx.TxHash()), uint32(n)), Value: out.Value, Script: out.PkScript})
		}
	}
	return coins
}

// Pay builds a transaction and hands it to the node's mempool.
func (w *Wallet) Pay(ctx context.Context, b *Bitcoin, p Payment) (*wire.MsgTx, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	tx, err := w.build(ctx, b, p)
	if err != nil {
		return nil, err
	}
	_, err = b.Send(ctx, tx)
	return tx, err
}

// Build signs a transaction without telling anybody, to mine it or send it later.
func (w *Wallet) Build(ctx context.Context, b *Bitcoin, p Payment) (*wire.MsgTx, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.build(ctx, b, p)
}

func (w *Wallet) build(ctx context.Context, b *Bitcoin, p Payment) (*wire.MsgTx, error) {
	var want int64
	for _, out := range p.To {
		want += out.Value
	}
	inputs := p.Inputs
	if inputs == nil {
		available, err := w.coins(ctx, b)
		if err != nil {
			return nil, err
		}
		inputs = choose(available, want, p)
	}
	var have int64
	for _, in := range inputs {
		have += in.Value
	}
	fee := p.Fee
	if fee == 0 {
		fee = roughFee(len(inputs), p.To)
	}
	change := have - want - fee
	if change < 0 {
		return nil, fmt.Errorf("pay %d with a fee of %d: the inputs hold %d", want, fee, have)
	}
	tx := wire.NewMsgTx(2)
	for _, in := range inputs {
		txIn := wire.NewTxIn(&in.OutPoint, nil, nil)
		if p.Replaceable {
			txIn.Sequence = wire.MaxTxInSequenceNum - 2
		}
		tx.AddTxIn(txIn)
	}
	for _, out := range p.To {
		tx.AddTxOut(out)
	}
	if change >= dust {
		tx.AddTxOut(wire.NewTxOut(change, w.scripts[p.Change]))
	}
	return tx, w.sign(tx, inputs)
}

// choose takes the oldest coins that suffice, or all when they do not.
func choose(available []Coin, want int64, p Payment) []Coin {
	var have int64
	for n, c := range available {
		have += c.Value
		fee := p.Fee
		if fee == 0 {
			fee = roughFee(n+1, p.To)
		}
		if have >= want+fee {
			return available[:n+1]
		}
	}
	return available
}

func roughFee(inputs int, to []*wire.TxOut) int64 {
	size := 50 + 150*inputs
	for _, out := range to {
		size += out.SerializeSize()
	}
	return int64(5 * size)
}

func (w *Wallet) sign(tx *wire.MsgTx, inputs []Coin) error {
	spent := txscript.NewMultiPrevOutFetcher(nil)
	for _, in := range inputs {
		spent.AddPrevOut(in.OutPoint, wire.NewTxOut(in.Value, in.Script))
	}
	hashes := txscript.NewTxSigHashes(tx, spent)
	for n, in := range inputs {
		var err error
		switch {
		case txscript.IsPayToTaproot(in.Script):
			tx.TxIn[n].Witness, err = txscript.TaprootWitnessSignature(tx, hashes, n, in.Value, in.Script, txscript.SigHashDefault, w.key)
		case txscript.IsPayToWitnessPubKeyHash(in.Script):
			tx.TxIn[n].Witness, err = txscript.WitnessSignature(tx, hashes, n, in.Value, in.Script, txscript.SigHashAll, w.key, true)
		case txscript.IsPayToPubKeyHash(in.Script):
			tx.TxIn[n].SignatureScript, err = txscript.SignatureScript(tx, n, in.Script, txscript.SigHashAll, w.key, true)
		default:
			err = errors.New("not a script of this wallet")
		}
		if err != nil {
			return fmt.Errorf("sign input %d: %w", n, err)
		}
	}
	return nil
}

func (w *Wallet) owns(script []byte) bool {
	for _, own := range w.scripts {
		if slices.Equal(own, script) {
			return true
		}
	}
	return false
}

func (w *Wallet) coins(ctx context.Context, b *Bitcoin) ([]Coin, error) {
	if err := w.follow(ctx, b); err != nil {
		return nil, err
	}
	spent := map[wire.OutPoint]bool{}
	for _, block := range w.chain {
		for _, out := range block.spent {
			spent[out] = true
		}
	}
	ids, err := b.Mempool(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		outs, err := b.spentBy(ctx, id)
		if err != nil {
			return nil, err
		}
		for _, out := range outs {
			spent[out] = true
		}
	}
	var coins []Coin
	for _, block := range w.chain {
		for _, coin := range block.gains {
			if !spent[coin.OutPoint] && coin.mature <= int32(len(w.chain)) {
				coins = append(coins, coin)
			}
		}
	}
	return coins, nil
}

// follow brings the wallet level with the node's best chain.
func (w *Wallet) follow(ctx context.Context, b *Bitcoin) error {
	height, err := b.Height(ctx)
	if err != nil {
		return err
	}
	w.chain = w.chain[:min(len(w.chain), int(height)+1)]
	for len(w.chain) > 0 {
		top := len(w.chain) - 1
		hash, err := b.BlockHash(ctx, int32(top))
		if err != nil {
			return err
		}
		if hash == w.chain[top].hash {
			break
		}
		w.chain = w.chain[:top]
	}
	for len(w.chain) <= int(height) {
		hash, err := b.BlockHash(ctx, int32(len(w.chain)))
		if err != nil {
			return err
		}
		block, err := b.Block(ctx, hash)
		if err != nil {
			return err
		}
		w.chain = append(w.chain, w.read(hash, block))
	}
	return nil
}

// read finds what the next block does to the wallet.
func (w *Wallet) read(hash chainhash.Hash, block *wire.MsgBlock) footprint {
	seen := footprint{hash: hash}
	for n, tx := range block.Transactions {
		gains := w.CoinsOf(tx)
		if n == 0 {
			for i := range gains {
				gains[i].mature = int32(len(w.chain)) + int32(w.params.CoinbaseMaturity)
			}
		}
		seen.gains = append(seen.gains, gains...)
		for _, in := range tx.TxIn {
			seen.spent = append(seen.spent, in.PreviousOutPoint)
		}
	}
	return seen
}
