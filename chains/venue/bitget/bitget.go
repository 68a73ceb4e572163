// Package bitget reads accounts at Bitget, of the classic and the unified kind.
package bitget

import (
	"encoding/json"
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	spotPath        = "/api/v2/spot/account/assets"
	fundingPath     = "/api/v2/account/funding-assets"
	earnPath        = "/api/v2/earn/account/assets"
	crossedPath     = "/api/v2/margin/crossed/account/assets"
	isolatedPath    = "/api/v2/margin/isolated/account/assets"
	futuresPath     = "/api/v2/mix/account/accounts"
	totalPath       = "/api/v2/account/all-account-balance"
	infoPath        = "/api/v2/spot/account/info"
	depositsPath    = "/api/v2/spot/wallet/deposit-records"
	withdrawalsPath = "/api/v2/spot/wallet/withdrawal-records"
	billsPath       = "/api/v2/spot/account/bills"
	unifiedPath     = "/api/v3/account/assets"
	unifiedFundPath = "/api/v3/account/funding-assets"
	timePath        = "/api/v2/public/time"

	demo = "demo"
)

// Venue returns what Bitget is.
func Venue() venue.Venue {
	get := func(path, budget string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Budget: budget}
	}
	return venue.Venue{
		Name:  "bitget",
		Title: "Bitget",
		About: "Bitget shows three months of bills. Of a unified account the balances are read; its past has questions of its own, which are not asked.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
			{Name: venue.FieldPassphrase, Title: "Passphrase", Hint: "the one that you chose for this key", Secret: true},
		},
		Tick: []string{"Read-only"},
		Regions: []venue.Region{
			{Name: "global", Title: "bitget.com", Hosts: map[string]string{"": "https://api.bitget.com"}},
			{Name: demo, Title: "demo trading", Sandbox: true, Hosts: map[string]string{"": "https://api.bitget.com"}},
		},
		Routes: []venue.Route{
			get(spotPath, "requests"), get(fundingPath, "requests"), get(earnPath, "requests"), get(crossedPath, "requests"), get(isolatedPath, "requests"),
			get(futuresPath, "requests"), get(totalPath, "slow"), get(infoPath, "slow"), get(depositsPath, "requests"), get(withdrawalsPath, "requests"),
			get(billsPath, "requests"), get(unifiedPath, "requests"), get(unifiedFundPath, "requests"), get(timePath, "public"),
		},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 10, Window: time.Second},
			{Name: "slow", Scope: venue.PerKey, Limit: 1, Window: time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 20, Window: time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/spot/account/Get-Account-Assets", Seen: "2026-11"},
			{Part: "funding, earn, margin, futures", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/", Seen: "2026-11"},
			{Part: "unified account", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/uta/account/Get-Account", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/spot/account/Get-Deposit-Record", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/spot/account/Get-Withdraw-Record", Seen: "2026-11"},
			{Part: "ledger", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/spot/account/Get-Account-Bills", Seen: "2026-11"},
			{Part: "permissions", By: venue.ByReference, Source: "https://www.bitget.com/api-doc/spot/account/Get-Account-Info", Seen: "2026-11"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// envelope is around every answer.
type envelope[T any] struct {
	Code venue.Text `json:"code"`
	Msg  string     `json:"msg"`
	Data *T         `json:"data"`
}

func readTime(body []byte) (time.Time, error) {
	var answer envelope[struct {
		ServerTime venue.Moment `json:"serverTime"`
	}]
	if err := venue.Decode(body, &answer); err != nil || answer.Data == nil || answer.Data.ServerTime.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Data.ServerTime.Time, nil
}

// dialect signs time, method, target and body.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	at := venue.Millis(s.Time)
	r.Header.Set("ACCESS-KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("ACCESS-PASSPHRASE", d.c.Get(venue.FieldPassphrase))
	r.Header.Set("ACCESS-TIMESTAMP", at)
	r.Header.Set("ACCESS-SIGN", venue.Base64SHA256(d.c.Get(venue.FieldSecret), at+r.Method+r.Target()+r.Body))
	if d.c.Get(venue.FieldRegion) == demo {
		r.Header.Set("PAPTRADING", "1")
	}
	return nil
}

// isUnified is the code of a question that a unified account does not know.
const isUnified = "40085"

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[envelope[json.RawMessage]](a)
	if !said || answer.Code == "" || answer.Code == "00000" {
		return nil // judged by its status, and then by whoever reads it
	}
	e := venue.Say(venue.Refused, string(answer.Code), answer.Msg)
	switch string(answer.Code) {
	case "40001", "40002", "40003", "40006", "40011", "40013", "40037":
		e.Reason = venue.KeyRefused
	case "40009":
		e.Reason, e.Hint = venue.KeyRefused, "the secret does not belong to the key"
	case "40012":
		e.Reason, e.Hint = venue.KeyRefused, "the key does not exist, or the passphrase is not the one that was chosen for it"
	case "40005", "40008":
		e.Reason = venue.ClockSkew
	case "40018", "40038":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "40014", "40029":
		e.Reason = venue.PermissionMissing
	case isUnified, "40084":
		e.Reason = venue.AccountMode
	case "429", "30007", "30014":
		e.Reason = venue.RateLimited
	case "40015", "40200", "45001", "40725":
		e.Reason = venue.Maintenance
	}
	return e
}
