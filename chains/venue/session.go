package venue

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"time"
)

// Dialect is how one venue signs and how it says no. It belongs to one login.
type Dialect interface {
	// Sign adds to a request what shows whose it is. It is called for each
	// attempt on a fresh copy. Its error never repeats a credential.
	Sign(r *Request, s Stamp) error

	// Fault returns what an answer says against the request, as *Error, or
	// nil. It is given whole JSON documents of any status; what it does not
	// know is judged by the status.
	Fault(a Answer) error
}

// Meter is a Dialect whose venue says in headers how much of a budget is used. A
// Usage that names no budget is of the one that the request was taken from.
type Meter interface {
	Measure(a Answer) []Usage
}

// Request is one question, in the bytes that are signed and sent.
type Request struct {
	Method string
	Host   string // by its name in the region
	Path   string
	Query  string // encoded, without its question mark
	Body   string
	Header http.Header
	Public bool // sent without a signature

	// Authority is the host that the request goes to, for venues that sign it.
	// The session sets it.
	Authority string
}

// Target returns path and query as they are sent.
func (r Request) Target() string {
	if r.Query == "" {
		return r.Path
	}
	return r.Path + "?" + r.Query
}

// Stamp is what makes two requests differ.
type Stamp struct {
	Time   time.Time // by the venue's clock
	Nonce  uint64    // above all that were sent with the key; 0 where the venue wants none
	Random [16]byte  // never the same
}

// Answer is what a venue said.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	Path   string // of the request
}

// Said reads what an answer says of how the question went, for a Dialect. It is
// false where the answer has another form: a list, or words.
func Said[T any](a Answer) (T, bool) {
	var said T
	err := Decode(a.Body, &said)
	return said, err == nil
}

// Session is an open login. It is safe for concurrent use.
type Session struct {
	transport   *Transport
	venue       Venue
	region      Region
	origins     map[string]*url.URL
	credentials Credentials
	dialect     Dialect
	digest      string
	clock       *clock
}

// Account returns the account of the session, which asks through it.
func (s *Session) Account() Account { return s.venue.Account(s) }

// Venue returns what the venue is.
func (s *Session) Venue() Venue { return s.venue }

// Region returns where the login belongs.
func (s *Session) Region() Region { return s.region }

// Has reports whether the region of the login has a host of a name.
func (s *Session) Has(host string) bool { return s.origins[host] != nil }

// Credentials returns what the login is made of.
func (s *Session) Credentials() Credentials { return s.credentials }

// Now returns the time at the venue, as far as it is known.
func (s *Session) Now() time.Time { return s.clock.now() }

// Skew returns how far the venue's clock is ahead of ours. It is shown with the
// state of the venue: far from 0, it is our clock that is wrong.
func (s *Session) Skew() time.Duration { return s.clock.skew() }

// attempts bounds how often one request is sent. All of them only read, so that
// sending one twice is sending it once.
const attempts = 3

// Ask sends a request, again where that can help, and returns the answer. Every
// error is an *Error, ErrNotAllowed, or the end of ctx.
func (s *Session) Ask(ctx context.Context, r Request) (Answer, error) {
	route, err := s.venue.route(r)
	if err != nil {
		return Answer{}, err
	}
	measured := false
	for attempt := 1; ; attempt++ {
		answer, err := s.attempt(ctx, route, r)
		if err == nil {
			return answer, nil
		}
		if ctx.Err() != nil {
			return Answer{}, context.Cause(ctx)
		}
		if attempt == attempts {
			return Answer{}, err
		}
		switch ReasonOf(err) {
		case ClockSkew:
			if measured || !s.measure(ctx) {
				return Answer{}, err
			}
			measured = true
		case RateLimited:
			// The next attempt waits for the end of the hold.
			if e, ok := errors.AsType[*Error](err); ok && time.Until(e.Until) > s.transport.patience {
				return Answer{}, err
			}
		case Unreachable, Unreadable:
			if pause(ctx, retryFirst<<attempt) != nil {
				return Answer{}, context.Cause(ctx)
			}
		default:
			return Answer{}, err
		}
	}
}

// Read asks and decodes the whole answer.
func Read[T any](ctx context.Context, s *Session, r Request) (T, error) {
	var into T
	answer, err := s.Ask(ctx, r)
	if err != nil {
		return into, err
	}
	if err := Decode(answer.Body, &into); err != nil {
		return into, s.named(&Error{Reason: Unreadable, Status: answer.Status, Detail: r.Path, Cause: err})
	}
	return into, nil
}

// retryFirst is half the wait before a request is sent again after no answer.
const retryFirst = 125 * time.Millisecond

// attempt sends a request once, when its budget and its turn have come.
func (s *Session) attempt(ctx context.Context, route Route, r Request) (Answer, error) {
	if err := s.spend(ctx, route); err != nil {
		return Answer{}, err
	}
	if !s.venue.Nonces || r.Public {
		return s.exchange(ctx, route, r, 0)
	}
	var answer Answer
	var failure error
	err := s.transport.nonces.Next(ctx, s.digest, uint64(max(0, s.Now().UnixMilli())), func(nonce uint64) error {
		answer, failure = s.exchange(ctx, route, r, nonce)
		return failure
	})
	if failure == nil && err != nil {
		return Answer{}, s.named(&Error{Reason: NonceRefused, Detail: "no number could be had for the request", Cause: err})
	}
	return answer, failure
}

// measure asks the venue for its time. It reports whether the clock is now known
// better than it was.
func (s *Session) measure(ctx context.Context) bool {
	if s.venue.Clock == nil {
		// The Date of the refusal has been looked at, and that is all there is.
		return true
	}
	r := Request{Method: http.MethodGet, Path: s.venue.Clock.Path, Public: true}
	route, err := s.venue.route(r)
	if err != nil {
		return false
	}
	asked := time.Now()
	answer, err := s.attempt(ctx, route, r)
	if err != nil {
		return false
	}
	t, err := s.venue.Clock.Read(answer.Body)
	if err != nil || t.IsZero() {
		return false
	}
	s.clock.set(t, asked, time.Now(), true)
	return true
}

// stamp returns what makes this attempt differ from all others.
func (s *Session) stamp(nonce uint64) Stamp {
	stamp := Stamp{Time: s.Now(), Nonce: nonce}
	_, _ = rand.Read(stamp.Random[:]) // never fails
	return stamp
}

// pause waits, or returns the cause of the context's end.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
