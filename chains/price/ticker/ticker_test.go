package ticker_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/chains/price/ticker"
	"tallyd/chains/venue"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	btc  chains.AssetID = "bip122:000000000019d6689c085ae165831e93/slip44:0"
	eth  chains.AssetID = "eip155:1/slip44:60"
	usdt chains.AssetID = "group:usdt"
)

// answers are written from what is known of each source's interface, whose reference
// stands beside it; none was recorded. The pairs are of the table.
func answers() map[string]struct{ reference, target, body string } {
	return map[string]struct{ reference, target, body string }{
		"coinbase": {
			reference: "https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products",
			target:    "/api/v3/brokerage/market/products",
			body: `{"products":[
				{"product_id":"BTC-USD","price":"67000.12","price_percentage_change_24h":"9.43","volume_24h":"1908432","base_increment":"0.00000001","is_disabled":false,"new":true,"status":"string","trading_disabled":false,"product_type":"SPOT","quote_currency_id":"USD","base_currency_id":"BTC"},
				{"product_id":"ETH-USD","price":"2500.5","is_disabled":false,"trading_disabled":false},
				{"product_id":"LTC-USD","price":"99","is_disabled":true,"trading_disabled":false},
				{"product_id":"DOT-USD","price":"9","is_disabled":false,"trading_disabled":true}],"num_products":4}`,
		},
		"kraken": {
			reference: "https://docs.kraken.com/api/docs/rest-api/get-ticker-information", target: "/0/public/Ticker",
			body: `{"error":[],"result":{"XXBTZUSD":{"a":["67000.20000","1","1.000"],"b":["67000.10000","1","1.000"],"c":["67000.12000","0.00067643"],"v":["4083.67001100","4412.73601799"],"p":["30706.77771","30689.13205"],"t":[34619,38907],"l":["29868.30000","29868.30000"],"h":["31631.00000","31631.00000"],"o":"30502.80000"},
				"XETHZUSD":{"c":["2500.50","1.2"]},"XLTCZUSD":{"c":[]},"DOTUSD":{"c":["0.00000","1"]}}}`,
		},
		"bitstamp": {
			reference: "https://www.bitstamp.net/api/#tag/Tickers/operation/GetCurrencyPairTickers", target: "/api/v2/ticker/",
			body: `[{"ask":"67001","bid":"67000","high":"68000","last":"67000.12","low":"66000","open":"66500","open_24":"66400","pair":"BTC/USD","percent_change_24":"13.57","side":"0","timestamp":"1795780800","volume":"213.26801100","vwap":"66800"},
				{"last":"2500.5","pair":"ETH/USD","timestamp":"1795780801"},{"last":"-1","pair":"LTC/USD","timestamp":"1795780801"}]`,
		},
		"gemini": {
			reference: "https://docs.gemini.com/rest-api/#price-feed", target: "/v1/pricefeed",
			body: `[{"pair":"DATAUSD","price":"0.0303","percentChange24h":"0"},{"pair":"BTCUSD","price":"67000.12","percentChange24h":"-0.0217"},{"pair":"ETHUSD","price":"2500.50","percentChange24h":"0.1"},{"pair":"LTCUSD","price":null,"percentChange24h":"0"}]`,
		},
		"binance": {
			reference: "https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#symbol-price-ticker", target: "/api/v3/ticker/price",
			body: `[{"symbol":"LTCBTC","price":"4.00000200"},{"symbol":"BTCUSDT","price":"67000.12000000"},{"symbol":"ETHUSDT","price":"2500.50000000"},{"symbol":"LTCUSDT","price":"1e400"}]`,
		},
		"okx": {
			reference: "https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-tickers", target: "/api/v5/market/tickers?instType=SPOT",
			body: `{"code":"0","msg":"","data":[{"instType":"SPOT","instId":"BTC-USDT","last":"67000.12","lastSz":"1","askPx":"67000.2","askSz":"11","bidPx":"67000","bidSz":"5","open24h":"66000","high24h":"68000","low24h":"65000","volCcy24h":"2222","vol24h":"2222","sodUtc0":"0.1","sodUtc8":"0.1","ts":"1795780800123"},
				{"instType":"SPOT","instId":"ETH-USDT","last":"2500.5","ts":"1795780800124"},{"instType":"SPOT","instId":"LTC-USDT","last":"","ts":"1795780800124"}]}`,
		},
		"coingecko": {
			reference: "https://docs.coingecko.com/reference/simple-price", target: "/api/v3/simple/price",
			body: `{"bitcoin":{"usd":67000.12,"last_updated_at":1795780800},"ethereum":{"usd":2500.5,"last_updated_at":1795780801},"litecoin":{}}`,
		},
	}
}

