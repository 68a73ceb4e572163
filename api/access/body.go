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
)

// readBody reads the body, once: it is signed, and told apart from another, as it
// was sent. The operation gets it from handedOn.
func (c *call) readBody() *problem.Problem {
	if c.read {
		return nil
	}
	request, _ := humago.Unwrap(c.ctx)
	if request.ContentLength == 0 {
		c.read = true
		return nil
	}
	limit := c.ctx.Operation().MaxBodyBytes
	if limit <= 0 {
		limit = defaultBodyBytes
	}
	// Not every writer has a deadline; then the server's holds.
	_ = c.ctx.SetReadDeadline(time.Now().Add(bodyTime))
	body, err := io.ReadAll(io.LimitReader(c.ctx.BodyReader(), limit))
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong) || int64(len(body)) >= limit:
		return problem.New(http.StatusRequestEntityTooLarge, problem.BodyTooLarge, "request body is too large")
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
