package synccache_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"

	"tallyd/store/embedded"
)

// memory is a durable memory of signatures.
type memory struct {
	mu    sync.Mutex
	known map[string]bool
	asked atomic.Int32
	down  error
}

func (m *memory) Fresh(_ context.Context, signature []byte, _ time.Time) (bool, error) {
	m.asked.Add(1)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return false, m.down
	}
	fresh := !m.known[string(signature)]
	m.known[string(signature)] = true
	return fresh, nil
}

func TestReplays(t *testing.T) {
	t.Parallel()
	durable := &memory{known: map[string]bool{}}
	replays := open(t, embedded.TestRedis(t), &ledger{}).Replays(durable)
	until := time.Now().Add(time.Minute)
	fresh := func(signature string) bool {
		t.Helper()
		fresh, err := replays.Fresh(t.Context(), []byte(signature), until)
		require.NoError(t, err)
		return fresh
	}
	require.True(t, fresh("a"))
	require.False(t, fresh("a"))
	require.EqualValues(t, 1, durable.asked.Load(), "Redis knew")
	durable.known["b"] = true
	require.False(t, fresh("b"), "another daemon without Redis took it")

	durable.down = errors.New("away")
	_, err := replays.Fresh(t.Context(), []byte("c"), until)
	require.ErrorIs(t, err, durable.down)
	durable.down = nil
	require.True(t, fresh("c"), "it was not carried out, so it may come again")
	require.False(t, fresh("c"))

	past, err := replays.Fresh(t.Context(), []byte("d"), time.Now().Add(-time.Second))
	require.NoError(t, err)
	require.True(t, past, "what needs no remembering is left to the durable memory")
}

func TestReplaysWithoutRedis(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	durable := &memory{known: map[string]bool{}}
	replays := open(t, "redis://"+server.Addr(), &ledger{}).Replays(durable)
	until := time.Now().Add(time.Minute)
	fresh := func(signature string) bool {
		t.Helper()
		fresh, err := replays.Fresh(t.Context(), []byte(signature), until)
		require.NoError(t, err)
		return fresh
	}
	require.True(t, fresh("a"))
	server.FlushAll()
	require.False(t, fresh("a"), "emptied")
	server.Close()
	require.False(t, fresh("a"), "gone")
	require.True(t, fresh("b"))
	require.False(t, fresh("b"))
}

// Of many that come at once with one signature, one is fresh.
func TestReplaysAtOnce(t *testing.T) {
	t.Parallel()
	durable := &memory{known: map[string]bool{}}
	url := embedded.TestRedis(t)
	first, second := open(t, url, &ledger{}).Replays(durable), open(t, url, &ledger{}).Replays(durable)
	var passed atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		for _, replays := range []interface {
			Fresh(ctx context.Context, signature []byte, until time.Time) (bool, error)
		}{first, second} {
			wait.Go(func() {
				if fresh, err := replays.Fresh(t.Context(), []byte("a"), time.Now().Add(time.Minute)); err == nil && fresh {
					passed.Add(1)
				}
			})
		}
	}
	wait.Wait()
	require.EqualValues(t, 1, passed.Load())
}
