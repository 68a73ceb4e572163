package venue

import (
	"context"
	"sync"
	"time"
)

// Scope says who shares a budget.
type Scope string

// The scopes.
const (
	PerAddress Scope = "address" // all that is sent from one IP address, whoever's key it carries
	PerKey     Scope = "key"     // all that is sent with one key
)

// Budget is what a venue lets be asked: Limit in each Window.
type Budget struct {
	Name   string
	Scope  Scope
	Limit  int
	Window time.Duration

	// Leaks says that the venue's counter falls all the time, by Limit in a
	// Window, rather than to 0 at the end of each: all of Limit may be taken at
	// once, and the next as soon as there is room.
	Leaks bool
}

// Burst returns how much may be taken at once, and how long each unit takes to
// come back, for whoever implements Budgets. Limit and Window are above 0. Where the counter starts anew, half of the limit comes at once and
// the rest over the window, so that no window, wherever it begins, sees more than
// the limit.
func (b Budget) Burst() (int, time.Duration) {
	if b.Leaks {
		return b.Limit, b.Window / time.Duration(b.Limit)
	}
	burst := max(1, b.Limit/2)
	return burst, (b.Window + time.Duration(b.Limit-burst)) / time.Duration(b.Limit-burst+1)
}

// Usage is what a venue itself has counted, from the headers of an answer.
type Usage struct {
	Budget string // by name; "" is that of the route that was asked
	Used   int    // in the window that runs now
	Limit  int    // as the venue says it; 0 if it does not
}

// Budgets counts what is asked of venues, for all who share a limit. Many
// daemons behind one address share one implementation; Local counts in this
// process alone.
//
// All methods are safe for concurrent use.
type Budgets interface {
	// Take takes cost from the budget of key and returns 0, or returns how
	// long to wait before it can be taken, and then nothing was. A budget
	// without a limit waits only while it is held.
	Take(ctx context.Context, key string, b Budget, cost int) (time.Duration, error)

	// Used tells that the venue has counted at least used in the window that
	// runs now. What was taken here is never given back by it.
	Used(ctx context.Context, key string, b Budget, used int) error

	// Hold lets nothing be taken from key before a time. An earlier time than
	// the one that stands changes nothing.
	Hold(ctx context.Context, key string, until time.Time) error
}

// Local counts budgets in this process. Its zero value is ready.
type Local struct {
	mu   sync.Mutex
	held map[string]*tab
}

// tab is what is known of one key. full is when the budget would be whole again if
// nothing more was taken.
type tab struct {
	full  time.Time
	until time.Time
}

// maxTabs bounds the keys that Local remembers; beyond it those that stand for
// nothing any more are forgotten.
const maxTabs = 10_000

// Take implements Budgets.
func (l *Local) Take(_ context.Context, key string, b Budget, cost int) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now, t := time.Now(), l.tab(key)
	if wait := t.until.Sub(now); wait > 0 {
		return wait, nil
	}
	if b.Limit <= 0 || b.Window <= 0 {
		return 0, nil
	}
	burst, each := b.Burst()
	cost = min(cost, b.Limit)
	// What costs more than comes at once waits for a budget that was whole for a
	// while.
	full := later(t.full, now.Add(-2*b.Window))
	if wait := full.Sub(now) + each*time.Duration(cost-burst); wait > 0 {
		return wait, nil
	}
	t.full = later(full, now).Add(each * time.Duration(cost))
	return 0, nil
}

// Used implements Budgets.
func (l *Local) Used(_ context.Context, key string, b Budget, used int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b.Limit <= 0 || used <= 0 {
		return nil
	}
	_, each := b.Burst()
	t := l.tab(key)
	t.full = later(t.full, time.Now().Add(each*time.Duration(min(used, b.Limit))))
	return nil
}

// Hold implements Budgets.
func (l *Local) Hold(_ context.Context, key string, until time.Time) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.tab(key)
	t.until = later(t.until, until)
	return nil
}

func (l *Local) tab(key string) *tab {
	if l.held == nil {
		l.held = map[string]*tab{}
	}
	if t, found := l.held[key]; found {
		return t
	}
	if len(l.held) >= maxTabs {
		now := time.Now()
		for k, t := range l.held {
			if t.full.Before(now) && t.until.Before(now) {
				delete(l.held, k)
			}
		}
	}
	t := &tab{}
	l.held[key] = t
	return t
}
