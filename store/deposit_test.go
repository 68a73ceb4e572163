package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// One payment on its whole road: seen, mined, deep enough, taken back by a reorg,
// seen again, mined elsewhere, credited again. It keeps its id.
func TestDepositRoad(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{store.PoolerSession, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			d, first := newDesk(t, store.Options{Pooler: pooler}, chains.FamilyBitcoin, depth(2))
			w := d.open(t)
			payment := transfers(d.to(1, 0, 500))

			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(1, payment)}})
			require.Equal(t, "500 0 0", d.holds(t, w))
			id := d.depositsOf(t, w)[0].ID
			second := d.apply(t, first, 2, payment)
			require.Equal(t, "500 0 0", d.holds(t, w))
			require.EqualValues(t, 1, d.depositsOf(t, w)[0].Confirmations())
			third := d.empty(t, second, 3)
			require.Equal(t, "0 500 0", d.holds(t, w))
			one, err := d.CustodyTransaction(ctx, d.realm, id)
			require.NoError(t, err)
			require.Equal(t, custody.Completed, one.Status)
			require.Equal(t, custody.Credited, one.Deposit.State)
			require.Equal(t, "500", one.Deposit.Received.String())

			d.revert(t, second, third)
			require.Equal(t, "0 0 0", d.holds(t, w))
			require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, w))
			d.sound(t)
			d.amend(t, indexer.Amendment{Revived: []chains.Hash{hash('t', 1)}})
			require.Equal(t, "500 0 0", d.holds(t, w))
			other := d.empty(t, d.apply(t, d.empty(t, first, 12), 13, payment), 14)
			require.Equal(t, "500 0 0", d.holds(t, w), "a credit was taken back: the chain is halted")
			require.NoError(t, d.Resume(ctx, d.chain.Slug))
			require.Equal(t, "0 500 0", d.holds(t, w))
			d.empty(t, other, 15)

			found := d.depositsOf(t, w)
			require.Len(t, found, 1)
			require.Equal(t, id, found[0].ID)
			require.EqualValues(t, 7, found[0].Version)
			require.Equal(t, []string{
				"deposit.detected", "deposit.confirming", "deposit.credited", "deposit.orphaned",
				"deposit.detected", "deposit.confirming", "deposit.credited",
			}, d.told(t, "deposit."))
			require.Equal(t, []string{
				"transaction.created", "transaction.status.updated", "transaction.status.updated", "transaction.status.updated",
			}, d.told(t, "transaction."))
			d.sound(t)
		})
	}
}

