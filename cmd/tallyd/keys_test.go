package main

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeysCreate(t *testing.T) {
	t.Parallel()
	s := newStack(t, nil)
	s.start()
	api := fmt.Sprintf("api: {key_pepper: %q}", testPepper)
	path := settingsFile(t, api, databasePart(s.cfg.Database.URL.Reveal()))
	create := func(args ...string) string {
		out, err := tallyd(t, append([]string{"keys", "create", "app", "-c", path}, args...)...)
		require.NoError(t, err)
		key, found := strings.CutSuffix(out, "\n")
		require.True(t, found)
		require.NotContains(t, key, "\n", "the key and nothing else is printed")
		return key
	}
	status := func(method, path, key string) int {
		var body any
		if method == http.MethodPost {
			body = map[string]string{"name": "somebody"}
		}
		status, _ := s.call(method, path, "X-API-Key", key, body)
		return status
	}

	all := create("--environment", "test")
	require.True(t, strings.HasPrefix(all, "tly_test_"), all)
	require.Equal(t, http.StatusCreated, status("POST", "/v1/users", all), "a running daemon takes it at once")
	require.Equal(t, http.StatusOK, status("GET", "/v1/events", all))

	reader := create("--scope", "users:read", "--scope", "chains:read", "--expires", "1h")
	require.True(t, strings.HasPrefix(reader, "tly_live_"), reader)
	require.Equal(t, http.StatusOK, status("GET", "/v1/users", reader))
	require.Equal(t, http.StatusForbidden, status("POST", "/v1/users", reader))
	require.Equal(t, http.StatusForbidden, status("GET", "/v1/events", reader))
	_, users := s.call("GET", "/v1/users", "X-API-Key", reader, nil)
	require.NotContains(t, fmt.Sprint(users), "somebody", "live sees nothing of test")

	_, err := tallyd(t, "keys", "create", "app", "-c", path, "--tenant", "nobody")
	require.ErrorContains(t, err, "no tenant \"nobody\"")

	brief := create("--expires", "1ms")
	s.eventually("the key expires", func() bool { return status("GET", "/v1/users", brief) == http.StatusUnauthorized })
}
