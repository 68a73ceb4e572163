// Package gate reads accounts at Gate.
package gate

import (
	"crypto/sha512"
	"encoding/hex"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	spotPath        = "/api/v4/spot/accounts"
	modePath        = "/api/v4/unified/unified_mode"
	unifiedPath     = "/api/v4/unified/accounts"
	marginPath      = "/api/v4/margin/accounts"
	lendsPath       = "/api/v4/earn/uni/lends"
	stakingPath     = "/api/v4/earn/staking/assets"
	futuresPath     = "/api/v4/futures/usdt/accounts"
	inversePath     = "/api/v4/futures/btc/accounts"
	totalPath       = "/api/v4/wallet/total_balance"
	keysPath        = "/api/v4/account/main_keys"
	depositsPath    = "/api/v4/wallet/deposits"
	withdrawalsPath = "/api/v4/wallet/withdrawals"
	bookPath        = "/api/v4/spot/account_book"
	tradesPath      = "/api/v4/spot/my_trades"
	timePath        = "/api/v4/spot/time"
)

// Venue returns what Gate is.
func Venue() venue.Venue {
	get := func(path, budget string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Budget: budget}
	}
	return venue.Venue{
		Name:  "gate",
		Title: "Gate",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "of an API v4 key", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick: []string{"Spot: Read Only", "Wallet: Read Only", "Earn: Read Only", "Margin: Read Only", "Futures: Read Only", "Account: Read Only"},
		Regions: []venue.Region{
			{Name: "global", Title: "gate.com", Hosts: map[string]string{"": "https://api.gateio.ws"}},
			{Name: "eu", Title: "gateeu.com", Hosts: map[string]string{"": "https://api.gateeu.com"}},
			{Name: "us", Title: "gate.us", Hosts: map[string]string{"": "https://api.gate.us"}},
			{Name: "testnet", Title: "testnet.gate.com", Sandbox: true, Hosts: map[string]string{"": "https://api-testnet.gateapi.io"}},
		},
		Routes: []venue.Route{
			get(spotPath, "requests"), get(modePath, "requests"), get(unifiedPath, "requests"), get(marginPath, "requests"), get(lendsPath, "requests"),
			get(stakingPath, "requests"), get(futuresPath, "requests"), get(inversePath, "requests"), get(totalPath, "slow"), get(keysPath, "slow"),
			get(depositsPath, "requests"), get(withdrawalsPath, "requests"), get(bookPath, "requests"), get(tradesPath, "requests"), get(timePath, "public"),
		},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 150, Window: 10 * time.Second},
			{Name: "slow", Scope: venue.PerKey, Limit: 10, Window: 10 * time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 200, Window: 10 * time.Second},
		},
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83; the example of gate.com/docs", Seen: "2026-11"},
			{Part: "balances", By: venue.ByReference, Source: "https://www.gate.com/docs/developers/apiv4/en/#list-spot-accounts", Seen: "2026-11"},
			{Part: "unified", By: venue.ByReference, Source: "https://github.com/gate/gateapi-go, docs/UnifiedBalance.md", Seen: "2026-11"},
			{Part: "earn", By: venue.ByReference, Source: "https://github.com/gate/gateapi-go, docs/UniLend.md", Seen: "2026-11"},
			{Part: "staking", By: venue.ByReference, Source: "https://www.gate.com/docs/developers/apiv4/en/#on-chain-earn-assets, mortgage_coin and mortgage_amount", Seen: "2026-11"},
			{Part: "margin, futures", By: venue.ByReference, Source: "https://www.gate.com/docs/developers/apiv4/en/", Seen: "2026-11"},
			{Part: "deposits", By: venue.ByReference, Source: "https://github.com/gate/gateapi-go, docs/LedgerRecord.md", Seen: "2026-11"},
			{Part: "withdrawals", By: venue.ByReference, Source: "https://github.com/gate/gateapi-go, docs/LedgerRecord.md", Seen: "2026-11"},
			{Part: "ledger", By: venue.ByReference, Source: "https://github.com/gate/gateapi-go, docs/SpotAccountBook.md", Seen: "2026-11"},
			{Part: "trades", By: venue.ByRecording, Source: "ccxt 4.5.83, static responses", Seen: "2024-01-27"},
			{Part: "permissions", By: venue.ByReference, Source: "https://www.gate.com/docs/developers/apiv4/en/#query-all-main-account-key-information", Seen: "2026-11"},
			{Part: "hosts in Europe and the United States", By: venue.Unverified},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

func readTime(body []byte) (time.Time, error) {
	var answer struct {
		ServerTime venue.Moment `json:"server_time"`
	}
	if err := venue.Decode(body, &answer); err != nil || answer.ServerTime.IsZero() {
		return time.Time{}, venue.Misread("no time in the answer")
	}
	return answer.ServerTime.Time, nil
}

// dialect signs method, path, parameters, a hash of the body, and the time.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, s venue.Stamp) error {
	hash := sha512.Sum512([]byte(r.Body))
	at := venue.Seconds(s.Time)
	r.Header.Set("KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("Timestamp", at)
	r.Header.Set("Content-Type", "application/json")
	text := strings.Join([]string{r.Method, r.Path, r.Query, hex.EncodeToString(hash[:]), at}, "\n")
	r.Header.Set("SIGN", venue.HexSHA512(d.c.Get(venue.FieldSecret), text))
	return nil
}

// Fault implements venue.Dialect.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Label   string `json:"label"`
		Message string `json:"message"`
	}](a)
	if !said || answer.Label == "" {
		return nil // a list, or judged by its status
	}
	e := venue.Say(venue.Refused, answer.Label, answer.Message)
	switch answer.Label {
	case "INVALID_KEY", "INVALID_CREDENTIALS", "MISSING_REQUIRED_HEADER":
		e.Reason = venue.KeyRefused
	case "INVALID_SIGNATURE":
		e.Reason, e.Hint = venue.KeyRefused, "the secret key does not belong to the API key"
	case "IP_FORBIDDEN":
		e.Reason, e.Hint = venue.AddressRefused, "add the address of this service to those of the key"
	case "REQUEST_EXPIRED":
		e.Reason = venue.ClockSkew
	case "FORBIDDEN", "READ_ONLY":
		e.Reason = venue.PermissionMissing
	case "TOO_MANY_REQUESTS", "TOO_FAST":
		e.Reason = venue.RateLimited
	case "USER_NOT_FOUND", "ACCOUNT_NOT_FOUND", "USER_NOT_UNIFIED", "CROSS_ACCOUNT_NOT_FOUND":
		e.Reason = venue.AccountMode
	case "ACCOUNT_LOCKED":
		e.Reason = venue.AccountClosed
	case "SERVER_ERROR", "INTERNAL", "TOO_BUSY":
		e.Reason = venue.Maintenance
	}
	return e
}

// Measure implements venue.Meter.
func (d dialect) Measure(a venue.Answer) []venue.Usage {
	left, err := strconv.Atoi(a.Header.Get("X-Gate-Ratelimit-Requests-Remain"))
	limit, err2 := strconv.Atoi(a.Header.Get("X-Gate-Ratelimit-Limit"))
	if err != nil || err2 != nil || limit <= 0 {
		return nil
	}
	return []venue.Usage{{Used: limit - left, Limit: limit}}
}
