package prices_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer/prices"
)

const (
	btc  chains.AssetID = "bip122:000000000019d6689c085ae165831e93/slip44:0"
	usdt chains.AssetID = "group:usdt"
)

var (
	noon  = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	rules = prices.Rules{Spread: 20, Fresh: 20 * time.Minute}
)

func rate(t require.TestingT, text string) price.Rate {
	r, err := price.ParseRate(text)
	require.NoError(t, err)
	return r
}

// said is what a source says of bitcoin in dollars, unless change says otherwise.
func said(t require.TestingT, source, text string, change ...func(*price.Quote)) price.Quote {
	q := price.Quote{Base: btc, In: price.USD, Rate: rate(t, text), Source: source, AsOf: noon.Add(-time.Second)}
	for _, c := range change {
		c(&q)
	}
	return q
}

func in(asset chains.AssetID) func(*price.Quote) {
	return func(q *price.Quote) { q.In = asset }
}

func ofTether(q *price.Quote) { q.Base = usdt }

func ago(d time.Duration) func(*price.Quote) {
	return func(q *price.Quote) { q.AsOf = noon.Add(-d) }
}

func until(d time.Duration) func(*price.Quote) {
	return func(q *price.Quote) { q.Until = noon.Add(d) }
}

func TestSettle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		quotes  []price.Quote
		last    string // of bitcoin, fresh; "" for none
		want    string // of bitcoin; "" for no price
		sources []string
		thin    bool
		refused int
	}{
		{name: "Nothing"},
		{name: "Two", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "101")}, want: "100.5", sources: []string{"a", "b"}},
		{name: "Three", quotes: []price.Quote{said(t, "c", "102"), said(t, "a", "100"), said(t, "b", "101")}, want: "101", sources: []string{"a", "b", "c"}},
		{name: "OneAlone", quotes: []price.Quote{said(t, "a", "100")}, want: "100", sources: []string{"a"}, thin: true},
		{name: "OneAloneTwice", quotes: []price.Quote{said(t, "a", "100"), said(t, "a", "101")}, want: "100", sources: []string{"a"}, thin: true},
		{name: "Outlier", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "101"), said(t, "c", "150")}, want: "100.5", sources: []string{"a", "b"}, refused: 1},
		{name: "TwoOutliers", quotes: []price.Quote{said(t, "a", "1"), said(t, "b", "100"), said(t, "c", "101"), said(t, "d", "102"), said(t, "e", "9999")}, want: "101", sources: []string{"b", "c", "d"}, refused: 2},
		{name: "AbsurdScale", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "101"), said(t, "c", "0.000001")}, want: "100.5", sources: []string{"a", "b"}, refused: 1},
		{name: "TwoDisagree", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "150")}, refused: 2},
		{name: "AllDisagree", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "150"), said(t, "c", "300")}, refused: 3},
		{name: "OldOneIsNoWitnessOfNow", quotes: []price.Quote{said(t, "a", "100"), said(t, "b", "101"), said(t, "feed", "101.5", ago(50*time.Minute), until(20*time.Minute))}, want: "100.5", sources: []string{"a", "b"}},
		{name: "OldOneStandsAlone", quotes: []price.Quote{said(t, "feed", "99", ago(50*time.Minute), until(20*time.Minute))}, want: "99", sources: []string{"feed"}, thin: true},
		{name: "TooOld", quotes: []price.Quote{said(t, "a", "100", ago(21*time.Minute))}, refused: 1},
		{name: "PastItsEnd", quotes: []price.Quote{said(t, "feed", "100", ago(2*time.Hour), until(-time.Second))}, refused: 1},
		{name: "OfATimeToCome", quotes: []price.Quote{said(t, "a", "100", ago(-2*time.Minute))}, refused: 1},
		{name: "AClockAMomentAhead", quotes: []price.Quote{said(t, "a", "100", ago(-30*time.Second)), said(t, "b", "100")}, want: "100", sources: []string{"a", "b"}},
		{name: "Itself", quotes: []price.Quote{said(t, "a", "1", in(btc))}, refused: 1},
		{name: "NoRate", quotes: []price.Quote{{Base: btc, In: price.USD, Source: "a", AsOf: noon}}, refused: 1},
		{name: "JumpOfOneAlone", quotes: []price.Quote{said(t, "a", "1000")}, last: "100", refused: 1},
		{name: "FallOfOneAlone", quotes: []price.Quote{said(t, "a", "49")}, last: "100", refused: 1},
		{name: "MoveOfOneAlone", quotes: []price.Quote{said(t, "a", "140")}, last: "100", want: "140", sources: []string{"a"}, thin: true},
		{name: "JumpOfTwo", quotes: []price.Quote{said(t, "a", "1000"), said(t, "b", "1001")}, last: "100", want: "1000.5", sources: []string{"a", "b"}},
		{
			name: "NoPegAssumed", want: "99", sources: []string{"binance", "okx"},
			quotes: []price.Quote{
				said(t, "binance", "110", in(usdt)), said(t, "okx", "110", in(usdt)),
				said(t, "a", "0.9", ofTether), said(t, "b", "0.9", ofTether),
			},
		},
		{
			name: "ThroughAThinOneIsThin", want: "99", sources: []string{"binance", "okx"}, thin: true,
			quotes: []price.Quote{said(t, "binance", "110", in(usdt)), said(t, "okx", "110", in(usdt)), said(t, "a", "0.9", ofTether)},
		},
		{name: "NobodyKnowsTheOther", quotes: []price.Quote{said(t, "binance", "110", in(usdt)), said(t, "okx", "110", in(usdt))}, refused: 2},
		{
			name: "BothWays", want: "99", sources: []string{"binance", "coinbase"},
			quotes: []price.Quote{said(t, "coinbase", "98", ago(0)), said(t, "binance", "100", in(usdt)), said(t, "a", "1", ofTether), said(t, "b", "1", ofTether)},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			last := map[chains.AssetID]price.Price{}
			if tt.last != "" {
				last[btc] = price.Price{Base: btc, In: price.USD, Rate: rate(t, tt.last), AsOf: noon.Add(-time.Minute), Until: noon.Add(time.Minute)}
			}
			found, refused := prices.Settle(tt.quotes, last, rules, noon)
			require.Len(t, refused, tt.refused, "%v", refused)
			var got price.Price
			for _, p := range found {
				if p.Base == btc {
					got = p
				}
			}
			require.Equal(t, tt.want, got.Rate.String())
			require.Equal(t, tt.sources, got.Sources)
			require.Equal(t, tt.thin, got.Thin)
			if tt.want != "" {
				require.False(t, got.Stale(noon))
			}
		})
	}
}

