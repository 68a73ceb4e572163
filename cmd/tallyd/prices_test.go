package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/chains/price"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/prices"
)

// market is exchanges, an aggregator and a bank in one server: each path answers as
// its own does.
type market struct {
	*httptest.Server

	mu    sync.Mutex
	asked []string // in lines, sorted when read
	btc   string   // what a bitcoin costs
	down  bool
}

func newMarket(t *testing.T) *market {
	t.Helper()
	m := &market{btc: "60000"}
	m.Server = httptest.NewServer(http.HandlerFunc(m.answer))
	t.Cleanup(m.Close)
	return m
}

func (m *market) set(change func(*market)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// questions returns what was asked since the last call.
func (m *market) questions() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	asked := slices.Sorted(slices.Values(m.asked))
	m.asked = nil
	return asked
}

func (m *market) answer(w http.ResponseWriter, r *http.Request) {
	m.mu.Lock()
	m.asked = append(m.asked, r.Host+r.URL.RequestURI()+" demo "+r.Header.Get("X-Cg-Demo-Api-Key")+" pro "+r.Header.Get("X-Cg-Pro-Api-Key"))
	btc, down := m.btc, m.down
	m.mu.Unlock()
	if down {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
		return
	}
	path := r.URL.Path[strings.LastIndex(r.URL.Path[:len(r.URL.Path)-1], "/")+1:]
	switch path {
	case "products":
		var products []string
		for _, id := range r.URL.Query()["product_ids"] {
			products = append(products, fmt.Sprintf(`{"product_id":%q,"price":%q}`, id, btc))
		}
		_, _ = fmt.Fprintf(w, `{"products":[%s]}`, strings.Join(products, ","))
	case "Ticker":
		_, _ = fmt.Fprintf(w, `{"error":[],"result":{"XXBTZUSD":{"c":[%q,"1"]}}}`, btc)
	case "ticker/":
		_, _ = fmt.Fprintf(w, `[{"pair":"BTC/USD","last":"1"}]`) // off by far
	case "price":
		var coins []string
		for id := range strings.SplitSeq(r.URL.Query().Get("ids"), ",") {
			coins = append(coins, fmt.Sprintf(`%q:{"usd":%s,"last_updated_at":%d}`, id, btc, time.Now().Unix()))
		}
		_, _ = fmt.Fprintf(w, `{%s}`, strings.Join(coins, ","))
	case "eurofxref-daily.xml", "eurofxref-hist-90d.xml":
		_, _ = fmt.Fprintf(w, `<gesmes:Envelope xmlns:gesmes="http://www.gesmes.org/xml/2002-08-01"><Cube><Cube time='%s'>
			<Cube currency='USD' rate='1.25'/><Cube currency='GBP' rate='0.8'/></Cube></Cube></gesmes:Envelope>`,
			time.Now().UTC().AddDate(0, 0, -1).Format(time.DateOnly))
	default:
		http.NotFound(w, r)
	}
}

// oracleChain is a chain whose feeds all say the same.
type oracleChain struct{ chains.Source }

func (oracleChain) Chain() chains.Chain { return chains.Chain{Slug: "eth"} }

func (oracleChain) Feeds(ctx context.Context, contracts []string) (chains.BlockRef, []chains.FeedRound, error) {
	rounds := make([]chains.FeedRound, len(contracts))
	for i, contract := range contracts {
		rounds[i] = chains.FeedRound{
			Contract: contract, Decimals: 8, Answer: chains.NewAmount(250_000_000_000),
			StartedAt: time.Now().Add(-3 * time.Hour), UpdatedAt: time.Now().Add(-90 * time.Minute),
		}
		if strings.HasPrefix(contract, "0xaa") {
			rounds[i].Answer = chains.Amount{} // a sequencer that is up
		}
		if strings.HasPrefix(contract, "0xbb") {
			rounds[i].Answer = chains.NewAmount(1)
		}
	}
	return chains.BlockRef{Time: time.Now()}, rounds, context.Cause(ctx)
}

// keeping is a ledger that writes down what it is given.
type keeping struct {
	prices.Ledger

	lines []string
}

func (k *keeping) ClaimReading(_ context.Context, name string, gap time.Duration) (bool, error) {
	k.lines = append(k.lines, fmt.Sprintf("claim %s %s", name, gap))
	return true, nil
}

