package webhook

import "time"

const (
	// trip is after how many failures in a row an endpoint is only probed.
	trip = 5

	firstPause = time.Second
	lastPause  = 30 * time.Second
)

// lane is what one process knows of one endpoint: what is under way to it, and
// whether it takes anything. An endpoint that fails again and again is probed by
// one delivery at a time, with growing pauses, and everything else waits in the
// queue: it costs neither attempts nor time that others need.
type lane struct {
	concurrency int
	flying      int
	streak      int           // failures since the last success
	rest        time.Duration // between the probes
	until       time.Time     // no probe before
}

// free returns how many deliveries may begin now.
func (l *lane) free(now time.Time) int {
	if l.streak < trip {
		return max(l.concurrency-l.flying, 0)
	}
	if l.flying > 0 || now.Before(l.until) {
		return 0
	}
	return 1
}

// full reports whether nothing could begin although deliveries may wait.
func (l *lane) full() bool { return l.streak >= trip || l.flying >= l.concurrency }

// idle reports whether there is nothing to remember.
func (l *lane) idle() bool { return l.flying == 0 && l.streak == 0 }

// verdict is what an attempt says of its endpoint.
type verdict int

const (
	unknown verdict = iota // it was not begun, or cut off by us
	taken
	refused
)

// ended takes note of the end of an attempt.
func (l *lane) ended(v verdict, now time.Time) {
	l.flying--
	switch v {
	case taken:
		l.streak, l.rest = 0, 0
	case refused:
		// Those that were under way when it tripped do not lengthen the pause.
		if l.streak++; l.streak >= trip && !now.Before(l.until) {
			l.rest = min(max(2*l.rest, firstPause), lastPause)
			l.until = now.Add(l.rest)
		}
	case unknown:
	}
}
