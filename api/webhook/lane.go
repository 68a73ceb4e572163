package webhook

import "time"

const (
	// trip is after how many failures in a row an endpoint is only probed.
	trip = 5

	firstPause = time.Second
	lastPause  = 30 * time.Second

	// An endpoint that takes slowTime for an answer, or has said nothing for so
	// long, is slow: see Dispatcher.rooms.
	slowTime = 2 * time.Second

	// forgetTime is after how long without an attempt nothing is known of an
	// endpoint any more.
	forgetTime = 10 * time.Minute
)

// lane is what one process knows of one endpoint in one version: what is under way
// to it, whether it takes anything, and how soon. An endpoint that fails again and
// again is probed by one delivery at a time, with growing pauses, and everything
// else waits in the queue: it costs neither attempts nor time that others need.
type lane struct {
	version     int64
	concurrency int
	flying      int
	streak      int           // failures since the last success
	rest        time.Duration // between the probes
	until       time.Time     // no probe before
	known       bool          // an attempt has ended
	took        time.Duration // by an attempt, of late
	heard       time.Time     // when an attempt last ended, or began while none was under way
}

// newLane returns the lane of an endpoint of which this process knows only what the
// others have written down.
func newLane(c Claimed) *lane {
	l := &lane{version: c.Version}
	if c.Failing {
		l.streak = trip
	}
	return l
}

// began takes note of the beginning of an attempt.
func (l *lane) began(c Claimed, now time.Time) {
	if l.flying == 0 {
		l.heard = now
	}
	if c.Version > l.version {
		// It has another URL, or its owner says that it is well again: what it
		// was like says nothing.
		anew := newLane(c)
		anew.flying, anew.heard = l.flying, l.heard
		*l = *anew
	}
	l.concurrency = c.Concurrency
	l.flying++
}

// free returns how many deliveries may begin now.
func (l *lane) free(now time.Time) int {
	if l.streak < trip {
		room := l.concurrency
		if !l.known {
			room = min(room, FirstConcurrency)
		}
		return max(room-l.flying, 0)
	}
	if l.flying > 0 || now.Before(l.until) {
		return 0
	}
	return 1
}

// full reports whether nothing could begin although deliveries may wait.
func (l *lane) full() bool {
	return l.streak >= trip || l.flying >= l.concurrency || !l.known && l.flying >= FirstConcurrency
}

// slow reports whether what begins here does not end soon.
func (l *lane) slow(now time.Time) bool {
	return l.took >= slowTime || l.flying > 0 && now.Sub(l.heard) >= slowTime
}

// idle reports whether there is nothing to remember.
func (l *lane) idle(now time.Time) bool {
	return l.flying == 0 && now.Sub(l.heard) >= forgetTime
}

// verdict is what an attempt says of its endpoint.
type verdict int

const (
	unknown verdict = iota // it was not begun, or cut off by us
	taken
	refused
)

// ended takes note of the end of an attempt at a version, and of how long it took.
func (l *lane) ended(version int64, v verdict, took time.Duration, now time.Time) {
	l.flying--
	if v == unknown || version < l.version {
		return
	}
	l.heard = now
	if l.known {
		took = (3*l.took + took) / 4
	}
	l.known, l.took = true, took
	if v == taken {
		l.streak, l.rest = 0, 0
		return
	}
	// Those that were under way when it tripped do not lengthen the pause.
	if l.streak++; l.streak >= trip && !now.Before(l.until) {
		l.rest = min(max(2*l.rest, firstPause), lastPause)
		l.until = now.Add(l.rest)
	}
}
