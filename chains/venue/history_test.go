package venue_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains/venue"
)

// shelf is a venue with one stream: rows at seconds, shown a page at a time.
type shelf struct {
	rows   []int // the second of each
	size   int   // rows of a page
	cursor bool  // pages have cursors, rather than being cut
	window int   // the widest range it takes, 0 is any
	asked  []venue.Query
	fails  int // so many queries fail first
}

var errDown = errors.New("down")

func (s *shelf) Histories() []venue.History { return nil }

func (s *shelf) Page(_ context.Context, q venue.Query) (venue.Page, error) {
	s.asked = append(s.asked, q)
	if s.fails > 0 {
		s.fails--
		return venue.Page{}, errDown
	}
	if s.window > 0 && q.Range.To.Sub(q.Range.From) > time.Duration(s.window)*time.Second {
		return venue.Page{}, fmt.Errorf("range %v is too wide", q.Range)
	}
	var found []venue.Movement
	for i, second := range s.rows {
		at := second0.Add(time.Duration(second) * time.Second)
		if q.Range.Has(at) {
			found = append(found, venue.Movement{ID: strconv.Itoa(i), Time: at})
		}
	}
	slices.Reverse(found)
	if !s.cursor {
		return venue.Page{Movements: found[:min(len(found), s.size)], Cut: len(found) > s.size}, nil
	}
	offset, _ := strconv.Atoi(q.Cursor)
	end := min(offset+s.size, len(found))
	page := venue.Page{Movements: found[offset:end]}
	if end < len(found) {
		page.Next = strconv.Itoa(end)
	}
	return page, nil
}

// Whatever the pages, the windows, the failures and the restarts: all rows are
// found, and covered is what was read, and nothing else.
func TestHistoryIsRead(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		s := &shelf{
			size: rapid.IntRange(1, 5).Draw(t, "page"), cursor: rapid.Bool().Draw(t, "cursors"),
			window: rapid.SampledFrom([]int{0, 7, 60}).Draw(t, "window"),
		}
		// A second never has more rows than a page: see TestHistoryCannotBeCut.
		for _, second := range rapid.SliceOfN(rapid.IntRange(0, 999), 0, 80).Draw(t, "rows") {
			if s.cursor || !slices.Contains(s.rows, second) {
				s.rows = append(s.rows, second)
			}
		}
		slices.Sort(s.rows)
		h := venue.History{Stream: venue.Ledger, Since: second0, Window: time.Duration(s.window) * time.Second, Again: 30 * time.Second}
		found := map[string]int{}
		var p venue.Progress
		for _, now := range []int{400, 1000} {
			now := second0.Add(time.Duration(now) * time.Second)
			p = h.Begin(p, now)
			require.Equal(t, p, h.Begin(p, now.Add(time.Hour)), "a round that runs was begun again")
			for steps := 0; ; steps++ {
				require.Less(t, steps, 3000, "no end")
				s.fails = rapid.SampledFrom([]int{0, 0, 0, 1}).Draw(t, "fails")
				batch, err := h.Step(t.Context(), s, p, nil)
				if err != nil {
					require.ErrorIs(t, err, errDown)
					continue
				}
				for _, m := range batch.Movements {
					require.Equal(t, venue.Ledger, m.Stream)
					second, _ := strconv.Atoi(m.ID)
					found[m.ID] = s.rows[second]
				}
				if rapid.IntRange(0, 4).Draw(t, "crash") == 0 {
					continue // before the commit: the step is taken again
				}
				p = batch.Progress
				for i, second := range s.rows {
					if _, has := found[strconv.Itoa(i)]; !has {
						require.False(t, p.Covered.Has(second0.Add(time.Duration(second)*time.Second)), "row %d is covered, and was never read", i)
					}
				}
				if batch.Done {
					break
				}
			}
			require.Equal(t, venue.Ranges{{From: second0, To: now}}, p.Covered)
			for i, second := range s.rows {
				if second0.Add(time.Duration(second) * time.Second).Before(now) {
					require.Contains(t, found, strconv.Itoa(i))
				}
			}
		}
	})
}

// The first round reads the newest first; the second reads what is new, and the
// newest part of the old again.
func TestHistoryReadsTheNewestFirst(t *testing.T) {
	t.Parallel()
	h := venue.History{Stream: venue.Deposits, Since: second0, Depth: 100 * time.Second, Window: 40 * time.Second, Again: 10 * time.Second}
	s := &shelf{size: 10}
	read := func(p venue.Progress, now int) (venue.Progress, []venue.Range) {
		s.asked = nil
		p = h.Begin(p, second0.Add(time.Duration(now)*time.Second))
		for {
			batch, err := h.Step(t.Context(), s, p, []string{"BTC"})
			require.NoError(t, err)
			if p = batch.Progress; batch.Done {
				break
			}
		}
		var ranges []venue.Range
		for _, q := range s.asked {
			require.Equal(t, []string{"BTC"}, q.Codes)
			ranges = append(ranges, q.Range)
		}
		return p, ranges
	}
	p, ranges := read(venue.Progress{}, 300)
	require.Equal(t, []venue.Range{span(260, 300), span(220, 260), span(200, 220)}, ranges, "no deeper than the venue answers")
	p, ranges = read(p, 320)
	require.Equal(t, []venue.Range{span(300, 320)}, ranges)
	require.Equal(t, venue.Ranges{span(200, 320)}, p.Covered)
	_, ranges = read(p, 325)
	require.Equal(t, []venue.Range{span(315, 325)}, ranges, "the newest part was not read again")
	batch, err := h.Step(t.Context(), s, venue.Progress{}, nil)
	require.NoError(t, err)
	require.True(t, batch.Done, "a round that never began has an end")
}

func TestHistoryCannotBeCut(t *testing.T) {
	t.Parallel()
	s := &shelf{rows: []int{5, 5, 5}, size: 2}
	h := venue.History{Stream: venue.Trades, Since: second0}
	p := h.Begin(venue.Progress{}, second0.Add(10*time.Second))
	for range 100 {
		batch, err := h.Step(t.Context(), s, p, nil)
		if err != nil {
			require.ErrorIs(t, err, venue.ErrCut)
			require.False(t, p.Covered.Has(second0.Add(5*time.Second)), "what cannot be read is covered")
			return
		}
		p = batch.Progress
	}
	t.Fatal("three rows in a moment were read two at a time")
}

// spoiled answers one page.
type spoiled venue.Page

func (spoiled) Histories() []venue.History { return nil }

func (s spoiled) Page(context.Context, venue.Query) (venue.Page, error) { return venue.Page(s), nil }

// A page that would be counted wrong is not counted.
func TestHistoryRefusesSpoiledPages(t *testing.T) {
	t.Parallel()
	h := venue.History{Stream: venue.Deposits, Since: second0}
	for name, page := range map[string]venue.Page{
		"NoID":     {Movements: []venue.Movement{{}}},
		"NoAmount": {Movements: []venue.Movement{{ID: "a", Legs: []venue.Leg{{Code: "BTC"}}}}},
		"NoCode":   {Movements: []venue.Movement{{ID: "a", Legs: []venue.Leg{{Amount: venue.NewDecimal(1, 0)}}}}},
		"Circle":   {Next: "same"},
	} {
		p := h.Begin(venue.Progress{}, second0.Add(time.Hour))
		p.Reading, p.Cursor = &p.Pending[0], "same"
		_, err := h.Step(t.Context(), spoiled(page), p, nil)
		require.Equal(t, venue.Unreadable, venue.ReasonOf(err), "%s: %v", name, err)
	}
}
