package access_test

import (
	"errors"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

// Who may not come in is told so in the words of the surface's documents.
func TestRefusals(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	reader, readerText := h.issue(scopes("users:read"))
	_, stranger, err := access.NewKey(pepper, access.Request{Realm: realm, Scopes: []string{"*:*"}}, start)
	require.NoError(t, err)
	soon := start.Add(time.Minute)
	ending, expired := h.issue(func(r *access.Request) { r.ExpiresAt = &soon })
	gone, revoked := h.issue()
	gone.RevokedAt = &start
	h.put(gone)
	moved, elsewhere := h.issue()
	moved.Realm.Environment = chains.Test
	h.put(moved)
	local, pinned := h.issue(func(r *access.Request) { r.Addresses = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	signer, secret := h.issue(signed)
	token, err := h.tokens.Issue(realm, uuid.New())
	require.NoError(t, err)
	h.pass(time.Minute)

	cases := []struct {
		name    string
		path    string
		headers []string
		status  int
		code    problem.Code
		text    string
		known   string // whom the audit log names; "" if nobody
	}{
		{"MissingBlockmate", "/users", nil, 400, problem.MissingKey, "missing key in request header", ""},
		{"MissingCustody", "/vaults", nil, 401, problem.MissingKey, "Authentication required. Use X-API-Key header", ""},
		{"MissingOwn", "/events", nil, 401, problem.MissingKey, "Authentication required. Use X-Blnk-Key header", ""},
		{"MissingToken", "/me", nil, 400, problem.MissingKey, "missing key in request header", ""},
		{"KeyForToken", "/me", []string{"X-API-Key", text}, 400, problem.MissingKey, "missing key in request header", ""},
		{"TokenForKey", "/events", []string{"Authorization", "Bearer " + token}, 401, problem.MissingKey, "Authentication required. Use X-Blnk-Key header", ""},

		{"UnknownBlockmate", "/users", []string{"X-API-Key", stranger}, 401, problem.InvalidKey, "Unauthorized", ""},
		{"UnknownOwn", "/events", []string{"X-Blnk-Key", stranger}, 401, problem.InvalidKey, "Invalid API key", ""},
		{"Malformed", "/events", []string{"X-Blnk-Key", text[:len(text)-1]}, 401, problem.InvalidKey, "Invalid API key", ""},
		{"OtherEnvironment", "/events", []string{"X-API-Key", elsewhere}, 401, problem.InvalidKey, "Invalid API key", ""},
		{"PublicPartOfBearer", "/events", []string{"X-API-Key", reader.Public()}, 401, problem.InvalidKey, "Invalid API key", reader.ID},
		{"BadToken", "/me", []string{"Authorization", "Bearer x"}, 403, problem.InvalidToken, "Invalid token or expired token.", ""},
		{"OtherScheme", "/me", []string{"Authorization", "Basic " + token}, 403, problem.InvalidToken, "Invalid token or expired token.", ""},

		{"Expired", "/events", []string{"X-API-Key", expired}, 401, problem.ExpiredKey, "API key is expired or revoked", ending.ID},
		{"ExpiredBlockmate", "/users", []string{"X-API-Key", expired}, 401, problem.ExpiredKey, "Unauthorized", ending.ID},
		{"Revoked", "/vaults", []string{"X-API-Key", revoked}, 401, problem.ExpiredKey, "API key is expired or revoked", gone.ID},
		{"Scope", "/events", []string{"X-API-Key", readerText}, 403, problem.InsufficientScope, "Insufficient permissions for events:read", reader.ID},
		{"Address", "/events", []string{"X-API-Key", pinned}, 403, problem.AddressRefused, "The key may not be used from this address", local.ID},
		{"Forwarded", "/events", []string{"X-API-Key", pinned, "X-Forwarded-For", "198.51.100.7"}, 403, problem.AddressRefused, "The key may not be used from this address", local.ID},

		{"Unsigned", "/events", []string{"X-API-Key", signer.Public()}, 401, problem.SignatureRequired, "The request must be signed: send X-Timestamp and X-Signature", signer.ID},
		{"SecretSent", "/events", []string{"X-API-Key", secret}, 401, problem.SignatureRequired, "The request must be signed: send X-Timestamp and X-Signature", signer.ID},
		{"SignatureAlone", "/events", []string{"X-API-Key", signer.Public(), "X-Signature", "00"}, 401, problem.InvalidSignature, "X-Timestamp must be Unix seconds in decimal digits", signer.ID},

		{"Tenant", "/events", []string{"X-API-Key", master, "X-Tenant", "No/Body"}, 400, problem.InvalidInput, "X-Tenant: expected up to 63 lower-case letters, digits, - and _", access.MasterID},
		{"Environment", "/events", []string{"X-API-Key", master, "X-Environment", "prod"}, 400, problem.InvalidInput, "X-Environment: expected live or test", access.MasterID},
	}
	for _, c := range cases {
		a := h.call(http.MethodGet, c.path, "", c.headers...)
		t.Log(c.name)
		requireRefused(t, a, c.status, c.code, c.text)
		if c.status == http.StatusUnauthorized {
			require.NotEmpty(t, a.Header().Get("WWW-Authenticate"))
		}
		log := h.log()
		if c.known == "" {
			require.Empty(t, log, "of strangers nothing is stored")
			require.Equal(t, c.code, a.trail.Refused, "but they are counted")
			continue
		}
		require.Len(t, log, 1)
		require.Empty(t, a.trail.Refused)
		require.Equal(t, access.Entry{
			At: h.now(), Realm: log[0].Realm, Caller: c.known, Method: http.MethodGet, Route: c.path, Path: c.path,
			Address: netip.MustParseAddr("192.0.2.1"), Status: c.status, Code: string(c.code),
		}, log[0])
	}
	require.Zero(t, h.calls.Load(), "nobody came in")

	// Of a write too.
	requireRefused(t, h.call("POST", "/tenants", good, "X-API-Key", text), 403, problem.InsufficientScope, "Only the master key may do this")
	requireRefused(t, h.call("POST", "/pay", good, "X-API-Key", text), 401, problem.SignatureRequired, "The request must be signed: send X-Timestamp and X-Signature")
	require.Len(t, h.log(), 2)
	require.NoError(t, h.gate.Flush(t.Context()))
	require.NotContains(t, h.used, gone.ID, "a key that opens nothing is not used")
}

func TestCallers(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	key, text := h.issue()
	user := uuid.New()
	token, err := h.tokens.Issue(realm, user)
	require.NoError(t, err)
	for _, c := range []struct {
		path, caller, tenant string
		headers              []string
	}{
		{"/users", key.ID, "acme", []string{"X-API-Key", text}},
		{"/users", key.ID, "acme", []string{"X-Blnk-Key", text}},
		{"/users", key.ID, "acme", []string{"X-API-Key", text, "X-Tenant", "other"}},
		{"/either", key.ID, "acme", []string{"X-API-Key", text, "Authorization", "Bearer " + token}},
		{"/either", "user:" + user.String(), "acme", []string{"Authorization", "bearer " + token}},
		{"/me", "user:" + user.String(), "acme", []string{"X-API-Key", text, "Authorization", "Bearer " + token}},
		{"/users", "master", "default", []string{"X-API-Key", master}},
		{"/users", "master", "other", []string{"X-Blnk-Key", master, "X-Tenant", "other"}},
	} {
		a := h.call(http.MethodGet, c.path, "", c.headers...)
		require.Equal(t, http.StatusOK, a.Code, "%s", a.Body)
		require.Equal(t, c.caller, a.said(t, "caller"))
		require.Equal(t, c.tenant, a.said(t, "tenant"))
		require.Equal(t, c.caller, a.trail.Caller)
	}
	require.Empty(t, h.log(), "reads are not written down")
	require.NoError(t, h.gate.Flush(t.Context()))
	require.Equal(t, map[string]time.Time{key.ID: start}, h.used)
}

// A key that was rotated is good under both texts while they overlap, and under all
// peppers that are accepted.
func TestRotation(t *testing.T) {
	t.Parallel()
	older := access.Pepper("another pepper!!")
	h := newHouse(t, func(c *access.Config) { c.Accepted = []access.Pepper{older} })
	key, first, err := access.NewKey(older, access.Request{Realm: realm, Scopes: []string{"*:*"}}, start)
	require.NoError(t, err)
	second, err := key.Rotate(pepper, time.Hour, start)
	require.NoError(t, err)
	h.put(key)
	get := func(text string) answer { return h.call(http.MethodGet, "/events", "", "X-API-Key", text) }
	require.Equal(t, http.StatusOK, get(first).Code)
	require.Equal(t, http.StatusOK, get(second).Code)
	h.pass(time.Hour)
	requireRefused(t, get(first), 401, problem.ExpiredKey, "API key is expired or revoked")
	require.Equal(t, http.StatusOK, get(second).Code)

	signer, old := h.issue(signed)
	current, err := signer.Rotate(pepper, time.Hour, h.now())
	require.NoError(t, err)
	h.put(signer)
	require.Equal(t, http.StatusOK, h.serve(h.sign(signer, old, "GET", "/events", "")).Code)
	h.pass(time.Hour)
	requireRefused(t, h.serve(h.sign(signer, old, "GET", "/events", "")), 401, problem.InvalidSignature, "Invalid signature")
	require.Equal(t, http.StatusOK, h.serve(h.sign(signer, current, "GET", "/events", "")).Code)
}

// A store that is away is no verdict on a key: nobody is let in, and nobody is told
// that its key is bad.
func TestStoreAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	signer, secret := h.issue(signed)
	h.set(func(m *memory) { m.down = errors.New("password=hunter2") })
	const nothing = "the store does not answer: nothing was done, try again"
	for text, r := range map[string]*http.Request{
		nothing:       h.request("GET", "/users", "", "X-API-Key", text),
		nothing + " ": h.sign(signer, secret, "POST", "/users", good),
		"the store does not answer: send the request again, with the same Idempotency-Key if it had one": h.request("POST", "/users", good, "X-API-Key", master),
	} {
		a := h.serve(r)
		requireRefused(t, a, 503, problem.Unavailable, strings.TrimSpace(text))
		require.ErrorContains(t, a.trail.Cause, "hunter2")
		require.NotContains(t, a.Body.String(), "hunter2")
		require.Equal(t, "1", a.Header().Get("Retry-After"))
		require.Empty(t, a.Header().Get("Location"))
	}
	// The master key needs no store to be known.
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", master).Code)
}

func TestBudgets(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) { c.Limits = access.Limits{Custody: 2, Other: 3, Anonymous: 2} })
	key, text := h.issue()
	own, ownText := h.issue(func(r *access.Request) { r.PerMinute = 1 })
	user, err := h.tokens.Issue(realm, uuid.New())
	require.NoError(t, err)
	spend := func(times int, limit, path string, headers ...string) {
		t.Helper()
		for i := range times {
			a := h.call("GET", path, "", headers...)
			require.Equal(t, http.StatusOK, a.Code, "%s", a.Body)
			require.Equal(t, limit, a.Header().Get("RateLimit-Limit"))
			require.Equal(t, strconv.Itoa(times-1-i), a.Header().Get("RateLimit-Remaining"))
			require.NotEmpty(t, a.Header().Get("RateLimit-Reset"))
			require.Empty(t, a.Header().Get("Retry-After"))
		}
		a := h.call("GET", path, "", headers...)
		requireRefused(t, a, 429, problem.RateLimited, "Too many requests")
		require.Equal(t, "0", a.Header().Get("RateLimit-Remaining"))
		require.NotEmpty(t, a.Header().Get("Retry-After"))
	}
	spend(2, "2", "/vaults", "X-API-Key", text)
	spend(3, "3", "/users", "X-API-Key", text)
	requireRefused(t, h.call("GET", "/events", "", "X-API-Key", text), 429, problem.RateLimited, "Too many requests")
	spend(3, "3", "/me", "Authorization", "Bearer "+user)

	// A budget of its own holds on all surfaces together.
	spend(1, "1", "/vaults", "X-API-Key", ownText)
	requireRefused(t, h.call("GET", "/users", "", "X-API-Key", ownText), 429, problem.RateLimited, "Too many requests")

	// Who keeps on is written down once a minute.
	log := h.log()
	require.Len(t, log, 2)
	require.Equal(t, []string{key.ID, own.ID}, []string{log[0].Caller, log[1].Caller})

	// The master key has none, and probes take none.
	for range 10 {
		require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", master).Code)
		require.Equal(t, http.StatusOK, h.call("GET", "/probe", "").Code)
	}

	// Without a credential, or with a bad one, the address pays.
	requireRefused(t, h.call("GET", "/users", "", "X-API-Key", "nonsense"), 401, problem.InvalidKey, "Unauthorized")
	require.Equal(t, http.StatusOK, h.call("GET", "/open", "").Code)
	a := h.call("GET", "/users", "")
	requireRefused(t, a, 429, problem.RateLimited, "Too many requests")
	require.Equal(t, problem.RateLimited, a.trail.Refused)
	requireRefused(t, h.call("GET", "/open", ""), 429, problem.RateLimited, "Too many requests")
	// And nobody fills the log with another's key.
	signer, _ := h.issue(signed)
	requireRefused(t, h.call("GET", "/users", "", "X-API-Key", signer.Public()), 429, problem.RateLimited, "Too many requests")
	require.Empty(t, h.log())

	h.pass(time.Minute)
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	require.Equal(t, http.StatusOK, h.call("GET", "/open", "").Code)
}

