package access_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

func TestCovers(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scope, other string
		want         bool
	}{
		{"users:read", "users:read", true},
		{"users:read", "users:write", false},
		{"users:read", "events:read", false},
		{"users:*", "users:delete", true},
		{"users:*", "events:delete", false},
		{"*:read", "events:read", true},
		{"*:read", "events:write", false},
		{"*:*", "events:write", true},
		{"*:*", "*:*", true},
		{"users:*", "*:*", false},
		{"users:*", "users:*", true},
		{"*:read", "*:read", true},
		{"*:read", "*:*", false},
		{"users:write", "users:create", true},
		{"*:write", "wallets:create", true},
		{"users:create", "users:write", false},
		{"users:write", "users:delete", false},
		{"users:write", "users:*", false},
	} {
		require.Equal(t, c.want, access.Covers(c.scope, c.other), "%s covers %s", c.scope, c.other)
	}
}

// What a scope allows is what it covers of the whole list, and it covers another
// exactly if it allows all that the other does.
func FuzzCovers(f *testing.F) {
	f.Add("users:read", "users:write")
	f.Add("*:*", "backup:create")
	f.Add("users:*", "*:write")
	f.Add(":", "*")
	f.Add("users:read:write", "users")
	var every []string
	for _, resource := range access.Resources() {
		for _, action := range access.Actions() {
			every = append(every, resource+":"+action)
		}
	}
	allowed := func(scope string) []string {
		return slices.DeleteFunc(slices.Clone(every), func(one string) bool { return !access.Covers(scope, one) })
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		covers := access.Covers(a, b)
		if access.CheckScope(a) != nil || access.CheckScope(b) != nil {
			return
		}
		require.True(t, access.Covers(a, a))
		require.NotEmpty(t, allowed(a))
		all := !slices.ContainsFunc(allowed(b), func(one string) bool { return !access.Covers(a, one) })
		// A wildcard is more than everything there is today.
		if !strings.Contains(b, "*") || strings.Contains(a, "*") {
			require.Equal(t, all, covers, "%s covers %s", a, b)
		}
		if covers {
			require.True(t, all, "%s covers %s", a, b)
		}
	})
}
