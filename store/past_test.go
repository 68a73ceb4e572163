package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// heldThen returns what an account held of the chain's coin at times, and why that may
// not be all, "" where nothing was.
func (b *bench) heldThen(t require.TestingT, account uuid.UUID, times ...time.Time) (amounts, partial []string) {
	found, err := b.AccountHistory(context.Background(), b.realm, b.user, times)
	require.NoError(t, err)
	for _, past := range found {
		if past.Account.ID != account {
			continue
		}
		require.Len(t, past.Points, len(times))
		for _, point := range past.Points {
			amount := "0"
			for _, balance := range point.Balances {
				require.Equal(t, b.chain.Native.ID, balance.Asset.ID)
				require.False(t, balance.Amount.IsZero())
				amount = balance.Amount.String()
			}
			amounts, partial = append(amounts, amount), append(partial, point.Partial)
		}
	}
	return amounts, partial
}

// state is what the ledger held once a block was its tip.
type pastState struct {
	ref    chains.BlockRef
	amount string
}

// What an account of the bitcoin family held at any time is what the ledger held when
// the last block before that time was its tip, blocks that were taken back aside.
func TestPastIsAReplay(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, s, chains.FamilyBitcoin)
		account := b.connect(t, script(1), script(2))
		tip := b.apply(t, chains.BlockRef{Height: 99}, 1, chains.Match{})
		b.complete(t)
		states := []pastState{{tip, "0"}}
		var unspent []int
		number, tx := 1, 0
		for _, turn := range rapid.SliceOfN(rapid.IntRange(0, 9), 1, 14).Draw(rt, "turns") {
			if turn == 0 && len(states) > 1 {
				_, err := b.Revert(t.Context(), b.lease, tip)
				require.NoError(t, err)
				states = states[:len(states)-1]
				tip, unspent = states[len(states)-1].ref, nil // what was spent there may be again: pay anew
				continue
			}
			var match chains.Match
			number++
			for range turn % 3 {
				tx++
				match.Transfers = append(match.Transfers, b.pay(1000*number+tx, 1+tx%2, rapid.IntRange(1, 1000).Draw(rt, "amount")))
			}
			if turn > 6 && len(unspent) > 0 {
				match.Spends = append(match.Spends, spend(1000*number+999, unspent[0]))
				unspent = unspent[1:]
			}
			for _, transfer := range match.Transfers {
				for n := 1000*number + 1; n <= 1000*number+tx; n++ {
					if transfer.Tx == hash('t', n) {
						unspent = append(unspent, n)
					}
				}
			}
			tip = b.apply(t, tip, number, match)
			states = append(states, pastState{tip, b.balance(t, account)})
		}
		var times []time.Time
		var want []string
		for i, state := range states {
			times, want = append(times, state.ref.Time.Add(-time.Microsecond)), append(want, "0")
			if i > 0 {
				want[len(want)-1] = states[i-1].amount
			}
			times, want = append(times, state.ref.Time), append(want, state.amount)
		}
		got, partial := b.heldThen(rt, account, times...)
		require.Equal(rt, want, got)
		for _, why := range partial {
			require.Empty(rt, why)
		}
	})
}

