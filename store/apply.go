package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Ledger = (*Store)(nil)

// Apply implements indexer.Ledger. Blocks with thousands of transfers take as many
// statements as one with two.
func (s *Store) Apply(ctx context.Context, steps ...indexer.Step) (indexer.Applied, error) {
	if len(steps) == 0 {
		return indexer.Applied{}, nil
	}
	w := writing{chain: steps[0].Lease.Chain}
	err := s.write(ctx, "apply", func(q *db.Queries) error {
		w.q = q
		moved, err := w.advance(ctx, steps)
		if err != nil {
			return err
		}
		sights := make([]seen, 0, len(steps))
		for i := range steps {
			sights = append(sights, seen{block: steps[i].Block, match: steps[i].Match})
		}
		if _, err := w.match(ctx, indexer.StatusConfirmed, sights); err != nil {
			return err
		}
		if moved.Family == string(chains.FamilyEVM) {
			if err := w.touch(ctx, steps); err != nil {
				return err
			}
		}
		return w.settle(ctx, moved.Settle)
	})
	if err != nil {
		return indexer.Applied{}, err
	}
	return w.applied, nil
}

// touch writes what blocks did to balances that are read, not summed.
func (w *writing) touch(ctx context.Context, steps []indexer.Step) error {
	if err := w.stale(ctx, steps); err != nil {
		return err
	}
	missed := db.MarkMissedStaleParams{Chain: w.chain}
	var snapshots []chains.Snapshot
	reached := make([]chains.Hash, 0, len(steps))
	for i := range steps {
		missed.Heights = append(missed.Heights, int64(steps[i].Block.Height))
		missed.Hashes = append(missed.Hashes, steps[i].Block.Hash[:])
		snapshots = append(snapshots, steps[i].Snapshots...)
		reached = append(reached, steps[i].Block.Hash)
	}
	if err := w.q.MarkMissedStale(ctx, missed); err != nil {
		return fmt.Errorf("mark balances of another branch: %w", err)
	}
	// Balances read ahead of the ledger at these blocks count from now on.
	return w.snapshots(ctx, snapshots, false, reached...)
}

// advance moves the tip over blocks. It is the fence of Apply.
func (w *writing) advance(ctx context.Context, steps []indexer.Step) (db.MoveTipRow, error) {
	first, last := &steps[0], &steps[len(steps)-1]
	refs := make([]chains.BlockRef, 0, len(steps))
	for i := range steps {
		step := &steps[i]
		if i > 0 && step.Parent != steps[i-1].Block.Hash || !step.Parent.IsZero() && step.Block.Parent != step.Parent {
			return db.MoveTipRow{}, fmt.Errorf("block %d does not continue the tip: %w", step.Block.Height, indexer.ErrStale)
		}
		refs = append(refs, step.Block)
	}
	p := db.MoveTipParams{
		Chain: w.chain, First: int64(first.Block.Height), Height: int64(last.Block.Height), Hash: last.Block.Hash[:],
		Owner: first.Lease.Owner, Epoch: first.Lease.Epoch, WatchVersion: first.WatchVersion,
	}
	if !first.Parent.IsZero() {
		p.Parent = first.Parent[:]
	}
	moved, err := w.q.MoveTip(ctx, p)
	if errors.Is(err, pgx.ErrNoRows) {
		return moved, w.whyNotMoved(ctx, *first)
	}
	if err != nil {
		return moved, fmt.Errorf("move tip: %w", err)
	}
	if moved.Begun {
		// Scripts that were there before the first block are searched up to it.
		err := w.q.HandOver(ctx, db.HandOverParams{Chain: w.chain, Handover: new(int64(first.Block.Height) - 1)})
		if err != nil {
			return moved, fmt.Errorf("hand over: %w", err)
		}
	}
	w.custody = moved.Custody
	return moved, putBlocks(ctx, w.q, w.chain, refs)
}

// whyNotMoved tells a watch version that moved from everything else.
func (w *writing) whyNotMoved(ctx context.Context, step indexer.Step) error {
	cursor, err := w.q.LockCursor(ctx, w.chain)
	if err != nil {
		return fmt.Errorf("read cursor: %w", orNotFound(err))
	}
	var tip chains.Hash
	if cursor.Hash != nil {
		tip = *cursor.Hash
	}
	held := cursor.Owner != nil && *cursor.Owner == step.Lease.Owner && cursor.Epoch == step.Lease.Epoch
	if held && tip == step.Parent && cursor.WatchVersion != step.WatchVersion {
		return indexer.ErrWatchMoved
	}
	return indexer.ErrStale
}
