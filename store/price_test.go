package store_test

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/indexer/prices"
	"tallyd/store"
)

var priceNoon = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

func priceOf(t require.TestingT, base chains.AssetID, text string, asOf time.Time, lasts time.Duration, sources ...string) price.Price {
	rate, err := price.ParseRate(text)
	require.NoError(t, err)
	return price.Price{Base: base, In: price.USD, Rate: rate, AsOf: asOf, Until: asOf.Add(lasts), Sources: sources, Thin: len(sources) < 2}
}

func TestPrices(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{store.PoolerSession, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			t.Parallel()
			s, ctx := openStore(t, store.Options{Pooler: pooler}), t.Context()
			const a, b chains.AssetID = "a:1/slip44:0", "b:1/slip44:0"
			long := "12345678901234567890.123456789012345678901234567891"
			first := priceOf(t, a, long, priceNoon.Add(-50*time.Minute), 70*time.Minute, "feed")
			market := priceOf(t, a, "7", priceNoon.Add(-30*time.Minute), 20*time.Minute, "x", "y")
			require.NoError(t, s.PutPrices(ctx, nil))
			require.NoError(t, s.PutPrices(ctx, []price.Price{first, market}))
			require.NoError(t, s.PutPrices(ctx, []price.Price{priceOf(t, a, "8", market.AsOf, time.Hour, "z")}), "a price of a moment is never changed")

			want := func(asset chains.AssetID, ago time.Duration) prices.Want {
				return prices.Want{Base: asset, In: price.USD, At: priceNoon.Add(-ago), Reach: time.Hour}
			}
			found, err := s.PricesAt(ctx, []prices.Want{want(a, 0), want(b, 0), want(a, 15*time.Minute), want(a, 51*time.Minute), want(a, -25*time.Minute), want(a, -31*time.Minute)})
			require.NoError(t, err)
			require.Equal(t, first, found[0], "the feed stands for its older price; the exchanges do not for theirs")
			require.Equal(t, price.Price{Base: b, In: price.USD}, found[1])
			require.Equal(t, market, found[2])
			require.False(t, found[3].Rate.Known(), "it is of later")
			require.Equal(t, market, found[4], "nobody stands for one: the newest")
			require.True(t, found[4].Stale(priceNoon.Add(25*time.Minute)))
			require.False(t, found[5].Rate.Known(), "out of reach")
			none, err := s.PricesAt(ctx, nil)
			require.NoError(t, err)
			require.Empty(t, none)

			require.NoError(t, s.PutPrices(ctx, []price.Price{
				priceOf(t, b, "1", priceNoon.Add(-13*time.Hour), time.Hour, "x"), // the day before
				priceOf(t, b, "2", priceNoon.Add(-12*time.Hour), time.Hour, "x"), // midnight
				priceOf(t, b, "3", priceNoon.Add(-time.Hour), time.Hour, "x"),
			}))
			require.NoError(t, s.ThinPrices(ctx, priceNoon.Add(-35*time.Minute)))
			left := func(asset chains.AssetID) (n int) {
				require.NoError(t, s.Pool().QueryRow(ctx, `SELECT count(*) FROM prices WHERE base = $1`, asset).Scan(&n))
				return n
			}
			require.Equal(t, 2, left(b), "the last of the day before, and the last of the day")
			require.Equal(t, 1, left(a))
		})
	}
}

// Of many who claim a reading at once one gets it, and nobody before the gap is over.
func TestClaimReading(t *testing.T) {
	t.Parallel()
	s, ctx := openStore(t, store.Options{}), t.Context()
	var won atomic.Int32
	var many sync.WaitGroup
	for range 16 {
		many.Go(func() {
			mine, err := s.ClaimReading(ctx, "markets", time.Hour)
			if err == nil && mine {
				won.Add(1)
			}
		})
	}
	many.Wait()
	require.EqualValues(t, 1, won.Load())
	mine, err := s.ClaimReading(ctx, "money", time.Hour)
	require.NoError(t, err)
	require.True(t, mine, "another group")
	_, err = s.Pool().Exec(ctx, `UPDATE price_readings SET claimed_at = claimed_at - interval '1 hour'`)
	require.NoError(t, err)
	mine, err = s.ClaimReading(ctx, "markets", time.Hour)
	require.NoError(t, err)
	require.True(t, mine)
}

// What was kept comes back digit by digit, and what stood at a time is what a walk
// over all prices finds.
func TestPricesModel(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	ctx, run := t.Context(), 0
	rapid.Check(t, func(t *rapid.T) {
		run++
		base := chains.AssetID("m:" + time.Unix(int64(run), 0).Format("150405") + "/slip44:0")
		minute := func(name string) time.Time {
			return priceNoon.Add(time.Duration(rapid.IntRange(0, 60).Draw(t, name)) * time.Minute)
		}
		var kept []price.Price
		for range rapid.IntRange(0, 12).Draw(t, "prices") {
			rate, err := price.NewRate(chains.AmountFromBytes(append([]byte{1}, rapid.SliceOfN(rapid.Byte(), 0, 11).Draw(t, "digits")...)), rapid.IntRange(0, 20).Draw(t, "scale"))
			require.NoError(t, err)
			p := price.Price{Base: base, In: price.USD, Rate: rate, AsOf: minute("as of"), Sources: []string{"x"}, Thin: true}
			p.Until = p.AsOf.Add(time.Duration(rapid.IntRange(0, 30).Draw(t, "lasts")) * time.Minute)
			require.NoError(t, s.PutPrices(ctx, []price.Price{p}))
			double := false
			for _, k := range kept {
				double = double || k.AsOf.Equal(p.AsOf)
			}
			if !double {
				kept = append(kept, p)
			}
		}
		want := prices.Want{Base: base, In: price.USD, At: minute("at"), Reach: time.Duration(rapid.IntRange(1, 60).Draw(t, "reach")) * time.Minute}
		stood, newest := price.Price{Base: base, In: price.USD}, price.Price{Base: base, In: price.USD}
		for _, k := range kept {
			if k.AsOf.After(want.At) || !k.AsOf.After(want.At.Add(-want.Reach)) {
				continue
			}
			if k.AsOf.After(newest.AsOf) {
				newest = k
			}
			if !k.Stale(want.At) && k.AsOf.After(stood.AsOf) {
				stood = k
			}
		}
		if !stood.Rate.Known() {
			stood = newest
		}
		found, err := s.PricesAt(ctx, []prices.Want{want})
		require.NoError(t, err)
		require.Equal(t, stood, found[0])
	})
}
