package api_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/accounts"
	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/chains/venue"
	"tallyd/chains/venue/bitmart"
	"tallyd/chains/venue/blink"
	"tallyd/indexer"
)

const master = "the-master-key-of-this-test"

var noon = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)

var (
	live = indexer.Realm{Tenant: "default", Environment: chains.Live}

	btc  = chains.Asset{ID: "bip122:000000000019d6689c085ae165831e93/slip44:0", Symbol: "BTC", Name: "Bitcoin", Decimals: 8, Listed: true}
	eth  = chains.Asset{ID: "eip155:1/slip44:60", Symbol: "ETH", Name: "Ether", Decimals: 18, Listed: true}
	odd  = chains.Asset{ID: "eip155:1/erc20:0x0000000000000000000000000000000000000bad", Symbol: "ETH", Name: "Free money at evil.example", Decimals: 18}
	dark = chains.Asset{ID: "eip155:1/erc20:0x000000000000000000000000000000000000dead", Decimals: -1}
	// stateToken goes under a symbol that is the name of a member of the body.
	stateToken = chains.Asset{ID: "eip155:1/erc20:0x00000000000000000000000000000000000057a7", Symbol: "STATE", Decimals: 0, Listed: true}
)

// desk is a whole API over fakes, with what it wrote to its log.
type desk struct {
	t        *testing.T
	url      string
	users    *fakeUsers
	ledger   *fakeLedger
	venues   *fakeVenues
	keys     *fakeKeys
	requests *fakeRequests
	gate     *access.Gate
	tokens   *access.Tokens
	router   *api.Router
	log      *syncBuffer
	pepper   access.Pepper
	registry *prometheus.Registry
	prices   *fakePrices
	past     *fakePast
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	names, err := price.LoadNames()
	require.NoError(t, err)
	d := &desk{t: t, prices: &fakePrices{names: names}, past: &fakePast{}, users: &fakeUsers{}, keys: &fakeKeys{keys: map[string]access.Key{}}, requests: &fakeRequests{}, log: &syncBuffer{}, pepper: access.Pepper("0123456789abcdef")}
	d.ledger = &fakeLedger{users: d.users, held: holdings(), chains: []indexer.ChainStatus{
		{Chain: "btc", ID: "bip122:000000000019d6689c085ae165831e93", Family: chains.FamilyBitcoin, Environment: chains.Live, State: indexer.StateLevel, Tip: tip, Head: 101, Scripts: 3},
		{Chain: "dev", ID: "eip155:31337", Family: chains.FamilyEVM, Environment: chains.Test, State: indexer.StateLevel, Halted: "a reorg"},
	}}
	d.venues = newFakeVenues(d.users)
	d.tokens, err = access.NewTokens(bytes.Repeat([]byte{7}, 32), nil)
	require.NoError(t, err)
	d.gate, err = access.NewGate(access.Config{
		Keys: d.keys, Changed: d.keys, Requests: d.requests, Replays: &fakeReplays{}, Pepper: d.pepper, Tokens: d.tokens, Master: master,
		Limits: access.Limits{Anonymous: 100_000},
	})
	require.NoError(t, err)
	d.registry = prometheus.NewRegistry()
	d.router, err = api.New(api.Config{
		Version: "v1.2.3", Log: zerolog.New(d.log), Gate: d.gate, Events: d.ledger, Chains: d.ledger, Store: d.ledger, Metrics: d.registry, BodyLimit: 1 << 10, PublicURL: "https://tallyd.example",
	})
	require.NoError(t, err)
	accounts.Mount(d.router.Operations(), accounts.Config{
		Gate: d.gate, Users: d.users, UserChanges: d.users, Accounts: d.users, Balances: d.ledger, States: d.ledger,
		Transactions: d.ledger, NFTs: d.ledger, Connections: d.users, CursorKey: d.pepper,
		Venues: []venue.Venue{bitmart.Venue(), blink.Venue()}, Logins: d.venues, VenueAccounts: d.venues, VenueCounts: d.venues,
		Prices: d.prices, Names: names, Past: d.past,
		Providers: []accounts.Provider{
			accounts.NewProvider("btc", chains.FamilyBitcoin, chains.Live),
			accounts.NewProvider("eth", chains.FamilyEVM, chains.Live),
			accounts.NewProvider("dev", chains.FamilyEVM, chains.Test),
		},
	})
	server := httptest.NewUnstartedServer(d.router)
	server.Config = api.NewServer(d.router, zerolog.New(d.log))
	server.Start()
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// nothing is the handler of an operation that does nothing.
func (*desk) nothing(context.Context, *struct{}) (*struct{}, error) { return &struct{}{}, nil }

// answer is one answer with its body read.
type answer struct {
	*http.Response
	raw []byte
}

// json returns a member of the body by path, with numbers kept as written.
func (a answer) json(t *testing.T, path ...any) any {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(a.raw))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v), "%s", a.raw)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			object, ok := v.(map[string]any)
			require.True(t, ok, "%v in %s", path, a.raw)
			v = object[step]
		case int:
			list, ok := v.([]any)
			require.True(t, ok && step < len(list), "%v in %s", path, a.raw)
			v = list[step]
		}
	}
	return v
}

