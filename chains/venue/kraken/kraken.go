// Package kraken reads spot accounts at Kraken, what is staked and saved there
// among them.
//
// Every question is a POST whose body carries a nonce that must rise for ever. The
// ledger is the whole truth of an account; deposits and withdrawals tell more of
// some of its entries, which they name by a reference.
package kraken

import (
	"encoding/base64"
	"errors"
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	balancePath     = "/0/private/BalanceEx"
	ledgersPath     = "/0/private/Ledgers"
	depositsPath    = "/0/private/DepositStatus"
	withdrawalsPath = "/0/private/WithdrawStatus"
	keyPath         = "/0/private/GetApiKeyInfo"

	// fieldOTP is the second factor that a key may be made with.
	fieldOTP = "otp"
)

// Venue returns what Kraken is.
func Venue() venue.Venue {
	return venue.Venue{
		Name:  "kraken",
		Title: "Kraken",
		About: "Use the key for nothing else: its requests are numbered, and two programs that share it shut each other out. Kraken Futures has keys of its own and is not read.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "the public part", Secret: true},
			{Name: venue.FieldSecret, Title: "Private key", Hint: "in base64, as Kraken shows it once", Secret: true},
			{Name: fieldOTP, Title: "API password", Hint: "only if the key was made with two-factor authentication by a static password", Optional: true, Secret: true},
		},
		Tick:    []string{"Query Funds", "Query Ledger Entries"},
		Regions: []venue.Region{{Name: "global", Title: "kraken.com", Hosts: map[string]string{"": "https://api.kraken.com"}}},
		Routes: []venue.Route{
			{Method: http.MethodPost, Path: balancePath},
			{Method: http.MethodPost, Path: ledgersPath, Cost: 2},
			{Method: http.MethodPost, Path: depositsPath},
			{Method: http.MethodPost, Path: withdrawalsPath},
			{Method: http.MethodPost, Path: keyPath},
		},
		// The counter of the lowest tier: at most 15, falling by one in three
		// seconds.
		Budgets:     []venue.Budget{{Name: "counter", Scope: venue.PerKey, Limit: 15, Window: 45 * time.Second, Leaks: true}},
		Nonces:      true,
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83; the example of docs.kraken.com", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://docs.kraken.com/api-reference/account-data/get-extended-balance", Seen: "2026-11"},
			{Part: "ledger", By: venue.ByReference, Source: "https://docs.kraken.com/api-reference/account-data/get-ledgers-info", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-05-05"},
			{Part: "withdrawals", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-05-05"},
			{Part: "permissions", By: venue.ByReference, Source: "https://docs.kraken.com/api-reference/account-data/get-api-key-info", Seen: "2026-11"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) {
			secret, err := base64.StdEncoding.DecodeString(c.Get(venue.FieldSecret))
			if err != nil {
				return nil, errors.New("the private key is not in base64")
			}
			return dialect{c: c, mac: func(text string) string { return venue.Base64SHA512(string(secret), text) }}, nil
		},
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}
