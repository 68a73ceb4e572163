package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// A deposit whose block left, and that neither a block nor the mempool has again, is
// given up when the branch that took its place is as deep as it should have been. It
// comes back if it is mined all the same.
func TestOrphanedIsGivenUp(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		policy custody.Policy
		// upTo appends what is not deep enough yet, and then what is.
		upTo, beyond func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef
	}{
		{
			name: "Depth", policy: depth(3),
			upTo: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				return d.empty(t, tip, 12, 13, 14, 15)
			},
			beyond: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				return d.empty(t, tip, 16)
			},
		},
		{
			name: "Safe", policy: custody.Policy{Default: custody.Threshold{Basis: custody.BasisSafe}},
			upTo: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				tip = d.empty(t, tip, 12, 13, 14, 15, 16)
				d.amend(t, indexer.Amendment{Safe: new(uint64(12)), Final: new(uint64(13))})
				return tip
			},
			beyond: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				d.amend(t, indexer.Amendment{Safe: new(uint64(13))})
				return tip
			},
		},
		{
			name: "Final", policy: custody.Policy{Default: custody.Threshold{Basis: custody.BasisFinal}},
			upTo: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				tip = d.empty(t, tip, 12, 13, 14, 15, 16)
				d.amend(t, indexer.Amendment{Safe: new(uint64(14)), Final: new(uint64(12))})
				return tip
			},
			beyond: func(t *testing.T, d *desk, tip chains.BlockRef) chains.BlockRef {
				t.Helper()
				d.amend(t, indexer.Amendment{Final: new(uint64(13))})
				return tip
			},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, first := newDesk(t, store.Options{}, chains.FamilyBitcoin, tt.policy)
			w := d.open(t)
			d.complete(t)
			payment := transfers(d.to(1, 0, 500))
			second := d.apply(t, first, 2, payment)
			third := d.empty(t, second, 3)
			require.EqualValues(t, 12, third.Height)
			id := d.depositsOf(t, w)[0].ID

			d.revert(t, second, third)
			tip := tt.upTo(t, d, first)
			require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, w))
			tip = tt.beyond(t, d, tip)
			one := d.depositsOf(t, w)[0]
			require.Equal(t, custody.Dropped, one.State)
			require.Equal(t, custody.ReasonReorg, one.Reason)
			require.Nil(t, one.Due)
			tx, err := d.CustodyTransaction(t.Context(), d.realm, id)
			require.NoError(t, err)
			require.Equal(t, custody.Failed, tx.Status)
			require.Equal(t, custody.ReasonReorg, tx.Reason)
			d.sound(t)

			d.apply(t, tip, 20, payment)
			require.Equal(t, []custody.DepositState{custody.Confirming}, d.states(t, w))
			require.Equal(t, id, d.depositsOf(t, w)[0].ID)
			require.Equal(t, []string{"deposit.confirming", "deposit.orphaned", "deposit.dropped", "deposit.confirming"}, d.told(t, "deposit."))
			require.Equal(t, "500 0 0", d.holds(t, w))
			d.sound(t)
		})
	}
}

// The transaction of a deposit says what became of it last, also if that is not the
// first end that it came to.
func TestSecondEnd(t *testing.T) {
	t.Parallel()
	d, first := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	d.complete(t)
	payment := chains.Match{Transfers: []chains.Transfer{d.to(1, 0, 500)}, Spends: []chains.Spend{spend(1, 70)}}
	d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(1, transfers(d.to(1, 0, 500)), spend(1, 70))}})
	second := d.apply(t, first, 2, payment)
	d.revert(t, second)
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	end := func() string {
		t.Helper()
		tx, err := d.CustodyTransaction(t.Context(), d.realm, d.depositsOf(t, w)[0].ID)
		require.NoError(t, err)
		return string(tx.Status) + " " + tx.Reason
	}
	d.amend(t, indexer.Amendment{Dropped: []chains.Hash{hash('t', 1)}})
	tip := d.empty(t, first, 12, 13, 14)
	require.Equal(t, "Failed reorg", end())
	d.apply(t, tip, 15, chains.Match{Spends: []chains.Spend{spend(2, 70)}})
	require.Equal(t, []custody.DepositState{custody.Replaced}, d.states(t, w))
	require.Equal(t, "Failed ", end())
	d.sound(t)
}

