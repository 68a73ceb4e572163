package venue

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Stream is one history that a venue keeps apart.
type Stream string

// The streams. A venue has some of them.
const (
	Deposits     Stream = "deposits"
	Withdrawals  Stream = "withdrawals"
	Ledger       Stream = "ledger"       // every change of a balance
	Trades       Stream = "trades"       //
	Transactions Stream = "transactions" // all of the above in one, where a venue does not tell them apart
	Transfers    Stream = "transfers"    // between wallets and accounts of the venue, or deposits and withdrawals in one
	FundingBook  Stream = "funding"      // every change of the funding wallet, where it has a ledger of its own
	Fiat         Stream = "fiat"         // deposits, withdrawals and purchases in money of states
	Converts     Stream = "converts"     // trades beside the market
	Rewards      Stream = "rewards"      //
)

// Historian is an account whose past can be read.
type Historian interface {
	// Histories returns the streams of the account, in the order in which they
	// are worth reading. It asks nothing.
	Histories() []History

	// Page reads one page. Rows may come again, in any order; rows outside of
	// the range may be among them.
	Page(ctx context.Context, q Query) (Page, error)
}

// History describes one stream.
type History struct {
	Stream Stream

	// Window is the widest range of one query; 0 is any.
	Window time.Duration

	// Depth is how far back the venue answers; 0 is all. What is older is
	// unknown and stays so: the user is told when connecting.
	Depth time.Duration

	// Since is when the venue opened: nothing is older.
	Since time.Time

	// Again is how long a row may still change after it was first seen. The
	// newest range of that length is read in every round.
	Again time.Duration

	// Explains says that the legs of this stream add up to the changes of the
	// balance, together with those of the other streams that say so. Others
	// tell more about the same movements.
	Explains bool

	// Limits says in words what the stream leaves out, "" if nothing.
	Limits string
}

// Query asks for one page of a range of a stream.
type Query struct {
	Stream Stream
	Range  Range
	Cursor string   // Next of the page before, "" for the first
	Codes  []string // codes the account has been seen with, for venues that must be asked one by one
}

// Page is a part of a range.
type Page struct {
	Movements []Movement

	// Next is the cursor of the next page, "" if the range is read to its
	// end. An empty page is no end.
	Next string

	// Cut says that the venue returned as many rows as it ever does and has no
	// cursor: the range must be halved to see the rest.
	Cut bool
}

// Progress is how far one stream of one account was read. It is committed with
// the rows of the Batch it came with, and never moves past a row that was not.
type Progress struct {
	Covered Ranges `json:"covered,omitempty"`
	Pending Ranges `json:"pending,omitempty"` // to be read in this round, the newest last
	Reading *Range `json:"reading,omitempty"` // the range whose pages are being read
	Cursor  string `json:"cursor,omitempty"`  // of the next page of Reading
}

// Batch is what one Step read.
type Batch struct {
	Movements []Movement
	Progress  Progress // to be committed with Movements
	Done      bool     // the round is over: all that can be is covered
}

// shortest is the shortest range that is halved. A venue that cuts even this
// holds more rows than it will ever show.
const shortest = 2 * time.Millisecond

// ErrNoStream says that a venue keeps no such history. It was asked nothing.
var ErrNoStream = errors.New("the venue keeps no such history")

// ErrCut says that a venue has more rows in a moment than it shows.
var ErrCut = errors.New("the venue shows only a part of the range, and it cannot be made shorter")

// Begin starts a round: what was never covered, and the newest part again, since
// rows still change there. A round that was not finished goes on instead.
func (h History) Begin(p Progress, now time.Time) Progress {
	if p.Reading != nil || len(p.Pending) > 0 {
		return p
	}
	whole := Range{From: h.Since, To: now}
	if h.Depth > 0 {
		whole.From = later(whole.From, now.Add(-h.Depth))
	}
	p.Pending = p.Covered.Gaps(whole)
	if again := (Range{From: later(whole.From, now.Add(-h.Again)), To: now}); h.Again > 0 {
		p.Pending = p.Pending.Add(again)
	}
	return p
}

// Step reads one page, the newest range first, and returns it with the progress
// that stands once it is committed. It changes nothing itself: after an error, or
// a crash before the commit, the same step is taken again.
func (h History) Step(ctx context.Context, account Historian, p Progress, codes []string) (Batch, error) {
	if p.Reading == nil {
		if len(p.Pending) == 0 {
			return Batch{Progress: p, Done: true}, nil
		}
		p = h.open(p)
	}
	page, err := account.Page(ctx, Query{Stream: h.Stream, Range: *p.Reading, Cursor: p.Cursor, Codes: codes})
	if err != nil {
		return Batch{}, fmt.Errorf("read %s: %w", h.Stream, err)
	}
	for i := range page.Movements {
		page.Movements[i].Stream = h.Stream
		if err := page.Movements[i].check(); err != nil {
			return Batch{}, err
		}
	}
	switch {
	case page.Cut:
		p, err = halve(p)
		if err != nil {
			return Batch{}, fmt.Errorf("read %s: %w", h.Stream, err)
		}
	case page.Next == "":
		p.Covered = p.Covered.Add(*p.Reading)
		p.Reading, p.Cursor = nil, ""
	case page.Next == p.Cursor:
		return Batch{}, Misread("a page of %s leads to itself", h.Stream)
	default:
		p.Cursor = page.Next
	}
	return Batch{Movements: page.Movements, Progress: p, Done: p.Reading == nil && len(p.Pending) == 0}, nil
}

// open takes the newest window off what is pending.
func (h History) open(p Progress) Progress {
	last := len(p.Pending) - 1
	r := p.Pending[last]
	pending := append(Ranges(nil), p.Pending[:last]...)
	if h.Window > 0 && r.To.Sub(r.From) > h.Window {
		cut := r.To.Add(-h.Window)
		pending = append(pending, Range{From: r.From, To: cut})
		r.From = cut
	}
	p.Pending, p.Reading, p.Cursor = pending, &r, ""
	return p
}

// halve goes on with the newer half of the range being read.
func halve(p Progress) (Progress, error) {
	r := *p.Reading
	if r.To.Sub(r.From) < shortest {
		return Progress{}, ErrCut
	}
	middle := r.From.Add(r.To.Sub(r.From) / 2).Truncate(time.Millisecond)
	if !middle.After(r.From) {
		return Progress{}, ErrCut
	}
	p.Pending = append(append(Ranges(nil), p.Pending...), Range{From: r.From, To: middle})
	p.Reading, p.Cursor = &Range{From: middle, To: r.To}, ""
	return p, nil
}
