package bitmart_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/bitmart"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret", venue.FieldMemo: "test-memo"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: bitmart.Venue(), Login: login(), Foreign: []string{"X-BM-BROKER-ID"}}.Vectors(t)
}

// The venue's own client signs an empty text where there is no body, and the body
// where there is one. The values are its algorithm's, computed once more.
func TestSignsTheBody(t *testing.T) {
	t.Parallel()
	dialect, err := bitmart.Venue().Dialect(venue.NewCredentials(map[string]string{venue.FieldKey: "k", venue.FieldSecret: "test-secret", venue.FieldMemo: "my_memo"}))
	require.NoError(t, err)
	for body, want := range map[string]string{
		"": "f1d97f96dd64848cd30dfc65c89b4ef7e16eddc0bd39de6d0f727b278e67393b",
		`{"symbol":"BTC_USDT","side":"buy","type":"limit","size":"0.001","price":"60000"}`: "f60217cf597d2519ed25cfc015b3f66e3757b0c3b3747602456ee6b429ef09f7",
	} {
		r := venue.Request{Method: http.MethodPost, Body: body, Header: http.Header{}}
		require.NoError(t, dialect.Sign(&r, venue.Stamp{Time: time.UnixMilli(1709971200000)}))
		require.Equal(t, want, r.Header.Get("X-BM-SIGN"))
	}
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, bitmart.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	none := `{"code":1000,"message":"OK","data":{"wallet":[]}}`
	venuetest.Recordings(t, bitmart.Venue(), login(), map[string]venuetest.Use{
		"fetchBalance spot balance":                                  {Ask: "balances", Route: "GET /spot/v1/wallet"},
		"fetchBalance swap balance":                                  {Ask: "balances", Route: "GET /contract/private/assets-detail", With: map[string]string{"GET /spot/v1/wallet": none}},
		"fetchDeposits fetch USDT deposits":                          {Ask: "deposits", Route: "GET /account/v2/deposit-withdraw/history"},
		"fetchDeposits Fetch deposits for USDT with since and until": {Ask: "deposits", Route: "GET /account/v2/deposit-withdraw/history"},
		"fetchMyTrades spot trades":                                  {Ask: "trades", Route: "POST /spot/v4/query/trades"},
		"fetchLedger fetch ledger with code and limit arguments":     {Ask: "ledger", Route: "GET /contract/private/transaction-history"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: bitmart.Venue(), Login: login(), Handler: venuetest.BitMart, Timed: true,
		Revoked: venuetest.Reply{Status: http.StatusUnauthorized, Body: `{"code":30002,"message":"Header X-BM-KEY not found: test-api-key","data":{}}`},
		Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":30013,"message":"Request too many requests","data":{}}`},
	})
}
