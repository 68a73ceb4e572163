package ticker

import (
	"context"
	"fmt"
	"time"

	"tallyd/chains/price"
	"tallyd/chains/venue"
)

// tick is one line of an answer: what was paid last in a pair.
type tick struct {
	pair  string
	price venue.Text // as it was written
	at    time.Time  // zero where the source does not say
}

// exchange is one source: how it is asked, and how its answer is read.
type exchange struct {
	venue venue.Venue
	ask   func(pairs []Pair) venue.Request
	read  func(body []byte) ([]tick, error)
}

// Source reads the pairs of one exchange. It is safe for concurrent use.
type Source struct {
	exchange exchange
	session  *venue.Session
	pairs    []Pair
}

// Options say what is read of a source.
type Options struct {
	Region string // "" for the first
	Key    string // of CoinGecko; the others take none
	Pairs  []Pair // those of other sources are left out
}

// Open returns a source that asks over a transport. It asks nothing.
func Open(t *venue.Transport, name string, o Options) (*Source, error) {
	e, known := exchanges()[name]
	if !known {
		return nil, fmt.Errorf("no prices are read at %.40q", name)
	}
	fields := map[string]string{}
	if o.Region != "" {
		fields[venue.FieldRegion] = o.Region
	}
	if o.Key != "" {
		fields[venue.FieldKey] = o.Key
	}
	session, err := t.Open(e.venue, venue.NewCredentials(fields))
	if err != nil {
		return nil, fmt.Errorf("open %s for prices: %w", name, err)
	}
	return &Source{exchange: e, session: session, pairs: PairsOf(o.Pairs, name)}, nil
}

// Name returns what the source is called.
func (s *Source) Name() string { return s.exchange.venue.Name }

// Quotes returns what was paid last in each pair of the source. A pair that it does
// not name, or names with a number that is no price, is left out; an answer
// without a single one is an error.
func (s *Source) Quotes(ctx context.Context) ([]price.Quote, error) {
	if len(s.pairs) == 0 {
		return nil, nil
	}
	asked := time.Now().UTC()
	answer, err := s.session.Ask(ctx, s.exchange.ask(s.pairs))
	if err != nil {
		return nil, fmt.Errorf("ask for tickers: %w", err)
	}
	ticks, err := s.exchange.read(answer.Body)
	if err != nil {
		return nil, venue.Misread("read tickers: %s", err)
	}
	byPair := make(map[string]tick, len(ticks))
	for _, t := range ticks {
		byPair[t.pair] = t
	}
	quotes := make([]price.Quote, 0, len(s.pairs))
	for _, p := range s.pairs {
		t, found := byPair[p.Name]
		if !found {
			continue
		}
		rate, err := rateOf(t.price)
		if err != nil {
			continue
		}
		q := price.Quote{Base: p.Base, In: p.In, Rate: rate, Source: s.Name(), AsOf: asked}
		if !t.at.IsZero() {
			q.AsOf = t.at
		}
		quotes = append(quotes, q)
	}
	if len(quotes) == 0 {
		return nil, venue.Misread("none of %d pairs has a price", len(s.pairs))
	}
	return quotes, nil
}

// rateOf reads a number by its digits, an exponent among them.
func rateOf(text venue.Text) (price.Rate, error) {
	d, err := venue.ParseDecimal(string(text))
	if err != nil {
		return price.Rate{}, err
	}
	digits, scale, err := d.Amount()
	if err != nil {
		return price.Rate{}, err
	}
	return price.NewRate(digits, scale) //nolint:wrapcheck // it repeats the number
}