func (k *keeping) PutPrices(_ context.Context, list []price.Price) error {
	for _, p := range list {
		k.lines = append(k.lines, fmt.Sprintf("%s in %s: %s for %s by %v, thin %t", p.Base, p.In, p.Rate, p.Until.Sub(p.AsOf).Round(time.Second), p.Sources, p.Thin))
	}
	return nil
}

func (*keeping) PricesAt(_ context.Context, wants []prices.Want) ([]price.Price, error) {
	return make([]price.Price, len(wants)), nil
}

func (k *keeping) ThinPrices(_ context.Context, before time.Time) error {
	k.lines = append(k.lines, "thin before "+before.Format(time.DateOnly))
	return nil
}

// pricesDone is all that settings make a daemon do, in lines; or how it refuses them.
func pricesDone(t *testing.T, cfg config.Prices, markets ...*market) []string {
	t.Helper()
	p, err := newPricing(cfg, zerolog.Nop())
	if err != nil {
		return []string{err.Error()}
	}
	var sources indexer.Sources
	sources.Add(oracleChain{})
	ledger := &keeping{}
	regular, err := p.jobs(ledger, p.transport(nil, nil), &sources)
	if err != nil {
		return []string{err.Error()}
	}
	for _, job := range regular {
		ledger.lines = append(ledger.lines, job.Name+" "+job.Spec)
		if err := job.Run(t.Context()); err != nil {
			ledger.lines = append(ledger.lines, err.Error())
		}
	}
	for i, m := range markets {
		for _, question := range m.questions() {
			ledger.lines = append(ledger.lines, fmt.Sprintf("%d: %s", i, strings.TrimPrefix(question, strings.TrimPrefix(m.URL, "http://"))))
		}
	}
	return ledger.lines
}

// TestEverySettingOfPricesIsWired changes one setting after the other: each must
// change what the daemon asks, of whom, when, or what it keeps of it.
func TestEverySettingOfPricesIsWired(t *testing.T) {
	t.Parallel()
	here, elsewhere := newMarket(t), newMarket(t)
	whole := func() config.Prices {
		url := config.NewURL(here.URL)
		return config.Prices{
			Exchanges: []config.PriceSource{{Name: "coinbase", URL: url}, {Name: "kraken", URL: url}, {Name: "bitstamp", URL: url}},
			CoinGecko: config.CoinGecko{APIKey: config.NewSecret("key"), Plan: "demo", URL: url},
			Feeds: []config.Feed{{
				Chain: "eth", Contract: "0x00000000000000000000000000000000000000f1", Asset: "eip155:1/erc20:0x00000000000000000000000000000000000000cc",
				In: "USD", Heartbeat: 2 * time.Hour,
			}},
			Sequencers: []config.Sequencer{{Chain: "eth", Contract: "0xaa000000000000000000000000000000000000f2"}},
			Schedule:   "@every 5m", ECB: config.ECB{Enabled: true, Schedule: "@every 1h", URL: url},
			SpreadPermille: 20, StaleAfter: 20 * time.Minute, KeepDays: 90,
			Pairs: []config.PricePair{{Source: "coinbase", Pair: "AAA-USD", Asset: "eip155:1/erc20:0x00000000000000000000000000000000000000aa", In: "USD"}},
		}
	}
	stable := func(cfg config.Prices) string {
		return strings.Join(pricesDone(t, cfg, here, elsewhere), "\n")
	}
	want := stable(whole())
	require.Contains(t, want, "bip122:000000000019d6689c085ae165831e93/slip44:0 in iso4217:USD: 60000 for 20m0s by [coinbase coingecko kraken], thin false")
	require.Contains(t, want, "iso4217:EUR in iso4217:GBP: 0.8 for 126h0m0s by [ecb], thin false")
	require.Contains(t, want, "eip155:1/erc20:0x00000000000000000000000000000000000000cc in iso4217:USD: 2500 for 2h10m0s by [chainlink:eth], thin true")
	require.Equal(t, want, stable(whole()), "without a change nothing changes")

	texts := map[string]string{
		"Exchanges.0.Name": "okx", "CoinGecko.Plan": "pro", "Schedule": "*/7 * * * *", "ECB.Schedule": "@every 2h", "Feeds.0.In": "EUR", "Pairs.0.In": "EUR",
		"Feeds.0.Contract": "0xbb000000000000000000000000000000000000f1", "Sequencers.0.Contract": "0xbb000000000000000000000000000000000000f2",
		"Feeds.0.Asset": "LTC", "Pairs.0.Asset": "LTC", "Pairs.0.Source": "coingecko",
	}
	changed := 0
	var walk func(path string, field func(c *config.Prices) reflect.Value)
	walk = func(path string, field func(c *config.Prices) reflect.Value) {
		c := whole()
		value := field(&c)
		switch v := value.Addr().Interface().(type) {
		case *config.URL:
			*v = config.NewURL(elsewhere.URL)
		case *config.Secret:
			*v = config.NewSecret("changed")
		case *time.Duration:
			*v = 7 * time.Second
		default:
			switch value.Kind() {
			case reflect.Struct:
				for i := range value.NumField() {
					walk(strings.TrimPrefix(path+"."+value.Type().Field(i).Name, "."), func(c *config.Prices) reflect.Value { return field(c).Field(i) })
				}
				return
			case reflect.Slice:
				walk(path+".0", func(c *config.Prices) reflect.Value { return field(c).Index(0) })
				return
			case reflect.String:
				value.SetString(cmp.Or(texts[path], "changed"))
			case reflect.Bool:
				value.SetBool(!value.Bool())
			case reflect.Int:
				// A spread that lets what is off by far through, and another day.
				value.SetInt(value.Int() + 1_000)
			default:
				require.Fail(t, "a kind of setting that is not known here", path)
			}
		}
		changed++
		require.NotEqual(t, want, stable(c), "%s changes nothing", path)
	}
	walk("", func(c *config.Prices) reflect.Value { return reflect.ValueOf(c).Elem() })
	require.Greater(t, changed, 20)
}

