package webhook

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/indexer"
)

// shelf is an Outbox of one delivery, in memory and by this process's clock.
type shelf struct {
	mu       sync.Mutex
	due      time.Time
	claimed  Claimed
	leased   bool
	done     State
	marks    []string
	disabled bool
	faults   int // of Complete, to come
}

func (s *shelf) FanOut(context.Context, int) (int, error) { return 0, nil }

func (s *shelf) Claim(_ context.Context, _ uuid.UUID, _ time.Duration, rooms map[uuid.UUID]Room, _ int) ([]Claimed, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	room, busy := rooms[s.claimed.Endpoint]
	if s.leased || s.done != "" || s.disabled || time.Now().Before(s.due) || busy && room.Free == 0 {
		return nil, nil
	}
	s.leased = true
	s.claimed.Attempt++
	return []Claimed{s.claimed}, nil
}

func (s *shelf) Complete(_ context.Context, _ uuid.UUID, outcomes []Outcome) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.faults > 0 {
		s.faults--
		return 0, errors.New("the database is away")
	}
	for _, o := range outcomes {
		s.leased = false
		s.claimed.Rung, s.due = o.Rung, time.Now().Add(o.Wait)
		if o.State != Waiting {
			s.done = o.State
		}
	}
	return len(outcomes), nil
}

func (s *shelf) Mark(_ context.Context, heard []Heard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, h := range heard {
		s.marks = append(s.marks, h.Error)
		s.claimed.Failing = h.Error != ""
	}
	return nil
}

func (s *shelf) Disable(context.Context, []Heard) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.disabled = true
	return nil
}

func (s *shelf) Secrets(context.Context, uuid.UUID) ([]Secret, int64, error) {
	return []Secret{{Key: []byte("key")}}, 1, nil
}
func (s *shelf) Beat(context.Context, uuid.UUID, time.Duration) (int, error) { return 0, nil }
func (s *shelf) Leave(context.Context, uuid.UUID) error                      { return nil }
func (s *shelf) Upkeep(context.Context, time.Duration) error                 { return nil }

// answers is a transport without a network: one status after the other, the last
// for ever.
type answers struct {
	mu    sync.Mutex
	codes []int
	times []time.Time
}

func (a *answers) RoundTrip(*http.Request) (*http.Response, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.times = append(a.times, time.Now())
	code := a.codes[0]
	if len(a.codes) > 1 {
		a.codes = a.codes[1:]
	}
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Proto: "HTTP/1.1"}, nil
}

// climb runs a dispatcher for a time, on a clock of its own, and returns when it
// made its attempts, from the first one on.
func climb(t *testing.T, s *shelf, a *answers, span time.Duration) []time.Duration {
	t.Helper()
	s.claimed = Claimed{Endpoint: uuid.New(), URL: "http://receiver.example/", Concurrency: 1, Event: indexer.Event{Seq: 1, ID: uuid.New()}}
	ctx, cancel := context.WithTimeout(t.Context(), span)
	defer cancel()
	err := New(Config{Outbox: s, Client: &http.Client{Transport: a}, Owner: uuid.New(), Poll: 2 * time.Second, Log: zerolog.Nop()}).Run(ctx)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	var at []time.Duration
	for _, one := range a.times {
		at = append(at, one.Sub(a.times[0]))
	}
	return at
}

// Eleven attempts within a little more than three days, each pause within a fifth
// of its rung, and then no more.
func TestLadder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, a := &shelf{}, &answers{codes: []int{http.StatusInternalServerError}}
		at := climb(t, s, a, 95*time.Hour)
		rungs := []time.Duration{
			5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
			5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
		}
		require.Len(t, at, len(rungs)+1)
		for i, rung := range rungs {
			pause := at[i+1] - at[i]
			require.GreaterOrEqual(t, pause, rung*8/10, "rung %d", i)
			// A probe may have to wait for the breaker, and the loop for its tick.
			require.LessOrEqual(t, pause, rung*12/10+lastPause+2*time.Second, "rung %d", i)
		}
		require.Equal(t, Failed, s.done)
		require.Equal(t, []string{"answered 500"}, s.marks, "marked once")
	})
}

func TestLadderEndsWithSuccess(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		bad := slices.Repeat([]int{http.StatusBadRequest}, 5)
		s, a := &shelf{}, &answers{codes: append(bad, http.StatusAccepted)}
		require.Len(t, climb(t, s, a, 9*time.Hour), 6)
		require.Equal(t, Delivered, s.done)
		require.Equal(t, []string{"answered 400", ""}, s.marks, "marked, and well again")
	})
}

// An outcome that the database does not take is offered again, and the delivery
// is not made again for it.
func TestOutcomesWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, a := &shelf{faults: 20}, &answers{codes: []int{http.StatusNoContent}}
		require.Len(t, climb(t, s, a, time.Minute), 1)
		require.Equal(t, Delivered, s.done)
		require.Zero(t, s.faults)
	})
}

