package rpc

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/time/rate"

	"tallyd/chains"
)

// What a zero in a chains.Spec means.
const (
	DefaultConcurrency = 8
	DefaultBatch       = 50
	DefaultTimeout     = 20 * time.Second
)

// maxIdleWait is how long Do waits for the first of several upstreams that are
// all backing off. Longer, and the caller is told instead.
const maxIdleWait = time.Second

// tendEvery is how often Tend looks whether an upstream is due.
const tendEvery = 2 * time.Second

var errRefused = errors.New("upstream refused")

// Options are what a family of chains wants of its pool.
type Options struct {
	Version string // "1.0" or "2.0", sent in every JSON-RPC call

	// Admit is asked before an upstream is first used, and again after it
	// was at fault, since another node may answer there now. An error keeps
	// the upstream out until Admit passes. nil admits all. Admit calls the
	// upstream itself; it must not use the pool.
	Admit func(ctx context.Context, u *Upstream) error
}

// Refuse makes an Admit error one that keeps the upstream out with back-off at
// once, because the fault is not passing: another network, too old a node.
func Refuse(reason string) error { return fmt.Errorf("%w: %s", errRefused, reason) }

// Pool is the upstreams of one chain. The first is asked first while all are
// well. A Pool is safe for concurrent use and starts no goroutine of its own.
type Pool struct {
	upstreams []*Upstream
	admit     func(ctx context.Context, u *Upstream) error
	transport []*http.Transport
}

// New returns the pool of a chain's upstreams. It asks none of them.
func New(spec chains.Spec, options Options, log zerolog.Logger) *Pool {
	timeout := orDefault(spec.Timeout, DefaultTimeout)
	slots := orDefault(spec.Concurrency, DefaultConcurrency)
	quick, patient := newTransport(timeout, slots), newTransport(timeout, slots)
	quick.ResponseHeaderTimeout = timeout
	p := &Pool{admit: options.Admit, transport: []*http.Transport{quick, patient}}
	for _, settings := range spec.Upstreams {
		u := &Upstream{
			spec:    settings,
			name:    displayName(settings.URL),
			version: options.Version,
			batch:   orDefault(spec.Batch, DefaultBatch),
			timeout: timeout,
			slots:   make(chan struct{}, slots),
			quick:   newClient(quick),
			patient: newClient(patient),
			log:     log,
		}
		if settings.Budget > 0 {
			u.limit = rate.NewLimiter(rate.Limit(settings.Budget), int(max(1, math.Ceil(settings.Budget))))
		}
		p.upstreams = append(p.upstreams, u)
	}
	return p
}

func orDefault[T int | time.Duration](value, otherwise T) T {
	if value <= 0 {
		return otherwise
	}
	return value
}

func newTransport(timeout time.Duration, slots int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: min(timeout, 10*time.Second)}).DialContext,
		TLSHandshakeTimeout: min(timeout, 10*time.Second),
		MaxIdleConnsPerHost: slots,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
	}
}

