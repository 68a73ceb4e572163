package api_test

import (
	"encoding/json"
	"errors"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer"
)

func kept(t *testing.T, base, in chains.AssetID, rate string, at time.Time, change ...func(*price.Price)) price.Price {
	t.Helper()
	r, err := price.ParseRate(rate)
	require.NoError(t, err)
	p := price.Price{Base: base, In: in, Rate: r, AsOf: at, Until: at.Add(20 * time.Minute), Sources: []string{"coinbase", "kraken"}}
	for _, c := range change {
		c(&p)
	}
	return p
}

func alone(source string) func(*price.Price) {
	return func(p *price.Price) { p.Sources, p.Thin = []string{source}, true }
}

func by(source string, lasts time.Duration) func(*price.Price) {
	return func(p *price.Price) { p.Sources, p.Until = []string{source}, p.AsOf.Add(lasts) }
}

func rational(t *testing.T, number any) *big.Rat {
	t.Helper()
	text, ok := number.(json.Number)
	require.True(t, ok, "%v", number)
	r, ok := new(big.Rat).SetString(text.String())
	require.True(t, ok, text)
	return r
}

// Every converted figure is its amount times the rate beside it, exactly; the parts
// add up to the total; what has no price is listed and not zero.
func TestConvertedBalances(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	now := time.Now().UTC().Truncate(time.Microsecond)
	d.prices.set(func(f *fakePrices) {
		f.kept = []price.Price{
			kept(t, btc.ID, price.USD, "67000.1", now.Add(-time.Minute)),
			kept(t, eth.ID, price.USD, "2500", now.Add(-time.Hour), alone("chainlink:eth")),
			kept(t, price.EUR, price.USD, "1.0812", now.Add(-20*time.Hour), by("ecb", 126*time.Hour)),
			kept(t, price.EUR, "iso4217:GBP", "0.8342", now.Add(-20*time.Hour), by("ecb", 126*time.Hour)),
		}
	})
	_, bearer := d.user()
	id := d.connect(bearer, "btc", "bc1q")
	d.connect(bearer, "eth", "0x1")

	a := d.call("GET", "/v1/onchain/btc/account/"+id+"/balance?currency=usd", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "USD", a.json(t, "balance", 0, "converted_currency"))
	require.EqualValues(t, "100500.15", a.json(t, "balance", 0, "converted_value"))
	require.EqualValues(t, "-0.001340002", a.json(t, "pending", 0, "converted_value"))
	require.Equal(t, map[string]any{
		"rate": "67000.1", "as_of": now.Add(-time.Minute).Format("2006-01-02T15:04:05.000000+00:00"), "sources": []any{"coinbase", "kraken"},
		"stale": false, "thin": false,
	}, a.json(t, "balance", 0, "price"))
	require.EqualValues(t, "100500.15", a.json(t, "converted", "converted_value"))
	require.Equal(t, true, a.json(t, "converted", "complete"))
	require.NotContains(t, string(d.call("GET", "/v1/onchain/btc/account/"+id+"/balance", "", "Authorization", bearer).raw), "converted")

	a = d.call("GET", "/v1/aggregate/balance?currency=GBP", "", "Authorization", bearer)
	require.Equal(t, http.StatusOK, a.StatusCode)
	sum := new(big.Rat)
	for i, asset := range []string{string(btc.ID), string(eth.ID)} {
		require.Equal(t, asset, a.json(t, "balance", "balance_sum", i, "currency"))
		part := rational(t, a.json(t, "balance", "balance_sum", i, "converted_value"))
		rate := rational(t, json.Number(a.json(t, "balance", "balance_sum", i, "price", "rate").(string)))
		amount := rational(t, a.json(t, "balance", "balance_sum", i, "value"))
		require.Zero(t, part.Cmp(new(big.Rat).Mul(rate, amount)), asset)
		sum.Add(sum, part)
	}
	require.Zero(t, sum.Cmp(rational(t, a.json(t, "balance", "converted", "converted_value"))))
	require.Equal(t, false, a.json(t, "balance", "converted", "complete"))
	unpriced, _ := a.json(t, "balance", "converted", "unpriced").([]any)
	require.Len(t, unpriced, 3, "two that nobody lists, and one without decimals")
	require.Equal(t, true, a.json(t, "balance", "converted", "stale"), "the price of ether is an hour old")
	require.Equal(t, true, a.json(t, "balance", "converted", "thin"))
	require.Equal(t, true, a.json(t, "balance", "balance_sum", 1, "price", "stale"))
	require.Equal(t, []any{"chainlink:eth", "coinbase", "ecb", "kraken"}, a.json(t, "balance", "converted", "sources"))
	require.Nil(t, a.json(t, "balance", "balance_sum", 2, "converted_value"))
	require.EqualValues(t, "100500.15", d.call("GET", "/v1/aggregate/balance?currency=USD", "", "Authorization", bearer).
		json(t, "balance", "accounts", 0, "converted", "converted_value"))
	require.EqualValues(t, "1.5", d.call("GET", "/v1/aggregate/balance?currency=BTC", "", "Authorization", bearer).
		json(t, "balance", "accounts", 0, "converted", "converted_value"), "a bitcoin is a bitcoin")

	for _, path := range []string{"/v1/aggregate/balance", "/v1/aggregate/transactions", "/v1/onchain/btc/account/" + id + "/balance"} {
		a = d.call("GET", path+"?currency=XYZ", "", "Authorization", bearer)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, path)
		require.NotNil(t, a.json(t, "errors", "currency"), path)
	}
	d.prices.set(func(f *fakePrices) { f.down = errors.New("gone") })
	a = d.call("GET", "/v1/aggregate/balance?currency=USD", "", "Authorization", bearer)
	require.Equal(t, http.StatusInternalServerError, a.StatusCode, "prices that cannot be read are not prices that are not there")
}

