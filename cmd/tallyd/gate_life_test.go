package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/config"
)

// second returns another daemon on the same database and Redis.
func (g *gatehouse) second() *stack {
	g.t.Helper()
	s := &stack{t: g.t, cfg: g.cfg, log: g.log}
	s.start()
	return s
}

// at returns a request for another daemon.
func at(s *stack, r *http.Request) *http.Request {
	target, err := url.Parse(s.url)
	require.NoError(s.t, err)
	r.URL.Host, r.Host = target.Host, target.Host
	return r
}

// TestRevocationReachesEveryDaemon: a key that is revoked through one daemon opens
// nothing at any a second later, however warm it is.
func TestRevocationReachesEveryDaemon(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	second := g.second()
	get := func(s *stack, key string) int {
		response := g.do(at(s, g.request("GET", "/v1/chains", nil, "X-API-Key", key)))
		return response.status
	}
	for range 3 {
		text, key := g.issue(nil)
		for range 20 {
			require.Equal(t, http.StatusOK, get(g.stack, text))
			require.Equal(t, http.StatusOK, get(second, text))
		}
		response := g.do(g.request("DELETE", "/api-keys/"+key.ID+"?owner=tests", nil, "X-Blnk-Key", testMaster))
		require.Equal(t, http.StatusNoContent, response.status, "%s", response.body)
		revoked := time.Now()
		for _, s := range []*stack{g.stack, second} {
			for {
				asked := time.Since(revoked)
				if get(s, text) == http.StatusUnauthorized {
					break
				}
				require.Less(t, asked, time.Second, "it still opens")
			}
		}
	}
}

// TestRevocationEndsStreams: a key that is revoked through one daemon ends the streams
// it has opened at any.
func TestRevocationEndsStreams(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	text, key := g.issue(nil)
	ended := make(chan time.Time, 2)
	for _, s := range []*stack{g.stack, g.second()} {
		response, err := http.DefaultClient.Do(at(s, g.request("GET", "/v1/events/stream", nil, "X-API-Key", text)))
		require.NoError(t, err)
		t.Cleanup(func() { _ = response.Body.Close() })
		require.Equal(t, http.StatusOK, response.StatusCode)
		lines := bufio.NewReader(response.Body)
		_, err = lines.ReadString('\n')
		require.NoError(t, err)
		go func() {
			_, _ = io.Copy(io.Discard, lines)
			ended <- time.Now()
		}()
	}
	select {
	case <-ended:
		require.Fail(t, "it ended before the key did")
	case <-time.After(2 * time.Second):
	}
	response := g.do(g.request("DELETE", "/api-keys/"+key.ID+"?owner=tests", nil, "X-Blnk-Key", testMaster))
	require.Equal(t, http.StatusNoContent, response.status, "%s", response.body)
	revoked := time.Now()
	for range 2 {
		// Two seconds, and some for a machine that does other things too.
		require.Less(t, (<-ended).Sub(revoked), 5*time.Second)
	}
}

