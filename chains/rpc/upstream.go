package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"tallyd/chains"
)

// maxBody bounds a JSON-RPC answer. A batch of whole blocks stays below it.
const maxBody = 256 << 20

// Upstream is one node of a Pool. Its methods ask that node and no other, wait
// for its budget, and record its faults. They are safe for concurrent use.
type Upstream struct {
	spec    chains.Upstream
	name    string
	version string
	batch   int
	timeout time.Duration
	slots   chan struct{} // one per request under way
	limit   *rate.Limiter
	quick   *http.Client // gives up when the answer does not begin in time
	patient *http.Client // for calls that the node works on for minutes
	state   breaker

	mutedUntil atomic.Int64 // Unix time in nanoseconds: it is not asked for its opinion before; see Pool.Split

	log zerolog.Logger
}

// Name returns the URL without credentials. It identifies the upstream within
// its pool for people; two upstreams may share one.
func (u *Upstream) Name() string { return u.name }

// Spec returns the settings of the upstream, credentials included: not for
// showing.
func (u *Upstream) Spec() chains.Upstream { return u.spec }

// Fault records that the upstream failed in a way only the caller can see: an
// answer that did not verify, an identity that does not fit.
func (u *Upstream) Fault(err error) {
	if u.state.fault(err, time.Now()) {
		u.log.Warn().Str("upstream", u.name).Err(err).Msg("upstream became unhealthy")
	}
}

func (u *Upstream) success() {
	if u.state.success(time.Now()) {
		u.log.Info().Str("upstream", u.name).Msg("upstream recovered")
	}
}

// Get reads the body of path below the upstream's URL. A body of more than
// limit bytes is ErrTooLarge. A status that is not 200 is a *StatusError.
func (u *Upstream) Get(ctx context.Context, path string, limit int64) ([]byte, error) {
	if err := u.enter(ctx, 1); err != nil {
		return nil, err
	}
	defer u.leave()
	ctx, cancel := context.WithTimeout(ctx, u.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(u.spec.URL, "/")+path, nil)
	if err != nil {
		return nil, u.failed("build a request", withoutURL(err))
	}
	status, body, err := u.send(u.quick, req, limit)
	if err != nil {
		return nil, u.failed("get "+path, err)
	}
	if status != http.StatusOK {
		return nil, u.failed("get "+path, u.statusError(status, body))
	}
	return body, nil
}

// post sends one JSON document and returns status and body.
func (u *Upstream) post(ctx context.Context, client *http.Client, doc []byte) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.spec.URL, bytes.NewReader(doc))
	if err != nil {
		return 0, nil, withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/json")
	// Without a value the header is not sent: it tells net/http that the call may
	// be repeated when the node had closed the idle connection it was sent on.
	// All calls may: even broadcasting a transaction twice is doing it once.
	req.Header["Idempotency-Key"] = nil
	return u.send(client, req, maxBody)
}

func (u *Upstream) send(client *http.Client, req *http.Request, limit int64) (int, []byte, error) {
	if u.spec.User != "" || u.spec.Password != "" {
		req.SetBasicAuth(u.spec.User, u.spec.Password)
	}
	res, err := client.Do(req)
	if err != nil {
		return 0, nil, u.cleaned(withoutURL(err))
	}
	defer func() { _ = res.Body.Close() }()
	if after := retryAfter(res); after > 0 {
		return 0, nil, &retryError{status: res.StatusCode, after: after}
	}
	var body bytes.Buffer
	if n := res.ContentLength; n > 0 && n <= limit {
		body.Grow(int(n) + bytes.MinRead)
	}
	if _, err := body.ReadFrom(io.LimitReader(res.Body, limit+1)); err != nil {
		return 0, nil, fmt.Errorf("read the answer: %w", u.cleaned(err))
	}
	if int64(body.Len()) > limit {
		return 0, nil, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limit)
	}
	return res.StatusCode, body.Bytes(), nil
}

// cleaned keeps the kind of a transport error but drops texts that could
// repeat the request.
func (u *Upstream) cleaned(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("no answer in time: %w", context.DeadlineExceeded)
	}
	if e, ok := errors.AsType[*net.OpError](err); ok {
		return fmt.Errorf("%s: %w", e.Op, e.Err)
	}
	return errors.New(plain(err.Error(), u.spec.Password))
}

func (u *Upstream) statusError(status int, body []byte) error {
	return &StatusError{Status: status, Detail: plain(string(body[:min(len(body), 4096)]), u.spec.Password)}
}

// enter waits for the budget of n calls and for a slot; leave gives the slot
// back.
func (u *Upstream) enter(ctx context.Context, n int) error {
	if err := u.spend(ctx, n); err != nil {
		return err
	}
	select {
	case u.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func (u *Upstream) leave() { <-u.slots }

// spend waits until the budget allows n more calls.
func (u *Upstream) spend(ctx context.Context, n int) error {
	if u.limit == nil {
		return nil
	}
	for n > 0 {
		part := min(n, u.limit.Burst())
		if err := u.limit.WaitN(ctx, part); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("wait for the request budget: %w", err)
		}
		n -= part
	}
	return nil
}

// failed names the upstream and what was being done.
func (u *Upstream) failed(what string, err error) error {
	return fmt.Errorf("%s of %s: %w", what, u.name, err)
}

// retryError is a 429 or 503 that says when to come back.
type retryError struct {
	status int
	after  time.Duration
}

func (e *retryError) Error() string {
	return fmt.Sprintf("HTTP %d: the node asks to come back in %s", e.status, e.after)
}

// retryAfter returns what a 429 or a 503 with Retry-After asks for; a 429
// without one asks for a second.
func retryAfter(res *http.Response) time.Duration {
	if res.StatusCode != http.StatusTooManyRequests && res.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	if s, err := strconv.Atoi(res.Header.Get("Retry-After")); err == nil && s > 0 {
		return time.Duration(min(s, 3600)) * time.Second
	}
	if res.StatusCode == http.StatusTooManyRequests {
		return time.Second
	}
	return 0
}
