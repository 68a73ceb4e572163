package bitcoin

import (
	"context"
	"fmt"
	"maps"
	"sync"

	"golang.org/x/sync/errgroup"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	// mempoolRaw bounds the raw transactions that are kept, the size of a full
	// mempool of Bitcoin Core. Those beyond are fetched again when they must be
	// matched again.
	mempoolRaw = 300 << 20

	// mempoolFetch is how many transactions one look fetches. The rest of a
	// mempool seen for the first time waits for the next look, so that none
	// takes long.
	mempoolFetch = 20_000

	mempoolFetchers = 4
)

// mempool is what was seen of the node's mempool. Every transaction is kept, by
// its bytes as long as they fit: a script watched later, or an output of a
// pending payment, can be touched by a transaction seen before.
type mempool struct {
	mu    sync.Mutex // held for a look
	txs   map[chains.Hash]*looseTx
	bytes int // sum of the raw transactions kept

	// What the transactions were last matched with. A table only grows, so that
	// its size says whether it is still the same.
	table   *chains.WatchTable
	scripts int
	outs    int
	version uint64 // moves when the table has changed; the first is 1
}

// looseTx is one transaction of the mempool.
type looseTx struct {
	raw      []byte // nil if not fetched or not kept
	matched  uint64 // table version it was last matched with; 0 for never
	reported int    // transfers and spends in the match last returned
	faults   int    // how often its bytes could not be read
}

// Mempool compares the node's mempool with the last look. A transaction is
// returned when it first matches, and again when more of it does because the
// table grew.
func (s *Source) Mempool(ctx context.Context, watch *chains.WatchTable) (chains.MempoolView, error) {
	s.mempool.mu.Lock()
	defer s.mempool.mu.Unlock()
	view, err := ask(ctx, s, func(ctx context.Context, n node) (chains.MempoolView, error) {
		return s.look(ctx, n, watch)
	})
	if err != nil {
		return chains.MempoolView{}, fmt.Errorf("read the mempool: %w", err)
	}
	return view, nil
}

func (s *Source) look(ctx context.Context, n node, watch *chains.WatchTable) (chains.MempoolView, error) {
	complete, err := n.mempoolLoaded(ctx)
	if err != nil {
		return chains.MempoolView{}, err
	}
	present, err := n.mempoolIDs(ctx)
	if err != nil {
		return chains.MempoolView{}, err
	}
	m := &s.mempool
	m.keep(present)
	m.renew(watch)
	if err := s.fetchLoose(ctx, n); err != nil {
		return chains.MempoolView{}, err
	}
	found, err := s.matchLoose(n, watch)
	return chains.MempoolView{Present: present, New: found, Complete: complete}, err
}

// mempoolLoaded reports whether the node has read its mempool after a start. A
// node that does not say so has none to read.
func (n node) mempoolLoaded(ctx context.Context) (bool, error) {
	if !n.can.loaded {
		return true, nil
	}
	var info struct {
		Loaded bool `json:"loaded"`
	}
	err := n.CallInto(ctx, &info, "getmempoolinfo")
	return info.Loaded, err
}

func (n node) mempoolIDs(ctx context.Context) (map[chains.Hash]struct{}, error) {
	var texts []string
	if err := n.CallInto(ctx, &texts, "getrawmempool"); err != nil {
		return nil, err
	}
	present := make(map[chains.Hash]struct{}, len(texts))
	for _, text := range texts {
		id, err := chains.ParseHash(text)
		if err != nil {
			return nil, n.lie("getrawmempool", err)
		}
		present[id] = struct{}{}
	}
	return present, nil
}

// keep forgets transactions that left and notes those that came.
func (m *mempool) keep(present map[chains.Hash]struct{}) {
	if m.txs == nil {
		m.txs = make(map[chains.Hash]*looseTx, len(present))
	}
	maps.DeleteFunc(m.txs, func(id chains.Hash, tx *looseTx) bool {
		_, here := present[id]
		if !here {
			m.bytes -= len(tx.raw)
		}
		return !here
	})
	for id := range present {
		if m.txs[id] == nil {
			m.txs[id] = &looseTx{}
		}
	}
}