// TestOnceOverDaemons sends one request ten times at once, to two daemons: it is
// carried out once.
func TestOnceOverDaemons(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	second := g.second()
	body := []byte(`{"name":"only one"}`)
	answers := make([]string, 10)
	var wait sync.WaitGroup
	for i := range answers {
		wait.Go(func() {
			s := []*stack{g.stack, second}[i%2]
			response := g.do(at(s, g.request("POST", "/v1/users", body, "X-API-Key", g.good, "Idempotency-Key", "once")))
			answers[i] = fmt.Sprintf("%d %s", response.status, response.body)
		})
	}
	wait.Wait()
	kept := g.do(g.request("POST", "/v1/users", body, "X-API-Key", g.good, "Idempotency-Key", "once"))
	require.Equal(t, "true", kept.header.Get("Idempotency-Replayed"))
	for _, answer := range answers {
		if !strings.Contains(answer, `"code":"request_running"`) {
			require.Equal(t, "201 "+kept.body, answer)
		}
	}
	var made int
	require.NoError(t, g.db.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE name = 'only one'").Scan(&made))
	require.Equal(t, 1, made)
	response := g.do(g.request("POST", "/v1/users", []byte(`{"name":"another"}`), "X-API-Key", g.good, "Idempotency-Key", "once"))
	require.Equal(t, http.StatusBadRequest, response.status, "%s", response.body)
	require.Contains(t, response.body, "idempotency_key_reused")
}

// TestReplayOverDaemons: a signature is used up at every daemon, also when Redis has
// forgotten it.
func TestReplayOverDaemons(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	second := g.second()
	options, err := redis.ParseURL(g.cfg.Redis.URL.Reveal())
	require.NoError(t, err)
	cache := redis.NewClient(options)
	t.Cleanup(func() { _ = cache.Close() })
	body, now := []byte(`{"name":"n"}`), time.Now()
	send := func(s *stack, headers ...string) (int, string) {
		r := g.request("POST", "/v1/users", body, headers...)
		access.Sign(r, g.signed.Public(), g.secret, body, now)
		response := g.do(at(s, r))
		return response.status, response.body
	}
	status, first := send(g.stack, "Idempotency-Key", "mine")
	require.Equal(t, http.StatusCreated, status, first)
	for range 2 {
		for _, s := range []*stack{g.stack, second} {
			status, answer := send(s)
			require.Equal(t, http.StatusUnauthorized, status)
			require.Contains(t, answer, "replayed_signature")
			status, answer = send(s, "Idempotency-Key", "thief")
			require.Equal(t, http.StatusUnauthorized, status)
			require.Contains(t, answer, "replayed_signature")
			status, answer = send(s, "Idempotency-Key", "mine")
			require.Equal(t, http.StatusCreated, status, "its owner may ask again")
			require.Equal(t, first, answer)
		}
		require.NoError(t, cache.FlushDB(t.Context()).Err())
	}
	var kept int
	require.NoError(t, g.db.QueryRow(t.Context(), "SELECT count(*) FROM users WHERE name = 'n'").Scan(&kept))
	require.Equal(t, 1, kept)
}

// TestBudgetOverDaemons: two daemons give a key away one budget.
func TestBudgetOverDaemons(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	second := g.second()
	text, _ := g.issue(func(r *access.Request) { r.PerMinute = 4 })
	var statuses []int
	for i := range 6 {
		s := []*stack{g.stack, second}[i%2]
		response := g.do(at(s, g.request("GET", "/v1/chains", nil, "X-API-Key", text)))
		require.Equal(t, "4", response.header.Get("RateLimit-Limit"))
		statuses = append(statuses, response.status)
	}
	require.Equal(t, []int{200, 200, 200, 200, 429, 429}, statuses)
}

// TestGateSettings: what the settings say of proxies, peppers and budgets is what the
// gate goes by.
func TestGateSettings(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	g.stop()
	g.cfg.API.TrustedProxies = []config.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}}
	g.cfg.API.KeyPepper, g.cfg.API.AcceptedKeyPeppers = config.NewSecret("another pepper of the tests"), []config.Secret{g.cfg.API.KeyPepper}
	g.cfg.API.Limits = config.Limits{CustodyPerMinute: 7, PerMinute: 8, AnonymousPerMinute: 9}
	g.start()
	get := func(path string, headers ...string) told { return g.do(g.request("GET", path, nil, headers...)) }
	require.Equal(t, http.StatusOK, get("/v1/chains", "X-API-Key", g.pinned, "X-Forwarded-For", "198.51.100.1, 203.0.113.7").status, "under the pepper before")
	require.Equal(t, http.StatusForbidden, get("/v1/chains", "X-API-Key", g.pinned, "X-Forwarded-For", "203.0.113.7, 198.51.100.1").status)
	require.Equal(t, "9", get("/docs").header.Get("RateLimit-Limit"))
	require.Equal(t, "7", get("/transactions", "X-API-Key", g.plain).header.Get("RateLimit-Limit"))
	require.Equal(t, "8", get("/v1/chains", "X-API-Key", g.plain).header.Get("RateLimit-Limit"))
	require.Equal(t, "8", get("/v1/aggregate/accounts", "Authorization", "Bearer "+g.token["good"]).header.Get("RateLimit-Limit"))
}

