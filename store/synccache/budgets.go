package synccache

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyd/chains/venue"
)

// clockNoise is what the counts of Redis and of this process may differ by while
// nothing is wrong.
const clockNoise = 100 * time.Millisecond

// Budgets counts what is asked of venues in Redis, for all daemons together, by the
// same algorithm as venue.Local and by the clock of Redis. Each call is one script
// on one key, so that a cluster can run it.
//
// What Redis lets pass is counted in this process as well. A Redis that is gone,
// hangs or was emptied never gives a daemon a budget anew that it has used: its own
// count goes on. So `n` daemons without Redis ask a venue at most n times what it
// allows.
type Budgets struct {
	*server
	local venue.Local
}

var _ venue.Budgets = (*Budgets)(nil)

// Budgets returns budgets of venues in the Redis of this cache, which must stay
// open.
func (c *Cache) Budgets() *Budgets { return &Budgets{server: c.server} }

// The scripts keep two times in microseconds of Redis' clock: full, when the
// budget would be whole again if nothing more was taken, and until, before which
// nothing is. Times are below 2^53, so that Lua's numbers hold them exactly.
//
//nolint:gochecknoglobals // go-redis knows a script by its digest
var (
	takeBudget = redis.NewScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'full', 'until')
local full, held = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
if held > now then return string.format('%.0f', held - now) end
local burst, each, cost, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if each == 0 then return '0' end
full = math.max(full, now - 2 * window)
local wait = full - now + each * (cost - burst)
if wait > 0 then return string.format('%.0f', math.ceil(wait)) end
full = math.max(full, now) + each * cost
redis.call('HSET', KEYS[1], 'full', string.format('%.0f', math.ceil(full)))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((full - now + 2 * window) / 1000)))
return '0'`)

	usedBudget = redis.NewScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'full', 'until')
local full, held = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
local each, used, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
if now + each * used <= full then return 0 end
full = now + each * used
redis.call('HSET', KEYS[1], 'full', string.format('%.0f', math.ceil(full)))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((math.max(full, held) - now + 2 * window) / 1000)))
return 0`)

	holdBudget = redis.NewScript(`
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local kept = redis.call('HMGET', KEYS[1], 'full', 'until')
local full, held = tonumber(kept[1]) or 0, tonumber(kept[2]) or 0
if now + ARGV[1] <= held then return 0 end
held = now + ARGV[1]
redis.call('HSET', KEYS[1], 'until', string.format('%.0f', held))
redis.call('PEXPIRE', KEYS[1], string.format('%.0f', math.ceil((math.max(full, held) - now) / 1000) + 60000))
return 0`)
)

// Take implements venue.Budgets.
func (b *Budgets) Take(ctx context.Context, key string, budget venue.Budget, cost int) (time.Duration, error) {
	burst, each := 0, time.Duration(0)
	if budget.Limit > 0 && budget.Window > 0 {
		burst, each = budget.Burst()
		cost = min(cost, budget.Limit)
	}
	answer, known := b.run(ctx, takeBudget, key, burst, micros(each), cost, micros(budget.Window))
	if !known {
		return b.local.Take(ctx, key, budget, cost)
	}
	text, _ := answer.(string)
	wait, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("take from the budget of a venue: Redis said %.20q", text)
	}
	if wait > 0 {
		return time.Duration(wait) * time.Microsecond, nil
	}
	// Where this process knows of more than Redis does, Redis was emptied. The two
	// clocks never agree to the moment.
	here, err := b.local.Take(ctx, key, budget, cost)
	if here <= clockNoise {
		here = 0
	}
	return here, err
}

// Used implements venue.Budgets.
func (b *Budgets) Used(ctx context.Context, key string, budget venue.Budget, used int) error {
	if budget.Limit <= 0 || budget.Window <= 0 || used <= 0 {
		return nil
	}
	_, each := budget.Burst()
	b.run(ctx, usedBudget, key, micros(each), min(used, budget.Limit), micros(budget.Window))
	return b.local.Used(ctx, key, budget, used)
}

// Hold implements venue.Budgets.
func (b *Budgets) Hold(ctx context.Context, key string, until time.Time) error {
	if wait := time.Until(until); wait > 0 {
		b.run(ctx, holdBudget, key, micros(wait))
	}
	return b.local.Hold(ctx, key, until)
}

// run runs a script on a key. It reports false when Redis does not say.
func (b *Budgets) run(ctx context.Context, script *redis.Script, key string, args ...any) (any, bool) {
	if b.resting() {
		return nil, false
	}
	answer, err := script.Run(ctx, b.client, []string{budgetKey(key)}, args...).Result()
	if err != nil {
		b.rest(ctx, err)
		return nil, false
	}
	return answer, true
}

// budgetKey is the key of a budget. What stands in braces chooses the node of a
// cluster.
func budgetKey(key string) string {
	return "tallyd:venue:{" + strings.NewReplacer("{", "(", "}", ")").Replace(key) + "}"
}

// micros writes a span in microseconds, with the nanoseconds that are left: a
// budget of 180,000 a minute has a third of one in each.
func micros(d time.Duration) string {
	const thousand = 1000
	return fmt.Sprintf("%d.%03d", d/thousand, d%thousand)
}
