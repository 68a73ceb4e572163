package rpc_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// TestTell gives three upstreams something to take, each with its own mind.
func TestTell(t *testing.T) {
	t.Parallel()
	no := func(reason chains.RefusalReason) error { return &chains.RefusalError{Reason: reason} }
	broken := errors.New("connection reset")
	lie := fmt.Errorf("another id: %w", chains.ErrUnverified)
	for name, tt := range map[string]struct {
		answers [3]error
		taken   bool
		refused chains.RefusalReason
		healthy [3]bool
	}{
		"All":         {taken: true, healthy: [3]bool{true, true, true}},
		"One":         {answers: [3]error{no(chains.RefusedSpent), broken, nil}, taken: true, healthy: [3]bool{true, false, true}},
		"LieIsNone":   {answers: [3]error{lie, lie, nil}, taken: true, healthy: [3]bool{false, false, true}},
		"Refused":     {answers: [3]error{no(chains.RefusedSpent), no(chains.RefusedFee), no(chains.RefusedInvalid)}, refused: chains.RefusedFee, healthy: [3]bool{true, true, true}},
		"MildestLast": {answers: [3]error{no(chains.RefusedInvalid), no(chains.RefusedOther), no(chains.RefusedEarly)}, refused: chains.RefusedEarly, healthy: [3]bool{true, true, true}},
		"Open":        {answers: [3]error{no(chains.RefusedSpent), no(chains.RefusedSpent), broken}, healthy: [3]bool{true, true, false}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			unused := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("nobody was to be asked") })
			pool := open(t, rpc.Options{}, unused, unused, unused)
			var mu sync.Mutex
			told := map[*rpc.Upstream]int{}
			meet := make(chan struct{})
			var here sync.WaitGroup
			here.Add(3)
			go func() { defer close(meet); here.Wait() }()
			err := pool.Tell(t.Context(), func(_ context.Context, u *rpc.Upstream) error {
				here.Done()
				<-meet // all are told at the same time
				mu.Lock()
				defer mu.Unlock()
				told[u]++
				for i, other := range pool.Upstreams() {
					if u == other {
						return tt.answers[i]
					}
				}
				return errors.New("an upstream of another pool")
			})
			require.Len(t, told, 3)
			var refusal *chains.RefusalError
			switch {
			case tt.taken:
				require.NoError(t, err)
			case tt.refused != "":
				require.ErrorAs(t, err, &refusal)
				require.Equal(t, tt.refused, refusal.Reason)
			default:
				require.ErrorIs(t, err, broken)
				require.NotErrorAs(t, err, &refusal)
			}
			for i, health := range pool.Health() {
				require.Equal(t, tt.healthy[i], health.OK, "upstream %d", i)
			}
		})
	}
}

func TestTellEndsWithItsContext(t *testing.T) {
	t.Parallel()
	pool := open(t, rpc.Options{}, chains.Upstream{URL: "http://127.0.0.1:1"})
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	err := pool.Tell(ctx, func(ctx context.Context, _ *rpc.Upstream) error {
		cancel(stopped)
		return context.Cause(ctx)
	})
	require.ErrorIs(t, err, stopped)
	require.ErrorIs(t, open(t, rpc.Options{}).Tell(t.Context(), nil), rpc.ErrUnavailable)
}
