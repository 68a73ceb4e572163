package store_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// Before anything is signed a withdrawal can be cancelled, and leaves no trace.
func TestCancelCoins(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	submitted := w.withdraw(t, wallet, 100)
	require.NoError(t, second(w.Cancel(ctx, w.realm, submitted)))
	require.Equal(t, "Cancelled", w.at(t, submitted))
	require.Equal(t, "0 500 0", w.holds(t, wallet))
	w.work(t)
	require.Equal(t, "Cancelled", w.at(t, submitted))

	pending := w.withdraw(t, wallet, 100)
	w.work(t)
	require.Equal(t, 1, w.reserved(t))
	draft := w.withdrawal(t, pending).Drafts[0]
	require.NoError(t, second(w.Cancel(ctx, w.realm, pending)))
	require.NoError(t, second(w.Cancel(ctx, w.realm, pending)), "twice is once")
	require.Equal(t, 0, w.reserved(t))
	require.Equal(t, "0 500 0", w.holds(t, wallet))
	require.ErrorIs(t, second(w.Accept(ctx, w.realm, pending, 1, sign(draft.Draft))), custody.ErrNotSignable)
	require.ErrorIs(t, second(w.Bump(ctx, w.realm, pending)), custody.ErrSettled)

	signed := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, signed)
	require.ErrorIs(t, second(w.Cancel(ctx, w.realm, signed)), custody.ErrSigned)
	w.work(t)
	require.ErrorIs(t, second(w.Cancel(ctx, w.realm, signed)), custody.ErrSigned)
	require.Equal(t, "0 400 100", w.holds(t, wallet))
	w.mine(t, w.onChain(t, signed))
	w.work(t)
	require.ErrorIs(t, second(w.Cancel(ctx, w.realm, signed)), custody.ErrSettled)
	w.sound(t)
}

// Many payers and many withdrawals, and coins for a few: no coin is in two drafts,
// and who finds none waits until one comes.
func TestWithdrawalsRaceForCoins(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{MaxConns: 8}, depth(1))
	wallet := w.fund(t, 100, 100, 100)
	var ids []uuid.UUID
	for range 6 {
		ids = append(ids, w.withdraw(t, wallet, 40))
	}
	var wg sync.WaitGroup
	for range 4 {
		payer := w.newPayer()
		wg.Go(func() {
			for range 12 {
				_, err := payer.Step(context.Background())
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	w.again(t)
	seen := map[chains.Outpoint]bool{}
	states := map[string]int{}
	changes := map[string]bool{}
	for _, id := range ids {
		found := w.withdrawal(t, id)
		states[w.at(t, id)]++
		for _, draft := range found.Drafts {
			for _, in := range draft.Draft.Payment.Inputs {
				require.False(t, seen[in.Outpoint], "a coin in two drafts")
				seen[in.Outpoint] = true
			}
			for _, out := range draft.Draft.Payment.Outputs[1:] {
				require.False(t, changes[out.Script.String()], "an address for change given twice")
				changes[out.Script.String()] = true
			}
		}
	}
	require.Equal(t, map[string]int{"PendingSignature": 3, "Submitted pool_low": 3}, states)
	require.Len(t, seen, 3)
	waits := ids[0]
	for _, id := range ids {
		if w.withdrawal(t, id).Status == custody.Submitted {
			waits = id
		}
	}
	short := w.withdrawal(t, waits).Short
	require.Equal(t, &chains.ShortageError{Asset: w.desk.chain.Native.ID, Have: chains.Amount{}, Need: chains.NewAmount(50)}, short)
	w.sound(t)

	// What reaches the pool wakes one that waits, without anybody's clock.
	w.fund(t, 300)
	w.work(t)
	states = map[string]int{}
	for _, id := range ids {
		states[w.at(t, id)]++
	}
	require.Equal(t, map[string]int{"PendingSignature": 4, "Submitted pool_low": 2}, states, "there is one coin more")
	w.sound(t)
}

// A replacement with a higher fee is the same withdrawal, whichever of the two is
// mined.
func TestBumpCoins(t *testing.T) {
	t.Parallel()
	for name, mined := range map[string]int{"Old": 1, "New": 2} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			w := newTill(t, store.Options{}, depth(1))
			wallet := w.fund(t, 115, 30)
			id := w.withdraw(t, wallet, 100)
			w.work(t)
			w.signs(t, id)
			w.work(t)
			require.NoError(t, second(w.Bump(ctx, w.realm, id)))
			require.NoError(t, second(w.Bump(ctx, w.realm, id)), "twice is once")
			require.Equal(t, "Confirming replacement_wanted", w.at(t, id))
			w.work(t)
			require.Equal(t, "Confirming replacement_unsigned", w.at(t, id))
			require.Equal(t, 2, w.reserved(t), "it takes another coin")
			w.again(t)
			require.Equal(t, w.node.told[0], w.node.told[len(w.node.told)-1], "the old one is broadcast until then")
			w.signs(t, id)
			w.work(t)
			require.Equal(t, "Confirming", w.at(t, id))
			found := w.withdrawal(t, id)
			require.Len(t, found.Drafts, 2)
			require.Equal(t, "20", found.Drafts[1].Draft.Fee.String())
			require.Equal(t, string(found.Drafts[1].Signed.Raw), w.node.told[len(w.node.told)-1])
			w.mine(t, w.effect(found.Drafts[mined-1].Draft))
			w.work(t)
			require.Equal(t, "Completed", w.at(t, id))
			require.Equal(t, mined, w.withdrawal(t, id).Mined.Draft)
			require.Equal(t, mined, w.reserved(t), "what was not spent is free again")
			require.Equal(t, "0 45 0", w.holds(t, wallet))
			require.ErrorIs(t, second(w.Bump(ctx, w.realm, id)), custody.ErrSettled)
			w.sound(t)

			told := len(w.node.told)
			w.unmine(t, 1)
			w.work(t)
			require.Equal(t, "Confirming", w.at(t, id))
			require.Equal(t, string(found.Drafts[mined-1].Signed.Raw), w.node.told[told], "after a reorg the one that was mined")
			w.sound(t)
		})
	}
}

