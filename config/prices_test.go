package config

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestPrices(t *testing.T) {
	t.Parallel()
	cfg, err := parse([]byte(`
prices: {exchanges: [{name: kraken}, {name: okx, region: eea, url: "http://127.0.0.1:1"}], coingecko: {api_key: "${KEY}"}, ecb: {enabled: true},
  feeds: [{chain: eth, contract: "0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419", asset: ETH}], pairs: [{source: kraken, pair: A, asset: BTC}]}
chains: {eth: {family: evm, network: 1, upstreams: [{url: "http://a"}]}}`), []string{"KEY=a-secret-key", "TALLYD_PRICES_FEEDS_0_HEARTBEAT=24h"}, nil)
	require.NoError(t, err)
	p := cfg.Prices
	require.True(t, p.Any() && p.Markets())
	require.False(t, Prices{}.Any())
	require.True(t, Prices{ECB: ECB{Enabled: true}}.Any())
	require.False(t, Prices{ECB: ECB{Enabled: true}}.Markets())
	require.Equal(t, []string{"@every 5m", "@every 1h", "demo", "USD", "USD"}, []string{p.Schedule, p.ECB.Schedule, p.CoinGecko.Plan, p.Feeds[0].In, p.Pairs[0].In})
	require.Equal(t, []time.Duration{24 * time.Hour, 20 * time.Minute}, []time.Duration{p.Feeds[0].Heartbeat, p.StaleAfter})
	require.Equal(t, []int{20, 90}, []int{p.SpreadPermille, p.KeepDays})
	shown, err := cfg.Redacted()
	require.NoError(t, err)
	require.NotContains(t, shown, "a-secret-key")

	const chain = "\nchains: {eth: {family: evm, network: 1, upstreams: [{url: \"http://a\"}]}}"
	for key, document := range map[string]string{
		"prices.exchanges.0.name":    "exchanges: [{name: mtgox}]",
		"prices.exchanges.1.name":    "exchanges: [{name: okx}, {name: okx}]",
		"prices.exchanges.0.url":     "exchanges: [{name: okx, url: nonsense}]",
		"prices.coingecko.plan":      "coingecko: {plan: free}",
		"prices.ecb.url":             "ecb: {url: \"ftp://a\"}",
		"prices.feeds.0.chain":       "feeds: [{chain: btc, contract: \"0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419\", asset: ETH}]",
		"prices.feeds.0.contract":    "feeds: [{chain: eth, contract: \"0x5f\", asset: ETH}]",
		"prices.feeds.0.asset":       "feeds: [{chain: eth, contract: \"0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419\"}]",
		"prices.feeds.0.heartbeat":   "feeds: [{chain: eth, contract: \"0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419\", asset: ETH, heartbeat: -1s}]",
		"prices.sequencers.0.chain":  "sequencers: [{chain: eth, contract: \"0x5f4eC3Df9cbd43714FE2740f5E3616155c5b8419\"}]",
		"prices.pairs.0.source":      "pairs: [{source: mtgox, pair: A, asset: BTC}]",
		"prices.pairs.0.pair":        "pairs: [{source: okx, asset: BTC}]",
		"prices.pairs.0.asset":       "pairs: [{source: okx, pair: A}]",
		"prices.spread_permille":     "spread_permille: 501",
		"prices.stale_after":         "stale_after: -1s",
		"prices.keep_days":           "keep_days: -1",
		"prices.exchanges.0.api_key": "exchanges: [{name: okx, api_key: a}]",
	} {
		_, err := parse([]byte("prices: {"+document+"}"+chain), nil, nil)
		require.Error(t, err, key)
		require.True(t, strings.Contains(err.Error(), key+" ") || strings.Contains(err.Error(), key+":"), "%s: %v", key, err)
	}
}
