package bitcoin

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/btcsuite/btcd/wire/v2"

	"tallyd/chains"
)

// maxParents bounds the bytes of transactions that a PSBT carries beside what it
// must.
const maxParents = 1 << 20

// parents returns the transactions that made coins: all of those without witness,
// whose signature does not cover the amount, and of version 0 witnesses as many as
// are at hand, since careful signers ask for them. A signature of taproot covers
// all amounts. A parent that does not hold its coin is an error.
func (s *Source) parents(ctx context.Context, coins []spendable) (map[chains.Hash]*wire.MsgTx, error) {
	must := map[chains.Hash]spendable{}
	var ids []chains.Hash
	for _, coin := range coins {
		if coin.kind == kindTaproot {
			continue
		}
		if _, witness := coin.kind.sizes(keySize); witness == 0 {
			must[coin.Outpoint.Tx] = coin
		}
		ids = append(ids, coin.Outpoint.Tx)
	}
	slices.SortFunc(ids, func(a, b chains.Hash) int { return bytes.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	found, err := s.transactions(ctx, ids)
	if err != nil && (len(must) > 0 || ctx.Err() != nil) {
		return nil, err
	}
	parents := make(map[chains.Hash]*wire.MsgTx, len(ids))
	size := 0
	for _, id := range ids {
		coin, needed := must[id]
		if found[id] == nil && needed {
			if found[id], err = s.transactionAt(ctx, id, coin.Height); err != nil {
				return nil, fmt.Errorf("read transaction %s, which made coin %s: %w", id, coin.Outpoint, err)
			}
		}
		if tx := found[id]; tx != nil && (needed || size+tx.SerializeSize() <= maxParents) {
			parents[id] = tx
			size += tx.SerializeSize()
		}
	}
	for _, coin := range coins {
		if tx := parents[coin.Outpoint.Tx]; tx != nil && !holds(tx, coin) {
			return nil, fmt.Errorf("coin %s is not what its transaction made", coin.Outpoint)
		}
	}
	return parents, nil
}

// transactions returns those of some transactions that a node has at hand: what
// waits, and if it keeps an index all. Their ids prove them.
func (s *Source) transactions(ctx context.Context, ids []chains.Hash) (map[chains.Hash]*wire.MsgTx, error) {
	found := make(map[chains.Hash]*wire.MsgTx, len(ids))
	if len(ids) == 0 {
		return found, nil
	}
	raws, err := ask(ctx, s, func(ctx context.Context, n node) ([][]byte, error) { return n.looseTxs(ctx, ids) })
	if err != nil {
		return found, err
	}
	err = s.walkers.with(func(w *Walker) error {
		for i, raw := range raws {
			if raw == nil {
				continue
			}
			if _, err := w.MatchTx(raw, nil); err != nil || w.TxID(0) != ids[i] {
				continue // as good as not at hand
			}
			if found[ids[i]], err = w.decode(0); err != nil {
				return err
			}
		}
		return nil
	})
	return found, err
}

// transactionAt reads a transaction out of the block at a height.
func (s *Source) transactionAt(ctx context.Context, id chains.Hash, height uint64) (*wire.MsgTx, error) {
	return ask(ctx, s, func(ctx context.Context, n node) (tx *wire.MsgTx, err error) {
		hash, err := n.hashAt(ctx, height)
		if err != nil {
			return nil, err
		}
		raw, err := n.rawBlock(ctx, hash)
		if err != nil {
			return nil, err
		}
		err = s.walkers.with(func(w *Walker) error {
			if _, err := w.Match(raw, nil); err != nil {
				return n.lie(fmt.Sprintf("block %s", hash), err)
			}
			for i := range w.Len() {
				if w.TxID(i) == id {
					tx, err = w.decode(i)
					return err
				}
			}
			return fmt.Errorf("transaction %s in block %s: %w", id, hash, chains.ErrNotFound)
		})
		return tx, err
	})
}

// decode returns transaction i without its witness, as its id commits to it.
func (w *Walker) decode(i int) (*wire.MsgTx, error) {
	w.scratch = w.scratch[:0]
	tx := wire.NewMsgTx(0)
	if err := tx.DeserializeNoWitness(bytes.NewReader(w.stripped(w.txs[i]))); err != nil {
		return nil, fmt.Errorf("decode transaction %s: %w", w.TxID(i), err)
	}
	return tx, nil
}

func idOf(tx *wire.MsgTx) chains.Hash {
	return chains.Hash(chains.Hash(tx.TxHash()).Reversed())
}
