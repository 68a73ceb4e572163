package kraken_test

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/kraken"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: base64.StdEncoding.EncodeToString([]byte("test-api-secret"))}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: kraken.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) {
		_, r.Body, _ = strings.Cut(r.Body+"&", "&")
		r.Body = strings.TrimSuffix(r.Body, "&")
	}}.Vectors(t)
}

// The example of the venue's own page on signing. Its body is an order, which
// tallyd could not send.
func TestExampleOfTheReference(t *testing.T) {
	t.Parallel()
	dialect, err := kraken.Venue().Dialect(venue.NewCredentials(map[string]string{
		venue.FieldKey: "k", venue.FieldSecret: "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
	}))
	require.NoError(t, err)
	r := venue.Request{Path: "/0/private/AddOrder", Body: "ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25", Header: http.Header{}}
	require.NoError(t, dialect.Sign(&r, venue.Stamp{Nonce: 1616492376594}))
	require.Equal(t, "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ==", r.Header.Get("API-Sign"))
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, kraken.Venue(), login())
}

func TestRecordings(t *testing.T) {
	t.Parallel()
	venuetest.Recordings(t, kraken.Venue(), login(), map[string]venuetest.Use{
		"fetchDeposits fetchDeposits":       {Ask: "deposits", Route: "POST /0/private/DepositStatus"},
		"fetchWithdrawals fetchWithdrawals": {Ask: "withdrawals", Route: "POST /0/private/WithdrawStatus"},
	})
}

func TestConformance(t *testing.T) {
	t.Parallel()
	venuetest.Conformance(t, venuetest.Subject{
		Venue: kraken.Venue(), Login: login(), Handler: venuetest.Kraken,
		Revoked: venuetest.Reply{Status: http.StatusOK, Body: `{"error":["EAPI:Invalid key"]}`},
		Slow:    venuetest.Reply{Status: http.StatusOK, Body: `{"error":["EAPI:Rate limit exceeded"]}`},
	})
}
