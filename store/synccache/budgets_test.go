package synccache_test

import (
	"context"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/store/embedded"
	"tallyd/store/synccache"
)

// pour takes from a budget by all in turn until each has to wait, and returns how
// much was taken.
func pour(t *testing.T, key string, b venue.Budget, all ...venue.Budgets) int {
	t.Helper()
	taken := 0
	for _, one := range all {
		for {
			wait, err := one.Take(t.Context(), key, b, 1)
			require.NoError(t, err)
			if wait > 0 {
				break
			}
			taken++
		}
	}
	return taken
}

// Daemons share a budget by the algorithm of venue.Local: half of it at once, the
// rest over the window.
func TestBudgetsAreShared(t *testing.T) {
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
			ctx, url := t.Context(), server.url(t)
			first, second := open(t, url, &ledger{}).Budgets(), open(t, url, &ledger{}).Budgets()
			minute := venue.Budget{Limit: 20, Window: time.Minute}
			require.Equal(t, 10, pour(t, "a", minute, first, second))
			require.Equal(t, 10, pour(t, "b{x}", minute, second), "keys share a budget")
			wait, err := second.Take(ctx, "a", minute, 1)
			require.NoError(t, err)
			_, each := minute.Burst()
			require.InDelta(t, each.Seconds(), wait.Seconds(), 1)
			wait, err = second.Take(ctx, "a", minute, 1000)
			require.NoError(t, err)
			require.Less(t, wait, 3*time.Minute, "what costs more than there ever is could never be asked")

			// Without a limit only a hold counts, and a shorter one changes nothing.
			none := venue.Budget{}
			require.NoError(t, first.Hold(ctx, "c", time.Now().Add(time.Hour)))
			require.NoError(t, first.Hold(ctx, "c", time.Now().Add(time.Minute)))
			wait, err = second.Take(ctx, "c", none, 1)
			require.NoError(t, err)
			require.InDelta(t, time.Hour.Seconds(), wait.Seconds(), 2)
			wait, err = second.Take(ctx, "d", none, 1_000_000)
			require.NoError(t, err)
			require.Zero(t, wait)

			// What the venue counted is believed where it is more, and gives nothing back.
			require.NoError(t, first.Used(ctx, "e", minute, 20))
			require.NoError(t, second.Used(ctx, "e", minute, 1))
			wait, err = second.Take(ctx, "e", minute, 1)
			require.NoError(t, err)
			require.InDelta(t, 10*each.Seconds()+each.Seconds(), wait.Seconds(), 1)
		})
	}
}

// A Redis that is emptied, or gone, gives no daemon anew what it has used.
func TestBudgetsOutliveRedis(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	budgets := open(t, "redis://"+server.Addr(), &ledger{}).Budgets()
	minute := venue.Budget{Limit: 20, Window: time.Minute}
	require.Equal(t, 10, pour(t, "a", minute, budgets))
	require.NoError(t, budgets.Hold(t.Context(), "h", time.Now().Add(time.Hour)))
	server.FlushAll()
	require.LessOrEqual(t, pour(t, "a", minute, budgets), 1)
	server.Close()
	require.LessOrEqual(t, pour(t, "a", minute, budgets), 1)
	wait, err := budgets.Take(t.Context(), "h", minute, 1)
	require.NoError(t, err)
	require.Greater(t, wait, 50*time.Minute)
	require.Equal(t, 10, pour(t, "fresh", minute, budgets), "without Redis a daemon counts alone")
}

// No window of the venue's sees more than its limit, however many daemons ask at
// once, and whoever waits as told gets what it waited for in the end.
func TestBudgetsKeepTheLimit(t *testing.T) {
	t.Parallel()
	url := embedded.TestRedis(t)
	b := venue.Budget{Limit: 40, Window: time.Second}
	ctx, cancel := context.WithTimeout(t.Context(), 4*time.Second)
	defer cancel()
	var mu sync.Mutex
	var taken []time.Time
	var all sync.WaitGroup
	for range 3 {
		budgets := open(t, url, &ledger{}).Budgets()
		for range 4 {
			all.Go(func() { ask(ctx, budgets, b, func() { mu.Lock(); taken = append(taken, time.Now()); mu.Unlock() }) })
		}
	}
	all.Wait()
	require.Greater(t, len(taken), 2*b.Limit/2, "the budget is hardly used")
	for i := range taken {
		within := 0
		for _, other := range taken {
			// A tenth of the window is what the answers of Redis may lie apart.
			if d := other.Sub(taken[i]); d >= 0 && d < b.Window-b.Window/10 {
				within++
			}
		}
		require.LessOrEqual(t, within, b.Limit, strconv.Itoa(i))
	}
}

// ask takes one after the other until ctx ends.
func ask(ctx context.Context, budgets *synccache.Budgets, b venue.Budget, took func()) {
	for ctx.Err() == nil {
		wait, err := budgets.Take(ctx, "k", b, 1)
		if err != nil {
			return
		}
		if wait == 0 {
			took()
			continue
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}