// call makes one request. Headers come as name, value pairs.
func (d *desk) call(method, path, body string, headers ...string) answer {
	d.t.Helper()
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d.t, err)
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	require.NoError(d.t, err)
	defer func() { _ = res.Body.Close() }()
	raw, err := io.ReadAll(res.Body)
	require.NoError(d.t, err)
	return answer{Response: res, raw: raw}
}

// user makes a user in the realm that headers name and returns its id and the
// header of its token.
func (d *desk) user(headers ...string) (id, bearer string) {
	d.t.Helper()
	headers = append([]string{"X-API-Key", master}, headers...)
	made := d.call(http.MethodPost, "/v1/users", `{"name":"test-user"}`, headers...)
	require.Equal(d.t, http.StatusCreated, made.StatusCode, "%s", made.raw)
	id = made.json(d.t, "uuid").(string)
	token := d.call(http.MethodGet, "/v1/users/"+id+"/auth", "", headers...)
	require.Equal(d.t, http.StatusOK, token.StatusCode, "%s", token.raw)
	return id, "Bearer " + token.json(d.t, "token").(string)
}

// connect connects a wallet and returns the id of the account.
func (d *desk) connect(bearer, chain, wallet string) string {
	d.t.Helper()
	a := d.call(http.MethodPost, "/v1/onchain/"+chain+"/connect", `{"wallet":"`+wallet+`","description":"d"}`, "Authorization", bearer)
	require.Equal(d.t, http.StatusOK, a.StatusCode, "%s", a.raw)
	return a.json(d.t, "id").(string)
}

var tip = chains.BlockRef{Height: 100, Hash: chains.Hash{0xab}, Time: noon}

// biggest is 2²⁵⁶−1, the most a token can say.
var biggest = chains.AmountFromBig(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))

func holdings() map[string]indexer.AccountBalance {
	level := indexer.AccountState{
		LastSync: &noon, Status: "level", Height: 100, Head: 101,
		History: indexer.History{Status: indexer.HistoryPartial, FromHeight: 7, Gaps: []indexer.Range{{From: 8, To: 9}}},
	}
	return map[string]indexer.AccountBalance{
		"btc": {
			AsOf: tip, State: level,
			Balances: []indexer.Balance{{Asset: btc, Amount: chains.NewAmount(150_000_000), Immature: chains.NewAmount(50_000_000), AsOf: tip, Proof: chains.Proven}},
			Pending:  []indexer.Pending{{Asset: btc, In: chains.NewAmount(1), Out: chains.NewAmount(3)}},
		},
		"eth": {
			AsOf: tip, State: level,
			Balances: []indexer.Balance{
				{Asset: eth, Amount: chains.NewAmount(1), AsOf: tip, Proof: chains.Proven},
				{Asset: odd, Amount: biggest, AsOf: tip, Proof: chains.Asserted},
				{Asset: dark, Amount: biggest, AsOf: tip, Proof: chains.Asserted},
				{Asset: stateToken, Amount: chains.NewAmount(5), AsOf: tip, Proof: chains.Derived},
			},
		},
	}
}

// syncBuffer is a buffer that several goroutines write.
type syncBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}
