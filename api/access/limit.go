package access

import (
	"context"
	"sync"
	"time"
)

const (
	// maxCounted bounds the memory of a Local: about eight megabytes.
	maxCounted = 1 << 16

	// examined is how many names are looked at for each new one. Two would keep
	// the table small; more find a better one to forget when it is full.
	examined = 8
)

// Local counts requests in this process, by the generic cell rate algorithm
// (GCRA, ATM Forum Traffic Management 4.0, §4.4.2): a whole minute's budget may
// come at once, and then one request in each minute/budget. It needs no
// goroutine. It is safe for concurrent use.
//
// It remembers at most 65,536 names. When more than that have used some of their
// budget, a new name takes the place of the one of a few that has used least: who
// uses most is remembered, and nobody is shut out.
type Local struct {
	now func() time.Time

	mu   sync.Mutex
	full map[string]time.Time // when the whole budget of a name is there again; guarded by mu
}

var _ Limiter = (*Local)(nil)

// NewLocal returns a limiter that nobody has used yet. now is the clock, time.Now
// if nil.
func NewLocal(now func() time.Time) *Local {
	if now == nil {
		now = time.Now
	}
	return &Local{now: now, full: map[string]time.Time{}}
}

// Take implements Limiter. A budget below one allows nothing.
func (l *Local) Take(_ context.Context, name string, perMinute int) Budget {
	if perMinute < 1 {
		return Budget{Retry: time.Minute, Reset: time.Minute}
	}
	// Shares of a minute are whole nanoseconds.
	perMinute = min(perMinute, MaxPerMinute)
	now := l.now()
	each := time.Minute / time.Duration(perMinute)
	whole := each * time.Duration(perMinute)

	l.mu.Lock()
	defer l.mu.Unlock()
	full, known := l.full[name]
	if full.Before(now) {
		full = now
	}
	after := full.Add(each).Sub(now)
	if after > whole {
		return Budget{Limit: perMinute, Reset: full.Sub(now), Retry: after - whole}
	}
	if !known {
		l.makeRoom(now)
	}
	l.full[name] = now.Add(after)
	return Budget{Allowed: true, Limit: perMinute, Remaining: int((whole - after) / each), Reset: after}
}

// GiveBack undoes a Take that was allowed here and refused elsewhere.
func (l *Local) GiveBack(name string, perMinute int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if full, known := l.full[name]; known && perMinute > 0 {
		l.full[name] = full.Add(-time.Minute / time.Duration(min(perMinute, MaxPerMinute)))
	}
}

// makeRoom forgets, of a few names, those whose budget is whole again. If the
// table stays full it forgets the one of them that has used least. The caller
// holds mu.
func (l *Local) makeRoom(now time.Time) {
	var least string
	var soonest time.Time
	seen := 0
	// A map is walked from a random place on, which makes the few a sample.
	for name, full := range l.full {
		if !full.After(now) {
			delete(l.full, name)
		} else if soonest.IsZero() || full.Before(soonest) {
			least, soonest = name, full
		}
		if seen++; seen == examined {
			break
		}
	}
	if len(l.full) >= maxCounted {
		delete(l.full, least)
	}
}
