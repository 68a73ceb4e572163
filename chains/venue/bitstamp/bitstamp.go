// Package bitstamp reads accounts at Bitstamp.
package bitstamp

import (
	"encoding/hex"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	balancesPath     = "/api/v2/account_balances/"
	transactionsPath = "/api/v2/user_transactions/"
	cryptoPath       = "/api/v2/crypto-transactions/"
	requestsPath     = "/api/v2/withdrawal-requests/"
)

// Venue returns what Bitstamp is.
func Venue() venue.Venue {
	post := func(path string) venue.Route { return venue.Route{Method: http.MethodPost, Path: path} }
	return venue.Venue{
		Name:  "bitstamp",
		Title: "Bitstamp",
		About: "Bitstamp does not say what a key may do. What is staked through Bitstamp Earn is not read. Requests for withdrawals are shown for a year and a half.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret", Hint: "shown once, when the key is activated", Secret: true},
		},
		Tick:    []string{"Account balance", "User transactions", "Crypto transactions", "Withdrawal requests"},
		Regions: []venue.Region{{Name: "global", Title: "bitstamp.net", Hosts: map[string]string{"": "https://www.bitstamp.net"}}},
		Routes:  []venue.Route{post(balancesPath), post(transactionsPath), post(cryptoPath), post(requestsPath)},
		Budgets: []venue.Budget{{Name: "requests", Scope: venue.PerKey, Limit: 8_000, Window: 10 * time.Minute}},
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://www.bitstamp.net/api/#tag/Account-balances", Seen: "2026-11"},
			{Part: "transactions", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2026-04-03"},
			{Part: "deposits", By: venue.ByReference, Source: "https://www.bitstamp.net/api/#tag/Deposits/operation/GetCryptoTransactions", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://www.bitstamp.net/api/#tag/Withdrawals/operation/GetWithdrawalRequests", Seen: "2026-11"},
			{Part: "earn", By: venue.Unverified},
			{Part: "permissions", By: venue.Unverified},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// dialect signs the whole request, its host included.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	if r.Body == "" {
		r.Body = "foo=bar" // an empty body is refused
	}
	const form, version = "application/x-www-form-urlencoded", "v2"
	x := hex.EncodeToString(s.Random[:])
	nonce := strings.Join([]string{x[:8], x[8:12], x[12:16], x[16:20], x[20:]}, "-")
	at, key := venue.Millis(s.Time), "BITSTAMP "+d.c.Get(venue.FieldKey)
	r.Header.Set("X-Auth", key)
	r.Header.Set("X-Auth-Nonce", nonce)
	r.Header.Set("X-Auth-Timestamp", at)
	r.Header.Set("X-Auth-Version", version)
	r.Header.Set("Content-Type", form)
	text := key + r.Method + r.Authority + r.Path + r.Query + form + nonce + at + version + r.Body
	r.Header.Set("X-Auth-Signature", venue.HexSHA256(d.c.Get(venue.FieldSecret), text))
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Status string          `json:"status"`
		Reason json.RawMessage `json:"reason"` // a text, or texts by field
		Code   venue.Text      `json:"code"`
		Error  json.RawMessage `json:"error"`
	}](a)
	if !said || answer.Status != "error" && answer.Code == "" && answer.Error == nil {
		return nil // a list, or judged by its status
	}
	e := venue.Say(venue.Refused, string(answer.Code), strings.Trim(string(answer.Reason)+string(answer.Error), `"`))
	switch string(answer.Code) {
	case "API0001", "API0005", "API0006", "API0011":
		e.Reason = venue.KeyRefused
	case "API0002":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "API0003":
		e.Reason = venue.PermissionMissing
	case "API0004":
		e.Reason = venue.NonceRefused
	case "400.002":
		e.Reason = venue.RateLimited
	default:
		switch {
		case strings.Contains(strings.ToLower(e.Detail), "timestamp"):
			e.Reason = venue.ClockSkew
		case a.Status == http.StatusForbidden:
			e.Reason = venue.KeyRefused
		case a.Status == http.StatusTooManyRequests:
			e.Reason = venue.RateLimited
		}
	}
	return e
}
