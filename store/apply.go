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

// Apply implements indexer.Ledger. A block with thousands of transfers takes as
// many statements as one with two.
func (s *Store) Apply(ctx context.Context, step indexer.Step) (indexer.Applied, error) {
	w := writing{chain: step.Lease.Chain}
	err := s.write(ctx, "apply", func(q *db.Queries) error {
		w.q = q
		family, err := w.advance(ctx, step)
		if err != nil {
			return err
		}
		if _, err := w.match(ctx, indexer.StatusConfirmed, []seen{{block: step.Block, match: step.Match}}); err != nil {
			return err
		}
		if family != string(chains.FamilyEVM) {
			return nil
		}
		if err := w.stale(ctx, step.Stale, step.Block.Height); err != nil {
			return err
		}
		missed := db.MarkMissedStaleParams{Chain: w.chain, Height: int64(step.Block.Height), Hash: step.Block.Hash}
		if err := q.MarkMissedStale(ctx, missed); err != nil {
			return fmt.Errorf("mark balances of another branch: %w", err)
		}
		// Balances read ahead of the ledger at this block count from now on.
		return w.snapshots(ctx, step.Snapshots, false, step.Block.Hash)
	})
	if err != nil {
		return indexer.Applied{}, err
	}
	return w.applied, nil
}

// advance moves the tip by one block. It is the fence of Apply.
func (w *writing) advance(ctx context.Context, step indexer.Step) (family string, err error) {
	p := db.MoveTipParams{
		Chain: w.chain, Height: int64(step.Block.Height), Hash: step.Block.Hash[:],
		Owner: step.Lease.Owner, Epoch: step.Lease.Epoch, WatchVersion: step.WatchVersion,
	}
	if !step.Parent.IsZero() {
		if step.Block.Parent != step.Parent {
			return "", fmt.Errorf("block %d does not continue the tip: %w", step.Block.Height, indexer.ErrStale)
		}
		p.Parent = step.Parent[:]
	}
	moved, err := w.q.MoveTip(ctx, p)
	if errors.Is(err, pgx.ErrNoRows) {
		return "", w.whyNotMoved(ctx, step)
	}
	if err != nil {
		return "", fmt.Errorf("move tip: %w", err)
	}
	if moved.First {
		// Scripts that were there before the first block are searched up to it.
		err := w.q.HandOver(ctx, db.HandOverParams{Chain: w.chain, Handover: new(int64(step.Block.Height) - 1)})
		if err != nil {
			return "", fmt.Errorf("hand over: %w", err)
		}
	}
	return moved.Family, putBlocks(ctx, w.q, w.chain, []chains.BlockRef{step.Block})
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
