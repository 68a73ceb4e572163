package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/store"
)

// Numbers of a key rise and reach the venue one at a time, whichever of two daemons
// asks, and those of other keys do not wait.
func TestNonces(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{store.PoolerSession, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			t.Parallel()
			url := newDatabase(t)
			first, second := openStore(t, store.Options{URL: url, Pooler: pooler, MaxConns: 2}).Nonces(), openStore(t, store.Options{URL: url, Pooler: pooler, MaxConns: 2}).Nonces()
			var mu sync.Mutex
			sent, busy := map[string][]uint64{}, map[string]int{}
			var all sync.WaitGroup
			for i := range 40 {
				key, nonces := []string{"a", "b"}[i%2], first
				if i%4 < 2 {
					nonces = second
				}
				all.Go(func() {
					err := nonces.Next(t.Context(), key, uint64(1000+i%3), func(nonce uint64) error {
						mu.Lock()
						defer mu.Unlock()
						busy[key]++
						sent[key] = append(sent[key], nonce)
						if busy[key] > 1 {
							t.Error("two requests of a key are under way")
						}
						busy[key]--
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
		})
	}
}

// A number is durable before it is sent, the turn is held until the answer is there,
// and no connection is, whatever the venue does.
func TestNonceIsDurableBeforeItIsSent(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	mine, other := openStore(t, store.Options{URL: url, MaxConns: 1}), openStore(t, store.Options{URL: url, MaxConns: 1})
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	nonces, refused := mine.Nonces(), errors.New("refused")
	err = nonces.Next(t.Context(), "k", 7, func(nonce uint64) error {
		require.Equal(t, uint64(7), nonce)
		var last int64
		require.NoError(t, conn.QueryRow(t.Context(), `SELECT last FROM nonces WHERE name = 'k'`).Scan(&last))
		require.Equal(t, int64(7), last)
		require.NoError(t, mine.Ping(t.Context()), "the only connection is free")
		waiting, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		require.Error(t, other.Nonces().Next(waiting, "k", 1, func(uint64) error { t.Error("sent"); return nil }))
		require.NoError(t, other.Nonces().Next(t.Context(), "another", 1, func(uint64) error { return nil }))
		return refused
	})
	require.ErrorIs(t, err, refused)

	// A process that dies in between uses the number up: none is sent twice.
	require.Panics(t, func() { _ = nonces.Next(t.Context(), "k", 1, func(uint64) error { panic("killed") }) })
	require.NoError(t, other.Nonces().Next(t.Context(), "k", 1, func(nonce uint64) error {
		require.Equal(t, uint64(9), nonce)
		return nil
	}))
	require.Error(t, nonces.Next(t.Context(), "k", 1<<63, func(uint64) error { t.Error("sent"); return nil }))
}
