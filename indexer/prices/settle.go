package prices

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"tallyd/chains"
	"tallyd/chains/price"
)

// Rules say which quotes are believed.
type Rules struct {
	// Spread is how far a quote may be off the median, in thousandths of it.
	Spread int64

	// Fresh is how old a quote may be that says no end of itself, and how long a
	// price made of such stands.
	Fresh time.Duration
}

// maxJump is how far a price that one source alone says may be off the last one
// while that is fresh, in thousandths of it. A median needs no such bound: there
// several would have to err alike.
const maxJump = 500

// maxAhead is how far the time of a quote may be ahead of our clock.
const maxAhead = time.Minute

// Refusal is a quote that was not believed, and why.
type Refusal struct {
	Quote price.Quote
	Why   string
}

// settling makes prices of quotes.
type settling struct {
	rules    Rules
	now      time.Time
	last     map[chains.AssetID]price.Price // by asset, in dollars
	settled  map[chains.AssetID]price.Price // by asset, in dollars
	refusals []Refusal
}

// vote is what one source says of an asset in dollars.
type vote struct {
	quote price.Quote
	until time.Time
	thin  bool // it rests on a price that one source alone says
}

// Settle makes of quotes one price in dollars for each asset: the median of its
// sources, each of which has one voice, without those too far off it. A quote in
// another asset than the dollar counts at what that one is worth. last are the
// prices before. What a source fixes, and quotes in the money of a state other than
// the dollar, are kept as they are.
func Settle(quotes []price.Quote, last map[chains.AssetID]price.Price, rules Rules, now time.Time) ([]price.Price, []Refusal) {
	s := &settling{rules: rules, now: now, last: last, settled: map[chains.AssetID]price.Price{}}
	var direct, through []price.Quote
	var prices []price.Price
	for _, q := range quotes {
		why := s.unfit(q)
		// A price of a moment to come would be found by nobody until then.
		q.AsOf = earlier(q.AsOf, now)
		switch {
		case why != "":
			s.refuse(q, why)
		case q.Fixed:
			prices = append(prices, price.Price{Base: q.Base, In: q.In, Rate: q.Rate, AsOf: q.AsOf, Until: s.until(q), Sources: []string{q.Source}})
		case q.In == price.USD:
			direct = append(direct, q)
		case price.IsMoney(q.In):
			prices = append(prices, price.Price{
				Base: q.Base, In: q.In, Rate: q.Rate, AsOf: q.AsOf, Until: s.until(q), Sources: []string{q.Source}, Thin: true,
			})
		default:
			through = append(through, q)
		}
	}
	pools := map[chains.AssetID][]vote{}
	for _, q := range direct {
		pools[q.Base] = append(pools[q.Base], vote{quote: q, until: s.until(q)})
	}
	pivots := s.pivots(pools, through)
	for _, q := range through {
		pivot, known := pivots[q.In]
		if !known {
			s.refuse(q, fmt.Sprintf("nobody says what %s is worth", q.In))
			continue
		}
		v := vote{quote: q, until: earlier(s.until(q), pivot.Until), thin: pivot.Thin}
		v.quote.In, v.quote.Rate, v.quote.AsOf = price.USD, q.Rate.Times(pivot.Rate), earlier(q.AsOf, pivot.AsOf)
		pools[q.Base] = append(pools[q.Base], v)
	}
	for base, pool := range pools {
		s.settle(base, pool)
	}
	for _, p := range s.settled {
		prices = append(prices, p)
	}
	slices.SortFunc(prices, func(a, b price.Price) int {
		return strings.Compare(string(a.Base)+" "+string(a.In), string(b.Base)+" "+string(b.In))
	})
	return prices, s.refusals
}

