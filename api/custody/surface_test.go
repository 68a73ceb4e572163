package custody_test

import (
	"bytes"
	"encoding/json"
	"net/http"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/custody"
	"tallyd/chains"
	"tallyd/chains/chainstest"
	"tallyd/indexer"
)

// The steps of the overview that custody backends know, up to withdrawals, by a
// backend that signs every request.
func TestTypicalIntegration(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	public, secret := d.signedKey("vaults:write", "vaults:read", "assets:read", "wallets:create", "wallets:read", "transactions:write", "transactions:read", "address-book:write", "address-book:read", "custody:write")
	signed := func(method, path, body string, headers ...string) answer {
		t.Helper()
		request := d.request(method, path, body)
		access.Sign(request, public, secret, []byte(body), time.Now())
		for i := 0; i < len(headers); i += 2 {
			request.Header.Set(headers[i], headers[i+1])
		}
		return d.send(request)
	}
	a := signed("PUT", "/v1/custody/keys/btc", `{"key":"xpubA"}`)
	require.Equal(t, http.StatusOK, a.status, a.raw)
	require.Equal(t, "xpubA#sum", a.text("key"))

	vault := signed("POST", "/vaults", `{"externalId":"cust_12345","name":"Alice Johnson"}`)
	require.Equal(t, http.StatusCreated, vault.status, vault.raw)
	require.Equal(t, "cust_12345", vault.text("externalId"))
	require.Equal(t, map[string]any{}, vault.body["metadata"])
	require.Equal(t, "Active", vault.text("status"))
	_, err := time.Parse(time.RFC3339, vault.text("createdAt"))
	require.NoError(t, err)

	assets := signed("GET", "/assets", "")
	require.Equal(t, http.StatusOK, assets.status, assets.raw)
	require.Equal(t, coin, assets.list("assets")[0]["id"])

	wallet := signed("POST", "/vaults/"+vault.text("id")+"/wallets", `{"assetId":"`+coin+`","label":"Main"}`)
	require.Equal(t, http.StatusCreated, wallet.status, wallet.raw)
	require.Equal(t, "xpuba/0/0", wallet.text("depositAddress"))
	for name, want := range map[string]any{
		"vaultId": vault.text("id"), "assetId": coin, "assetName": "Fake", "assetSymbol": "FAKE", "network": "btc", "label": "Main",
		"depositTag": nil, "status": "Active",
	} {
		require.Equal(t, want, wallet.body[name], name)
	}
	require.Contains(t, d.searched, "btc", "its past is searched")
	again := signed("POST", "/vaults/"+vault.text("id")+"/wallets", `{"assetId":"`+coin+`"}`)
	require.Equal(t, http.StatusConflict, again.status, again.raw)

	// The customer pays 1.5.
	d.mine("ab", pays("1", "xpuba/0/0", 150_000_000))
	require.Equal(t, "1.5 0 0", d.balance(wallet))
	seen := signed("GET", "/transactions", "").list("transactions")[0]
	require.Equal(t, "Confirming", seen["status"])
	d.mine("abc")
	require.Equal(t, "0 1.5 0", d.balance(wallet))
	done := signed("GET", "/transactions/"+seen["id"].(string), "")
	require.Equal(t, "Completed", done.text("status"))
	require.Equal(t, "1.5", done.text("amount"))
	deposit := done.body["deposit"].(map[string]any)
	require.Equal(t, "credited", deposit["state"])
	require.Equal(t, "cust_12345", deposit["externalId"])
	require.EqualValues(t, 2, deposit["confirmations"])
	require.Equal(t, map[string]any{"basis": "confirmations", "height": 2.0, "mature": nil}, deposit["creditAt"])

	house := d.wallet()
	order := `{"sourceWalletId":"` + wallet.text("id") + `","destinationWalletId":"` + house.text("id") + `","amount":"0.5"}`
	moved := signed("POST", "/transactions/transfer", order, "Idempotency-Key", "order-1")
	require.Equal(t, http.StatusCreated, moved.status, moved.raw)
	require.Equal(t, "Transfer", moved.text("kind"))
	require.Equal(t, "Completed", moved.text("status"))
	require.Equal(t, "0 1 0", d.balance(wallet))
	require.Equal(t, "0 0.5 0", d.balance(house))

	entry := signed("POST", "/address-book", `{"network":"btc","address":"ColdWallet","label":"cold"}`)
	require.Equal(t, http.StatusCreated, entry.status, entry.raw)
	require.Equal(t, "coldwallet", entry.text("address"), "in canonical spelling")
	usable, err := time.Parse(time.RFC3339, entry.text("usableAt"))
	require.NoError(t, err)
	require.WithinDuration(t, time.Now().Add(time.Hour), usable, time.Minute, "the cooling-off time")
}

