package indexer

import (
	"context"
	"errors"
	"fmt"

	"tallyd/chains"
)

// agree asks whether the nodes stand on one branch, and tells the ledger before
// another block is appended: which of two branches will last nobody here can know,
// so nothing is credited until they agree, and the ledger stands where they do: what
// is due on a branch that they have left must not be credited on the way. The branch
// that is followed is not changed by it.
func (f *Follower) agree(ctx context.Context) error {
	finder, ok := f.source.(chains.SplitFinder)
	if !ok {
		return nil
	}
	opinion := finder.Split(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	reason := ""
	if opinion.Split != nil {
		reason = opinion.Split.String()
		f.contested = max(f.contested, opinion.Split.Height)
	}
	if f.disputed != nil && (*f.disputed == "") == (reason == "") {
		return nil
	}
	if reason == "" {
		// One that is silent, or so far back that it says nothing of what was
		// contested, does not agree.
		if opinion.Agreed == 0 || opinion.Agreed < f.contested {
			return nil
		}
		head := opinion.Head
		if head.Hash.IsZero() {
			head = f.head
		}
		if on, err := f.stands(ctx, head); !on {
			return err
		}
	}
	if _, err := f.ports.Amend(ctx, Amendment{Lease: f.cursor.Lease, Disputed: &reason}); err != nil {
		return fmt.Errorf("write whether the nodes agree: %w", err)
	}
	switch {
	case reason != "":
		f.log.Error().Str("reason", reason).Msg("deposits are not credited until the nodes agree")
	case f.disputed != nil:
		f.log.Info().Msg("the nodes agree again")
	}
	f.disputed = &reason
	if reason == "" {
		f.contested = 0
	}
	return nil
}

// stands reports whether the ledger's tip is on the branch of a head.
func (f *Follower) stands(ctx context.Context, head chains.BlockRef) (bool, error) {
	tip := f.cursor.Tip
	if tip.Hash.IsZero() || head.Height <= tip.Height {
		return head.Hash == tip.Hash, nil
	}
	at, err := f.source.RefAt(ctx, tip.Height)
	if errors.Is(err, chains.ErrNotFound) {
		return false, nil // it became shorter meanwhile
	}
	if err != nil {
		return false, fmt.Errorf("read the node's block %d: %w", tip.Height, err)
	}
	return at.Hash == tip.Hash, nil
}
