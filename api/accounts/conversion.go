package accounts

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer/prices"
)

// Prices says what assets were worth.
type Prices interface {
	// Prices returns for each ask the price of its asset in a currency, with an
	// unknown rate where there is none.
	Prices(ctx context.Context, in chains.AssetID, asks []prices.Ask) ([]price.Price, error)
}

// In asks for what amounts are worth.
type In struct {
	Currency string `query:"currency" maxLength:"10" pattern:"^[A-Za-z]*$" doc:"Say also what amounts are worth in this: USD, EUR or other money of a state, or BTC, ETH or another asset that has a name here" example:"USD"`
}

// Conversion is what a figure is worth. It is absent where nothing was asked for, and
// where the asset has no price, which is not zero.
type Conversion struct {
	ConvertedCurrency string  `json:"converted_currency,omitempty" example:"USD"`
	ConvertedValue    number  `json:"converted_value,omitempty" doc:"value times price.rate, exactly"`
	Price             *quoted `json:"price,omitempty" doc:"What it was converted at"`
}

// quoted is a price with where it comes from.
type quoted struct {
	Rate    string   `json:"rate" doc:"Exact" example:"67012.45"`
	AsOf    stamp    `json:"as_of" doc:"Of the oldest of what it follows from"`
	Sources []string `json:"sources" doc:"Who said it, or what it follows from" nullable:"false"`
	Stale   bool     `json:"stale" doc:"Nobody stood for it any more at the time it is used for"`
	Thin    bool     `json:"thin" doc:"It, or what it follows from, is the word of one source alone"`
}

func quotedOf(p price.Price, at time.Time) *quoted {
	return &quoted{Rate: p.Rate.String(), AsOf: stamp(p.AsOf), Sources: p.Sources, Stale: p.Stale(at), Thin: p.Thin}
}

// worth is what several assets are worth together.
type worth struct {
	ConvertedCurrency string   `json:"converted_currency" example:"USD"`
	ConvertedValue    number   `json:"converted_value" doc:"Sum of converted_value over what has a price; null where nothing has"`
	Complete          bool     `json:"complete" doc:"false while something has no price, or an account no balance: converted_value then lacks it"`
	Unpriced          []amount `json:"unpriced" doc:"What has no price and is not in converted_value" nullable:"false"`
	AsOf              *stamp   `json:"as_of" nullable:"true" doc:"Of the oldest price in it; null where nothing has one"`
	Sources           []string `json:"sources" nullable:"false"`
	Stale             bool     `json:"stale" doc:"A price in it is"`
	Thin              bool     `json:"thin" doc:"A price in it is"`
}

// convertible is one figure of an answer, and where goes what it was worth at a time.
type convertible struct {
	Figure
	Currency

	at   time.Time
	into *Conversion
}

// converter converts the figures of one answer into one currency. A nil one converts
// nothing.
type converter struct {
	name   string
	prices map[prices.Ask]price.Price
}

// convert says of each figure what it was worth, all prices read at once, and returns
// what adds them up. For no currency it does nothing. A currency that has no name here
// is the caller's mistake.
func (s *surface) convert(ctx context.Context, currency string, list []convertible) (*converter, error) {
	if currency == "" {
		return nil, nil //nolint:nilnil // it converts nothing
	}
	in, known := s.Names.Asset(currency)
	if !known {
		return nil, problem.Invalid("currency", "expected money of a state such as USD, or an asset that has a name here such as BTC")
	}
	c := &converter{name: s.Names.Name(in), prices: make(map[prices.Ask]price.Price, len(list))}
	asks := make([]prices.Ask, 0, len(list))
	for _, one := range list {
		if _, twice := c.prices[one.ask()]; !twice {
			c.prices[one.ask()] = price.Price{}
			asks = append(asks, one.ask())
		}
	}
	if s.Prices == nil || len(asks) == 0 {
		return c, nil
	}
	found, err := s.Prices.Prices(ctx, in, asks)
	if err != nil {
		return nil, fmt.Errorf("read prices: %w", err)
	}
	for i, p := range found {
		c.prices[asks[i]] = p
	}
	for _, one := range list {
		if p, value, known := c.value(one); known {
			*one.into = Conversion{ConvertedCurrency: c.name, ConvertedValue: number(value.String()), Price: quotedOf(p, one.at)}
		}
	}
	return c, nil
}

func (c convertible) ask() prices.Ask { return prices.Ask{Asset: chains.AssetID(c.ID), At: c.at} }

