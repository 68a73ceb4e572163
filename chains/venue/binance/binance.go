// Package binance reads accounts at Binance and Binance.US.
//
// There is no ledger of the spot wallet: what explains its balance is asked for in
// many places, and trades pair by pair.
package binance

import (
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const (
	timePath     = "/api/v3/time"
	accountPath  = "/api/v3/account"
	pairsPath    = "/api/v3/exchangeInfo"
	tradesPath   = "/api/v3/myTrades"
	keyPath      = "/sapi/v1/account/apiRestrictions"
	walletsPath  = "/sapi/v1/asset/wallet/balance"
	fundingPath  = "/sapi/v1/asset/get-funding-asset"
	flexiblePath = "/sapi/v1/simple-earn/flexible/position"
	lockedPath   = "/sapi/v1/simple-earn/locked/position"
	marginPath   = "/sapi/v1/margin/account"
	isolatedPath = "/sapi/v1/margin/isolated/account"
	stakingPath  = "/sapi/v1/staking/stakingBalance" // at Binance.US
	usdmPath     = "/fapi/v3/account"
	coinmPath    = "/dapi/v1/account"
	pmPath       = "/papi/v1/balance"

	depositsPath    = "/sapi/v1/capital/deposit/hisrec"
	withdrawalsPath = "/sapi/v1/capital/withdraw/history"
	fiatPath        = "/sapi/v1/fiat/orders"
	paymentsPath    = "/sapi/v1/fiat/payments"
	convertPath     = "/sapi/v1/convert/tradeFlow"
	dustPath        = "/sapi/v1/asset/dribblet"
	dividendPath    = "/sapi/v1/asset/assetDividend"

	usdm  = "usdm"  // the host of derivatives settled in dollars
	coinm = "coinm" // the host of derivatives settled in the coin
	pm    = "pm"    // the host of portfolio margin

	global = "global"
	us     = "us"
)

// Venue returns what Binance is.
func Venue() venue.Venue {
	return venue.Venue{
		Name:  "binance",
		Title: "Binance",
		About: "Trades are shown pair by pair: those of coins that the account holds, deposits, withdraws or traded before are read. Options, trading bots and copy trading are not read, and said to be missing where something is in them.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "of a key that Binance generated (HMAC)", Secret: true},
			{Name: venue.FieldSecret, Title: "Secret key", Hint: "shown once, when the key is made", Secret: true},
		},
		Tick: []string{"Enable Reading"},
		Regions: []venue.Region{
			{Name: global, Title: "binance.com", Hosts: map[string]string{
				"": "https://api.binance.com", usdm: "https://fapi.binance.com", coinm: "https://dapi.binance.com", pm: "https://papi.binance.com",
			}},
			{
				Name: us, Title: "binance.us", Hosts: map[string]string{"": "https://api.binance.us"},
				Budgets: []venue.Budget{{Name: "spot", Scope: venue.PerAddress, Limit: 1_200, Window: time.Minute}},
			},
			{Name: "testnet", Title: "testnet.binance.vision", Sandbox: true, Hosts: map[string]string{"": "https://testnet.binance.vision"}},
			{Name: "demo", Title: "demo.binance.com", Sandbox: true, Hosts: map[string]string{"": "https://demo-api.binance.com"}},
		},
		Routes:      routes(),
		Budgets:     budgets(),
		Clock:       &venue.Clock{Path: timePath, Read: readTime},
		Introspects: true,
		Evidence:    evidence(),
		Dialect:     func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account:     func(s *venue.Session) venue.Account { return &account{s} },
	}
}