// The newest draft may be replaced before anybody signs it.
func TestBumpUnsigned(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	require.NoError(t, second(w.Bump(ctx, w.realm, id)))
	w.work(t)
	require.Equal(t, "PendingSignature", w.at(t, id))
	found := w.withdrawal(t, id)
	require.Len(t, found.Drafts, 2)
	require.ErrorIs(t, second(w.Accept(ctx, w.realm, id, 1, sign(found.Drafts[0].Draft))), custody.ErrNotSignable, "the old one")
	// One that would cost too much is not built, and nothing else changes.
	_, err := w.Pool().Exec(ctx, "UPDATE withdrawals SET max_fee = 25 WHERE id = $1", id)
	require.NoError(t, err)
	require.NoError(t, second(w.Bump(ctx, w.realm, id)))
	w.work(t)
	require.Equal(t, "PendingSignature fee_high", w.at(t, id))
	require.Equal(t, 2, w.signs(t, id).N)
	w.work(t)
	require.Equal(t, "Confirming", w.at(t, id))
	w.sound(t)
}

// What was signed is looked at once more before it is broadcast.
func TestAcceptAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	entries, _, err := w.BookEntries(ctx, w.realm, custody.EntryFilter{Limit: 10})
	require.NoError(t, err)
	require.NoError(t, w.RemoveEntry(ctx, w.realm, entries[0].ID))
	draft := w.withdrawal(t, id).Drafts[0]
	require.ErrorIs(t, second(w.Accept(ctx, w.realm, id, 1, sign(draft.Draft))), custody.ErrNotInBook)
	require.Equal(t, "PendingSignature", w.at(t, id))
	w.allow(t, outside)

	// The deposit that paid for it leaves the chain: the wallet owes.
	other := w.open(t)
	require.NoError(t, w.move(t, wallet, other, 400))
	w.unmine(t, 4)
	require.Equal(t, "0 -500 100 Frozen", w.holds(t, wallet))
	require.ErrorIs(t, second(w.Accept(ctx, w.realm, id, 1, sign(draft.Draft))), custody.ErrFrozen)
	require.ErrorIs(t, second(w.Withdraw(ctx, w.order(wallet, 1))), custody.ErrFrozen)
	require.NoError(t, second(w.Cancel(ctx, w.realm, id)))
	require.Equal(t, "0 -400 0 Frozen", w.holds(t, wallet))
	w.sound(t)
}

