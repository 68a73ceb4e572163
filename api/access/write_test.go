package access_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/problem"
)

// A request with an Idempotency-Key is carried out once, and answered the same
// whenever it is sent.
func TestIdempotency(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	other, otherText := h.issue()
	post := func(path, body, key string, headers ...string) answer {
		return h.call("POST", path, body, append([]string{"X-API-Key", text, "Idempotency-Key", key}, headers...)...)
	}
	first := post("/users", good, "a-1_Z")
	require.Equal(t, http.StatusOK, first.Code)
	require.Empty(t, first.Header().Get("Idempotency-Replayed"))
	require.Equal(t, "/there", first.Header().Get("Location"))
	second := post("/users", good, "a-1_Z")
	require.Equal(t, first.Code, second.Code)
	require.Equal(t, first.Body.String(), second.Body.String())
	require.Equal(t, first.Header().Get("Content-Type"), second.Header().Get("Content-Type"))
	require.Equal(t, "true", second.Header().Get("Idempotency-Replayed"))
	require.EqualValues(t, 1, h.calls.Load())
	require.Len(t, h.log(), 1, "one write")

	requireRefused(t, post("/users", `{"name":"m"}`, "a-1_Z"), 400, problem.IdempotencyReused, "The Idempotency-Key was used with another body")
	require.Len(t, h.log(), 1)
	require.EqualValues(t, 1, h.calls.Load())

	// The same key on another route, or of another caller, is another request.
	require.Equal(t, http.StatusOK, post("/vaults", good, "a-1_Z").Code)
	a := h.call("POST", "/users", good, "X-API-Key", otherText, "Idempotency-Key", "a-1_Z")
	require.Equal(t, other.ID, a.said(t, "caller"))
	require.EqualValues(t, 3, h.calls.Load())

	for _, key := range []string{strings.Repeat("a", 65), "a b", "a/b", "é", "a\x00"} {
		requireRefused(t, post("/users", good, key), 400, problem.InvalidIdempotency, "Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 _ -")
	}
	require.Equal(t, http.StatusOK, post("/users", good, strings.Repeat("a", 64)).Code)

	// What is refused for its content is not kept: it may be mended and sent again.
	require.Equal(t, http.StatusBadRequest, post("/users", `{"name":7}`, "b").Code)
	require.Equal(t, http.StatusOK, post("/users", good, "b").Code)

	// A user's token counts as a caller too.
	token, err := h.tokens.Issue(realm, uuid.New())
	require.NoError(t, err)
	for range 2 {
		a = h.call("POST", "/me", good, "Authorization", "Bearer "+token, "Idempotency-Key", "b")
		require.Equal(t, http.StatusOK, a.Code)
	}
	require.Equal(t, "true", a.Header().Get("Idempotency-Replayed"))
}

func TestIdempotencyIsRequiredWhereMoneyMoves(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, secret := h.issue(signed)
	a := h.serve(h.sign(key, secret, "POST", "/pay", good))
	requireRefused(t, a, 400, problem.IdempotencyRequired, "Idempotency-Key header is required")
	require.Equal(t, map[string]any{"Idempotency-Key": []any{"is required"}}, a.said(t, "errors"))
	require.Zero(t, h.calls.Load())
	// The signature was not used up by that.
	require.Equal(t, http.StatusOK, h.serve(h.sign(key, secret, "POST", "/pay", good, "Idempotency-Key", "a")).Code)
	require.Equal(t, http.StatusOK, h.call("POST", "/pay", good, "X-API-Key", master, "Idempotency-Key", "a").Code)
}

