package indexer

import (
	"context"
	"errors"
	"fmt"
	"math/big"

	"tallyd/chains"
)

// compare decides what to do with a head that does not continue our branch.
func (f *Follower) compare(ctx context.Context) (bool, error) {
	head, err := f.source.Head(ctx)
	if err != nil {
		return false, fmt.Errorf("ask for the head: %w", err)
	}
	f.head = head
	fork, better, err := f.better(ctx, head)
	if err != nil {
		return false, fmt.Errorf("compare with the branch of %s: %w", head.Hash, err)
	}
	if !better || fork.Hash == f.cursor.Tip.Hash {
		return false, nil
	}
	f.log.Info().Uint64("height", f.cursor.Tip.Height).Uint64("fork", fork.Height).
		Uint64("depth", f.cursor.Tip.Height-fork.Height).Stringer("head", head.Hash).Msg("reorg found")
	f.fork = &fork
	return f.retreat(ctx)
}

// better finds the block at which head's branch leaves ours (zero if that lies
// below the first block followed), and says whether that branch is the better
// one.
//
// With proof of work that is the one with more work above the fork, by headers
// that were checked, however short; without it, the one of a node that is not
// behind us. A head that is one of our own blocks means that the node lags.
func (f *Follower) better(ctx context.Context, head chains.BlockRef) (fork chains.BlockRef, better bool, err error) {
	tip := f.cursor.Tip
	theirs := head
	if head.Height > tip.Height {
		if theirs, err = f.source.RefAt(ctx, tip.Height); err != nil {
			return fork, false, fmt.Errorf("read the node's block %d: %w", tip.Height, err)
		}
	}
	ours := new(big.Int)
	for above := tip; above.Height > theirs.Height; {
		ours.Add(ours, above.Work.Big())
		if above, err = f.ports.BlockAt(ctx, f.cursor.Lease.Chain, above.Height-1); err != nil {
			return fork, false, fmt.Errorf("read our block %d: %w", above.Height, err)
		}
	}
	work := new(big.Int)
	top := theirs
	for {
		mine, err := f.ports.BlockAt(ctx, f.cursor.Lease.Chain, theirs.Height)
		if errors.Is(err, ErrNotFound) {
			break // below the first block followed: nothing of ours is on their branch
		}
		if err != nil {
			return fork, false, fmt.Errorf("read our block %d: %w", theirs.Height, err)
		}
		if mine.Hash == theirs.Hash {
			fork = mine
			break
		}
		ours.Add(ours, mine.Work.Big())
		work.Add(work, theirs.Work.Big())
		if theirs.Height == 0 {
			break
		}
		if theirs, err = f.source.Ref(ctx, theirs.Parent); err != nil {
			return fork, false, fmt.Errorf("read the parent at %d: %w", theirs.Height-1, err)
		}
	}
	switch {
	case f.cfg.Rewindable:
		return fork, head.Hash != tip.Hash, nil
	case fork.Hash == head.Hash:
		return fork, false, nil
	case ours.Sign() == 0 && work.Sign() == 0:
		return fork, head.Height >= tip.Height, nil
	}
	for height := top.Height + 1; work.Cmp(ours) <= 0 && height <= head.Height; height++ {
		next, err := f.source.RefAt(ctx, height)
		if err != nil {
			return fork, false, fmt.Errorf("read the node's block %d: %w", height, err)
		}
		if next.Parent != top.Hash {
			return fork, false, fmt.Errorf("block %d: the node changed its branch meanwhile: %w", height, chains.ErrNotFound)
		}
		work.Add(work, next.Work.Big())
		top = next
	}
	return fork, work.Cmp(ours) > 0, nil
}

// retreat takes the tip back until it is the fork.
func (f *Follower) retreat(ctx context.Context) (bool, error) {
	tip := f.cursor.Tip
	if tip.Hash == f.fork.Hash || tip.Hash.IsZero() {
		f.fork = nil
		f.head = chains.BlockRef{}
		return true, nil
	}
	applied, err := f.ports.Revert(ctx, f.cursor.Lease, tip)
	if err != nil {
		return false, fmt.Errorf("revert block %d: %w", tip.Height, err)
	}
	f.watch(applied.Watch)
	parent, err := f.ports.Tip(ctx, f.cursor.Lease.Chain)
	if err != nil {
		return false, fmt.Errorf("read the tip: %w", err)
	}
	f.cursor.Tip = parent
	f.log.Info().Uint64("height", tip.Height).Stringer("hash", tip.Hash).Int("events", applied.Events).Msg("block orphaned")
	if applied.Halted != "" {
		f.log.Error().Str("reason", applied.Halted).Msg("deposits are not credited until the chain is resumed")
	}
	return true, nil
}
