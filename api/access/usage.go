package access

import (
	"context"
	"fmt"
	"maps"
	"sync"
	"time"
)

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
	if len(taken) == 0 {
		return nil
	}
	if err := keys.TouchKeys(ctx, taken); err != nil {
		u.mu.Lock()
		maps.Copy(taken, u.last)
		u.last = taken
		u.mu.Unlock()
		return fmt.Errorf("write last use of %d keys: %w", len(taken), err)
	}
	return nil
}