func pairs(t *testing.T) []ticker.Pair {
	t.Helper()
	names, err := price.LoadNames()
	require.NoError(t, err)
	all, err := ticker.LoadPairs(names)
	require.NoError(t, err)
	return all
}

// open opens a source that asks handler.
func open(t *testing.T, name string, handler http.HandlerFunc) *ticker.Source {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	transport := venue.NewTransport(venue.TransportOptions{
		HTTP: server.Client(), Base: func(string, string, string) string { return server.URL }, Patience: 50 * time.Millisecond, Timeout: time.Second,
	})
	o := ticker.Options{Pairs: pairs(t)}
	if name == ticker.CoinGecko {
		o.Key = "the-key-of-this-test"
	}
	source, err := ticker.Open(transport, name, o)
	require.NoError(t, err)
	require.Equal(t, name, source.Name())
	return source
}

// Each source is asked one question for all pairs, by the one route that it has, and
// its answer is read digit by digit.
func TestAnswers(t *testing.T) {
	t.Parallel()
	require.Len(t, answers(), len(ticker.Names()))
	for name, tt := range answers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int32
			source := open(t, name, func(w http.ResponseWriter, r *http.Request) {
				asked.Add(1)
				if r.Method != http.MethodGet || !strings.HasPrefix(r.URL.RequestURI(), tt.target) {
					t.Errorf("asked %s %s", r.Method, r.URL.RequestURI())
				}
				if name == ticker.CoinGecko && r.Header.Get("X-Cg-Demo-Api-Key") != "the-key-of-this-test" {
					t.Error("asked without its key")
				}
				w.Header().Set("Content-Type", "application/json")
				_, _ = w.Write([]byte(tt.body))
			})
			before := time.Now()
			quotes, err := source.Quotes(t.Context())
			require.NoError(t, err, tt.reference)
			require.EqualValues(t, 1, asked.Load())
			in := price.USD
			if name == "binance" || name == "okx" {
				in = usdt
			}
			require.Len(t, quotes, 2, "what is no price is left out: %v", quotes)
			for i, want := range []struct {
				base chains.AssetID
				rate string
			}{{btc, "67000.12"}, {eth, "2500.5"}} {
				q := quotes[i]
				require.Equal(t, want.base, q.Base)
				require.Equal(t, in, q.In)
				require.Equal(t, want.rate, q.Rate.String())
				require.Equal(t, name, q.Source)
				if strings.Contains(tt.body, "17957808") {
					require.Equal(t, time.Unix(1_795_780_800+int64(i), 0).Unix()/10, q.AsOf.Unix()/10, "by the source's own time")
				} else {
					require.WithinRange(t, q.AsOf, before, time.Now())
				}
			}
		})
	}
}

