package all

import (
	"tallyd/chains/venue"
	"tallyd/chains/venue/binance"
	"tallyd/chains/venue/bitget"
	"tallyd/chains/venue/bitmart"
	"tallyd/chains/venue/bitstamp"
	"tallyd/chains/venue/blink"
	"tallyd/chains/venue/bybit"
	"tallyd/chains/venue/coinbase"
	"tallyd/chains/venue/cryptocom"
	"tallyd/chains/venue/gate"
	"tallyd/chains/venue/gemini"
	"tallyd/chains/venue/htx"
	"tallyd/chains/venue/kraken"
	"tallyd/chains/venue/kucoin"
	"tallyd/chains/venue/okx"
)

// Venues returns the connectors by the name that their accounts carry.
func Venues() map[string]venue.Venue {
	return map[string]venue.Venue{
		"binance":   binance.Venue(),
		"bitget":    bitget.Venue(),
		"bitmart":   bitmart.Venue(),
		"bitstamp":  bitstamp.Venue(),
		"blink":     blink.Venue(),
		"bybit":     bybit.Venue(),
		"coinbase":  coinbase.Venue(),
		"cryptocom": cryptocom.Venue(),
		"gate":      gate.Venue(),
		"gemini":    gemini.Venue(),
		"htx":       htx.Venue(),
		"kraken":    kraken.Venue(),
		"kucoin":    kucoin.Venue(),
		"okx":       okx.Venue(),
	}
}
