package keys_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/store/secret"
)

// Peppers and keysets rotate by a rolling restart, with daemons of the step before
// and of this one side by side: no key that was made by either, before or
// meanwhile, is refused by any of them.
func TestPeppersAndKeysetsRotate(t *testing.T) {
	t.Parallel()
	const next = "another pepper of the tests"
	first := newHouse(t)
	added, err := secret.Add(first.keyset)
	require.NoError(t, err)
	promoted, err := secret.Promote(added)
	require.NoError(t, err)
	with := func(keyset, pepper string, accepted ...string) house {
		h := house{database: first.database, keyset: keyset, pepper: pepper}
		for _, pepper := range accepted {
			h.accepted = append(h.accepted, access.Pepper(pepper))
		}
		return h
	}
	steps := []house{first, with(added, pepper, next), with(promoted, next, pepper)}
	type made struct{ bearer, signed answer }
	var all []made
	check := func(d *desk) {
		t.Helper()
		for _, m := range all {
			require.Equal(t, http.StatusOK, d.call(m.bearer.text(t, "key"), "GET", "/v1/chains", "").status)
			require.Equal(t, http.StatusOK, d.signed(m.signed.text(t, "key"), m.signed.text(t, "secret"), "GET", "/v1/chains", "").status)
		}
	}
	var before *desk
	for _, h := range steps {
		d := newDesk(t, h)
		for _, daemon := range []*desk{before, d} {
			if daemon == nil {
				continue
			}
			m := made{bearer: daemon.create(master, "team", "chains:read", ""), signed: daemon.create(master, "team", "chains:read", `,"kind":"signed"`)}
			// Rotating seals anew; the one before stays good too.
			all = append(all, m)
			rotated := daemon.call(master, "POST", "/api-keys/"+m.signed.text(t, "api_key_id")+"/rotate", "")
			require.Equal(t, http.StatusOK, rotated.status, rotated.raw)
			again := daemon.call(master, "POST", "/api-keys/"+m.bearer.text(t, "api_key_id")+"/rotate", "")
			require.Equal(t, http.StatusOK, again.status, again.raw)
			all = append(all, made{bearer: again, signed: rotated})
			if before != nil {
				check(before)
			}
			check(d)
		}
		before = d
	}
	// Answers kept under the old primary key can still be had.
	old, now := newDesk(t, steps[1]), newDesk(t, steps[2])
	create := func(d *desk) answer {
		return d.call(master, "POST", "/api-keys", body("team", "*:*", ""), "Idempotency-Key", "a")
	}
	require.Equal(t, create(old).raw, create(now).raw)

	// A pepper that is accepted no more ends its keys, and no others.
	alone := newDesk(t, with(promoted, next))
	require.Equal(t, http.StatusUnauthorized, alone.call(all[0].bearer.text(t, "key"), "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusOK, alone.call(all[len(all)-1].bearer.text(t, "key"), "GET", "/v1/chains", "").status)
}