// newClient follows no redirect: it would carry the password elsewhere.
func newClient(transport *http.Transport) *http.Client {
	return &http.Client{
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Upstreams returns all upstreams in the operator's order.
func (p *Pool) Upstreams() []*Upstream { return slices.Clone(p.upstreams) }

// Health returns the state of each upstream without asking it.
func (p *Pool) Health() []chains.UpstreamHealth {
	health := make([]chains.UpstreamHealth, 0, len(p.upstreams))
	for _, u := range p.upstreams {
		ok, reason := u.state.state()
		health = append(health, chains.UpstreamHealth{Upstream: u.name, OK: ok, Reason: reason})
	}
	return health
}

// Close ends idle connections. Requests under way go on until their contexts
// end.
func (p *Pool) Close() {
	for _, transport := range p.transport {
		transport.CloseIdleConnections()
	}
}

// Check admits every upstream that nobody has asked yet, or that was out of reach
// and is due, all at the same time. What it finds stands in Health.
func (p *Pool) Check(ctx context.Context) {
	var checks sync.WaitGroup
	for _, u := range p.upstreams {
		ok, reason := u.state.state()
		may, inTurn := u.state.usable(time.Now())
		if ok || !may || (inTurn && reason != notAsked) {
			continue
		}
		checks.Go(func() {
			// What is wrong is recorded, and nobody waits for it here.
			_ = p.ask(ctx, u, func(context.Context, *Upstream) error { return nil })
		})
	}
	checks.Wait()
}

// Tend checks the upstreams until ctx ends, so that one which comes back is used
// again, though nobody has to wait for it while it is away.
func (p *Pool) Tend(ctx context.Context) {
	tick := time.NewTicker(tendEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			p.Check(ctx)
		}
	}
}

// Pick returns the upstream that should be asked now, admitted, for callers that
// keep to one over several steps. They report its faults with Upstream.Fault;
// Do does that by itself.
func (p *Pool) Pick(ctx context.Context) (*Upstream, error) {
	var last error
	for _, u := range p.ready(ctx) {
		if last = p.admitted(ctx, u); last == nil {
			return u, nil
		}
	}
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if last == nil {
		last = fmt.Errorf("%w: %s", ErrUnavailable, p.reasons())
	}
	return nil, last
}

// Do gives f one upstream, and the next one while f fails with a fault of the
// upstream, with chains.ErrUnverified, or with an answer that another upstream
// may know better (chains.ErrNotFound, chains.ErrUnsupported, *Error). A fault
// counts against the upstream; after a lie it is avoided at once.
//
// When nobody satisfied f, Do returns the error that says most: a failed
// verification before an answer, an answer before a fault. It never asks one
// upstream twice; all backing off for long is ErrUnavailable. The end of ctx
// is returned as its cause and counts against nobody.
func (p *Pool) Do(ctx context.Context, f func(ctx context.Context, u *Upstream) error) error {
	var worst error
	for _, u := range p.ready(ctx) {
		err := p.ask(ctx, u, f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if worst == nil || rank(err) > rank(worst) {
			worst = err
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if worst == nil {
		return fmt.Errorf("%w: %s", ErrUnavailable, p.reasons())
	}
	return worst
}

func (p *Pool) ask(ctx context.Context, u *Upstream, f func(ctx context.Context, u *Upstream) error) error {
	if err := p.admitted(ctx, u); err != nil {
		return err
	}
	err := f(ctx, u)
	switch {
	case err == nil || (ctx.Err() == nil && !isFault(ctx, err)):
		u.success()
	case ctx.Err() == nil:
		u.Fault(err)
	}
	return err
}

func (p *Pool) admitted(ctx context.Context, u *Upstream) error {
	if p.admit == nil || u.state.isAdmitted() {
		return nil
	}
	if err := p.admit(ctx, u); err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !isFault(ctx, err) {
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		u.Fault(err)
		return err
	}
	u.state.setAdmitted()
	return nil
}

// ready returns the upstreams that may be asked, those out of reach last.
// If all are backing off it waits for the first of them, but not long.
func (p *Pool) ready(ctx context.Context) []*Upstream {
	open, soonest := p.open(time.Now())
	if len(open) > 0 || soonest > maxIdleWait {
		return open
	}
	timer := time.NewTimer(soonest)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	open, _ = p.open(time.Now())
	return open
}

func (p *Pool) open(now time.Time) (open []*Upstream, soonest time.Duration) {
	soonest = math.MaxInt64
	var last []*Upstream
	for _, u := range p.upstreams {
		may, inTurn := u.state.usable(now)
		switch {
		case !may:
			soonest = min(soonest, u.state.wait(now))
		case inTurn:
			open = append(open, u)
		default:
			last = append(last, u)
		}
	}
	return append(open, last...), soonest
}

func (p *Pool) reasons() string {
	var reasons []string
	for _, u := range p.upstreams {
		if _, reason := u.state.state(); reason != "" {
			reasons = append(reasons, reason)
		}
	}
	return strings.Join(reasons, "; ")
}

func rank(err error) int {
	switch {
	case errors.Is(err, chains.ErrUnverified):
		return 3
	case errors.Is(err, chains.ErrNotFound), errors.Is(err, chains.ErrUnsupported):
		return 2
	}
	if e, ok := errors.AsType[*Error](err); ok && !isBusy(e.Code) {
		return 2
	}
	return 1
}
