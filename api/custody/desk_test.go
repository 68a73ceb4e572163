package custody_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/accounts"
	"tallyd/api/custody"
	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/chains/chainstest"
	"tallyd/indexer"
	vaults "tallyd/indexer/custody"
	"tallyd/migrations"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/secret"
)

const (
	master = "the-master-key-of-this-test"
	coin   = string(chainstest.FakeAsset)
)

var realm = indexer.Realm{Tenant: "default", Environment: chains.Test}

// node is a fake chain that derives addresses: the key xpubA has the address
// xpubA/0/7 at index 7.
type node struct{ *chainstest.Fake }

func (n *node) ParseAddress(text string) ([]byte, string, error) {
	if strings.HasPrefix(text, "bad") {
		return nil, "", errors.New("not an address of this chain")
	}
	return []byte(strings.ToLower(text)), strings.ToLower(text), nil
}

func (n *node) ParseWallet(text string) (chains.Wallet, bool, error) {
	switch {
	case strings.HasPrefix(text, "xprv"):
		return nil, true, errors.New("it holds a private key")
	case !strings.HasPrefix(text, "xpub"):
		return nil, false, nil
	}
	return key(text), true, nil
}

type key string

func (k key) Canonical() string { return string(k) + "#sum" }

func (k key) Branches() uint32 {
	if strings.Contains(string(k), "single") {
		return 1
	}
	return 2
}

func (k key) Ranged() bool { return !strings.Contains(string(k), "fixed") }

func (k key) Script(branch, index uint32) ([]byte, error) {
	name, _, _ := strings.Cut(string(k), "#")
	return fmt.Appendf(nil, "%s/%d/%d", strings.ToLower(name), branch, index), nil
}

// desk is the API over a store and a chain.
type desk struct {
	*testing.T
	*store.Store
	node     *node
	follower *indexer.Follower
	url      string
	chain    string // what the node shows
	searched []string
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	keyset, err := secret.New()
	require.NoError(t, err)
	secrets, err := secret.Parse(keyset)
	require.NoError(t, err)
	d := &desk{T: t, chain: "a", node: &node{Fake: chainstest.NewFake("btc", "a")}}
	d.Store, err = store.Open(t.Context(), store.Options{URL: newDatabase(t), Secrets: secrets, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	require.NoError(t, d.Register(t.Context(), d.node.Chain(), nil))
	require.NoError(t, d.SetPolicy(t.Context(), "btc", vaults.Policy{Default: vaults.Threshold{Basis: vaults.BasisDepth, Confirmations: 2}}))
	cursor, err := d.Acquire(t.Context(), "btc", uuid.New(), time.Hour)
	require.NoError(t, err)
	zero := uint64(0)
	d.follower = indexer.NewFollower(d.node, d.Store, indexer.FollowConfig{Start: &zero, Ahead: 1}, cursor, zerolog.Nop())
	t.Cleanup(d.follower.Close)
	d.level()
	d.serve()
	return d
}

func newDatabase(t testing.TB) string {
	t.Helper()
	digest := sha256.New()
	names, err := fs.Glob(migrations.Files, "*.sql")
	require.NoError(t, err)
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		require.NoError(t, err)
		digest.Write(text)
	}
	return embedded.TestDatabaseFrom(t, "custody"+hex.EncodeToString(digest.Sum(nil)), func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, store.Options{URL: url, Log: zerolog.Nop()})
		return err
	})
}

func (d *desk) serve() {
	d.Helper()
	tokens, err := access.NewTokens(bytes.Repeat([]byte{7}, 32), nil)
	require.NoError(d, err)
	gate, err := access.NewGate(access.Config{
		Keys: d.Store, Changed: d.Store, Requests: d.Store, Replays: d.Store, Tokens: tokens, Master: master,
		Pepper: access.Pepper("pepper of the tests"), Environment: chains.Test,
		Limits: access.Limits{Custody: 1_000_000, Other: 1_000_000, Anonymous: 1_000_000},
	})
	require.NoError(d, err)
	router, err := api.New(api.Config{
		Log: zerolog.Nop(), Gate: gate, Events: d.Store, Chains: d.Store, Store: d.Store, Metrics: prometheus.NewRegistry(),
	})
	require.NoError(d, err)
	sources := &indexer.Sources{}
	sources.Add(bank{d.node})
	desk := vaults.Desk{
		Pools: d.Store, Sources: sources, Payers: map[string]vaults.PayerConfig{"btc": {MaxFee: chains.NewAmount(5000), Blocks: 3}},
		Search: func(_ context.Context, chain string) { d.searched = append(d.searched, chain) },
	}
	custody.Mount(router.Operations(), custody.Config{
		Gate: gate, Vaults: d.Store, Wallets: d.Store, Assets: d.Store, Pools: d.Store, Transactions: d.Store, Transfers: d.Store,
		Deposits: d.Store, Book: d.Store, Halts: d.Store, CoolingOff: time.Hour,
		Desk: desk, Ordering: d.Store, Withdrawals: d.Store, Teller: desk,
	})
	accounts.Mount(router.Operations(), accounts.Config{
		Gate: gate, Users: d.Store, UserChanges: d.Store, Accounts: d.Store, Balances: d.Store, Vaults: d.Store, States: d.Store,
		Transactions: d.Store, VenueAccounts: d.Store, CursorKey: []byte("a key of this test"),
	})
	server := httptest.NewUnstartedServer(router)
	server.Config = api.NewServer(router, zerolog.Nop())
	server.Start()
	d.Cleanup(server.Close)
	d.url = server.URL
}

