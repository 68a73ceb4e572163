package access

import (
	"context"
	"crypto/hmac"
	"errors"
	"time"

	"tallyd/api/problem"
	"tallyd/indexer"
)

// Still returns nil while the caller of an operation whose Rule says Lasting would be
// let in yet: its key is neither revoked nor expired, what it has shown of the key was
// not ended by a rotation, and the key may do this, from there. Otherwise it returns
// the problem of that, and one too while nobody can tell.
//
// It costs what letting a request in costs, which of a key that is remembered is no
// trip to the store. Who was let in as the master key stays so until the daemon ends.
func Still(ctx context.Context) error {
	c, ok := ctx.Value(lastingKey{}).(*call)
	if !ok {
		return errors.New("the rule of the operation does not say Lasting")
	}
	if p := c.still(ctx); p != nil {
		return p
	}
	return nil
}

type lastingKey struct{}

// still returns nil if the caller, who was let in before, would be let in again.
func (c *call) still(ctx context.Context) *problem.Problem {
	if c.key == nil {
		return nil // the master key: it is the daemon's own
	}
	now := c.gate.now()
	key, err := c.gate.keyring.get(ctx, c.key.ID)
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return c.rule.invalid()
	case err != nil:
		return unknown()
	case !key.shownBy(c.proof, now):
		return c.rule.ended()
	case !(Principal{Scopes: key.Scopes}).Allows(c.rule.Scope):
		return c.rule.forbidden()
	}
	return c.usable(&key.Key, now)
}

// shownBy reports whether who has shown a proof of the key would show one yet.
func (k Key) shownBy(proof []byte, now time.Time) bool {
	current, old := k.Hash, k.OldHash
	if k.Kind == Signed {
		current, old = k.Secret, k.OldSecret
	}
	if hmac.Equal(current, proof) {
		return true
	}
	return len(old) > 0 && k.OldUntil != nil && now.Before(*k.OldUntil) && hmac.Equal(old, proof)
}
