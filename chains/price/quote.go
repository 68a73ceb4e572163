package price

import (
	"time"

	"tallyd/chains"
)

// The currencies that others are compared through: what coins are quoted in, and
// what the rates of states' money are quoted from.
const (
	USD chains.AssetID = "iso4217:USD"
	EUR chains.AssetID = "iso4217:EUR"
)

// Quote is what one source says of one pair.
type Quote struct {
	Base   chains.AssetID
	In     chains.AssetID // what the rate is in
	Rate   Rate
	Source string
	AsOf   time.Time // by the source, else when it was asked

	// Until is how long the source itself stands for it; zero where that is for
	// the reader to say.
	Until time.Time

	// Fixed says that the source does not observe the rate but fixes it, so that
	// there is no second one.
	Fixed bool
}

// Price is what the sources together say of one pair, as it is kept.
type Price struct {
	Base    chains.AssetID
	In      chains.AssetID
	Rate    Rate      // unknown where there is no price
	AsOf    time.Time // of the oldest quote in it
	Until   time.Time // after it the price is stale
	Sources []string  // sorted
	Thin    bool      // one source alone said it, or something it rests on
}

// Stale reports whether nobody stands for the price any more at a time.
func (p Price) Stale(at time.Time) bool { return at.After(p.Until) }