// What ends a deposit that is not in a block, and what brings it back. None of it
// touches what is available.
func TestUnconfirmedDeposits(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		then  func(t *testing.T, d *desk, tip chains.BlockRef)
		state custody.DepositState
		holds string
		told  []string // after deposit.detected
	}{
		{name: "Dropped", state: custody.Dropped, holds: "0 0 0", told: []string{"deposit.dropped"}, then: func(t *testing.T, d *desk, _ chains.BlockRef) {
			t.Helper()
			d.amend(t, indexer.Amendment{Dropped: []chains.Hash{hash('t', 1)}})
		}},
		{name: "Revived", state: custody.Detected, holds: "500 0 0", told: []string{"deposit.dropped", "deposit.detected"}, then: func(t *testing.T, d *desk, _ chains.BlockRef) {
			t.Helper()
			d.amend(t, indexer.Amendment{Dropped: []chains.Hash{hash('t', 1)}})
			d.amend(t, indexer.Amendment{Revived: []chains.Hash{hash('t', 1)}})
		}},
		{name: "ReplacedInTheMempoolByOneThatPaysElsewhere", state: custody.Replaced, holds: "0 0 0", told: []string{"deposit.replaced"}, then: func(t *testing.T, d *desk, _ chains.BlockRef) {
			t.Helper()
			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(2, chains.Match{Spends: []chains.Spend{spend(2, 70)}})}})
		}},
		{name: "ReplacedInABlock", state: custody.Replaced, holds: "0 0 0", told: []string{"deposit.replaced"}, then: func(t *testing.T, d *desk, tip chains.BlockRef) {
			t.Helper()
			d.apply(t, tip, 2, chains.Match{Spends: []chains.Spend{spend(2, 70)}})
		}},
		// The parent of the payment is replaced, and the payment with it.
		{name: "ParentReplaced", state: custody.Replaced, holds: "0 0 0", told: []string{"deposit.replaced"}, then: func(t *testing.T, d *desk, tip chains.BlockRef) {
			t.Helper()
			watched := d.pay(70, 1, 9)
			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(70, transfers(watched), spend(70, 71))}})
			d.apply(t, tip, 2, chains.Match{Spends: []chains.Spend{spend(3, 71)}})
		}},
		{name: "DroppedAndReplacedAtOnce", state: custody.Replaced, holds: "0 0 0", told: []string{"deposit.replaced"}, then: func(t *testing.T, d *desk, _ chains.BlockRef) {
			t.Helper()
			d.amend(t, indexer.Amendment{
				Dropped: []chains.Hash{hash('t', 1)},
				Pending: []chains.UnconfirmedTx{pending(2, chains.Match{Spends: []chains.Spend{spend(2, 70)}})},
			})
		}},
		{name: "ReplacedAndMinedAllTheSame", state: custody.Credited, holds: "0 500 0", told: []string{"deposit.replaced", "deposit.confirming", "deposit.credited"}, then: func(t *testing.T, d *desk, tip chains.BlockRef) {
			t.Helper()
			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(2, chains.Match{Spends: []chains.Spend{spend(2, 70)}})}})
			d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
			w := d.open(t)
			d.connect(t, script(1))
			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(1, transfers(d.to(1, 0, 500)), spend(1, 70))}})
			require.Equal(t, "500 0 0", d.holds(t, w))
			tt.then(t, d, tip)
			require.Equal(t, []custody.DepositState{tt.state}, d.states(t, w))
			require.Equal(t, tt.holds, d.holds(t, w))
			require.Equal(t, append([]string{"deposit.detected"}, tt.told...), d.told(t, "deposit."))
			d.sound(t)
		})
	}
}

// Money that comes from the tenant's own addresses is no deposit: neither a sweep
// nor change, whichever leg is found first.
func TestOwnMoneyIsNoDeposit(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	a, b := d.open(t), d.open(t)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	require.Equal(t, "0 500 0", d.holds(t, a))
	tip = d.apply(t, tip, 3, chains.Match{Transfers: []chains.Transfer{d.to(2, 1, 400)}, Spends: []chains.Spend{spend(2, 1)}})
	require.Equal(t, "0 0 0", d.holds(t, b))
	require.Empty(t, d.depositsOf(t, b))
	require.Equal(t, "0 500 0", d.holds(t, a), "the wallet's claim is on the pool, not on one coin")
	d.empty(t, tip, 4)
	d.sound(t)
}

// registerNine adds script(9) to the pool of a realm's addresses.
func (d *desk) registerNine(t testing.TB) {
	t.Helper()
	added, err := d.RegisterAddresses(t.Context(), d.realm, d.chain.Slug, []indexer.WatchedScript{{Script: script(9), Address: "nine"}})
	require.NoError(t, err)
	require.Equal(t, 1, added)
}

// searchNine finds that script(9) was paid before the first block followed, and spent
// by transaction 3 in a block.
func (d *desk) searchNine(t testing.TB, spent chains.BlockRef) {
	t.Helper()
	searched, err := d.SearchScripts(t.Context(), d.chain.Slug, 10)
	require.NoError(t, err)
	for _, one := range searched {
		if string(one.Script) != string(script(9)) {
			continue
		}
		require.NoError(t, d.Fill(t.Context(), indexer.Filling{Chain: d.chain.Slug, Scripts: []int64{one.ID}, Blocks: []indexer.FilledBlock{
			{Ref: block(chains.BlockRef{Height: 9}, 1), Match: transfers(d.pay(80, 9, 75))},
			{Ref: spent, Match: chains.Match{Spends: []chains.Spend{spend(3, 80)}}},
		}}))
	}
}