// What cannot work is refused before anything is opened, by the name of the setting.
func TestPriceSettingsThatCannotWork(t *testing.T) {
	t.Parallel()
	good := config.Prices{Exchanges: []config.PriceSource{{Name: "kraken"}}, Schedule: "@every 5m", ECB: config.ECB{Schedule: "@every 1h"}}
	_, err := newPricing(good, zerolog.Nop())
	require.NoError(t, err)
	for setting, change := range map[string]func(*config.Prices){
		"prices.schedule":     func(c *config.Prices) { c.Schedule = "now and then" },
		"prices.ecb.schedule": func(c *config.Prices) { c.ECB.Schedule = "0 0 30 2 *" },
		"prices.pairs.0.asset": func(c *config.Prices) {
			c.Pairs = []config.PricePair{{Source: "kraken", Pair: "A", Asset: "A", In: "USD"}}
		},
		"prices.pairs.0.in": func(c *config.Prices) {
			c.Pairs = []config.PricePair{{Source: "kraken", Pair: "A", Asset: "BTC", In: "A"}}
		},
		"prices.feeds.0.asset":      func(c *config.Prices) { c.Feeds = []config.Feed{{Chain: "eth", Asset: "A", In: "USD"}} },
		"prices of kraken":          func(c *config.Prices) { c.Exchanges = []config.PriceSource{{Name: "kraken", Region: "moon"}} },
		"prices.sequencers.0.chain": func(c *config.Prices) { c.Sequencers = []config.Sequencer{{Chain: "eth"}} },
		"prices.feeds.0.in":         func(c *config.Prices) { c.Feeds = []config.Feed{{Chain: "eth", Asset: "ETH", In: "A"}} },
	} {
		c := good
		change(&c)
		_, err := newPricing(c, zerolog.Nop())
		require.ErrorContains(t, err, setting+":")
	}
	p, err := newPricing(config.Prices{}, zerolog.Nop())
	require.NoError(t, err)
	regular, err := p.jobs(nil, p.transport(nil, nil), nil)
	require.NoError(t, err)
	require.Empty(t, regular, "nobody is asked unless it is said")
}

