package main

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// login is one connected account at a venue.
type login struct {
	s     *stack
	at    string // path of the account
	token string
}

// connectVenue connects a login for the user of a token.
func (s *stack) connectVenue(token, venue string, body map[string]string) login {
	s.t.Helper()
	status, answer := s.call("POST", "/v1/exchange/"+venue+"/connect", "Authorization", "Bearer "+token, body)
	require.Equal(s.t, http.StatusOK, status, answer)
	return login{s: s, at: "/v1/exchange/" + venue + "/account/" + answer["id"].(string), token: token}
}

// ask makes one request about the account and returns status and body.
func (l login) ask(method, path string, body any) (int, map[string]any) {
	l.s.t.Helper()
	return l.s.call(method, l.at+path, "Authorization", "Bearer "+l.token, body)
}

// member returns a member of what GET answers, by path; nil if there is none.
func (l login) member(path string, steps ...any) any {
	l.s.t.Helper()
	status, answer := l.ask("GET", path, nil)
	require.Equal(l.s.t, http.StatusOK, status, answer)
	var v any = answer
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			object, _ := v.(map[string]any)
			v = object[step]
		case int:
			list, _ := v.([]any)
			if step >= len(list) {
				return nil
			}
			v = list[step]
		}
	}
	return v
}

// TestExchangeAccountsLife is the life of a login: connected, read, refused by its
// venue, replaced, and forgotten.
func TestExchangeAccountsLife(t *testing.T) {
	t.Parallel()
	log := &syncWriter{}
	e := newExchanges(t)
	const renewed = "blink_renewed_0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQR"
	e.set(func(e *exchanges) {
		e.keys[renewed] = []string{"READ"}
		e.rows = []blinkRow{
			{id: "in", currency: "BTC", via: "OnChain", tx: strings.Repeat("ab", 32), amount: 200_000, at: time.Now().Add(-48 * time.Hour)},
			{id: "out", currency: "BTC", via: "Ln", amount: -50_000, fee: 10, at: time.Now().Add(-time.Hour)},
		}
	})
	s := newStack(t, nil)
	s.log, s.cfg.Venues = log, e.settings()
	s.start()
	db, err := pgx.Connect(t.Context(), s.cfg.Database.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { _ = db.Close(context.WithoutCancel(t.Context())) })

	_, token := s.user()
	began := time.Now()
	l := s.connectVenue(token, "blink", map[string]string{"api_key": blinkKey, "description": "My wallet"})
	// The first balance is waited for.
	require.NotNil(t, l.member("/balance", "state", "last_sync"))
	t.Logf("connected and read in %s", time.Since(began))
	require.Equal(t, json.Number("0.0015"), l.member("/balance", "BTC"))
	require.Equal(t, json.Number("12.5"), l.member("/balance", "USD"))
	require.Equal(t, "150000", l.member("/balance", "balance", 0, "base_units"))
	require.Equal(t, "spot", l.member("/balance", "wallets", 0, "wallet"))
	s.eventually("the history is read", func() bool { return l.member("/transactions", "state", "history", "status") == "complete" })
	require.Equal(t, "out", l.member("/transactions", "transactions", 0, "transaction_id"))
	require.Equal(t, "-0.0005", l.member("/transactions", "transactions", 0, "total", 0, "decimal"))
	require.Equal(t, "bip122:000000000019d6689c085ae165831e93", l.member("/transactions", "transactions", 1, "venue", "chain"))
	require.NotEmpty(t, l.member("/transactions", "state", "venue", "histories", 0, "covered"))

	// What changes there is seen here.
	e.set(func(e *exchanges) {
		e.sats += 1_000
		e.rows = append(e.rows, blinkRow{id: "more", currency: "BTC", via: "IntraLedger", amount: 1_000, at: time.Now()})
	})
	s.eventually("the balance is level", func() bool { return l.member("/balance", "BTC") == json.Number("0.00151") })
	s.eventually("the payment is listed", func() bool { return l.member("/transactions", "transactions", 0, "transaction_id") == "more" })

	// A key that is refused stops the account, with a state that its user can read;
	// what it held still stands.
	e.set(func(e *exchanges) { delete(e.keys, blinkKey) })
	s.eventually("the account is stopped", func() bool { return l.member("/balance", "state", "status") == "stopped" })
	require.Equal(t, "key_refused", l.member("/balance", "state", "venue", "reason"))
	require.Nil(t, l.member("/balance", "state", "venue", "retry_at"))
	require.Equal(t, json.Number("0.00151"), l.member("/balance", "BTC"))
	asked := e.count("/graphql")
	status, answer := s.call("GET", "/v1/aggregate/balance", "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusOK, status)
	account := answer["balance"].(map[string]any)["accounts"].([]any)[0].(map[string]any)
	require.Equal(t, "stopped", account["state"].(map[string]any)["status"])
	require.Equal(t, asked, e.count("/graphql"), "a stopped account is not asked")

	// Other credentials of the same login let it go on.
	status, answer = l.ask("PUT", "/credentials", map[string]string{"api_key": blinkKey})
	require.Equal(t, http.StatusBadRequest, status, answer)
	require.Equal(t, "login_refused", answer["code"])
	require.Equal(t, "stopped", l.member("/balance", "state", "status"))
	status, answer = l.ask("PUT", "/credentials", map[string]string{"api_key": renewed})
	require.Equal(t, http.StatusOK, status, answer)
	e.set(func(e *exchanges) { e.sats = 42 })
	s.eventually("the account goes on", func() bool { return l.member("/balance", "BTC") == json.Number("0.00000042") })
	s.eventually("its state says so", func() bool { return l.member("/balance", "state", "status") == "level" })

	// The operator sees how many are level, and what was asked.
	table, err := tallyd(t, "status", "--url", s.url, "--key", testMaster)
	require.NoError(t, err)
	require.Regexp(t, `(?m)^VENUE +ENVIRONMENT +ACCOUNTS +LEVEL .*\nblink +live +1 +1 +0 +0 +0$`, table)
	response, err := http.Get(s.url + "/metrics") //nolint:noctx // of this test
	require.NoError(t, err)
	metrics, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Contains(t, string(metrics), `tallyd_venue_accounts{environment="live",status="level",venue="blink"} 1`)
	require.Contains(t, string(metrics), "tallyd_deliveries_waiting 0\n")
	require.Contains(t, string(metrics), `tallyd_venue_requests_total{host="`+strings.TrimPrefix(e.URL, "http://")+`",status="200"}`)

	// Disconnected, nothing is left of the credentials, and nobody is asked.
	var sealed int
	count := func() int {
		require.NoError(t, db.QueryRow(t.Context(), "SELECT count(*) FROM logins").Scan(&sealed))
		return sealed
	}
	require.Equal(t, 1, count())
	status, answer = l.ask("DELETE", "", nil)
	require.Equal(t, http.StatusOK, status, answer)
	require.Zero(t, count(), "the credentials are erased")
	status, _ = l.ask("GET", "/balance", nil)
	require.Equal(t, http.StatusNotFound, status)

	for _, secret := range []string{blinkKey, renewed} {
		require.NotContains(t, log.String(), secret)
	}
}

// TestExchangeAccountsRefused: what a venue says of a login is said to its user,
// and nothing is stored.
func TestExchangeAccountsRefused(t *testing.T) {
	t.Parallel()
	e := newExchanges(t)
	e.set(func(e *exchanges) {
		e.keys["blink_writes_0123456789"], e.keys["blink_everything_0123456789"] = []string{"READ", "WRITE"}, []string{}
	})
	s := newStack(t, nil)
	s.cfg.Venues = e.settings()
	s.start()
	_, token := s.user()
	whole := map[string]string{"api_key": bitmartKey, "api_secret": bitmartSecret, "memo": bitmartMemo}
	with := func(name, value string) map[string]string {
		login := map[string]string{name: value}
		for n, v := range whole {
			if n != name {
				login[n] = v
			}
		}
		return login
	}
	for _, test := range []struct {
		name, venue string
		body        map[string]string
		down        bool
		status      int
		code, text  string
	}{
		{name: "Strong", venue: "blink", body: map[string]string{"api_key": "blink_writes_0123456789"}, status: 400, code: "key_too_strong", text: "WRITE"},
		{name: "WithoutScopes", venue: "blink", body: map[string]string{"api_key": "blink_everything_0123456789"}, status: 400, code: "key_too_strong", text: "full access"},
		{name: "Unknown", venue: "blink", body: map[string]string{"api_key": "blink_unknown_0123456789"}, status: 400, code: "login_refused", text: "key_refused"},
		{name: "Memo", venue: "bitmart", body: with("memo", "12345678"), status: 400, code: "login_refused", text: "the memo is the text that you typed when you made the key, not your user id"},
		{name: "Unacknowledged", venue: "bitmart", body: whole, status: 400, code: "key_unverified", text: "permissions_unverified"},
		{name: "Down", venue: "blink", body: map[string]string{"api_key": blinkKey}, down: true, status: 503, code: "venue_unavailable", text: "nothing was stored"},
	} {
		e.set(func(e *exchanges) { e.down = test.down })
		status, answer := s.call("POST", "/v1/exchange/"+test.venue+"/connect", "Authorization", "Bearer "+token, test.body)
		require.Equal(t, test.status, status, "%s: %v", test.name, answer)
		require.Equal(t, test.code, answer["code"], test.name)
		text, err := json.Marshal(answer)
		require.NoError(t, err)
		require.Contains(t, string(text), test.text, test.name)
	}
	status, answer := s.call("GET", "/v1/aggregate/accounts", "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusOK, status)
	require.Empty(t, answer["list"])

	// Whole, BitMart's login is connected, and what cannot be read is named.
	e.set(func(e *exchanges) { e.down = false })
	l := s.connectVenue(token, "bitmart", with("permissions_unverified", "acknowledged"))
	require.Equal(t, json.Number("1.5"), l.member("/balance", "BTC"))
	require.Equal(t, "earn", l.member("/balance", "state", "venue", "missing", 0, "wallet"))
	// An account of a region that Blink leaves is shown as such.
	e.set(func(e *exchanges) { e.windDown = "RECEIVE_DISABLED" })
	status, answer = s.call("POST", "/v1/exchange/blink/connect", "Authorization", "Bearer "+token, map[string]string{"api_key": blinkKey})
	require.Equal(t, http.StatusOK, status, answer)
	require.Contains(t, answer["warnings"].([]any)[0], "frozen: Blink ends custody")
}
