package api_test

import (
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
)

// requireProblem checks the whole shape of a problem.
func requireProblem(t *testing.T, a answer, status int, code string) {
	t.Helper()
	require.Equal(t, status, a.StatusCode, "%s", a.raw)
	require.Equal(t, "application/problem+json", a.Header.Get("Content-Type"))
	var p struct {
		Title, Detail, Code, Message, Error string
		Status, StatusCode                  int
		ErrorDetail                         struct{ Code, Message string } `json:"error_detail"`
		Errors                              map[string][]string
	}
	require.NoError(t, json.Unmarshal(a.raw, &p))
	require.Equal(t, code, p.Code, "%s", a.raw)
	require.Equal(t, code, p.ErrorDetail.Code)
	require.Equal(t, status, p.Status)
	require.Equal(t, status, p.StatusCode)
	require.Equal(t, http.StatusText(status), p.Title)
	require.NotEmpty(t, p.Message)
	require.Equal(t, p.Message, p.Detail)
	require.Equal(t, p.Message, p.Error)
	require.Equal(t, p.Message, p.ErrorDetail.Message)
	require.NotNil(t, p.Errors)
}

func TestBadInput(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	user, bearer := d.user()
	account := d.connect(bearer, "btc", "bc1q")
	_, stranger := d.user()
	_, foreign := d.user("X-Tenant", "other")
	_, test := d.user("X-Environment", "test")
	key := []string{"X-API-Key", master}
	mine := []string{"Authorization", bearer}
	const canary = "s3cr3t-canary"

	cases := []struct {
		name    string
		method  string
		path    string
		body    string
		headers []string
		status  int
		code    string
		text    string // part of the body; "" for none
	}{
		// What was typed.
		{"MalformedAddress", "POST", "/v1/onchain/btc/connect", `{"wallet":"bad-` + canary + `","description":""}`, mine, 400, "invalid_wallet", `"errors":{"wallet":["not an address of this chain"]}`},
		{"ConnectedTwice", "POST", "/v1/onchain/btc/connect", `{"wallet":"bc1q","description":""}`, mine, 400, "wallet_connected", `"detail":"Account wallet already connected."`},
		{"UnknownChain", "POST", "/v1/onchain/nope/connect", `{"wallet":"w","description":""}`, mine, 404, "not_found", `"detail":"Not Found"`},
		{"ChainOfTheOtherEnvironment", "POST", "/v1/onchain/dev/connect", `{"wallet":"w","description":""}`, mine, 404, "not_found", ""},
		{"NoWallet", "POST", "/v1/onchain/btc/connect", `{"description":"d"}`, mine, 400, "invalid_input", `"errors":{"wallet":["is required"]}`},
		{"EmptyWallet", "POST", "/v1/onchain/btc/connect", `{"wallet":""}`, mine, 400, "invalid_input", `"wallet":["expected length >= 1"]`},
		{"WalletOfAnotherType", "POST", "/v1/onchain/btc/connect", `{"wallet":{"a":"` + canary + `"}}`, mine, 400, "invalid_input", `"wallet":["expected string"]`},
		{"NULInText", "POST", "/v1/users", `{"name":"a\u0000b"}`, key, 400, "bad_request", "has a NUL within a text"},
		{"NoUTF8", "POST", "/v1/users", "{\"name\":\"a\xff\"}", key, 400, "bad_request", "not UTF-8"},
		{"NoName", "POST", "/v1/users", `{}`, key, 400, "invalid_input", "name"},
		{"LongName", "POST", "/v1/users", `{"name":"` + strings.Repeat("x", 201) + `"}`, key, 400, "invalid_input", "expected length <= 200"},
		{"UnknownTenant", "POST", "/v1/users", `{"name":"n"}`, append(slices.Clone(key), "X-Tenant", "nobody"), 400, "invalid_input", "X-Tenant"},
		{"MalformedTenant", "POST", "/v1/users", `{"name":"n"}`, append(slices.Clone(key), "X-Tenant", "No/Body"), 400, "invalid_input", "X-Tenant"},
		{"UnknownEnvironment", "POST", "/v1/users", `{"name":"n"}`, append(slices.Clone(key), "X-Environment", canary), 400, "invalid_input", "X-Environment"},

		// The body as such.
		{"BrokenJSON", "POST", "/v1/users", `{"name":"` + canary, key, 400, "bad_request", "not valid JSON"},
		{"TrailingBytes", "POST", "/v1/users", `{"name":"n"} ` + canary, key, 400, "bad_request", "not valid JSON"},
		{"SecondDocument", "POST", "/v1/users", `{"name":"n"}{"name":"m"}`, key, 400, "bad_request", "not valid JSON"},
		{"MemberTwice", "POST", "/v1/users", `{"name":"n","name":"m"}`, key, 400, "bad_request", "names a member twice"},
		{"Array", "POST", "/v1/users", `[]`, key, 400, "invalid_input", "expected object"},
		{"NoBody", "POST", "/v1/users", ``, key, 400, "bad_request", "body is required"},
		{"Deep", "POST", "/v1/users", `{"x":` + strings.Repeat("[", 900), key, 400, "bad_request", "not valid JSON"},
		{"Oversized", "POST", "/v1/users", strings.Repeat(" ", 1025), key, 413, "body_too_large", ""},
		{"Huge", "POST", "/v1/users", strings.Repeat(" ", 1<<20), key, 413, "body_too_large", ""},
		{"AsLongAsAllowed", "POST", "/v1/users", strings.Repeat(" ", 1024), key, 400, "bad_request", ""},
		{"ContentType", "POST", "/v1/users", `{"name":"n"}`, append(slices.Clone(key), "Content-Type", "text/plain"), 415, "unsupported_media", ""},
		{"Form", "POST", "/v1/users", `name=n`, append(slices.Clone(key), "Content-Type", "application/x-www-form-urlencoded"), 415, "unsupported_media", ""},

		// Routes.
		{"UnknownRoute", "GET", "/v1/nope/" + canary, ``, mine, 404, "no_route", "Not Found"},
		{"EmptyPart", "POST", "//v1/users", `{"name":"n"}`, key, 404, "no_route", "the path has an empty part"},
		{"PartOfDots", "GET", "/v1/./users", ``, key, 404, "no_route", "one of dots"},
		{"Method", "PUT", "/v1/onchain/btc/connect", ``, mine, 405, "method_not_allowed", `"detail":"Method Not Allowed"`},
		{"UnknownVenue", "POST", "/v1/exchange/kraken/connect", `{"api_key":"` + canary + `"}`, mine, 404, "not_found", ""},

		// Ids.
		{"MalformedUser", "GET", "/v1/users/" + canary, ``, key, 400, "invalid_input", `"id":["invalid value"]`},
		{"MalformedAccount", "GET", "/v1/onchain/btc/account/" + canary + "/balance", ``, mine, 400, "invalid_input", ""},
		{"UnknownUser", "GET", "/v1/users/" + uuid.NewString(), ``, key, 404, "not_found", `"message":"Not Found"`},
		{"UserOfAnotherTenant", "GET", "/v1/users/" + user, ``, append(slices.Clone(key), "X-Tenant", "other"), 404, "not_found", ""},
		{"DeleteUserOfAnotherTenant", "DELETE", "/v1/users/" + user, ``, append(slices.Clone(key), "X-Tenant", "other"), 404, "not_found", ""},
		{"RenameUserOfAnotherTenant", "POST", "/v1/users/" + user, `{"name":"n"}`, append(slices.Clone(key), "X-Tenant", "other"), 404, "not_found", ""},
		{"AuthForUserOfAnotherTenant", "GET", "/v1/users/" + user + "/auth", ``, append(slices.Clone(key), "X-Tenant", "other"), 404, "not_found", ""},
		{"BalanceOfAnotherUser", "GET", "/v1/onchain/btc/account/" + account + "/balance", ``, []string{"Authorization", stranger}, 404, "not_found", ""},
		{"BalanceOfAnotherTenant", "GET", "/v1/onchain/btc/account/" + account + "/balance", ``, []string{"Authorization", foreign}, 404, "not_found", ""},
		{"BalanceOnAnotherChain", "GET", "/v1/onchain/eth/account/" + account + "/balance", ``, mine, 404, "not_found", ""},
		{"BalanceInTheOtherEnvironment", "GET", "/v1/onchain/btc/account/" + account + "/balance", ``, []string{"Authorization", test}, 404, "not_found", ""},
		{"TransactionsOfAnotherUser", "GET", "/v1/onchain/btc/account/" + account + "/transactions", ``, []string{"Authorization", stranger}, 404, "not_found", ""},
		{"DeleteAccountOfAnotherUser", "DELETE", "/v1/onchain/btc/account/" + account, ``, []string{"Authorization", stranger}, 404, "not_found", `"detail":"Not Found"`},
		{"DeleteAccountOnAnotherChain", "DELETE", "/v1/onchain/eth/account/" + account, ``, mine, 404, "not_found", ""},
		{"FilterForAnotherUser", "GET", "/v1/aggregate/balance?account-filter=" + account, ``, []string{"Authorization", stranger}, 404, "not_found", ""},
		{"FilterMalformed", "GET", "/v1/aggregate/transactions?account-filter=" + canary, ``, mine, 400, "invalid_input", "account-filter"},

		// Queries.
		{"Cursor", "GET", "/v1/aggregate/transactions?cursor=" + canary, ``, mine, 400, "invalid_cursor", "cursor"},
		{"LongCursor", "GET", "/v1/aggregate/transactions?cursor=" + strings.Repeat("A", 201), ``, mine, 400, "invalid_input", "cursor"},
		{"Since", "GET", "/v1/aggregate/transactions?since=2020-13-01", ``, mine, 400, "invalid_input", `"since"`},
		{"SinceAfterUntil", "GET", "/v1/aggregate/transactions?since=2020-02-02&until=2020-02-01", ``, mine, 400, "invalid_input", `"since"`},
		{"Limit", "GET", "/v1/aggregate/transactions?limit=0", ``, mine, 400, "invalid_input", `"limit"`},
		{"LimitTooHigh", "GET", "/v1/aggregate/transactions?limit=501", ``, mine, 400, "invalid_input", `"limit"`},
		{"LimitIsNoNumber", "GET", "/v1/aggregate/transactions?limit=" + canary, ``, mine, 400, "invalid_input", `"limit"`},
		{"Status", "GET", "/v1/aggregate/transactions?status=" + canary, ``, mine, 400, "invalid_input", `"status"`},
		{"Currency", "GET", "/v1/aggregate/balance?currency=U$D", ``, mine, 400, "invalid_input", `"currency"`},
		{"After", "GET", "/v1/events?after=-1", ``, key, 400, "invalid_input", `"after"`},

		// Credentials.
		{"NoKey", "GET", "/v1/users", ``, nil, 400, "missing_key", `"message":"missing key in request header"`},
		{"NoKeyElsewhere", "GET", "/v1/events", ``, nil, 401, "missing_key", ""},
		{"NoToken", "GET", "/v1/aggregate/balance", ``, nil, 400, "missing_key", `"message":"missing key in request header"`},
		{"NoTokenToConnect", "POST", "/v1/onchain/btc/connect", `{"wallet":"w"}`, nil, 400, "missing_key", ""},
		{"KeyInPlaceOfToken", "GET", "/v1/aggregate/balance", ``, []string{"Authorization", "Bearer " + master}, 401, "invalid_token", ""},
		{"TokenInPlaceOfKey", "GET", "/v1/users", ``, []string{"X-API-Key", bearer}, 401, "invalid_key", `"message":"Unauthorized"`},
		{"AnotherScheme", "GET", "/v1/aggregate/balance", ``, []string{"Authorization", "Basic " + canary}, 401, "invalid_token", ""},
		{"WrongKey", "GET", "/v1/users", ``, []string{"X-API-Key", canary}, 401, "invalid_key", `"message":"Unauthorized"`},
	}
	before, _ := d.users.state()
	t.Cleanup(func() {
		after, _ := d.users.state()
		require.Equal(t, before, after, "nothing may be written")
		require.NotContains(t, d.log.String(), canary)
		require.NotContains(t, d.log.String(), master)
	})
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			d := *d
			d.t = t
			a := d.call(c.method, c.path, c.body, c.headers...)
			requireProblem(t, a, c.status, c.code)
			require.Contains(t, string(a.raw), c.text)
			require.NotContains(t, string(a.raw), canary)
			if c.status == http.StatusMethodNotAllowed {
				require.Equal(t, "GET, HEAD, POST", a.Header.Get("Allow"))
			}
		})
	}
}

