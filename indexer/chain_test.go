package indexer_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/chainstest"
	"tallyd/indexer"
)

// rented is a tape whose lease somebody else may hold, and which remembers what
// was said of the chain.
type rented struct {
	tape
	mu     sync.Mutex
	other  bool // another process holds the lease
	epoch  int64
	states []string
	reason string
	height int
}

func (l *rented) Acquire(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (indexer.Cursor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.other {
		return indexer.Cursor{}, indexer.ErrLeased
	}
	cursor, err := l.tape.Acquire(ctx, chain, owner, ttl)
	cursor.Lease.Epoch = l.epoch
	return cursor, err
}

func (l *rented) Apply(ctx context.Context, steps ...indexer.Step) (indexer.Applied, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.other || steps[0].Lease.Epoch != l.epoch {
		return indexer.Applied{}, indexer.ErrStale
	}
	applied, err := l.tape.Apply(ctx, steps...)
	l.height = len(l.blocks)
	return applied, err
}

func (l *rented) Amend(_ context.Context, a indexer.Amendment) (indexer.Applied, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if a.Status != nil && (len(l.states) == 0 || l.states[len(l.states)-1] != a.Status.State) {
		l.states = append(l.states, a.Status.State)
		l.reason = a.Status.Reason
	}
	return indexer.Applied{}, nil
}

func (l *rented) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// elapse moves the bubble's clock.
func elapse(d time.Duration) { <-time.After(d) }

type quiet struct{}

func (quiet) PutChain(context.Context, indexer.ChainStatus) {}

// follow runs a chain in the bubble and returns what ends it.
func follow(t *testing.T, node *chainstest.Fake, ledger *rented) (stop func()) {
	t.Helper()
	zero := uint64(0)
	chain := &indexer.Chain{
		Source: node, Ports: ledger, Owner: uuid.New(), State: quiet{}, Log: zerolog.Nop(),
		Config: indexer.FollowConfig{Start: &zero, Poll: time.Minute, Ahead: 2},
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- chain.Run(ctx) }()
	told := errors.New("told to stop")
	return func() {
		cancel(told)
		require.ErrorIs(t, <-ended, told)
	}
}

func TestChainCatchesUpAndHearsOfNewBlocks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node, ledger := chainstest.NewFake("btc", "abc"), &rented{}
		stop := follow(t, node, ledger)
		synctest.Wait()
		require.Equal(t, 3, ledger.height)
		node.Show("abcde")
		synctest.Wait() // no clock moves: it was told of the blocks, and did not poll
		require.Equal(t, 5, ledger.height)
		require.Equal(t, indexer.StateLevel, ledger.states[len(ledger.states)-1])
		stop()
	})
}

func TestChainWaitsForTheLease(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node, ledger := chainstest.NewFake("btc", "abc"), &rented{other: true}
		stop := follow(t, node, ledger)
		elapse(time.Minute)
		require.Zero(t, ledger.height)
		ledger.set(func() { ledger.other, ledger.epoch = false, 7 })
		elapse(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 3, ledger.height)
		stop()
	})
}

func TestChainEndsItsWorkWhenTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node, ledger := chainstest.NewFake("btc", "abc"), &rented{}
		stop := follow(t, node, ledger)
		synctest.Wait()
		ledger.set(func() { ledger.other = true })
		node.Show("abcd")
		elapse(10 * time.Second)
		synctest.Wait()
		require.Equal(t, 3, ledger.height, "nothing is written without the lease")
		ledger.set(func() { ledger.other, ledger.epoch = false, 2 })
		elapse(2 * time.Second)
		synctest.Wait()
		require.Equal(t, 4, ledger.height)
		stop()
	})
}

func TestChainIsDegradedWhileNoNodeAnswersAndHeals(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		node, ledger := chainstest.NewFake("btc", "abc"), &rented{}
		stop := follow(t, node, ledger)
		synctest.Wait()
		node.Fail(errors.New("connection refused"))
		node.Show("abcd")
		elapse(time.Minute)
		synctest.Wait()
		require.Equal(t, 3, ledger.height)
		require.Equal(t, indexer.StateDegraded, ledger.states[len(ledger.states)-1])
		require.Contains(t, ledger.reason, "connection refused")
		node.Fail(nil)
		elapse(time.Minute)
		synctest.Wait()
		require.Equal(t, 4, ledger.height)
		require.Equal(t, indexer.StateLevel, ledger.states[len(ledger.states)-1])
		require.Empty(t, ledger.reason)
		stop()
	})
}