// A payment from an address that was ours already, but whose past was not known, is
// taken back when it is.
func TestOwnMoneyOfThePast(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	d.registerNine(t)
	paid := d.apply(t, tip, 2, transfers(d.to(3, 0, 70)))
	require.Equal(t, "0 70 0", d.holds(t, w))
	d.searchNine(t, paid)
	require.Equal(t, "0 0 0", d.holds(t, w))
	found := d.depositsOf(t, w)
	require.Equal(t, custody.Dropped, found[0].State)
	require.Equal(t, custody.ReasonInternal, found[0].Reason)
	d.sound(t)
	require.Empty(t, d.halted(t), "no reorg took anything back")
}

// A deposit stays one when the address that it came from becomes the tenant's own
// later: neither what is found of that address' past nor a reorg makes it another,
// and a credit that a reorg takes back is counted.
func TestAddressThatIsOursLater(t *testing.T) {
	t.Parallel()
	for _, state := range []custody.DepositState{custody.Detected, custody.Confirming, custody.Credited} {
		t.Run(string(state), func(t *testing.T) {
			t.Parallel()
			d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(2))
			w := d.open(t)
			payment := transfers(d.to(3, 0, 70))
			d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(3, payment)}})
			var branch []chains.BlockRef
			if state != custody.Detected {
				branch = append(branch, d.apply(t, tip, 2, payment))
			}
			if state == custody.Credited {
				branch = append(branch, d.empty(t, branch[0], 3))
			}
			require.Equal(t, []custody.DepositState{state}, d.states(t, w))
			id := d.depositsOf(t, w)[0].ID

			d.registerNine(t)
			if state == custody.Detected {
				d.searchNine(t, tip)
				branch = append(branch, d.apply(t, tip, 2, payment))
			} else {
				d.searchNine(t, branch[0])
			}
			if state != custody.Credited {
				branch = append(branch, d.empty(t, branch[0], 3))
			}
			require.Equal(t, "0 70 0", d.holds(t, w))

			d.revert(t, branch...)
			require.Equal(t, []custody.DepositState{custody.Orphaned}, d.states(t, w))
			require.Equal(t, "a reorg took back 1 credited deposits", d.halted(t))
			d.empty(t, d.apply(t, d.empty(t, tip, 12), 13, payment), 14)
			require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
			require.Equal(t, "0 70 0", d.holds(t, w))
			require.Equal(t, id, d.depositsOf(t, w)[0].ID)
			d.sound(t)
		})
	}
}

// A credit that a reorg takes back is counted whatever the money turns out to be.
func TestReorgOfOwnMoney(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	paid := d.apply(t, tip, 2, transfers(d.to(3, 0, 70)))
	d.registerNine(t)
	d.searchNine(t, paid)
	require.Equal(t, "0 70 0", d.holds(t, w))
	_, err := d.Pool().Exec(t.Context(), `UPDATE addresses SET created_at = '-infinity' WHERE address = 'nine'`)
	require.NoError(t, err)
	d.revert(t, paid)
	require.Equal(t, "0 0 0", d.holds(t, w))
	require.Equal(t, custody.ReasonInternal, d.depositsOf(t, w)[0].Reason)
	require.Equal(t, "a reorg took back 1 credited deposits", d.halted(t))
	d.sound(t)
}

// A coinbase is credited when it can be spent, whatever the policy says.
func TestCoinbaseDeposit(t *testing.T) {
	t.Parallel()
	for _, policy := range []custody.Policy{depth(1), {Default: custody.Threshold{Basis: custody.BasisFinal}}} {
		t.Run(string(policy.Default.Basis), func(t *testing.T) {
			t.Parallel()
			d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, policy) // matures after 3 blocks
			w := d.open(t)
			reward := d.to(1, 0, 500)
			reward.Coinbase = true
			tip = d.apply(t, tip, 2, transfers(reward))
			d.amend(t, indexer.Amendment{Final: new(tip.Height)})
			require.Equal(t, "500 0 0", d.holds(t, w))
			tip = d.empty(t, tip, 3)
			d.amend(t, indexer.Amendment{Final: new(tip.Height)})
			require.Equal(t, "500 0 0", d.holds(t, w))
			tip = d.empty(t, tip, 4)
			d.amend(t, indexer.Amendment{Final: new(tip.Height)})
			require.Equal(t, "0 500 0", d.holds(t, w))
		})
	}
}