// TestDatabaseAway: while the database does not answer nobody is told that its key is
// bad, and nobody whose key may have been revoked is let in.
func TestDatabaseAway(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	var name string
	require.NoError(t, g.db.QueryRow(t.Context(), "SELECT current_database()").Scan(&name))
	elsewhere, err := url.Parse(g.cfg.Database.URL.Reveal())
	require.NoError(t, err)
	elsewhere.Path = "/postgres"
	server, err := pgx.Connect(t.Context(), elsewhere.String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Close(context.WithoutCancel(t.Context())) })
	open := func(yes bool) {
		t.Helper()
		_, err := server.Exec(t.Context(), fmt.Sprintf("ALTER DATABASE %s ALLOW_CONNECTIONS %t", pgx.Identifier{name}.Sanitize(), yes))
		require.NoError(t, err)
		_, err = server.Exec(t.Context(), "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1", name)
		require.NoError(t, err)
	}
	ask := func(method string, body []byte, headers ...string) told {
		answer := g.do(g.request(method, "/v1/users", body, headers...))
		require.Contains(t, []int{200, 201, 500, 503}, answer.status, answer.body)
		return answer
	}
	require.Equal(t, http.StatusOK, ask("GET", nil, "X-API-Key", g.good).status)
	open(false)
	for began := time.Now(); time.Since(began) < 3*time.Second; {
		asked := time.Since(began)
		answer := ask("GET", nil, "X-API-Key", g.good)
		if asked > time.Second {
			require.Equal(t, http.StatusServiceUnavailable, answer.status, "what it remembers is too old")
			require.Contains(t, answer.body, "nothing was done")
		}
		require.GreaterOrEqual(t, ask("POST", []byte(`{"name":"n"}`), "X-API-Key", testMaster).status, 500)
	}
	open(true)
	g.eventually("keys are known again", func() bool { return ask("GET", nil, "X-API-Key", g.good).status == http.StatusOK })
	g.eventually("writes are carried out again", func() bool {
		return ask("POST", []byte(`{"name":"n"}`), "X-API-Key", g.good).status == http.StatusCreated
	})
}

// TestWritesAreWrittenDown: each write is in the audit log with what became of it,
// and the last use of a key is there when the daemon has stopped.
func TestWritesAreWrittenDown(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	g.audited()
	text, key := g.issue(nil)
	var used *time.Time
	lastUse := func() *time.Time {
		require.NoError(t, g.db.QueryRow(t.Context(), "SELECT last_used_at FROM keys WHERE id = $1", key.ID).Scan(&used))
		return used
	}
	require.Nil(t, lastUse())
	began := time.Now()
	id, _ := g.userOf(text)
	for _, c := range []struct {
		method, path, body string
		status             int
	}{
		{"POST", "/v1/users/" + id, `{"name":"m"}`, 200},
		{"POST", "/v1/users/" + id, `{"name":7}`, 400},
		{"DELETE", "/v1/users/" + id, ``, 200},
		{"DELETE", "/v1/users/" + id, ``, 404},
	} {
		var body []byte
		if c.body != "" {
			body = []byte(c.body)
		}
		response := g.do(g.request(c.method, c.path, body, "X-API-Key", text))
		require.Equal(t, c.status, response.status, "%s", response.body)
	}
	require.Equal(t, []string{
		key.ID + " POST /v1/users 201 ", key.ID + " POST /v1/users/{id} 200 ", key.ID + " POST /v1/users/{id} 400 invalid_input",
		key.ID + " DELETE /v1/users/{id} 200 ", key.ID + " DELETE /v1/users/{id} 404 not_found",
	}, g.audited())
	g.stop()
	require.NotNil(t, lastUse())
	require.WithinRange(t, *used, began.Add(-time.Second), time.Now())
}