// A transaction is worth what it was worth when it happened.
func TestConvertedTransactions(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.prices.set(func(f *fakePrices) {
		f.kept = []price.Price{
			kept(t, btc.ID, price.USD, "60000", noon.Add(-time.Minute)),
			kept(t, btc.ID, price.USD, "99999", noon.Add(time.Minute)),
		}
	})
	d.ledger.set(func(f *fakeLedger) {
		f.pages = [][]indexer.Transaction{{{
			Chain: "btc", Tx: chains.Hash{1}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 1, Time: noon,
			Legs: []indexer.Leg{{Source: "vout:0", Side: chains.In, Asset: btc, Amount: chains.NewAmount(250_000_000), Address: "bc1q"}},
		}, {
			Chain: "btc", Tx: chains.Hash{2}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 1, Time: noon.Add(-time.Hour),
			Legs: []indexer.Leg{{Source: "vout:0", Side: chains.In, Asset: btc, Amount: chains.NewAmount(1), Address: "bc1q"}},
		}}}
	})
	_, bearer := d.user()
	d.connect(bearer, "btc", "bc1q")
	a := d.call("GET", "/v1/aggregate/transactions?currency=USD", "", "Authorization", bearer)
	require.EqualValues(t, "150000", a.json(t, "transactions", 0, "total", 0, "converted_value"))
	require.EqualValues(t, "150000", a.json(t, "transactions", 0, "outputs", 0, "converted_value"))
	require.Equal(t, "60000", a.json(t, "transactions", 0, "amount", 0, "price", "rate"))
	require.Nil(t, a.json(t, "transactions", 1, "total", 0, "converted_value"), "nobody knows a price of that time")
}

func TestExchangeRates(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	now := time.Now().UTC()
	day := time.Date(2026, 10, 24, 0, 0, 0, 0, time.UTC)
	d.prices.set(func(f *fakePrices) {
		f.kept = []price.Price{
			kept(t, eth.ID, price.USD, "1053.9613", day.Add(23*time.Hour)),
			kept(t, eth.ID, price.USD, "1053.0000", day.Add(22*time.Hour)),
			kept(t, eth.ID, price.USD, "1100", now.Add(-time.Second)),
			kept(t, price.EUR, price.USD, "1.25", now.Add(-time.Hour), by("ecb", 126*time.Hour)),
		}
	})
	key := []string{"X-API-Key", master}
	a := d.call("GET", "/v1/exchangerate/current?pairs=ETH/USD,eth/eur,EUR/USD,BTC/USD,eip155:8453/slip44:60/USD,USD/USD", "", key...)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	require.Equal(t, "eth/usd", a.json(t, 0, "currency_pair"))
	require.Equal(t, now.Format(time.DateOnly), a.json(t, 0, "date"))
	require.EqualValues(t, "1100", a.json(t, 0, "rate"))
	require.EqualValues(t, "880", a.json(t, 1, "rate"))
	require.Equal(t, []any{"coinbase", "ecb", "kraken"}, a.json(t, 1, "sources"))
	require.EqualValues(t, "1.25", a.json(t, 2, "rate"))
	require.Nil(t, a.json(t, 3, "rate"), "a currency without a price is not zero")
	require.EqualValues(t, "1100", a.json(t, 4, "rate"), "ether on Base is ether")
	require.EqualValues(t, "1", a.json(t, 5, "rate"))

	a = d.call("GET", "/v1/exchangerate/history?pair=ETH/USD&days=2026-10-24,2026-10-9", "", key...)
	require.Equal(t, http.StatusOK, a.StatusCode, "%s", a.raw)
	require.Equal(t, "2026-10-24", a.json(t, 0, "date"))
	require.EqualValues(t, "1053.9613", a.json(t, 0, "rate"))
	require.Equal(t, "2026-10-24T23:00:00.000000+00:00", a.json(t, 0, "as_of"))
	require.Equal(t, "2026-10-09", a.json(t, 1, "date"))
	require.Nil(t, a.json(t, 1, "rate"))

	_, bearer := d.user()
	require.Equal(t, http.StatusOK, d.call("GET", "/v1/exchangerate/current?pairs=ETH/USD", "", "Authorization", bearer).StatusCode)
	require.Equal(t, http.StatusBadRequest, d.call("GET", "/v1/exchangerate/current?pairs=ETH/USD", "").StatusCode, "a missing key")
	for _, bad := range []string{
		"current", "current?pairs=", "current?pairs=ETH", "current?pairs=XYZ/USD", "current?pairs=ETH/XYZ", "current?pairs=ETH/USD,",
		"current?pairs=" + strings.TrimSuffix(strings.Repeat("ETH/USD,", 21), ","),
		"history?pair=ETH/USD", "history?pair=ETH/USD&days=yesterday", "history?pair=ETH/USD&days=2999-01-01",
		"history?pair=ETH/USD&days=" + strings.TrimSuffix(strings.Repeat("2026-01-01,", 41), ","),
	} {
		a := d.call("GET", "/v1/exchangerate/"+bad, "", key...)
		require.Equal(t, http.StatusBadRequest, a.StatusCode, bad)
		require.Equal(t, "invalid_input", a.json(t, "code"), bad)
	}
}
