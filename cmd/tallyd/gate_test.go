package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

// gatehouse is a daemon with two tenants, and every kind of key that is of no use.
type gatehouse struct {
	*stack
	db        *pgx.Conn
	exchanges *exchanges
	doc       document

	good, expired, revoked, unscoped, pinned, moved, plain, foreign, other string // texts of bearer keys
	signed                                                                 access.Key
	secret                                                                 string     // of signed
	barred                                                                 access.Key // signs, and lacks every scope
	barredSecret                                                           string
	secrets                                                                []string // of all kinds, as they were made
	signatures                                                             []string

	known map[string]access.Key // by text
	ids   map[string]string     // ids of things of the first tenant, by what stands before them in a path
	token map[string]string     // user tokens: good, other, foreign, forged
}

// document is what the test reads of the OpenAPI document.
type document struct {
	Paths map[string]map[string]struct {
		OperationID string
		Security    []map[string][]string
		Scope       string `json:"x-scope"`
		Parameters  []struct {
			Name, In string
			Required bool
		}
		RequestBody *struct {
			Content map[string]struct{ Schema schema }
		}
	}
	Components struct{ Schemas map[string]schema }
}

type schema struct {
	Ref        string `json:"$ref"`
	Type       any
	Format     string
	Enum       []any
	Examples   []any
	MinLength  int
	Minimum    *float64
	Required   []string
	Items      *schema
	Properties map[string]schema
}

var (
	acme   = indexer.Realm{Tenant: "default", Environment: chains.Live}
	rivals = indexer.Realm{Tenant: "rivals", Environment: chains.Live}
)

