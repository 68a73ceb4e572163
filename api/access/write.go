package access

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/problem"
	"tallyd/indexer"
)

const (
	headerIdempotency = "Idempotency-Key"
	headerReplayed    = "Idempotency-Replayed"
)

var idempotencyPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

// write carries out a request that writes: its effect, its line in the audit log and,
// with an Idempotency-Key, its answer are one transaction. The answer is sent after
// the commit, so that nobody is told of what is not there.
func (c *call) write(next func(huma.Context)) {
	if p := c.readBody(); p != nil {
		c.refuse(p)
		return
	}
	once, p := c.once()
	if p != nil {
		c.refuse(p)
		return
	}
	fresh, p := c.fresh()
	if p != nil {
		c.refuse(p)
		return
	}
	if !fresh {
		c.again(once)
		return
	}
	out, done := c.ahead(once, next)
	if done {
		return
	}
	outer := c.ctx.Context()
	answer, kept, err := c.gate.requests.Write(outer, c.entry(), once, func(ctx context.Context) Answer {
		if out != nil {
			return out.answer()
		}
		out = &answering{humaContext: huma.WithContext(c.handedOn(), ctx)}
		out.run(next) //nolint:contextcheck // out brings its own
		return out.answer()
	})
	switch {
	case err != nil:
		c.refuse(c.outcome(err))
	case kept:
		c.tell(answer)
	default:
		out.send(c.ctx)
	}
}

// again answers a request whose signature was used before: with what is kept of the
// first, or by refusing it. The Idempotency-Key is not signed: a thief could draw
// another, and must get nothing for it.
func (c *call) again(once *Once) {
	if once == nil {
		c.refuse(replayed())
		return
	}
	answer, err := c.gate.requests.Kept(c.ctx.Context(), c.entry(), *once)
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		c.refuse(replayed())
	case err != nil:
		c.refuse(c.outcome(err))
	default:
		c.tell(answer)
	}
}

// tell answers with what is kept of the first request.
func (c *call) tell(answer Answer) {
	c.ctx.SetHeader(headerReplayed, "true")
	if answer.ContentType != "" {
		c.ctx.SetHeader("Content-Type", answer.ContentType)
	}
	c.ctx.SetStatus(answer.Status)
	put(c.ctx, answer.Body)
}

// outcome returns the problem of a request that was not carried out here.
func (c *call) outcome(err error) *problem.Problem {
	switch {
	case errors.Is(err, ErrOtherBody):
		return problem.New(http.StatusBadRequest, problem.IdempotencyReused, "The Idempotency-Key was used with another body").
			Field(headerIdempotency, "was used with another body")
	case errors.Is(err, ErrRunning):
		return problem.New(http.StatusConflict, problem.RequestRunning, "The first request with this Idempotency-Key still runs").
			Header("Retry-After", "1")
	}
	problem.TrailOf(c.ctx.Context()).Cause = err
	return undecided()
}

// once returns how often the request may be carried out: nil for as often as it is
// sent.
func (c *call) once() (*Once, *problem.Problem) {
	if c.ctx.Method() != http.MethodPost && !c.rule.Once {
		return nil, nil //nolint:nilnil // the absence of both is an outcome
	}
	key := c.ctx.Header(headerIdempotency)
	switch {
	case key == "" && c.rule.Once:
		return nil, problem.New(http.StatusBadRequest, problem.IdempotencyRequired, "Idempotency-Key header is required").
			Field(headerIdempotency, "is required")
	case key == "":
		return nil, nil //nolint:nilnil // as above
	case !idempotencyPattern.MatchString(key):
		return nil, problem.New(http.StatusBadRequest, problem.InvalidIdempotency, "Idempotency-Key must be 1 to 64 of A-Z a-z 0-9 _ -").
			Field(headerIdempotency, "must be 1 to 64 of A-Z a-z 0-9 _ -")
	}
	once := &Once{Key: key, Fingerprint: sha256.Sum256(c.body)}
	if c.rule.Twice {
		once.Path = strings.TrimPrefix(c.ctx.URL().Path, "/v1")
	}
	return once, nil
}

// fresh remembers the signature of the request and reports whether it is the first
// with it.
func (c *call) fresh() (bool, *problem.Problem) {
	if c.signature == nil {
		return true, nil
	}
	// It is refused as stale by then on every clock that is half a minute off.
	until := c.signature.at.Add(2 * SignatureWindow)
	fresh, err := c.gate.replays.Fresh(c.ctx.Context(), c.signature.mac, until)
	if err != nil {
		problem.TrailOf(c.ctx.Context()).Cause = err
		return false, unknown()
	}
	return fresh, nil
}

// answering is a request whose answer is kept back.
type answering struct {
	humaContext
	status  int
	headers []header
	body    bytes.Buffer
}

// header is one header as it was set or added.
type header struct {
	name, value string
	add         bool
}

// Unwrap returns the context below, as huma's adapters expect.
func (a *answering) Unwrap() huma.Context { return a.humaContext } //nolint:ireturn // the library's signature

// SetStatus keeps the status.
func (a *answering) SetStatus(code int) {
	a.status = problem.TrailOf(a.Context()).Status(code)
}

// Status returns the status.
func (a *answering) Status() int { return a.status }

// SetHeader keeps a header.
func (a *answering) SetHeader(name, value string) {
	a.headers = append(a.headers, header{name: name, value: value})
}

// AppendHeader keeps a further value of a header.
func (a *answering) AppendHeader(name, value string) {
	a.headers = append(a.headers, header{name: name, value: value, add: true})
}

// BodyWriter keeps the body.
func (a *answering) BodyWriter() io.Writer { return &a.body }

// run lets the operation answer. A panic of it is a fault like any other: the
// transaction around it must end.
func (a *answering) run(next func(huma.Context)) {
	defer func() {
		if fault := recover(); fault != nil {
			problem.TrailOf(a.Context()).Cause = fmt.Errorf("panic: %v", fault)
			a.headers = nil
			a.body.Reset()
			problem.Answer(a, problem.Fault())
		}
	}()
	next(a)
}

// answer returns what was kept back.
func (a *answering) answer() Answer {
	answer := Answer{Status: a.status, Body: a.body.Bytes()}
	if answer.Status == 0 {
		answer.Status = http.StatusOK
	}
	for _, h := range a.headers {
		if http.CanonicalHeaderKey(h.name) == "Content-Type" {
			answer.ContentType = h.value
		}
	}
	if answer.Status >= http.StatusBadRequest {
		var p struct{ Code string }
		if json.Unmarshal(answer.Body, &p) == nil {
			answer.Code = p.Code
		}
	}
	return answer
}

// send sends what was kept back.
func (a *answering) send(ctx huma.Context) {
	for _, h := range a.headers {
		if h.add {
			ctx.AppendHeader(h.name, h.value)
		} else {
			ctx.SetHeader(h.name, h.value)
		}
	}
	if a.status != 0 {
		ctx.SetStatus(a.status)
	}
	put(ctx, a.body.Bytes())
}

// put sends a body, if there is one. The caller may be gone: then there is nobody
// left to tell.
func put(ctx huma.Context, body []byte) {
	if len(body) > 0 {
		_, _ = ctx.BodyWriter().Write(body)
	}
}