// While the first request runs, the second is told so.
func TestIdempotencyWhileRunning(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	running, finish := make(chan struct{}), make(chan struct{})
	h.do = func(context.Context) error {
		close(running)
		<-finish
		return nil
	}
	post := func() answer { return h.call("POST", "/users", good, "X-API-Key", text, "Idempotency-Key", "a") }
	first := make(chan answer)
	go func() { first <- post() }()
	<-running
	a := post()
	requireRefused(t, a, 409, problem.RequestRunning, "The first request with this Idempotency-Key still runs")
	require.Equal(t, "1", a.Header().Get("Retry-After"))
	close(finish)
	require.Equal(t, http.StatusOK, (<-first).Code)
	require.Equal(t, http.StatusOK, post().Code)
	require.EqualValues(t, 1, h.calls.Load())
}

// An operation that writes runs within its request, and nobody hears of what was not
// committed.
func TestWriteIsOneTransaction(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, text := h.issue()
	post := func() answer { return h.call("POST", "/users", good, "X-API-Key", text, "Idempotency-Key", "a") }
	var within bool
	h.do = func(ctx context.Context) error {
		within, _ = ctx.Value(inRequest{}).(bool)
		return nil
	}
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	require.False(t, within)

	h.set(func(m *memory) { m.torn = errors.New("password=hunter2") })
	a := post()
	require.True(t, within)
	requireRefused(t, a, 503, problem.Unavailable, "the store does not answer: send the request again, with the same Idempotency-Key if it had one")
	require.Empty(t, a.Header().Get("Location"), "no header of an answer that is not true")
	require.NotContains(t, a.Body.String(), "hunter2")
	require.ErrorContains(t, a.trail.Cause, "hunter2")
	require.Empty(t, h.log())

	// A fault of the operation undoes it, and is written down.
	h.set(func(m *memory) { m.torn = nil })
	h.do = func(context.Context) error { return errors.New("password=hunter2") }
	a = post()
	requireRefused(t, a, 500, problem.Internal, "internal error")
	require.ErrorContains(t, a.trail.Cause, "hunter2")
	h.do = func(context.Context) error { panic("hunter2") }
	a = post()
	requireRefused(t, a, 500, problem.Internal, "internal error")
	require.ErrorContains(t, a.trail.Cause, "panic: hunter2")
	h.do = func(context.Context) error { return problem.Missing() }
	requireRefused(t, post(), 404, problem.NotFound, "Not Found")
	h.do = nil
	require.Equal(t, http.StatusOK, post().Code, "none of that was kept as the answer")
	a = h.call("POST", "/users", `{"name":"much longer than it may be"}`, "X-API-Key", text)
	require.Equal(t, http.StatusBadRequest, a.Code, "the library says 422")
	require.Equal(t, "invalid_input", a.said(t, "code"))

	log := h.log()
	outcomes := make([]string, 0, len(log))
	for _, e := range log {
		outcomes = append(outcomes, http.StatusText(e.Status)+" "+e.Code)
		require.Equal(t, key.ID, e.Caller)
		require.Equal(t, realm, e.Realm)
		require.Equal(t, "/users", e.Route)
	}
	require.Equal(t, []string{
		"Internal Server Error internal", "Internal Server Error internal", "Not Found not_found", "OK ", "Bad Request invalid_input",
	}, outcomes)
}

// A line of the audit log says what was asked for, and its route.
func TestEntry(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	id := uuid.New()
	r := h.request("DELETE", "/events/7?x=secret", "", "X-API-Key", master, "X-Tenant", "acme")
	r = r.WithContext(problem.WithTrail(r.Context(), &problem.Trail{Request: id}))
	h.mux.ServeHTTP(answer{ResponseRecorder: h.call("GET", "/open", "").ResponseRecorder}, r)
	log := h.log()
	require.Len(t, log, 1)
	require.Equal(t, "DELETE /events/{id}", log[0].Method+" "+log[0].Route)
	require.Equal(t, "/events/7", log[0].Path, "a query may hold what is nobody's business")
	require.Equal(t, id, log[0].RequestID)
	require.Equal(t, "acme", log[0].Realm.Tenant)
	require.Equal(t, access.MasterID, log[0].Caller)
	require.WithinDuration(t, start, log[0].At, time.Second)

	_, text := h.issue()
	h.call("DELETE", "/events/"+text, "", "X-API-Key", master)
	log = h.log()
	require.Len(t, log, 1)
	require.Regexp(t, "^/events/tly_[0-9A-Za-z]{12}_redacted$", log[0].Path, "a key in the wrong place")
}

