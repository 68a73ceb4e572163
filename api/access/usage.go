package access

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

// use notes that a key was used. The very first use is written before the request
// goes on, so that a key that was used never looks unused, however the daemon ends;
// should that fail, the next flush does it.
func (g *Gate) use(ctx context.Context, key *stored, at time.Time) {
	g.used.touch(key.ID, at)
	if key.LastUsedAt == nil && key.begun.CompareAndSwap(false, true) {
		_ = g.keys.TouchKeys(ctx, map[string]time.Time{key.ID: at})
	}
}

// usage remembers when each key was last used, so that a busy key costs one
// write per flush and not one per request.
type usage struct {
	mu   sync.Mutex
	last map[string]time.Time // by key id; guarded by mu
}

func (u *usage) touch(id string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if at.After(u.last[id]) {
		u.last[id] = at
	}
}

// flush writes what was touched since the last flush. What cannot be written is
// kept for the next one.
func (u *usage) flush(ctx context.Context, keys Keys) error {
	u.mu.Lock()
	taken := u.last
	u.last = map[string]time.Time{}
	u.mu.Unlock()
	count := len(taken)
	if count == 0 {
		return nil
	}
	if err := keys.TouchKeys(ctx, taken); err != nil {
		u.mu.Lock()
		maps.Copy(taken, u.last)
		u.last = taken
		u.mu.Unlock()
		return fmt.Errorf("write last use of %d keys: %w", count, err)
	}
	return nil
}