// Forged and expired tokens open nothing, and nobody learns why.
func TestForgedTokens(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	user, good := d.user()
	account := d.connect(good, "btc", "bc1q")
	parsed, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(good, "Bearer "), jwt.MapClaims{})
	require.NoError(t, err)
	base := parsed.Claims.(jwt.MapClaims)
	require.Equal(t, "user", base["type"])
	require.Equal(t, user, base["user_uuid"])
	require.InDelta(t, 900, base["exp"].(float64)-base["iat"].(float64), 0)
	ours := ed25519.NewKeyFromSeed([]byte(strings.Repeat("\x07", 32)))
	theirs := ed25519.NewKeyFromSeed([]byte(strings.Repeat("\x08", 32)))
	public := ours.Public().(ed25519.PublicKey)

	forge := func(method jwt.SigningMethod, key any, header, claims map[string]any) string {
		c := maps.Clone(base)
		maps.Copy(c, claims)
		for name, value := range c {
			if value == nil {
				delete(c, name)
			}
		}
		token := jwt.NewWithClaims(method, c)
		token.Header["kid"] = parsed.Header["kid"]
		maps.Copy(token.Header, header)
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
	past, future := float64(time.Now().Add(-time.Minute).Unix()), float64(time.Now().Add(time.Minute).Unix())
	signed := strings.TrimPrefix(good, "Bearer ")
	parts := strings.Split(signed, ".")
	require.Equal(t, http.StatusOK, d.call("GET", "/v1/aggregate/accounts", "", "Authorization", "Bearer "+forge(jwt.SigningMethodEdDSA, ours, nil, nil)).StatusCode)

	for name, token := range map[string]string{
		"Empty":            "",
		"Garbage":          "a.b.c",
		"Huge":             strings.Repeat("a", 10_000),
		"Unsigned":         parts[0] + "." + parts[1] + ".",
		"None":             forge(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, nil),
		"HMACWithPublic":   forge(jwt.SigningMethodHS256, []byte(public), nil, nil),
		"AnotherKey":       forge(jwt.SigningMethodEdDSA, theirs, nil, nil),
		"AnotherKeyID":     forge(jwt.SigningMethodEdDSA, ours, map[string]any{"kid": "other"}, nil),
		"NoKeyID":          forge(jwt.SigningMethodEdDSA, ours, map[string]any{"kid": nil}, nil),
		"Expired":          forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"exp": past}),
		"NeverExpires":     forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"exp": nil}),
		"NotYet":           forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"nbf": future}),
		"AnotherAudience":  forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"aud": "tallyd:console"}),
		"NoAudience":       forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"aud": nil}),
		"AnotherIssuer":    forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"iss": "evil"}),
		"AnotherType":      forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"type": "project"}),
		"NoUser":           forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"user_uuid": uuid.Nil}),
		"NoTenant":         forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"tenant": nil}),
		"NoEnvironment":    forge(jwt.SigningMethodEdDSA, ours, nil, map[string]any{"environment": "prod"}),
		"ChangedSignature": signed[:len(signed)-4] + "AAAA",
		"ChangedClaims":    parts[0] + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"user_uuid":"`+uuid.NewString()+`"}`)) + "." + parts[2],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := *d
			d.t = t
			header := []string{"Authorization", "Bearer " + token}
			requireProblem(t, d.call("GET", "/v1/aggregate/accounts", "", header...), http.StatusUnauthorized, "invalid_token")
			a := d.call("GET", "/v1/onchain/btc/account/"+account+"/balance", "", header...)
			requireProblem(t, a, http.StatusForbidden, "invalid_token")
			require.Contains(t, string(a.raw), `"detail":"Invalid token or expired token."`)
			requireProblem(t, d.call("POST", "/v1/onchain/btc/connect", `{"wallet":"forged"}`, header...), http.StatusForbidden, "invalid_token")
		})
	}
	t.Cleanup(func() {
		_, left := d.users.state()
		require.Equal(t, 1, left)
	})
}

func TestKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	issue := func(scopes []string, expires *time.Time) (access.Key, string) {
		now := time.Now()
		if expires != nil {
			now = expires.Add(-time.Hour)
		}
		key, text, err := access.NewKey(d.pepper, access.Request{Realm: live, Owner: "o", Name: "n", Scopes: scopes, ExpiresAt: expires}, now)
		require.NoError(t, err)
		d.keys.mu.Lock()
		defer d.keys.mu.Unlock()
		d.keys.keys[key.ID] = key
		return key, text
	}
	reader, readerText := issue([]string{"users:read"}, nil)
	past := time.Now().Add(-time.Minute)
	_, expired := issue([]string{"*:*"}, &past)
	gone, revoked := issue([]string{"*:*"}, nil)
	gone.RevokedAt = &past
	moved, elsewhere := issue([]string{"*:*"}, nil)
	moved.Realm.Environment = chains.Test
	d.keys.mu.Lock()
	d.keys.keys[gone.ID], d.keys.keys[moved.ID] = gone, moved
	d.keys.mu.Unlock()
	_, other, err := access.NewKey(access.Pepper("another pepper, same id"), access.Request{Realm: live, Scopes: []string{"*:*"}}, time.Now())
	require.NoError(t, err)
	_, unknown, err := access.NewKey(d.pepper, access.Request{Realm: live, Scopes: []string{"*:*"}}, time.Now())
	require.NoError(t, err)

	require.Equal(t, http.StatusOK, d.call("GET", "/v1/users", "", "X-API-Key", readerText).StatusCode)
	// A key of a tenant stays in its tenant.
	d.user("X-Tenant", "other")
	require.JSONEq(t, `[]`, string(d.call("GET", "/v1/users", "", "X-API-Key", readerText, "X-Tenant", "other").raw))
	requireProblem(t, d.call("POST", "/v1/users", `{"name":"n"}`, "X-API-Key", readerText), http.StatusForbidden, "insufficient_scope")
	requireProblem(t, d.call("GET", "/v1/events", "", "X-API-Key", readerText), http.StatusForbidden, "insufficient_scope")
	for name, text := range map[string]string{"expired": expired, "revoked": revoked} {
		a := d.call("GET", "/v1/users", "", "X-API-Key", text)
		requireProblem(t, a, http.StatusUnauthorized, "expired_key")
		require.Contains(t, string(a.raw), `"message":"Unauthorized"`, "Blockmate's surface does not say why")
		require.NotContains(t, d.log.String(), text, name)
	}
	for name, text := range map[string]string{"moved": elsewhere, "otherPepper": other, "unknown": unknown, "cut": readerText[:len(readerText)-1]} {
		requireProblem(t, d.call("GET", "/v1/users", "", "X-API-Key", text), http.StatusUnauthorized, "invalid_key")
		require.NotContains(t, d.log.String(), text, name)
	}

	require.Contains(t, d.log.String(), `"caller":"`+reader.ID+`"`)
	require.NoError(t, d.gate.Flush(t.Context()))
	d.keys.mu.Lock()
	require.Equal(t, []string{reader.ID}, slices.Collect(maps.Keys(d.keys.touched)), "keys that open nothing are not used")
	d.keys.mu.Unlock()

	// A fault of the store is ours, not the caller's, and stays ours.
	d.keys.mu.Lock()
	d.keys.down = errors.New("password=hunter2")
	d.keys.mu.Unlock()
	a := d.call("GET", "/v1/users", "", "X-API-Key", readerText)
	requireProblem(t, a, http.StatusServiceUnavailable, "unavailable")
	require.NotContains(t, string(a.raw), "hunter2")
	require.Contains(t, d.log.String(), "hunter2")
}

// Whatever breaks below, the caller reads "internal error" and the log the rest.
func TestFaults(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	a := d.call("POST", "/v1/onchain/btc/connect", `{"wallet":"boom"}`, "Authorization", bearer)
	requireProblem(t, a, http.StatusInternalServerError, "internal")
	require.NotContains(t, string(a.raw), "hunter2")
	require.Contains(t, d.log.String(), "hunter2")
	require.NotEmpty(t, a.Header.Get("X-Request-Id"))
	require.Contains(t, d.log.String(), a.Header.Get("X-Request-Id"))

	// Without its accounts the fake panics.
	id := d.connect(bearer, "btc", "bc1q")
	d.ledger.set(func(f *fakeLedger) { f.users = nil })
	a = d.call("GET", "/v1/onchain/btc/account/"+id+"/balance", "", "Authorization", bearer)
	requireProblem(t, a, http.StatusInternalServerError, "internal")
	require.Contains(t, d.log.String(), "panic: ")
	require.NotContains(t, string(a.raw), "nil pointer")
}