// Nothing is given up while credits are halted, nor while the past of an address is
// searched, which may find the deposit again.
func TestOrphanedWaits(t *testing.T) {
	t.Parallel()
	d, first := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	second := d.apply(t, first, 2, transfers(d.to(1, 0, 500)))
	require.Equal(t, "0 500 0", d.holds(t, w))
	d.revert(t, second)
	tip := d.empty(t, first, 12, 13, 14)
	require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, w), "halted, and searched")
	d.complete(t)
	tip = d.empty(t, tip, 15)
	require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, w), "halted")
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	require.Equal(t, []custody.DepositState{custody.Dropped}, d.states(t, w))

	v := d.open(t)
	third := d.apply(t, tip, 16, transfers(d.to(2, 1, 7)))
	require.Equal(t, []custody.DepositState{custody.Credited}, d.states(t, v))
	d.revert(t, third)
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	tip = d.empty(t, tip, 17, 18, 19)
	require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, v), "searched")
	d.complete(t)
	d.empty(t, tip, 20)
	require.Equal(t, []custody.DepositState{custody.Dropped}, d.states(t, v))
	d.sound(t)
}

// A log that moved nothing is no deposit once it is as deep as a credit must be. Its
// vault can be archived then.
func TestNothingArrived(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(3))
	vault := e.newVault(t)
	w := e.openIn(t, vault, e.token)
	e.opened(t, reading{0, e.token, 0})
	e.mine(t, transfers(e.log(1, 0, e.token, 100)), reading{0, e.token, 0})
	e.mine(t, chains.Match{})
	require.Equal(t, "100 0 0", e.holds(t, w))
	_, err := e.SetVaultStatus(t.Context(), e.realm, vault, custody.VaultArchived)
	require.ErrorIs(t, err, custody.ErrNotEmpty)
	e.mine(t, chains.Match{})
	require.Equal(t, "0 0 0", e.holds(t, w))
	one := e.depositsOf(t, w)[0]
	require.Equal(t, custody.Dropped, one.State)
	require.Equal(t, custody.ReasonUnmoved, one.Reason)
	require.Equal(t, []string{"deposit.confirming", "deposit.dropped"}, e.told(t, "deposit."))
	_, err = e.SetVaultStatus(t.Context(), e.realm, vault, custody.VaultArchived)
	require.NoError(t, err)
	e.sound(t)
}

// A forged log that a later payment seemed to prove, since both stand between two
// readings, is not credited before the payment is as deep, and is judged anew when
// the payment's block leaves.
func TestProofLeansOnALaterBlock(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(2))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	e.mine(t, transfers(e.log(1, 0, e.token, 100)))
	fork := e.tip
	payment := e.mine(t, transfers(e.log(2, 0, e.token, 60)))
	e.amend(t, indexer.Amendment{Snapshots: e.snapshots(e.tip, reading{0, e.token, 60})})
	require.Equal(t, "160 0 0", e.holds(t, w), "the forged one is deep enough, and what it is believed for is not")
	last := e.mine(t, chains.Match{})
	require.Equal(t, "0 60 0", e.holds(t, w))
	require.Equal(t, []custody.DepositState{custody.Credited, custody.Dropped}, e.states(t, w))

	e.revert(t, payment, last)
	require.Equal(t, "100 0 0", e.holds(t, w))
	require.Equal(t, []custody.DepositState{custody.Confirming, custody.Dropped}, e.states(t, w))
	e.sound(t)
	e.tip = fork
	e.mine(t, chains.Match{}, reading{0, e.token, 0})
	require.NoError(t, e.Resume(t.Context(), e.chain.Slug))
	require.Equal(t, "0 0 0", e.holds(t, w))
	require.Equal(t, []custody.DepositState{custody.Dropped, custody.Dropped}, e.states(t, w))
	e.sound(t)
}

// A payment that is returned in its own transaction lends nothing to others that say
// more than they bring.
func TestBounceProvesNothing(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	w := e.openIn(t, e.newVault(t), e.token)
	e.opened(t, reading{0, e.token, 0})
	taxed, in, out := e.log(1, 0, e.token, 100), e.log(2, 0, e.token, 50), e.log(2, 0, e.token, 50)
	in.TxIndex, out.TxIndex, out.Source, out.Side = 1, 1, chains.SourceLog(1), chains.Out
	e.mine(t, transfers(taxed, in, out), reading{0, e.token, 90})
	require.Equal(t, "0 90 0", e.holds(t, w))
	require.ElementsMatch(t, []custody.DepositState{custody.Credited, custody.Dropped}, e.states(t, w))
	e.sound(t)
}