// TestPrices runs two daemons on a real node with feeds, beside exchanges and a bank:
// one of them reads, both tell what accounts are worth, and when all sources are gone
// the last prices stand with their time.
func TestPrices(t *testing.T) {
	t.Parallel()
	node := localnode.TestAnvil(t)
	feed, err := node.DeployFeed(t.Context(), 8)
	require.NoError(t, err)
	now := time.Now()
	receipt, err := node.Transact(t.Context(), localnode.Transaction{To: feed, Data: localnode.FeedData(big.NewInt(250_000_000_000), now, now)})
	require.NoError(t, err)
	require.Equal(t, "0x1", receipt.Status)
	w := newEthereumWorld(t, node)
	m := newMarket(t)
	url := config.NewURL(m.URL)
	const ether = "eip155:31337/slip44:60"
	w.cfg.Prices = config.Prices{
		Exchanges: []config.PriceSource{{Name: "coinbase", URL: url}, {Name: "kraken", URL: url}, {Name: "bitstamp", URL: url}},
		Feeds:     []config.Feed{{Chain: "eth", Contract: feed, Asset: ether, In: "USD", Heartbeat: time.Hour}},
		Schedule:  "@every 1s", ECB: config.ECB{Enabled: true, Schedule: "@every 1h", URL: url},
		SpreadPermille: 20, StaleAfter: 3 * time.Second, KeepDays: 90,
	}
	w.start()
	second := &stack{t: t, cfg: w.cfg}
	second.start()

	rates := func(s *stack) []map[string]any {
		status, answer := s.call("GET", "/v1/exchangerate/current?pairs=BTC/USD,BTC/EUR,BTC/GBP,"+ether+"/USD", "X-API-Key", testMaster, nil)
		require.Equal(t, 200, status, answer)
		var list []map[string]any
		for _, one := range answer["list"].([]any) {
			list = append(list, one.(map[string]any))
		}
		return list
	}
	w.eventually("prices of all sources", func() bool {
		for _, rate := range rates(w.stack) {
			if rate["rate"] == nil {
				return false
			}
		}
		return true
	})
	for _, s := range []*stack{w.stack, second} {
		list := rates(s)
		for i, want := range []string{"60000", "48000", "38400", "2500"} {
			require.Equal(t, json.Number(want), list[i]["rate"], list[i])
		}
		require.Equal(t, []any{"coinbase", "kraken"}, list[0]["sources"], "the one that is off by far is left out")
		require.Equal(t, false, list[0]["thin"])
		require.Equal(t, []any{"chainlink:eth"}, list[3]["sources"])
		require.Equal(t, true, list[3]["thin"])
	}

	a := w.connect("eth", w.people[0])
	w.pay(0, 3_000_000_000_000_000_000)
	var totals map[string]any
	w.eventually("the balance in pounds", func() bool {
		status, answer := w.call("GET", "/v1/aggregate/balance?currency=GBP", "Authorization", "Bearer "+a.token, nil)
		require.Equal(t, 200, status, answer)
		totals = answer["balance"].(map[string]any)
		converted := totals["converted"].(map[string]any)
		return converted["converted_value"] == json.Number("4800")
	})
	require.Equal(t, true, totals["converted"].(map[string]any)["complete"])
	require.Equal(t, []any{"chainlink:eth", "ecb"}, totals["converted"].(map[string]any)["sources"])
	status, answer := w.call("GET", "/v1/aggregate/history?step=1h&currency=USD&from="+time.Now().UTC().Add(-2*time.Hour).Format(time.RFC3339), "Authorization", "Bearer "+a.token, nil)
	require.Equal(t, 200, status, answer)
	require.Len(t, answer["points"], 3)

	// One of two daemons reads at a time. The schedule's cron may fire a little early.
	m.questions()
	began := time.Now()
	w.eventually("some readings", func() bool {
		m.mu.Lock()
		defer m.mu.Unlock()
		return len(m.asked) >= 12
	})
	readings := len(m.questions()) / 3
	require.LessOrEqual(t, readings, int(time.Since(began)/(750*time.Millisecond))+2)

	m.set(func(m *market) { m.down = true })
	w.eventually("a price that is stale and stands", func() bool {
		list := rates(second)
		require.Equal(t, json.Number("60000"), list[0]["rate"], "never nothing")
		require.NotEmpty(t, list[0]["as_of"])
		return list[0]["stale"] == true
	})
	m.set(func(m *market) { m.down, m.btc = false, "66000" })
	w.eventually("the price of after", func() bool { return rates(w.stack)[0]["rate"] == json.Number("66000") })
}
