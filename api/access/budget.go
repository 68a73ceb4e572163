package access

import (
	"cmp"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
)

// Limits are budgets in requests per minute. The zero Limits are the defaults.
type Limits struct {
	Custody   int // of a key on the custody surface; 120 if 0
	Other     int // of a key or a user token elsewhere; 6000 if 0
	Anonymous int // of an address without credentials, or with bad ones; 60 if 0
}

func (l Limits) settled() Limits {
	return Limits{
		Custody:   cmp.Or(l.Custody, 120),
		Other:     cmp.Or(l.Other, 6000),
		Anonymous: cmp.Or(l.Anonymous, 60),
	}
}

// spend takes one request from the caller's budget and reports whether it had one
// left. The master key has no budget.
func (c *call) spend() (Budget, bool) {
	limits := c.gate.limits
	var name string
	var perMinute int
	switch {
	case c.who.Master:
		return Budget{}, true
	case c.who.User != uuid.Nil:
		name, perMinute = c.who.Name(), limits.Other
	case c.key.PerMinute > 0:
		name, perMinute = "key:"+c.key.ID, c.key.PerMinute
	case c.rule.Surface == Custody:
		name, perMinute = "custody:"+c.key.ID, limits.Custody
	default:
		name, perMinute = "key:"+c.key.ID, limits.Other
	}
	return c.take(name, perMinute)
}

// spendAnonymous takes one request from the budget of the caller's address.
func (c *call) spendAnonymous() (Budget, bool) {
	return c.take("address:"+crowd(c.from), c.gate.limits.Anonymous)
}

func (c *call) take(name string, perMinute int) (Budget, bool) {
	budget := c.gate.limiter.Take(c.ctx.Context(), name, perMinute)
	budget.write(c.ctx)
	return budget, budget.Allowed
}

// write tells the caller of its budget. Names of headers are spelled as net/http
// would spell them, which saves it the work.
func (b Budget) write(ctx huma.Context) {
	ctx.SetHeader("Ratelimit-Limit", strconv.Itoa(b.Limit))
	ctx.SetHeader("Ratelimit-Remaining", strconv.Itoa(b.Remaining))
	ctx.SetHeader("Ratelimit-Reset", strconv.Itoa(seconds(b.Reset)))
}
