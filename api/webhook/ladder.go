package webhook

import (
	"net/http"
	"strconv"
	"time"
)

// ladder returns how long a delivery waits after its first failed attempt, its
// second, and so on: with the first attempt eleven within a little more than
// three days.
func ladder() []time.Duration {
	return []time.Duration{
		5 * time.Second, 30 * time.Second, 5 * time.Minute, 30 * time.Minute, 2 * time.Hour,
		5 * time.Hour, 10 * time.Hour, 14 * time.Hour, 20 * time.Hour, 24 * time.Hour,
	}
}

// jitter is how far a wait may be off its rung, to either side, so that what
// failed together does not come back together.
const jitter = 0.2

// pause returns how long to wait after the failed attempt number failures, and
// false if no attempt is left. random is in [0, 1). What the endpoint asks for
// counts between the rung and twice the rung.
func pause(failures int, asked time.Duration, random float64) (time.Duration, bool) {
	rungs := ladder()
	if failures > len(rungs) {
		return 0, false
	}
	rung := rungs[failures-1]
	if asked > 0 {
		return min(max(asked, rung), 2*rung), true
	}
	return time.Duration(float64(rung) * (1 - jitter + 2*jitter*random)), true
}

// retryAfter returns what an answer's Retry-After asks for (RFC 9110, section
// 10.2.3), 0 if nothing.
func retryAfter(h http.Header, now time.Time) time.Duration {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
