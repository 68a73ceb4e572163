package prices

import (
	"context"
	"fmt"
	"slices"
	"time"

	"tallyd/chains"
	"tallyd/chains/price"
)

// How much older than the time it is asked for a price may be. Reference rates of
// states' money are not published on holidays.
const (
	assetReach = 48 * time.Hour
	moneyReach = 7 * 24 * time.Hour
)

// itself is the source of what an asset is worth in itself.
const itself = "itself"

// Rates reads kept prices; see Ledger.PricesAt.
type Rates interface {
	PricesAt(ctx context.Context, wants []Want) ([]price.Price, error)
}

// Book answers what assets were worth at a time in any currency. It is safe for
// concurrent use.
type Book struct {
	Rates Rates
	Names *price.Names
}

// Ask asks what an asset was worth at a time.
type Ask struct {
	Asset chains.AssetID
	At    time.Time
}

// Prices returns for each ask the price of its asset in a currency, with an unknown
// rate where there is none. All prices are kept in dollars, and money of states in
// euros; what is asked for otherwise is their quotient, rounded once. Such a price
// is as old as its oldest part, and as thin as its thinnest.
func (b *Book) Prices(ctx context.Context, in chains.AssetID, asks []Ask) ([]price.Price, error) {
	sum := summing{at: map[Want]int{}}
	ways := make([]way, len(asks))
	for i, ask := range asks {
		ways[i] = sum.way(b.Names.Priced(ask.Asset), in, ask.At)
	}
	var found []price.Price
	if len(sum.wants) > 0 {
		var err error
		if found, err = b.Rates.PricesAt(ctx, sum.wants); err != nil {
			return nil, fmt.Errorf("read %d prices: %w", len(sum.wants), err)
		}
	}
	prices := make([]price.Price, len(asks))
	for i, w := range ways {
		prices[i] = w.price(found, asks[i].At)
		prices[i].Base, prices[i].In = asks[i].Asset, in
	}
	return prices, nil
}

// way is how the price of a pair follows from those that are kept: the product of
// some, divided by the product of others, by their place among the wants.
type way struct{ times, over []int }

// summing collects the wants of many ways, each once.
type summing struct {
	wants []Want
	at    map[Want]int
}

func (s *summing) way(base, in chains.AssetID, at time.Time) way {
	var w way
	if base == in {
		return w
	}
	add := func(into *[]int, base, in chains.AssetID, reach time.Duration) {
		want := Want{Base: base, In: in, At: at, Reach: reach}
		i, there := s.at[want]
		if !there {
			i = len(s.wants)
			s.at[want], s.wants = i, append(s.wants, want)
		}
		*into = append(*into, i)
	}
	dollars := func(asset chains.AssetID, times, over *[]int) {
		switch {
		case asset == price.USD:
		case price.IsMoney(asset):
			add(times, price.EUR, price.USD, moneyReach)
			if asset != price.EUR {
				add(over, price.EUR, asset, moneyReach)
			}
		default:
			add(times, asset, price.USD, assetReach)
		}
	}
	dollars(base, &w.times, &w.over)
	dollars(in, &w.over, &w.times)
	// From one money to another what a euro is in dollars does not matter.
	for _, i := range slices.Clone(w.times) {
		if k := slices.Index(w.over, i); k >= 0 {
			w.over = slices.Delete(w.over, k, k+1)
			w.times = slices.DeleteFunc(w.times, func(j int) bool { return j == i })
		}
	}
	return w
}

// price puts a way's parts together. It is unknown if one of them is.
func (w way) price(found []price.Price, at time.Time) price.Price {
	p := price.Price{Rate: price.One(), AsOf: at, Until: at, Sources: []string{itself}}
	divisor := price.One()
	for n, i := range slices.Concat(w.times, w.over) {
		part := found[i]
		if !part.Rate.Known() {
			return price.Price{}
		}
		if n == 0 {
			p.AsOf, p.Until, p.Sources = part.AsOf, part.Until, nil
		}
		p.AsOf, p.Until, p.Thin = earlier(p.AsOf, part.AsOf), earlier(p.Until, part.Until), p.Thin || part.Thin
		p.Sources = append(p.Sources, part.Sources...)
		if n < len(w.times) {
			p.Rate = p.Rate.Times(part.Rate)
		} else {
			divisor = divisor.Times(part.Rate)
		}
	}
	if len(w.over) > 0 {
		p.Rate = p.Rate.Over(divisor)
	}
	slices.Sort(p.Sources)
	p.Sources = slices.Compact(p.Sources)
	return p
}