// value returns what a figure is worth, and false where it has no price, or nobody
// knows its decimals.
func (c *converter) value(one convertible) (price.Price, price.Value, bool) {
	p := c.prices[one.ask()]
	n, err := chains.ParseAmount(one.BaseUnits)
	if !p.Rate.Known() || one.Decimals == nil || err != nil {
		return price.Price{}, price.Value{}, false
	}
	return p, p.Rate.Value(n, *one.Decimals), true
}

// total returns what figures are worth together, nil where nothing is converted.
// complete says that nothing is missing from them. What is zero needs no price.
func (c *converter) total(list []convertible, complete bool) *worth {
	if c == nil {
		return nil
	}
	w := &worth{ConvertedCurrency: c.name, Complete: complete, Unpriced: []amount{}, Sources: []string{}}
	var total price.Value
	var oldest time.Time
	priced := len(list) == 0
	for _, one := range list {
		p, value, known := c.value(one)
		switch {
		case known:
			priced = true
			total = total.Add(value)
			w.Sources = append(w.Sources, p.Sources...)
			w.Stale, w.Thin = w.Stale || p.Stale(one.at), w.Thin || p.Thin
			if oldest.IsZero() || p.AsOf.Before(oldest) {
				oldest = p.AsOf
			}
		case one.BaseUnits == "0":
			priced = true
		default:
			w.Complete = false
			w.Unpriced = append(w.Unpriced, amount{Figure: one.Figure, Currency: one.Currency})
		}
	}
	slices.Sort(w.Sources)
	w.Sources, w.AsOf = slices.Compact(w.Sources), nullable(&oldest)
	if priced {
		w.ConvertedValue = number(total.String())
	}
	return w
}

// ofAmounts, ofHoldings and ofPending return the figures of lists.
func ofAmounts(list []amount, at time.Time) []convertible {
	figures := make([]convertible, len(list))
	for i := range list {
		figures[i] = convertible{list[i].Figure, list[i].Currency, at, &list[i].Conversion}
	}
	return figures
}

func ofHoldings(list []holding, at time.Time) []convertible {
	figures := make([]convertible, len(list))
	for i := range list {
		figures[i] = convertible{list[i].Figure, list[i].Currency, at, &list[i].Conversion}
	}
	return figures
}

func ofPending(list []pending, at time.Time) []convertible {
	figures := make([]convertible, len(list))
	for i := range list {
		figures[i] = convertible{list[i].Figure, list[i].Currency, at, &list[i].Conversion}
	}
	return figures
}

func ofMovements(list []movement, at time.Time) []convertible {
	figures := make([]convertible, len(list))
	for i := range list {
		figures[i] = convertible{list[i].Figure, list[i].Currency, at, &list[i].Conversion}
	}
	return figures
}

// convertBalance says what an account holds is worth now.
func (s *surface) convertBalance(ctx context.Context, currency string, b *balanceMembers) error {
	now := time.Now().UTC()
	held := ofHoldings(b.Balance, now)
	c, err := s.convert(ctx, currency, slices.Concat(held, ofPending(b.Pending, now)))
	if err == nil && b.State.LastSync != nil {
		b.Converted = c.total(held, true)
	}
	return err
}

// convertTotals says what all accounts hold is worth now.
func (s *surface) convertTotals(ctx context.Context, currency string, n *nestedTotals) error {
	now := time.Now().UTC()
	sum := ofAmounts(n.Sum, now)
	list := slices.Clone(sum)
	for i := range n.Accounts {
		list = slices.Concat(list, ofHoldings(n.Accounts[i].Balance, now), ofPending(n.Accounts[i].Pending, now))
	}
	c, err := s.convert(ctx, currency, list)
	if err != nil {
		return err
	}
	n.Converted = c.total(sum, n.Complete)
	for i := range n.Accounts {
		if one := &n.Accounts[i]; one.State.LastSync != nil {
			one.Converted = c.total(ofHoldings(one.Balance, now), true)
		}
	}
	return nil
}

// convertTransactions says what transactions moved was worth when they happened.
func (s *surface) convertTransactions(ctx context.Context, currency string, list []transaction) error {
	var all []convertible
	for i := range list {
		t := &list[i]
		if t.CreatedAt == nil {
			continue
		}
		at := time.Time(*t.CreatedAt)
		all = slices.Concat(all, ofAmounts(t.Amount, at), ofAmounts(t.Total, at), ofAmounts(t.Fee, at),
			ofMovements(t.Inputs, at), ofMovements(t.Outputs, at))
	}
	_, err := s.convert(ctx, currency, all)
	return err
}
