// Package chainstest holds what the tests of several rooms share: a scripted
// fake chain with branches, and the suites every adapter passes.
package chainstest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"tallyd/chains"
)

// Fake is a node whose chain is a string and each block one letter: "abxy" has
// the block a at height 0 and y at height 3. A letter's block is another one on
// another branch, since its hash covers the letters before it.
//
// It implements chains.Source and chains.MempoolReader and is safe for
// concurrent use.
type Fake struct {
	Slug string

	mu      sync.Mutex
	best    string
	known   map[chains.Hash]string // by hash, every chain ever shown
	txs     map[byte][]Tx          // what a letter's block holds, on any branch
	mempool []Tx
	loading bool
	fault   error
	moved   chan struct{} // closed and replaced when best changes
}

// Tx is one transaction of a Fake: it spends outputs and pays scripts, each
// named by a short text.
type Tx struct {
	Name   string
	Spends []chains.Outpoint
	Pays   []Pay
}

// Pay is one output.
type Pay struct {
	Script string
	Amount int64
}

// ID returns the transaction's hash, which depends on its name alone.
func (t Tx) ID() chains.Hash { return sha256.Sum256([]byte("tx " + t.Name)) }

// Out returns the outpoint of output n.
func (t Tx) Out(n uint32) chains.Outpoint { return chains.Outpoint{Tx: t.ID(), Vout: n} }

// FakeAsset is the only asset of a Fake.
const FakeAsset chains.AssetID = "bip122:fake/slip44:1"

// NewFake returns a node that shows the chain best.
func NewFake(slug, best string) *Fake {
	f := &Fake{Slug: slug, known: map[chains.Hash]string{}, txs: map[byte][]Tx{}, moved: make(chan struct{})}
	f.Show(best)
	return f
}

// Show makes best the node's chain. Blocks of earlier chains stay known.
func (f *Fake) Show(best string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.best = best
	for n := 1; n <= len(best); n++ {
		f.known[hashOf(best[:n])] = best[:n]
	}
	close(f.moved)
	f.moved = make(chan struct{})
}

// Put sets what the blocks of a letter hold.
func (f *Fake) Put(letter byte, txs ...Tx) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.txs[letter] = txs
}

// SetMempool sets the unconfirmed transactions.
func (f *Fake) SetMempool(txs ...Tx) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.mempool = txs
}

// Fail makes every question fail with err, until it is nil.
func (f *Fake) Fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = err
}

// Chain returns what this chain is.
func (f *Fake) Chain() chains.Chain {
	return chains.Chain{
		Slug: f.Slug, ID: "bip122:fake", Family: chains.FamilyBitcoin, Environment: chains.Test,
		Genesis:  hashOf("a"),
		Native:   chains.Asset{ID: FakeAsset, Symbol: "FAKE", Name: "Fake", Decimals: 8, Listed: true},
		Maturity: 100,
	}
}

// Head returns the last letter of the chain.
func (f *Fake) Head(context.Context) (chains.BlockRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return refOf(f.best), f.fault
}

// RefAt returns the letter at a height.
func (f *Fake) RefAt(_ context.Context, height uint64) (chains.BlockRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return chains.BlockRef{}, f.fault
	}
	if height >= uint64(len(f.best)) {
		return chains.BlockRef{}, fmt.Errorf("block %d: %w", height, chains.ErrNotFound)
	}
	return refOf(f.best[:height+1]), nil
}

// Ref returns a block of any chain ever shown.
func (f *Fake) Ref(_ context.Context, hash chains.Hash) (chains.BlockRef, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	letters, ok := f.known[hash]
	if !ok {
		return chains.BlockRef{}, fmt.Errorf("block %s: %w", hash, chains.ErrNotFound)
	}
	return refOf(letters), f.fault
}

// Block returns a block of any chain ever shown.
func (f *Fake) Block(_ context.Context, hash chains.Hash) (chains.Block, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	letters, ok := f.known[hash]
	switch {
	case f.fault != nil:
		return nil, f.fault
	case !ok:
		return nil, fmt.Errorf("block %s: %w", hash, chains.ErrNotFound)
	}
	return fakeBlock{ref: refOf(letters), txs: f.txs[letters[len(letters)-1]]}, nil
}

