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
	Scopes []string  // of the key
	Master bool      // may do everything in every realm
	User   uuid.UUID // zero unless the caller came with a user token
}

// Allows reports whether the caller may do action (read, write, delete) on
// resource. A user has no scopes: its token opens its own accounts only.
func (p Principal) Allows(resource, action string) bool {
	if p.Master {
		return true
	}
	return slices.ContainsFunc(p.Scopes, func(scope string) bool {
		return scope == resource+":"+action || scope == resource+":*" || scope == "*:"+action || scope == "*:*"
	})
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