func newGatehouse(t *testing.T, log io.Writer) *gatehouse {
	t.Helper()
	g := &gatehouse{stack: newStack(t, nil), known: map[string]access.Key{}, ids: map[string]string{}, token: map[string]string{}}
	g.log = log
	g.exchanges = newExchanges(t)
	g.cfg.Venues = g.exchanges.settings()
	g.cfg.Venues.Balances, g.cfg.Venues.History = "@every 24h", "@every 24h"
	g.cfg.API.Limits.AnonymousPerMinute, g.cfg.API.Limits.CustodyPerMinute = 1_000_000, 1_000_000
	g.start()
	var err error
	g.db, err = pgx.Connect(t.Context(), g.cfg.Database.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.db.Close(context.WithoutCancel(t.Context())) })
	require.NoError(t, g.daemon.store.CreateTenant(t.Context(), access.Tenant{ID: rivals.Tenant, Name: "Rivals"}))

	g.good, _ = g.issue(nil)
	g.unscoped, _ = g.issue(func(r *access.Request) { r.Scopes = []string{"backup:read"} })
	g.pinned, _ = g.issue(func(r *access.Request) { r.Addresses = []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")} })
	g.plain, _ = g.issue(func(r *access.Request) { r.PerMinute = 0 })
	g.foreign, _ = g.issue(func(r *access.Request) { r.Realm = rivals })
	g.other, _ = g.issue(func(r *access.Request) { r.Realm.Environment = chains.Test })
	past := time.Now().Add(-time.Hour)
	g.expired, _ = g.issueAt(past.Add(-time.Hour), func(r *access.Request) { r.ExpiresAt = &past })
	var key access.Key
	g.revoked, key = g.issue(nil)
	g.change(key, func(k *access.Key) { k.RevokedAt = &past })
	g.moved, key = g.issue(nil)
	_, err = g.db.Exec(t.Context(), "UPDATE keys SET environment = 'test' WHERE id = $1", key.ID)
	require.NoError(t, err)
	g.secret, g.signed = g.issue(func(r *access.Request) { r.Kind = access.Signed })
	g.barredSecret, g.barred = g.issue(func(r *access.Request) { r.Kind, r.Scopes = access.Signed, []string{"backup:read"} })

	g.ids["api-keys"] = g.known[g.good].ID
	g.ids["users"], g.token["good"] = g.user()
	_, g.token["foreign"] = g.userOf(g.foreign)
	_, g.token["other"] = g.userOf(g.other)
	forger, err := access.NewTokens(bytes.Repeat([]byte{9}, 32), nil)
	require.NoError(t, err)
	g.token["forged"], err = forger.Issue(acme, uuid.MustParse(g.ids["users"]))
	require.NoError(t, err)
	late, err := access.NewTokens(make([]byte, 32), func() time.Time { return past })
	require.NoError(t, err)
	g.token["expired"], err = late.Issue(acme, uuid.MustParse(g.ids["users"]))
	require.NoError(t, err)
	for _, text := range g.token {
		g.secrets = append(g.secrets, text)
	}
	status, endpoint := g.call("POST", "/v1/webhooks/endpoints", "X-API-Key", g.good, map[string]any{"url": "https://example.com/hooks", "events": []string{"deposit.*"}})
	require.Equal(t, http.StatusCreated, status, endpoint)
	g.ids["endpoints"] = endpoint["id"].(string)
	g.secrets = append(g.secrets, endpoint["secret"].(string))

	// No event of a login goes to the endpoint.
	g.connectLogin()

	response := g.do(g.request("GET", "/openapi.json", nil))
	require.Equal(t, http.StatusOK, response.status)
	require.NoError(t, json.Unmarshal([]byte(response.body), &g.doc))
	return g
}

// connectLogin connects a login of the first tenant's user, and waits until it was
// read and nothing is written about it any more.
func (g *gatehouse) connectLogin() {
	g.t.Helper()
	l := g.connectVenue(g.token["good"], "blink", map[string]string{"api_key": blinkKey})
	g.ids["account"] = l.at[strings.LastIndex(l.at, "/")+1:]
	g.secrets = append(g.secrets, blinkKey, bitmartSecret, bitmartMemo, bitmartKey)
	g.eventually("the login is read", func() bool {
		return l.member("/balance", "state", "status") == "level" && l.member("/balance", "state", "history", "status") == "complete"
	})
	g.eventually("nothing is written about it any more", func() bool {
		var busy int
		err := g.db.QueryRow(g.t.Context(), `
			SELECT (SELECT count(*) FROM events WHERE seq IS NULL) + (SELECT count(*) FROM streams WHERE lease_until > now())
			+ (SELECT count(*) FROM river_job WHERE kind = 'venue' AND state NOT IN ('completed', 'discarded'))`).Scan(&busy)
		require.NoError(g.t, err)
		return busy == 0
	})
}

func (g *gatehouse) issue(edit func(*access.Request)) (string, access.Key) {
	g.t.Helper()
	return g.issueAt(time.Now(), edit)
}

// issueAt makes a key and stores it.
func (g *gatehouse) issueAt(at time.Time, edit func(*access.Request)) (string, access.Key) {
	g.t.Helper()
	request := access.Request{Realm: acme, Owner: "tests", Name: "n", Scopes: []string{"*:*"}, PerMinute: access.MaxPerMinute}
	if edit != nil {
		edit(&request)
	}
	key, text, err := access.NewKey(access.Pepper(testPepper), request, at)
	require.NoError(g.t, err)
	require.NoError(g.t, g.daemon.store.CreateKey(g.t.Context(), key))
	g.known[text] = key
	g.secrets = append(g.secrets, text)
	return text, key
}

func (g *gatehouse) change(key access.Key, edit func(*access.Key)) {
	g.t.Helper()
	_, err := g.daemon.store.ChangeKey(g.t.Context(), key.Realm, key.ID, func(k *access.Key) error {
		edit(k)
		return nil
	})
	require.NoError(g.t, err)
}

func (g *gatehouse) userOf(key string) (id, token string) {
	g.t.Helper()
	status, made := g.call("POST", "/v1/users", "X-API-Key", key, map[string]string{"name": "theirs"})
	require.Equal(g.t, http.StatusCreated, status, made)
	id = made["uuid"].(string)
	status, answer := g.call("GET", "/v1/users/"+id+"/auth", "X-API-Key", key, nil)
	require.Equal(g.t, http.StatusOK, status, answer)
	return id, answer["token"].(string)
}

// request returns a request with headers, which come as name, value pairs.
func (g *gatehouse) request(method, path string, body []byte, headers ...string) *http.Request {
	g.t.Helper()
	r, err := http.NewRequestWithContext(g.t.Context(), method, g.url+path, bytes.NewReader(body))
	require.NoError(g.t, err)
	if body != nil {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return r
}

// told is one answer, read.
type told struct {
	status int
	header http.Header
	body   string
}

func (g *gatehouse) do(r *http.Request) told {
	g.t.Helper()
	response, err := http.DefaultClient.Do(r)
	require.NoError(g.t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	require.NoError(g.t, err)
	return told{status: response.StatusCode, header: response.Header, body: string(body)}
}

var (
	parameter   = regexp.MustCompile(`(\w[\w-]*)/\{(\w+)(\.\.\.)?\}`)
	hexadecimal = regexp.MustCompile(`\\x((?:[0-9a-f]{2})+)`)
)

// path fills in the parameters of a route: with ids of the first tenant if it has
// what the path names, else with ids of nothing. It reports whether there are any
// ids in it.
func (g *gatehouse) path(route access.Route, ours bool) (string, bool) {
	named := false
	path := strings.NewReplacer("{chain}", "btc", "{venue}", "blink").Replace(route.Path)
	for parameter.MatchString(path) {
		path = parameter.ReplaceAllStringFunc(path, func(at string) string {
			named = true
			what := parameter.FindStringSubmatch(at)[1]
			if id := g.ids[what]; ours && id != "" {
				return what + "/" + id
			}
			return what + "/" + uuid.NewString()
		})
	}
	for _, p := range g.doc.Paths[route.Path][strings.ToLower(route.Method)].Parameters {
		if p.In == "query" && p.Name == "owner" {
			return path + "?owner=tests", named
		}
	}
	return path, named
}

// body returns a body that an operation accepts by its schema, or nil if it takes
// none.
func (g *gatehouse) body(route access.Route) []byte {
	g.t.Helper()
	op := g.doc.Paths[route.Path][strings.ToLower(route.Method)]
	if op.RequestBody == nil {
		return nil
	}
	raw, err := json.Marshal(g.sample(op.RequestBody.Content["application/json"].Schema))
	require.NoError(g.t, err)
	return raw
}

// sample returns a value that fits a schema.
func (g *gatehouse) sample(s schema) any {
	if s.Ref != "" {
		s = g.doc.Components.Schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
	}
	kind, _ := s.Type.(string)
	if list, ok := s.Type.([]any); ok {
		kind, _ = list[0].(string)
	}
	switch {
	case len(s.Examples) > 0:
		return s.Examples[0]
	case len(s.Enum) > 0:
		return s.Enum[0]
	case kind == "object":
		out := map[string]any{}
		for _, name := range s.Required {
			out[name] = g.sample(s.Properties[name])
		}
		return out
	case kind == "array":
		return []any{g.sample(*s.Items)}
	case kind == "boolean":
		return false
	case kind == "integer" || kind == "number":
		if s.Minimum != nil {
			return *s.Minimum
		}
		return 1
	case s.Format == "uuid":
		return uuid.NewString()
	case s.Format == "date-time":
		return time.Now().Add(time.Hour).Format(time.RFC3339)
	case s.Format == "uri":
		return "https://example.com/"
	}
	return strings.Repeat("x", max(1, s.MinLength))
}

// rows returns a digest of every table that a caller's request could write, but the
// audit log, by name. What the daemon writes by itself is left out.
func (g *gatehouse) rows() map[string]string {
	g.t.Helper()
	var names []string
	found, err := g.db.Query(g.t.Context(), `
		SELECT relname FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
		AND relname !~ '^river' AND relname NOT IN ('audit', 'signatures', 'sequencer', 'dispatchers', 'goose_db_version')`)
	require.NoError(g.t, err)
	names, err = pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(g.t, err)
	require.Greater(g.t, len(names), 15)
	digests := map[string]string{}
	for _, name := range names {
		from := name + " AS t"
		if name == "answers" {
			from += " WHERE sealed IS NOT NULL" // an Idempotency-Key that was claimed for nothing is no answer
		}
		var digest string
		err := g.db.QueryRow(g.t.Context(), fmt.Sprintf(`
			SELECT count(*) || ' ' || coalesce(md5(string_agg(r, '|' ORDER BY r)), '')
			FROM (SELECT (to_jsonb(t) - 'last_used_at')::text AS r FROM %s) AS all_rows`, from)).Scan(&digest)
		require.NoError(g.t, err)
		digests[name] = digest
	}
	return digests
}

// audited returns what the audit log says since the last time: caller, status and code.
func (g *gatehouse) audited() []string {
	g.t.Helper()
	found, err := g.db.Query(g.t.Context(), `
		WITH seen AS (SELECT id, caller, method, route, status, code FROM audit),
		gone AS (DELETE FROM audit WHERE id IN (SELECT id FROM seen))
		SELECT caller || ' ' || method || ' ' || route || ' ' || status || ' ' || code FROM seen ORDER BY id`)
	require.NoError(g.t, err)
	lines, err := pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(g.t, err)
	return lines
}

// syncWriter is a buffer that several goroutines write.
type syncWriter struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *syncWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.Write(p)
}

func (w *syncWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.buf.String()
}

// TestEveryRouteIsDocumented prints the table of who may call what, and holds the
// document to it.
func TestEveryRouteIsDocumented(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	told := map[string]bool{}
	for path, item := range g.doc.Paths {
		for method := range item {
			told[strings.ToUpper(method)+" "+path] = true
		}
	}
	for _, route := range g.daemon.gate.Rules() {
		rule, op := route.Rule, g.doc.Paths[route.Path][strings.ToLower(route.Method)]
		t.Logf("%-6s %-62s %-10s %-16s user %-5t master %-5t public %-5t signed %-5t once %t",
			route.Method, route.Path, rule.Surface, rule.Scope, rule.User, rule.Master, rule.Public, rule.Signed, rule.Once)
		if !told[route.Pattern()] {
			require.True(t, rule.Public, "%s is not in the document", route.Pattern())
			continue
		}
		delete(told, route.Pattern())
		require.Equal(t, route.ID, op.OperationID)
		if rule.Master {
			rule.Scope = "master"
		}
		require.Equal(t, rule.Scope, op.Scope, route.Pattern())
		require.Equal(t, rule.Public, len(op.Security) == 0, route.Pattern())
		once := 0
		for _, p := range op.Parameters {
			if p.Name == "Idempotency-Key" {
				once++
				require.Equal(t, rule.Once, p.Required, route.Pattern())
			}
		}
		require.Equal(t, route.Method == http.MethodPost || rule.Once, once == 1, route.Pattern())
	}
	require.Empty(t, told, "operations without a rule")
}

// situation is one way of not being let in.
type situation struct {
	name    string
	request func() *http.Request
	status  int
	code    string
	caller  string // that the audit log names; "" if it names nobody
}

// TestEveryRouteRefuses walks every route × every way of not being let in: the status
// of each, a line in the audit log where the key is known, and no other row.
func TestEveryRouteRefuses(t *testing.T) {
	t.Parallel()
	log := &syncWriter{}
	g := newGatehouse(t, log)
	g.audited()
	walked := 0
	for _, route := range g.daemon.gate.Rules() {
		if route.Rule.Public {
			continue
		}
		before := g.rows()
		for _, s := range g.situations(route) {
			what := route.Pattern() + ": " + s.name
			response := g.do(s.request())
			require.Equal(t, s.status, response.status, "%s: %s", what, response.body)
			var problem struct{ Code string }
			require.NoError(t, json.Unmarshal([]byte(response.body), &problem), what)
			require.Equal(t, s.code, problem.Code, what)
			want := []string{}
			if s.caller != "" {
				want = []string{fmt.Sprintf("%s %s %s %d %s", s.caller, route.Method, route.Path, s.status, s.code)}
			}
			require.Equal(t, want, g.audited(), what)
			walked++
		}
		require.Equal(t, before, g.rows(), "%s wrote a row", route.Pattern())
		g.realms(route)
	}
	t.Logf("%d refusals", walked)
	require.Greater(t, walked, 300)
	g.requireUntold(log.String(), g.signatures...)
}

// situations returns the ways of not being let in to a route.
func (g *gatehouse) situations(route access.Route) []situation {
	rule := route.Rule
	path, _ := g.path(route, false)
	body := g.body(route)
	broken := body
	if body != nil {
		broken = []byte("{") // so that whoever is let in by mistake or on purpose does nothing
	}
	with := func(headers ...string) func() *http.Request {
		return func() *http.Request {
			return g.request(route.Method, path, broken, append(headers, "Idempotency-Key", "k")...)
		}
	}
	missing, bad := http.StatusUnauthorized, http.StatusUnauthorized
	if rule.Surface == access.Blockmate {
		missing = http.StatusBadRequest
	}
	if rule.BadUser != 0 {
		bad = rule.BadUser
	}
	list := []situation{{name: "NoCredential", request: with(), status: missing, code: "missing_key"}}
	if rule.User {
		for _, name := range []string{"forged", "expired"} {
			list = append(list, situation{name: name, request: with("Authorization", "Bearer "+g.token[name]), status: bad, code: "invalid_token"})
		}
		list = append(list, situation{name: "NoToken", request: with("Authorization", "Basic x"), status: bad, code: "invalid_token"})
	}
	if rule.Scope == "" && !rule.Master {
		return append(list, situation{name: "KeyForToken", request: with("X-API-Key", g.good), status: missing, code: "missing_key"})
	}
	_, unknown, _ := access.NewKey(access.Pepper(testPepper), access.Request{Realm: acme, Scopes: []string{"*:*"}}, time.Now())
	list = append(list,
		situation{name: "TokenForKey", request: with("X-API-Key", g.token["good"]), status: 401, code: "invalid_key"},
		situation{name: "WrongKey", request: with("X-API-Key", unknown), status: 401, code: "invalid_key"},
		situation{name: "WrongKeyAlias", request: with("X-Blnk-Key", unknown), status: 401, code: "invalid_key"},
		situation{name: "CutKey", request: with("X-API-Key", g.good[:len(g.good)-1]), status: 401, code: "invalid_key"},
		situation{name: "WrongEnvironment", request: with("X-API-Key", g.moved), status: 401, code: "invalid_key"},
		situation{name: "Expired", request: with("X-API-Key", g.expired), status: 401, code: "expired_key", caller: g.known[g.expired].ID},
		situation{name: "Revoked", request: with("X-API-Key", g.revoked), status: 401, code: "expired_key", caller: g.known[g.revoked].ID},
		situation{name: "WrongAddress", request: with("X-API-Key", g.pinned), status: 403, code: "address_not_allowed", caller: g.known[g.pinned].ID},
		situation{name: "WrongAddressForged", request: with("X-API-Key", g.pinned, "X-Forwarded-For", "203.0.113.7"), status: 403, code: "address_not_allowed", caller: g.known[g.pinned].ID},
	)
	if rule.Signed {
		list = append(list, situation{name: "Bearer", request: with("X-API-Key", g.good), status: 401, code: "signature_required", caller: g.known[g.good].ID})
		list = append(list, situation{name: "SignedWrongScope", request: func() *http.Request {
			r := with()()
			access.Sign(r, g.barred.Public(), g.barredSecret, broken, time.Now())
			return r
		}, status: 403, code: "insufficient_scope", caller: g.barred.ID})
	} else {
		list = append(list, situation{name: "WrongScope", request: with("X-API-Key", g.unscoped), status: 403, code: "insufficient_scope", caller: g.known[g.unscoped].ID})
	}
	if rule.Master {
		list = append(list, situation{name: "NotTheMaster", request: with("X-API-Key", g.good), status: 403, code: "insufficient_scope", caller: g.known[g.good].ID})
	}
	return append(list, g.signing(route, path, broken)...)
}

// signing returns the ways of signing badly.
func (g *gatehouse) signing(route access.Route, path string, body []byte) []situation {
	signed := func(edit func(*http.Request), at time.Time, headers ...string) func() *http.Request {
		return func() *http.Request {
			r := g.request(route.Method, path, body, headers...)
			access.Sign(r, g.signed.Public(), g.secret, body, at)
			g.signatures = append(g.signatures, r.Header.Get("X-Signature"))
			if edit != nil {
				edit(r)
			}
			return r
		}
	}
	now, id := time.Now(), g.signed.ID
	list := []situation{
		{name: "Unsigned", request: signed(func(r *http.Request) {
			r.Header.Del("X-Timestamp")
			r.Header.Del("X-Signature")
		}, now), status: 401, code: "signature_required", caller: id},
		{name: "SecretSent", request: func() *http.Request { return g.request(route.Method, path, body, "X-API-Key", g.secret) }, status: 401, code: "signature_required", caller: id},
		{name: "NoTimestamp", request: signed(func(r *http.Request) { r.Header.Del("X-Timestamp") }, now), status: 401, code: "invalid_signature", caller: id},
		{name: "Stale", request: signed(nil, now.Add(-31*time.Second)), status: 401, code: "stale_timestamp", caller: id},
		{name: "FromTheFuture", request: signed(nil, now.Add(40*time.Second)), status: 401, code: "stale_timestamp", caller: id},
		{name: "OtherQuery", request: signed(func(r *http.Request) { r.URL.RawQuery = "limit=1" }, now), status: 401, code: "invalid_signature", caller: id},
		{name: "OtherSignature", request: signed(func(r *http.Request) { r.Header.Set("X-Signature", hex.EncodeToString(make([]byte, 32))) }, now), status: 401, code: "invalid_signature", caller: id},
	}
	if route.Rule.Once {
		list = append(list, situation{name: "NoIdempotencyKey", request: signed(nil, now.Add(time.Second)), status: 400, code: "idempotency_key_required", caller: id})
	}
	if route.Method == http.MethodGet || route.Rule.Master {
		return list
	}
	// The first is refused for what it asks for, and the second because it is the
	// first again; with another Idempotency-Key too.
	replay := func(headers ...string) func() *http.Request {
		return func() *http.Request {
			first := signed(nil, now.Add(2*time.Second), headers...)()
			response := g.do(first)
			require.GreaterOrEqual(g.t, response.status, 400, "%s: %s", route.Pattern(), response.body)
			g.audited()
			if len(headers) > 0 {
				headers = []string{"Idempotency-Key", "thief"}
			}
			return signed(nil, now.Add(2*time.Second), headers...)()
		}
	}
	if !route.Rule.Once {
		list = append(list, situation{name: "Replayed", request: replay(), status: 401, code: "replayed_signature", caller: id})
	}
	if route.Method == http.MethodPost {
		list = append(list, situation{name: "ReplayedWithAnotherKey", request: replay("Idempotency-Key", "own"), status: 401, code: "replayed_signature", caller: id})
	}
	return list
}

// realms holds a route to telling strangers with good credentials nothing: of what is
// another tenant's, or of the other environment, exactly what it tells of nothing.
func (g *gatehouse) realms(route access.Route) {
	g.t.Helper()
	if route.Rule.Master {
		return
	}
	ours, named := g.path(route, true)
	nothing, _ := g.path(route, false)
	for _, stranger := range []string{"foreign", "other"} {
		credential := []string{"Authorization", "Bearer " + g.token[stranger]}
		if route.Rule.Scope != "" {
			credential = []string{"X-API-Key", map[string]string{"foreign": g.foreign, "other": g.other}[stranger]}
		}
		if route.Rule.Signed || (!named && route.Method != http.MethodGet) || strings.HasSuffix(route.Path, "/stream") {
			continue // without an id it is about the stranger's own
		}
		body := g.body(route)
		before := g.rows()
		response := g.do(g.request(route.Method, ours, body, credential...))
		what := fmt.Sprintf("%s, %s: %s", route.Pattern(), stranger, response.body)
		if !named {
			for _, id := range g.ids {
				require.NotContains(g.t, response.body, id, what)
			}
			continue
		}
		unknown := g.do(g.request(route.Method, nothing, body, credential...))
		require.Equal(g.t, http.StatusNotFound, response.status, what)
		require.Equal(g.t, unknown.status, response.status, what)
		require.Equal(g.t, unknown.body, response.body, what)
		require.Equal(g.t, before, g.rows(), what)
	}
	g.audited()
}

// requireUntold fails if a secret of the run, or one of further texts, stands in a
// text.
func (g *gatehouse) requireUntold(text string, further ...string) {
	g.t.Helper()
	require.Greater(g.t, len(text), 5000, "there is something to look through")
	own := []string{
		g.cfg.API.MasterKey.Reveal(), g.cfg.API.KeyPepper.Reveal(), g.cfg.API.JWTSeed.Reveal(), g.cfg.Secrets.Keyset.Reveal(),
		g.cfg.Database.URL.Reveal(), g.cfg.Redis.URL.Reveal(),
	}
	for _, secret := range slices.Concat(own, g.secrets, further) {
		require.NotEmpty(g.t, secret)
		if strings.Contains(text, secret) {
			g.t.Errorf("a secret of %d characters that begins with %.9s is told", len(secret), secret)
		}
	}
}