// TestSecureModeOff: programs on this machine need no key, and everybody can see it.
func TestSecureModeOff(t *testing.T) {
	t.Parallel()
	log := &syncWriter{}
	s := newStack(t, nil)
	s.log = log
	require.NoError(t, s.cfg.API.Secure.UnmarshalText([]byte("false")))
	s.start()
	status, answer := s.call("GET", "/health", "Accept", "application/json", nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"status": "ok", "secure": false}, answer)
	status, answer = s.call("POST", "/v1/users", "X-Tenant", "default", map[string]string{"name": "n"})
	require.Equal(t, http.StatusCreated, status, answer)
	require.Equal(t, "master", answer["created_by"])
	status, _ = s.call("GET", "/v1/users", "X-Forwarded-For", "192.0.2.1", nil)
	require.Equal(t, http.StatusBadRequest, status, "through a proxy it is as if it were on")
	s.eventually("the log says it", func() bool {
		return strings.Contains(log.String(), `"level":"warn"`) && strings.Contains(log.String(), "secure mode is off")
	})
	// Elsewhere than on this machine it is refused, by the settings and by the socket.
	_, err := tallyd(t, "serve", "-c", settingsFile(t, "listen: 0.0.0.0:0", strings.Replace(apiPart, "{", "{secure: false, ", 1), downPart, chainPart))
	require.ErrorContains(t, err, "api.secure")
	elsewhere, err := listen(t.Context(), "0.0.0.0:0", "")
	require.NoError(t, err)
	require.False(t, onlyHere(elsewhere.Addr()))
	require.NoError(t, elsewhere.Close())
}

// TestNoSecretIsTold makes every kind of secret there is, uses it well and badly, and
// finds none of them in the log of the daemons at any level, nor in the database.
func TestNoSecretIsTold(t *testing.T) {
	t.Parallel()
	log := &syncWriter{}
	g := newGatehouse(t, log)
	g.second()
	ask := func(method, path string, body any, headers ...string) map[string]any {
		t.Helper()
		var raw []byte
		if body != nil {
			var err error
			raw, err = json.Marshal(body)
			require.NoError(t, err)
		}
		response := g.do(g.request(method, path, raw, append([]string{"X-API-Key", testMaster, "Idempotency-Key", "k"}, headers...)...))
		require.Less(t, response.status, 400, "%s", response.body)
		var members map[string]any
		require.NoError(t, json.Unmarshal([]byte(response.body), &members), "%s", response.body)
		for _, member := range []string{"secret", "token", "signingSecret"} {
			if text, ok := members[member].(string); ok {
				g.secrets = append(g.secrets, text)
			}
		}
		return members
	}
	bearer := ask("POST", "/api-keys", map[string]any{"name": "b", "owner": "tests", "scopes": []string{"*:*"}})
	g.secrets = append(g.secrets, bearer["key"].(string))
	signed := ask("POST", "/v1/api-keys", map[string]any{"name": "s", "owner": "tests", "scopes": []string{"*:*"}, "kind": "signed"})
	rotated := ask("POST", "/api-keys/"+bearer["api_key_id"].(string)+"/rotate?owner=tests", map[string]any{})
	g.secrets = append(g.secrets, rotated["key"].(string))
	ask("POST", "/v1/webhooks/endpoints/"+g.ids["endpoints"]+"/secret/rotate", map[string]any{})
	g.useLogins()
	ask("PUT", "/webhooks/outbound", map[string]any{"url": "https://example.com/outbound"})

	// Used well, and badly: in the wrong place, and where the answer is a fault.
	body := []byte(`{"name":"n"}`)
	r := g.request("POST", "/v1/users", body)
	access.Sign(r, signed["key"].(string), signed["secret"].(string), body, time.Now())
	g.signatures = append(g.signatures, r.Header.Get("X-Signature"))
	response := g.do(r)
	require.Equal(t, http.StatusCreated, response.status, "%s", response.body)
	for _, secret := range append([]string{testMaster}, g.secrets...) {
		g.do(g.request("GET", "/v1/users", nil, "Authorization", "Bearer "+secret))
		g.do(g.request("GET", "/v1/users", nil, "X-API-Key", secret+"x"))
		g.do(g.request("GET", "/v1/users", nil, "X-API-Key", bearer["key"].(string), "X-Signature", secret, "X-Timestamp", secret))
		g.do(g.request("POST", "/v1/users", []byte(`{"name":{"a":"`+secret+`"}}`), "X-Blnk-Key", testMaster))
		g.do(g.request("GET", "/v1/events?after="+url.QueryEscape(secret), nil, "X-API-Key", testMaster))
	}
	g.requireUntold(log.String(), g.signatures...)
	g.stop()
	g.requireUntold(g.dump())
}