// WaitHead waits for Show.
func (f *Fake) WaitHead(ctx context.Context, known chains.Hash) error {
	f.mu.Lock()
	now, moved := refOf(f.best).Hash, f.moved
	f.mu.Unlock()
	if now != known {
		return nil
	}
	select {
	case <-moved:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// ParseAddress takes every text as the script of the same letters.
func (f *Fake) ParseAddress(address string) ([]byte, string, error) {
	return []byte(address), address, nil
}

// FormatAddress returns the script's letters.
func (f *Fake) FormatAddress(script []byte) string { return string(script) }

// Close does nothing.
func (f *Fake) Close() {}

// Mempool matches every unconfirmed transaction anew at every call.
func (f *Fake) Mempool(_ context.Context, watch *chains.WatchTable) (chains.MempoolView, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	view := chains.MempoolView{Present: map[chains.Hash]struct{}{}, Complete: !f.loading}
	for _, tx := range f.mempool {
		view.Present[tx.ID()] = struct{}{}
		if match := matchTx(tx, 0, watch); !match.Empty() {
			view.New = append(view.New, chains.UnconfirmedTx{Tx: tx.ID(), Match: match, Inputs: tx.inputs(0)})
		}
	}
	return view, f.fault
}

type fakeBlock struct {
	ref chains.BlockRef
	txs []Tx
}

// Ref returns the place of the block.
func (b fakeBlock) Ref() chains.BlockRef { return b.ref }

// Match compares every output and input with the table; an output that matches
// is watched for the rest of the block.
func (b fakeBlock) Match(watch *chains.WatchTable) (chains.Match, error) {
	var all chains.Match
	found := map[chains.Outpoint]bool{}
	for i, tx := range b.txs {
		match := matchTx(tx, uint32(i), watch)
		for _, spend := range tx.inputs(uint32(i)) {
			if found[spend.Spent] && !watch.HasOutpoint(spend.Spent) {
				match.Spends = append(match.Spends, spend)
			}
		}
		for _, t := range match.Transfers {
			vout, _ := chains.VoutOf(t.Source)
			found[tx.Out(vout)] = true
		}
		all.Transfers = append(all.Transfers, match.Transfers...)
		all.Spends = append(all.Spends, match.Spends...)
	}
	return all, nil
}

func matchTx(tx Tx, index uint32, watch *chains.WatchTable) chains.Match {
	var match chains.Match
	for n, pay := range tx.Pays {
		if watch.HasScript([]byte(pay.Script)) {
			match.Transfers = append(match.Transfers, chains.Transfer{
				Tx: tx.ID(), TxIndex: index, Source: chains.SourceVout(uint32(n)), Side: chains.In,
				Asset: FakeAsset, Amount: chains.NewAmount(pay.Amount), Script: []byte(pay.Script),
			})
		}
	}
	for _, spend := range tx.inputs(index) {
		if watch.HasOutpoint(spend.Spent) {
			match.Spends = append(match.Spends, spend)
		}
	}
	return match
}

func (t Tx) inputs(index uint32) []chains.Spend {
	spends := make([]chains.Spend, len(t.Spends))
	for n, o := range t.Spends {
		spends[n] = chains.Spend{Tx: t.ID(), TxIndex: index, Vin: uint32(n), Spent: o}
	}
	return spends
}

// refOf returns the reference of the last letter, with one unit of work, or the
// zero reference of an empty chain.
func refOf(letters string) chains.BlockRef {
	if letters == "" {
		return chains.BlockRef{}
	}
	ref := chains.BlockRef{
		Height: uint64(len(letters) - 1), Hash: hashOf(letters),
		Time: time.Unix(1_700_000_000+int64(len(letters))*600, 0).UTC(),
		Work: chains.Work{31: 1},
	}
	if len(letters) > 1 {
		ref.Parent = hashOf(letters[:len(letters)-1])
	}
	return ref
}

func hashOf(letters string) chains.Hash { return sha256.Sum256([]byte("block " + letters)) }
