package access

import (
	"fmt"
	"slices"
	"strings"
)

// Resources returns what scopes are about, beside the wildcard.
func Resources() []string {
	return []string{
		// What a ledger of accounts has.
		"ledgers", "balances", "accounts", "identities", "transactions", "balance-monitors", "hooks", "api-keys",
		"search", "reconciliation", "metadata", "backup",
		// What tallyd has beside them.
		"users", "events", "chains", "audit", "vaults", "wallets", "assets", "deposits", "address-book", "webhooks", "custody", "venues", "prices",
	}
}

// Actions returns what scopes allow, beside the wildcard. write implies create.
func Actions() []string { return []string{"read", "write", "create", "delete"} }

// CheckScope returns an error that names what is wrong with a scope, nil if
// nothing is.
func CheckScope(scope string) error {
	resource, action, found := strings.Cut(scope, ":")
	switch {
	case !found:
		return fmt.Errorf("scope %.60q is not resource:action", scope)
	case resource != "*" && !slices.Contains(Resources(), resource):
		return fmt.Errorf("scope %.60q names an unknown resource", scope)
	case action != "*" && !slices.Contains(Actions(), action):
		return fmt.Errorf("scope %.60q names an unknown action: read, write, create, delete or *", scope)
	}
	return nil
}

// Covers reports whether scope allows all that other allows.
func Covers(scope, other string) bool {
	resource, action, _ := strings.Cut(scope, ":")
	otherResource, otherAction, _ := strings.Cut(other, ":")
	if resource != "*" && resource != otherResource {
		return false
	}
	return action == "*" || action == otherAction || action == "write" && otherAction == "create"
}
