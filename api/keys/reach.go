package keys

import (
	"net/http"
	"net/netip"
	"slices"

	"tallyd/api/access"
	"tallyd/api/problem"
)

// mayTouch returns a problem unless the caller may look after a key: it is their
// owner's, and the owner they name, if any, is the key's.
func (c caller) mayTouch(key access.Key, owner string) error {
	if owner != "" && owner != key.Owner || c.own != nil && c.own.Owner != key.Owner {
		return notItsOwner()
	}
	return nil
}

// covers returns a problem unless a key can do no more than the caller's own: who
// makes a key, changes it or gets its secret can use it.
func (c caller) covers(key access.Key) error {
	if c.own == nil {
		return nil
	}
	for _, scope := range key.Scopes {
		if !slices.ContainsFunc(c.own.Scopes, func(own string) bool { return access.Covers(own, scope) }) {
			return broader("scopes")
		}
	}
	if len(c.own.Addresses) > 0 && (len(key.Addresses) == 0 || slices.ContainsFunc(key.Addresses, c.beyond)) {
		return broader("addresses")
	}
	if c.own.PerMinute > 0 && (key.PerMinute == 0 || key.PerMinute > c.own.PerMinute) {
		return broader("a budget")
	}
	return nil
}

// beyond reports whether a network reaches beyond those of the caller's key.
func (c caller) beyond(network netip.Prefix) bool {
	return !slices.ContainsFunc(c.own.Addresses, func(own netip.Prefix) bool {
		return own.Bits() <= network.Bits() && own.Contains(network.Addr())
	})
}

// mayBudget returns a problem unless the caller may give a key a budget. The
// operator decides what a tenant may ask for; a key hands on its own.
func (c caller) mayBudget(perMinute int) error {
	if c.own == nil || perMinute == c.own.PerMinute || c.own.PerMinute > 0 && perMinute > 0 && perMinute < c.own.PerMinute {
		return nil
	}
	if c.own.PerMinute > 0 {
		return broader("a budget")
	}
	return problem.New(http.StatusForbidden, problem.ScopeEscalation, "only the master key sets per_minute")
}
