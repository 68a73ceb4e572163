// Package coinbase reads accounts at Coinbase: every wallet of the app, and the
// trades of Advanced.
package coinbase

import (
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	accountsPath     = "/v2/accounts"
	transactionsPath = "/v2/accounts/{id}/transactions"
	keyPath          = "/api/v3/brokerage/key_permissions"
	fillsPath        = "/api/v3/brokerage/orders/historical/fills"
	timePath         = "/v2/time"
)

// Venue returns what Coinbase is.
func Venue() venue.Venue {
	return venue.Venue{
		Name:  "coinbase",
		Title: "Coinbase",
		About: "A key may see one portfolio only. Wallets that were never used are passed over.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key name", Hint: "organizations/…/apiKeys/…", Secret: true},
			{Name: venue.FieldSecret, Title: "Private key", Hint: "-----BEGIN EC PRIVATE KEY----- and all that follows; choose ECDSA when the key is made", Secret: true},
		},
		Tick:    []string{"View"},
		Regions: []venue.Region{{Name: "global", Title: "coinbase.com", Hosts: map[string]string{"": "https://api.coinbase.com"}}},
		Routes: []venue.Route{
			{Method: http.MethodGet, Path: accountsPath, Budget: "app"},
			{Method: http.MethodGet, Path: transactionsPath, Budget: "app"},
			{Method: http.MethodGet, Path: keyPath, Budget: "advanced"},
			{Method: http.MethodGet, Path: fillsPath, Budget: "advanced"},
			{Method: http.MethodGet, Path: timePath, Budget: "public"},
		},
		Budgets: []venue.Budget{
			{Name: "app", Scope: venue.PerKey, Limit: 10_000, Window: time.Hour},
			{Name: "advanced", Scope: venue.PerKey, Limit: 30, Window: time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 10, Window: time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83; what is signed byte for byte, the signature by the public key of the vectors", Seen: "2026-11"},
			{Part: "balances", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-04-10"},
			{Part: "transactions", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-11-03"},
			{Part: "trades", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2023-11-26"},
			{Part: "permissions", By: venue.ByReference, Source: "https://docs.cdp.coinbase.com/coinbase-app/advanced-trade-apis/rest-api, key permissions", Seen: "2026-11"},
			{Part: "Ed25519 keys", By: venue.Unverified},
		},
		Dialect: newDialect,
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

func readTime(body []byte) (time.Time, error) {
	var answer struct {
		Data struct {
			Epoch venue.Moment `json:"epoch"`
		} `json:"data"`
	}
	if err := venue.Decode(body, &answer); err != nil || answer.Data.Epoch.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Data.Epoch.Time, nil
}
