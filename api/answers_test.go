package api_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

// Amounts arrive digit by digit as they stand in the ledger.
func TestAmountsAreExact(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	eth := d.connect(bearer, "ethereum", "0x1")
	a := d.call("GET", "/v1/onchain/eth/account/"+eth+"/balance", "", "Authorization", bearer)

	const most = "115792089237316195423570985008687907853269984665640564039457584007913129639935"
	require.EqualValues(t, "0.000000000000000001", a.json(t, "balance", 0, "value"))
	require.Equal(t, "1", a.json(t, "balance", 0, "base_units"))
	require.Equal(t, "0.000000000000000001", a.json(t, "balance", 0, "decimal"))
	require.Equal(t, "eip155:1/slip44:60", a.json(t, "balance", 0, "currency"))
	require.EqualValues(t, most[:60]+"."+most[60:], a.json(t, "balance", 1, "value"))
	require.Equal(t, most, a.json(t, "balance", 1, "base_units"))

	// A token that nobody lists calls itself ETH: it is not shown as ETH.
	require.Empty(t, a.json(t, "balance", 1, "currency_symbol"))
	require.Equal(t, "ETH", a.json(t, "balance", 1, "claimed_symbol"))
	require.EqualValues(t, "0.000000000000000001", a.json(t, "ETH"))

	// Without decimals there is no value, and that is not zero.
	require.Nil(t, a.json(t, "balance", 2, "value"))
	require.Nil(t, a.json(t, "balance", 2, "decimals"))
	require.Equal(t, most, a.json(t, "balance", 2, "base_units"))

	// A symbol never stands in for a member of the body.
	require.NotContains(t, string(a.raw), `"STATE":`)
	require.Equal(t, "level", a.json(t, "state", "status"))
	require.Equal(t, "0xab00000000000000000000000000000000000000000000000000000000000000", a.json(t, "as_of", "hash"))

	btc := d.connect(bearer, "btc", "bc1q")
	a = d.call("GET", "/v1/onchain/btc/account/"+btc+"/balance", "", "Authorization", bearer)
	require.EqualValues(t, "0.5", a.json(t, "balance", 0, "immature", "value"))
	require.EqualValues(t, "-0.00000002", a.json(t, "pending", 0, "value"))
	require.Equal(t, "1", a.json(t, "pending", 0, "incoming", "base_units"))
	require.Equal(t, "3", a.json(t, "pending", 0, "outgoing", "base_units"))
	require.EqualValues(t, "7", a.json(t, "state", "history", "from_height"))
	require.EqualValues(t, "9", a.json(t, "state", "history", "gaps", 0, "to"))
}

func TestUnknownIsNotZero(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.ledger.set(func(f *fakeLedger) {
		f.held["eth"] = indexer.AccountBalance{State: indexer.AccountState{Status: "syncing", Error: "no node answers"}}
	})
	_, bearer := d.user()
	btc, eth := d.connect(bearer, "btc", "bc1q"), d.connect(bearer, "eth", "0x1")

	began := time.Now()
	a := d.call("GET", "/v1/onchain/eth/account/"+eth+"/balance", "", "Authorization", bearer)
	require.Greater(t, time.Since(began), 1900*time.Millisecond, "it waits for a first answer")
	require.JSONEq(t, `{"balance":[],"pending":[],"as_of":null,"state":{"last_sync":null,"status":"syncing",
		"height":null,"head":null,"history":{"status":"none","from_height":null,"gaps":[]},"error":"no node answers"}}`, string(a.raw))

	// A total that lacks an account is not shown as the total.
	a = d.call("GET", "/v1/aggregate/balance", "", "Authorization", bearer)
	require.Equal(t, false, a.json(t, "balance", "complete"))
	require.Nil(t, a.json(t, "BTC"))
	require.EqualValues(t, "1.5", a.json(t, "balance", "balance_sum", 0, "value"))
	a = d.call("GET", "/v1/aggregate/balance?currency=USD&account-filter="+btc, "", "Authorization", bearer)
	require.Equal(t, true, a.json(t, "balance", "complete"))
	require.EqualValues(t, "1.5", a.json(t, "BTC"))
	require.Nil(t, a.json(t, "balance", "converted", "converted_value"), "what has no price is not zero")
	require.EqualValues(t, "1.5", a.json(t, "balance", "converted", "unpriced", 0, "value"))
}