func routes() []venue.Route {
	get := func(path string, cost int, budget string) venue.Route {
		return venue.Route{Method: http.MethodGet, Path: path, Cost: cost, Budget: budget}
	}
	return []venue.Route{
		get(timePath, 1, "spot"),
		get(accountPath, 20, "spot"),
		get(pairsPath, 20, "spot"),
		get(tradesPath, 20, "spot"),
		get(keyPath, 1, "sapi"),
		get(walletsPath, 60, "sapi"),
		{Method: http.MethodPost, Path: fundingPath, Budget: "sapi"},
		get(flexiblePath, 150, "sapi"),
		get(lockedPath, 150, "sapi"),
		get(marginPath, 10, "sapi"),
		get(isolatedPath, 10, "sapi"),
		get(stakingPath, 1, "sapi"),
		{Method: http.MethodGet, Host: usdm, Path: usdmPath, Cost: 5, Budget: "futures"},
		{Method: http.MethodGet, Host: coinm, Path: coinmPath, Cost: 5, Budget: "futures"},
		{Method: http.MethodGet, Host: pm, Path: pmPath, Cost: 20, Budget: "futures"},
		get(depositsPath, 1, "sapi"),
		get(withdrawalsPath, 18_000, "uid"),
		get(fiatPath, 90_000, "uid"),
		get(paymentsPath, 1, "sapi"),
		get(convertPath, 3_000, "uid"),
		get(dustPath, 1, "sapi"),
		get(dividendPath, 10, "sapi"),
	}
}

func budgets() []venue.Budget {
	return []venue.Budget{
		{Name: "spot", Scope: venue.PerAddress, Limit: 6_000, Window: time.Minute},
		{Name: "sapi", Scope: venue.PerAddress, Limit: 12_000, Window: time.Minute},
		{Name: "uid", Scope: venue.PerKey, Limit: 180_000, Window: time.Minute},
		{Name: "futures", Scope: venue.PerAddress, Limit: 2_400, Window: time.Minute},
	}
}

func evidence() []venue.Evidence {
	const docs, recorded = "https://developers.binance.com/docs/", "ccxt 4.5.83, static responses"
	return []venue.Evidence{
		{Part: "signing", By: venue.ByVector, Source: "ccxt 4.5.83; https://github.com/binance/binance-spot-api-docs, rest-api.md", Seen: "2026-11"},
		{Part: "balances", By: venue.ByRecording, Source: recorded, Seen: "2023-12-06"},
		{Part: "futures", By: venue.ByRecording, Source: recorded, Seen: "2023-11-29"},
		{Part: "portfolio margin", By: venue.ByRecording, Source: recorded, Seen: "2024-02-16"},
		{Part: "funding", By: venue.ByReference, Source: docs + "wallet/asset/Funding-Wallet", Seen: "2026-11"},
		{Part: "earn", By: venue.ByReference, Source: docs + "simple_earn/account/Get-Flexible-Product-Position", Seen: "2026-11"},
		{Part: "locked", By: venue.ByReference, Source: docs + "simple_earn/account/Get-Locked-Product-Position", Seen: "2026-11"},
		{Part: "margin", By: venue.ByReference, Source: docs + "margin_trading/account", Seen: "2026-11"},
		{Part: "inverse", By: venue.ByReference, Source: "the form of futures, which both share", Seen: "2023-11-29"},
		{Part: "staking at Binance.US", By: venue.Unverified},
		{Part: "deposits", By: venue.ByRecording, Source: recorded, Seen: "2024-05-05"},
		{Part: "withdrawals", By: venue.ByRecording, Source: recorded, Seen: "2024-05-05"},
		{Part: "trades", By: venue.ByRecording, Source: recorded, Seen: "2023-10-24"},
		{Part: "fiat", By: venue.ByReference, Source: docs + "fiat/rest-api", Seen: "2026-11"},
		{Part: "converts", By: venue.ByReference, Source: docs + "convert/trade/Get-Convert-Trade-History", Seen: "2026-11"},
		{Part: "rewards", By: venue.ByReference, Source: docs + "wallet/asset/Asset-Dividend-Record", Seen: "2026-11"},
		{Part: "permissions", By: venue.ByReference, Source: docs + "wallet/account/api-key-permission", Seen: "2026-11"},
	}
}

func readTime(body []byte) (time.Time, error) {
	var answer struct {
		ServerTime venue.Moment `json:"serverTime"`
	}
	if err := venue.Decode(body, &answer); err != nil {
		return time.Time{}, err
	}
	return answer.ServerTime.Time, nil
}
