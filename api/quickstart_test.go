package api_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

// The calls of Blockmate's quickstart script, one by one.
func TestQuickstart(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.ledger.set(func(f *fakeLedger) {
		f.pending = 3
		f.pages = [][]indexer.Transaction{{{
			Chain: "btc", Tx: chains.Hash{1}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 1, Time: noon,
			Legs: []indexer.Leg{{Source: "vout:0", Side: chains.In, Asset: btc, Amount: chains.NewAmount(150_000_000), Address: "bc1q"}},
		}}}
	})

	made := d.call(http.MethodPost, "/v1/users", `{"name": "test-user"}`, "X-API-KEY", master)
	require.Equal(t, http.StatusCreated, made.StatusCode)
	require.Equal(t, "test-user", made.json(t, "name"))
	user := made.json(t, "uuid").(string)

	auth := d.call(http.MethodGet, "/v1/users/"+user+"/auth", "", "X-API-KEY", master)
	require.Equal(t, http.StatusOK, auth.StatusCode)
	bearer := "Bearer " + auth.json(t, "token").(string)

	connected := d.call(http.MethodPost, "/v1/onchain/btc/connect",
		`{"description": "My test btc address", "wallet": "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"}`, "Authorization", bearer)
	require.Equal(t, http.StatusOK, connected.StatusCode)
	require.Equal(t, "My test btc address", connected.json(t, "description"))
	require.Equal(t, "btc", connected.json(t, "name"))
	require.Equal(t, false, connected.json(t, "verified"))
	account := connected.json(t, "id").(string)

	// Three looks find nothing; the call waits for the fourth.
	balance := d.call(http.MethodGet, "/v1/onchain/btc/account/"+account+"/balance", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, balance.StatusCode)
	require.Equal(t, "2026-11-22T12:00:00.123456+00:00", balance.json(t, "state", "last_sync"))
	require.EqualValues(t, "1.5", balance.json(t, "BTC"))

	list := d.call(http.MethodGet, "/v1/onchain/btc/account/"+account+"/transactions", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, list.StatusCode)
	require.Len(t, list.json(t, "transactions"), 1)
	require.EqualValues(t, "1.5", list.json(t, "transactions", 0, "amount", 0, "value"))
	require.Nil(t, list.json(t, "page_cursor"))

	totals := d.call(http.MethodGet, "/v1/aggregate/balance", "", "Authorization", bearer)
	require.EqualValues(t, "1.5", totals.json(t, "BTC"))
	require.EqualValues(t, "1.5", totals.json(t, "balance", "balance_sum", 0, "value"))
	require.Equal(t, account, totals.json(t, "balance", "accounts", 0, "account_id"))

	gone := d.call(http.MethodDelete, "/v1/onchain/bitcoin/account/"+account, "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, gone.StatusCode)
	require.Equal(t, http.StatusNotFound, d.call(http.MethodGet, "/v1/onchain/btc/account/"+account+"/balance", "", "Authorization", bearer).StatusCode)
}

func TestUsers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.JSONEq(t, `[]`, string(d.call(http.MethodGet, "/v1/users", "", "X-API-Key", master).raw))
	id, bearer := d.user()

	renamed := d.call(http.MethodPost, "/v1/users/"+id, `{"name":"new"}`, "X-API-Key", master)
	want := `{"uuid":"` + id + `","name":"new","created_by":"master","meta_data":{"TALLYD_GENERATED_BY":"master","BLNK_GENERATED_BY":"master"}}`
	require.JSONEq(t, want, string(renamed.raw))
	require.JSONEq(t, `[`+want+`]`, string(d.call(http.MethodGet, "/v1/users", "", "X-API-Key", master).raw))
	require.Equal(t, http.StatusNotFound, d.call(http.MethodGet, "/v1/users/"+id, "", "X-API-Key", master, "X-Environment", "test").StatusCode)

	deleted := d.call(http.MethodDelete, "/v1/users/"+id, "", "X-API-Key", master)
	require.JSONEq(t, `{"message":"OK"}`, string(deleted.raw))
	require.Equal(t, http.StatusNotFound, d.call(http.MethodGet, "/v1/users/"+id, "", "X-API-Key", master).StatusCode)

	// The token of a user who is gone connects nothing.
	late := d.call(http.MethodPost, "/v1/onchain/btc/connect", `{"wallet":"w","description":""}`, "Authorization", bearer)
	require.Equal(t, http.StatusForbidden, late.StatusCode)
	_, left := d.users.state()
	require.Zero(t, left)
}

