package indexer

import (
	"context"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// histories reads the histories that are due, in the order in which they are worth
// reading, until the turn is over.
func (v *visit) histories(ctx context.Context) error {
	historian, ok := v.account.(venue.Historian)
	if !ok {
		v.turn.HistoryDue = v.schedule.History.Next(time.Now())
		return nil
	}
	histories := historian.Histories()
	var next time.Time // the earliest of all
	for place, history := range histories {
		at, known := v.stream.Histories[history.Stream]
		when := at.Due
		if !known || due(when) {
			r := reader{visit: v, historian: historian, histories: histories, history: history, place: place, failures: at.Failures}
			var err error
			if when, err = r.read(ctx, at.Progress); err != nil {
				return err
			}
			if v.turn.Fault != nil {
				return nil //nolint:nilerr // it stands in the turn
			}
			if r.over {
				v.turn.HistoryDue = when
				return nil
			}
		}
		if next.IsZero() || when.Before(next) {
			next = when
		}
	}
	v.turn.HistoryDue = next
	if next.IsZero() {
		v.turn.HistoryDue = v.schedule.History.Next(time.Now())
	}
	return nil
}

// reader reads one history in one turn.
type reader struct {
	*visit
	historian venue.Historian
	histories []venue.History
	history   venue.History
	place     int
	failures  int
	over      bool // the turn is: no other history is read in it
}

// read goes on with a round of a history, page by page, and returns when it is due
// next.
func (r *reader) read(ctx context.Context, progress venue.Progress) (time.Time, error) {
	now := r.session.Now()
	progress = r.history.Begin(progress, now)
	for {
		batch, err := r.history.Step(ctx, r.historian, progress, r.codes)
		if err == nil {
			err = r.keepable(batch.Movements)
		}
		if err != nil {
			if ctx.Err() != nil {
				return time.Time{}, context.Cause(ctx)
			}
			return r.fail(r.p.faultOf(err, r.log)), nil
		}
		next := time.Now()
		if batch.Done {
			next = r.schedule.History.Next(next)
		}
		if err := r.write(ctx, batch, now, next); err != nil {
			return time.Time{}, err
		}
		// From here on a crash loses nothing: rows and progress are durable
		// together.
		progress, r.failures = batch.Progress, 0
		if batch.Done {
			return next, nil
		}
		if time.Now().After(r.until) || due(r.turn.BalancesDue) {
			r.over = true
			return next, nil
		}
	}
}

// write writes one page with its progress.
func (r *reader) write(ctx context.Context, batch venue.Batch, now, next time.Time) error {
	reading := Reading{
		Stream: r.history.Stream, Place: r.place, Limits: r.history.Limits, Movements: batch.Movements, Progress: batch.Progress,
		Since: r.history.Since, Done: batch.Done, Due: next,
	}
	if r.history.Depth > 0 && now.Add(-r.history.Depth).After(reading.Since) {
		reading.Since = now.Add(-r.history.Depth)
	}
	for _, m := range batch.Movements {
		reading.Shown = append(reading.Shown, r.shown(m, now))
		for _, leg := range m.Legs {
			r.see(leg.Code)
		}
	}
	return r.sync(ctx, Syncing{Reading: &reading})
}

// fail notes that the history could not be read further and returns when it is
// tried again. What concerns the login or the venue ends the turn; what concerns
// this history alone lets the others be read.
func (r *reader) fail(fault *venue.Error) time.Time {
	if fault.Reason.Stops() {
		r.blame(fault)
		return r.turn.HistoryDue
	}
	again := r.p.again(fault, r.failures)
	switch fault.Reason {
	case venue.PermissionMissing, venue.AccountMode, venue.Refused, venue.Unreadable, venue.NotRead:
		// It may be the connector that is wrong: others go on, and this one is
		// not asked more often than it would be.
		if next := r.schedule.History.Next(time.Now()); next.After(again) {
			again = next
		}
	default:
		r.over = true
	}
	r.turn.Failed = append(r.turn.Failed, FailedHistory{Stream: r.history.Stream, Place: r.place, Fault: fault, Due: again})
	return again
}

// keepable returns an error for numbers that the ledger could not read back.
func (r *reader) keepable(movements []venue.Movement) error {
	for _, m := range movements {
		for _, leg := range m.Legs {
			if !exact(leg.Amount) {
				return venue.Misread("row %.40q has more digits than can be kept", m.ID)
			}
		}
	}
	return nil
}

// shown reports whether a row is the one to show for what happened. Where a venue
// keeps deposits, withdrawals or trades apart, the rows of its ledgers tell of the
// same ones again, but for what the stream of their own does not reach: money of
// states, and what is too old.
func (r *reader) shown(m venue.Movement, now time.Time) bool {
	var own []venue.Stream
	switch m.Kind {
	case venue.Deposit:
		own = []venue.Stream{venue.Deposits, venue.Fiat}
	case venue.Withdrawal:
		own = []venue.Stream{venue.Withdrawals, venue.Fiat}
	case venue.Trade:
		own = []venue.Stream{venue.Trades, venue.Converts}
	default:
		return true
	}
	kept := false
	for _, stream := range own {
		if stream == m.Stream {
			return true
		}
		for _, h := range r.histories {
			kept = kept || h.Stream == stream && (h.Depth == 0 || now.Sub(m.Time) < h.Depth)
		}
	}
	return !kept || m.Kind != venue.Trade && m.Stream == venue.Transactions && r.fiat(m)
}

// fiat reports whether a movement is of money of states alone.
func (r *reader) fiat(m venue.Movement) bool {
	for _, leg := range m.Legs {
		if !strings.HasPrefix(string(r.p.Assets.Identify(r.stream.Venue, leg.Code).Asset), "iso4217:") {
			return false
		}
	}
	return len(m.Legs) > 0
}
