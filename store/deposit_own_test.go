package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

// A token that is taken off the list is credited no more, also what was seen of it
// before: the operator may know why. Back on the list, it is credited as it is due.
func TestUnlistedWhileConfirming(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(2))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	e.mine(t, transfers(e.log(1, 0, e.token, 70)), reading{0, e.token, 70})
	e.list(t)
	e.mine(t, chains.Match{})
	e.mine(t, chains.Match{})
	require.Equal(t, "70 0 0", e.holds(t, w), "deep enough, and not listed")
	e.list(t, e.token)
	require.Equal(t, "0 70 0", e.holds(t, w))
	e.mine(t, transfers(e.log(2, 0, e.token, 5)), reading{0, e.token, 75})
	e.list(t)
	e.list(t, e.token)
	require.Equal(t, "5 70 0", e.holds(t, w), "not deep enough yet")
	e.mine(t, chains.Match{})
	require.Equal(t, "0 75 0", e.holds(t, w))
	e.sound(t)
}

// What an address was sent from the tenant's own pool proves nothing about what
// others say they sent.
func TestOwnMoneyProvesNothing(t *testing.T) {
	t.Parallel()
	for name, later := range map[string]bool{"Before": false, "After": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := newEVMDesk(t, depth(1))
			w := e.openIn(t, e.newVault(t), e.token)
			e.opened(t, reading{0, e.token, 0})
			treasury := indexer.WatchedScript{Script: peerOf(7), Address: "0x7"}
			require.NoError(t, e.SetTreasury(t.Context(), e.realm, e.chain.Slug, treasury))
			taxed, own := transfers(e.log(1, 0, e.token, 100)), transfers(e.log(2, 0, e.token, 50))
			own.Transfers[0].Peer = treasury.Script
			if later {
				e.mine(t, taxed)
				e.mine(t, own, reading{0, e.token, 148})
			} else {
				e.mine(t, own)
				e.mine(t, taxed, reading{0, e.token, 148})
			}
			require.Equal(t, "0 98 0", e.holds(t, w))
			e.sound(t)
		})
	}
}

// An orphaned deposit that waits for a height nobody reads any more is given up by
// the policy there is now.
func TestOrphanedUnderAnotherPolicy(t *testing.T) {
	t.Parallel()
	safe := custody.Policy{Default: custody.Threshold{Basis: custody.BasisSafe}}
	e := newEVMDesk(t, safe)
	w := e.open(t)
	e.opened(t, reading{0, e.chain.Native.ID, 0})
	e.complete(t)
	fork := e.tip
	first := e.mine(t, transfers(e.log(1, 0, e.chain.Native.ID, 9)), reading{0, e.chain.Native.ID, 9})
	e.revert(t, first)
	e.tip = fork
	e.mine(t, chains.Match{})
	require.NoError(t, e.SetPolicy(t.Context(), e.chain.Slug, depth(3)))
	e.mine(t, chains.Match{})
	e.mine(t, chains.Match{})
	require.Equal(t, []custody.DepositState{custody.Orphaned}, e.states(t, w))
	e.mine(t, chains.Match{})
	require.Equal(t, []custody.DepositState{custody.Dropped}, e.states(t, w))
	e.sound(t)
}