// signedKey makes a signed key and returns its public part and its secret.
func (d *desk) signedKey(scopes ...string) (public, secret string) {
	d.Helper()
	key, secret, err := access.NewKey(access.Pepper("pepper of the tests"), access.Request{
		Realm: realm, Owner: "o", Name: "n", Kind: access.Signed, Scopes: scopes,
	}, time.Now())
	require.NoError(d, err)
	require.NoError(d, d.CreateKey(d.Context(), key))
	return key.Public(), secret
}

// Requests must be signed, but for reading transactions and deposits.
func TestWhoMayCall(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	key, text, err := access.NewKey(access.Pepper("pepper of the tests"), access.Request{Realm: realm, Owner: "o", Name: "n", Scopes: []string{"*:*"}}, time.Now())
	require.NoError(t, err)
	require.NoError(t, d.CreateKey(t.Context(), key))
	few, fewText, err := access.NewKey(access.Pepper("pepper of the tests"), access.Request{Realm: realm, Owner: "o", Name: "n", Scopes: []string{"vaults:read"}}, time.Now())
	require.NoError(t, err)
	require.NoError(t, d.CreateKey(t.Context(), few))
	id := uuid.NewString()
	for path, bearer := range map[string]int{
		"/vaults": 401, "/v1/vaults": 401, "/vaults/" + id: 401, "/vaults/" + id + "/wallets": 401, "/wallets/" + id: 401,
		"/wallets/" + id + "/balance": 401, "/assets": 401, "/address-book": 401, "/v1/custody/keys/btc": 401,
		"/v1/custody/funds/btc": 401, "/transactions/" + id + "/signing": 401, "/v1/transactions/" + id + "/withdrawal": 401,
		"/transactions": 200, "/v1/transactions": 200, "/v1/deposits": 200, "/transactions/" + id: 404, "/v1/deposits/" + id: 404,
	} {
		require.Equal(t, bearer, d.call("GET", path, "", "X-API-Key", text).status, path)
		require.Equal(t, 401, d.call("GET", path, "", "X-API-Key", "").status, path)
	}
	require.Equal(t, 403, d.call("GET", "/transactions", "", "X-API-Key", fewText).status)
	require.Equal(t, 403, d.call("POST", "/v1/chains/btc/resume", "", "X-API-Key", text).status)
}

