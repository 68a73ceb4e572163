package main

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer/custody"
)

// TestRedisKilled kills Redis by SIGKILL while deposits come and webhooks are sent:
// deposits are credited, callers are served, and every event arrives once.
func TestRedisKilled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	came := map[string]int{} // by id of the event
	receiver := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var message struct{ ID string }
		body, err := io.ReadAll(r.Body)
		if err == nil && json.Unmarshal(body, &message) == nil {
			mu.Lock()
			defer mu.Unlock()
			came[message.ID]++
		}
	}))
	t.Cleanup(receiver.Close)
	b := newBitcoinMatrix(t, func(cfg *config.Config) { cfg.Webhooks = loopback() })
	earlier, err := b.ledger().EventsAfter(t.Context(), b.realm(), 0, 10_000)
	require.NoError(t, err)
	status, made := b.stack.call("POST", "/v1/webhooks/endpoints", "X-API-Key", testMaster, map[string]any{"url": receiver.URL})
	require.Equal(t, http.StatusCreated, status, made)

	before, after := b.wallet(), b.wallet()
	b.mine(b.pay(localnode.Payment{}, b.to(before, 10_000)))
	b.only(before, custody.Confirming)
	killRedis(t, b.stack.cfg.Redis.URL.Reveal())
	b.mine(b.pay(localnode.Payment{}, b.to(after, 20_000)))
	b.empty(every)
	b.only(before, custody.Credited)
	b.only(after, custody.Credited)
	b.check()
	status, chains := b.stack.call("GET", "/v1/chains", "X-API-Key", testMaster, nil)
	require.Equal(t, http.StatusOK, status, chains)

	events, err := b.ledger().EventsAfter(t.Context(), b.realm(), 0, 10_000)
	require.NoError(t, err)
	events = events[len(earlier):]
	require.Greater(t, len(events), 8)
	until(t, "every event arrives", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(came) == len(events)
	})
	mu.Lock()
	defer mu.Unlock()
	for _, e := range events {
		require.Equal(t, 1, came[e.ID.String()], e.Type)
	}
}

// killRedis kills a Redis that is another process, and waits until it is gone.
func killRedis(t *testing.T, url string) {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(options)
	defer client.Close()
	info, err := client.Info(t.Context(), "server").Result()
	require.NoError(t, err)
	_, rest, found := strings.Cut(info, "process_id:")
	require.True(t, found, info)
	pid, err := strconv.Atoi(strings.Fields(rest)[0])
	require.NoError(t, err)
	require.NotEqual(t, os.Getpid(), pid)
	require.NoError(t, syscall.Kill(pid, syscall.SIGKILL))
	until(t, "Redis is gone", func() bool { return client.Ping(t.Context()).Err() != nil })
}
