package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// A sweep that had ended is under way again after a reorg, also while the next sweep
// of the same waits behind its nonce.
func TestSweepAfterReorg(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(2))
	e.openIn(t, e.newVault(t), e.token)
	e.snapshot(t, 100, 5, 60)
	sweep := func() custody.InternalOrder {
		return custody.InternalOrder{ID: uuid.New(), Realm: e.realm, Kind: custody.KindSweep, Chain: e.desk.chain.Slug, Script: script(100), Asset: e.token}
	}
	made, err := e.MoveWithin(ctx, sweep())
	require.NoError(t, err)
	first := made.ID
	e.work(t)
	e.signs(t, first)
	e.work(t)
	mined := e.onChain(t, first)
	e.mine(t, mined)
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, first))
	_, err = e.MoveWithin(ctx, sweep())
	require.ErrorIs(t, err, custody.ErrUnderWay, "one that is mined, too")
	e.mine(t)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, first))
	made, err = e.MoveWithin(ctx, sweep())
	require.NoError(t, err)
	second := made.ID
	e.work(t)
	e.signs(t, second)
	e.work(t)

	e.unmine(t, 2)
	e.node.told = nil
	e.again(t)
	require.Equal(t, "Confirming", e.at(t, first))
	require.Contains(t, e.node.told, string(e.withdrawal(t, first).Drafts[0].Signed.Raw), "nodes are told again")
	e.mine(t, mined)
	e.mine(t, e.onChain(t, second))
	e.mine(t)
	e.again(t)
	require.Equal(t, "Completed", e.at(t, first))
	require.Equal(t, "Completed", e.at(t, second))
	e.sound(t)
}

// A fill that fails when it is mined has used its nonce all the same.
func TestFillFails(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(2))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	given, behind := e.withdraw(t, coins, 10), e.withdraw(t, coins, 20)
	e.work(t)
	if e.nonce(t, given) > e.nonce(t, behind) {
		given, behind = behind, given
	}
	require.NoError(t, second(e.Cancel(ctx, e.realm, given)))
	e.work(t)
	fill := e.fill(t)
	draft := e.signs(t, fill)
	e.signs(t, behind)
	e.work(t)
	e.mine(t, e.transferEffect(draft.Draft, sign(draft.Draft).ID, false), e.onChain(t, behind))
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, fill))
	e.mine(t)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, fill))
	require.Equal(t, "Completed", e.at(t, behind))
	require.Equal(t, "2", e.withdrawal(t, fill).Mined.Fee.String())
	e.sound(t)
}

// fill returns the one fill of a nonce that there is.
func (e *evmTill) fill(t testing.TB) uuid.UUID {
	t.Helper()
	list, _, err := e.CustodyTransactions(t.Context(), e.realm, custody.TransactionFilter{Kinds: []custody.Kind{custody.KindNonceFill}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	return list[0].ID
}

// A fill that nodes would let fail now is built later: until then all waits behind its
// nonce, and nobody can order another one.
func TestFillReverts(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	given, behind := e.withdraw(t, coins, 10), e.withdraw(t, coins, 20)
	e.work(t)
	if e.nonce(t, given) > e.nonce(t, behind) {
		given = behind
	}
	require.NoError(t, second(e.Cancel(t.Context(), e.realm, given)))
	e.node.reverts = true
	e.work(t)
	require.Equal(t, "Submitted reverts", e.at(t, e.fill(t)))
	e.node.reverts = false
	e.again(t)
	require.Equal(t, "PendingSignature", e.at(t, e.fill(t)))
	e.sound(t)
}

// slowFees is a node that says what the network asks for only once the test does.
type slowFees struct {
	coinNode

	asked chan struct{}
	leave chan struct{}
}

func (n slowFees) EstimateFee(ctx context.Context, _ int, _ chains.Amount) (chains.FeeEstimate, error) {
	select {
	case n.asked <- struct{}{}:
	case <-ctx.Done():
	}
	select {
	case <-n.leave:
	case <-ctx.Done():
	}
	return chains.FeeEstimate{FeeRate: chains.FeeRate{Max: chains.NewAmount(10)}}, ctx.Err()
}

// Nobody says what a replacement must pay for longer than a turn lasts, so that each of
// two payers loses its turn to the other: what is signed is broadcast all the same.
func TestSentWhileFeesHang(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{MaxConns: 8}, depth(1))
	id := w.withdraw(t, w.fund(t, 500), 100)
	w.work(t)
	draft := w.signs(t, id)
	w.work(t)
	require.NoError(t, second(w.Bump(t.Context(), w.realm, id)))
	w.node.told = nil
	slow := slowFees{coinNode{w.node}, make(chan struct{}), make(chan struct{})}
	step := func() (done chan error) {
		payer, done := w.newPayer(), make(chan error, 1)
		payer.Source = slow
		go func() { done <- second(payer.Step(context.WithoutCancel(t.Context()))) }()
		<-slow.asked
		return done
	}
	turns := []chan error{step()}
	for range 3 {
		w.hurry(t) // the turn of the last one is over
		turns = append(turns, step())
		slow.leave <- struct{}{}
	}
	slow.leave <- struct{}{}
	for _, done := range turns {
		require.NoError(t, <-done)
	}
	require.Contains(t, w.node.told, string(sign(draft.Draft).Raw))
	w.sound(t)
}

// A replacement needs a coin that another has since a reorg: it is given up, and what is
// signed is broadcast.
func TestReplacementWithoutItsCoin(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{}, depth(1))
	wallet := w.fund(t, 115, 30)
	id := w.withdraw(t, wallet, 100)
	w.work(t)
	old := w.signs(t, id)
	w.work(t)
	require.NoError(t, second(w.Bump(ctx, w.realm, id)))
	w.work(t)
	w.mine(t, w.effect(old.Draft))
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
	other := w.withdraw(t, wallet, 20)
	w.work(t)
	require.Equal(t, "PendingSignature", w.at(t, other))
	w.unmine(t, 1)
	w.work(t)
	require.NoError(t, second(w.Bump(ctx, w.realm, id)))
	w.node.told = nil
	w.again(t)
	require.Equal(t, "Confirming replacement_unsigned", w.at(t, id), "no other is wanted any more")
	require.Contains(t, w.node.told, string(sign(old.Draft).Raw))
	w.sound(t)
}