// What a caller can get wrong, and what it hears of it. Nothing changes.
func TestProblems(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	bare := d.made("/vaults", `{"name":"v"}`)
	none := d.call("POST", "/vaults/"+bare.text("id")+"/wallets", `{"assetId":"`+coin+`"}`)
	require.Equal(t, 400, none.status)
	require.Equal(t, "no_address", none.text("code"))
	d.key()
	a, b := d.wallet(), d.wallet()
	d.made("/vaults", `{"name":"v","externalId":"taken"}`)
	d.mine("abc")
	d.mine("abcd", pays("1", a.text("depositAddress"), 500))
	d.mine("abcde")
	d.made("/address-book", `{"network":"btc","address":"known"}`)
	transfer := func(from, to, amount string) string {
		return `{"sourceWalletId":"` + from + `","destinationWalletId":"` + to + `","amount":"` + amount + `"}`
	}
	between := func(amount string) string { return transfer(a.text("id"), b.text("id"), amount) }
	before := len(d.events())
	for i, tt := range []struct {
		method, path, body string
		status             int
		code               string
		field              string // in errors
	}{
		{"POST", "/vaults", `{}`, 400, "invalid_input", "name"},
		{"POST", "/vaults", `{"name":""}`, 400, "invalid_input", "name"},
		{"POST", "/vaults", `{"name":"v","externalId":"taken"}`, 409, "already_exists", "externalId"},
		{"POST", "/vaults", `{"name":"v","userId":"` + uuid.NewString() + `"}`, 400, "invalid_input", "userId"},
		{"POST", "/vaults", `{"name":"v","metadata":` + strings.Repeat(`{"a":`, 70) + "1" + strings.Repeat("}", 70) + `}`, 400, "invalid_input", "metadata"},
		{"POST", "/vaults", `{"name":"v","metadata":[]}`, 400, "invalid_input", "metadata"},
		{"GET", "/vaults?externalId=%ff", "", 400, "invalid_input", "externalId"},
		{"GET", "/vaults?externalId=%00", "", 400, "invalid_input", "externalId"},
		{"GET", "/vaults?limit=0", "", 400, "invalid_input", "limit"},
		{"GET", "/vaults?cursor=AAAA", "", 400, "invalid_cursor", "cursor"},
		{"GET", "/vaults?cursor=AgAAAAAAAAAAf______________________________", "", 400, "invalid_cursor", "cursor"},
		{"GET", "/vaults?cursor=An__________AAAAAAAAAAAAAAAAAAAAAA", "", 400, "invalid_cursor", "cursor"},
		{"GET", "/vaults?userId=me", "", 400, "invalid_input", "userId"},
		{"GET", "/vaults/" + uuid.NewString(), "", 404, "not_found", ""},
		{"POST", "/vaults/" + a.text("vaultId") + "/archive", "", 400, "vault_not_empty", "generalErrors"},
		{"POST", "/vaults/" + uuid.NewString() + "/wallets", `{"assetId":"` + coin + `"}`, 404, "not_found", ""},
		{"POST", "/vaults/" + bare.text("id") + "/wallets", `{"assetId":"FAKE"}`, 400, "invalid_input", "assetId"},
		{"POST", "/vaults/" + bare.text("id") + "/wallets", `{"assetId":"eip155:1/slip44:60"}`, 400, "invalid_input", "assetId"},
		{"POST", "/vaults/" + a.text("vaultId") + "/wallets", `{"assetId":"` + coin + `"}`, 409, "already_exists", "assetId"},
		{"GET", "/vaults/" + b.text("vaultId") + "/wallets/" + a.text("id"), "", 404, "not_found", ""},
		{"POST", "/wallets/" + uuid.NewString() + "/addresses", "", 404, "not_found", ""},

		{"POST", "/transactions/transfer", between("0"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("-1"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("0.000000001"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("1e-6"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between(".5"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("0,5"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("+1"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("01"), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between(""), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between(strings.Repeat("9", 100)), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", between("0.00000501"), 400, "insufficient_funds", "generalErrors"},
		{"POST", "/transactions/transfer", between(strings.Repeat("9", 70)), 400, "insufficient_funds", "generalErrors"},
		{"POST", "/transactions/transfer", strings.Replace(between("1"), `"1"`, `1`, 1), 400, "invalid_input", "amount"},
		{"POST", "/transactions/transfer", transfer(a.text("id"), a.text("id"), "0.000001"), 400, "invalid_input", "destinationWalletId"},
		{"POST", "/transactions/transfer", transfer(uuid.NewString(), b.text("id"), "1"), 404, "not_found", "sourceWalletId"},
		{"POST", "/transactions/transfer", transfer(a.text("id"), uuid.NewString(), "0.000001"), 404, "not_found", "destinationWalletId"},
		{"POST", "/transactions/transfer", strings.Replace(between("0.000001"), "}", `,"memo":"m"}`, 1), 400, "invalid_input", "memo"},
		{"GET", "/transactions?kind=Gift", "", 400, "invalid_input", "kind"},
		{"GET", "/transactions?status=Done", "", 400, "invalid_input", "status"},
		{"GET", "/transactions?since=yesterday", "", 400, "invalid_input", "since"},
		{"GET", "/v1/deposits?state=gone", "", 400, "invalid_input", "state"},
		{"GET", "/v1/deposits?walletId=1", "", 400, "invalid_input", "walletId"},

		{"POST", "/address-book", `{"network":"btc","address":"bad one"}`, 400, "invalid_input", "address"},
		{"POST", "/address-book", `{"network":"btc","address":"KNOWN"}`, 409, "already_exists", "address"},
		{"POST", "/address-book", `{"network":"doge","address":"x"}`, 400, "invalid_input", "network"},
		{"DELETE", "/address-book/" + uuid.NewString(), "", 404, "not_found", ""},

		{"PUT", "/v1/custody/keys/btc", `{}`, 400, "invalid_input", "key"},
		{"PUT", "/v1/custody/keys/btc", `{"nextIndex":4,"treasuryAddress":"x"}`, 400, "invalid_input", "nextIndex"},
		{"PUT", "/v1/custody/keys/btc", `{"key":"xprvSECRET"}`, 400, "invalid_input", "key"},
		{"PUT", "/v1/custody/keys/btc", `{"key":"an address"}`, 400, "invalid_input", "key"},
		{"PUT", "/v1/custody/keys/btc", `{"key":"xpub-single"}`, 400, "invalid_input", "key"},
		{"PUT", "/v1/custody/keys/btc", `{"key":"xpub-fixed"}`, 400, "invalid_input", "key"},
		{"PUT", "/v1/custody/keys/btc", `{"key":"xpubA","nextIndex":2147483648}`, 400, "invalid_input", "nextIndex"},
		{"PUT", "/v1/custody/keys/btc", `{"treasuryAddress":"t"}`, 400, "invalid_input", "treasuryAddress"},
		{"PUT", "/v1/custody/keys/doge", `{"key":"xpubA"}`, 404, "not_found", ""},
		{"POST", "/v1/custody/keys/btc/addresses", `{"addresses":[]}`, 400, "invalid_input", "addresses"},
		{"POST", "/v1/custody/keys/btc/addresses", `{"addresses":["fine","bad"]}`, 400, "invalid_input", "addresses[1]"},
		{"POST", "/v1/custody/keys/btc/addresses", `{"addresses":["` + a.text("depositAddress") + `"]}`, 409, "already_exists", ""},
		{"POST", "/v1/chains/doge/resume", "", 404, "not_found", ""},
	} {
		answer := d.call(tt.method, tt.path, tt.body, "Idempotency-Key", uuid.NewString())
		require.Equal(t, tt.status, answer.status, "%d %s %s: %s", i, tt.method, tt.path, answer.raw)
		require.Equal(t, tt.code, answer.text("code"), "%d %s %s: %s", i, tt.method, tt.path, answer.raw)
		if tt.field != "" {
			require.Contains(t, answer.body["errors"], tt.field, "%d %s %s: %s", i, tt.method, tt.path, answer.raw)
		}
		require.NotContains(t, answer.raw, "SECRET")
	}
	missing := d.call("POST", "/transactions/transfer", between("0.000001"))
	require.Equal(t, 400, missing.status)
	require.Equal(t, "idempotency_key_required", missing.text("code"))
	require.Equal(t, "0 0.000005 0", d.balance(a))
	require.Equal(t, "0 0 0", d.balance(b))
	require.Len(t, d.events(), before)
	faults, err := d.LedgerFaults(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, faults)
}

// A frozen wallet and an archived vault say so.
func TestFrozenAndArchived(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	a, b := d.wallet(), d.wallet()
	move := func(from, to answer, amount string) answer {
		return d.call("POST", "/transactions/transfer",
			`{"sourceWalletId":"`+from.text("id")+`","destinationWalletId":"`+to.text("id")+`","amount":"`+amount+`"}`, "Idempotency-Key", uuid.NewString())
	}
	d.mine("ab", pays("1", a.text("depositAddress"), 500))
	d.mine("abc")
	require.Equal(t, 201, move(a, b, "0.000003").status)
	d.mine("aXYZ") // the block of the deposit leaves
	require.Equal(t, "0 -0.000003 0", d.balance(a))
	frozen := move(a, b, "0.000001")
	require.Equal(t, 400, frozen.status)
	require.Equal(t, "wallet_frozen", frozen.text("code"))
	require.Equal(t, "Frozen", d.call("GET", "/wallets/"+a.text("id"), "").text("status"))
	status := d.call("GET", "/v1/chains", "").list("chains")[0]
	require.Contains(t, status["halted"], "credited deposits")
	require.Equal(t, 204, d.call("POST", "/v1/chains/btc/resume", "").status)
	require.Nil(t, d.call("GET", "/v1/chains", "").list("chains")[0]["halted"])

	require.Equal(t, 201, move(b, a, "0.000003").status)
	require.Equal(t, "0 0 0", d.balance(a))
	archived := d.call("POST", "/vaults/"+a.text("vaultId")+"/archive", "")
	require.Equal(t, "Archived", archived.text("status"), archived.raw)
	refused := move(a, b, "0.000001")
	require.Equal(t, "vault_archived", refused.text("code"), refused.raw)
	refused = d.call("POST", "/wallets/"+a.text("id")+"/addresses", "")
	require.Equal(t, "vault_archived", refused.text("code"), refused.raw)
	require.Equal(t, "Active", d.call("POST", "/vaults/"+a.text("vaultId")+"/activate", "").text("status"))
}

// Two requests with one Idempotency-Key move money once, at whatever path, and one
// with another body is refused.
func TestTransfersAreCarriedOutOnce(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	a, b := d.wallet(), d.wallet()
	d.mine("ab", pays("1", a.text("depositAddress"), 1000))
	d.mine("abc")
	body := func(amount string) string {
		return `{"sourceWalletId":"` + a.text("id") + `","destinationWalletId":"` + b.text("id") + `","amount":"` + amount + `"}`
	}
	var wg sync.WaitGroup
	answers := make([]answer, 6)
	for i := range answers {
		wg.Go(func() {
			answers[i] = d.call("POST", "/transactions/transfer", body("0.000001"), "Idempotency-Key", "one")
		})
	}
	wg.Wait()
	ids := map[string]bool{}
	for _, a := range answers {
		if a.status == http.StatusConflict {
			require.Equal(t, "request_running", a.text("code"))
			continue
		}
		require.Equal(t, http.StatusCreated, a.status, a.raw)
		ids[a.text("id")] = true
	}
	require.Len(t, ids, 1)
	require.Equal(t, "0 0.000009 0", d.balance(a))
	again := d.call("POST", "/v1/transactions/transfer", body("0.000001"), "Idempotency-Key", "one")
	require.True(t, ids[again.text("id")], "the path under /v1 is another spelling: %s", again.raw)
	require.Equal(t, "0 0.000009 0", d.balance(a))
	other := d.call("POST", "/v1/transactions/transfer", body("0.000002"), "Idempotency-Key", "one")
	require.Equal(t, "idempotency_key_reused", other.text("code"))

	// Vaults and addresses honour the key too: a lost answer is asked for again.
	first := d.made("/vaults", `{"name":"v"}`, "Idempotency-Key", "v1")
	require.Equal(t, first.text("id"), d.made("/vaults", `{"name":"v"}`, "Idempotency-Key", "v1").text("id"))
	address := d.made("/wallets/"+a.text("id")+"/addresses", "", "Idempotency-Key", "a1")
	require.Equal(t, address.text("address"), d.made("/wallets/"+a.text("id")+"/addresses", "", "Idempotency-Key", "a1").text("address"))
	require.Equal(t, "xpuba/0/2", address.text("address"))
	require.NotEmpty(t, address.text("givenAt"))
	list := d.call("GET", "/wallets/"+a.text("id")+"/addresses", "").list("addresses")
	require.Len(t, list, 2)
	require.EqualValues(t, 2, list[1]["index"])
}

// Lists page by page, with filters.
func TestLists(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	var ids []string
	for range 3 {
		ids = append(ids, d.made("/vaults", `{"name":"v","metadata":{"n": 12345678901234567890}}`).text("id"))
	}
	require.Contains(t, d.call("GET", "/vaults/"+ids[0], "").raw, `{"n":12345678901234567890}`, "no number of it was read")
	paged := func(path, list string) (ids []string) {
		for cursor := ""; ; {
			a := d.call("GET", path+"?limit=1&cursor="+cursor, "")
			require.Equal(t, 200, a.status, a.raw)
			require.LessOrEqual(t, len(a.list(list)), 1)
			for _, v := range a.list(list) {
				ids = append(ids, v["id"].(string))
			}
			if cursor = a.text("nextCursor"); cursor == "" {
				return ids
			}
		}
	}
	require.Equal(t, ids, paged("/vaults", "vaults"))

	w := d.wallet()
	addresses := "/wallets/" + w.text("id") + "/addresses"
	for range 60 {
		d.made(addresses, "")
	}
	all := d.call("GET", addresses, "")
	require.Len(t, all.list("addresses"), 61, "who asks for no pages gets a long one")
	require.Nil(t, all.body["nextCursor"])
	ids = nil
	for _, a := range all.list("addresses") {
		ids = append(ids, a["id"].(string))
	}
	require.Equal(t, ids, paged("/v1"+addresses, "addresses"))
	wallets := "/vaults/" + w.text("vaultId") + "/wallets"
	require.Equal(t, []string{w.text("id")}, paged(wallets, "wallets"))
	for _, path := range []string{addresses, wallets} {
		require.Equal(t, "invalid_cursor", d.call("GET", path+"?cursor=x", "").text("code"))
		require.Equal(t, 400, d.call("GET", path+"?limit=501", "").status)
	}
	d.mine("ab", pays("1", w.text("depositAddress"), 500), pays("2", w.text("depositAddress"), 700))
	for path, want := range map[string]int{
		"/v1/deposits?state=confirming,credited":         2,
		"/v1/deposits?state=credited":                    0,
		"/v1/deposits?walletId=" + w.text("id"):          2,
		"/v1/deposits?vaultId=" + ids[0]:                 0,
		"/v1/deposits?network=btc&limit=1":               1,
		"/v1/deposits?until=2020-01-01T00:00:00Z":        0,
		"/v1/deposits?since=2020-01-01T00:00:00Z":        2,
		"/transactions?kind=Deposit&status=Confirming":   2,
		"/transactions?kind=Transfer,Withdrawal":         0,
		"/transactions?vaultId=" + w.text("vaultId"):     2,
		"/transactions?assetId=" + coin:                  2,
		"/vaults?status=Archived":                        0,
		"/vaults/" + w.text("vaultId") + "/wallets":      1,
		"/address-book?network=btc":                      0,
		"/v1/deposits?walletId=" + uuid.NewString():      0,
		"/transactions?walletId=" + w.text("id") + "&a=": 2,
	} {
		a := d.call("GET", path, "")
		require.Equal(t, 200, a.status, a.raw)
		for name, list := range a.body {
			if all, ok := list.([]any); ok {
				require.Len(t, all, want, "%s of %s", name, path)
			}
		}
	}
	one := d.call("GET", "/v1/deposits?limit=1", "")
	rest := d.call("GET", "/v1/deposits?limit=1&cursor="+one.text("nextCursor"), "")
	require.NotEqual(t, one.list("deposits")[0]["id"], rest.list("deposits")[0]["id"])
	require.Nil(t, rest.body["nextCursor"])
	// In another list it would leave out what comes before it.
	for _, path := range []string{"/transactions", "/vaults", "/address-book", addresses, wallets} {
		stray := d.call("GET", path+"?cursor="+one.text("nextCursor"), "")
		require.Equal(t, "invalid_cursor", stray.text("code"), "%s: %s", path, stray.raw)
	}
}

// Another tenant finds nothing under any id, and the other environment neither.
func TestStrangers(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	require.NoError(t, d.CreateTenant(t.Context(), access.Tenant{ID: "rivals", Name: "Rivals"}))
	d.key()
	w := d.wallet()
	d.mine("ab", pays("1", w.text("depositAddress"), 500))
	deposit := d.call("GET", "/v1/deposits", "").list("deposits")[0]["id"].(string)
	entry := d.made("/address-book", `{"network":"btc","address":"x"}`)
	for _, stranger := range [][]string{{"X-Tenant", "rivals"}, {"X-Environment", "live"}} {
		for path, method := range map[string]string{
			"/vaults/" + w.text("vaultId"): "GET", "/vaults/" + w.text("vaultId") + "/archive": "POST", "/vaults/" + w.text("vaultId") + "/wallets": "GET",
			"/wallets/" + w.text("id"): "GET", "/wallets/" + w.text("id") + "/balance": "GET", "/wallets/" + w.text("id") + "/addresses": "POST",
			"/transactions/" + deposit: "GET", "/v1/deposits/" + deposit: "GET", "/address-book/" + entry.text("id"): "DELETE",
		} {
			require.Equal(t, 404, d.call(method, path, "", stranger...).status, path)
		}
		for _, path := range []string{"/vaults", "/transactions", "/v1/deposits", "/address-book"} {
			a := d.call("GET", path, "", stranger...)
			require.Equal(t, 200, a.status)
			for name, list := range a.body {
				require.Empty(t, list, name)
			}
		}
	}
	require.Equal(t, 404, d.call("GET", "/v1/custody/keys/btc", "", "X-Environment", "live").status)
	theirs := d.call("GET", "/v1/custody/keys/btc", "", "X-Tenant", "rivals")
	require.Nil(t, theirs.body["key"])
	nobody := d.call("POST", "/vaults", `{"name":"v"}`, "X-Tenant", "nobody")
	require.Equal(t, 400, nobody.status)
	require.Contains(t, nobody.body["errors"], "X-Tenant")
}

// Addresses of a registered pool, and what a key adds to it.
func TestKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.call("POST", "/v1/custody/keys/btc/addresses", `{"addresses":["Pool1","pool2"]}`)
	require.Equal(t, 200, a.status, a.raw)
	require.EqualValues(t, 2, a.body["addressesFree"])
	require.Equal(t, "pool1", d.wallet().text("depositAddress"))
	d.key()
	require.Equal(t, "xpuba/0/0", d.wallet().text("depositAddress"))
	a = d.call("PUT", "/v1/custody/keys/btc", `{"key":"xpubA","nextIndex":40}`)
	require.EqualValues(t, 40, a.body["nextIndex"], a.raw)
	require.Equal(t, "xpuba/0/40", d.wallet().text("depositAddress"))
	d.call("PUT", "/v1/custody/keys/btc", `{"key":"xpubB"}`)
	require.Equal(t, "xpubb/0/0", d.wallet().text("depositAddress"))
	d.key()
	require.Equal(t, "xpuba/0/41", d.wallet().text("depositAddress"))
	a = d.call("GET", "/v1/custody/keys/btc", "")
	require.EqualValues(t, 42, a.body["nextIndex"])
	require.EqualValues(t, 5, a.body["addressesGiven"])
	require.EqualValues(t, 1, a.body["addressesFree"])
}

// Every event is as the catalogue describes it: no member more, none less.
func TestEventsAreAsDescribed(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	a, b := d.wallet(), d.wallet()
	d.mine("ab", pays("1", a.text("depositAddress"), 500))
	d.mine("abc")
	d.call("POST", "/transactions/transfer",
		`{"sourceWalletId":"`+a.text("id")+`","destinationWalletId":"`+b.text("id")+`","amount":"0.000001"}`, "Idempotency-Key", "k")
	d.mine("aXYZ", pays("2", b.text("depositAddress"), 7))
	entry := d.made("/address-book", `{"network":"btc","address":"x"}`)
	_, err := d.Pool().Exec(t.Context(), "UPDATE address_book SET usable_at = now()")
	require.NoError(t, err)
	paid := d.made("/transactions/withdraw", withdrawal(b, "x", "0.000001"), "Idempotency-Key", "w")
	require.Equal(t, 200, d.call("POST", "/transactions/"+paid.text("id")+"/cancel", "").status)
	require.Equal(t, 204, d.call("DELETE", "/address-book/"+entry.text("id"), "").status)
	// One payment is replaced by another to somebody else, and one is dropped.
	mempool := indexer.NewMempool(d.node, d.Store)
	coins := []chains.Outpoint{pays("8", "z", 1).Out(0)}
	replaced, replacement := pays("9", a.text("depositAddress"), 3), pays("10", "elsewhere", 3)
	replaced.Spends, replacement.Spends = coins, coins
	for _, look := range [][]chainstest.Tx{{replaced}, {replacement, pays("11", a.text("depositAddress"), 4)}, nil, nil} {
		d.node.SetMempool(look...)
		require.NoError(t, mempool.Look(t.Context(), d.follower))
	}

	types := map[string]custody.EventType{}
	for _, et := range custody.Types() {
		types[et.Name] = et
	}
	told := map[string]bool{}
	zeros := regexp.MustCompile(`(:\d\d(?:\.\d*[1-9])?)\.?0+Z"`) // of a time, which Go does not write
	for _, e := range d.events() {
		et, known := types[e.Type]
		if !known {
			require.True(t, strings.HasPrefix(e.Type, "chain."), e.Type)
			continue
		}
		told[e.Type] = true
		data := reflect.New(et.Data)
		decoder := json.NewDecoder(bytes.NewReader(e.Data))
		decoder.DisallowUnknownFields()
		require.NoError(t, decoder.Decode(data.Interface()), "%s: %s", e.Type, e.Data)
		again, err := json.Marshal(data.Interface())
		require.NoError(t, err)
		require.JSONEq(t, zeros.ReplaceAllString(string(e.Data), `${1}Z"`), string(again), e.Type)
	}
	for name := range types {
		require.True(t, told[name], "no event %s", name)
	}
}

// The vaults of a user count in that user's totals, beside the accounts.
func TestTotals(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	user := d.made("/v1/users", `{"name":"Ann"}`)
	token := d.call("GET", "/v1/users/"+user.text("uuid")+"/auth", "").text("token")
	vault := d.made("/vaults", `{"name":"Ann's","userId":"`+user.text("uuid")+`"}`)
	w := d.made("/vaults/"+vault.text("id")+"/wallets", `{"assetId":"`+coin+`","label":"coins"}`)
	d.wallet() // nobody's
	d.mine("ab", pays("1", w.text("depositAddress"), 150_000_000), pays("2", "xpuba/0/1", 7))
	d.mine("abc", pays("3", w.text("depositAddress"), 25_000_000))
	a := d.call("GET", "/v1/aggregate/balance", "", "X-API-Key", "", "Authorization", "Bearer "+token)
	require.Equal(t, 200, a.status, a.raw)
	balance := a.body["balance"].(map[string]any)
	require.Equal(t, "1.5", balance["balance_sum"].([]any)[0].(map[string]any)["decimal"])
	require.Contains(t, a.raw, `"FAKE":1.5`)
	account := balance["accounts"].([]any)[0].(map[string]any)
	require.Equal(t, w.text("id"), account["account_id"])
	require.Equal(t, "wallets/"+w.text("id"), account["url"])
	require.Equal(t, "0.25", account["pending"].([]any)[0].(map[string]any)["decimal"])
	require.Equal(t, []any{vault.text("id")}, []any{d.call("GET", "/vaults?userId="+user.text("uuid"), "").list("vaults")[0]["id"]})
}

// What the operator does not let a tenant hold is neither listed nor opened.
func TestTenantAssets(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.key()
	require.Len(t, d.call("GET", "/assets", "").list("assets"), 1)
	_, err := d.SetTenantAssets(t.Context(), realm.Tenant, []chains.AssetID{})
	require.NoError(t, err)
	require.Empty(t, d.call("GET", "/v1/assets", "").list("assets"))
	vault := d.made("/vaults", `{"name":"v"}`).text("id")
	refused := d.call("POST", "/vaults/"+vault+"/wallets", `{"assetId":"`+coin+`"}`)
	require.Equal(t, 400, refused.status, refused.raw)
	require.Contains(t, refused.body["errors"], "assetId")
	_, err = d.SetTenantAssets(t.Context(), realm.Tenant, nil)
	require.NoError(t, err)
	d.made("/vaults/"+vault+"/wallets", `{"assetId":"`+coin+`"}`)
}
