package embedded

import (
	"context"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"
)

func TestRedisAnswers(t *testing.T) {
	t.Parallel()
	server, err := StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Stop)
	for name, url := range map[string]string{"InProcess": server.URL(), "ForTests": TestRedis(t)} {
		client := connectRedis(t, url)
		require.NoError(t, client.Set(t.Context(), "k", "v", 0).Err(), name)
		require.Equal(t, "v", client.Get(t.Context(), "k").Val(), name)
	}
}

func TestRedisExpires(t *testing.T) {
	t.Parallel()
	server, err := StartRedis()
	require.NoError(t, err)
	t.Cleanup(server.Stop)

	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()

	client := connectRedis(t, server.URL())
	require.NoError(t, client.Set(ctx, "k", "v", 300*time.Millisecond).Err())
	require.EqualValues(t, 1, client.Exists(ctx, "k").Val())
	require.Eventually(t, func() bool { return client.Exists(ctx, "k").Val() == 0 }, 5*time.Second, 20*time.Millisecond)
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
}

func connectRedis(t *testing.T, url string) *redis.Client {
	t.Helper()
	options, err := redis.ParseURL(url)
	require.NoError(t, err)
	client := redis.NewClient(options)
	t.Cleanup(func() { _ = client.Close() })
	return client
}