// A body beyond the limit is refused before it is believed, signed or not.
func TestBodyLimit(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	signer, secret := h.issue(signed)
	whole := `{"name":"n"` + strings.Repeat(" ", 1023-12) + `}`
	require.Len(t, whole, 1023)
	require.Equal(t, http.StatusOK, h.call("POST", "/users", whole, "X-API-Key", text).Code)
	require.Equal(t, http.StatusOK, h.serve(h.sign(signer, secret, "POST", "/users", whole)).Code)
	for _, r := range []*http.Request{
		h.request("POST", "/users", whole+" ", "X-API-Key", text),
		h.sign(signer, secret, "POST", "/users", whole+" "),
		h.sign(signer, secret, "POST", "/users", strings.Repeat(" ", 1<<20)),
	} {
		requireRefused(t, h.serve(r), 413, problem.BodyTooLarge, "request body is too large")
	}
}

// counted is a body that counts what is read of it.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(b []byte) (int, error) {
	n, err := c.Reader.Read(b)
	c.read += n
	return n, err
}

func (*counted) Close() error { return nil }

// A long body is read before its signature is verified only for a key that may do what
// is asked, and for a stranger who knows of such a key a few times a minute.
func TestLongBodyOfStrangers(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) { c.Limits.Anonymous = 3 })
	long := `{"name":"n"` + strings.Repeat(" ", 200<<10) + `}`
	send := func(key access.Key, secret string, chunked bool) (answer, int) {
		r := h.sign(key, secret, "POST", "/long", long)
		body := &counted{Reader: strings.NewReader(long)}
		r.Body = body
		if chunked {
			r.ContentLength = -1
		}
		return h.serve(r), body.read
	}
	for name, change := range map[string]func(*access.Key){
		"Revoked":   func(key *access.Key) { key.RevokedAt = &start },
		"Expired":   func(key *access.Key) { key.ExpiresAt = &start },
		"Elsewhere": func(key *access.Key) { key.Addresses = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} },
		"Scopeless": func(key *access.Key) { key.Scopes = []string{"transactions:read"} },
	} {
		key, secret := h.issue(signed)
		change(&key)
		h.put(key)
		h.pass(time.Hour)
		a, read := send(key, secret, false)
		requireRefused(t, a, 413, problem.BodyTooLarge, "request body is too large")
		require.Zero(t, read, name)
		a, read = send(key, secret, true)
		requireRefused(t, a, 413, problem.BodyTooLarge, "request body is too large")
		require.LessOrEqual(t, read, 64<<10, name)
	}

	key, secret := h.issue(signed)
	h.pass(time.Hour)
	for range 10 {
		a, _ := send(key, secret, true)
		require.Equal(t, http.StatusOK, a.Code, "what is signed counts for nothing: %s", a.Body)
		h.pass(2 * time.Second) // or the signature is the same
	}
	for range 3 {
		a, read := send(key, "tly_live_another", false)
		requireRefused(t, a, 401, problem.InvalidSignature, "Invalid signature")
		require.Equal(t, len(long), read)
	}
	for _, chunked := range []bool{false, true} {
		a, read := send(key, "tly_live_another", chunked)
		requireRefused(t, a, 429, problem.RateLimited, "Too many requests")
		require.Zero(t, read)
	}
	require.Equal(t, http.StatusOK, h.serve(h.sign(key, secret, "POST", "/long", good)).Code, "a short one is read")
	h.pass(time.Minute)
	a, _ := send(key, secret, false)
	require.Equal(t, http.StatusOK, a.Code)
}
