package access_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"tallyd/api/access"
	"tallyd/indexer"
)

// memory is a store of keys, requests and signatures in memory.
type memory struct {
	mu      sync.Mutex
	keys    map[string]access.Key
	changed map[string]int64
	used    map[string]time.Time
	entries []access.Entry
	answers map[[sha256.Size]byte]kept
	seen    map[string]bool // signatures

	down  error // what everything returns
	deaf  error // what KeysChanged returns
	torn  error // what a commit returns
	reads int   // of keys
}

// kept is one request with an Idempotency-Key: its answer is nil while it runs.
type kept struct {
	fingerprint [sha256.Size]byte
	answer      *access.Answer
}

func newMemory() *memory {
	return &memory{
		keys: map[string]access.Key{}, changed: map[string]int64{}, used: map[string]time.Time{},
		answers: map[[sha256.Size]byte]kept{}, seen: map[string]bool{},
	}
}

// set changes the memory while a gate may use it.
func (m *memory) set(change func(*memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(m)
}

// put stores a key as it is now.
func (m *memory) put(key access.Key) {
	m.set(func(m *memory) {
		key.Version = m.keys[key.ID].Version + 1
		m.keys[key.ID], m.changed[key.ID] = key, key.Version
	})
}

// log returns the audit log, oldest first, and forgets it.
func (m *memory) log() []access.Entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	entries := m.entries
	m.entries = nil
	return entries
}

func (m *memory) KeyByID(_ context.Context, id string) (access.Key, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.reads++
	if m.down != nil {
		return access.Key{}, m.down
	}
	key, ok := m.keys[id]
	if !ok {
		return access.Key{}, indexer.ErrNotFound
	}
	return key, nil
}

func (m *memory) TouchKeys(_ context.Context, used map[string]time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		maps.Copy(m.used, used)
		for id, at := range used {
			if key, there := m.keys[id]; there {
				key.LastUsedAt = &at
				m.keys[id] = key
			}
		}
	}
	return m.down
}

func (m *memory) KeysChanged(context.Context) (map[string]int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.deaf != nil {
		return nil, m.deaf
	}
	return maps.Clone(m.changed), m.down
}

func (m *memory) Fresh(_ context.Context, signature []byte, _ time.Time) (bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil {
		return false, m.down
	}
	seen := m.seen[hex.EncodeToString(signature)]
	m.seen[hex.EncodeToString(signature)] = true
	return !seen, nil
}

// inRequest marks the context of a request that writes.
type inRequest struct{}

func (m *memory) Write(ctx context.Context, entry access.Entry, once *access.Once, do func(context.Context) access.Answer) (access.Answer, bool, error) {
	var id [sha256.Size]byte
	if once != nil {
		id = idOf(entry, *once)
		if answer, err := m.claim(id, once.Fingerprint); answer != nil || err != nil {
			if err != nil {
				return access.Answer{}, false, err
			}
			return *answer, true, nil
		}
	}
	answer := do(context.WithValue(ctx, inRequest{}, true))
	entry.Status, entry.Code = answer.Status, answer.Code
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down != nil || m.torn != nil || answer.Status >= http.StatusBadRequest {
		delete(m.answers, id)
	} else if once != nil {
		answer.Body = bytes.Clone(answer.Body)
		m.answers[id] = kept{fingerprint: once.Fingerprint, answer: &answer}
	}
	if m.torn != nil {
		return access.Answer{}, false, m.torn
	}
	if m.down == nil {
		m.entries = append(m.entries, entry)
	}
	return answer, false, m.down
}

// idOf names a request.
func idOf(e access.Entry, once access.Once) [sha256.Size]byte {
	return sha256.Sum256([]byte(strings.Join([]string{e.Realm.Tenant, string(e.Realm.Environment), e.Caller, e.Method, e.Path, once.Key}, " ")))
}

func (m *memory) Kept(_ context.Context, entry access.Entry, once access.Once) (access.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.answers[idOf(entry, once)]
	switch {
	case m.down != nil:
		return access.Answer{}, m.down
	case !known:
		return access.Answer{}, indexer.ErrNotFound
	case before.answer == nil:
		return access.Answer{}, access.ErrRunning
	case before.fingerprint != once.Fingerprint:
		return access.Answer{}, access.ErrOtherBody
	}
	return *before.answer, nil
}

// claim returns the kept answer of a request, or takes the request on.
func (m *memory) claim(id, fingerprint [sha256.Size]byte) (*access.Answer, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before, known := m.answers[id]
	switch {
	case m.down != nil:
		return nil, m.down
	case !known:
		m.answers[id] = kept{fingerprint: fingerprint}
		return nil, nil
	case before.answer == nil:
		return nil, access.ErrRunning
	case before.fingerprint != fingerprint:
		return nil, access.ErrOtherBody
	}
	return before.answer, nil
}

func (m *memory) Record(_ context.Context, entry access.Entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down == nil {
		m.entries = append(m.entries, entry)
	}
	return m.down
}
