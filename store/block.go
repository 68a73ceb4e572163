package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Blocks = (*Store)(nil)

// Tip implements indexer.Blocks. It does not wait for writers, and a Filling's
// Tail may call it.
func (s *Store) Tip(ctx context.Context, chain string) (chains.BlockRef, error) {
	row, err := db.New(s.beside(ctx)).Tip(ctx, chain)
	if errors.Is(err, pgx.ErrNoRows) {
		return chains.BlockRef{}, nil
	}
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("read tip: %w", err)
	}
	return blockRef(row.Height, row.Hash, row.Parent, row.Time, row.Work), nil
}

// BlockAt implements indexer.Blocks. It does not wait for writers, and a
// Filling's Tail may call it.
func (s *Store) BlockAt(ctx context.Context, chain string, height uint64) (chains.BlockRef, error) {
	row, err := db.New(s.beside(ctx)).BlockAt(ctx, db.BlockAtParams{Chain: chain, Height: int64(height)})
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("read block %d: %w", height, orNotFound(err))
	}
	return blockRef(row.Height, row.Hash, row.Parent, row.Time, row.Work), nil
}

func blockRef(height int64, hash, parent chains.Hash, at time.Time, work chains.Amount) chains.BlockRef {
	ref := chains.BlockRef{Height: uint64(height), Hash: hash, Parent: parent, Time: at.UTC()}
	work.Big().FillBytes(ref.Work[:])
	return ref
}

// putBlocks adds blocks as canonical ones.
func putBlocks(ctx context.Context, q *db.Queries, chain string, refs []chains.BlockRef) error {
	if len(refs) == 0 {
		return nil
	}
	rows := db.PutBlocksParams{Chain: chain}
	for i := range refs {
		rows.Hashes = append(rows.Hashes, refs[i].Hash[:])
		rows.Heights = append(rows.Heights, int64(refs[i].Height))
		rows.Parents = append(rows.Parents, refs[i].Parent[:])
		rows.Times = append(rows.Times, refs[i].Time)
		rows.Works = append(rows.Works, chains.AmountFromBytes(refs[i].Work[:]))
	}
	if err := q.PutBlocks(ctx, rows); err != nil {
		return fmt.Errorf("put %d blocks: %w", len(refs), err)
	}
	return nil
}

// holdBlocks checks that blocks are canonical, and adds those below the first
// block followed. It returns ErrNotCanonical for one that is another than ours,
// is above the tip, or does not join its neighbour.
func holdBlocks(ctx context.Context, q *db.Queries, cursor db.LockCursorRow, refs []chains.BlockRef) error {
	if len(refs) == 0 {
		return nil
	}
	if cursor.Height == nil {
		return fmt.Errorf("block %d: the chain has no tip: %w", refs[0].Height, indexer.ErrNotCanonical)
	}
	wanted := make([]int64, 0, 3*len(refs))
	for _, ref := range refs {
		wanted = append(wanted, int64(ref.Height)-1, int64(ref.Height), int64(ref.Height)+1)
	}
	rows, err := q.Canonical(ctx, db.CanonicalParams{Chain: cursor.Chain, Heights: wanted})
	if err != nil {
		return fmt.Errorf("read our blocks: %w", err)
	}
	ours := make(map[int64]link, len(rows)+len(refs))
	for _, row := range rows {
		ours[row.Height] = link{row.Hash, row.Parent}
	}
	var added []chains.BlockRef
	for _, ref := range refs {
		height := int64(ref.Height)
		if at, known := ours[height]; known && at.hash == ref.Hash {
			continue
		} else if known || height >= *cursor.FirstHeight || !joins(ours, height, ref) {
			return fmt.Errorf("block %d %s: %w", ref.Height, ref.Hash, indexer.ErrNotCanonical)
		}
		ours[height] = link{ref.Hash, ref.Parent}
		added = append(added, ref)
	}
	return putBlocks(ctx, q, cursor.Chain, added)
}

type link struct{ hash, parent chains.Hash }

// joins reports whether a block agrees with the ones we hold beside it.
func joins(ours map[int64]link, height int64, ref chains.BlockRef) bool {
	if below, known := ours[height-1]; known && below.hash != ref.Parent {
		return false
	}
	above, known := ours[height+1]
	return !known || above.parent == ref.Hash
}

// orNotCanonical makes the absence of a block the sentinel of package indexer.
func orNotCanonical(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return indexer.ErrNotCanonical
	}
	return err
}

// OpenTxs implements indexer.Blocks.
func (s *Store) OpenTxs(ctx context.Context, chain string) (pending, gone []chains.Hash, err error) {
	rows, err := s.queries(ctx).OpenTxs(ctx, chain)
	if err != nil {
		return nil, nil, fmt.Errorf("read open transactions: %w", err)
	}
	for _, row := range rows {
		if row.Pending {
			pending = append(pending, row.Tx)
		} else {
			gone = append(gone, row.Tx)
		}
	}
	return pending, gone, nil
}
