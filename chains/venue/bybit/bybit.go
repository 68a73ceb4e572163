// Package bybit reads accounts at Bybit: the unified trading account, funding, and
// what is saved.
package bybit

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"tallyd/chains/venue"
)

const (
	walletPath      = "/v5/account/wallet-balance"
	fundPath        = "/v5/asset/transfer/query-account-coins-balance"
	earnPath        = "/v5/earn/position"
	keyPath         = "/v5/user/query-api"
	depositsPath    = "/v5/asset/deposit/query-record"
	insidePath      = "/v5/asset/deposit/query-internal-record"
	withdrawalsPath = "/v5/asset/withdraw/query-record"
	logPath         = "/v5/account/transaction-log"
	timePath        = "/v5/market/time"
)

// Venue returns what Bybit is.
func Venue() venue.Venue {
	get := func(path, budget string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Budget: budget}
	}
	region := func(name, title, origin string) venue.Region {
		return venue.Region{Name: name, Title: title, Hosts: map[string]string{"": origin}}
	}
	testnet, demo := region("testnet", "testnet.bybit.com", "https://api-testnet.bybit.com"), region("demo", "demo trading", "https://api-demo.bybit.com")
	testnet.Sandbox, demo.Sandbox = true, true
	return venue.Venue{
		Name:  "bybit",
		Title: "Bybit",
		About: "A read-only key needs Wallet: Account Transfer ticked for the funding wallet, and Earn for what is saved; it stays read-only. Changes of the unified account are shown for two years. Trading bots are not shown by Bybit. Keys that are not bound to an address end after 90 days.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "of a system-generated (HMAC) key", Secret: true},
			{Name: venue.FieldSecret, Title: "API secret", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick: []string{"Read-Only", "Unified Trading", "Wallet: Account Transfer", "Earn"},
		Regions: []venue.Region{
			region("global", "bybit.com", "https://api.bybit.com"),
			region("eu", "bybit.eu", "https://api.bybit.eu"),
			region("nl", "bybit.nl", "https://api.bybit.nl"),
			region("tr", "bybit-tr.com", "https://api.bybit-tr.com"),
			region("kz", "bybit.kz", "https://api.bybit.kz"),
			region("ge", "bybitgeorgia.ge", "https://api.bybitgeorgia.ge"),
			region("ae", "bybit.ae", "https://api.bybit.ae"),
			region("id", "bybit.id", "https://api.bybit.id"),
			testnet, demo,
		},
		Routes: []venue.Route{
			get(walletPath, "wallet"), get(fundPath, "fund"), get(earnPath, "fund"), get(keyPath, "key"), get(depositsPath, "deposits"),
			get(insidePath, "deposits"), get(withdrawalsPath, "deposits"), get(logPath, "log"), get(timePath, "public"),
		},
		Budgets: []venue.Budget{
			{Name: "wallet", Scope: venue.PerKey, Limit: 50, Window: time.Second},
			{Name: "fund", Scope: venue.PerKey, Limit: 5, Window: time.Second},
			{Name: "key", Scope: venue.PerKey, Limit: 10, Window: time.Second},
			{Name: "deposits", Scope: venue.PerKey, Limit: 100, Window: time.Minute},
			{Name: "log", Scope: venue.PerKey, Limit: 30, Window: time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 500, Window: 5 * time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/account/wallet-balance", Seen: "2026-11"},
			{Part: "funding", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/asset/balance/all-balance", Seen: "2026-11"},
			{Part: "earn", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/earn/position", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/asset/deposit/deposit-record", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/asset/withdraw/withdraw-record", Seen: "2026-11"},
			{Part: "ledger", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/account/transaction-log", Seen: "2026-11"},
			{Part: "permissions", By: venue.ByReference, Source: "https://bybit-exchange.github.io/docs/v5/user/apikey-info", Seen: "2026-11"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// envelope is around every answer.
type envelope[T any] struct {
	RetCode *json.Number `json:"retCode"`
	RetMsg  string       `json:"retMsg"`
	Result  *T           `json:"result"`
}

func readTime(body []byte) (time.Time, error) {
	var answer envelope[struct {
		TimeNano venue.Moment `json:"timeNano"`
	}]
	if err := venue.Decode(body, &answer); err != nil || answer.Result == nil || answer.Result.TimeNano.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.Result.TimeNano.Time, nil
}

// recvWindow is how old a request may be when it arrives, in milliseconds.
const recvWindow = "5000"

// dialect signs time, key, window and parameters.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	at, key := venue.Millis(s.Time), d.c.Get(venue.FieldKey)
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-BAPI-API-KEY", key)
	r.Header.Set("X-BAPI-TIMESTAMP", at)
	r.Header.Set("X-BAPI-RECV-WINDOW", recvWindow)
	r.Header.Set("X-BAPI-SIGN", venue.HexSHA256(d.c.Get(venue.FieldSecret), at+key+recvWindow+r.Query+r.Body))
	return nil
}

// Fault implements venue.Dialect. Bybit says no with status 200.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[envelope[json.RawMessage]](a)
	if !said || answer.RetCode == nil || *answer.RetCode == "0" {
		return nil // judged by its status, and then by whoever reads it
	}
	e := venue.Say(venue.Refused, answer.RetCode.String(), answer.RetMsg)
	switch answer.RetCode.String() {
	case "10003":
		e.Reason, e.Hint = venue.KeyRefused, "the key does not exist in this region: choose the one where the account was opened"
	case "10004":
		e.Reason, e.Hint = venue.KeyRefused, "the secret does not belong to the key"
	case "33004":
		e.Reason = venue.KeyExpired
	case "10010", "10029":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "10002":
		e.Reason = venue.ClockSkew
	case "10005":
		e.Reason = venue.PermissionMissing
	case "10006", "10018":
		e.Reason = venue.RateLimited
		if until, err := venue.ParseMoment(a.Header.Get("X-Bapi-Limit-Reset-Timestamp")); err == nil && until.After(time.Now()) {
			e.Until = until
		}
	case "10009":
		e.Reason = venue.Banned
	case "10024":
		e.Reason = venue.RegionRefused
	case "10008":
		e.Reason = venue.AccountClosed
	case "10016", "10000":
		e.Reason = venue.Maintenance
	}
	return e
}

// Measure implements venue.Meter.
func (d dialect) Measure(a venue.Answer) []venue.Usage {
	limit, err := strconv.Atoi(a.Header.Get("X-Bapi-Limit"))
	left, err2 := strconv.Atoi(a.Header.Get("X-Bapi-Limit-Status"))
	if err != nil || err2 != nil || limit <= 0 {
		return nil
	}
	return []venue.Usage{{Used: limit - left, Limit: limit}}
}
