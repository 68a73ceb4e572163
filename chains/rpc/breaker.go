package rpc

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"time"

	"tallyd/chains"
)

const (
	// faultsToOpen is how many faults in a row make the pool avoid an upstream.
	// One lost request is no reason; a lie is.
	faultsToOpen = 3

	backoffFirst = 250 * time.Millisecond
	backoffMost  = 15 * time.Second

	notAsked = "not asked yet"
)

// breaker remembers how one upstream has been. Its zero value is an upstream
// that nobody has asked yet.
type breaker struct {
	mu       sync.Mutex
	asked    bool
	admitted bool // passed Options.Admit since its last fault other than a lie
	faults   int  // in a row
	lies     int  // recent: an answer that held takes half of them back
	lied     bool // the last fault was a lie
	reason   string
	until    time.Time // avoided before this
}

// fault records that the upstream failed, and reports whether it was well
// before. A lie, a refused login and a refused admission open the breaker at
// once.
func (b *breaker) fault(err error, now time.Time) (wasWell bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	wasWell = b.reason == ""
	b.asked = true
	b.reason = err.Error()
	b.lied = errors.Is(err, chains.ErrUnverified)
	var step int
	if b.lied {
		step = b.lies
		b.lies++
	} else {
		b.admitted = false
		b.faults++
		step = b.faults - 1
		if !isSevere(err) {
			step = b.faults - faultsToOpen
		}
	}
	if step < 0 {
		return wasWell
	}
	wait := min(backoffFirst<<min(step, 10), backoffMost)
	if status, ok := errors.AsType[*retryError](err); ok {
		wait = max(wait, min(status.after, time.Minute))
	}
	// Half of the wait is chance, so that many daemons do not return at once.
	b.until = now.Add(wait/2 + rand.N(wait/2+1))
	return wasWell
}

// success records an answer, and reports whether the upstream was unwell
// before. While the breaker is open an answer changes nothing: a liar that
// answers the next question well stays avoided for its time.
func (b *breaker) success(now time.Time) (recovered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked = true
	if now.Before(b.until) {
		return false
	}
	recovered = b.reason != ""
	b.faults, b.lies, b.lied, b.reason, b.until = 0, b.lies/2, false, "", time.Time{}
	return recovered
}

// usable reports whether the upstream may be asked now, and whether it should be
// asked in its turn rather than when no other is left. One that was out of reach
// waits for Pool.Tend, so that nobody else waits for it; whether a liar has
// bettered itself is seen only in what it answers.
func (b *breaker) usable(now time.Time) (may, inTurn bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return !now.Before(b.until), b.reason == "" || b.lied
}

// wait returns how long the upstream is still avoided; 0 if it may be asked.
func (b *breaker) wait(now time.Time) time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	return max(0, b.until.Sub(now))
}

func (b *breaker) setAdmitted() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.admitted = true
}

func (b *breaker) isAdmitted() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.admitted
}

// state returns whether the upstream is well, and if not, why.
func (b *breaker) state() (ok bool, reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.asked {
		return false, notAsked
	}
	return b.reason == "", b.reason
}

// isSevere reports whether asking again soon cannot help.
func isSevere(err error) bool {
	if errors.Is(err, errRefused) {
		return true
	}
	if _, ok := errors.AsType[*retryError](err); ok {
		return true
	}
	status, ok := errors.AsType[*StatusError](err)
	return ok && (status.Status == 401 || status.Status == 403)
}

// isFault reports whether err says something about the upstream, rather than
// being its answer or the caller's own end.
func isFault(ctx context.Context, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if errors.Is(err, chains.ErrUnverified) {
		return true
	}
	if errors.Is(err, chains.ErrNotFound) || errors.Is(err, chains.ErrUnsupported) {
		return false
	}
	if _, ok := errors.AsType[*chains.RefusalError](err); ok {
		return false
	}
	if e, ok := errors.AsType[*Error](err); ok {
		return isBusy(e.Code)
	}
	if s, ok := errors.AsType[*StatusError](err); ok {
		return !s.isAnswer()
	}
	return true
}

// isBusy reports whether a JSON-RPC code says "not now" rather than "no": -28
// is a Bitcoin Core that is still loading, -32005 the limit of a provider.
func isBusy(code int) bool { return code == -28 || code == -32005 }

func (e *StatusError) isAnswer() bool {
	switch e.Status {
	case 400, 404, 405, 501:
		return true
	}
	return false
}
