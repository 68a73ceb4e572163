package api_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

const memoLogin = `{"api_key":"good","api_secret":"s3cr3t-canary","memo":"mine","permissions_unverified":"acknowledged","description":"My exchange"}`

// connectVenue connects a login and returns the id of the account.
func (d *desk) connectVenue(bearer, name, body string) string {
	d.t.Helper()
	a := d.call(http.MethodPost, "/v1/exchange/"+name+"/connect", body, "Authorization", bearer)
	require.Equal(d.t, http.StatusOK, a.StatusCode, "%s", a.raw)
	return a.json(d.t, "id").(string)
}

// Blockmate's flow for exchanges: what there is, what it takes, connect, balance,
// transactions, totals, disconnect.
func TestExchangeFlow(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	user, bearer := d.user()
	mine := []string{"Authorization", bearer}

	providers := d.call("GET", "/v1/aggregate/account_providers", "", mine...)
	require.Equal(t, map[string]any{"name": "bitmart", "type": "crypto_exchange", "url": "exchange/bitmart"}, providers.json(t, 3))
	hints := d.call("GET", "/v1/aggregate/account_provider_hints", "", mine...)
	require.Equal(t, "exchange/blink", hints.json(t, 4, "account_url"))
	require.Equal(t, "API key", hints.json(t, 4, "fields", "api_key"))

	connected := d.call("POST", "/v1/exchange/bitmart/connect", memoLogin, mine...)
	require.Equal(t, http.StatusOK, connected.StatusCode, "%s", connected.raw)
	require.Equal(t, "bitmart", connected.json(t, "name"))
	require.Equal(t, "My exchange", connected.json(t, "description"))
	require.Equal(t, false, connected.json(t, "verified"))
	require.Equal(t, "login", connected.json(t, "login"))
	require.Equal(t, []any{`The key lacks the right "Earn".`}, connected.json(t, "warnings"))
	require.Equal(t, "syncing", connected.json(t, "state", "status"))
	require.Equal(t, "user:"+user, connected.json(t, "created_by"))
	id := connected.json(t, "id").(string)
	requireProblem(t, d.call("POST", "/v1/exchange/bitmart/connect", memoLogin, mine...), 400, "wallet_connected")

	at := "/v1/exchange/bitmart/account/" + id
	d.venues.set(func(f *fakeVenues) {
		f.states[uuid.MustParse(id)], f.holdings, f.movements = levelAtVenue(), atVenue(), movements()
	})
	b := d.call("GET", at+"/balance", "", mine...)
	require.Equal(t, http.StatusOK, b.StatusCode)
	require.Equal(t, "2026-11-22T12:00:00.123456+00:00", b.json(t, "state", "last_sync"))
	require.EqualValues(t, "1.750000001", b.json(t, "BTC"), "the sum over wallets, as fine as the finest")
	require.EqualValues(t, "-12.5", b.json(t, "USD"))
	require.Nil(t, b.json(t, "WAT"), "a code that nobody knows has no member of its own")
	require.Equal(t, "1750000001", b.json(t, "balance", 0, "base_units"))
	require.EqualValues(t, "9", b.json(t, "balance", 0, "decimals"))
	require.Equal(t, "asserted", b.json(t, "balance", 0, "proof"))
	require.Equal(t, []any{"WAT"}, b.json(t, "unknown_codes"))
	require.Equal(t, "123456789012345678901234567890.123456789012345678", b.json(t, "wallets", 2, "decimal"))
	require.Equal(t, "venue:bitmart/WAT", b.json(t, "wallets", 2, "currency"))
	require.Equal(t, "0.25", b.json(t, "wallets", 0, "locked", "decimal"))
	require.Equal(t, "12.5", b.json(t, "wallets", 3, "borrowed", "decimal"))
	require.Nil(t, b.json(t, "wallets", 1, "available"))
	require.Equal(t, "permission_missing", b.json(t, "state", "venue", "missing", 0, "reason"))
	require.Equal(t, "0.5", b.json(t, "state", "venue", "totals", 0, "difference"))
	require.Nil(t, b.json(t, "state", "venue", "totals", 1, "difference"))
	require.Equal(t, "partial", b.json(t, "state", "history", "status"))
	require.Equal(t, "2026-11-22T11:00:00.123456+00:00", b.json(t, "state", "venue", "histories", 0, "covered", 0, "from"))
	require.Equal(t, "maintenance", b.json(t, "state", "venue", "histories", 1, "reason"))
	require.Nil(t, b.json(t, "state", "error"))

	list := d.call("GET", at+"/transactions", "", mine...)
	require.Len(t, list.json(t, "transactions"), 3)
	require.Equal(t, "level", list.json(t, "state", "status"))
	require.Equal(t, "in", list.json(t, "transactions", 0, "side"))
	require.Equal(t, "d1", list.json(t, "transactions", 0, "transaction_id"))
	require.Equal(t, "crypto_exchange", list.json(t, "transactions", 0, "type"))
	require.Equal(t, "btc", list.json(t, "transactions", 0, "venue", "links", 0, "chain"))
	require.Equal(t, "both", list.json(t, "transactions", 1, "side"))
	require.Equal(t, "-100.25", list.json(t, "transactions", 1, "total", 1, "decimal"))
	require.Equal(t, "0.25", list.json(t, "transactions", 1, "fee", 0, "decimal"))
	require.Equal(t, "orphaned", list.json(t, "transactions", 2, "status"))
	require.Equal(t, "reversed", list.json(t, "transactions", 2, "venue", "status"))
	require.Equal(t, "elsewhere", list.json(t, "transactions", 2, "outputs", 0, "address"))
	require.Empty(t, list.json(t, "transactions", 2, "fee"), "a fee that the venue does not tell is not zero")

	require.True(t, d.venues.filter.Shown, "what stands in two histories is listed once")
	d.call("GET", at+"/transactions?every=true", "", mine...)
	require.False(t, d.venues.filter.Shown)

	gone := d.call("DELETE", at, "", mine...)
	require.JSONEq(t, `{"message":"OK"}`, string(gone.raw))
	requireProblem(t, d.call("GET", at+"/balance", "", mine...), 404, "not_found")
}

