// Package okx reads accounts at OKX. A login belongs to one of its companies, and
// the host of another does not know it.
package okx

import (
	"encoding/json"
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	tradingPath     = "/api/v5/account/balance"
	fundingPath     = "/api/v5/asset/balances"
	savingsPath     = "/api/v5/finance/savings/balance"
	stakingPath     = "/api/v5/finance/staking-defi/orders-active"
	configPath      = "/api/v5/account/config"
	valuationPath   = "/api/v5/asset/asset-valuation"
	depositsPath    = "/api/v5/asset/deposit-history"
	withdrawalsPath = "/api/v5/asset/withdrawal-history"
	billsPath       = "/api/v5/account/bills-archive"
	fundingBills    = "/api/v5/asset/bills-history"
	fillsPath       = "/api/v5/trade/fills-history"
	timePath        = "/api/v5/public/time"

	demo = "demo"
)

// Venue returns what OKX is.
func Venue() venue.Venue {
	get := func(path, budget string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Budget: budget}
	}
	return venue.Venue{
		Name:  "okx",
		Title: "OKX",
		About: "OKX shows the bills and trades of the trading account for three months. Choose the region where the account was opened: elsewhere the key does not exist.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
			{Name: venue.FieldPassphrase, Title: "Passphrase", Hint: "the one that you chose for this key", Secret: true},
		},
		Tick: []string{"Read"},
		Regions: []venue.Region{
			{Name: "global", Title: "okx.com", Hosts: map[string]string{"": "https://www.okx.com"}},
			{Name: "eea", Title: "my.okx.com, European Economic Area", Hosts: map[string]string{"": "https://eea.okx.com"}},
			{Name: "us", Title: "app.okx.com, United States", Hosts: map[string]string{"": "https://us.okx.com"}},
			{Name: demo, Title: "demo trading", Sandbox: true, Hosts: map[string]string{"": "https://www.okx.com"}},
		},
		Routes: []venue.Route{
			get(tradingPath, "requests"), get(fundingPath, "requests"), get(savingsPath, "requests"), get(stakingPath, "slow"),
			get(configPath, "slow"), get(valuationPath, "valuation"), get(depositsPath, "requests"), get(withdrawalsPath, "requests"),
			get(billsPath, "slow"), get(fundingBills, "single"), get(fillsPath, "slow"), get(timePath, "time"),
		},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 10, Window: 2 * time.Second},
			{Name: "slow", Scope: venue.PerKey, Limit: 5, Window: 2 * time.Second},
			{Name: "single", Scope: venue.PerKey, Limit: 1, Window: time.Second},
			{Name: "valuation", Scope: venue.PerKey, Limit: 1, Window: 2 * time.Second},
			{Name: "time", Scope: venue.PerAddress, Limit: 10, Window: 2 * time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses: trading and funding", Seen: "2025-07-11"},
			{Part: "earn", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#financial-product-savings-get-saving-balance", Seen: "2026-11"},
			{Part: "staking", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#financial-product-on-chain-earn-get-active-orders", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#funding-account-rest-api-get-deposit-history", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#funding-account-rest-api-get-withdrawal-history", Seen: "2026-11"},
			{Part: "ledger", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-04-06"},
			{Part: "funding", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#funding-account-rest-api-asset-bills-details", Seen: "2026-11"},
			{Part: "trades", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2023-11-01"},
			{Part: "permissions", By: venue.ByReference, Source: "https://www.okx.com/docs-v5/en/#trading-account-rest-api-get-account-configuration", Seen: "2026-11"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// envelope is around every answer.
type envelope[T any] struct {
	Code venue.Text `json:"code"`
	Msg  string     `json:"msg"`
	Data *[]T       `json:"data"`
}

func readTime(body []byte) (time.Time, error) {
	var answer envelope[struct {
		TS venue.Moment `json:"ts"`
	}]
	if err := venue.Decode(body, &answer); err != nil || answer.Data == nil || len(*answer.Data) == 0 {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return (*answer.Data)[0].TS.Time, nil
}

// dialect signs time, method, target and body.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	at := s.Time.UTC().Format("2006-01-02T15:04:05.000Z")
	r.Header.Set("OK-ACCESS-KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("OK-ACCESS-PASSPHRASE", d.c.Get(venue.FieldPassphrase))
	r.Header.Set("OK-ACCESS-TIMESTAMP", at)
	r.Header.Set("OK-ACCESS-SIGN", venue.Base64SHA256(d.c.Get(venue.FieldSecret), at+r.Method+r.Target()+r.Body))
	if d.c.Get(venue.FieldRegion) == demo {
		r.Header.Set("X-Simulated-Trading", "1")
	}
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[envelope[json.RawMessage]](a)
	if !said || answer.Code == "0" || answer.Code == "" {
		return nil // judged by its status, and then by whoever reads it
	}
	e := venue.Say(venue.Refused, string(answer.Code), answer.Msg)
	switch string(answer.Code) {
	case "50119":
		e.Reason, e.Hint = venue.KeyRefused, "the key does not exist in this region: choose the one where the account was opened"
	case "50101":
		e.Reason, e.Hint = venue.KeyRefused, "the key is one of demo trading, or the region is"
	case "50105":
		e.Reason, e.Hint = venue.KeyRefused, "the passphrase is the one that was chosen for this key, not the password"
	case "50111", "50113", "50103", "50104", "50106", "50107", "50100":
		e.Reason = venue.KeyRefused
	case "50110":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "50102", "50112":
		e.Reason = venue.ClockSkew
	case "50120", "50030":
		e.Reason = venue.PermissionMissing
	case "50011", "50061", "50040":
		e.Reason = venue.RateLimited
	case "51010", "51097":
		e.Reason = venue.AccountMode
	case "50001", "50004", "50013", "50026":
		e.Reason = venue.Maintenance
	}
	return e
}