// Two listed assets of one symbol, with other decimals, make one member.
func TestTotalsOverChains(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	wrapped := chains.Asset{ID: "eip155:1/erc20:0x2260fac5e5542a773aa44fbcfedf7c193bc2c599", Symbol: "BTC", Decimals: 18, Listed: true}
	d.ledger.set(func(f *fakeLedger) {
		b := f.held["eth"]
		b.Balances = []indexer.Balance{{Asset: wrapped, Amount: chains.NewAmount(1)}}
		f.held["eth"] = b
	})
	_, bearer := d.user()
	d.connect(bearer, "btc", "one")
	d.connect(bearer, "btc", "two")
	d.connect(bearer, "eth", "0x1")
	a := d.call("GET", "/v1/aggregate/balance", "", "Authorization", bearer)
	require.EqualValues(t, "3.000000000000000001", a.json(t, "BTC"))
	require.Len(t, a.json(t, "balance", "balance_sum"), 2)
	require.EqualValues(t, "3", a.json(t, "balance", "balance_sum", 0, "value"))
	list := d.call("GET", "/v1/aggregate/accounts", "", "Authorization", bearer)
	require.Len(t, list.json(t), 3)
	require.Equal(t, "two", list.json(t, 1, "wallet"))
}

func TestTransactions(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	account := d.connect(bearer, "eth", "0x1")
	id := uuid.MustParse(account)
	sent := indexer.Transaction{
		AccountID: id, Chain: "eth", Tx: chains.Hash{0xcc}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 2, Time: noon,
		Legs: []indexer.Leg{
			{Source: "value", Side: chains.Out, Asset: eth, Amount: chains.NewAmount(70), Address: "0xme", PeerAddress: "0xyou"},
			{Source: "fee", Side: chains.Out, Asset: eth, Amount: chains.NewAmount(21), Address: "0xme"},
		},
	}
	swap := indexer.Transaction{AccountID: id, Chain: "eth", Tx: chains.Hash{0xdd}, Status: indexer.StatusPending, Time: noon, Legs: []indexer.Leg{
		{Source: "log:0", Side: chains.In, Asset: stateToken, Amount: chains.NewAmount(2), Address: "0xme", PeerAddress: "0xpool"},
		{Source: "value", Side: chains.Out, Asset: eth, Amount: chains.NewAmount(1), Address: "0xme", PeerAddress: "0xpool"},
	}}
	d.ledger.set(func(f *fakeLedger) { f.pages = [][]indexer.Transaction{{sent}, {swap}} })

	first := d.call("GET", "/v1/aggregate/transactions?limit=1&since=2020-1-1&until=2026-11-22&status=confirmed,pending&currency=EUR", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, first.StatusCode, "%s", first.raw)
	require.Equal(t, indexer.TransactionFilter{
		Accounts: []uuid.UUID{id}, Limit: 1,
		Since:    new(time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)),
		Until:    new(time.Date(2026, 11, 23, 0, 0, 0, 0, time.UTC)),
		Statuses: []indexer.TransferStatus{indexer.StatusConfirmed, indexer.StatusPending},
	}, d.ledger.filter)
	require.Equal(t, account, first.json(t, "accounts", 0, "id"))
	one := func(path ...any) any { return first.json(t, append([]any{"transactions", 0}, path...)...) }
	require.Equal(t, "0xcc00000000000000000000000000000000000000000000000000000000000000", one("transaction_id"))
	require.Equal(t, "out", one("side"))
	require.Equal(t, "2026-11-22T12:00:00.123456+00:00", one("created_at"))
	require.Equal(t, "-70", one("amount", 0, "base_units"))
	require.Equal(t, "-91", one("total", 0, "base_units"))
	require.Equal(t, "21", one("fee", 0, "base_units"))
	require.Equal(t, "0xme", one("inputs", 0, "address"))
	require.Equal(t, true, one("inputs", 1, "fee"))
	require.Equal(t, "0xyou", one("outputs", 0, "address"))
	require.Equal(t, false, one("outputs", 0, "owned"))

	cursor := first.json(t, "page_cursor").(string)
	second := d.call("GET", "/v1/onchain/eth/account/"+account+"/transactions?cursor="+cursor, "", "Authorization", bearer)
	require.Equal(t, "both", second.json(t, "transactions", 0, "side"))
	require.Nil(t, second.json(t, "transactions", 0, "block"))
	require.Empty(t, second.json(t, "transactions", 0, "fee"))
	require.Nil(t, second.json(t, "page_cursor"))
	require.Equal(t, &indexer.TransactionCursor{Time: noon, Tx: chains.Hash{1}, Account: id}, d.ledger.filter.After)
	require.Equal(t, 50, d.ledger.filter.Limit)

	// A cursor is its user's.
	_, stranger := d.user()
	requireProblem(t, d.call("GET", "/v1/aggregate/transactions?cursor="+cursor, "", "Authorization", stranger), http.StatusBadRequest, "invalid_cursor")
	none := d.call("GET", "/v1/aggregate/transactions", "", "Authorization", stranger)
	require.JSONEq(t, `{"accounts":[],"transactions":[]}`, string(none.raw))
}