// The totals hold accounts of both kinds.
func TestTotalsWithVenues(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	mine := []string{"Authorization", bearer}
	wallet := d.connect(bearer, "btc", "bc1q")
	id := d.connectVenue(bearer, "bitmart", memoLogin)

	totals := d.call("GET", "/v1/aggregate/balance", "", mine...)
	require.Equal(t, false, totals.json(t, "balance", "complete"), "the login was not read yet")
	require.Nil(t, totals.json(t, "BTC"))
	d.venues.set(func(f *fakeVenues) {
		f.states[uuid.MustParse(id)], f.holdings, f.movements = levelAtVenue(), atVenue(), movements()
	})
	d.ledger.set(func(f *fakeLedger) {
		f.pages = [][]indexer.Transaction{{{Chain: "btc", Tx: chains.Hash{0xab}, Status: indexer.StatusConfirmed, Block: tip, Time: noon.Add(-1)}}}
	})
	totals = d.call("GET", "/v1/aggregate/balance", "", mine...)
	require.Equal(t, true, totals.json(t, "balance", "complete"))
	require.EqualValues(t, "3.250000001", totals.json(t, "BTC"))
	require.Equal(t, "3.250000001", totals.json(t, "balance", "balance_sum", 0, "decimal"), "one coin is one asset, wherever it lies")
	require.Equal(t, wallet, totals.json(t, "balance", "accounts", 0, "account_id"))
	require.Equal(t, "exchange/bitmart/account/"+id, totals.json(t, "balance", "accounts", 1, "url"))
	require.Equal(t, "bitmart", totals.json(t, "balance", "accounts", 1, "venue"))
	require.Equal(t, "permission_missing", totals.json(t, "balance", "accounts", 1, "state", "venue", "missing", 0, "reason"))
	one := d.call("GET", "/v1/aggregate/balance?account-filter="+id, "", mine...)
	require.Len(t, one.json(t, "balance", "accounts"), 1)
	require.EqualValues(t, "1.750000001", one.json(t, "BTC"))

	accounts := d.call("GET", "/v1/aggregate/accounts", "", mine...)
	require.Equal(t, "crypto_exchange", accounts.json(t, 1, "type"))
	require.Empty(t, accounts.json(t, 1, "wallet"))

	var ids []any
	path := "/v1/aggregate/transactions?limit=2"
	for range 2 {
		page := d.call("GET", path, "", mine...)
		require.Equal(t, http.StatusOK, page.StatusCode, "%s", page.raw)
		require.Len(t, page.json(t, "accounts"), 2)
		for i := range page.json(t, "transactions").([]any) {
			ids = append(ids, page.json(t, "transactions", i, "account_id"))
		}
		cursor, _ := page.json(t, "page_cursor").(string)
		path = "/v1/aggregate/transactions?limit=2&cursor=" + cursor
	}
	require.Equal(t, []any{id, uuid.Nil.String(), id, id}, ids)
	first := d.call("GET", "/v1/aggregate/transactions", "", mine...)
	require.Equal(t, "d1", first.json(t, "transactions", 1, "links", 0, "transaction_id"), "a move between own accounts is told at both ends")
	require.Equal(t, "bitmart", first.json(t, "transactions", 1, "links", 0, "venue"))
	require.Nil(t, first.json(t, "transactions", 0, "links"))
	d.call("GET", "/v1/aggregate/transactions?status=dropped,confirmed", "", mine...)
	require.Len(t, d.venues.filter.Statuses, 3)
}