// Nothing that is not an answer becomes a price.
func TestFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		answer http.HandlerFunc
		reason venue.Reason
	}{
		{name: "WebPage", reason: venue.Blocked, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html")
			_, _ = w.Write([]byte("<!DOCTYPE html><title>Just a moment...</title>"))
		}},
		{name: "HalfABody", reason: venue.Unreachable, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`[{"symbol":"BTCUSDT","price":"67`))
		}},
		{name: "HalfADocument", reason: venue.Unreadable, answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`[{"symbol":"BTCUSDT","price":"67`))
		}},
		{name: "AnotherForm", reason: venue.Unreadable, answer: func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`[1,2,3]`)) }},
		{name: "NoPairOfOurs", reason: venue.Unreadable, answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`[{"symbol":"FOOBAR","price":"1"}]`))
		}},
		{name: "AllZero", reason: venue.Unreadable, answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`[{"symbol":"BTCUSDT","price":"0.00000000"},{"symbol":"ETHUSDT","price":"-1"}]`))
		}},
		{name: "AbsurdScale", reason: venue.Unreadable, answer: func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(`[{"symbol":"BTCUSDT","price":"1e60"},{"symbol":"ETHUSDT","price":"0.00000000000000000000000000000000000000001"}]`))
		}},
		{name: "SaysNo", reason: venue.Refused, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = w.Write([]byte(`{"code":-1121,"msg":"Invalid symbol."}`))
		}},
		{name: "TooMany", reason: venue.RateLimited, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusTooManyRequests)
			_, _ = w.Write([]byte(`{"code":-1003,"msg":"Too many requests."}`))
		}},
		{name: "Banned", reason: venue.Banned, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3600")
			w.WriteHeader(http.StatusTeapot)
			_, _ = w.Write([]byte(`{}`))
		}},
		{name: "Region", reason: venue.RegionRefused, answer: func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusUnavailableForLegalReasons)
			_, _ = w.Write([]byte(`{"msg":"Service unavailable from a restricted location"}`))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			quotes, err := open(t, "binance", tt.answer).Quotes(t.Context())
			require.Empty(t, quotes)
			require.Error(t, err)
			require.Equal(t, tt.reason, venue.ReasonOf(err), "%v", err)
		})
	}
}

// A ban is honoured: the next question is not sent.
func TestBudgetsAreHonoured(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	source := open(t, "binance", func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(http.StatusTeapot)
	})
	for range 3 {
		_, err := source.Quotes(t.Context())
		require.Error(t, err)
	}
	require.EqualValues(t, 1, asked.Load())
}

// CoinGecko's key is sent to it, and written nowhere.
func TestKeyStaysSecret(t *testing.T) {
	t.Parallel()
	source := open(t, ticker.CoinGecko, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"status":{"error_code":10002,"error_message":"API Key the-key-of-this-test is wrong"}}`))
	})
	_, err := source.Quotes(t.Context())
	require.Equal(t, venue.KeyRefused, venue.ReasonOf(err))
	require.NotContains(t, err.Error(), "the-key")
	transport := venue.NewTransport(venue.TransportOptions{})
	_, err = ticker.Open(transport, ticker.CoinGecko, ticker.Options{Pairs: pairs(t)})
	require.ErrorContains(t, err, "api_key", "without a key it is not asked")
	_, err = ticker.Open(transport, "binance", ticker.Options{Region: "moon"})
	require.ErrorContains(t, err, "region is none of")
	_, err = ticker.Open(transport, "mtgox", ticker.Options{})
	require.Error(t, err)
}

func TestPairsTable(t *testing.T) {
	t.Parallel()
	bySource := map[string]int{}
	witnesses := map[chains.AssetID]int{}
	for _, p := range pairs(t) {
		bySource[p.Source]++
		if p.In != price.USD {
			require.Equal(t, usdt, p.In, p)
		}
		if p.Source != ticker.CoinGecko {
			witnesses[p.Base]++
		}
	}
	require.Len(t, bySource, len(ticker.Names()))
	for _, name := range ticker.Names() {
		require.Positive(t, bySource[name], name)
	}
	for asset, n := range witnesses {
		require.Greater(t, n, 1, "%s can only have a thin price", asset)
	}
	names, err := price.LoadNames()
	require.NoError(t, err)
	for _, text := range []string{"binance A BTC\n", "binance A XYZ USD\n", "binance A USD USD\n", "binance A BTC USD\nbinance A ETH USD\n"} {
		_, err := ticker.ParsePairs(text, names)
		require.Error(t, err, text)
	}
	source, err := ticker.Open(venue.NewTransport(venue.TransportOptions{}), "kraken", ticker.Options{})
	require.NoError(t, err)
	quotes, err := source.Quotes(t.Context())
	require.NoError(t, err)
	require.Empty(t, quotes, "without pairs nobody is asked")
}