// What a caller writes about a thing comes back as it was written, numbers that no
// float can hold included, with who created it.
func TestMetaData(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const numbers = `{"big":9007199254740993,"bigger":123456789012345678901234567890,"nested":[1.10,{"a":0.1}]`
	made := d.call(http.MethodPost, "/v1/users", `{"name":"n","meta_data":`+numbers+`,"BLNK_GENERATED_BY":"forged"}}`, "X-API-Key", master)
	require.Equal(t, http.StatusCreated, made.StatusCode, "%s", made.raw)
	stamped := `"meta_data":` + numbers + `,"TALLYD_GENERATED_BY":"master","BLNK_GENERATED_BY":"master"}`
	require.Contains(t, string(made.raw), stamped)
	id := made.json(t, "uuid").(string)
	require.Contains(t, string(d.call(http.MethodGet, "/v1/users/"+id, "", "X-API-Key", master).raw), stamped)

	token := d.call(http.MethodGet, "/v1/users/"+id+"/auth", "", "X-API-Key", master)
	bearer := "Bearer " + token.json(t, "token").(string)
	connected := d.call(http.MethodPost, "/v1/onchain/btc/connect", `{"wallet":"w","meta_data":`+numbers+`}}`, "Authorization", bearer)
	require.Equal(t, http.StatusOK, connected.StatusCode, "%s", connected.raw)
	stamped = `"created_by":"user:` + id + `","meta_data":` + numbers + `,"TALLYD_GENERATED_BY":"user:` + id + `","BLNK_GENERATED_BY":"user:` + id + `"}`
	require.Contains(t, string(connected.raw), stamped)
	require.Contains(t, string(d.call(http.MethodGet, "/v1/aggregate/accounts", "", "Authorization", bearer).raw), stamped)

	writes, _ := d.users.state()
	for _, bad := range []string{`[]`, `1`, `"{}"`, `{"a":"` + strings.Repeat("x", 900) + `"}` + strings.Repeat(" ", 200), strings.Repeat(`{"a":`, 70) + `1` + strings.Repeat(`}`, 70), "{\"a\":\"\xff\"}"} {
		refused := d.call(http.MethodPost, "/v1/users", `{"name":"n","meta_data":`+bad+`}`, "X-API-Key", master)
		require.Contains(t, []int{http.StatusBadRequest, http.StatusRequestEntityTooLarge}, refused.StatusCode, "%.40s: %s", bad, refused.raw)
	}
	after, _ := d.users.state()
	require.Equal(t, writes, after)
}

// exchangeProviders are the venues in the list of what can be connected.
const exchangeProviders = `{"name":"bitmart","type":"crypto_exchange","url":"exchange/bitmart"},{"name":"blink","type":"crypto_exchange","url":"exchange/blink"}`

func TestHintsAndProviders(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	for _, chain := range []string{"btc", "bitcoin"} {
		hint := d.call(http.MethodGet, "/v1/onchain/"+chain+"/connect", "", "Authorization", bearer)
		require.Equal(t, http.StatusOK, hint.StatusCode)
		require.Equal(t, "Bitcoin (BTC)", hint.json(t, "description"))
		require.Equal(t, "Account description", hint.json(t, "fields", "description"))
		require.Equal(t, false, hint.json(t, "oauth"))
	}
	for _, chain := range []string{"nope", "dev"} {
		missing := d.call(http.MethodGet, "/v1/onchain/"+chain+"/connect", "", "Authorization", bearer)
		require.Equal(t, http.StatusNotFound, missing.StatusCode)
		require.JSONEq(t, `{"status":"not_found"}`, string(missing.raw))
	}
	providers := d.call(http.MethodGet, "/v1/aggregate/account_providers", "", "Authorization", bearer)
	require.JSONEq(t, `[{"name":"btc","type":"crypto_wallet","url":"onchain/btc"},{"name":"eth","type":"crypto_wallet","url":"onchain/eth"},{"name":"eth","type":"crypto_wallet","url":"nft/eth"},`+exchangeProviders+`]`, string(providers.raw))
	hints := d.call(http.MethodGet, "/v1/aggregate/account_provider_hints", "", "Authorization", bearer)
	require.Equal(t, "onchain/eth", hints.json(t, 1, "account_url"))
	require.Equal(t, "Ethereum (ETH)", hints.json(t, 1, "description"))
	require.Equal(t, "nft/eth", hints.json(t, 2, "account_url"))
	require.Equal(t, "Ethereum (ETH) NFTs", hints.json(t, 2, "description"))

	_, test := d.user("X-Environment", "test")
	providers = d.call(http.MethodGet, "/v1/aggregate/account_providers", "", "Authorization", test)
	require.JSONEq(t, `[{"name":"dev","type":"crypto_wallet","url":"onchain/dev"},{"name":"dev","type":"crypto_wallet","url":"nft/dev"},`+exchangeProviders+`]`, string(providers.raw))
}
