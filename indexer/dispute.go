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
	now := f.dispute
	switch {
	case opinion.Split != nil:
		now.Height = max(now.Height, opinion.Split.Height)
		if now.Reason == "" {
			now.Reason = opinion.Split.String()
		}
	case now.Reason != "":
		if over, err := f.agreed(ctx, opinion); !over {
			return err
		}
		now = Dispute{}
	}
	if now == f.dispute {
		return nil
	}
	if _, err := f.ports.Amend(ctx, Amendment{Lease: f.cursor.Lease, Dispute: &now}); err != nil {
		return fmt.Errorf("write whether the nodes agree: %w", err)
	}
	switch {
	case now.Reason == "":
		f.log.Info().Msg("the nodes agree again")
	case f.dispute.Reason == "":
		f.log.Error().Str("reason", now.Reason).Msg("deposits are not credited until the nodes agree")
	}
	f.dispute = now
	return nil
}

// agreed reports whether the nodes agree on all that was in dispute, and the ledger
// stands where they do. One that is silent, or so far back that it says nothing of
// what was contested, does not agree.
func (f *Follower) agreed(ctx context.Context, opinion chains.Opinion) (bool, error) {
	if opinion.Agreed == 0 || opinion.Agreed < f.dispute.Height {
		return false, nil
	}
	head := opinion.Head
	if head.Hash.IsZero() {
		head = f.head
	}
	return f.stands(ctx, head)
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
