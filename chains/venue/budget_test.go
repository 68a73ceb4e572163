package venue_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
)

// No window sees more than the limit, wherever it begins, and that of a counter
// that falls all the time never stands above it; and whoever waits as told gets
// what it waited for.
func TestLocalKeepsBudgets(t *testing.T) {
	t.Parallel()
	type take struct {
		Pause time.Duration
		Cost  int
		at    time.Time
	}
	rapid.Check(t, func(r *rapid.T) {
		b := venue.Budget{Limit: rapid.IntRange(1, 50).Draw(r, "limit"), Window: time.Duration(rapid.IntRange(1, 60).Draw(r, "window")) * time.Second, Leaks: rapid.Bool().Draw(r, "leaks")}
		takes := rapid.SliceOfN(rapid.Custom(func(r *rapid.T) take {
			return take{Pause: time.Duration(rapid.IntRange(0, 2000).Draw(r, "pause")) * time.Millisecond, Cost: rapid.IntRange(1, b.Limit).Draw(r, "cost")}
		}), 1, 60).Draw(r, "takes")
		broken := ""
		synctest.Test(t, func(t *testing.T) {
			var local venue.Local
			for i := range takes {
				<-time.After(takes[i].Pause)
				wait, _ := local.Take(t.Context(), "k", b, takes[i].Cost)
				if wait > 3*b.Window {
					broken = "it was told to wait longer than three windows"
				}
				if wait > 0 {
					<-time.After(wait)
					if wait, _ = local.Take(t.Context(), "k", b, takes[i].Cost); wait > 0 {
						broken = "it was not there when it was promised"
					}
				}
				takes[i].at = time.Now()
			}
		})
		require.Empty(r, broken)
		for i := range takes {
			sum := 0
			for _, later := range takes[i:] {
				within := later.at.Sub(takes[i].at)
				if !b.Leaks && within < b.Window {
					sum += later.Cost
					require.LessOrEqual(r, sum, b.Limit)
				}
				if b.Leaks {
					sum += later.Cost
					fallen := int(within * time.Duration(b.Limit) / b.Window)
					require.LessOrEqual(r, sum, b.Limit+fallen+1)
				}
			}
		}
	})
}

func TestLocal(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var local venue.Local
		b := venue.Budget{Limit: 10, Window: 10 * time.Second}
		take := func(key string, cost int) time.Duration {
			wait, err := local.Take(t.Context(), key, b, cost)
			require.NoError(t, err)
			return wait
		}
		for range 5 {
			require.Zero(t, take("a", 1))
		}
		require.InDelta(t, 10.0/6, take("a", 1).Seconds(), 0.001, "half of it comes at once, the rest over the window")
		require.Zero(t, take("b", 1), "keys share a budget")
		require.Zero(t, take("c", 100), "what costs more than there ever is could never be asked")
		require.Equal(t, 10*time.Second, take("c", 1).Round(time.Millisecond))

		// What the venue counted is believed where it is more, and gives nothing back.
		require.NoError(t, local.Used(t.Context(), "b", b, 10))
		require.Equal(t, 10*time.Second, take("b", 1).Round(time.Millisecond))
		require.NoError(t, local.Used(t.Context(), "b", b, 1))
		require.Equal(t, 10*time.Second, take("b", 1).Round(time.Millisecond))

		require.NoError(t, local.Hold(t.Context(), "d", time.Now().Add(time.Minute)))
		require.NoError(t, local.Hold(t.Context(), "d", time.Now().Add(time.Second)))
		require.Equal(t, time.Minute, take("d", 1), "an earlier end took the place of a later one")
		wait, err := local.Take(t.Context(), "d", venue.Budget{}, 0)
		require.NoError(t, err)
		require.Equal(t, time.Minute, wait, "a hold counts without a limit too")
		<-time.After(time.Minute)
		require.Zero(t, take("d", 1))
		wait, err = local.Take(t.Context(), "e", venue.Budget{}, 1_000_000)
		require.NoError(t, err)
		require.Zero(t, wait, "without a limit there is nothing to wait for")
	})
}

// Numbers rise, and reach the venue in their order, whoever asks.
func TestLocalNonces(t *testing.T) {
	t.Parallel()
	var nonces venue.LocalNonces
	var mu sync.Mutex
	sent := map[string][]uint64{}
	var all sync.WaitGroup
	for i := range 40 {
		key := []string{"a", "b"}[i%2]
		all.Go(func() {
			err := nonces.Next(t.Context(), key, uint64(1000+i%3), func(nonce uint64) error {
				mu.Lock()
				defer mu.Unlock()
				sent[key] = append(sent[key], nonce)
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for key, numbers := range sent {
		require.Len(t, numbers, 20)
		for i, n := range numbers {
			require.GreaterOrEqual(t, n, uint64(1000))
			require.True(t, i == 0 || numbers[i-1] < n, "%s: %v", key, numbers)
		}
	}
}

// The lock of a key is held until the request has come back; other keys go on.
func TestLocalNoncesHoldTheKey(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var nonces venue.LocalNonces
		answer := make(chan struct{})
		var first, second uint64
		failed := errors.New("refused")
		var all sync.WaitGroup
		all.Go(func() {
			err := nonces.Next(t.Context(), "a", 5, func(n uint64) error { first = n; <-answer; return failed })
			if !errors.Is(err, failed) {
				t.Error("what send returned was lost")
			}
		})
		synctest.Wait()
		all.Go(func() {
			if err := nonces.Next(t.Context(), "a", 1, func(n uint64) error { second = n; return nil }); err != nil {
				t.Error(err)
			}
		})
		synctest.Wait()
		require.Equal(t, uint64(5), first)
		require.Zero(t, second, "a request overtook another of its key")
		require.NoError(t, nonces.Next(t.Context(), "b", 1, func(uint64) error { return nil }))

		over := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(over)
		require.ErrorIs(t, nonces.Next(ctx, "a", 1, func(uint64) error { t.Error("sent"); return nil }), over)
		close(answer)
		all.Wait()
		require.Equal(t, uint64(6), second)
	})
}
