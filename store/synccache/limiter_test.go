package synccache_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"tallyd/store/embedded"
	"tallyd/store/synccache"
)

// take asks limiters in turn until each has refused once, and returns how many
// requests passed.
func take(t *testing.T, name string, perMinute int, limiters ...*synccache.Limiter) int {
	t.Helper()
	passed := 0
	for _, l := range limiters {
		for l.Take(t.Context(), name, perMinute).Allowed {
			passed++
		}
	}
	return passed
}

// Two daemons share a budget, small ones exactly.
func TestLimitersShareABudget(t *testing.T) {
	t.Parallel()
	for _, server := range []struct {
		name string
		url  func(t *testing.T) string
	}{
		{name: "Redis", url: func(t *testing.T) string { t.Helper(); return embedded.TestRedis(t) }},
		{name: "Embedded", url: func(t *testing.T) string { t.Helper(); return "redis://" + miniredis.RunT(t).Addr() }},
	} {
		t.Run(server.name, func(t *testing.T) {
			t.Parallel()
			url := server.url(t)
			first, second := open(t, url, &ledger{}).Limiter(), open(t, url, &ledger{}).Limiter()

			require.True(t, first.Take(t.Context(), "key:a", 6).Allowed)
			require.True(t, second.Take(t.Context(), "key:a", 6).Allowed)
			got := first.Take(t.Context(), "key:a", 6)
			require.True(t, got.Allowed)
			require.Equal(t, 6, got.Limit)
			require.Equal(t, 3, got.Remaining, "as both have used it")
			require.InDelta(t, (30 * time.Second).Seconds(), got.Reset.Seconds(), 2)
			require.Zero(t, got.Retry)
			require.Equal(t, 3, take(t, "key:a", 6, second, first))
			refused := first.Take(t.Context(), "key:a", 6)
			require.False(t, refused.Allowed)
			require.Zero(t, refused.Remaining)
			require.InDelta(t, 10, refused.Retry.Seconds(), 3)
			require.InDelta(t, 60, refused.Reset.Seconds(), 3)
			require.True(t, first.Take(t.Context(), "key:b", 6).Allowed, "another name")

			began := time.Now()
			large := take(t, "key:c", 6000, first, second)
			refill := int(time.Since(began)/(10*time.Millisecond)) + 1
			require.GreaterOrEqual(t, large, 6000)
			require.LessOrEqual(t, large, 6000+refill+2*10)
		})
	}
}

// A hot name does not ask Redis for every request, and refusals that this process
// can count never reach it.
func TestChunks(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	l := open(t, "redis://"+server.Addr(), &ledger{}).Limiter()
	l.Take(t.Context(), "warm", 6000)
	before := server.CommandCount()
	for range 1000 {
		require.True(t, l.Take(t.Context(), "hot", 6000).Allowed)
	}
	require.LessOrEqual(t, server.CommandCount()-before, 800, "7 commands in a script, one script for 10 requests")

	for range 10 {
		l.Take(t.Context(), "small", 10)
	}
	before = server.CommandCount()
	for range 1000 {
		require.False(t, l.Take(t.Context(), "small", 10).Allowed)
	}
	require.Equal(t, before, server.CommandCount())
}

// Redis dies, comes back empty, and dies again, while eight callers ask as fast as
// they can: together they get no more than the budget and what time adds to it,
// and they are never shut out.
func TestLimitHoldsWithoutRedis(t *testing.T) {
	t.Parallel()
	for _, perMinute := range []int{120, 6000} {
		server := miniredis.RunT(t)
		l := open(t, "redis://"+server.Addr(), &ledger{}).Limiter()
		var passed atomic.Int64
		stop, ended := context.WithCancel(t.Context())
		began := time.Now()
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				for stop.Err() == nil {
					if l.Take(t.Context(), "k", perMinute).Allowed { //nolint:contextcheck // stop ends the callers, not their requests
						passed.Add(1)
					}
				}
			})
		}
		count := func(n int64) {
			t.Helper()
			require.Eventually(t, func() bool { return passed.Load() >= n }, 20*time.Second, time.Millisecond)
		}
		count(int64(perMinute) / 4)
		server.Close()
		count(int64(perMinute))
		count(passed.Load() + 1) // never shut
		require.NoError(t, server.Restart())
		server.FlushAll()
		count(passed.Load() + 1)
		server.Close()
		count(passed.Load() + 1)
		ended()
		wait.Wait()
		share := time.Minute / time.Duration(perMinute)
		require.LessOrEqual(t, passed.Load(), int64(perMinute)+int64(time.Since(began)/share)+1)
	}
}

// A daemon that was told by Redis that others used the budget keeps none of it
// against the caller.
func TestRefusedElsewhereCostsNothingHere(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	url := "redis://" + server.Addr()
	first, second := open(t, url, &ledger{}).Limiter(), open(t, url, &ledger{}).Limiter()
	require.Equal(t, 5, take(t, "k", 5, first))
	for range 100 {
		require.False(t, second.Take(t.Context(), "k", 5).Allowed)
	}
	server.Close()
	require.Equal(t, 5, take(t, "k", 5, second), "its own count alone")
}