// Signed bytes that come twice are accepted once; other bytes for the same draft are
// not.
func TestAcceptTwice(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{MaxConns: 8}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	signed := sign(w.withdrawal(t, id).Drafts[0].Draft)
	other := chains.Signed{Raw: []byte("other"), ID: hash('o', 1)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	accepted := map[string]int{}
	for i := range 8 {
		bytes := signed
		if i%2 == 1 {
			bytes = other
		}
		wg.Go(func() {
			_, err := w.Accept(context.Background(), w.realm, id, 1, bytes)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				accepted[string(bytes.Raw)]++
			} else if !errors.Is(err, custody.ErrNotSignable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Len(t, accepted, 1)
	kept := string(w.withdrawal(t, id).Drafts[0].Signed.Raw)
	require.Equal(t, 4, accepted[kept])
	w.work(t)
	require.Equal(t, []string{kept}, w.node.told)
	require.NoError(t, second(w.Accept(ctx, w.realm, id, 1, chains.Signed{Raw: []byte(kept), ID: signed.ID})))
}

// While nobody can say what a replacement must pay, what is signed is broadcast all the
// same, and the replacement is still wanted.
func TestSentWithoutReplacement(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	id := w.withdraw(t, w.fund(t, 500), 100)
	w.work(t)
	draft := w.signs(t, id)
	w.work(t)
	require.Len(t, w.node.told, 1)
	require.NoError(t, second(w.Bump(t.Context(), w.realm, id)))
	w.node.noFees, w.node.told = errors.New("no estimate"), nil
	w.work(t)
	require.Equal(t, []string{string(sign(draft.Draft).Raw)}, w.node.told, "once, and not until something changes")
	require.Equal(t, "Confirming replacement_wanted", w.at(t, id))
	w.again(t)
	require.Len(t, w.node.told, 2)
	w.node.noFees, w.node.fee = nil, 20
	w.again(t)
	require.Equal(t, "Confirming replacement_unsigned", w.at(t, id))
	w.signs(t, id)
	w.work(t)
	require.Len(t, w.withdrawal(t, id).Drafts, 2)
	require.Equal(t, string(sign(w.withdrawal(t, id).Drafts[1].Draft).Raw), w.node.told[len(w.node.told)-1])
	w.sound(t)
}

// Another tenant that gives a key for its own reserves no coin of it until it has
// signed.
func TestCoinsOfAnother(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	other := w.twin(t)
	theirs := other.open(t) // of the same address
	wallet := w.fund(t, 500)
	require.Equal(t, "0 500 0", other.holds(t, theirs))
	first := other.withdraw(t, theirs, 100)
	w.work(t)
	require.Equal(t, "PendingSignature", other.at(t, first))
	second := w.withdraw(t, wallet, 200)
	w.work(t)
	require.Equal(t, "PendingSignature", w.at(t, second))
	require.Equal(t, 2, w.reserved(t), "each has the coin")
	w.signs(t, second)
	_, err := other.Cancel(t.Context(), other.realm, first)
	require.NoError(t, err)
	late := other.withdraw(t, theirs, 100)
	w.work(t)
	require.Equal(t, "Submitted pool_low", other.at(t, late), "it is signed away")
	w.mine(t, w.onChain(t, second))
	w.work(t)
	require.Equal(t, "Completed", w.at(t, second))
	require.Equal(t, "PendingSignature", other.at(t, late), "of the change, which both have the address of")
	w.sound(t)
	other.sound(t)
}

// Two tenants with one key pay the same to the same out of one coin. One payment
// completes one withdrawal, and the other has its money back.
func TestSamePaymentOfAnother(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	other := w.twin(t)
	theirs := other.open(t)
	wallet := w.fund(t, 500)
	lost := other.withdraw(t, theirs, 100)
	w.work(t)
	w.node.fee = 20
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	other.signs(t, lost)
	w.signs(t, id)
	w.work(t)
	payment := w.onChain(t, id)
	ref := w.mine(t, payment)
	w.node.blocks[ref.Hash] = payment.Transfers
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	w.mineEmpty(t, 14)
	w.again(t)
	require.Equal(t, "Completed", w.at(t, id))
	require.Equal(t, "Failed conflict", other.at(t, lost))
	require.Equal(t, "0 500 0", other.holds(t, theirs))
	w.sound(t)
	other.sound(t)
}

// Somebody with the keys spends the coins elsewhere: the wallet gets its money back
// once that is deep, and not if a reorg lets the withdrawal be mined after all.
func TestCoinsSpentElsewhere(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(3))
	wallet := w.fund(t, 500, 50)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, id)
	w.work(t)
	effect := w.onChain(t, id)
	theft := chains.Match{Spends: []chains.Spend{{Tx: hash('t', 7), Spent: effect.Spends[0].Spent}}}
	theft.Spends[0].Tx = hash('x', 1)
	w.mine(t, theft)
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	require.Equal(t, "Confirming refused_spent", w.at(t, id))
	require.NotNil(t, w.withdrawal(t, id).Lost)
	w.mineEmpty(t, 2)
	w.node.down = errors.New("unplugged")
	w.again(t)
	require.Equal(t, "Confirming refused_spent", w.at(t, id), "nothing is given up while nobody can be asked")
	w.node.down = nil
	w.again(t)
	require.Equal(t, "Failed conflict", w.at(t, id))
	require.Equal(t, "0 550 0", w.holds(t, wallet))
	require.Equal(t, 0, w.reserved(t))
	w.sound(t)

	w.unmine(t, 3)
	w.mine(t, effect)
	w.work(t)
	require.Equal(t, "Confirming", w.at(t, id))
	require.Equal(t, "0 450 100", w.holds(t, wallet))
	w.mineEmpty(t, 2)
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
	require.Equal(t, "0 450 0", w.holds(t, wallet))
	w.sound(t)
}

// While nodes are in dispute no withdrawal ends: what is deep on one branch may be
// lost on the other, and what cannot be mined on one may be on the other.
func TestWithdrawalsInDispute(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(2))
	wallet := w.fund(t, 500, 50)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, id)
	w.work(t)
	w.mine(t, w.onChain(t, id))
	w.dispute(t, "two branches")
	w.mineEmpty(t, 3)
	w.again(t)
	require.Equal(t, "Confirming", w.at(t, id))
	w.dispute(t, "")
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))

	w.dispute(t, "two branches")
	w.mineEmpty(t, 1)
	w.again(t)
	require.Equal(t, "Completed", w.at(t, id), "what has ended stays so")
	lost := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, lost)
	w.work(t)
	theft := chains.Match{Spends: []chains.Spend{{Tx: hash('x', 1), Spent: w.onChain(t, lost).Spends[0].Spent}}}
	w.mine(t, theft)
	w.mineEmpty(t, 3)
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	require.Equal(t, "Confirming refused_spent", w.at(t, lost))
	w.dispute(t, "")
	w.again(t)
	require.Equal(t, "Failed conflict", w.at(t, lost))
	w.sound(t)
}