// pivots returns what the assets are worth in dollars that others are quoted in, by
// the quotes in dollars alone.
func (s *settling) pivots(pools map[chains.AssetID][]vote, through []price.Quote) map[chains.AssetID]price.Price {
	aside := &settling{rules: s.rules, now: s.now, last: s.last, settled: map[chains.AssetID]price.Price{}}
	for _, q := range through {
		if _, done := aside.settled[q.In]; !done && len(pools[q.In]) > 0 {
			aside.settle(q.In, pools[q.In])
		}
	}
	return aside.settled
}

// unfit says why a quote cannot be counted at all, or "".
func (s *settling) unfit(q price.Quote) string {
	switch {
	case !q.Rate.Known():
		return "it has no rate"
	case q.Base == q.In:
		return "it tells an asset in itself"
	case q.AsOf.After(s.now.Add(maxAhead)):
		return "it is of a time to come"
	case !q.Fixed && s.now.After(s.until(q)):
		return "it is of " + q.AsOf.UTC().Format(time.RFC3339) + ", which is too long ago"
	}
	return ""
}

func (s *settling) until(q price.Quote) time.Time {
	if q.Until.IsZero() {
		return q.AsOf.Add(s.rules.Fresh)
	}
	return q.Until
}

func (s *settling) refuse(q price.Quote, why string) {
	s.refusals = append(s.refusals, Refusal{Quote: q, Why: why})
}

// settle makes the price of one asset of its votes, if they agree.
func (s *settling) settle(base chains.AssetID, pool []vote) {
	pool = s.single(pool)
	slices.SortFunc(pool, func(a, b vote) int { return a.quote.Rate.Cmp(b.quote.Rate) })
	middle := median(pool)
	agreed := make([]vote, 0, len(pool))
	for _, v := range pool {
		if v.quote.Rate.Within(middle, s.rules.Spread) {
			agreed = append(agreed, v)
		}
	}
	switch {
	case len(pool) > 1 && len(agreed) < 2:
		for _, v := range pool {
			s.refuse(v.quote, fmt.Sprintf("the %d sources disagree", len(pool)))
		}
		return
	case len(pool) == 1:
		last := s.last[base]
		if last.Rate.Known() && !last.Stale(s.now) && !pool[0].quote.Rate.Within(last.Rate, maxJump) {
			s.refuse(pool[0].quote, "it is one source alone, and far off the price before, "+last.Rate.String())
			return
		}
	}
	for _, v := range pool {
		if !v.quote.Rate.Within(middle, s.rules.Spread) {
			s.refuse(v.quote, "it is too far off the median, "+middle.String())
		}
	}
	p := price.Price{
		Base: base, In: price.USD, Rate: median(agreed), AsOf: agreed[0].quote.AsOf, Until: agreed[0].until,
		Thin: len(agreed) == 1,
	}
	for _, v := range agreed {
		p.AsOf, p.Until, p.Thin = earlier(p.AsOf, v.quote.AsOf), earlier(p.Until, v.until), p.Thin || v.thin
		p.Sources = append(p.Sources, v.quote.Source)
	}
	slices.Sort(p.Sources)
	s.settled[base] = p
}

// single leaves each source one vote, its first, and drops those that are older
// than what the others say: an answer from an hour ago is a witness of then, and
// stands alone if there is no other.
func (s *settling) single(pool []vote) []vote {
	var kept []vote
	recent := s.now.Add(-s.rules.Fresh)
	lively := slices.ContainsFunc(pool, func(v vote) bool { return !v.quote.AsOf.Before(recent) })
	for _, v := range pool {
		double := slices.ContainsFunc(kept, func(k vote) bool { return k.quote.Source == v.quote.Source })
		if !double && (!lively || !v.quote.AsOf.Before(recent)) {
			kept = append(kept, v)
		}
	}
	return kept
}

// median returns the rate in the middle of votes that are sorted; of two in the
// middle their mean.
func median(sorted []vote) price.Rate {
	half := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[half].quote.Rate
	}
	return sorted[half-1].quote.Rate.Mean(sorted[half].quote.Rate)
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
