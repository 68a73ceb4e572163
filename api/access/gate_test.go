package access_test

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/api/access"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Uses that could not be written are kept, also those that come while it fails.
func TestUseWhileTheStoreIsDown(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, text := h.issue()
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	h.mu.Lock()
	h.down = errors.New("unplugged")
	h.mu.Unlock()
	var wait sync.WaitGroup
	wait.Go(func() {
		for range 100 {
			h.call("GET", "/users", "", "X-API-Key", text)
		}
	})
	for range 100 {
		_ = h.gate.Flush(t.Context()) // fails where there is something to write
	}
	wait.Wait()
	h.mu.Lock()
	h.down = nil
	clear(h.used)
	h.mu.Unlock()
	require.NoError(t, h.gate.Flush(t.Context()))
	require.Contains(t, h.used, key.ID)
}

// The first use of a key is there when it is answered; later ones follow.
func TestFirstUseIsWrittenAtOnce(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, text := h.issue()
	for range 2 {
		require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
		require.Equal(t, map[string]time.Time{key.ID: start}, h.used)
		h.pass(time.Second)
	}
	require.NoError(t, h.gate.Flush(t.Context()))
	require.Equal(t, map[string]time.Time{key.ID: start.Add(time.Second)}, h.used)
}

// The newest use of a key is written once, and a store that is away loses none.
func TestLastUseSurvivesAStoreThatIsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	a, textA := h.issue()
	b, textB := h.issue()
	use := func(text string) {
		require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	}
	use(textA)
	away := errors.New("away")
	h.set(func(m *memory) { m.down = away })
	require.ErrorIs(t, h.gate.Flush(t.Context()), away)
	h.set(func(m *memory) { m.down = nil })
	h.pass(time.Second)
	use(textA)
	use(textB)
	h.pass(-time.Second) // a clock may be set back
	use(textA)
	require.NoError(t, h.gate.Flush(t.Context()))
	last := start.Add(time.Second)
	require.Equal(t, map[string]time.Time{a.ID: last, b.ID: last}, h.used)

	clear(h.used)
	require.NoError(t, h.gate.Flush(t.Context()))
	require.Empty(t, h.used, "nothing was used since")
}

// Run writes what is left when it ends.
func TestRunFlushesAtTheEnd(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, text := h.issue()
	ctx, cancel := context.WithCancelCause(t.Context())
	ended := make(chan error)
	go func() { ended <- h.gate.Run(ctx, zerolog.Nop()) }()
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	stop := errors.New("stop")
	cancel(stop)
	require.ErrorIs(t, <-ended, stop)
	require.Contains(t, h.used, key.ID)
}

func TestNewGateNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	m := newMemory()
	tokens, err := access.NewTokens(make([]byte, 32), nil)
	require.NoError(t, err)
	_, err = access.NewGate(access.Config{Pepper: access.Pepper("short")})
	require.ErrorContains(t, err, "pepper")
	_, err = access.NewGate(access.Config{Pepper: pepper, Accepted: []access.Pepper{access.Pepper("short")}})
	require.ErrorContains(t, err, "pepper")
	_, err = access.NewGate(access.Config{Pepper: pepper})
	require.ErrorContains(t, err, "keys")
	_, err = access.NewGate(access.Config{Pepper: pepper, Keys: m, Tokens: tokens})
	require.ErrorContains(t, err, "replays")
	_, err = access.NewTokens(make([]byte, 31), nil)
	require.ErrorContains(t, err, "31")
}

// Without a master key the empty key is nobody's.
func TestNoMasterKey(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) { c.Master = "" })
	for _, text := range []string{"", " ", master} {
		require.NotEqual(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	}
}