// What an EVM account held is what it was read with, moved on by legs where blocks
// were not read; before the first reading what legs add up to.
func TestPastOfReadings(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	rapid.Check(t, func(rt *rapid.T) {
		b := newBench(t, s, chains.FamilyEVM)
		account := b.connect(t, script(1))
		tip := b.applyEVM(t, chains.BlockRef{Height: 9}, 1, nil)
		hidden := rapid.Bool().Draw(rt, "something no leg explains")
		balance, first := 0, -1
		if hidden {
			balance = 77
		}
		type step struct {
			ref    chains.BlockRef
			amount int
		}
		steps := []step{{tip, balance}}
		turns := rapid.SliceOfN(rapid.IntRange(0, 9), 2, 12).Draw(rt, "turns")
		for i, turn := range turns {
			n := 2 + i
			in := step{ref: block(tip, n)}
			apply := indexer.Step{Lease: b.lease, Parent: tip.Hash, WatchVersion: b.version(t), Block: in.ref}
			if turn > 3 {
				amount := rapid.IntRange(1, 1000).Draw(rt, "amount")
				leg := b.pay(n, 1, amount)
				leg.Source = "value"
				balance += amount
				if turn > 7 && balance-2*amount >= 0 {
					leg.Side = chains.Out
					balance -= 2 * amount
				}
				apply.Match.Transfers = append(apply.Match.Transfers, leg)
			}
			if turn%2 == 0 || i == len(turns)-1 {
				apply.Snapshots = b.snapshot(in.ref, int64(balance))
				if first < 0 {
					first = len(steps)
				}
			}
			_, err := b.Apply(t.Context(), apply)
			require.NoError(t, err)
			in.amount, tip = balance, in.ref
			steps = append(steps, in)
		}
		b.complete(t)
		var times []time.Time
		for _, in := range steps {
			times = append(times, in.ref.Time)
		}
		got, partial := b.heldThen(rt, account, times...)
		for i, in := range steps {
			sure := !hidden || i >= first
			require.Equal(rt, sure, partial[i] == "", "point %d: %s", i, partial[i])
			if sure {
				require.Equal(rt, chains.NewAmount(int64(in.amount)).String(), got[i], "point %d", i)
			}
		}
		now, err := b.AccountBalance(t.Context(), b.realm, account)
		require.NoError(rt, err)
		require.Equal(rt, now.Balances[0].Amount.String(), got[len(got)-1], "the last point is the balance now")
	})
}

// Unknown is not zero: an account that was not read yet holds nothing that is known,
// and one whose past is still searched says so.
func TestPastThatIsNotKnown(t *testing.T) {
	t.Parallel()
	b := newBench(t, openStore(t, store.Options{}), chains.FamilyBitcoin)
	account := b.connect(t, script(1))
	now := time.Now()
	_, partial := b.heldThen(t, account, now)
	require.Equal(t, []string{indexer.PastUnread}, partial)
	tip := b.apply(t, chains.BlockRef{Height: 99}, 1, chains.Match{})
	b.complete(t)
	amounts, partial := b.heldThen(t, account, tip.Time.Add(-time.Hour), tip.Time, now)
	require.Equal(t, []string{"0", "0", "0"}, amounts)
	require.Equal(t, []string{"", "", ""}, partial)

	evm := newBench(t, b.Store, chains.FamilyEVM)
	account = evm.connect(t, script(1))
	evm.applyEVM(t, chains.BlockRef{Height: 9}, 1, nil)
	_, partial = evm.heldThen(t, account, now)
	require.Equal(t, []string{indexer.PastUnread}, partial)

	other := indexer.Realm{Tenant: "other", Environment: chains.Test}
	found, err := b.AccountHistory(t.Context(), other, b.user, []time.Time{now})
	require.NoError(t, err)
	require.Empty(t, found, "another realm")
	vaults, err := b.VaultHistory(t.Context(), b.realm, b.user, []time.Time{now})
	require.NoError(t, err)
	require.Empty(t, vaults)
}

// What a wallet of custody held is what its postings until then add up to.
func TestPastOfVaults(t *testing.T) {
	t.Parallel()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	wallet := d.open(t)
	_, err := d.Pool().Exec(t.Context(), `UPDATE vaults SET user_id = $1`, d.user)
	require.NoError(t, err)
	before := d.now(t)
	for i, amount := range []int{500, 70} {
		tip = d.apply(t, tip, 10+i, transfers(d.to(1+i, 0, amount)))
	}
	require.Equal(t, "0 570 0", d.holds(t, wallet))
	credited := d.now(t)
	d.revert(t, tip)
	after := d.now(t)
	found, err := d.VaultHistory(t.Context(), d.realm, d.user, []time.Time{before, credited, after})
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, indexer.KindVault, found[0].Account.Kind)
	var amounts []string
	for _, point := range found[0].Points {
		require.Empty(t, point.Partial)
		amount := "0"
		for _, balance := range point.Balances {
			amount = balance.Amount.String()
		}
		amounts = append(amounts, amount)
	}
	require.Equal(t, []string{"0", "570", "500"}, amounts)
}

// now returns the time by the database's clock.
func (b *bench) now(t testing.TB) (now time.Time) {
	t.Helper()
	require.NoError(t, b.Pool().QueryRow(t.Context(), `SELECT clock_timestamp()`).Scan(&now))
	return now
}
