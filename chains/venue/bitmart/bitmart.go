// Package bitmart reads accounts at BitMart.
//
// Balances and the history of deposits need the API key alone; the venue looks at
// the signature where trades are read. So it is there that Check asks, since a
// wrong secret or memo shows nowhere else.
package bitmart

import (
	"encoding/json"
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	walletPath  = "/spot/v1/wallet"
	accountPath = "/account/v1/wallet"
	marginPath  = "/spot/v1/margin/isolated/account"
	earnPath    = "/newearn/cloud/v1/earn"
	futuresPath = "/contract/private/assets-detail"
	ledgerPath  = "/contract/private/transaction-history"
	historyPath = "/account/v2/deposit-withdraw/history"
	tradesPath  = "/spot/v4/query/trades"
	timePath    = "/system/time"

	futures = "futures" // the host of derivatives
)

// Venue returns what BitMart is.
func Venue() venue.Venue {
	return venue.Venue{
		Name:  "bitmart",
		Title: "BitMart",
		About: "BitMart shows deposits and withdrawals of at most 90 days at once, and 100 of them. Savings are told apart only as none or some.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "the access key of an API key with the permission Read-Only", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
			{Name: venue.FieldMemo, Title: "Memo", Hint: "the text that you typed as memo when you made the key; not your user id", Secret: true},
		},
		Tick:    []string{"Read-Only"},
		Regions: []venue.Region{{Name: "global", Title: "bitmart.com", Hosts: map[string]string{"": "https://api-cloud.bitmart.com", futures: "https://api-cloud-v2.bitmart.com"}}},
		Routes: []venue.Route{
			{Method: http.MethodGet, Path: walletPath},
			{Method: http.MethodGet, Path: accountPath},
			{Method: http.MethodGet, Path: marginPath},
			{Method: http.MethodGet, Path: earnPath},
			{Method: http.MethodGet, Host: futures, Path: futuresPath},
			{Method: http.MethodGet, Host: futures, Path: ledgerPath, Budget: "ledger"},
			{Method: http.MethodGet, Path: historyPath, Budget: "history"},
			{Method: http.MethodPost, Path: tradesPath, Budget: "trades"},
			{Method: http.MethodGet, Path: timePath, Budget: "time"},
		},
		Budgets: []venue.Budget{
			{Name: "wallet", Scope: venue.PerKey, Limit: 12, Window: 2 * time.Second},
			{Name: "history", Scope: venue.PerKey, Limit: 8, Window: 2 * time.Second},
			{Name: "ledger", Scope: venue.PerKey, Limit: 6, Window: 2 * time.Second},
			{Name: "trades", Scope: venue.PerKey, Limit: 12, Window: 2 * time.Second},
			{Name: "time", Scope: venue.PerAddress, Limit: 10, Window: time.Second},
		},
		Clock: &venue.Clock{Path: timePath, Read: readTime},
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.70; bitmartexchange/bitmart-go-sdk-api", Seen: "2026-08-03"},
			{Part: "balances", By: venue.ByRecording, Source: "ccxt 4.5.70, static responses: spot and futures", Seen: "2024-08-07"},
			{Part: "margin", By: venue.ByReference, Source: "https://developer-pro.bitmart.com/en/spot/", Seen: "2024-06"},
			{Part: "funding", By: venue.ByReference, Source: "https://github.com/JKorf/BitMart.Net, change of 2026-07-01", Seen: "2026-07-01"},
			{Part: "earn", By: venue.Unverified},
			{Part: "deposits", By: venue.ByRecording, Source: "ccxt 4.5.70, static responses", Seen: "2025-02-13"},
			{Part: "withdrawals", By: venue.ByReference, Source: "the row of deposits, which both share", Seen: "2025-02-13"},
			{Part: "trades", By: venue.ByRecording, Source: "ccxt 4.5.70, static responses", Seen: "2024-01-31"},
			{Part: "ledger", By: venue.ByRecording, Source: "ccxt 4.5.70, static responses", Seen: "2024-12-17"},
			{Part: "permissions", By: venue.Unverified},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// envelope is around every answer. The code is now a number and now a text.
type envelope[T any] struct {
	Code    venue.Text `json:"code"`
	Message string     `json:"message"`
	Data    *T         `json:"data"`
}

func readTime(body []byte) (time.Time, error) {
	var answer envelope[struct {
		ServerTime venue.Moment `json:"server_time"`
	}]
	if err := venue.Decode(body, &answer); err != nil || answer.Data == nil {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Data.ServerTime.Time, nil
}

// isHollow reports whether the answer of savings says that there are none.
func isHollow(data *json.RawMessage) bool { return data == nil || venue.Hollow(*data) }
