package access_test

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// runs runs the gate of a house until the test ends, within a bubble, and returns
// what it logs.
func (h *house) runs(t *testing.T) *bytes.Buffer {
	t.Helper()
	log := &bytes.Buffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.gate.Run(ctx, zerolog.New(log))
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	synctest.Wait()
	return log
}

// pass lets time pass in a bubble.
func pass(d time.Duration) { <-time.After(d) }

// asked returns how often the store was asked for a key since the last time.
func (h *house) asked() (reads int) {
	h.set(func(m *memory) { reads, m.reads = m.reads, 0 })
	return reads
}

// A warm key costs no trip to the store, and what is revoked opens nothing a second
// later.
func TestRevocationIsHeardOf(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		key, text := h.issue()
		get := func() int { return h.call("GET", "/events", "", "X-API-Key", text).Code }
		h.runs(t)
		for range 100 {
			require.Equal(t, http.StatusOK, get())
		}
		require.Equal(t, 1, h.asked())
		pass(10 * time.Minute)
		require.Equal(t, http.StatusOK, get())
		require.Zero(t, h.asked(), "it is warm as long as it is not changed")

		key.RevokedAt = &start
		h.put(key)
		pass(time.Second)
		require.Equal(t, http.StatusUnauthorized, get())
		require.Equal(t, 1, h.asked())
		require.Equal(t, http.StatusUnauthorized, get())
		require.Zero(t, h.asked(), "a revoked key is remembered as such")

		key.RevokedAt = nil
		h.put(key)
		pass(time.Second)
		require.Equal(t, http.StatusOK, get())
	})
}

// An instance that does not hear of changes asks for every request: a revoked key is
// out a second after the last word, and a good one is let in.
func TestDeafInstanceAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		key, text := h.issue()
		_, other := h.issue()
		get := func(text string) int { return h.call("GET", "/events", "", "X-API-Key", text).Code }
		log := h.runs(t)
		require.Equal(t, http.StatusOK, get(text))
		require.Equal(t, http.StatusOK, get(other))
		h.set(func(m *memory) { m.deaf = errors.New("password=hunter2 away") })
		key.RevokedAt = &start
		h.put(key)
		pass(time.Second)
		h.asked()
		require.Equal(t, http.StatusUnauthorized, get(text))
		for range 3 {
			require.Equal(t, http.StatusOK, get(other))
		}
		require.Equal(t, 4, h.asked())
		require.Contains(t, log.String(), "keys are read for every request")
		once := log.Len()
		pass(10 * time.Second)
		require.Equal(t, once, log.Len(), "it is said once")

		// With the store away too nobody knows, and nobody says otherwise.
		h.set(func(m *memory) { m.down = errors.New("away") })
		require.Equal(t, http.StatusServiceUnavailable, get(other))
		h.set(func(m *memory) { m.down, m.deaf = nil, nil })
		pass(time.Second)
		require.Equal(t, http.StatusOK, get(other))
		h.asked()
		require.Equal(t, http.StatusOK, get(other))
		require.Zero(t, h.asked())
		require.Contains(t, log.String(), "keys are remembered again")
	})
}

// Who has heard nothing for long has missed changes that nobody tells any more.
func TestLongSilenceForgetsAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		key, text := h.issue()
		h.runs(t)
		require.Equal(t, http.StatusOK, h.call("GET", "/events", "", "X-API-Key", text).Code)
		h.set(func(m *memory) { m.deaf = errors.New("away") })
		key.RevokedAt = &start
		h.put(key)
		pass(2 * time.Minute)
		h.set(func(m *memory) {
			clear(m.changed) // of more than a minute ago the database tells nothing
			m.deaf = nil
		})
		pass(time.Second)
		require.Equal(t, http.StatusUnauthorized, h.call("GET", "/events", "", "X-API-Key", text).Code)
	})
}

// slow is a store whose answer about keys comes late: in between the key changes.
type slow struct {
	*memory
	between func()
}

func (s *slow) KeyByID(ctx context.Context, id string) (access.Key, error) {
	key, err := s.memory.KeyByID(ctx, id)
	if s.between != nil {
		s.between()
	}
	return key, err
}

// A key that is revoked while it is read is not remembered as good, though the word
// of its change came before it.
func TestKeyThatChangesWhileItIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := &slow{}
		h := newHouse(t, func(c *access.Config) {
			s.memory, _ = c.Keys.(*memory)
			c.Keys = s
		})
		key, text := h.issue()
		h.runs(t)
		s.between = func() {
			s.between = nil
			key.RevokedAt = &start
			h.put(key)
			pass(time.Second) // the change is heard of meanwhile
		}
		require.Equal(t, http.StatusOK, h.call("GET", "/events", "", "X-API-Key", text).Code, "it was good when it was read")
		require.Equal(t, http.StatusUnauthorized, h.call("GET", "/events", "", "X-API-Key", text).Code)
	})
}
