package access

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// Principal is who is calling: a key of a tenant, the operator's master key, or
// one end customer.
type Principal struct {
	Realm  indexer.Realm
	KeyID  string    // "master" for the master key, "" for a user
	Owner  string    // of the key
	Scopes []string  // of the key
	Master bool      // may do everything in every realm
	User   uuid.UUID // zero unless the caller came with a user token
}

// Allows reports whether the caller's scopes cover a scope. A user has none: its
// token opens its own accounts only.
func (p Principal) Allows(scope string) bool {
	return p.Master || slices.ContainsFunc(p.Scopes, func(own string) bool { return Covers(own, scope) })
}

// Name returns what the log calls the caller: the id of the key, or user: and
// the id of the user.
func (p Principal) Name() string {
	if p.User != uuid.Nil {
		return "user:" + p.User.String()
	}
	return p.KeyID
}

type principalKey struct{}

// From returns the caller that the Gate let in. Called behind no Gate it
// returns the zero Principal, which may do nothing and owns nothing.
func From(ctx context.Context) Principal {
	p, _ := ctx.Value(principalKey{}).(Principal)
	return p
}