// useLogins connects logins of venues, well and badly, and replaces one.
func (g *gatehouse) useLogins() {
	g.t.Helper()
	token := []string{"Authorization", "Bearer " + g.token["good"]}
	send := func(method, path string, body map[string]string, headers ...string) told {
		raw, err := json.Marshal(body)
		require.NoError(g.t, err)
		response := g.do(g.request(method, path, raw, append(headers, token...)...))
		for _, secret := range []string{blinkKey, bitmartKey, bitmartSecret, bitmartMemo} {
			require.NotContains(g.t, response.body, secret)
		}
		return response
	}
	whole := map[string]string{"api_key": bitmartKey, "api_secret": bitmartSecret, "memo": bitmartMemo, "permissions_unverified": "acknowledged"}
	connected := send("POST", "/v1/exchange/bitmart/connect", whole, "Idempotency-Key", "login")
	require.Equal(g.t, http.StatusOK, connected.status, connected.body)
	require.Equal(g.t, "true", send("POST", "/v1/exchange/bitmart/connect", whole, "Idempotency-Key", "login").header.Get("Idempotency-Replayed"))
	require.Equal(g.t, http.StatusBadRequest, send("POST", "/v1/exchange/bitmart/connect", whole).status, "it is connected already")
	mixed := maps.Clone(whole)
	mixed["api_secret"], mixed["memo"] = bitmartMemo, bitmartSecret
	require.Equal(g.t, http.StatusBadRequest, send("POST", "/v1/exchange/bitmart/connect", mixed).status)
	require.Equal(g.t, http.StatusBadRequest, send("POST", "/v1/exchange/blink/connect", map[string]string{"api_key": bitmartSecret, "region": blinkKey}).status)
	require.Equal(g.t, http.StatusNotFound, send("POST", "/v1/exchange/mtgox/connect", whole).status)
	at := "/v1/exchange/blink/account/" + g.ids["account"]
	require.Equal(g.t, http.StatusOK, send("PUT", at+"/credentials", map[string]string{"api_key": blinkKey}).status)
	require.Equal(g.t, http.StatusBadRequest, send("PUT", at+"/credentials", map[string]string{"api_key": bitmartSecret}).status)
	for _, path := range []string{at + "/balance", at + "/transactions", "/v1/aggregate/accounts", "/v1/aggregate/balance"} {
		response := g.do(g.request("GET", path, nil, token...))
		require.Equal(g.t, http.StatusOK, response.status, response.body)
		for _, secret := range []string{blinkKey, bitmartKey, bitmartSecret, bitmartMemo} {
			require.NotContains(g.t, response.body, secret)
		}
	}
}

// dump returns every row of the database as text.
func (g *gatehouse) dump() string {
	g.t.Helper()
	var dump bytes.Buffer
	found, err := g.db.Query(g.t.Context(), "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition")
	require.NoError(g.t, err)
	names, err := pgx.CollectRows(found, pgx.RowTo[string])
	require.NoError(g.t, err)
	for _, name := range names {
		found, err := g.db.Query(g.t.Context(), "SELECT t::text FROM "+pgx.Identifier{name}.Sanitize()+" AS t")
		require.NoError(g.t, err)
		rows, err := pgx.CollectRows(found, pgx.RowTo[string])
		require.NoError(g.t, err)
		for _, row := range rows {
			dump.WriteString(row + "\n")
			// What stands in a column of bytes, as it would read.
			for _, column := range hexadecimal.FindAllStringSubmatch(row, -1) {
				raw, err := hex.DecodeString(column[1])
				require.NoError(g.t, err)
				dump.Write(append(raw, '\n'))
			}
		}
	}
	return dump.String()
}