// level lets the ledger follow the node.
func (d *desk) level() {
	d.Helper()
	for {
		moved, err := d.follower.Step(d.Context())
		require.NoError(d, err)
		if !moved {
			return
		}
	}
}

// mine shows a chain whose last letter's block holds transactions.
func (d *desk) mine(chain string, txs ...chainstest.Tx) {
	d.Helper()
	if len(txs) > 0 {
		d.node.Put(chain[len(chain)-1], txs...)
	}
	d.node.Show(chain)
	d.level()
}

// pays is a transaction that pays an address.
func pays(name, address string, amount int64) chainstest.Tx {
	return chainstest.Tx{Name: name, Pays: []chainstest.Pay{{Script: address, Amount: amount}}}
}

// answer is one answer with its body read.
type answer struct {
	status int
	raw    string
	body   map[string]any
}

func (a answer) text(name string) string {
	text, _ := a.body[name].(string)
	return text
}

func (a answer) list(name string) []map[string]any {
	var list []map[string]any
	all, _ := a.body[name].([]any)
	for _, one := range all {
		list = append(list, one.(map[string]any))
	}
	return list
}

// call makes one request with the master key unless headers say otherwise.
func (d *desk) call(method, path, body string, headers ...string) answer {
	d.Helper()
	request := d.request(method, path, body)
	request.Header.Set("X-API-Key", master)
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return d.send(request)
}

func (d *desk) request(method, path, body string) *http.Request {
	d.Helper()
	request, err := http.NewRequestWithContext(d.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	return request
}

func (d *desk) send(request *http.Request) answer {
	d.Helper()
	response, err := http.DefaultClient.Do(request)
	require.NoError(d, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(d, err)
	a := answer{status: response.StatusCode, raw: string(raw), body: map[string]any{}}
	if len(raw) > 0 {
		require.NoError(d, json.Unmarshal(raw, &a.body), a.raw)
	}
	return a
}

// made is call for a request that must create something.
func (d *desk) made(path, body string, headers ...string) answer {
	d.Helper()
	a := d.call(http.MethodPost, path, body, headers...)
	require.Equal(d, http.StatusCreated, a.status, a.raw)
	return a
}

// key registers the key that addresses are derived from.
func (d *desk) key() {
	d.Helper()
	a := d.call(http.MethodPut, "/v1/custody/keys/btc", `{"key":"xpubA"}`)
	require.Equal(d, http.StatusOK, a.status, a.raw)
}

// wallet opens a wallet in a new vault and returns its answer.
func (d *desk) wallet() answer {
	d.Helper()
	vault := d.made("/vaults", `{"name":"v"}`)
	return d.made("/vaults/"+vault.text("id")+"/wallets", `{"assetId":"`+coin+`"}`)
}

// balance returns pending, available and locked.
func (d *desk) balance(wallet answer) string {
	d.Helper()
	a := d.call(http.MethodGet, "/wallets/"+wallet.text("id")+"/balance", "")
	require.Equal(d, http.StatusOK, a.status, a.raw)
	return a.text("pending") + " " + a.text("available") + " " + a.text("locked")
}

// events numbers everything and returns the events of the realm.
func (d *desk) events() []indexer.Event {
	d.Helper()
	for {
		n, err := d.Number(d.Context(), uuid.Nil, 1000)
		require.NoError(d, err)
		if n == 0 {
			break
		}
	}
	events, err := d.EventsAfter(d.Context(), realm, 0, 10_000)
	require.NoError(d, err)
	return events
}

// The types of events are what the catalogue of webhooks takes.
var _ = webhook.EventType(custody.EventType{})
