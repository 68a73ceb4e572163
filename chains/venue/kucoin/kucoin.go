// Package kucoin reads accounts at KuCoin.
package kucoin

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	accountsPath    = "/api/v1/accounts"
	marginPath      = "/api/v3/margin/accounts"
	isolatedPath    = "/api/v3/isolated/accounts"
	earnPath        = "/api/v1/earn/hold-assets"
	futuresPath     = "/api/v1/account-overview"
	modePath        = "/api/ua/v1/account/mode"
	keyPath         = "/api/v1/user/api-key"
	depositsPath    = "/api/v1/deposits"
	withdrawalsPath = "/api/v1/withdrawals"
	ledgersPath     = "/api/v1/accounts/ledgers"
	fastLedgersPath = "/api/v1/hf/accounts/ledgers"
	timePath        = "/api/v1/timestamp"

	futures = "futures" // the host of derivatives
)

// Venue returns what KuCoin is.
func Venue() venue.Venue {
	get := func(path, budget string, cost int) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Budget: budget, Cost: cost}
	}
	return venue.Venue{
		Name:  "kucoin",
		Title: "KuCoin",
		About: "Ledgers are shown for a year, a day at a time. A unified account is said to be missing: it has questions of its own, which are not asked.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Secret: true},
			{Name: venue.FieldSecret, Title: "API secret", Hint: "shown once, when the key is made", Secret: true},
			{Name: venue.FieldPassphrase, Title: "API passphrase", Hint: "the one that you chose for this key", Secret: true},
		},
		Tick:    []string{"General"},
		Regions: []venue.Region{{Name: "global", Title: "kucoin.com", Hosts: map[string]string{"": "https://api.kucoin.com", futures: "https://api-futures.kucoin.com"}}},
		Routes: []venue.Route{
			get(accountsPath, "management", 5), get(marginPath, "spot", 15), get(isolatedPath, "spot", 15), get(earnPath, "earn", 5), get(modePath, "management", 5),
			{Method: http.MethodGet, Host: futures, Path: futuresPath, Budget: "futures", Cost: 5},
			get(keyPath, "management", 20), get(depositsPath, "management", 5), get(withdrawalsPath, "management", 20),
			get(ledgersPath, "management", 2), get(fastLedgersPath, "spot", 2), get(timePath, "public", 3),
		},
		Budgets: []venue.Budget{
			{Name: "management", Scope: venue.PerKey, Limit: 2_000, Window: 30 * time.Second},
			{Name: "spot", Scope: venue.PerKey, Limit: 4_000, Window: 30 * time.Second},
			{Name: "earn", Scope: venue.PerKey, Limit: 2_000, Window: 30 * time.Second},
			{Name: "futures", Scope: venue.PerKey, Limit: 2_000, Window: 30 * time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 2_000, Window: 30 * time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-account-list-spot", Seen: "2026-11"},
			{Part: "margin, futures, earn", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/", Seen: "2026-11"},
			{Part: "unified account", By: venue.Unverified},
			{Part: "deposits", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/account-info/deposit/get-deposit-history", Seen: "2022-10-24"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/account-info/withdrawals/get-withdrawal-history", Seen: "2022-10-24"},
			{Part: "ledger", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-account-ledgers-spot-margin", Seen: "2021-08-16"},
			{Part: "permissions", By: venue.ByReference, Source: "https://www.kucoin.com/docs-new/rest/account-info/account-funding/get-apikey-info", Seen: "2026-11"},
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
	var answer envelope[venue.Moment]
	if err := venue.Decode(body, &answer); err != nil || answer.Data == nil || answer.Data.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Data.Time, nil
}

// dialect signs time, method, target and body, and the passphrase too.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	at, secret := venue.Millis(s.Time), d.c.Get(venue.FieldSecret)
	r.Header.Set("KC-API-KEY-VERSION", "2")
	r.Header.Set("KC-API-KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("KC-API-TIMESTAMP", at)
	r.Header.Set("KC-API-PASSPHRASE", venue.Base64SHA256(secret, d.c.Get(venue.FieldPassphrase)))
	r.Header.Set("KC-API-SIGN", venue.Base64SHA256(secret, at+r.Method+r.Target()+r.Body))
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[envelope[json.RawMessage]](a)
	if !said || answer.Code == "" || answer.Code == "200000" || answer.Code == "200" {
		return nil // judged by its status, and then by whoever reads it
	}
	e := venue.Say(venue.Refused, string(answer.Code), answer.Msg)
	switch string(answer.Code) {
	case "400001", "400003":
		e.Reason = venue.KeyRefused
	case "400004":
		e.Reason, e.Hint = venue.KeyRefused, "the passphrase is the one that was chosen for this key, not the trading password"
	case "400005":
		e.Reason, e.Hint = venue.KeyRefused, "the secret does not belong to the key"
	case "400002":
		e.Reason = venue.ClockSkew
	case "400006":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "400007":
		e.Reason = venue.PermissionMissing
	case "411100":
		e.Reason = venue.AccountClosed
	case "429000":
		e.Reason = venue.RateLimited
		if left, err := strconv.Atoi(a.Header.Get("Gw-Ratelimit-Reset")); err == nil && left > 0 {
			e.Until = time.Now().Add(time.Duration(left) * time.Millisecond)
		}
	case "500000", "230005":
		e.Reason = venue.Maintenance
	}
	return e
}

// Measure implements venue.Meter.
func (d dialect) Measure(a venue.Answer) []venue.Usage {
	limit, err := strconv.Atoi(a.Header.Get("Gw-Ratelimit-Limit"))
	left, err2 := strconv.Atoi(a.Header.Get("Gw-Ratelimit-Remaining"))
	if err != nil || err2 != nil || limit <= 0 {
		return nil
	}
	return []venue.Usage{{Used: limit - left, Limit: limit}}
}

// kindOf returns the wallet that a type of account is.
func kindOf(kind string) venue.Wallet {
	switch strings.ToLower(kind) {
	case "main":
		return venue.Funding
	case "trade", "trade_hf":
		return venue.Spot
	case "margin", "margin_v2", "cross":
		return venue.Margin
	case "isolated", "isolated_v2":
		return venue.Isolated
	}
	return venue.Other
}
