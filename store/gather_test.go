package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Nobody is answered by a reading that began before they asked, and no more is read
// at once than may be.
func TestGather(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var running, read atomic.Int64
		g := &gather[int, time.Time]{readings: 2, most: 8}
		g.read = func(_ context.Context, keys []int) (map[int]time.Time, error) {
			defer running.Add(-1)
			require.LessOrEqual(t, running.Add(1), int64(2))
			require.LessOrEqual(t, len(keys), 8)
			read.Add(1)
			found := make(map[int]time.Time)
			for _, key := range keys {
				require.NotContains(t, found, key)
				found[key] = time.Now()
			}
			<-time.After(time.Duration(rand.IntN(5)) * time.Millisecond) //nolint:gosec // a test
			return found, nil
		}
		for range 500 {
			<-time.After(time.Duration(rand.IntN(200)) * time.Microsecond) //nolint:gosec // a test
			go func() {
				asked := time.Now()
				at, err := g.get(t.Context(), rand.IntN(20)) //nolint:gosec // a test
				assert.NoError(t, err)
				assert.False(t, at.Before(asked))
			}()
		}
		synctest.Wait()
		<-time.After(time.Second)
		synctest.Wait()
		require.Less(t, read.Load(), int64(250))
		require.Zero(t, g.running)
		require.Empty(t, g.waiting)
	})
}

// Who leaves takes nothing from those who stay, and what fails fails for one alone.
func TestGatherAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := errors.New("bad")
		g := &gather[int, int]{readings: 1, most: 8}
		g.read = func(ctx context.Context, keys []int) (map[int]int, error) {
			<-time.After(time.Second)
			found := make(map[int]int)
			for _, key := range keys {
				if key == 3 {
					return nil, bad
				}
				if key != 4 {
					found[key] = key * key
				}
			}
			return found, ctx.Err()
		}
		results := make([]int, 5)
		errs := make([]error, 5)
		ask := func(ctx context.Context, key int) {
			go func() { results[key], errs[key] = g.get(ctx, key) }()
			synctest.Wait()
		}
		ctx, cancel := context.WithCancel(t.Context())
		ask(ctx, 0)
		for key := 1; key < 5; key++ {
			ask(t.Context(), key)
		}
		cancel()
		synctest.Wait()
		require.ErrorIs(t, errs[0], context.Canceled, "whose reading is under way")
		<-time.After(5 * time.Second)
		synctest.Wait()
		require.Equal(t, []int{0, 1, 4, 0, 0}, results)
		require.ErrorIs(t, errs[3], bad)
		errs[0], errs[3] = nil, nil
		require.Equal(t, make([]error, 5), errs)
	})
}
