package synccache_test

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/embedded"
	"tallyd/store/synccache"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// ledger is a truth that counts how often it is asked.
type ledger struct {
	height atomic.Uint64
	asked  atomic.Int32
}

var began = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

func (l *ledger) ChainStatuses(context.Context) ([]indexer.ChainStatus, error) {
	l.asked.Add(1)
	return []indexer.ChainStatus{{Chain: "btc", Scripts: 7, Tip: chains.BlockRef{Height: l.height.Load(), Hash: chains.Hash{1}}, UpdatedAt: began}}, nil
}

func (l *ledger) AccountState(_ context.Context, realm indexer.Realm, _ uuid.UUID) (indexer.AccountState, error) {
	l.asked.Add(1)
	if realm.Tenant != "mine" {
		return indexer.AccountState{}, indexer.ErrNotFound
	}
	return indexer.AccountState{LastSync: &began, Height: l.height.Load(), Status: indexer.StateLevel}, nil
}

func open(t *testing.T, url string, l *ledger) *synccache.Cache {
	t.Helper()
	cache, err := synccache.New(url, l, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	return cache
}

func height(t *testing.T, cache *synccache.Cache) uint64 {
	t.Helper()
	all, err := cache.ChainStatuses(t.Context())
	require.NoError(t, err)
	require.Len(t, all, 1)
	require.EqualValues(t, 7, all[0].Scripts)
	require.Equal(t, chains.Hash{1}, all[0].Tip.Hash)
	return all[0].Tip.Height
}

func put(t *testing.T, cache *synccache.Cache, height uint64) {
	t.Helper()
	cache.PutChain(t.Context(), indexer.ChainStatus{
		Chain: "btc", Tip: chains.BlockRef{Height: height, Hash: chains.Hash{1}}, UpdatedAt: began.Add(time.Duration(height) * time.Second),
	})
}

func TestAnswersFromRedis(t *testing.T) {
	t.Parallel()
	var l ledger
	cache := open(t, embedded.TestRedis(t), &l)
	require.Zero(t, height(t, cache))
	put(t, cache, 5)
	require.EqualValues(t, 5, height(t, cache))
	require.EqualValues(t, 1, l.asked.Load(), "the second answer came from Redis")

	mine, account := indexer.Realm{Tenant: "mine", Environment: chains.Live}, uuid.New()
	for range 3 {
		state, err := cache.AccountState(t.Context(), mine, account)
		require.NoError(t, err)
		require.Equal(t, began, *state.LastSync)
	}
	require.EqualValues(t, 2, l.asked.Load())
	_, err := cache.AccountState(t.Context(), indexer.Realm{Tenant: "other", Environment: chains.Live}, account)
	require.ErrorIs(t, err, indexer.ErrNotFound)
}

// TestRedisGone takes Redis away, empties it and brings it back: the answers are
// right all the time.
func TestRedisGone(t *testing.T) {
	t.Parallel()
	server := miniredis.RunT(t)
	var l ledger
	cache := open(t, "redis://"+server.Addr(), &l)
	put(t, cache, 5)
	require.EqualValues(t, 5, height(t, cache))

	server.FlushAll()
	l.height.Store(6)
	require.EqualValues(t, 6, height(t, cache), "emptied")

	server.Close()
	l.height.Store(7)
	require.EqualValues(t, 7, height(t, cache), "gone")
	put(t, cache, 8)
	before := time.Now()
	require.EqualValues(t, 7, height(t, cache))
	require.Less(t, time.Since(before), 500*time.Millisecond)

	require.NoError(t, server.Restart())
	server.FlushAll()
	require.Eventually(t, func() bool {
		put(t, cache, 9)
		return height(t, cache) == 9
	}, 10*time.Second, 20*time.Millisecond, "back")

	require.NoError(t, server.Set("tallyd:sync:{chain:btc}", "no JSON"))
	require.EqualValues(t, 7, height(t, cache), "what cannot be read is a miss")
}

// TestRedisHangs talks to a server that accepts and never answers.
func TestRedisHangs(t *testing.T) {
	t.Parallel()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var l ledger
	l.height.Store(3)
	cache := open(t, "redis://"+listener.Addr().String(), &l)
	before := time.Now()
	require.EqualValues(t, 3, height(t, cache))
	require.Less(t, time.Since(before), 2*time.Second)
	before = time.Now()
	require.EqualValues(t, 3, height(t, cache))
	require.Less(t, time.Since(before), 100*time.Millisecond, "it is left alone for a while")
}

func TestMalformed(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"http://:secret@host", "redis://:secret@host:x?addr=a"} {
		_, err := synccache.New(url, &ledger{}, zerolog.Nop())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}
