package ticker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// exchanges returns the sources by name. Each asks for all of its pairs at once.
func exchanges() map[string]exchange {
	return map[string]exchange{
		"coinbase": coinbase(), "kraken": kraken(), "bitstamp": bitstamp(), "gemini": gemini(),
		"binance": binance(), "okx": okx(), CoinGecko: coingecko(),
	}
}

// public is a venue as those without a key see it: one route.
func public(name, title, path string, cost, limit int, window time.Duration, regions ...venue.Region) venue.Venue {
	return venue.Venue{
		Name: name, Title: title, Regions: regions,
		Routes: []venue.Route{{Method: http.MethodGet, Path: path, Cost: cost, Budget: "public"}},
		// The limits are the venues' own for an address; accounts are read under
		// other names of the same venue, so that half of it is enough here.
		Budgets: []venue.Budget{{Name: "public", Scope: venue.PerAddress, Limit: max(cost, limit/2), Window: window}},
		Dialect: func(venue.Credentials) (venue.Dialect, error) { return plain{}, nil },
	}
}

func at(name, origin string) venue.Region {
	return venue.Region{Name: name, Title: name, Hosts: map[string]string{"": origin}}
}

// get returns the request without parameters, or with those of query.
func get(path, query string) venue.Request {
	return venue.Request{Method: http.MethodGet, Path: path, Query: query, Public: true}
}

// plain is a dialect without signature, whose answers are judged by their status
// and by whoever reads them.
type plain struct{}

// Sign implements venue.Dialect. Nothing here is signed.
func (plain) Sign(*venue.Request, venue.Stamp) error { return nil }

// Fault implements venue.Dialect: where an object names an error, or a code that is
// none of success, the source has said no.
func (plain) Fault(a venue.Answer) error {
	said, object := venue.Said[struct {
		Code  venue.Text        `json:"code"`
		Msg   string            `json:"msg"`
		Error []json.RawMessage `json:"error"`
	}](a)
	switch {
	case !object:
		return nil
	case len(said.Error) > 0:
		e := venue.Say(venue.Refused, "", string(said.Error[0]))
		if strings.Contains(e.Detail, "Rate limit") || strings.Contains(e.Detail, "Throttled") {
			e.Reason = venue.RateLimited
		}
		return e
	case said.Code != "" && said.Code != "0":
		e := venue.Say(venue.Refused, string(said.Code), said.Msg)
		switch said.Code {
		case "-1003", "50011":
			e.Reason = venue.RateLimited
		case "50001", "50013", "50026":
			e.Reason = venue.Maintenance
		}
		return e
	}
	return nil
}

// coinbase: https://docs.cdp.coinbase.com/api-reference/advanced-trade-api/rest-api/public/list-public-products
func coinbase() exchange {
	const path = "/api/v3/brokerage/market/products"
	return exchange{
		venue: public("coinbase", "Coinbase", path, 1, 10, time.Second, at("global", "https://api.coinbase.com")),
		ask: func(pairs []Pair) venue.Request {
			ids := url.Values{}
			for _, p := range pairs {
				ids.Add("product_ids", p.Name)
			}
			return get(path, ids.Encode())
		},
		read: func(body []byte) ([]tick, error) {
			var answer struct {
				Products []struct {
					ID       string     `json:"product_id"`
					Price    venue.Text `json:"price"`
					Disabled bool       `json:"is_disabled"`
					Stopped  bool       `json:"trading_disabled"`
				} `json:"products"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for _, p := range answer.Products {
				if !p.Disabled && !p.Stopped {
					ticks = append(ticks, tick{pair: p.ID, price: p.Price})
				}
			}
			return ticks, err
		},
	}
}

// kraken: https://docs.kraken.com/api/docs/rest-api/get-ticker-information
func kraken() exchange {
	const path = "/0/public/Ticker"
	return exchange{
		venue: public("kraken", "Kraken", path, 1, 1, time.Second, at("global", "https://api.kraken.com")),
		ask:   func([]Pair) venue.Request { return get(path, "") },
		read: func(body []byte) ([]tick, error) {
			var answer struct {
				Result map[string]struct {
					Last []venue.Text `json:"c"` // price, and how much
				} `json:"result"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for pair, t := range answer.Result {
				if len(t.Last) > 0 {
					ticks = append(ticks, tick{pair: pair, price: t.Last[0]})
				}
			}
			return ticks, err
		},
	}
}

// bitstamp: https://www.bitstamp.net/api/#tag/Tickers/operation/GetCurrencyPairTickers
func bitstamp() exchange {
	const path = "/api/v2/ticker/"
	return exchange{
		venue: public("bitstamp", "Bitstamp", path, 1, 8_000, 10*time.Minute, at("global", "https://www.bitstamp.net")),
		ask:   func([]Pair) venue.Request { return get(path, "") },
		read: func(body []byte) ([]tick, error) {
			var answer []struct {
				Pair string       `json:"pair"`
				Last venue.Text   `json:"last"`
				At   venue.Moment `json:"timestamp"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for _, t := range answer {
				ticks = append(ticks, tick{pair: t.Pair, price: t.Last, at: t.At.Time})
			}
			return ticks, err
		},
	}
}

// gemini: https://docs.gemini.com/rest-api/#price-feed
func gemini() exchange {
	const path = "/v1/pricefeed"
	return exchange{
		venue: public("gemini", "Gemini", path, 1, 120, time.Minute, at("global", "https://api.gemini.com")),
		ask:   func([]Pair) venue.Request { return get(path, "") },
		read: func(body []byte) ([]tick, error) {
			var answer []struct {
				Pair  string     `json:"pair"`
				Price venue.Text `json:"price"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for _, t := range answer {
				ticks = append(ticks, tick{pair: t.Pair, price: t.Price})
			}
			return ticks, err
		},
	}
}

// binance: https://github.com/binance/binance-spot-api-docs/blob/master/rest-api.md#symbol-price-ticker
func binance() exchange {
	const path = "/api/v3/ticker/price"
	return exchange{
		venue: public("binance", "Binance", path, 4, 1_200, time.Minute,
			at("global", "https://api.binance.com"), at("us", "https://api.binance.us")),
		// All symbols cost as much as some, and one that was taken off the list
		// makes no question fail.
		ask: func([]Pair) venue.Request { return get(path, "") },
		read: func(body []byte) ([]tick, error) {
			var answer []struct {
				Symbol string     `json:"symbol"`
				Price  venue.Text `json:"price"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for _, t := range answer {
				ticks = append(ticks, tick{pair: t.Symbol, price: t.Price})
			}
			return ticks, err
		},
	}
}

// okx: https://www.okx.com/docs-v5/en/#order-book-trading-market-data-get-tickers
func okx() exchange {
	const path = "/api/v5/market/tickers"
	return exchange{
		venue: public("okx", "OKX", path, 1, 20, 2*time.Second,
			at("global", "https://www.okx.com"), at("eea", "https://eea.okx.com"), at("us", "https://us.okx.com")),
		ask: func([]Pair) venue.Request { return get(path, "instType=SPOT") },
		read: func(body []byte) ([]tick, error) {
			var answer struct {
				Data []struct {
					ID   string       `json:"instId"`
					Last venue.Text   `json:"last"`
					At   venue.Moment `json:"ts"`
				} `json:"data"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for _, t := range answer.Data {
				ticks = append(ticks, tick{pair: t.ID, price: t.Last, at: t.At.Time})
			}
			return ticks, err
		},
	}
}
