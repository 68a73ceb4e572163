package synccache

import (
	"context"
	"sync"
	"time"

	"github.com/go-redis/redis_rate/v10"

	"tallyd/api/access"
)

const (
	// chunkShare is the part of a minute's budget that is taken from Redis at
	// once: 10 of 6,000, one of anything below 1,200.
	chunkShare = 600

	// chunkFresh is how long what Redis said is told again before it is asked anew.
	chunkFresh = time.Second

	// maxChunks bounds the memory of a Limiter.
	maxChunks = 1 << 14
)

// Limiter counts requests in Redis, for all daemons together, by the same
// algorithm as access.Local.
//
// Every request is counted in this process as well, and passes when both counts
// allow it. So a Redis that is gone, hangs, was emptied or comes back never opens
// a budget: at worst each daemon gives away the whole of it once. And it never
// shuts one: the count of this process goes on alone.
//
// One trip to Redis pays for a six hundredth of a large budget, and a daemon keeps
// what it paid for until it is used. So in any window a name may get up to
// perMinute/600 requests per daemon on top of what the algorithm allows, or miss
// as many that another daemon holds. Budgets below 1,200 are exact.
type Limiter struct {
	*server
	shared *redis_rate.Limiter
	local  *access.Local

	mu     sync.Mutex
	chunks map[string]*chunk // by name; guarded by mu
}

// chunk is what is left of what was taken from Redis for one name. Its lock is held
// during the trip: a hot name makes one at a time, and the others wait for what it
// brings.
type chunk struct {
	mu     sync.Mutex
	left   int           // guarded by mu
	budget access.Budget // as Redis said; guarded by mu
	at     time.Time     // when it said so; guarded by mu
}

var _ access.Limiter = (*Limiter)(nil)

// Limiter returns a limiter in the Redis of this cache, which must stay open.
func (c *Cache) Limiter() *Limiter {
	return &Limiter{
		server: c.server, shared: redis_rate.NewLimiter(c.client), local: access.NewLocal(nil), chunks: map[string]*chunk{},
	}
}

// Take implements access.Limiter.
func (l *Limiter) Take(ctx context.Context, name string, perMinute int) access.Budget {
	here := l.local.Take(ctx, name, perMinute)
	if !here.Allowed {
		return here // whatever Redis would say
	}
	everywhere, known := l.take(ctx, name, perMinute)
	switch {
	case !known:
		return here
	case !everywhere.Allowed:
		l.local.GiveBack(name, perMinute)
		return everywhere
	}
	here.Remaining = min(here.Remaining, everywhere.Remaining)
	here.Reset = max(here.Reset, everywhere.Reset)
	return here
}

// take takes one request from the chunk of a name, which it fills up from Redis
// when it is empty or old. It reports false when nobody knows.
func (l *Limiter) take(ctx context.Context, name string, perMinute int) (access.Budget, bool) {
	size := perMinute / chunkShare
	if size <= 1 {
		budget, _, known := l.ask(ctx, name, perMinute, 1)
		return budget, known
	}
	c := l.chunk(name)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left < 1 || time.Since(c.at) > chunkFresh {
		budget, got, known := l.ask(ctx, name, perMinute, max(1, size-c.left))
		if !known {
			return access.Budget{}, false
		}
		c.budget, c.at = budget, time.Now()
		c.left += got
	}
	if c.left < 1 {
		return c.budget, true
	}
	c.left--
	budget := c.budget
	budget.Allowed, budget.Retry = true, 0
	budget.Remaining += c.left
	return budget, true
}

// chunk returns the chunk of a name.
func (l *Limiter) chunk(name string) *chunk {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.chunks[name]
	if c != nil {
		return c
	}
	// Forgetting all is rare, and costs each name what it had paid for.
	if len(l.chunks) >= maxChunks {
		clear(l.chunks)
	}
	c = &chunk{}
	l.chunks[name] = c
	return c
}

// ask takes up to n requests from Redis and returns how many it got. It reports
// false when Redis does not say.
func (l *Limiter) ask(ctx context.Context, name string, perMinute, n int) (access.Budget, int, bool) {
	if l.resting() {
		return access.Budget{}, 0, false
	}
	got, err := l.shared.AllowAtMost(ctx, "tallyd:"+name, redis_rate.PerMinute(perMinute), n)
	if err != nil {
		l.rest(ctx, err)
		return access.Budget{}, 0, false
	}
	budget := access.Budget{Allowed: got.Allowed > 0, Limit: perMinute, Remaining: got.Remaining, Reset: got.ResetAfter}
	if !budget.Allowed {
		budget.Retry = got.RetryAfter
	}
	return budget, got.Allowed, true
}