// The policy by amount, and the heights that nodes call safe and final.
func TestPolicies(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, custody.Policy{})
	native := d.chain.Native.ID
	rule := func(from int64, basis custody.Basis, n uint64) custody.Rule {
		return custody.Rule{Asset: native, From: chains.NewAmount(from), Threshold: custody.Threshold{Basis: basis, Confirmations: n}}
	}
	require.NoError(t, d.SetPolicy(ctx, d.chain.Slug, custody.Policy{
		Default: custody.Threshold{Basis: custody.BasisDepth, Confirmations: 1},
		Rules:   []custody.Rule{rule(1000, custody.BasisSafe, 0), rule(10, custody.BasisDepth, 2), rule(5000, custody.BasisFinal, 0)},
	}))
	var wallets []custody.Wallet
	for range 4 {
		wallets = append(wallets, d.open(t))
	}
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 9), d.to(2, 1, 10), d.to(3, 2, 1000), d.to(4, 3, 5000)))
	all := func(want ...string) {
		t.Helper()
		for i, w := range wallets {
			require.Equal(t, want[i], d.holds(t, w), "wallet %d", i)
		}
	}
	all("0 9 0", "10 0 0", "1000 0 0", "5000 0 0")
	tip = d.empty(t, tip, 3)
	all("0 9 0", "0 10 0", "1000 0 0", "5000 0 0")
	d.amend(t, indexer.Amendment{Final: new(tip.Height - 2), Safe: new(tip.Height - 1)})
	all("0 9 0", "0 10 0", "0 1000 0", "5000 0 0")
	d.amend(t, indexer.Amendment{Final: new(tip.Height - 1)})
	all("0 9 0", "0 10 0", "0 1000 0", "0 5000 0")

	// A reorg lowers both: what is mined above is neither final nor safe.
	d.revert(t, tip)
	tip = d.apply(t, block(block(chains.BlockRef{Height: 9}, 1), 2), 13, transfers(d.to(5, 2, 1000), d.to(6, 3, 5000)))
	all("0 9 0", "0 10 0", "1000 1000 0", "5000 5000 0")
	require.NoError(t, d.SetPolicy(ctx, d.chain.Slug, depth(2)))
	d.empty(t, tip, 14)
	all("0 9 0", "0 10 0", "0 2000 0", "0 10000 0")
	d.sound(t)
}

// A policy that becomes more lenient credits at once what waited.
func TestPolicyChanges(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(6))
	w := d.open(t)
	d.apply(t, tip, 2, transfers(d.to(1, 0, 9)))
	require.Equal(t, "9 0 0", d.holds(t, w))
	require.NoError(t, d.SetPolicy(t.Context(), d.chain.Slug, depth(1)))
	require.Equal(t, "0 9 0", d.holds(t, w))
	require.ErrorIs(t, d.SetPolicy(t.Context(), "nowhere", depth(1)), indexer.ErrNotFound)
}

// A reorg takes back money that was moved on: the wallet owes, is frozen, and is
// neither once it was paid.
func TestFrozen(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	a, b := d.open(t), d.open(t)
	paid := d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	require.NoError(t, d.move(t, a, b, 300))
	d.revert(t, paid)
	require.Equal(t, "0 -300 0 Frozen", d.holds(t, a))
	require.Equal(t, "0 300 0", d.holds(t, b))
	require.ErrorIs(t, d.move(t, a, b, 1), custody.ErrFrozen)
	require.Contains(t, d.told(t, "wallet."), "wallet.status.updated")
	d.sound(t)

	require.NoError(t, d.move(t, b, a, 100), "it may be paid")
	require.Equal(t, "0 -200 0 Frozen", d.holds(t, a))
	require.NoError(t, d.move(t, b, a, 200))
	require.Equal(t, "0 0 0", d.holds(t, a))
	require.Equal(t, []string{"wallet.created", "wallet.created", "wallet.status.updated", "wallet.status.updated"}, d.told(t, "wallet."))

	// Mined again, the deposit is credited again.
	d.apply(t, tip, 12, transfers(d.to(1, 0, 500)))
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	require.Equal(t, "0 500 0", d.holds(t, a))
	d.sound(t)
}

