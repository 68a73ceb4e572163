package jobs_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/store"
	"tallyd/store/jobs"
)

// TestDescribeNFTs asks for a look at a chain's NFTs while one is under way: that is
// no second one. One that failed comes again by itself, and one that ended when it
// is asked for.
func TestDescribeNFTs(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.PoolerTransaction)
	begun, leave := make(chan string, 9), make(chan error, 9)
	var beside atomic.Int32
	client, err := jobs.New(jobs.Config{
		Pool: s.Pool(), PollOnly: s.PollOnly(), Searches: patient{s}, Log: zerolog.Nop(),
		Search: func(context.Context, string) error { return nil },
		Describe: func(ctx context.Context, chain string) error {
			if beside.Add(1) > 1 {
				t.Error("two looks side by side")
			}
			defer beside.Add(-1)
			begun <- chain
			select {
			case err := <-leave:
				return err
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
	})
	require.NoError(t, err)
	require.NoError(t, client.Start(t.Context()))
	t.Cleanup(func() { require.NoError(t, client.Stop(context.WithoutCancel(t.Context()))) })

	for range 5 {
		require.NoError(t, client.EnqueueNFTs(t.Context(), "eth"))
	}
	require.Equal(t, "eth", receive(t, begun))
	require.NoError(t, client.EnqueueNFTs(t.Context(), "eth"))
	leave <- errors.New("connection refused")
	require.Equal(t, "eth", receive(t, begun), "it comes again")
	leave <- nil
	require.Eventually(t, func() bool { return open(t, s) == 0 }, 20*time.Second, 20*time.Millisecond)
	require.Empty(t, begun)
	require.NoError(t, client.EnqueueNFTs(t.Context(), "eth"))
	receive(t, begun)
	leave <- nil
}
