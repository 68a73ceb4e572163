package store

import (
	"context"
	"fmt"
	"slices"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// Fill implements indexer.Ledger. A search that was begun again under another
// name meanwhile gets ErrStale.
func (s *Store) Fill(ctx context.Context, filling indexer.Filling) error {
	return s.write(ctx, "fill", func(q *db.Queries) error {
		cursor, err := q.LockCursor(ctx, filling.Chain)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", orNotFound(err))
		}
		f := fill{writing: writing{q: q, chain: filling.Chain, custody: cursor.Custody}, Filling: filling, cursor: cursor}
		return f.run(ctx)
	})
}

// fill is one Filling under the lock.
type fill struct {
	writing
	indexer.Filling
	cursor  db.LockCursorRow
	scripts []int64 // row ids
}

func (f *fill) run(ctx context.Context) error {
	rows, err := f.q.SearchedScripts(ctx, db.SearchedScriptsParams{Chain: f.chain, Searches: f.Scripts})
	if err != nil {
		return fmt.Errorf("find searches: %w", err)
	}
	if len(rows) != len(slices.Compact(slices.Sorted(slices.Values(f.Scripts)))) {
		return fmt.Errorf("find searches: %w", indexer.ErrStale)
	}
	for _, row := range rows {
		f.scripts = append(f.scripts, row.ID)
	}
	blocks, err := f.follow(ctx)
	if err != nil {
		return err
	}
	if err := holdBlocks(ctx, f.q, f.cursor, refsOf(blocks)); err != nil {
		return err
	}
	if err := f.facts(ctx, blocks); err != nil {
		return err
	}
	if err := f.balances(ctx); err != nil {
		return err
	}
	if err := f.progress(ctx); err != nil {
		return err
	}
	return f.settle(ctx, f.cursor.Unproven)
}

// follow returns the blocks of the filling, and of the stretch its search has
// not walked yet if it is to be complete.
func (f *fill) follow(ctx context.Context) ([]indexer.FilledBlock, error) {
	through := int64(-1)
	if !f.Through.Hash.IsZero() {
		height, err := f.q.CanonicalHeight(ctx, db.CanonicalHeightParams{Chain: f.chain, Hash: f.Through.Hash})
		if err != nil {
			return nil, fmt.Errorf("block %d %s: %w", f.Through.Height, f.Through.Hash, orNotCanonical(err))
		}
		through = height
	}
	if !f.Complete {
		return f.Blocks, nil
	}
	if f.cursor.Height == nil || *f.cursor.Height <= through {
		return f.Blocks, nil
	}
	if f.Tail == nil {
		return nil, fmt.Errorf("the tip is beyond block %d: %w", f.Through.Height, indexer.ErrStale)
	}
	row, err := f.q.Tip(ctx, f.chain)
	if err != nil {
		return nil, fmt.Errorf("read tip: %w", err)
	}
	tail, err := f.Tail(ctx, f.Through, blockRef(row.Height, row.Hash, row.Parent, row.Time, row.Work))
	if err != nil {
		return nil, fmt.Errorf("walk to the tip: %w", err)
	}
	return append(slices.Clone(f.Blocks), tail...), nil
}

func refsOf(blocks []indexer.FilledBlock) []chains.BlockRef {
	refs := make([]chains.BlockRef, len(blocks))
	for i := range blocks {
		refs[i] = blocks[i].Ref
	}
	return refs
}

// facts writes transfers and spends. Outputs that nobody has spent are watched
// under a new watch version: the follower loads them before its next block.
func (f *fill) facts(ctx context.Context, blocks []indexer.FilledBlock) error {
	sights := make([]seen, len(blocks))
	for i := range blocks {
		sights[i] = seen{block: blocks[i].Ref, match: blocks[i].Match}
	}
	changed, err := f.match(ctx, indexer.StatusConfirmed, sights)
	if err != nil {
		return err
	}
	if f.cursor.Family == string(chains.FamilyEVM) {
		return f.unread(ctx, sights)
	}
	var outputs []int64
	for _, t := range changed {
		if t.Vout != nil {
			outputs = append(outputs, t.ID)
		}
	}
	if len(outputs) == 0 {
		return nil
	}
	unspent, err := f.q.UnspentOf(ctx, outputs)
	if err != nil || len(unspent) == 0 {
		return err //nolint:wrapcheck // Postgres names the statement
	}
	version, err := f.q.BumpWatch(ctx, db.BumpWatchParams{Chain: f.chain})
	if err != nil {
		return fmt.Errorf("bump watch version: %w", err)
	}
	if err := f.q.WatchOutputs(ctx, db.WatchOutputsParams{WatchVersion: version, Ids: unspent}); err != nil {
		return fmt.Errorf("watch outputs: %w", err)
	}
	return nil
}

// balances writes opening balances. One read above the tip counts once the tip
// has reached its block.
func (f *fill) balances(ctx context.Context) error {
	var held []chains.BlockRef
	for _, s := range f.Snapshots {
		if f.cursor.Height != nil && int64(s.At.Height) <= *f.cursor.Height {
			held = append(held, s.At)
		}
	}
	if err := holdBlocks(ctx, f.q, f.cursor, held); err != nil {
		return err
	}
	return f.snapshots(ctx, f.Snapshots, true)
}

func (f *fill) progress(ctx context.Context) error {
	if !f.Progress && !f.Complete {
		return nil
	}
	err := f.q.SaveSearch(ctx, db.SaveSearchParams{
		Complete: f.Complete, Descending: f.cursor.Family == string(chains.FamilyEVM),
		FromHeight: int64(f.From), NextHeight: int64(f.Next), Method: string(f.Method), Ids: f.scripts,
	})
	if err != nil {
		return fmt.Errorf("save search: %w", err)
	}
	if !f.Complete {
		return nil
	}
	return f.synced(ctx, f.scripts)
}
