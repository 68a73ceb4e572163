package accounts

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer/prices"
)

// What one call may ask for, as Blockmate has it.
const (
	maxPairs = 20
	maxDays  = 40
)

type (
	currentRatesInput struct {
		Pairs string `query:"pairs" required:"true" minLength:"3" maxLength:"4000" doc:"Pairs of currencies, separated by commas, at most 20. A currency is a name such as BTC or USD; before the last / it may also be the CAIP-19 id of an asset" example:"ETH/USD,BTC/EUR"`
	}
	pastRatesInput struct {
		Pair string `query:"pair" required:"true" minLength:"3" maxLength:"200" example:"ETH/USD"`
		Days string `query:"days" required:"true" minLength:"6" maxLength:"1000" doc:"Days in UTC, separated by commas, at most 40" example:"2022-06-30,2022-06-29"`
	}

	// exchangeRate is Blockmate's ExchangeRate with where the rate comes from.
	exchangeRate struct {
		Pair    string   `json:"currency_pair" doc:"In lower case" example:"eth/usd"`
		Date    string   `json:"date" format:"date" example:"2022-06-30"`
		Rate    number   `json:"rate" doc:"null where no price is known"`
		AsOf    *stamp   `json:"as_of" nullable:"true" doc:"Of the oldest of what it follows from; null where no price is known"`
		Sources []string `json:"sources" doc:"Who said it, or what it follows from" nullable:"false"`
		Stale   bool     `json:"stale" doc:"Nobody stood for it any more: now, or when the day ended"`
		Thin    bool     `json:"thin" doc:"It, or what it follows from, is the word of one source alone"`
	}
	exchangeRatesOutput struct {
		Body []exchangeRate `nullable:"false"`
	}
)

func (s *surface) mountExchangeRates(api huma.API) {
	operation := func(id, path, summary, description string) huma.Operation {
		return s.Gate.Guard(huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: "/v1/exchangerate/" + path,
			Summary: summary, Description: description, Tags: []string{"Exchange rate info"},
		}, access.Rule{Surface: access.Blockmate, Scope: "prices:read", User: true})
	}
	huma.Register(api, operation("GetCurrentExchangeRate", "current", "Get current exchange rate",
		"One entry for each pair, in the order asked. A currency without a name here is a mistake; one that has a name and no price has a rate of null."), s.currentRates)
	huma.Register(api, operation("GetHistoricalExchangeRate", "history", "Get historical exchange rate",
		"One entry for each day, in the order asked: the last rate of the day, or on a day without one the last before it, as its as_of says. A day before the first price has a rate of null."), s.pastRates)
}

func (s *surface) currentRates(ctx context.Context, in *currentRatesInput) (*exchangeRatesOutput, error) {
	texts := strings.Split(in.Pairs, ",")
	if len(texts) > maxPairs {
		return nil, problem.Invalid("pairs", "expected at most 20 pairs")
	}
	now := time.Now().UTC()
	out := &exchangeRatesOutput{Body: make([]exchangeRate, 0, len(texts))}
	for _, text := range texts {
		pair, err := s.pair("pairs", text)
		if err != nil {
			return nil, err
		}
		rates, err := s.rates(ctx, pair, []time.Time{now})
		if err != nil {
			return nil, err
		}
		out.Body = append(out.Body, rates...)
	}
	return out, nil
}

func (s *surface) pastRates(ctx context.Context, in *pastRatesInput) (*exchangeRatesOutput, error) {
	pair, err := s.pair("pair", in.Pair)
	if err != nil {
		return nil, err
	}
	texts := strings.Split(in.Days, ",")
	if len(texts) > maxDays {
		return nil, problem.Invalid("days", "expected at most 40 days")
	}
	now := time.Now().UTC()
	ends := make([]time.Time, 0, len(texts))
	for _, text := range texts {
		begin, err := time.Parse("2006-1-2", strings.TrimSpace(text))
		if err != nil || begin.After(now) {
			return nil, problem.Invalid("days", "expected days like 2022-06-30 that have begun")
		}
		end := begin.AddDate(0, 0, 1).Add(-time.Microsecond)
		if end.After(now) {
			end = now // today is not over
		}
		ends = append(ends, end)
	}
	rates, err := s.rates(ctx, pair, ends)
	return &exchangeRatesOutput{Body: rates}, err
}

// pair is two currencies as a caller named them.
type pair struct {
	name     string
	base, in chains.AssetID
}

// pair reads a pair. Ids of assets have a / in them, so that the last one parts it.
func (s *surface) pair(field, text string) (pair, error) {
	text = strings.TrimSpace(text)
	i := strings.LastIndexByte(text, '/')
	if i < 0 {
		return pair{}, problem.Invalid(field, "expected two currencies with a / between them, such as ETH/USD")
	}
	p := pair{name: strings.ToLower(text)}
	in, known := s.Names.Asset(text[i+1:])
	if !known {
		return pair{}, problem.Invalid(field, "the second currency of a pair has no name here")
	}
	p.in = in
	if p.base, known = s.Names.Asset(text[:i]); known {
		return p, nil
	}
	if !strings.ContainsAny(text[:i], ":") {
		return pair{}, problem.Invalid(field, "the first currency of a pair has no name here")
	}
	p.base = chains.AssetID(text[:i])
	return p, nil
}

// rates returns the rates of a pair at some times.
func (s *surface) rates(ctx context.Context, p pair, times []time.Time) ([]exchangeRate, error) {
	found := make([]price.Price, len(times))
	if s.Prices != nil {
		asks := make([]prices.Ask, len(times))
		for i, at := range times {
			asks[i] = prices.Ask{Asset: p.base, At: at}
		}
		var err error
		if found, err = s.Prices.Prices(ctx, p.in, asks); err != nil {
			return nil, fmt.Errorf("read rates of %s: %w", p.name, err)
		}
	}
	rates := make([]exchangeRate, len(times))
	for i, at := range times {
		rates[i] = exchangeRate{Pair: p.name, Date: at.Format(time.DateOnly), Sources: []string{}}
		if one := found[i]; one.Rate.Known() {
			rates[i].Rate, rates[i].AsOf, rates[i].Sources = number(one.Rate.String()), nullable(&one.AsOf), one.Sources
			rates[i].Stale, rates[i].Thin = one.Stale(at), one.Thin
		}
	}
	return rates, nil
}
