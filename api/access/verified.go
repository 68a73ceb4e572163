package access

import (
	"crypto/sha256"
	"sync"
	"time"
)

// maxVerified bounds the memory of verified: about a megabyte.
const maxVerified = 8192

// verified remembers tokens whose signature was checked, since checking costs
// more than all else that answers a balance. It keeps digests, not tokens. It is
// safe for concurrent use.
type verified struct {
	mu     sync.Mutex
	tokens map[[sha256.Size]byte]expiring // guarded by mu
}

// expiring is who a token speaks for, and until when.
type expiring struct {
	principal Principal
	until     time.Time
}

func (v *verified) get(text string, now time.Time) (Principal, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	e, ok := v.tokens[sha256.Sum256([]byte(text))]
	return e.principal, ok && now.Before(e.until)
}

func (v *verified) put(text string, e expiring) {
	v.mu.Lock()
	defer v.mu.Unlock()
	// Forgetting all is rare and costs each token one more check.
	if v.tokens == nil || len(v.tokens) >= maxVerified {
		v.tokens = map[[sha256.Size]byte]expiring{}
	}
	v.tokens[sha256.Sum256([]byte(text))] = e
}