// A withdrawal that waits is measured by the policy that holds now.
func TestPolicyOfWithdrawals(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(9))
	wallet := w.fund(t, 500)
	w.mineEmpty(t, 9)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, id)
	w.work(t)
	w.mine(t, w.onChain(t, id))
	w.mineEmpty(t, 1)
	w.work(t)
	require.Equal(t, "Confirming", w.at(t, id))
	require.NoError(t, w.SetPolicy(t.Context(), w.desk.chain.Slug, depth(2)))
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
}

// The id of a transaction is changed on its way: it is the same withdrawal.
func TestChangedID(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	draft := w.signs(t, id)
	w.work(t)
	effect := w.effectAs(draft.Draft, hash('m', 1))
	ref := w.mine(t, effect)
	w.node.blocks[ref.Hash] = effect.Transfers
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	require.Equal(t, "Completed", w.at(t, id))
	found := w.withdrawal(t, id)
	tx, ok := found.Tx()
	require.True(t, ok)
	require.Equal(t, hash('m', 1), tx)
	require.Equal(t, "0 400 0", w.holds(t, wallet))
	w.sound(t)
}

// A coin whose own transaction is replaced is no coin any more.
func TestFundingReplaced(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	w.signs(t, id)
	w.work(t)
	coin := w.withdrawal(t, id).Drafts[0].Draft.Payment.Inputs[0].Outpoint
	w.unmine(t, 4)
	w.amend(t, indexer.Amendment{Revived: []chains.Hash{coin.Tx}})
	w.amend(t, indexer.Amendment{Dropped: []chains.Hash{coin.Tx}})
	require.Equal(t, "0 -100 100 Frozen", w.holds(t, wallet), "the deposit is gone")
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	require.Equal(t, "Failed conflict", w.at(t, id))
	require.Equal(t, "0 0 0", w.holds(t, wallet))
	w.sound(t)
}