// What a login takes is said in a form that shows itself.
func TestVenueHint(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	hint := d.call("GET", "/v1/exchange/bitmart/connect", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, hint.StatusCode)
	require.Equal(t, "BitMart", hint.json(t, "description"))
	require.Equal(t, "https://bitmart.com", hint.json(t, "url"))
	require.Equal(t, "Memo", hint.json(t, "fields", "memo"))
	require.Equal(t, "Account description", hint.json(t, "fields", "description"))
	var form struct {
		Form []struct {
			Name, Title, Hint string
			Required, Secret  bool
			Choices           []string
		}
		Permissions []string
		Standing    string
		Parts       []struct{ Part, Standing string }
	}
	require.NoError(t, json.Unmarshal(hint.raw, &form))
	var names []string
	for _, f := range form.Form {
		names = append(names, f.Name)
		require.NotEmpty(t, f.Title)
		require.Equal(t, strings.HasPrefix(f.Name, "api_") || f.Name == "memo", f.Secret, f.Name)
	}
	require.Equal(t, []string{"api_key", "api_secret", "memo", "permissions_unverified", "description", "name"}, names)
	require.Contains(t, form.Form[2].Hint, "not your user id")
	require.Equal(t, []string{"acknowledged"}, form.Form[3].Choices)
	require.Equal(t, []string{"Read-Only"}, form.Permissions)
	require.Equal(t, "verified", form.Standing)
	require.Contains(t, form.Parts, struct{ Part, Standing string }{"permissions", "unverified"})

	// Test money is for the environment test.
	_, test := d.user("X-Environment", "test")
	for bearer, want := range map[string]string{bearer: `["main"]`, test: `["main","staging"]`} {
		hint := d.call("GET", "/v1/exchange/blink/connect", "", "Authorization", bearer)
		choices, err := json.Marshal(hint.json(t, "form", 1, "choices"))
		require.NoError(t, err)
		require.JSONEq(t, want, string(choices))
		require.NotContains(t, string(hint.raw), "permissions_unverified\"")
	}
	unknown := d.call("GET", "/v1/exchange/mtgox/connect", "", "Authorization", bearer)
	require.Equal(t, http.StatusNotFound, unknown.StatusCode)
	require.JSONEq(t, `{"status":"not_found"}`, string(unknown.raw))

	for _, credential := range [][]string{{"Authorization", bearer}, {"X-API-Key", master}} {
		venues := d.call("GET", "/v1/exchange", "", credential...)
		require.Equal(t, "bitmart", venues.json(t, "venues", 0, "name"))
		require.Equal(t, false, venues.json(t, "venues", 0, "tells_rights"))
		require.Equal(t, "blink.sv", venues.json(t, "venues", 1, "regions", 0, "title"))
		require.Equal(t, "reference", venues.json(t, "venues", 1, "parts", 0, "standing"))
	}
}