// A reorg that takes a credit back halts credits on its chain, and on no other,
// until an operator resumes it. Following goes on.
func TestHalt(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := openStore(t, store.Options{})
	d, tip := deskIn(t, s, chains.FamilyBitcoin, depth(2))
	elsewhere, otherTip := deskIn(t, s, chains.FamilyBitcoin, depth(1))
	w, other := d.open(t), elsewhere.open(t)
	second := d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	d.revert(t, second)
	require.Empty(t, d.halted(t), "it was not credited yet")
	second = d.apply(t, tip, 12, transfers(d.to(1, 0, 500)))
	third := d.empty(t, second, 13)
	d.revert(t, second, third)
	require.Equal(t, "a reorg took back 1 credited deposits", d.halted(t))
	tip = d.empty(t, d.apply(t, tip, 22, transfers(d.to(2, 0, 70))), 23, 24)
	require.Equal(t, []custody.DepositState{custody.Orphaned, custody.Confirming}, d.states(t, w))
	require.Equal(t, "70 0 0", d.holds(t, w))
	d.say(t, indexer.StateDegraded)
	d.say(t, indexer.StateLevel)
	elsewhere.apply(t, otherTip, 2, transfers(elsewhere.to(1, 0, 500)))
	require.Equal(t, "0 500 0", elsewhere.holds(t, other))

	require.NoError(t, d.Resume(ctx, d.chain.Slug))
	require.Empty(t, d.halted(t))
	require.Equal(t, "0 70 0", d.holds(t, w))
	require.NoError(t, d.Resume(ctx, d.chain.Slug), "resuming twice changes nothing")
	require.ErrorIs(t, d.Resume(ctx, "nowhere"), indexer.ErrNotFound)
	told := []string{"chain.degraded", "chain.degraded", "chain.degraded", "chain.recovered"}
	require.Equal(t, told, d.told(t, "chain."), "a node that is back ends no halt")
	d.say(t, indexer.StateDegraded)
	d.say(t, indexer.StateLevel)
	require.Equal(t, append(told, "chain.degraded", "chain.recovered"), d.told(t, "chain."))
	d.empty(t, tip, 25)
	d.sound(t)
}

// While nodes are in dispute nothing is credited, and what was due meanwhile is once
// they agree. A halt is another matter.
func TestDispute(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(2))
	w := d.open(t)
	d.dispute(t, "two branches")
	tip = d.empty(t, d.apply(t, tip, 2, transfers(d.to(2, 0, 500))), 3, 4, 5)
	require.Equal(t, []custody.DepositState{custody.Confirming}, d.states(t, w))
	require.Equal(t, "500 0 0", d.holds(t, w))

	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	require.Equal(t, "500 0 0", d.holds(t, w), "an operator cannot end it")
	left := indexer.Dispute{Reason: "two branches", Height: tip.Height}
	d.amend(t, indexer.Amendment{Dispute: &left})
	cursor, err := d.Acquire(t.Context(), d.chain.Slug, d.lease.Owner, leaseTime)
	require.NoError(t, err)
	require.Equal(t, left, cursor.Dispute, "whoever follows next knows of it")
	d.dispute(t, "")
	require.Equal(t, "0 500 0", d.holds(t, w))
	d.empty(t, tip, 6)
	d.sound(t)
}

