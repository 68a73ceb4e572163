package access_test

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// lasts lets a caller in where answers last, and returns what tells whether it would
// be let in yet.
func (h *house) lasts(t *testing.T, key access.Key, text string) func() error {
	t.Helper()
	var still func() error
	h.do = func(ctx context.Context) error {
		still = func() error { return access.Still(ctx) }
		return nil
	}
	r := h.request("GET", "/lasting", "", "X-API-Key", text)
	if key.Kind == access.Signed {
		r = h.sign(key, text, "GET", "/lasting", "")
	}
	r.RemoteAddr = "10.1.2.3:4567"
	require.Equal(t, http.StatusOK, h.serve(r).Code)
	return still
}

// Whatever ends a caller's right ends what it opened, a second later at most.
func TestLastingCallerIsAskedAgain(t *testing.T) {
	t.Parallel()
	for _, kind := range []access.Kind{access.Bearer, access.Signed} {
		for _, at := range []struct {
			name   string
			change func(h *house, key *access.Key)
			after  time.Duration // by the gate's clock
			text   string        // of the refusal; "" for none
		}{
			{name: "Nothing", change: func(*house, *access.Key) {}},
			{name: "Renamed", change: func(_ *house, key *access.Key) { key.Name = "other" }},
			{name: "Revoked", change: func(_ *house, key *access.Key) { key.RevokedAt = &start }, text: "API key is expired or revoked"},
			{name: "NotExpired", change: func(_ *house, key *access.Key) { key.ExpiresAt = new(start.Add(time.Minute)) }},
			{
				name: "Expired", change: func(_ *house, key *access.Key) { key.ExpiresAt = new(start.Add(time.Minute)) },
				after: time.Minute, text: "API key is expired or revoked",
			},
			{name: "RotatedWithOverlap", change: rotate(time.Hour)},
			{name: "OverlapEnded", change: rotate(time.Hour), after: time.Hour, text: "API key is expired or revoked"},
			{name: "RotatedAtOnce", change: rotate(0), text: "API key is expired or revoked"},
			{
				name: "AnotherScope", change: func(_ *house, key *access.Key) { key.Scopes = []string{"users:read"} },
				text: "Insufficient permissions for events:read",
			},
			{
				name: "AnotherAddress", change: func(_ *house, key *access.Key) { key.Addresses = []netip.Prefix{netip.MustParsePrefix("10.9.0.0/16")} },
				text: "The key may not be used from this address",
			},
			{name: "SameAddress", change: func(_ *house, key *access.Key) { key.Addresses = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} }},
			{
				name: "Gone", change: func(h *house, key *access.Key) { h.set(func(m *memory) { delete(m.keys, key.ID) }) },
				text: "Invalid API key",
			},
			{
				name: "NobodyCanTell", change: func(h *house, _ *access.Key) { h.set(func(m *memory) { m.down = errors.New("away") }) },
				text: "the store does not answer: nothing was done, try again",
			},
		} {
			t.Run(string(kind)+at.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newHouse(t)
					key, text := h.issue(func(r *access.Request) { r.Kind = kind })
					h.runs(t)
					still := h.lasts(t, key, text)
					require.NoError(t, still())
					h.put(key)
					changed := key
					at.change(h, &changed)
					if at.name == "Gone" {
						h.set(func(m *memory) { m.changed[key.ID]++ })
					} else {
						h.put(changed)
					}
					pass(time.Second)
					h.pass(at.after)
					if err := still(); at.text == "" {
						require.NoError(t, err)
					} else {
						require.EqualError(t, err, at.text)
					}
				})
			})
		}
	}
}

// rotate gives a key another secret beside which the old one is good for a while.
func rotate(overlap time.Duration) func(h *house, key *access.Key) {
	return func(_ *house, key *access.Key) {
		key.OldHash, key.OldSecret = key.Hash, key.Secret
		if key.Kind == access.Signed {
			key.Secret = []byte("another")
		} else {
			key.Hash = pepper.Hash("another")
		}
		key.OldUntil = new(start.Add(overlap))
	}
}

// A caller that is remembered is asked about without a trip to the store, and the
// master key is never out.
func TestAskingAgainIsCheap(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHouse(t)
		key, text := h.issue()
		h.runs(t)
		still := h.lasts(t, key, text)
		h.asked()
		for range 1000 {
			require.NoError(t, still())
		}
		require.Zero(t, h.asked())
		require.NoError(t, h.lasts(t, access.Key{}, master)())
		require.Error(t, access.Still(t.Context()), "behind no gate")
	})
}
