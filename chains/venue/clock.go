package venue

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// tolerance is how far the Date of an answer may be from our clock before it is
// taken for the better one. Dates have whole seconds, and venues forgive one.
const tolerance = 2 * time.Second

// clock is what is known of the time at one host.
type clock struct {
	mu     sync.Mutex
	offset time.Duration // the venue's clock less ours
	known  bool          // by the venue's own answer to the question, rather than by a Date
}

func (c *clock) now() time.Time { return time.Now().Add(c.skew()) }

func (c *clock) skew() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.offset
}

// set records that it was t at the venue in the middle of a question.
func (c *clock) set(t, asked, answered time.Time, exact bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset, c.known = t.Sub(asked.Add(answered.Sub(asked)/2)), exact
}

// see looks at the Date of an answer. It reports whether that is so far from what
// we take for the venue's time that it should be asked for it. An answer from a
// cache has an old Date, and says nothing.
func (c *clock) see(h http.Header, asked, answered time.Time) (far bool) {
	date, err := http.ParseTime(h.Get("Date"))
	if err != nil || h.Get("Age") != "" && h.Get("Age") != "0" {
		return false
	}
	// The Date was cut to whole seconds: half of one is the best guess.
	offset := date.Add(time.Second / 2).Sub(asked.Add(answered.Sub(asked) / 2))
	c.mu.Lock()
	defer c.mu.Unlock()
	if (offset - c.offset).Abs() <= tolerance+answered.Sub(asked) {
		return false
	}
	c.offset, c.known = offset, false
	return true
}

// retryAfter returns the time until which an answer asks to wait, zero if it does
// not say. 0 is what some venues send always, and says nothing either.
func retryAfter(h http.Header, now time.Time) time.Time {
	text := h.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil {
		if seconds <= 0 {
			return time.Time{}
		}
		return now.Add(time.Duration(min(seconds, 7*24*3600)) * time.Second)
	}
	if at, err := http.ParseTime(text); err == nil && at.After(now) {
		return at
	}
	return time.Time{}
}
