package indexer

import (
	"context"
	"fmt"
	"slices"

	"github.com/rs/zerolog"

	"tallyd/chains"
)

// Mempool keeps the unconfirmed transactions of one chain in the ledger: new
// ones become pending, and those that leave unmined are dropped.
//
// One absence is no proof: a transaction counts as dropped when two complete
// looks in a row did not find it, both while the tip was the node's head, so
// that it cannot just have been mined.
type Mempool struct {
	source chains.MempoolReader
	ports  Ports
	absent map[chains.Hash]int // looks in a row that did not find a pending transaction

	// unsaved are new transactions that are not in the ledger yet. The source
	// reports each once, so they are kept until they are durable.
	unsaved []chains.UnconfirmedTx
}

// NewMempool returns a Mempool that has not looked yet.
func NewMempool(source chains.MempoolReader, ports Ports) *Mempool {
	return &Mempool{source: source, ports: ports, absent: map[chains.Hash]int{}}
}

// Look compares the node's mempool with the ledger of a chain that is level, and
// writes the difference.
func (m *Mempool) Look(ctx context.Context, f *Follower) error {
	// Addresses connected since the last block are watched here at once.
	if err := f.loadWatch(ctx); err != nil {
		return err
	}
	view, err := m.source.Mempool(ctx, f.table)
	if err != nil {
		return fmt.Errorf("read the mempool: %w", err)
	}
	// What left before it could be written is nothing to tell of any more.
	if view.Complete {
		m.unsaved = slices.DeleteFunc(m.unsaved, func(tx chains.UnconfirmedTx) bool {
			_, there := view.Present[tx.Tx]
			return !there
		})
	}
	m.unsaved = append(m.unsaved, view.New...)
	// A window moved by a pending payment is extended before it is written, so
	// that the next look, with the grown table, finds payments to the new scripts.
	for _, tx := range m.unsaved {
		if _, err := extendWindows(ctx, f.source, f.ports, f.cursor.Lease.Chain, tx.Match, f.cfg.Gap); err != nil {
			return err
		}
	}
	amendment := Amendment{Lease: f.cursor.Lease, Pending: m.unsaved}
	if view.Complete {
		head, err := f.source.Head(ctx)
		if err != nil {
			return fmt.Errorf("ask for the head: %w", err)
		}
		if head.Hash == f.cursor.Tip.Hash {
			if amendment.Dropped, amendment.Revived, err = m.differences(ctx, f.cursor.Lease.Chain, view.Present); err != nil {
				return err
			}
		}
	}
	if len(amendment.Pending)+len(amendment.Dropped)+len(amendment.Revived) == 0 {
		return nil
	}
	applied, err := f.ports.Amend(ctx, amendment)
	if err != nil {
		return fmt.Errorf("write %d pending, %d dropped, %d revived transactions: %w",
			len(amendment.Pending), len(amendment.Dropped), len(amendment.Revived), err)
	}
	m.unsaved = nil
	f.watch(applied.Watch)
	level := zerolog.InfoLevel
	if applied.Events == 0 {
		level = zerolog.DebugLevel
	}
	f.log.WithLevel(level).Int("pending", len(amendment.Pending)).Int("dropped", len(amendment.Dropped)).
		Int("revived", len(amendment.Revived)).Int("events", applied.Events).Msg("mempool amended")
	return nil
}

func (m *Mempool) differences(ctx context.Context, chain string, present map[chains.Hash]struct{}) (dropped, revived []chains.Hash, err error) {
	pending, gone, err := m.ports.OpenTxs(ctx, chain)
	if err != nil {
		return nil, nil, fmt.Errorf("list open transactions: %w", err)
	}
	absent := map[chains.Hash]int{}
	for _, tx := range pending {
		if _, here := present[tx]; here {
			continue
		}
		absent[tx] = m.absent[tx] + 1
		if absent[tx] >= 2 {
			dropped = append(dropped, tx)
		}
	}
	m.absent = absent
	for _, tx := range gone {
		if _, here := present[tx]; here {
			revived = append(revived, tx)
		}
	}
	return dropped, revived, nil
}