func TestRetryAfterForms(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-5": 0, "soon": 0, "99999999999999999999": 0,
		"Mon, 23 Nov 2026 12:01:00 GMT": time.Minute, "Mon, 23 Nov 2026 11:00:00 GMT": 0,
	} {
		require.Equal(t, want, retryAfter(http.Header{"Retry-After": {text}}, now), text)
	}
}

func TestPauseIsBounded(t *testing.T) {
	t.Parallel()
	for failures, rung := range ladder() {
		for _, random := range []float64{0, 0.5, 0.999} {
			wait, left := pause(failures+1, 0, random)
			require.True(t, left)
			require.InDelta(t, rung.Seconds(), wait.Seconds(), rung.Seconds()*0.2)
		}
		for asked, want := range map[time.Duration]time.Duration{1: rung, rung + 1: rung + 1, 1000 * time.Hour: 2 * rung} {
			wait, left := pause(failures+1, asked, 0)
			require.True(t, left)
			require.Equal(t, want, wait)
		}
	}
	_, left := pause(len(ladder())+1, 0, 0)
	require.False(t, left)
}

// A lane probes an endpoint that fails, one at a time and with growing pauses.
func TestLane(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := Claimed{URL: "https://receiver.example", Concurrency: 8}
	l := newLane(c)
	for range 8 {
		l.began(c, now)
	}
	require.Zero(t, l.free(now))
	for range 8 {
		l.ended(c.Version, refused, time.Second, now)
	}
	require.Equal(t, firstPause, l.rest, "eight that were under way together are one reason to wait")
	require.Zero(t, l.free(now))
	for _, seconds := range []int{2, 4, 8, 16, 30, 30} {
		now = now.Add(l.rest)
		require.Equal(t, 1, l.free(now))
		l.began(c, now)
		require.Zero(t, l.free(now), "one at a time")
		l.ended(c.Version, refused, time.Second, now)
		require.Equal(t, time.Duration(seconds)*time.Second, l.rest)
	}
	l.began(c, now)
	l.ended(c.Version, unknown, time.Second, now)
	require.Zero(t, l.free(now), "what we cut off ourselves says nothing")
	l.began(c, now)
	l.ended(c.Version, taken, time.Second, now)
	require.Equal(t, 8, l.free(now))
	require.False(t, l.idle(now))
	require.True(t, l.idle(now.Add(forgetTime)))
}

// What other processes have written down of an endpoint holds from the beginning,
// and what was said before its owner changed it does not.
func TestLaneBegins(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_800_000_000, 0)
	c := Claimed{Version: 1, Concurrency: 64, Failing: true}
	l := newLane(c)
	require.Equal(t, 1, l.free(now), "an endpoint that fails is probed")
	l.began(c, now)
	c.Version, c.Failing = 2, false
	l.began(c, now)
	require.Equal(t, FirstConcurrency-2, l.free(now), "nothing is known of the new one")
	l.ended(1, refused, time.Minute, now)
	require.Equal(t, FirstConcurrency-1, l.free(now))
	require.False(t, l.slow(now))
	l.ended(2, taken, time.Millisecond, now)
	require.Equal(t, 64, l.free(now))
	l.began(c, now)
	require.True(t, l.slow(now.Add(slowTime)), "it says nothing")
	l.ended(2, taken, 8*slowTime, now.Add(slowTime))
	require.True(t, l.slow(now.Add(slowTime)), "it takes its time")
}

// Slow endpoints share half of what may be under way.
func TestSlowLanesShare(t *testing.T) {
	t.Parallel()
	d := New(Config{Flying: 100})
	slow := []Claimed{{Endpoint: uuid.New(), Concurrency: 256}, {Endpoint: uuid.New(), Concurrency: 256}}
	quick := Claimed{Endpoint: uuid.New(), Concurrency: 256}
	for _, c := range append(slow, quick) {
		took := time.Millisecond
		if c.Endpoint != quick.Endpoint {
			took = 2 * slowTime
		}
		d.end(c, d.begin(c), taken, took)
	}
	for range 20 {
		d.begin(slow[0])
	}
	rooms, left := d.rooms()
	require.Equal(t, map[uuid.UUID]Room{
		slow[0].Endpoint: {Free: 15, Flying: 20}, slow[1].Endpoint: {Free: 15}, quick.Endpoint: {Free: 256},
	}, rooms)
	require.Equal(t, 80, left)
	for range 40 {
		d.begin(slow[1])
	}
	rooms, left = d.rooms()
	require.Equal(t, map[uuid.UUID]Room{
		slow[0].Endpoint: {Flying: 20}, slow[1].Endpoint: {Flying: 40}, quick.Endpoint: {Free: 256},
	}, rooms)
	require.Equal(t, 40, left)
}
