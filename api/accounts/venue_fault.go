package accounts

import (
	"cmp"
	"context"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/api/problem"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// venueEdge turns what came of asking a venue about a login into what the caller
// may know; nil stays nil.
func (s *surface) venueEdge(ctx context.Context, v venue.Venue, doing string, err error) error {
	var fields *indexer.FieldsError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, venue.ErrTooStrong):
		text := strings.TrimSuffix("the key can do more than read, and is not kept; make one with these permissions alone: "+strings.Join(v.Tick, ", "), ": ")
		excess := strings.TrimPrefix(err.Error(), venue.ErrTooStrong.Error()+": ")
		return problem.New(http.StatusBadRequest, problem.KeyTooStrong, text).Field(venue.FieldKey, "can do too much: "+excess)
	case errors.Is(err, venue.ErrUnacknowledged):
		text := v.Title + " does not say what the key may do. Look at the key: if it can neither trade nor withdraw, send " + fieldUnverified + ": " + acknowledged
		return problem.New(http.StatusBadRequest, problem.KeyUnverified, text).Field(fieldUnverified, "must be "+acknowledged)
	case errors.Is(err, indexer.ErrSandbox):
		return problem.Invalid(venue.FieldRegion, "a sandbox is for the environment test")
	case errors.Is(err, indexer.ErrOtherLogin):
		return otherLogin()
	case errors.As(err, &fields):
		return problem.Invalid("login", fields.Error())
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		return problem.New(http.StatusBadGateway, problem.VenueUnavailable, v.Title+" did not answer in time. Nothing was stored.")
	}
	if said, ok := errors.AsType[*venue.Error](err); ok {
		return venueProblem(ctx, v, said)
	}
	return edge(doing, err)
}

func otherLogin() error {
	return problem.New(http.StatusBadRequest, problem.OtherLogin, "the credentials belong to another login than the account's: connect it as an account of its own")
}

// venueProblem says what a venue said. The words were cleaned of the credentials.
func venueProblem(ctx context.Context, v venue.Venue, said *venue.Error) *problem.Problem {
	status, code := statusOf(said.Reason)
	text := v.Title + " does not take the login"
	if status >= http.StatusInternalServerError {
		text = v.Title + " cannot be asked now, and nothing was stored"
		problem.TrailOf(ctx).Cause = said
	}
	if what := cmp.Or(said.Detail, string(said.Reason)); what != "" {
		text += ": " + what
	}
	if said.Hint != "" {
		text += " (" + said.Hint + ")"
	}
	p := problem.New(status, code, text)
	if said.Hint != "" {
		p = p.Field("", said.Hint)
	}
	p.Venue = &problem.Venue{Name: v.Name, Reason: string(said.Reason), Code: said.Code, Detail: said.Detail, Hint: said.Hint}
	if !said.Until.IsZero() {
		until := said.Until.UTC()
		p.Venue.RetryAt = &until
		p = p.Header("Retry-After", strconv.Itoa(max(1, int(math.Ceil(time.Until(until).Seconds())))))
	}
	return p
}

// statusOf tells what the user must mend from what is not there now.
func statusOf(reason venue.Reason) (int, problem.Code) {
	switch reason {
	case venue.RateLimited, venue.Banned, venue.Maintenance, venue.ClockSkew:
		return http.StatusServiceUnavailable, problem.VenueUnavailable
	case venue.Blocked, venue.Unreachable, venue.Vanished, venue.Unreadable, venue.NotRead:
		return http.StatusBadGateway, problem.VenueUnavailable
	default:
		return http.StatusBadRequest, problem.LoginRefused
	}
}
