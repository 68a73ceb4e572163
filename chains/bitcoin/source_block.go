package bitcoin

import (
	"bytes"
	"fmt"
	"sync"

	"tallyd/chains"
)

// walkers lends walkers, whose buffers are worth keeping, to whoever has a block
// or a transaction to walk.
type walkers struct{ pool sync.Pool }

func newWalkers(params Params) *walkers {
	return &walkers{sync.Pool{New: func() any { return NewWalker(params) }}}
}

// with gives f a walker, which f must not keep.
func (w *walkers) with(f func(*Walker) error) error {
	walker, _ := w.pool.Get().(*Walker)
	defer func() {
		walker.forget()
		w.pool.Put(walker)
	}()
	return f(walker)
}

// forget drops the walker's hold on what it walked last.
func (w *Walker) forget() { w.reset(nil, nil) }

// block is a raw block that was verified.
type block struct {
	ref     chains.BlockRef
	asset   chains.AssetID
	raw     []byte
	walkers *walkers
}

// newBlock verifies that raw is the block ref names, whole and unchanged. Raw is
// kept. Bytes that cannot be read are as little proven as wrong ones: that a
// verified block cannot be read, and the format is to blame, shows when every
// node gives the same.
func (s *Source) newBlock(ref chains.BlockRef, raw []byte) (*block, error) {
	header, err := ParseHeader(raw)
	if err != nil {
		return nil, err
	}
	if header.Hash != ref.Hash {
		return nil, fmt.Errorf("the answer is block %s: %w", header.Hash, ErrUnproven)
	}
	err = s.walkers.with(func(w *Walker) error {
		_, err := w.Verify(raw, nil)
		return err
	})
	if err != nil {
		return nil, err
	}
	return &block{ref: ref, asset: s.chain.Native.ID, raw: raw, walkers: s.walkers}, nil
}

// Ref returns the place of the block.
func (b *block) Ref() chains.BlockRef { return b.ref }

// Match walks the block once and returns what touches the watch table.
func (b *block) Match(watch *chains.WatchTable) (match chains.Match, err error) {
	err = b.walkers.with(func(w *Walker) error {
		hits, err := w.Match(b.raw, watch)
		if err == nil {
			match = matchOf(w, hits, b.asset, true)
		}
		return err
	})
	if err != nil {
		return chains.Match{}, fmt.Errorf("walk block %s: %w", b.ref.Hash, err)
	}
	return match, nil
}

// matchOf turns the hits of a walked block, or of a loose transaction, into the
// words of the ledger. Nothing of it refers to the raw bytes.
func matchOf(w *Walker, hits []Hit, asset chains.AssetID, inBlock bool) chains.Match {
	var match chains.Match
	for _, hit := range hits {
		if hit.Input {
			match.Spends = append(match.Spends, spendOf(w, hit))
			continue
		}
		match.Transfers = append(match.Transfers, chains.Transfer{
			Tx:       w.TxID(hit.Tx),
			TxIndex:  uint32(hit.Tx),
			Source:   chains.SourceVout(hit.Index),
			Side:     chains.In,
			Asset:    asset,
			Amount:   chains.AmountFromUint64(hit.Value),
			Script:   bytes.Clone(hit.Script),
			Coinbase: inBlock && hit.Tx == 0,
		})
	}
	return match
}

func spendOf(w *Walker, hit Hit) chains.Spend {
	return chains.Spend{Tx: w.TxID(hit.Tx), TxIndex: uint32(hit.Tx), Vin: hit.Index, Spent: hit.Spent}
}
