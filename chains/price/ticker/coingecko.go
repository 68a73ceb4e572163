package ticker

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// CoinGecko is the name of the source that wants a key.
const CoinGecko = "coingecko"

const (
	coingeckoPath = "/api/v3/simple/price"
	proRegion     = "pro"
)

// coingecko: https://docs.coingecko.com/reference/simple-price. It is asked with the
// operator's key alone.
func coingecko() exchange {
	v := public(CoinGecko, "CoinGecko", coingeckoPath, 1, 30, time.Minute,
		at("demo", "https://api.coingecko.com"), at(proRegion, "https://pro-api.coingecko.com"))
	v.Fields = []venue.Field{{Name: venue.FieldKey, Title: "API key", Secret: true}}
	v.Dialect = func(c venue.Credentials) (venue.Dialect, error) { return keyed{c: c}, nil }
	return exchange{
		venue: v,
		ask: func(pairs []Pair) venue.Request {
			ids := make([]string, len(pairs))
			for i, p := range pairs {
				ids[i] = p.Name
			}
			query := url.Values{
				"ids": {strings.Join(ids, ",")}, "vs_currencies": {"usd"}, "include_last_updated_at": {"true"}, "precision": {"full"},
			}
			return venue.Request{Method: http.MethodGet, Path: coingeckoPath, Query: query.Encode()}
		},
		read: func(body []byte) ([]tick, error) {
			var answer map[string]struct {
				USD venue.Text   `json:"usd"`
				At  venue.Moment `json:"last_updated_at"`
			}
			err := venue.Decode(body, &answer)
			var ticks []tick
			for id, t := range answer {
				ticks = append(ticks, tick{pair: id, price: t.USD, at: t.At.Time})
			}
			return ticks, err
		},
	}
}

// keyed is the dialect of CoinGecko: a key in a header.
type keyed struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (k keyed) Sign(r *venue.Request, _ venue.Stamp) error {
	header := "X-Cg-Demo-Api-Key"
	if k.c.Get(venue.FieldRegion) == proRegion {
		header = "X-Cg-Pro-Api-Key"
	}
	r.Header.Set(header, k.c.Get(venue.FieldKey))
	return nil
}

// Fault implements venue.Dialect.
func (keyed) Fault(a venue.Answer) error {
	said, object := venue.Said[struct {
		Status *struct {
			Code    venue.Text `json:"error_code"`
			Message string     `json:"error_message"`
		} `json:"status"`
		Error json.RawMessage `json:"error"`
	}](a)
	switch {
	case !object:
		return nil
	case said.Status != nil:
		e := venue.Say(venue.Refused, string(said.Status.Code), said.Status.Message)
		switch said.Status.Code {
		case "429":
			e.Reason = venue.RateLimited
		case "10002", "10010", "10011":
			e.Reason = venue.KeyRefused
		}
		return e
	case said.Error != nil:
		return venue.Say(venue.Refused, "", string(said.Error))
	}
	return nil
}
