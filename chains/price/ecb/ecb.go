// Package ecb reads the reference rates of the European Central Bank: what a euro
// was worth in other money on a day, fixed in the early afternoon of each working
// day and published at about four. They are published for information, and free to
// use with their source named.
package ecb

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"tallyd/chains"
	"tallyd/chains/price"
)

// Name is what the source is called.
const Name = "ecb"

// The documents: the last working day, and those of the last 90 days.
const (
	dailyPath   = "/stats/eurofxref/eurofxref-daily.xml"
	quarterPath = "/stats/eurofxref/eurofxref-hist-90d.xml"
)

const (
	origin  = "https://www.ecb.europa.eu"
	maxBody = 4 << 20

	// fixed is when the rates of a day are fixed, in UTC and winter: 14:15 in
	// Frankfurt. In summer it is an hour earlier.
	fixed = 13*time.Hour + 15*time.Minute

	// lasts is how long a rate stands: over Easter there is none from Thursday
	// to the afternoon of Tuesday, and as long at Christmas.
	lasts = 126 * time.Hour

	// maxAhead is how far the day of a rate may be ahead of our clock.
	maxAhead = 24 * time.Hour
)

// Source reads the rates. It is safe for concurrent use.
type Source struct {
	client *http.Client
	origin *url.URL
	names  *price.Names
	told   atomic.Bool // the last 90 days were read
}

// New returns a source. base is asked in place of the bank's own address if it is
// not ""; plain http is taken for this machine only.
func New(client *http.Client, base string, names *price.Names) (*Source, error) {
	if base == "" {
		base = origin
	}
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" ||
		u.Scheme != "https" && (u.Scheme != "http" || u.Hostname() != "127.0.0.1" && u.Hostname() != "localhost") {
		return nil, errors.New("not an origin, such as https://www.ecb.europa.eu")
	}
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Source{client: &own, origin: u, names: names}, nil
}

// Name returns what the source is called.
func (s *Source) Name() string { return Name }

// Quotes returns the rates of the last working day. The first time it returns those
// of the last 90 days, so that what happened in them can be converted.
func (s *Source) Quotes(ctx context.Context) ([]price.Quote, error) {
	if s.told.Load() {
		return s.read(ctx, dailyPath)
	}
	quotes, err := s.read(ctx, quarterPath)
	if err != nil {
		return s.read(ctx, dailyPath)
	}
	s.told.Store(true)
	return quotes, nil
}

func (s *Source) read(ctx context.Context, path string) ([]price.Quote, error) {
	target := *s.origin
	target.Path = strings.TrimSuffix(target.Path, "/") + path
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("build the request: %w", err)
	}
	request.Header.Set("User-Agent", "tallyd")
	request.Header.Set("Accept", "application/xml")
	response, err := s.client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask for the reference rates: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("ask for the reference rates: HTTP %d", response.StatusCode)
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return nil, fmt.Errorf("read the reference rates: %w", err)
	}
	if len(body) > maxBody {
		return nil, fmt.Errorf("the reference rates are more than %d bytes", maxBody)
	}
	quotes, err := s.parse(body, time.Now())
	if err != nil {
		return nil, fmt.Errorf("read the reference rates: %w", err)
	}
	return quotes, nil
}

// envelope is the document: one Cube with a Cube for each day, which holds a Cube
// for each currency.
type envelope struct {
	XMLName xml.Name `xml:"http://www.gesmes.org/xml/2002-08-01 Envelope"`
	Days    []struct {
		Day   string `xml:"time,attr"`
		Rates []struct {
			Currency string `xml:"currency,attr"`
			Rate     string `xml:"rate,attr"`
		} `xml:"Cube"`
	} `xml:"Cube>Cube"`
}

// parse reads a document. Money that is not in the table of names is left out; all
// else that is not as it should be is an error, since a rate that is read wrong
// is worse than none.
func (s *Source) parse(body []byte, now time.Time) ([]price.Quote, error) {
	var doc envelope
	if err := xml.Unmarshal(body, &doc); err != nil {
		return nil, fmt.Errorf("decode: %w", err)
	}
	var quotes []price.Quote
	for _, d := range doc.Days {
		day, err := time.Parse(time.DateOnly, d.Day)
		if err != nil {
			return nil, fmt.Errorf("%.20q is no day", d.Day)
		}
		if day.After(now.Add(maxAhead)) {
			return nil, fmt.Errorf("the rates are of %s, which is to come", d.Day)
		}
		at := day.Add(fixed)
		for _, r := range d.Rates {
			money, known := s.names.Asset(r.Currency)
			if !known || !price.IsMoney(money) || money == price.EUR {
				continue
			}
			rate, err := price.ParseRate(r.Rate)
			if err != nil {
				return nil, fmt.Errorf("%s of %s: %w", r.Currency, d.Day, err)
			}
			quotes = append(quotes, price.Quote{
				Base: price.EUR, In: money, Rate: rate, Source: Name, AsOf: at, Until: at.Add(lasts), Fixed: true,
			})
		}
	}
	if err := complete(quotes); err != nil {
		return nil, err
	}
	return quotes, nil
}

// complete refuses a document without the dollar, which all else goes through, or
// with a currency twice on one day.
func complete(quotes []price.Quote) error {
	type key struct {
		in chains.AssetID
		at time.Time
	}
	seen := make(map[key]bool, len(quotes))
	dollar := false
	for _, q := range quotes {
		k := key{q.In, q.AsOf}
		if seen[k] {
			return fmt.Errorf("%s stands twice on %s", q.In, q.AsOf.Format(time.DateOnly))
		}
		seen[k] = true
		dollar = dollar || q.In == price.USD
	}
	if !dollar {
		return errors.New("there is no rate of the dollar")
	}
	return nil
}
