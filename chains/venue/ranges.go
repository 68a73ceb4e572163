package venue

import (
	"slices"
	"time"
)

// Range is a span of time: From is in it, To is not.
type Range struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
}

// Empty reports whether nothing is in the range.
func (r Range) Empty() bool { return !r.From.Before(r.To) }

// Has reports whether a time is in the range.
func (r Range) Has(t time.Time) bool { return !t.Before(r.From) && t.Before(r.To) }

// Ranges are spans of time that neither touch nor overlap, the oldest first. What
// is covered of a history is kept as such.
type Ranges []Range

// Add returns the ranges with one more. Ranges only grow.
func (rs Ranges) Add(r Range) Ranges {
	if r.Empty() {
		return rs
	}
	var kept Ranges
	for _, old := range rs {
		if old.To.Before(r.From) || r.To.Before(old.From) {
			kept = append(kept, old)
			continue
		}
		r.From, r.To = earlier(r.From, old.From), later(r.To, old.To)
	}
	kept = append(kept, r)
	slices.SortFunc(kept, func(a, b Range) int { return a.From.Compare(b.From) })
	return kept
}

// Gaps returns the parts of a range that the ranges do not cover.
func (rs Ranges) Gaps(within Range) Ranges {
	var gaps Ranges
	from := within.From
	for _, r := range rs {
		if gap := (Range{From: from, To: earlier(r.From, within.To)}); !gap.Empty() {
			gaps = append(gaps, gap)
		}
		from = later(from, r.To)
	}
	if gap := (Range{From: from, To: within.To}); !gap.Empty() {
		gaps = append(gaps, gap)
	}
	return gaps
}

// Has reports whether a time is in one of the ranges.
func (rs Ranges) Has(t time.Time) bool {
	return slices.ContainsFunc(rs, func(r Range) bool { return r.Has(t) })
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}