func TestEvents(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	other := indexer.Realm{Tenant: "other", Environment: chains.Live}
	for seq := range int64(5) {
		realm := live
		if seq == 1 {
			realm = other
		}
		d.ledger.set(func(f *fakeLedger) {
			f.events = append(f.events, indexer.Event{
				Seq: seq + 1, ID: uuid.New(), Realm: realm, Type: "transfer.confirmed", Chain: "btc", ResourceID: "r", ResourceVersion: 1,
				Data: json.RawMessage(`{"amount":9007199254740993.000000000000000001}`), OccurredAt: noon,
			})
		})
	}
	a := d.call("GET", "/v1/events?limit=2", "", "X-API-Key", master)
	require.EqualValues(t, "3", a.json(t, "next"), "number 2 is another tenant's")
	require.Contains(t, string(a.raw), "9007199254740993.000000000000000001")
	a = d.call("GET", "/v1/events?after=3", "", "X-API-Key", master)
	require.Len(t, a.json(t, "events"), 2)
	a = d.call("GET", "/v1/events?after=5", "", "X-API-Key", master)
	require.JSONEq(t, `{"events":[],"next":5}`, string(a.raw))
}

func TestChainsAndProbes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.call("GET", "/v1/chains", "", "X-API-Key", master)
	require.Len(t, a.json(t, "chains"), 1, "live sees live chains only")
	require.EqualValues(t, "100", a.json(t, "chains", 0, "height"))
	require.EqualValues(t, "1", a.json(t, "chains", 0, "lag"))
	a = d.call("GET", "/v1/chains", "", "X-API-Key", master, "X-Environment", "test")
	require.Equal(t, "dev", a.json(t, "chains", 0, "chain"))
	require.Nil(t, a.json(t, "chains", 0, "height"))
	require.Nil(t, a.json(t, "chains", 0, "head"))

	require.JSONEq(t, `{"status":"ok"}`, string(d.call("GET", "/health", "").raw))
	require.JSONEq(t, `{"status":"ready","chains":{"btc":"level","dev":"level"}}`, string(d.call("GET", "/ready", "").raw))
	metrics := string(d.call("GET", "/metrics", "").raw)
	for _, line := range []string{
		`tallyd_chain_height{chain="btc"} 100`, `tallyd_chain_head{chain="btc"} 101`, `tallyd_chain_scripts{chain="btc"} 3`,
		`tallyd_chain_state{chain="dev",state="level"} 1`, `tallyd_store_up 1`,
		`tallyd_chain_credits_halted{chain="btc"} 0`, `tallyd_chain_credits_halted{chain="dev"} 1`,
		`tallyd_http_requests_total{method="GET",route="/v1/chains",status="200"} 2`,
	} {
		require.Contains(t, metrics, line+"\n")
	}
	require.NotContains(t, metrics, `tallyd_chain_height{chain="dev"}`, "no block is not height 0")

	d.ledger.set(func(f *fakeLedger) { f.chains[1].State = indexer.StateStarting })
	a = d.call("GET", "/ready", "")
	requireProblem(t, a, http.StatusServiceUnavailable, "unavailable")
	require.Contains(t, string(a.raw), `"dev":["starting`)
	d.ledger.set(func(f *fakeLedger) { f.down = errors.New("password=hunter2") })
	a = d.call("GET", "/ready", "")
	requireProblem(t, a, http.StatusServiceUnavailable, "unavailable")
	require.NotContains(t, string(a.raw), "hunter2")
	require.Equal(t, http.StatusOK, d.call("GET", "/health", "").StatusCode)
	require.Contains(t, string(d.call("GET", "/metrics", "").raw), "tallyd_store_up 0\n")
}

func TestPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	root := d.call("GET", "/", "")
	require.Equal(t, "v1.2.3", root.json(t, "version"))
	require.Equal(t, "/docs", d.call("GET", "/", "", "Accept", "text/html,*/*").Header.Get("Location"))
	require.Equal(t, "nosniff", root.Header.Get("X-Content-Type-Options"))
	require.Equal(t, "no-store", root.Header.Get("Cache-Control"))
	require.Contains(t, root.Header.Get("Content-Security-Policy"), "default-src 'none'")
	for path, contentType := range map[string]string{"/docs": "text/html", "/docs/docs.css": "text/css", "/docs/docs.js": "text/javascript"} {
		a := d.call("GET", path, "")
		require.Equal(t, http.StatusOK, a.StatusCode)
		require.Contains(t, a.Header.Get("Content-Type"), contentType)
		require.NotContains(t, string(a.raw), "https://", "nothing is loaded from elsewhere")
	}
}

// Every route is in the document, the list of routes is the one reviewed last,
// and each error is described as a problem.
func TestDocumentMatchesRoutes(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	golden, err := os.ReadFile("testdata/routes.txt")
	require.NoError(t, err)
	require.Equal(t, string(golden), strings.Join(d.router.Routes(), "\n")+"\n")

	a := d.call("GET", "/openapi.json", "")
	var doc struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID string
			Responses   map[string]struct{ Content map[string]any }
		}
		Components struct{ Schemas map[string]any }
	}
	require.NoError(t, json.Unmarshal(a.raw, &doc))
	require.Equal(t, "3.1.0", doc.OpenAPI)
	require.NotContains(t, doc.Components.Schemas, "ErrorModel")
	require.Equal(t, "https://tallyd.example", doc.Servers[0].URL)
	var documented []string
	for path, item := range doc.Paths {
		for method, op := range item {
			documented = append(documented, strings.ToUpper(method)+" "+path)
			require.NotEmpty(t, op.OperationID)
			require.Contains(t, op.Responses["default"].Content, "application/problem+json")
			require.NotContains(t, op.Responses, "422")
		}
	}
	pages := []string{"GET /docs", "GET /docs/docs.css", "GET /docs/docs.js", "GET /metrics", "GET /openapi.json", "GET /{$}"}
	require.ElementsMatch(t, d.router.Routes(), slices.Concat(documented, pages))

	// What is documented of an amount is what is sent.
	_, bearer := d.user()
	account := d.connect(bearer, "eth", "0x1")
	balance := d.call("GET", "/v1/onchain/eth/account/"+account+"/balance", "", "Authorization", bearer)
	holding := doc.Components.Schemas["Holding"].(map[string]any)["properties"].(map[string]any)
	for member := range balance.json(t, "balance", 1).(map[string]any) {
		require.Contains(t, holding, member)
	}
}

// Every documented operation asks for a credential before anything else.
func TestNothingIsOpen(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, route := range d.gate.Rules() {
		if route.Rule.Public {
			continue
		}
		path := strings.NewReplacer("{id}", uuid.NewString(), "{account_id}", uuid.NewString(), "{chain}", "btc").Replace(route.Path)
		want := http.StatusUnauthorized
		if route.Rule.Surface == access.Blockmate {
			want = http.StatusBadRequest
		}
		requireProblem(t, d.call(route.Method, path, ""), want, "missing_key")
	}
}
