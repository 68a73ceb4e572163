package coinbase_test

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/coinbase"
	"tallyd/chains/venue/venuetest"
)

const keyName = "organizations/00000000-0000-0000-0000-000000000000/apiKeys/11111111-1111-1111-1111-111111111111"

// ours is a key made for this run.
var ours = sync.OnceValue(func() *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
})

func login() map[string]string {
	der, err := x509.MarshalECPrivateKey(ours())
	if err != nil {
		panic(err)
	}
	return map[string]string{venue.FieldKey: keyName, venue.FieldSecret: string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}))}
}

// The private key of the vectors is not at hand, and ES256 signs differently each
// time. Its public key follows from the two signatures: what tallyd would sign is
// the same bytes, and their signatures hold for them.
func TestVectors(t *testing.T) {
	t.Parallel()
	point, err := hex.DecodeString("04" + "2602da68308fcea3613b02381b864129e03c8dec531b7ae4ee292e9a93ae1bde" + "0c90414656662044ed62c82efc22878325b3d69dc5652625cc78c0a7829cec42")
	require.NoError(t, err)
	theirs, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	require.NoError(t, err)
	random, err := hex.DecodeString("00112233445566778899aabbccddeeff")
	require.NoError(t, err)
	venuetest.Signer{
		Venue: coinbase.Venue(), Login: login(), Random: [16]byte(random),
		Compare: map[string]func(*testing.T, string, string){"Authorization": func(t *testing.T, want, got string) {
			t.Helper()
			signedText, signature := token(want)
			ourText, ourSignature := token(got)
			require.Equal(t, signedText, ourText)
			require.True(t, holds(theirs, strings.TrimPrefix(ourText, "Bearer "), signature))
			require.True(t, holds(&ours().PublicKey, strings.TrimPrefix(ourText, "Bearer "), ourSignature))
		}},
	}.Vectors(t)
}

// token returns what of a token is signed, and the signature.
func token(s string) (text, signature string) {
	i := max(strings.LastIndex(s, "."), 0)
	return s[:i], strings.TrimPrefix(s[i:], ".")
}

// holds reports whether an ES256 signature is one of a text.
func holds(key *ecdsa.PublicKey, text, signature string) bool {
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || len(raw) != 64 {
		return false
	}
	hash := sha256.Sum256([]byte(text))
	return ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(raw[:32]), new(big.Int).SetBytes(raw[32:]))
}