// A last price that has grown old holds no new one back.
func TestJumpAfterSilence(t *testing.T) {
	t.Parallel()
	last := map[chains.AssetID]price.Price{btc: {Base: btc, In: price.USD, Rate: rate(t, "100"), AsOf: noon.Add(-time.Hour), Until: noon.Add(-time.Minute)}}
	found, refused := prices.Settle([]price.Quote{said(t, "a", "1000")}, last, rules, noon)
	require.Empty(t, refused)
	require.Len(t, found, 1)
}

// A price is as old as its oldest source, and stands as long as the first that ends.
func TestSettledTimes(t *testing.T) {
	t.Parallel()
	found, _ := prices.Settle([]price.Quote{
		said(t, "a", "100", ago(3*time.Minute)), said(t, "b", "100", ago(time.Minute)), said(t, "c", "100", ago(2*time.Minute), until(time.Minute)),
	}, nil, rules, noon)
	require.Equal(t, noon.Add(-3*time.Minute), found[0].AsOf)
	require.Equal(t, noon.Add(time.Minute), found[0].Until)
	fixed := price.Quote{Base: price.EUR, In: "iso4217:GBP", Rate: rate(t, "0.83"), Source: "ecb", AsOf: noon.Add(-20 * time.Hour), Until: noon.Add(time.Hour), Fixed: true}
	found, refused := prices.Settle([]price.Quote{fixed}, nil, rules, noon)
	require.Empty(t, refused)
	require.False(t, found[0].Thin, "who fixes a rate needs no second voice")
	past := fixed
	past.In, past.AsOf, past.Until = price.USD, noon.AddDate(0, 0, -30), noon.AddDate(0, 0, -25)
	last := fixed
	last.In = price.USD
	found, refused = prices.Settle([]price.Quote{past, last}, nil, rules, noon)
	require.Empty(t, refused)
	require.Len(t, found, 2, "each day's rate is a price of its own")
}

// Whatever few sources say, the price lies among what the agreeing ones say, and a
// minority of liars cannot move it beyond the honest ones.
func TestLiarsMoveNothing(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		honest := rapid.IntRange(3, 7).Draw(t, "honest")
		liars := rapid.IntRange(0, honest-1).Draw(t, "liars")
		var quotes []price.Quote
		for i := range honest {
			r, err := price.NewRate(chains.NewAmount(rapid.Int64Range(100_000, 100_900).Draw(t, "rate")), 3)
			require.NoError(t, err)
			quotes = append(quotes, price.Quote{Base: btc, In: price.USD, Rate: r, Source: string(rune('a' + i)), AsOf: noon})
		}
		for i := range liars {
			r, err := price.NewRate(chains.NewAmount(rapid.Int64Range(1, 1<<50).Draw(t, "lie")), rapid.IntRange(0, 12).Draw(t, "scale"))
			require.NoError(t, err)
			quotes = append(quotes, price.Quote{Base: btc, In: price.USD, Rate: r, Source: string(rune('A' + i)), AsOf: noon})
		}
		quotes = rapid.Permutation(quotes).Draw(t, "order")
		found, _ := prices.Settle(quotes, nil, rules, noon)
		require.Len(t, found, 1)
		require.True(t, found[0].Rate.Within(rate(t, "100.45"), 21+5), "%s", found[0].Rate)
		require.GreaterOrEqual(t, len(found[0].Sources), honest)
		require.False(t, found[0].Thin)
	})
}
