package venuetest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// Subject is one connector and the venue's side of it.
type Subject struct {
	Venue venue.Venue

	// Login are the credentials that the handler knows.
	Login map[string]string

	// Handler answers as the venue does: it checks signatures in a way of its
	// own, bounds windows and pages, and tells what the world holds.
	Handler func(*World) http.Handler

	// Revoked is what the venue answers to a key that is gone, Slow to one
	// that asks too often.
	Revoked, Slow Reply

	// Timed says that the handler refuses a clock that is wrong.
	Timed bool

	// Burst is how many rows the world has close together: more than a page
	// of each stream. 0 is 230.
	Burst int

	// Match reports whether a movement tells of a row; nil compares ids.
	Match func(Row, venue.Movement) bool

	// Settle makes a pending row of a stream settled, where more changes with
	// it than its state; nil replaces the row.
	Settle func(*World, venue.Stream, Row)

	// Final are streams that show nothing before it is settled.
	Final []venue.Stream

	// Empty are the bodies by which the venue says that nothing is held.
	Empty []string

	// Codes are what the account has been seen with.
	Codes []string
}

// today is when the world of a test is.
func today() time.Time { return time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC) }

// Conformance is what every connector passes.
func Conformance(t *testing.T, s Subject) {
	t.Helper()
	for _, part := range []struct {
		name string
		test func(*testing.T, Subject)
	}{
		{"Declares", declares},
		{"ReadsOnly", readsOnly},
		{"Whole", wholeHistory},
		{"Overlap", pagesOverlap},
		{"TooManyWithHeader", tooMany(map[string]string{"Retry-After": "7"})},
		{"TooManyWithout", tooMany(nil)},
		{"TooManyForZero", tooMany(map[string]string{"Retry-After": "0"})},
		{"Banned", banned},
		{"Skewed", skewed},
		{"Page", webPage},
		{"HalfBody", halfBody},
		{"Garbage", garbage},
		{"Revoked", revoked},
		{"Vanished", vanished},
		{"Settled", settled},
		{"AtOnce", manyAtOnce},
		{"Cancelled", cancelled},
	} {
		t.Run(part.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				<-time.After(time.Until(today()))
				part.test(t, s)
			})
		})
	}
}

// stage is one world and one login to it.
type stage struct {
	Subject
	world   *World
	session *venue.Session
	account venue.Account
}

func (s Subject) stage(t *testing.T) *stage {
	t.Helper()
	world := NewWorld()
	transport := venue.NewTransport(venue.TransportOptions{HTTP: world.Wire(s.Handler(world)), UserAgent: "tallyd-test"})
	session, err := transport.Open(s.Venue, venue.NewCredentials(s.Login))
	require.NoError(t, err)
	return &stage{Subject: s, world: world, session: session, account: session.Account()}
}

// histories returns the streams of the account, none if it has no past.
func (s *stage) histories() []venue.History {
	if historian, ok := s.account.(venue.Historian); ok {
		return historian.Histories()
	}
	return nil
}

