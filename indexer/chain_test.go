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

	"tallyd/chains"
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
	final  uint64 // as last said
	safe   uint64
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
	if a.Final != nil {
		l.final = *a.Final
	}
	if a.Safe != nil {
		l.safe = *a.Safe
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
func follow(t *testing.T, node chains.Source, ledger *rented) (stop func()) {
	t.Helper()
	return followWith(t, node, ledger, indexer.FollowConfig{})
}

func followWith(t *testing.T, node chains.Source, ledger *rented, cfg indexer.FollowConfig) (stop func()) {
	t.Helper()
	zero := uint64(0)
	cfg.Start, cfg.Poll, cfg.Ahead = &zero, time.Minute, 2
	chain := &indexer.Chain{Source: node, Ports: ledger, Owner: uuid.New(), State: quiet{}, Log: zerolog.Nop(), Config: cfg}
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

// A dispute that was there before shows, whether the nodes are silent or fail.
func TestChainTellsOfADisputeThatIsLeft(t *testing.T) {
	t.Parallel()
	for _, fault := range []error{nil, errors.New("no route")} {
		synctest.Test(t, func(t *testing.T) {
			node := &divided{Fake: chainstest.NewFake("btc", "abc")}
			node.Fail(fault)
			ledger := &rented{tape: tape{dispute: indexer.Dispute{Reason: "two branches", Height: 9}}}
			stop := follow(t, node, ledger)
			synctest.Wait()
			require.Equal(t, indexer.StateDegraded, ledger.states[len(ledger.states)-1])
			require.Contains(t, ledger.reason, "two branches; nothing is credited until they agree")
			if fault != nil {
				require.Contains(t, ledger.reason, fault.Error())
			}
			stop()
		})
	}
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

// tagged is a node that calls a block final and another one safe.
type tagged struct {
	*chainstest.Fake
	mu      sync.Mutex
	heights map[string]uint64
}

func (n *tagged) Finalized(ctx context.Context, tag string) (chains.BlockRef, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.RefAt(ctx, n.heights[tag])
}

func (n *tagged) tag(final, safe uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.heights = map[string]uint64{"finalized": final, "safe": safe}
}

// The safe height is told beside the final one where somebody wants to know, and
// neither before the ledger has the block.
func TestSafeAndFinalHeights(t *testing.T) {
	t.Parallel()
	for name, safe := range map[string]bool{"Wanted": true, "Unwanted": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node, ledger := &tagged{Fake: chainstest.NewFake("eth", "abcdefgh")}, &rented{}
				node.tag(2, 4)
				stop := followWith(t, node, ledger, indexer.FollowConfig{FinalTag: "finalized", FinalDepth: 99, Safe: safe})
				defer stop()
				said := func(final, safeHeight uint64) {
					t.Helper()
					if !safe {
						safeHeight = 0
					}
					elapse(2 * time.Minute)
					synctest.Wait()
					require.Equal(t, []uint64{final, safeHeight}, []uint64{ledger.final, ledger.safe})
				}
				said(2, 4)
				node.tag(5, 6)
				node.Show("abcdefghi")
				said(5, 6)
				// The node's tags go on on a branch that we do not have.
				ledger.set(func() { ledger.other = true })
				node.Show("abcdefXYZWV")
				node.tag(6, 9)
				said(5, 6)
				ledger.set(func() { ledger.other, ledger.epoch = false, 2 })
				said(6, 9)
			})
		})
	}
}