// What is wrong with a login is said, and nothing of it is written.
func TestVenueRefusals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	_, stranger := d.user()
	mine := []string{"Authorization", bearer}
	login := func(key string) string {
		return `{"api_key":"` + key + `","api_secret":"s3cr3t-canary","memo":"m3m0-canary","permissions_unverified":"acknowledged"}`
	}
	cases := []struct {
		name, path, body string
		status           int
		code, text       string
		asks             int
	}{
		{"Memo", "bitmart", login("wrong"), 400, "login_refused", `not your user id`, 1},
		{"Strong", "blink", `{"api_key":"strong"}`, 400, "key_too_strong", `"api_key":["can do too much: WRITE, no scopes"]`, 1},
		{"Unacknowledged", "bitmart", `{"api_key":"unknown","api_secret":"s3cr3t-canary","memo":"m"}`, 400, "key_unverified", `"permissions_unverified":["must be acknowledged"]`, 1},
		{"AcknowledgedOtherwise", "bitmart", strings.Replace(login("good"), "acknowledged", "yes", 1), 400, "invalid_input", "permissions_unverified", 0},
		{"Slow", "blink", `{"api_key":"slow"}`, 503, "venue_unavailable", "nothing was stored", 1},
		{"Gone", "blink", `{"api_key":"gone"}`, 502, "venue_unavailable", `"reason":"unreachable"`, 1},
		{"Late", "blink", `{"api_key":"late"}`, 502, "venue_unavailable", "did not answer in time", 1},
		{"Sandbox", "blink", `{"api_key":"sandbox"}`, 400, "invalid_input", `"region"`, 1},
		{"Broken", "blink", `{"api_key":"broken"}`, 400, "invalid_input", "no PEM", 1},
		{"Fault", "blink", `{"api_key":"boom"}`, 500, "internal", "internal error", 1},
		{"Missing", "bitmart", `{"api_secret":"s3cr3t-canary","memo":"  "}`, 400, "invalid_input", `"memo":["is required: Memo, the text that you typed`, 0},
		{"TooMuch", "blink", `{"api_key":"good","api_passphrase":"s3cr3t-canary"}`, 400, "invalid_input", `"api_passphrase":["Blink takes no such field"]`, 0},
		{"Region", "blink", `{"api_key":"good","region":"mars"}`, 400, "invalid_input", `"region":["expected one of main"]`, 0},
		{"SandboxRegion", "blink", `{"api_key":"good","region":"staging"}`, 400, "invalid_input", `"region":["expected one of main"]`, 0},
		{"UnknownVenue", "mtgox", login("good"), 404, "not_found", "", 0},
		{"NotJSON", "bitmart", `{"api_key":"s3cr3t-canary`, 400, "bad_request", "", 0},
		{"OfAnotherType", "bitmart", `{"api_key":{"a":"s3cr3t-canary"}}`, 400, "invalid_input", "", 0},
	}
	before, accounts := d.users.state()
	for _, c := range cases {
		asked := d.venues.count()
		a := d.call("POST", "/v1/exchange/"+c.path+"/connect", c.body, mine...)
		requireProblem(t, a, c.status, c.code)
		require.Contains(t, string(a.raw), c.text, c.name)
		require.NotContains(t, string(a.raw), "canary", c.name)
		require.Equal(t, c.asks, d.venues.count()-asked, c.name)
		if c.name == "Slow" {
			require.Contains(t, []string{"59", "60"}, a.Header.Get("Retry-After"))
		}
		if c.name == "Memo" {
			require.Equal(t, "30005", a.json(t, "venue", "code"))
			require.Equal(t, "key_refused", a.json(t, "venue", "reason"))
			require.Equal(t, "Header X-BM-SIGN is wrong", a.json(t, "venue", "detail"))
		}
	}
	after, left := d.users.state()
	require.Equal(t, before, after, "nothing is written")
	require.Equal(t, accounts, left)

	// Of an account that is stopped the user learns why, and what to do.
	id := d.connectVenue(bearer, "bitmart", memoLogin)
	at := "/v1/exchange/bitmart/account/" + id
	d.venues.set(func(f *fakeVenues) {
		now := levelAtVenue()
		now.Status, now.Reason, now.Code, now.Detail, now.Hint, now.RetryAt = indexer.StateStopped, "key_refused", "30002", "not found", "make another key", nil
		f.states[uuid.MustParse(id)] = now
	})
	b := d.call("GET", at+"/balance", "", mine...)
	require.Equal(t, "stopped", b.json(t, "state", "status"))
	require.Equal(t, "key_refused 30002: not found (make another key)", b.json(t, "state", "error"))
	require.Nil(t, b.json(t, "state", "venue", "retry_at"))
	put := func(path, key string, headers ...string) answer {
		return d.call("PUT", path+"/credentials", login(key), headers...)
	}
	requireProblem(t, put(at, "wrong", mine...), 400, "login_refused")
	requireProblem(t, put(at, "other", mine...), 400, "other_login")
	requireProblem(t, put("/v1/exchange/blink/account/"+id, "good", mine...), 404, "not_found")
	requireProblem(t, put(at, "good", "Authorization", stranger), 404, "not_found")
	requireProblem(t, put("/v1/exchange/bitmart/account/"+uuid.NewString(), "good", mine...), 404, "not_found")
	replaced := put(at, "new", mine...)
	require.Equal(t, http.StatusOK, replaced.StatusCode, "%s", replaced.raw)
	require.Equal(t, "syncing", replaced.json(t, "state", "status"))
	requireProblem(t, d.call("POST", at+"/resume", "", "Authorization", stranger), 404, "not_found")
	require.Equal(t, "syncing", d.call("POST", at+"/resume", "", mine...).json(t, "state", "status"))
	for _, path := range []string{"/balance", "/transactions"} {
		requireProblem(t, d.call("GET", at+path, "", "Authorization", stranger), 404, "not_found")
		requireProblem(t, d.call("GET", "/v1/onchain/btc/account/"+id+path, "", mine...), 404, "not_found")
	}
	requireProblem(t, d.call("DELETE", at, "", "Authorization", stranger), 404, "not_found")
	require.NotContains(t, d.log.String(), "canary")
}

// An operator sees how many accounts are level, of one tenant or of all.
func TestVenueCounts(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	all := d.call("GET", "/v1/venues", "", "X-API-Key", master)
	require.JSONEq(t, `{"venues":[
		{"venue":"bitmart","environment":"live","accounts":12,"level":10,"syncing":0,"degraded":0,"stopped":2},
		{"venue":"blink","environment":"live","accounts":1,"level":0,"syncing":0,"degraded":1,"stopped":0}]}`, string(all.raw))
	test := d.call("GET", "/v1/venues", "", "X-API-Key", master, "X-Environment", "test")
	require.JSONEq(t, `{"venues":[{"venue":"blink","environment":"test","accounts":9,"level":0,"syncing":9,"degraded":0,"stopped":0}]}`, string(test.raw))
	key, text, err := access.NewKey(d.pepper, access.Request{Realm: live, Owner: "o", Name: "n", Scopes: []string{"venues:read"}}, noon)
	require.NoError(t, err)
	d.keys.keys[key.ID] = key
	own := d.call("GET", "/v1/venues", "", "X-API-Key", text)
	require.EqualValues(t, "5", own.json(t, "venues", 0, "accounts"))
}
