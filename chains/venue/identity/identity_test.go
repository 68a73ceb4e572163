package identity_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue/identity"
)

func TestIdentify(t *testing.T) {
	t.Parallel()
	table, err := identity.Load()
	require.NoError(t, err)
	const bitcoin = "bip122:000000000019d6689c085ae165831e93/slip44:0"
	for _, tt := range []struct {
		venue, code string
		asset       string
		symbol      string
		kind        string
	}{
		{venue: "binance", code: "BTC", asset: bitcoin, symbol: "BTC"},
		{venue: "kraken", code: "XXBT", asset: bitcoin, symbol: "BTC"},
		{venue: "kucoin", code: "XBT", asset: bitcoin, symbol: "BTC"},
		{venue: "kraken", code: "XBT.F", asset: bitcoin, symbol: "BTC", kind: identity.Saved},
		{venue: "kraken", code: "XBT.M", asset: bitcoin, symbol: "BTC", kind: identity.Saved},
		{venue: "kraken", code: "ETH2.S", asset: "eip155:1/slip44:60", symbol: "ETH", kind: identity.Staked},
		{venue: "kraken", code: "DOT28.S", asset: "polkadot:91b171bb158e2d3848fa23a9f1c25182/slip44:354", symbol: "DOT", kind: identity.Staked},
		{venue: "kraken", code: "USD.HOLD", asset: "iso4217:USD", symbol: "USD", kind: identity.OnHold},
		{venue: "kraken", code: "ZEUR", asset: "iso4217:EUR", symbol: "EUR"},
		{venue: "kraken", code: "KSM.P", asset: "venue:kraken/KSM.P", symbol: "KSM.P"},
		{venue: "kraken", code: "AAPLx.T", asset: "venue:kraken/AAPLx.T", symbol: "AAPLx.T"},
		{venue: "kraken", code: "LUNA", asset: "venue:kraken/LUNA", symbol: "LUNA"},
		{venue: "binance", code: "LDBNB", asset: "eip155:56/slip44:714", symbol: "BNB", kind: identity.Saved},
		{venue: "binance", code: "LDO", asset: "eip155:1/erc20:0x5a98fcbea516cf06857215779fd812ca3bef1b32", symbol: "LDO"},
		{venue: "binance", code: "LDLDO", asset: "eip155:1/erc20:0x5a98fcbea516cf06857215779fd812ca3bef1b32", symbol: "LDO", kind: identity.Saved},
		{venue: "htx", code: "btc", asset: bitcoin, symbol: "BTC"},
		{venue: "htx", code: "soul", asset: "venue:htx/soul", symbol: "soul"},
		{venue: "okx", code: "LDBNB", asset: "venue:okx/LDBNB", symbol: "LDBNB"},
		{venue: "gate", code: "GTC", asset: "venue:gate/GTC", symbol: "GTC"},
		{venue: "bitget", code: "TONCOIN", asset: "tvm:-239/slip44:607", symbol: "TON"},
		{venue: "bybit", code: "NOSUCH", asset: "venue:bybit/NOSUCH", symbol: "NOSUCH"},
		{venue: "bybit", code: "USDT", asset: "group:usdt", symbol: "USDT"},
		// A ticker is no identity: its case tells.
		{venue: "bybit", code: "btc", asset: "venue:bybit/btc", symbol: "btc"},
	} {
		got := table.Identify(tt.venue, tt.code)
		require.Equal(t, tt.asset, string(got.Asset), tt)
		require.Equal(t, tt.symbol, got.Symbol, tt)
		require.Equal(t, tt.kind, got.Kind, tt)
		require.Equal(t, got.Known, !strings.HasPrefix(tt.asset, "venue:"), tt)
	}
}

func TestNetwork(t *testing.T) {
	t.Parallel()
	table, err := identity.Load()
	require.NoError(t, err)
	for _, tt := range []struct{ venue, network, id string }{
		{"binance", "TRX", "tron:0x2b6653dc"},
		{"bitmart", "TRC20", "tron:0x2b6653dc"},
		{"okx", "USDT-TRC20", "tron:0x2b6653dc"},
		{"okx", "USDT-Arbitrum One", "eip155:42161"},
		{"okx", "AVAX-Avalanche C-Chain", "eip155:43114"},
		{"bitget", "C-Chain", "eip155:43114"},
		{"bybit", "ARBI", "eip155:42161"},
		{"gate", "OPETH", "eip155:10"},
		{"kucoin", "eth", "eip155:1"},
		{"htx", "trc20usdt", "tron:0x2b6653dc"},
		{"kraken", "Tether USD (TRC20)", "tron:0x2b6653dc"},
		{"kraken", "Tron", "tron:0x2b6653dc"},
		{"coinbase", "ethereum", "eip155:1"},
		{"binance", "NEWCHAIN", ""},
		{"binance", "", ""},
	} {
		require.Equal(t, tt.id, table.Network(tt.venue, tt.network), tt)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ name, assets, networks string }{
		{name: "Fields", assets: "* BTC BTC\n"},
		{name: "Twice", assets: "* BTC BTC a\n* BTC BTC b\n"},
		{name: "NetworkTwice", networks: "* Trx a\n* TRX b\n"},
	} {
		_, err := identity.Parse(tt.assets, tt.networks)
		require.Error(t, err, tt.name)
	}
}
