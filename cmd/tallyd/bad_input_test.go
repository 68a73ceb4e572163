package main

import (
	"context"
	"crypto/ed25519"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// writtenTables are counted before and after: whatever a customer's call can
// write, and what it makes the follower watch.
const writtenTables = `
SELECT jsonb_build_object(
	'users', (SELECT count(*) FROM users WHERE deleted_at IS NULL), 'accounts', (SELECT count(*) FROM accounts WHERE deleted_at IS NULL),
	'links', (SELECT count(*) FROM account_scripts), 'scripts', (SELECT count(*) FROM scripts), 'keys', (SELECT count(*) FROM keys),
	'endpoints', (SELECT count(*) FROM endpoints), 'events', (SELECT count(*) FROM events), 'tenants', (SELECT count(*) FROM tenants),
	'watch', (SELECT sum(watch_version) FROM cursors), 'names', (SELECT md5(string_agg(name, ',' ORDER BY id)) FROM users)
)::text`

// TestBadInput sends to a whole daemon, with the real adapters and the real
// ledger, what must be refused: each has a clear answer, and nothing is written.
func TestBadInput(t *testing.T) {
	t.Parallel()
	bitcoin, _ := localnode.TestBitcoind(t)
	_, err := bitcoin.Generate(t.Context(), 1)
	require.NoError(t, err)
	ethereum := localnode.TestAnvil(t)
	require.NoError(t, ethereum.Mine(t.Context(), 1))
	s := newStack(t, map[string]config.Chain{"btc": bitcoinChain(bitcoin), "eth": ethereumChain(t, ethereum, "0x00000000000000000000000000000000000000aa")})
	s.start()
	const good = "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080" // BIP 173's key, as regtest spells it
	mine := s.connect("btc", good)
	user, bearer := s.user()
	other := s.connect("eth", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	s.eventually("both accounts are level", func() bool { return mine.balance().level && other.balance().level })

	conn, err := pgx.Connect(t.Context(), s.cfg.Database.URL.Reveal())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "INSERT INTO tenants (id, name) VALUES ('other', 'other')")
	require.NoError(t, err)
	written := func() (text string) {
		require.NoError(t, conn.QueryRow(t.Context(), writtenTables).Scan(&text))
		return text
	}
	before := written()

	const xpub = "xpub6CatWdiZiodmUeTDp8LT5or8nmbKNcuyvz7WyksVFkKB4RHwCD3XyuvPEbvqAQY3rAPshWcMLoP2fMFMKHPJ4ZeZXYVUhLv1VMrjPC7PW6V" // of mainnet
	long := strings.Repeat("q", 3_000)
	for name, c := range map[string]struct{ chain, wallet, says string }{
		"Empty":             {"btc", "", "wallet: expected length >= 1"},
		"Garbage":           {"btc", "hello", "it is neither base58 nor bech32"},
		"Long":              {"btc", "bcrt1" + long, "it has 3005 characters"},
		"Checksum":          {"btc", good[:len(good)-1] + "q", "its checksum is wrong"},
		"MixedCase":         {"btc", strings.ToUpper(good[:8]) + good[8:], "it is not bech32"},
		"Mainnet":           {"btc", "bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh", "it is an address of mainnet, this chain is regtest"},
		"MainnetLegacy":     {"btc", "1BoatSLRHtKNngkdXEeobR76b53LETtpyT", "this chain is regtest"},
		"Litecoin":          {"btc", "ltc1qw508d6qejxtdg4y5r3zarvary0c5xw7kgmn4n9", "it is an address of litecoin, this chain is regtest"},
		"EthereumOnBitcoin": {"btc", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "it is an address of an EVM chain"},
		"MainnetKey":        {"btc", xpub, "a key that starts with xpub does not belong to this chain"},
		"KeyChecksum":       {"btc", xpub[:len(xpub)-1] + "W", "the checksum of its key is wrong"},
		"PrivateKey":        {"btc", "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi", "it holds a private key"},
		"DescriptorSum":     {"btc", "wpkh(" + xpub + "/0/*)#aaaaaaaa", "its checksum is wrong"},
		"DescriptorUnknown": {"btc", "evil(" + xpub + ")", "its function is not one of"},
		"BitcoinOnEthereum": {"eth", good, "it looks like an address of a bitcoin-like network"},
		"ShortHex":          {"eth", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb922", "38 digits after 0x"},
		"MixedChecksum":     {"eth", "0xf39fd6e51aad88F6F4ce6aB8827279cffFb92266", "its upper and lower case letters do not match its checksum"},
		"Name":              {"eth", "vitalik.eth", "it looks like a name"},
	} {
		status, answer := s.call("POST", "/v1/onchain/"+c.chain+"/connect", "Authorization", "Bearer "+bearer, map[string]string{"wallet": c.wallet})
		require.Equal(t, http.StatusBadRequest, status, "%s: %v", name, answer)
		require.Contains(t, []any{"invalid_wallet", "invalid_input"}, answer["code"], name)
		require.Contains(t, answer["detail"], c.says, "%s: %v", name, answer)
		require.NotContains(t, answer["detail"], "internal", name)
		require.Less(t, len(answer["detail"].(string)), 300, "%s: what was sent is not repeated", name)
	}

	forge := func(key ed25519.PrivateKey, change map[string]any) string {
		parsed, _, err := jwt.NewParser().ParseUnverified(bearer, jwt.MapClaims{})
		require.NoError(t, err)
		claims := maps.Clone(parsed.Claims.(jwt.MapClaims))
		maps.Copy(claims, change)
		token := jwt.NewWithClaims(jwt.SigningMethodEdDSA, claims)
		token.Header["kid"] = parsed.Header["kid"]
		text, err := token.SignedString(key)
		require.NoError(t, err)
		return text
	}
	ours := ed25519.NewKeyFromSeed(make([]byte, 32)) // of the settings
	theirs := ed25519.NewKeyFromSeed([]byte(strings.Repeat("x", 32)))
	status, answer := s.call("GET", "/v1/aggregate/accounts", "Authorization", "Bearer "+forge(ours, nil), nil)
	require.Equal(t, http.StatusOK, status, "the forger's tools work: %v", answer)
	past := time.Now().Add(-time.Minute).Unix()

	balance := "/v1/onchain/btc/account/" + mine.id + "/balance"
	for name, c := range map[string]struct {
		method, path, header, value string
		body                        any
		status                      int
		code                        string
	}{
		"UnknownChain":        {"POST", "/v1/onchain/nope/connect", "Authorization", "Bearer " + bearer, map[string]string{"wallet": good}, 404, "not_found"},
		"Oversized":           {"POST", "/v1/users", "X-API-Key", testMaster, map[string]string{"name": strings.Repeat("x", 64<<10)}, 413, "body_too_large"},
		"LongName":            {"POST", "/v1/users", "X-API-Key", testMaster, map[string]string{"name": long}, 400, "invalid_input"},
		"Cursor":              {"GET", "/v1/aggregate/transactions?cursor=AAAA", "Authorization", "Bearer " + bearer, nil, 400, "invalid_cursor"},
		"Expired":             {"GET", balance, "Authorization", "Bearer " + forge(ours, map[string]any{"exp": past}), nil, 403, "invalid_token"},
		"Forged":              {"GET", balance, "Authorization", "Bearer " + forge(theirs, nil), nil, 403, "invalid_token"},
		"ForgedUser":          {"GET", balance, "Authorization", "Bearer " + forge(theirs, map[string]any{"user_uuid": mine.id}), nil, 403, "invalid_token"},
		"ForgedToConnect":     {"POST", "/v1/onchain/btc/connect", "Authorization", "Bearer " + forge(theirs, nil), map[string]string{"wallet": good}, 403, "invalid_token"},
		"BalanceOfAnother":    {"GET", balance, "Authorization", "Bearer " + bearer, nil, 404, "not_found"},
		"HistoryOfAnother":    {"GET", strings.TrimSuffix(balance, "balance") + "transactions", "Authorization", "Bearer " + bearer, nil, 404, "not_found"},
		"DeleteOfAnother":     {"DELETE", strings.TrimSuffix(balance, "/balance"), "Authorization", "Bearer " + bearer, nil, 404, "not_found"},
		"OnAnotherChain":      {"GET", "/v1/onchain/eth/account/" + mine.id + "/balance", "Authorization", "Bearer " + mine.token, nil, 404, "not_found"},
		"FilterOfAnother":     {"GET", "/v1/aggregate/balance?account-filter=" + mine.id, "Authorization", "Bearer " + bearer, nil, 404, "not_found"},
		"AnotherTenant":       {"GET", "/v1/users/" + user, "X-API-Key", testMaster + "\x00other", nil, 404, "not_found"},
		"DeleteByTenant":      {"DELETE", "/v1/users/" + user, "X-API-Key", testMaster + "\x00other", nil, 404, "not_found"},
		"RenameByTenant":      {"POST", "/v1/users/" + user, "X-API-Key", testMaster + "\x00other", map[string]string{"name": "taken"}, 404, "not_found"},
		"TokenByTenant":       {"GET", "/v1/users/" + user + "/auth", "X-API-Key", testMaster + "\x00other", nil, 404, "not_found"},
		"UnknownTenant":       {"POST", "/v1/users", "X-API-Key", testMaster + "\x00nobody", map[string]string{"name": "n"}, 400, "invalid_input"},
		"WrongKey":            {"POST", "/v1/users", "X-API-Key", "tly_test_AAAAAAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", map[string]string{"name": "n"}, 401, "invalid_key"},
		"ConnectedTwice":      {"POST", "/v1/onchain/btc/connect", "Authorization", "Bearer " + mine.token, map[string]string{"wallet": strings.ToUpper(good)}, 400, "wallet_connected"},
		"ConnectedTwiceOnEVM": {"POST", "/v1/onchain/eth/connect", "Authorization", "Bearer " + other.token, map[string]string{"wallet": "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"}, 400, "wallet_connected"},
	} {
		status, answer := s.callAs(c.method, c.path, c.header, c.value, c.body)
		require.Equal(t, c.status, status, "%s: %v", name, answer)
		require.Equal(t, c.code, answer["code"], "%s: %v", name, answer)
		require.NotEmpty(t, answer["detail"], name)
	}
	require.JSONEq(t, before, written(), "nothing was written")
	require.True(t, mine.balance().level && other.balance().level)
}

// callAs is call, with a tenant behind a zero byte in value.
func (s *stack) callAs(method, path, header, value string, body any) (int, map[string]any) {
	s.t.Helper()
	value, tenant, found := strings.Cut(value, "\x00")
	if found {
		s.tenant = tenant
		defer func() { s.tenant = "" }()
	}
	return s.call(method, path, header, value, body)
}
