package access

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// A whole budget at once, then one request in each share of the minute.
func TestLocalBudget(t *testing.T) {
	t.Parallel()
	at := now
	l := NewLocal(func() time.Time { return at })
	take := func() Budget { return l.Take(t.Context(), "k", 4) }

	require.Equal(t, Budget{Allowed: true, Limit: 4, Remaining: 3, Reset: 15 * time.Second}, take())
	for range 2 {
		require.True(t, take().Allowed)
	}
	require.Equal(t, Budget{Allowed: true, Limit: 4, Remaining: 0, Reset: time.Minute}, take())
	for range 3 {
		require.Equal(t, Budget{Limit: 4, Reset: time.Minute, Retry: 15 * time.Second}, take(), "a refusal costs nothing")
	}
	at = at.Add(15*time.Second - time.Nanosecond)
	require.Equal(t, Budget{Limit: 4, Reset: 45*time.Second + 1, Retry: 1}, take())
	at = at.Add(time.Nanosecond)
	require.True(t, take().Allowed)
	require.False(t, take().Allowed)
	require.True(t, l.Take(t.Context(), "other", 4).Allowed)

	l.GiveBack("k", 4)
	require.True(t, take().Allowed)
	require.False(t, take().Allowed)
	l.GiveBack("nobody", 4)

	at = at.Add(time.Hour)
	require.Equal(t, 3, take().Remaining)
	require.Equal(t, Budget{Retry: time.Minute, Reset: time.Minute}, l.Take(t.Context(), "k", 0))
}

// Whatever comes when: in no window does a name get more than its budget and the
// share of the window, and a name that asks no more than its share is never refused.
func TestLocalModel(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		perMinute := rapid.IntRange(1, 10_000).Draw(t, "perMinute")
		each := time.Minute / time.Duration(perMinute)
		at := now
		l := NewLocal(func() time.Time { return at })
		var allowed []time.Time
		for range rapid.IntRange(1, 300).Draw(t, "requests") {
			at = at.Add(time.Duration(rapid.Int64Range(0, int64(2*each)).Draw(t, "pause")))
			got := l.Take(t.Context(), "k", perMinute)
			if got.Allowed {
				allowed = append(allowed, at)
				for i, first := range allowed {
					most := perMinute + int(at.Sub(first)/each)
					require.LessOrEqual(t, len(allowed)-i, most)
				}
				require.Zero(t, got.Retry)
				continue
			}
			require.Positive(t, got.Retry)
			require.LessOrEqual(t, got.Retry, each)
			at = at.Add(got.Retry)
			require.True(t, l.Take(t.Context(), "k", perMinute).Allowed, "after Retry it goes on")
			allowed = append(allowed, at)
		}
	})
}

// A flood of names neither grows the table nor opens the budget of a busy one,
// and a quiet table shrinks again.
func TestLocalIsBounded(t *testing.T) {
	t.Parallel()
	at := now
	l := NewLocal(func() time.Time { return at })
	for range 100 {
		l.Take(t.Context(), "busy", 100)
	}
	for i := range maxCounted + 20_000 {
		require.True(t, l.Take(t.Context(), strconv.Itoa(i), 100).Allowed, "nobody is shut out")
	}
	require.Len(t, l.full, maxCounted)
	require.False(t, l.Take(t.Context(), "busy", 100).Allowed, "it is remembered")

	at = at.Add(time.Minute)
	for i := range maxCounted / (examined - 2) {
		l.Take(t.Context(), fmt.Sprint("new ", i), 100)
	}
	require.Less(t, len(l.full), maxCounted/2)
}

func TestLocalConcurrent(t *testing.T) {
	t.Parallel()
	at := now
	l := NewLocal(func() time.Time { return at })
	var wait sync.WaitGroup
	counts := make([]int, 8)
	for i := range counts {
		wait.Go(func() {
			for range 200 {
				if l.Take(t.Context(), "k", 1000).Allowed {
					counts[i]++
				}
			}
		})
	}
	wait.Wait()
	sum := 0
	for _, n := range counts {
		sum += n
	}
	require.Equal(t, 1000, sum)
}

func BenchmarkLocal(b *testing.B) {
	l := NewLocal(nil)
	for b.Loop() {
		l.Take(b.Context(), "k", 1_000_000)
	}
}
