package jobs_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/jobs"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func openStore(t *testing.T, pooler string) *store.Store {
	t.Helper()
	url := embedded.TestDatabase(t)
	_, err := store.Migrate(t.Context(), store.Options{URL: url})
	require.NoError(t, err)
	s, err := store.Open(t.Context(), store.Options{URL: url, Pooler: pooler})
	require.NoError(t, err)
	t.Cleanup(s.Close)
	require.NoError(t, s.Register(t.Context(), chains.Chain{
		Slug: "btc", ID: "bip122:0", Family: chains.FamilyBitcoin, Environment: chains.Test, Native: chains.Asset{ID: "bip122:0/slip44:0"},
	}, nil))
	return s
}

// patient holds every search for long: on a machine that stands still for seconds a
// lease may run out under its owner, which costs work and no more.
type patient struct{ *store.Store }

func (p patient) AcquireSearch(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (bool, error) {
	return p.Store.AcquireSearch(ctx, chain, owner, 10*ttl)
}

func start(t *testing.T, s *store.Store, search func(ctx context.Context, chain string) error) *jobs.Client {
	t.Helper()
	client, err := jobs.New(jobs.Config{Pool: s.Pool(), PollOnly: s.PollOnly(), Searches: patient{s}, Log: zerolog.Nop(), Search: search})
	require.NoError(t, err)
	require.NoError(t, client.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, client.Stop(context.WithoutCancel(t.Context()))) })
	return client
}

func receive[T any](t *testing.T, from <-chan T) T {
	t.Helper()
	select {
	case v := <-from:
		return v
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

// TestAskedWhileRunning asks for a search while one runs, which may have looked
// before: another one follows, after it and not beside it, and one is enough.
func TestAskedWhileRunning(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{store.PoolerSession, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			t.Parallel()
			s := openStore(t, pooler)
			begun, leave := make(chan string, 10), make(chan struct{}, 10)
			var beside atomic.Int32
			search := func(ctx context.Context, chain string) error {
				if beside.Add(1) > 1 {
					t.Error("two searches side by side")
				}
				defer beside.Add(-1)
				begun <- chain
				select {
				case <-leave:
				case <-ctx.Done():
				}
				return context.Cause(ctx)
			}
			one, two := start(t, s, search), start(t, s, search)
			require.NoError(t, one.EnqueueBackfill(t.Context(), "btc"))
			require.Equal(t, "btc", receive(t, begun))
			for range 5 {
				require.NoError(t, one.EnqueueBackfill(t.Context(), "btc"))
			}
			require.NoError(t, two.EnqueueBackfill(t.Context(), "btc"))
			leave <- struct{}{}
			receive(t, begun)
			leave <- struct{}{}
			receive(t, begun) // of the other process
			leave <- struct{}{}
			require.Eventually(t, func() bool { return open(t, s) == 0 }, 20*time.Second, 20*time.Millisecond)
			require.Empty(t, begun, "five askings are one search")

			// A search that has ended does not keep the next one from coming.
			require.NoError(t, one.EnqueueBackfill(t.Context(), "btc"))
			receive(t, begun)
			leave <- struct{}{}
		})
	}
}

func open(t *testing.T, s *store.Store) (n int) {
	t.Helper()
	require.NoError(t, s.Pool().QueryRow(t.Context(), `SELECT count(*) FROM river_job WHERE state NOT IN ('completed', 'cancelled', 'discarded')`).Scan(&n))
	return n
}

// TestKilled leaves a job running in the table as a killed process does: another
// one searches as soon as the lease has run out.
func TestKilled(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.PoolerSession)
	dead := uuid.New()
	held, err := s.AcquireSearch(t.Context(), "btc", dead, 300*time.Millisecond)
	require.NoError(t, err)
	require.True(t, held)
	begun := make(chan string, 1)
	client := start(t, s, func(_ context.Context, chain string) error {
		begun <- chain
		return nil
	})
	require.NoError(t, client.EnqueueBackfill(t.Context(), "btc"))
	require.Equal(t, "btc", receive(t, begun))
	require.NoError(t, s.ReleaseSearch(t.Context(), "btc", dead))
}

// TestLostSearch takes a search away: it ends at once, and comes again.
func TestLostSearch(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.PoolerSession)
	begun, ended := make(chan struct{}, 9), make(chan error, 9)
	client := start(t, s, func(ctx context.Context, _ string) error {
		begun <- struct{}{}
		<-ctx.Done()
		ended <- context.Cause(ctx)
		return context.Cause(ctx)
	})
	require.NoError(t, client.EnqueueBackfill(t.Context(), "btc"))
	receive(t, begun)
	_, err := s.Pool().Exec(t.Context(), `UPDATE search_leases SET owner = gen_random_uuid()`)
	require.NoError(t, err)
	require.ErrorContains(t, receive(t, ended), "search lost")
}

// TestNotRegistered asks for a search of a chain that the ledger does not know
// yet: it waits for the chain instead of failing.
func TestNotRegistered(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.PoolerSession)
	held, err := s.AcquireSearch(t.Context(), "ltc", uuid.New(), time.Minute)
	require.NoError(t, err)
	require.False(t, held)
	begun := make(chan string, 1)
	client := start(t, s, func(_ context.Context, chain string) error {
		begun <- chain
		return nil
	})
	require.NoError(t, client.EnqueueBackfill(t.Context(), "ltc"))
	require.NoError(t, s.Register(t.Context(), chains.Chain{
		Slug: "ltc", ID: "bip122:1", Family: chains.FamilyBitcoin, Environment: chains.Test, Native: chains.Asset{ID: "bip122:1/slip44:2"},
	}, nil))
	require.Equal(t, "ltc", receive(t, begun))
	var errors int
	require.NoError(t, s.Pool().QueryRow(t.Context(), `SELECT coalesce(sum(cardinality(errors)), 0) FROM river_job`).Scan(&errors))
	require.Zero(t, errors)
}