// replaced makes a withdrawal whose replacement spends one coin more than what it
// replaces, both signed.
func (w *till) replaced(t testing.TB) (wallet custody.Wallet, id uuid.UUID, old, replacement custody.Draft) {
	t.Helper()
	wallet = w.fund(t, 115, 30)
	id = w.withdraw(t, wallet, 100)
	w.work(t)
	old = w.signs(t, id)
	w.work(t)
	require.NoError(t, second(w.Bump(t.Context(), w.realm, id)))
	w.work(t)
	replacement = w.signs(t, id)
	require.Len(t, replacement.Draft.Payment.Inputs, 2)
	w.work(t)
	return wallet, id, old, replacement
}

// The draft that a replacement was to replace is mined with another id, and the
// replacement would have spent one coin more: it is the same withdrawal.
func TestChangedIDOfReplaced(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	wallet, id, old, _ := w.replaced(t)
	effect := w.effectAs(old.Draft, hash('m', 1))
	ref := w.mine(t, effect)
	w.node.blocks[ref.Hash] = effect.Transfers
	w.node.refuse = chains.RefusedSpent
	w.again(t)
	w.mineEmpty(t, 3)
	w.again(t)
	require.Equal(t, "Completed", w.at(t, id))
	found := w.withdrawal(t, id)
	require.Equal(t, 1, found.Mined.Draft)
	tx, ok := found.Tx()
	require.True(t, ok)
	require.Equal(t, hash('m', 1), tx)
	require.Equal(t, "0 45 0", w.holds(t, wallet))
	w.sound(t)
}

// A replacement loses the coin that it took in addition: the one it was to replace can
// still be mined, and is what nodes are told of.
func TestReplacementLosesItsCoin(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(1))
	_, id, old, replacement := w.replaced(t)
	extra := replacement.Draft.Payment.Inputs[1].Outpoint
	w.mine(t, chains.Match{Spends: []chains.Spend{{Tx: hash('x', 1), Spent: extra}}})
	w.node.judge = func(raw string) chains.RefusalReason {
		if raw == string(sign(replacement.Draft).Raw) {
			return chains.RefusedSpent
		}
		return ""
	}
	w.node.told = nil // they were all restarted
	w.again(t)
	require.Contains(t, w.node.told, string(sign(old.Draft).Raw))
	w.mine(t, w.effect(old.Draft))
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
	w.sound(t)
}

// Nodes have words of their own for a nonce that is used: the withdrawal ends all the same.
func TestNonceUsedInOtherWords(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	id := e.withdraw(t, coins, 100)
	e.work(t)
	e.signs(t, id)
	e.node.refuse = chains.RefusedOther
	e.work(t)
	e.mineEmpty(t, 14)
	e.again(t)
	require.Equal(t, "Broadcasting refused_other", e.at(t, id), "the nonce is free")
	require.Nil(t, e.withdrawal(t, id).Lost)
	e.node.nonces[string(script(treasury))] = 1
	e.again(t)
	e.mineEmpty(t, 12)
	e.again(t)
	require.Equal(t, "Failed conflict", e.at(t, id))
	require.Equal(t, "0 500 0", e.holds(t, coins))
	e.sound(t)
}

// A withdrawal that somebody holds keeps no other one from its turn.
func TestTurnBesideHeldOne(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(2))
	wallet := w.fund(t, 500, 500)
	held, other := w.withdraw(t, wallet, 100), w.withdraw(t, wallet, 200)
	w.work(t)
	w.signs(t, held)
	w.signs(t, other)
	w.work(t)
	w.mine(t, w.onChain(t, held), w.onChain(t, other))
	w.work(t)
	w.mine(t)
	release := hold(t, w.Store, "SELECT FROM withdrawals WHERE id = $1 FOR UPDATE", held)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	turn, err := w.TakeTurn(ctx, w.desk.chain.Slug, time.Nanosecond)
	require.NoError(t, err)
	require.Equal(t, other, turn.ID)
	release()
	w.again(t)
	require.Equal(t, []string{"Completed", "Completed"}, []string{w.at(t, held), w.at(t, other)})
}