// A reorg that is longer than the chain's limit halts credits, whether or not it
// took any back, also when it comes in two parts.
func TestReorgLimit(t *testing.T) {
	t.Parallel()
	policy := depth(1)
	policy.ReorgLimit = 3
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, policy)
	w := d.open(t)
	blocks := []chains.BlockRef{tip}
	for n := range 9 {
		blocks = append(blocks, d.empty(t, blocks[n], 20+n))
	}
	reason := func() string {
		statuses, err := d.ChainStatuses(t.Context())
		require.NoError(t, err)
		return statuses[0].Halted
	}
	d.revert(t, blocks[7:]...)
	require.Empty(t, reason(), "three are within the limit")
	tip = d.empty(t, blocks[6], 40)
	d.revert(t, blocks[5], blocks[6], tip)
	require.Empty(t, reason(), "a block in between begins a new reorg")
	d.revert(t, blocks[4])
	require.Equal(t, "a reorg took back more than 3 blocks", reason())
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	d.dispute(t, "")
	require.Empty(t, reason(), "resumed before another block came")
	d.revert(t, blocks[3])
	require.Equal(t, "a reorg took back more than 3 blocks", reason())
	d.apply(t, blocks[2], 50, transfers(d.to(1, 0, 500)))
	require.Equal(t, "500 0 0", d.holds(t, w))
	require.NoError(t, d.Resume(t.Context(), d.chain.Slug))
	require.Equal(t, "0 500 0", d.holds(t, w))
}

// Everything a chain had is gone, as when the node's branch left ours below the
// first block followed, and as when a development chain begins again.
func TestWholeChainLeaves(t *testing.T) {
	t.Parallel()
	for name, rebase := range map[string]bool{"Revert": false, "Rebase": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
			w := d.open(t)
			second := d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
			third := d.apply(t, second, 3, transfers(d.to(2, 0, 7)))
			require.Equal(t, "0 507 0", d.holds(t, w))
			if rebase {
				require.NoError(t, d.Rebase(ctx, d.chain))
			} else {
				d.revert(t, tip, second, third)
			}
			require.Equal(t, "0 0 0", d.holds(t, w))
			require.Equal(t, []custody.DepositState{custody.Orphaned, custody.Orphaned}, d.states(t, w))
			d.sound(t)
			statuses, err := d.ChainStatuses(ctx)
			require.NoError(t, err)
			require.Equal(t, rebase, statuses[0].Halted == "", statuses[0].Halted)
		})
	}
}

// A payment of the past, found by a search, is a deposit as any other: at an
// address that was paid before it was given, and at one that others watch already.
func TestDepositsOfThePast(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(2))
	account := d.connect(t, script(100))
	d.complete(t)
	second := d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	d.empty(t, second, 3)
	require.Equal(t, "500", d.balance(t, account))
	w := d.open(t)
	require.Equal(t, "0 500 0", w.Balance.Pending.String()+" "+w.Balance.Available.String()+" 0")
	require.Equal(t, []string{"wallet.created"}, d.told(t, "wallet."))
	require.Equal(t, []string{"deposit.confirming", "deposit.credited"}, d.told(t, "deposit."))

	late := d.open(t)
	searched, err := d.SearchScripts(ctx, d.chain.Slug, 10)
	require.NoError(t, err)
	require.Len(t, searched, 1)
	require.NoError(t, d.Fill(ctx, indexer.Filling{
		Chain: d.chain.Slug, Scripts: []int64{searched[0].ID},
		Blocks: []indexer.FilledBlock{{Ref: second, Match: transfers(d.to(7, 1, 9))}, {Ref: block(chains.BlockRef{Height: 4}, 90), Match: transfers(d.to(8, 1, 3))}},
	}))
	require.Equal(t, "0 12 0", d.holds(t, late))
	d.sound(t)
}

