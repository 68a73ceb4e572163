package synccache

import (
	"context"
	"encoding/hex"
	"errors"
	"time"

	"github.com/redis/go-redis/v9"

	"tallyd/api/access"
)

// Replays remembers signatures in Redis, in front of a memory that is durable. What
// Redis knows is refused without asking further. What it does not know is decided
// behind it, so that a Redis that is gone or was emptied lets nothing in twice. It
// is safe for concurrent use.
type Replays struct {
	*server
	durable access.Replays
}

var _ access.Replays = (*Replays)(nil)

// Replays returns a memory of signatures in the Redis of this cache, which must
// stay open, and behind it.
func (c *Cache) Replays(durable access.Replays) *Replays {
	return &Replays{server: c.server, durable: durable}
}

// Fresh implements access.Replays.
func (r *Replays) Fresh(ctx context.Context, signature []byte, until time.Time) (bool, error) {
	key := "tallyd:signature:" + hex.EncodeToString(signature)
	put, known := r.put(ctx, key, time.Until(until))
	if known && !put {
		return false, nil
	}
	fresh, err := r.durable.Fresh(ctx, signature, until)
	if err != nil && put {
		// The request was not carried out: its sender may send it again.
		if err := r.client.Del(context.WithoutCancel(ctx), key).Err(); err != nil {
			r.rest(ctx, err)
		}
	}
	return fresh, err //nolint:wrapcheck // the memory behind says what it was doing
}

// put puts a key into Redis for a while and reports whether it was not there, and
// whether Redis said so.
func (r *Replays) put(ctx context.Context, key string, life time.Duration) (put, known bool) {
	if r.resting() || life < time.Millisecond {
		return false, false
	}
	err := r.client.SetArgs(ctx, key, "", redis.SetArgs{Mode: "NX", TTL: life}).Err()
	switch {
	case errors.Is(err, redis.Nil):
		return false, true
	case err != nil:
		r.rest(ctx, err)
		return false, false
	}
	return true, true
}
