package problem

import (
	"context"

	"github.com/google/uuid"
)

// Trail is what a request leaves behind for its one line in the log. It belongs
// to the goroutine that serves the request.
type Trail struct {
	Cause   error     // why the answer is a problem of status 500 or above; nil if it is not
	Request uuid.UUID // its id; zero while it has none
	Caller  string    // id of the key, or "user:" and the id of the user; "" while nobody is known

	Refused Code // what somebody nobody knows was refused with; "" if nobody was

	status int // status to answer with in place of the one the router chose; 0 for that one
}

// Status returns the status the request is answered with where huma says code.
func (t *Trail) Status(code int) int {
	if t.status != 0 {
		return t.status
	}
	return code
}

type trailKey struct{}

// WithTrail returns a context that carries trail.
func WithTrail(ctx context.Context, trail *Trail) context.Context {
	return context.WithValue(ctx, trailKey{}, trail)
}

// TrailOf returns the trail of a request, or a fresh one that nobody reads if
// ctx carries none.
func TrailOf(ctx context.Context) *Trail {
	if trail, ok := ctx.Value(trailKey{}).(*Trail); ok {
		return trail
	}
	return &Trail{}
}