// renew moves the version if the table is not the one of the last look.
func (m *mempool) renew(watch *chains.WatchTable) {
	scripts, outs := watch.Len()
	if watch == m.table && scripts == m.scripts && outs == m.outs {
		return
	}
	if watch != m.table {
		// Another table is another reader: nothing was reported to it.
		for _, tx := range m.txs {
			tx.reported = 0
		}
	}
	m.table, m.scripts, m.outs = watch, scripts, outs
	m.version++
}

// fetchLoose reads the transactions that must be matched and are not kept.
func (s *Source) fetchLoose(ctx context.Context, n node) error {
	var missing []chains.Hash
	for id, tx := range s.mempool.txs {
		if tx.matched < s.mempool.version && tx.raw == nil && len(missing) < mempoolFetch {
			missing = append(missing, id)
		}
	}
	var mu sync.Mutex // guards the mempool's transactions against the fetchers
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(mempoolFetchers)
	const part = 500
	for len(missing) > 0 {
		ids := missing[:min(part, len(missing))]
		missing = missing[len(ids):]
		group.Go(func() error {
			raws, err := n.looseTxs(ctx, ids)
			if err != nil {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			for i, raw := range raws {
				s.mempool.txs[ids[i]].raw = raw
				s.mempool.bytes += len(raw)
			}
			return nil
		})
	}
	return group.Wait() //nolint:wrapcheck // an error of looseTxs
}

// looseTxs reads raw transactions of the mempool, unverified. One that has left
// it meanwhile is nil.
func (n node) looseTxs(ctx context.Context, ids []chains.Hash) ([][]byte, error) {
	requests := make([]rpc.Request, len(ids))
	for i, id := range ids {
		requests[i] = rpc.Request{Method: "getrawtransaction", Params: []any{id.String()}}
	}
	answers, err := n.Batch(ctx, requests)
	if err != nil {
		return nil, err
	}
	raws := make([][]byte, len(ids))
	for i, answer := range answers {
		if rpc.Code(answer.Err) == codeNotFound {
			continue // replaced or mined
		}
		if raws[i], err = hexResult(answer); err != nil {
			return nil, fmt.Errorf("transaction %s of %s: %w", ids[i], n.Name(), err)
		}
	}
	return raws, nil
}

// matchLoose matches what has not been matched with this version of the table,
// and returns what was not reported before.
func (s *Source) matchLoose(n node, watch *chains.WatchTable) ([]chains.UnconfirmedTx, error) {
	var found []chains.UnconfirmedTx
	var walked []*looseTx
	m := &s.mempool
	err := s.walkers.with(func(w *Walker) error {
		for id, tx := range m.txs {
			if tx.raw == nil || tx.matched == m.version {
				continue
			}
			hits, err := w.MatchTx(tx.raw, watch)
			if err != nil {
				m.unreadable(tx)
				continue
			}
			if w.TxID(0) != id {
				m.drop(tx)
				return n.lie(fmt.Sprintf("transaction %s", id), fmt.Errorf("the answer is transaction %s", w.TxID(0)))
			}
			walked = append(walked, tx)
			if len(hits) > tx.reported {
				found = append(found, unconfirmed(w, hits, s.chain.Native.ID))
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	// Only now does the look count: an error above reports nothing, and the
	// next look must find it all again.
	for _, tx := range found {
		m.txs[tx.Tx].reported = len(tx.Match.Transfers) + len(tx.Match.Spends)
	}
	for _, tx := range walked {
		tx.matched = m.version
		if m.bytes > mempoolRaw {
			m.drop(tx)
		}
	}
	return found, nil
}

// drop forgets the bytes of a transaction.
func (m *mempool) drop(tx *looseTx) {
	m.bytes -= len(tx.raw)
	tx.raw = nil
}

// unreadable has a transaction fetched again a few times, and then let be: the
// mempool of a chain can hold forms that no block does, such as those of an
// extension block, and none of them pays to a script.
func (m *mempool) unreadable(tx *looseTx) {
	m.drop(tx)
	if tx.faults++; tx.faults >= 3 {
		tx.matched = m.version
	}
}

// unconfirmed returns the match of the walked transaction, with all its inputs.
func unconfirmed(w *Walker, hits []Hit, asset chains.AssetID) chains.UnconfirmedTx {
	tx := chains.UnconfirmedTx{Tx: w.TxID(0), Match: matchOf(w, hits, asset, false)}
	for i := range w.ins {
		tx.Inputs = append(tx.Inputs, spendOf(w, w.inputHit(i)))
	}
	return tx
}