// An address that waits to be given may have been paid already: that is a deposit of
// the vault that gets it, for each wallet of it the one in its own asset.
func TestPaidBeforeItWasGiven(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(1))
	native := e.chain.Native.ID
	vault := e.newVault(t)
	coin, tokens := e.openIn(t, vault, native), e.openIn(t, vault, e.token)
	other := e.open(t)
	e.opened(t, reading{0, native, 0}, reading{0, e.token, 0}, reading{1, native, 0}, reading{2, native, 0}, reading{2, e.token, 0})
	e.connect(t, script(102)) // is watched, and the next to be given
	e.mine(t, transfers(e.log(1, 2, native, 5), e.log(2, 2, e.token, 70), e.log(3, 0, native, 1)),
		reading{2, native, 5}, reading{2, e.token, 70}, reading{0, native, 1})
	require.Equal(t, "0 1 0", e.holds(t, coin))
	given, err := e.CreateAddress(t.Context(), e.realm, coin.ID, derive)
	require.NoError(t, err)
	require.Equal(t, address(102), given.Address)
	e.complete(t)
	require.Equal(t, "0 6 0", e.holds(t, coin))
	require.Equal(t, "0 70 0", e.holds(t, tokens))
	require.Empty(t, e.depositsOf(t, other))
	e.sound(t)
}

// Nobody else's money: other scripts, other tenants, other wallets.
func TestNoDeposit(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	d, tip := deskIn(t, s, chains.FamilyBitcoin, depth(1))
	d.connect(t, script(1))
	w := d.open(t)
	nothing := d.to(2, 0, 0)
	out := d.to(3, 0, 5)
	out.Side = chains.Out
	tip = d.apply(t, tip, 2, transfers(d.pay(1, 1, 500), nothing, out))
	require.Empty(t, d.depositsOf(t, w))
	require.Equal(t, "0 0 0", d.holds(t, w))

	// Two tenants with one key: a payment is a deposit of both, each with its own
	// id, and neither sees the other's.
	twin := &desk{&bench{Store: s, chain: d.chain, realm: indexer.Realm{Tenant: "twin", Environment: chains.Test}, lease: d.lease}}
	require.NoError(t, s.CreateTenant(t.Context(), access.Tenant{ID: "twin", Name: "twin"}))
	twin.register(t, "xpub")
	other := twin.open(t)
	d.apply(t, tip, 3, transfers(d.to(9, 0, 500)))
	require.Equal(t, "0 500 0", d.holds(t, w))
	require.Equal(t, "0 500 0", twin.holds(t, other))
	mine, theirs := d.depositsOf(t, w)[0].ID, twin.depositsOf(t, other)[0].ID
	require.NotEqual(t, mine, theirs)
	_, err := d.Deposit(t.Context(), d.realm, theirs)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	_, err = d.CustodyTransaction(t.Context(), d.realm, theirs)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	require.ErrorIs(t, d.move(t, other, w, 1), indexer.ErrNotFound)
	require.ErrorIs(t, d.move(t, w, other, 1), custody.ErrNoDestination)
	d.sound(t)
}

// The ids of deposits come from what they are.
func TestDepositIDs(t *testing.T) {
	t.Parallel()
	wallet := uuid.New()
	id := custody.DepositID(wallet, "btc", hash('t', 1), "vout:0", script(1), chains.NewAmount(5))
	require.Equal(t, id, custody.DepositID(wallet, "btc", hash('t', 1), "vout:0", script(1), chains.NewAmount(5)))
	for _, other := range []uuid.UUID{
		custody.DepositID(uuid.New(), "btc", hash('t', 1), "vout:0", script(1), chains.NewAmount(5)),
		custody.DepositID(wallet, "ltc", hash('t', 1), "vout:0", script(1), chains.NewAmount(5)),
		custody.DepositID(wallet, "btc", hash('t', 2), "vout:0", script(1), chains.NewAmount(5)),
		custody.DepositID(wallet, "btc", hash('t', 1), "vout:1", script(1), chains.NewAmount(5)),
		custody.DepositID(wallet, "btc", hash('t', 1), "vout:0", script(2), chains.NewAmount(5)),
		custody.DepositID(wallet, "btc", hash('t', 1), "vout:0", script(1), chains.NewAmount(6)),
	} {
		require.NotEqual(t, id, other)
	}
}