// Nobody uses up the budget of a key whose secret it lacks, nor of one it may not
// use from where it is.
func TestBudgetOfAnotherIsSafe(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) { c.Limits = access.Limits{Other: 1, Anonymous: 1000} })
	signer, secret := h.issue(signed)
	pinned, text := h.issue(func(r *access.Request) { r.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")} })
	for range 5 {
		requireRefused(t, h.serve(h.sign(signer, "not its secret", "GET", "/users", "")), 401, problem.InvalidSignature, "Invalid signature")
		requireRefused(t, h.call("GET", "/users", "", "X-API-Key", text), 403, problem.AddressRefused, "The key may not be used from this address")
	}
	require.Equal(t, http.StatusOK, h.serve(h.sign(signer, secret, "GET", "/users", "")).Code)
	r := h.request("GET", "/users", "", "X-API-Key", text)
	r.RemoteAddr = "203.0.113.9:4000"
	require.Equal(t, pinned.ID, h.serve(r).said(t, "caller"))
}

// Where secure mode is off, programs on this machine need no key; nobody else
// profits from it, and neither does a page in a browser.
func TestOpen(t *testing.T) {
	t.Parallel()
	h := newHouse(t, func(c *access.Config) { c.Open = true })
	require.False(t, h.gate.Secure())
	ask := func(from, host string, headers ...string) answer {
		r := h.request("GET", "/events", "", headers...)
		r.RemoteAddr, r.Host = from, host
		return h.serve(r)
	}
	for _, host := range []string{"localhost", "localhost:8080", "127.0.0.1:8080", "[::1]:8080", "[::1]", "127.9.9.9"} {
		a := ask("127.0.0.1:999", host)
		require.Equal(t, access.MasterID, a.said(t, "caller"), host)
	}
	require.Equal(t, "acme", ask("[::1]:999", "localhost", "X-Tenant", "acme", "X-API-Key", "whatever").said(t, "tenant"))
	for name, a := range map[string]answer{
		"another machine": ask("192.0.2.1:999", "localhost"),
		"a proxy":         ask("127.0.0.1:999", "localhost", "X-Forwarded-For", "192.0.2.1"),
		"another proxy":   ask("127.0.0.1:999", "localhost", "Forwarded", "for=192.0.2.1"),
		"a rebound name":  ask("127.0.0.1:999", "evil.example:8080"),
		"a like name":     ask("127.0.0.1:999", "localhost.evil.example"),
	} {
		require.Equal(t, http.StatusUnauthorized, a.Code, name)
	}
	// Whose accounts it is about, only a token says.
	r := h.request("GET", "/me", "")
	r.RemoteAddr, r.Host = "127.0.0.1:999", "localhost"
	require.Equal(t, http.StatusBadRequest, h.serve(r).Code)
	require.True(t, newHouse(t).gate.Secure())
}

func TestPrincipalOfAKeyHasItsOwner(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue(func(r *access.Request) {
		r.Owner, r.Realm = "mobile-team", indexer.Realm{Tenant: "acme", Environment: chains.Test}
	})
	var who access.Principal
	h.watch(&who)
	require.Equal(t, http.StatusOK, h.call("GET", "/users", "", "X-API-Key", text).Code)
	require.Equal(t, "mobile-team", who.Owner)
	require.Equal(t, chains.Test, who.Realm.Environment)
}