// populate makes a past for every stream: something at its very beginning, then
// nothing for many windows, then some rows within hours, and something today. Many
// rows are more than a page holds.
func (s *stage) populate(many bool) {
	burst := 40
	if many {
		burst = cmp.Or(s.Burst, 230)
	}
	now := time.Now().UTC().Truncate(time.Second)
	for _, h := range s.histories() {
		oldest := h.Since
		if h.Depth > 0 {
			oldest = latest(oldest, now.Add(-h.Depth))
		}
		middle := oldest.Add(now.Sub(oldest) * 3 / 4).Truncate(time.Second)
		n := 0
		add := func(at time.Time) {
			n++
			s.world.Happen(h.Stream, Row{
				ID: rowID(h.Stream, n), At: at, Code: "BTC", Amount: amountOf(h.Stream, n), TxHash: fmt.Sprintf("%064x", 0xabc000+n),
			})
		}
		add(oldest.Add(2 * time.Hour).Truncate(time.Second))
		for i := range burst {
			add(middle.Add(time.Duration(i) * 7 * time.Second))
		}
		for i := range 3 {
			add(now.Add(-time.Duration(i+1) * time.Hour))
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// rowID returns an id that is a number, as most venues have them.
func rowID(stream venue.Stream, n int) string {
	return fmt.Sprintf("%d%05d", 1000+len(stream)*7+int(stream[0]), n)
}

// amountOf returns an amount with the sign that rows of a stream can have.
func amountOf(stream venue.Stream, n int) string {
	switch {
	case stream == venue.Withdrawals, stream != venue.Deposits && stream != venue.Trades && n%2 == 1:
		return fmt.Sprintf("-%d.25", n)
	}
	return fmt.Sprintf("%d.5", n)
}

// book keeps rows as the ledger does: one for each stream and key.
type book map[venue.Stream]map[string]venue.Movement

// follow reads streams until all is covered, with a restart after each page and a
// crash before every fifth commit.
func (s *stage) follow(t *testing.T, rows book, kept map[venue.Stream]venue.Progress) error {
	t.Helper()
	for _, h := range s.histories() {
		if rows[h.Stream] == nil {
			rows[h.Stream] = map[string]venue.Movement{}
		}
		p := h.Begin(kept[h.Stream], s.session.Now())
		for step := 1; ; step++ {
			require.Less(t, step, 5000, "reading %s does not end", h.Stream)
			batch, err := h.Step(t.Context(), s.account.(venue.Historian), p, s.Codes)
			if err != nil {
				s.clean(t, err)
				if !s.waited(t, err) {
					kept[h.Stream] = p
					return err
				}
				continue
			}
			if step%5 == 0 {
				continue // the daemon was killed before the commit
			}
			for _, r := range p.Covered {
				require.Empty(t, batch.Progress.Covered.Gaps(r), "what was covered is no more")
			}
			for _, m := range batch.Movements {
				rows[h.Stream][m.Key()] = m
			}
			p = restart(t, batch.Progress)
			kept[h.Stream] = p
			if batch.Done {
				break
			}
		}
	}
	return nil
}

// restart returns progress as it comes back from where it was kept.
func restart(t *testing.T, p venue.Progress) venue.Progress {
	t.Helper()
	text, err := json.Marshal(p)
	require.NoError(t, err)
	var back venue.Progress
	require.NoError(t, json.Unmarshal(text, &back))
	return back
}

// waited waits as an error asks, and reports whether it is worth asking again.
func (s *stage) waited(t *testing.T, err error) bool {
	t.Helper()
	e, ok := errors.AsType[*venue.Error](err)
	if !ok || !e.Reason.Waits() || e.Reason == venue.Vanished {
		return false
	}
	wait := time.Minute
	if !e.Until.IsZero() {
		wait = time.Until(e.Until)
		require.Less(t, wait, 80*time.Hour)
	}
	<-time.After(max(wait, 0))
	return true
}

// clean checks that an error tells no secret.
func (s *stage) clean(t *testing.T, err error) {
	t.Helper()
	for _, field := range s.Venue.Hint() {
		if value := s.Login[field.Name]; value != "" && field.Name != venue.FieldRegion {
			require.NotContains(t, err.Error(), value, "an error tells %s", field.Name)
			require.NotContains(t, fmt.Sprintf("%+v %#v", err, err), value)
		}
	}
	require.NotContains(t, strings.ToLower(err.Error()), "signature=")
}

// complete checks that the book has each row of the world once.
func (s *stage) complete(t *testing.T, rows book) {
	t.Helper()
	for _, h := range s.histories() {
		happened := s.world.Rows(h.Stream)
		found := map[string]int{}
		for _, m := range rows[h.Stream] {
			if s.Match == nil {
				found[m.ID]++
			}
		}
		for _, row := range happened {
			if s.Match != nil {
				for _, m := range rows[h.Stream] {
					if s.Match(row, m) {
						found[row.ID]++
					}
				}
			}
			if found[row.ID] != 1 {
				t.Fatalf("%s %s of %s is there %d times", h.Stream, row.ID, row.At, found[row.ID])
			}
		}
		require.Len(t, rows[h.Stream], len(happened), "%s has rows that never happened", h.Stream)
		times := map[int64]bool{}
		for _, row := range happened {
			times[row.At.Unix()] = true
		}
		for _, m := range rows[h.Stream] {
			if !times[m.Time.Unix()] {
				t.Fatalf("%s %s is of %s, when nothing happened", h.Stream, m.ID, m.Time)
			}
		}
	}
}

// ends reads all streams and checks that the book is complete, and that all is
// covered from the beginning to when the reading began.
func (s *stage) ends(t *testing.T) {
	t.Helper()
	rows, kept, began := book{}, map[venue.Stream]venue.Progress{}, time.Now().Add(-time.Hour)
	require.NoError(t, s.follow(t, rows, kept))
	s.complete(t, rows)
	for _, h := range s.histories() {
		from := h.Since
		if h.Depth > 0 {
			from = latest(from, began.Add(2*time.Hour-h.Depth)) // its edge has moved meanwhile
		}
		require.Empty(t, kept[h.Stream].Covered.Gaps(venue.Range{From: from, To: began}), "%s is not covered", h.Stream)
	}
}

// balances reads balances, waiting where that is all it takes.
func (s *stage) balances(t *testing.T) (venue.Balances, error) {
	t.Helper()
	for range 20 {
		balances, err := s.account.Balances(t.Context())
		if err == nil {
			return balances, nil
		}
		s.clean(t, err)
		if !s.waited(t, err) {
			return venue.Balances{}, err
		}
	}
	return venue.Balances{}, errors.New("balances were never read")
}

// manyReads asks for balances from several goroutines.
func (s *stage) manyReads(ctx context.Context, n int) []error {
	failures := make([]error, n)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() { _, failures[i] = s.account.Balances(ctx) })
	}
	all.Wait()
	return failures
}
