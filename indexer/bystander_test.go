package indexer_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/indexer"
)

// lent is a ledger whose lease is free, unless another process has it.
type lent struct {
	tape
	epoch   int64
	other   bool
	missing bool // the chain was never registered
	held    bool
	states  []string
}

func (l *lent) Acquire(_ context.Context, chain string, owner uuid.UUID, _ time.Duration) (indexer.Cursor, error) {
	if l.missing {
		return indexer.Cursor{}, indexer.ErrNotFound
	}
	if l.other {
		return indexer.Cursor{}, indexer.ErrLeased
	}
	if !l.held {
		l.epoch++
	}
	l.held = true
	return indexer.Cursor{Lease: indexer.Lease{Chain: chain, Owner: owner, Epoch: l.epoch}}, nil
}

func (l *lent) Release(context.Context, indexer.Lease) error {
	l.held = false
	return nil
}

func (l *lent) Amend(_ context.Context, a indexer.Amendment) (indexer.Applied, error) {
	l.states = append(l.states, a.Status.State)
	return indexer.Applied{}, nil
}

// Who cannot follow a chain says so where nobody else can, and not in the moment
// between two owners. The lease it leaves to others.
func TestBystander(t *testing.T) {
	t.Parallel()
	ledger := &lent{missing: true}
	b := indexer.Bystander{Leases: ledger, Ledger: ledger, Chain: "btc", Owner: uuid.New()}
	say := func(want bool) {
		t.Helper()
		told, err := b.Say(t.Context(), indexer.StatusChange{State: indexer.StateHalted})
		require.NoError(t, err)
		require.Equal(t, want, told)
		require.False(t, ledger.held)
	}
	say(false)
	say(false)
	ledger.missing, ledger.other = false, true
	say(false)
	ledger.other = false
	say(false)
	ledger.epoch++ // another process had it meanwhile
	say(false)
	require.Empty(t, ledger.states)
	say(true)
	say(true)
	ledger.other = true
	say(false)
	ledger.other = false
	say(false)
	say(true)
	require.Len(t, ledger.states, 3)
}
