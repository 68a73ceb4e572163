package access

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

const (
	// pollEvery is how often a keyring asks which keys changed, and pollTime how
	// long it waits for the answer.
	pollEvery = 400 * time.Millisecond
	pollTime  = 800 * time.Millisecond

	// believed is how long a keyring believes what it remembers after it began to
	// ask. A key that is revoked opens nothing after that, on any instance.
	believed = time.Second

	// missed is how long nobody may have asked before all is forgotten. An answer
	// reaches back a minute; the rest is for transactions that took long to commit.
	missed = 30 * time.Second

	// maxKeys bounds the memory of a keyring: about eight megabytes.
	maxKeys = 1 << 14
)

// stored is a key as it is remembered.
type stored struct {
	Key

	// proven is the digest of the text that opened the key last, so that the same
	// text need not be hashed under every pepper again. A key that is changed is
	// another stored.
	proven atomic.Pointer[[sha256.Size]byte]

	// begun says that the first use of the key was written.
	begun atomic.Bool
}

// keyring remembers keys, so that a busy key costs no trip to Postgres. It believes
// what it remembers only while it hears of changes: else it asks for each request,
// which is slow and right. It is safe for concurrent use.
type keyring struct {
	keys    Keys
	changed Changed

	mu       sync.RWMutex
	known    map[string]*stored // by id; guarded by mu
	versions map[string]int64   // of the keys that changed lately; guarded by mu
	asked    time.Time          // when the last question was put that was answered; guarded by mu
}

func newKeyring(keys Keys, changed Changed) *keyring {
	return &keyring{keys: keys, changed: changed, known: map[string]*stored{}}
}

// get returns a key, which the caller must not change, or what Keys.KeyByID
// returns in its place.
func (r *keyring) get(ctx context.Context, id string) (*stored, error) {
	r.mu.RLock()
	key, ok := r.known[id]
	ok = ok && time.Since(r.asked) < believed
	r.mu.RUnlock()
	if ok {
		return key, nil
	}
	found, err := r.keys.KeyByID(ctx, id)
	if err != nil {
		return nil, err //nolint:wrapcheck // the keys say what they were doing
	}
	key = &stored{Key: found}
	r.put(key)
	return key, nil
}

// put remembers a key, unless it has changed since it was read.
func (r *keyring) put(key *stored) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.versions[key.ID] > key.Version {
		return
	}
	if len(r.known) >= maxKeys {
		// A map is walked from a random place on.
		for id := range r.known {
			delete(r.known, id)
			break
		}
	}
	r.known[key.ID] = key
}

// poll asks which keys changed, and forgets them.
func (r *keyring) poll(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, pollTime)
	defer cancel()
	asking := time.Now()
	versions, err := r.changed.KeysChanged(ctx)
	if err != nil {
		return fmt.Errorf("ask which keys changed: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if asking.Sub(r.asked) > missed {
		clear(r.known)
	}
	for id, version := range versions {
		if key := r.known[id]; key != nil && key.Version < version {
			delete(r.known, id)
		}
	}
	r.versions, r.asked = versions, asking
	return nil
}

// watch polls until ctx ends.
func (r *keyring) watch(ctx context.Context, log zerolog.Logger) {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	deaf := false
	for {
		err := r.poll(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil && !deaf:
			log.Warn().Err(err).Msg("keys are read for every request: their changes are not heard of")
		case err == nil && deaf:
			log.Info().Msg("keys are remembered again")
		}
		deaf = err != nil
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}
