package venue_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
)

// Ranges are sets of moments: here of the seconds of a minute.
func TestRangesAreSets(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		second := rapid.IntRange(0, 60)
		var ranges venue.Ranges
		var covered [60]bool
		for range rapid.IntRange(0, 12).Draw(t, "ranges") {
			from, to := second.Draw(t, "from"), second.Draw(t, "to")
			before := append(venue.Ranges(nil), ranges...)
			grown := ranges.Add(span(from, to))
			require.Equal(t, before, append(venue.Ranges(nil), ranges...), "the ranges that were there changed")
			ranges = grown
			for i := from; i < to; i++ {
				covered[i] = true
			}
		}
		for i, r := range ranges {
			require.False(t, r.Empty())
			require.True(t, i == 0 || ranges[i-1].To.Before(r.From), "ranges touch: %v", ranges)
		}
		within := span(second.Draw(t, "gaps from"), second.Draw(t, "gaps to"))
		gaps := ranges.Gaps(within)
		for i, is := range covered {
			at := second0.Add(time.Duration(i) * time.Second)
			require.Equal(t, is, ranges.Has(at), "second %d", i)
			require.Equal(t, within.Has(at) && !is, gaps.Has(at), "gap at %d", i)
		}
	})
}

var second0 = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func span(from, to int) venue.Range {
	return venue.Range{From: second0.Add(time.Duration(from) * time.Second), To: second0.Add(time.Duration(to) * time.Second)}
}
