package access

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"tallyd/api/problem"
)

const (
	// bodyTime is how long a body may take to arrive.
	bodyTime = 5 * time.Second

	// defaultBodyBytes bounds a body where the operation says nothing.
	defaultBodyBytes = 1 << 20

	// longBody is the size beyond which a body is read for few before the signature
	// is verified that covers it.
	longBody = 64 << 10

	// BodyUnsaid is the MaxBodyBytes of an operation behind a Gate that says none of
	// its own: the library's own default cannot be told from one that is said.
	BodyUnsaid = -1
)

// bodyLimit returns the size of the shortest body that the operation refuses.
func (c *call) bodyLimit() int64 {
	if limit := c.ctx.Operation().MaxBodyBytes; limit > 0 {
		return limit
	}
	return defaultBodyBytes
}

// readUnproven reads a body of which the signature is yet to be verified, which takes
// the body. A long one is read only for a key that may do this, from there, and of one
// address only as many a minute as it may send bad credentials: those whose signatures
// turn out good are not counted.
func (c *call) readUnproven(key *Key) *problem.Problem {
	request, _ := humago.Unwrap(c.ctx)
	limit := c.bodyLimit()
	if limit <= longBody || request.ContentLength >= 0 && request.ContentLength < longBody {
		return c.readUpTo(limit)
	}
	if c.usable(key, c.now) != nil || !(Principal{Scopes: key.Scopes}).Allows(c.rule.Scope) {
		return c.readUpTo(longBody)
	}
	budget := c.gate.unproven.Take(c.ctx.Context(), crowd(c.from), c.gate.limits.Anonymous)
	if !budget.Allowed {
		return exhausted(budget)
	}
	c.lent = true
	return c.readUpTo(limit)
}

// proven gives back what reading the body took.
func (c *call) proven() {
	if c.lent {
		c.gate.unproven.GiveBack(crowd(c.from), c.gate.limits.Anonymous)
	}
}

// readBody reads the body, once: it is signed, and told apart from another, as it
// was sent. The operation gets it from handedOn.
func (c *call) readBody() *problem.Problem { return c.readUpTo(c.bodyLimit()) }

func (c *call) readUpTo(limit int64) *problem.Problem {
	if c.read {
		return nil
	}
	request, _ := humago.Unwrap(c.ctx)
	if request.ContentLength == 0 {
		c.read = true
		return nil
	}
	tooLarge := problem.New(http.StatusRequestEntityTooLarge, problem.BodyTooLarge, "request body is too large")
	if request.ContentLength >= limit {
		return tooLarge
	}
	// Not every writer has a deadline; then the server's holds.
	_ = c.ctx.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(io.LimitReader(c.ctx.BodyReader(), limit))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong) || int64(len(body)) >= limit:
		return tooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(http.StatusRequestTimeout, problem.RequestTimeout, "request body came too slowly")
	case err != nil:
		return problem.New(http.StatusBadRequest, problem.BadRequest, "request body cannot be read")
	}
	// The whole request is here. A deadline that passes later would look as if the
	// caller had gone.
	_ = c.ctx.SetReadDeadline(time.Time{})
	c.body, c.read = body, true
	return nil
}

// handedOn returns the context for what comes after the gate: with the body, if the
// gate has read it.
func (c *call) handedOn() huma.Context { //nolint:ireturn // the library hands contexts on as an interface
	if !c.read {
		return c.ctx
	}
	return bodyContext{humaContext: c.ctx, body: bytes.NewReader(c.body)}
}

// humaContext is huma.Context under a name that its method Context leaves free.
type humaContext huma.Context

// bodyContext is a request whose body was read.
type bodyContext struct {
	humaContext
	body io.Reader
}

// BodyReader returns the body.
func (c bodyContext) BodyReader() io.Reader { return c.body }

// SetReadDeadline does nothing: all was read.
func (bodyContext) SetReadDeadline(time.Time) error { return nil }

// Unwrap returns the context below, as huma's adapters expect.
func (c bodyContext) Unwrap() huma.Context { return c.humaContext } //nolint:ireturn // the library's signature
