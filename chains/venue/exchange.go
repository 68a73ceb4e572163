package venue

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// maxAnswer bounds an answer. A thousand rows of a history are a few hundred
// thousand bytes.
const maxAnswer = 16 << 20

// exchange signs a request, sends it, and judges the answer.
func (s *Session) exchange(ctx context.Context, route Route, r Request, nonce uint64) (Answer, error) {
	origin := s.origins[r.Host]
	if origin == nil {
		return Answer{}, fmt.Errorf("host %.40q of %s in region %s: %w", r.Host, s.venue.Name, s.region.Name, ErrNotAllowed)
	}
	r.Header = r.Header.Clone()
	if r.Header == nil {
		r.Header = http.Header{}
	}
	r.Authority = origin.Host
	if !r.Public {
		if err := s.dialect.Sign(&r, s.stamp(nonce)); err != nil {
			return Answer{}, fmt.Errorf("sign a request to %s: %w", s.venue.Name, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, s.transport.timeout)
	defer cancel()
	target := &url.URL{Scheme: origin.Scheme, Host: origin.Host, Path: origin.Path + r.Path, RawQuery: r.Query}
	request, err := http.NewRequestWithContext(ctx, r.Method, target.String(), strings.NewReader(r.Body))
	if err != nil {
		return Answer{}, fmt.Errorf("build a request to %s: %w", s.venue.Name, withoutURL(err))
	}
	request.Header = r.Header
	request.Header.Set("User-Agent", s.transport.agent)
	request.Header.Set("Accept", "application/json")
	asked := time.Now()
	answer, err := s.send(request)
	answer.Path = r.Path
	if err != nil {
		return Answer{}, s.broken(err)
	}
	far := s.clock.see(answer.Header, asked, time.Now())
	s.measured(ctx, route, answer)
	if err := s.judge(answer); err != nil {
		return Answer{}, s.settle(ctx, route, answer, err, far)
	}
	s.transport.forgive(s.budgetKey(route))
	s.transport.forgive(s.addressKey())
	return answer, nil
}

// send returns the whole answer to a request.
func (s *Session) send(request *http.Request) (Answer, error) {
	response, err := s.transport.http.Do(request)
	if err != nil {
		return Answer{}, withoutURL(err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer+1))
	if err != nil {
		return Answer{}, fmt.Errorf("read the answer: %w", err)
	}
	if len(body) > maxAnswer {
		return Answer{}, &Error{Reason: Unreadable, Detail: fmt.Sprintf("an answer of more than %d bytes", maxAnswer)}
	}
	return Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// broken returns the error of a request that got no answer.
func (s *Session) broken(err error) error {
	if e, ok := errors.AsType[*Error](err); ok {
		return s.named(e)
	}
	e := &Error{Reason: Unreachable, Detail: err.Error()}
	var noName *net.DNSError
	switch {
	case errors.As(err, &noName):
		e.Detail = "its name cannot be resolved"
		if noName.IsNotFound {
			e.Reason = Vanished
		}
	case errors.Is(err, context.DeadlineExceeded):
		e.Detail = "no answer in time"
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		e.Detail = "the answer ended in its middle"
	}
	return s.named(e)
}

// judge returns what an answer says against the request, or nil.
func (s *Session) judge(a Answer) error {
	if isPage(a) {
		if a.Status == http.StatusOK || a.Header.Get("Cf-Ray") != "" || a.Header.Get("Cf-Mitigated") != "" || a.Status < 500 {
			return &Error{Reason: Blocked, Detail: "a web page in place of an answer"}
		}
		return &Error{Reason: Maintenance, Detail: "a web page in place of an answer"}
	}
	if !json.Valid(a.Body) {
		if e := byStatus(a.Status); e != nil {
			if a.Status == http.StatusForbidden {
				e.Reason = Blocked // the words of what stands before the venue
			}
			e.Detail = string(bytes.TrimSpace(a.Body[:min(len(a.Body), maxDetail)]))
			return e
		}
		return &Error{Reason: Unreadable, Detail: "the answer is no JSON, or ends in its middle"}
	}
	if err := s.dialect.Fault(a); err != nil {
		return err
	}
	if e := byStatus(a.Status); e != nil {
		e.Detail = string(bytes.TrimSpace(a.Body[:min(len(a.Body), maxDetail)]))
		return e
	}
	return nil
}

// byStatus returns what a status means where the venue's own words do not say.
func byStatus(status int) *Error {
	switch {
	case status >= 200 && status < 300:
		return nil
	case status == http.StatusUnauthorized:
		return &Error{Reason: KeyRefused}
	case status == http.StatusTeapot:
		return &Error{Reason: Banned}
	case status == http.StatusTooManyRequests:
		return &Error{Reason: RateLimited}
	case status == http.StatusUnavailableForLegalReasons:
		return &Error{Reason: RegionRefused}
	case status == http.StatusServiceUnavailable:
		return &Error{Reason: Maintenance}
	case status >= 500:
		return &Error{Reason: Unreachable}
	}
	return &Error{Reason: Refused}
}

// settle completes the error of an answer, and makes all who share what was
// exceeded wait.
func (s *Session) settle(ctx context.Context, route Route, a Answer, err error, far bool) error {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		e = &Error{Reason: Unreadable, Cause: err}
	}
	e.Status = a.Status
	if far && (e.Reason == KeyRefused || e.Reason == Refused) {
		// Some venues do not tell a wrong time from a wrong signature. The clock
		// was far off when this was signed, and is not any more.
		e.Reason = ClockSkew
	}
	key := s.budgetKey(route)
	var backoff func(strikes int) time.Duration
	switch e.Reason {
	case RateLimited:
		backoff = func(n int) time.Duration { return min(time.Second<<n, time.Minute) }
	case Banned:
		key, backoff = s.addressKey(), func(n int) time.Duration { return min(2*time.Minute<<n, 72*time.Hour) }
	case Blocked:
		key, backoff = s.addressKey(), func(n int) time.Duration { return min(30*time.Second<<n, 30*time.Minute) }
	default:
		return s.named(e)
	}
	strikes := s.transport.strike(key)
	if e.Until.IsZero() {
		e.Until = retryAfter(a.Header, time.Now())
	}
	if e.Until.IsZero() {
		wait := backoff(strikes)
		// A part of the wait is chance, so that not all come back at once.
		e.Until = time.Now().Add(wait + rand.N(wait/4+1))
	}
	if err := s.transport.budgets.Hold(ctx, key, e.Until); err != nil {
		return fmt.Errorf("hold a budget of %s: %w", s.venue.Name, err)
	}
	return s.named(e)
}

// named puts the name of the venue on an error, and takes credentials off.
func (s *Session) named(e *Error) error {
	e.Venue = s.venue.Name
	e.Detail, e.Code = s.credentials.cleaned(e.Detail), s.credentials.cleaned(e.Code)
	return e
}

// isPage reports whether an answer is a web page.
func isPage(a Answer) bool {
	return strings.HasPrefix(strings.ToLower(a.Header.Get("Content-Type")), "text/html") || bytes.HasPrefix(bytes.TrimSpace(a.Body), []byte("<"))
}

// withoutURL returns the cause inside an error of net/http, whose own text
// repeats the URL, signature and all.
func withoutURL(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}