// What cannot be built now waits with a reason, and what never can ends.
func TestWithdrawalsThatWait(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 500)
	id := w.withdraw(t, wallet, 495)
	w.work(t)
	require.Equal(t, "Submitted pool_low", w.at(t, id), "the tenant pays the fee")
	before := len(w.told(t, "transaction."))
	w.again(t)
	require.Len(t, w.told(t, "transaction."), before, "nothing new is no event")
	w.fund(t, 40)
	w.node.fee = feeLimit + 1
	w.again(t)
	require.Equal(t, "Submitted fee_high", w.at(t, id))
	w.node.down = errors.New("unplugged")
	w.again(t)
	require.Equal(t, "Submitted node_unavailable", w.at(t, id))
	w.node.down, w.node.fee = nil, 10
	w.again(t)
	require.Equal(t, "PendingSignature", w.at(t, id))
	w.sound(t)

	// Without a key for change it goes to the treasury, and without one nowhere.
	_, err := w.Pool().Exec(ctx, "UPDATE custody_keys SET active = false WHERE tenant = $1", w.realm.Tenant)
	require.NoError(t, err)
	require.NoError(t, second(w.Cancel(ctx, w.realm, id)))
	id = w.withdraw(t, wallet, 100)
	w.again(t)
	require.Equal(t, "Submitted no_change_address", w.at(t, id))
	require.NoError(t, w.SetTreasury(ctx, w.realm, w.desk.chain.Slug, indexer.WatchedScript{Script: script(50), Address: address(50)}))
	w.again(t)
	require.Equal(t, "PendingSignature", w.at(t, id))
	require.Equal(t, script(50), []byte(w.withdrawal(t, id).Drafts[0].Draft.Payment.Outputs[1].Script))
	w.sound(t)
}

// Funds says what there is to pay with.
func TestFundsOfCoins(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 300, 200)
	w.withdraw(t, wallet, 250)
	w.work(t)
	w.withdraw(t, wallet, 220)
	funds, err := w.Funds(ctx, w.realm, w.desk.chain.Slug)
	require.NoError(t, err)
	require.Len(t, funds.Assets, 1)
	fund := funds.Assets[0]
	require.Equal(t, []string{"500", "300", "220"}, []string{fund.Balance.String(), fund.Committed.String(), fund.Waiting.String()})
	_, err = w.Funds(ctx, indexer.Realm{Tenant: w.realm.Tenant, Environment: chains.Live}, w.desk.chain.Slug)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	_, err = w.Funds(ctx, w.realm, "nochain")
	require.ErrorIs(t, err, indexer.ErrNotFound)
}