// A key of the newer kind signs with Ed25519, and names the request in a list.
func TestEd25519(t *testing.T) {
	t.Parallel()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	dialect, err := coinbase.Venue().Dialect(venue.NewCredentials(map[string]string{
		venue.FieldKey: keyName, venue.FieldSecret: base64.StdEncoding.EncodeToString(private),
	}))
	require.NoError(t, err)
	r := venue.Request{Method: http.MethodGet, Path: "/v2/accounts", Authority: "api.coinbase.com", Header: http.Header{}}
	require.NoError(t, dialect.Sign(&r, venue.Stamp{Time: time.Unix(1700000000, 0)}))
	text, signature := token(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
	raw, err := base64.RawURLEncoding.DecodeString(signature)
	require.NoError(t, err)
	require.True(t, ed25519.Verify(public, []byte(text), raw))
	_, body := token(text)
	claims, err := base64.RawURLEncoding.DecodeString(body)
	require.NoError(t, err)
	require.Contains(t, string(claims), `"uris":["GET api.coinbase.com/v2/accounts"]`)
}

func TestBadKeys(t *testing.T) {
	t.Parallel()
	for _, secret := range []string{"hunter22hunter22", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----"} {
		_, err := coinbase.Venue().Dialect(venue.NewCredentials(map[string]string{venue.FieldKey: "k", venue.FieldSecret: secret}))
		require.Error(t, err)
		require.NotContains(t, err.Error(), secret)
	}
	escaped := login()
	escaped[venue.FieldSecret] = strings.ReplaceAll(escaped[venue.FieldSecret], "\n", `\n`)
	_, err := coinbase.Venue().Dialect(venue.NewCredentials(escaped))
	require.NoError(t, err)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, coinbase.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	const wallets, fills = "GET /v2/accounts", "GET /api/v3/brokerage/orders/historical/fills"
	one := map[string]string{wallets: `{"data":[{"id":"w1","balance":{"amount":"1","currency":"USDT"}}],"pagination":{}}`}
	venuetest.Recordings(t, coinbase.Venue(), login(), map[string]venuetest.Use{
		"fetchMyTrades Spot trade": {Ask: "trades", Route: fills},
		"fetchMyTrades swap trade": {Skip: "a fill of a contract moves none of the coins it names"},
		"fetchBalance v3 balance":  {Ask: "balances", Route: wallets, Without: []string{`"next_uri":"/v2/accounts?limit=3&starting_after=9347d538-945b-53d0-a7f3-3ebae4a2f8d5",`}},
		"fetchBalance v2 balance":  {Ask: "balances", Route: wallets, Without: []string{`"next_uri":"/v2/accounts?limit=2&starting_after=ee4ccb01-e922-5472-a6f7-947d97970ad3",`}},
		"fetchDepositsWithdrawals spot": {
			Ask: "transactions", Route: "GET /v2/accounts/w1/transactions", With: one,
			Ours: map[string]string{"e457a27e-8ad0-56ee-90d3-94d9a86fc203": "withdrawal settled e457a27e-8ad0-56ee-90d3-94d9a86fc203 -2.01USDT 2024-11-03T13:50:09Z type=send state=completed network=ethereum tx=123485af495b4a19521e989b3c67c14cd36e38e7eda755faf8aa4321c8f41be8 address=0x22d35481cb74fa959aec61d11a5d4507a6112345"},
			Why:  "amount is all that the wallet was changed by: the fee is a part of it",
		},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: coinbase.Venue(), Login: login(), Handler: handler, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"errors":[{"id":"revoked_token","message":"The access token was revoked"}]}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"errors":[{"id":"rate_limit_exceeded","message":"Too many requests"}]}`},
		Match:   func(r venuetest.Row, m venue.Movement) bool { return m.ID == r.ID },
	})
}

// handler is Coinbase.
func handler(w *venuetest.World) http.Handler {
	mux := http.NewServeMux()
	serve := func(path string, answer func(r *http.Request) any) {
		mux.HandleFunc("GET "+path, func(rw http.ResponseWriter, r *http.Request) {
			text, signature := token(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
			_, body := token(text)
			raw, _ := base64.RawURLEncoding.DecodeString(body)
			var claims struct {
				Nbf, Exp int64
				URI      string
			}
			now := w.Now().Unix()
			if json.Unmarshal(raw, &claims) != nil || !holds(&ours().PublicKey, text, signature) || claims.URI != "GET "+r.Host+r.URL.Path || now < claims.Nbf-5 || now > claims.Exp {
				rw.WriteHeader(http.StatusUnauthorized)
				_, _ = rw.Write([]byte("Unauthorized\n")) // in plain words, as it is
				return
			}
			venuetest.JSON(rw, http.StatusOK, answer(r))
		})
	}
	mux.HandleFunc("GET /v2/time", func(rw http.ResponseWriter, _ *http.Request) {
		venuetest.JSON(rw, http.StatusOK, map[string]any{"data": map[string]any{"epoch": w.Now().Unix(), "iso": w.Now().Format(time.RFC3339)}})
	})
	serve("/api/v3/brokerage/key_permissions", func(*http.Request) any {
		return map[string]any{"can_view": true, "can_trade": false, "can_transfer": false}
	})
	serve("/v2/accounts", func(r *http.Request) any {
		wallet := func(id, name, amount, code, updated string) map[string]any {
			return map[string]any{"id": id, "name": name, "type": "wallet", "balance": map[string]any{"amount": amount, "currency": code}, "created_at": "2020-01-01T00:00:00Z", "updated_at": updated}
		}
		if r.FormValue("starting_after") == "" {
			return map[string]any{"data": []any{wallet("w1", "BTC Wallet", "2", "BTC", "2024-01-01T00:00:00Z")}, "pagination": map[string]any{"next_uri": "/v2/accounts?limit=250&starting_after=w1"}}
		}
		return map[string]any{"data": []any{wallet("w2", "ETH Wallet", "0", "ETH", "2024-01-01T00:00:00Z"), wallet("w3", "MASK Wallet", "0", "MASK", "2020-01-01T00:00:00Z")}, "pagination": map[string]any{"next_uri": nil}}
	})
	serve("/v2/accounts/w2/transactions", func(*http.Request) any { return map[string]any{"data": []any{}, "pagination": map[string]any{}} })
	serve("/v2/accounts/w1/transactions", func(r *http.Request) any {
		rows := venuetest.After(w.Between(venue.Transactions, time.Time{}, time.Time{}), r.FormValue("starting_after"))
		page, more := w.Page(rows, 0, venuetest.Number(r.FormValue("limit")))
		pagination := map[string]any{"next_uri": nil}
		if more {
			pagination["next_uri"] = "/v2/accounts/w1/transactions?limit=100&starting_after=" + page[len(page)-1].ID
		}
		return map[string]any{"pagination": pagination, "data": venuetest.Write(page, func(r venuetest.Row) map[string]any {
			status := "completed"
			if r.Pending {
				status = "pending"
			}
			return map[string]any{"id": r.ID, "type": "send", "status": status, "amount": map[string]any{"amount": r.Amount, "currency": r.Code}, "created_at": r.At.Format(time.RFC3339), "network": map[string]any{"hash": r.TxHash, "network_name": "bitcoin"}}
		})}
	})
	serve("/api/v3/brokerage/orders/historical/fills", func(r *http.Request) any {
		rows := w.BetweenText(venue.Trades, r.FormValue("start_sequence_timestamp"), r.FormValue("end_sequence_timestamp"))
		offset := venuetest.Number(r.FormValue("cursor"))
		page, more := w.Page(rows, offset, venuetest.Number(r.FormValue("limit")))
		cursor := ""
		if more {
			cursor = strconv.Itoa(offset + 100)
		}
		return map[string]any{"cursor": cursor, "fills": venuetest.Write(page, func(r venuetest.Row) map[string]any {
			return map[string]any{"entry_id": "e" + r.ID, "trade_id": r.ID, "trade_time": r.At.Format(time.RFC3339), "price": "2", "size": r.Amount, "commission": "0", "product_id": "BTC-USD", "side": "BUY"}
		})}
	})
	return mux
}
