package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The road of a withdrawal, and what a reorg makes of it.
func TestWithdrawalRoad(t *testing.T) {
	t.Parallel()
	w := newTill(t, store.Options{}, depth(2))
	wallet := w.fund(t, 500, 300)
	id := w.withdraw(t, wallet, 600)
	require.Equal(t, "Submitted", w.at(t, id))
	require.Equal(t, "0 200 600", w.holds(t, wallet))
	w.sound(t)

	w.work(t)
	require.Equal(t, "PendingSignature", w.at(t, id))
	require.Equal(t, 2, w.reserved(t))
	require.Empty(t, w.node.told, "nothing is signed")
	draft := w.signs(t, id)
	require.Equal(t, chains.NewAmount(190), draft.Draft.Payment.Outputs[1].Amount)
	require.Equal(t, script(150), []byte(draft.Draft.Payment.Outputs[1].Script), "change goes to its own branch")
	require.Equal(t, "Broadcasting", w.at(t, id))
	w.work(t)
	require.Equal(t, "Confirming", w.at(t, id))
	require.Equal(t, []string{string(sign(draft.Draft).Raw)}, w.node.told)
	require.Equal(t, "0 200 600", w.holds(t, wallet))

	effect := w.onChain(t, id)
	w.mine(t, effect)
	w.work(t)
	found := w.withdrawal(t, id)
	require.Equal(t, custody.OnChain, found.Status)
	require.Equal(t, uint64(1), found.Confirmations())
	require.Equal(t, "10", found.Mined.Fee.String())
	w.mine(t)
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
	require.Equal(t, "0 200 0", w.holds(t, wallet))
	require.Equal(t, "-200 -10 10", w.accounts(t), "800 came, 600 left; the tenant paid 10")
	w.sound(t)
	require.Equal(t, []string{
		"transaction.created", "transaction.status.updated", "transaction.status.updated", "transaction.status.updated",
		"transaction.status.updated", "transaction.status.updated",
	}, w.told(t, "transaction.")[4:], "after the two deposits: pending signature, broadcasting, confirming, in a block, completed")
	require.Empty(t, w.depositsOf(t, w.open(t)), "change is no deposit")
	coins, _, err := w.SpendableCoins(t.Context(), w.realm, w.desk.chain.Slug, 10)
	require.NoError(t, err)
	require.Len(t, coins, 1)
	require.Equal(t, &chains.KeyPath{Wallet: "xpub", Branch: 1}, coins[0].Key)

	w.unmine(t, 2)
	w.work(t)
	require.Equal(t, "Confirming", w.at(t, id), "a reorg takes it back")
	require.Equal(t, "0 200 600", w.holds(t, wallet))
	require.Equal(t, "-800 0 0", w.accounts(t))
	require.Len(t, w.node.told, 2)
	require.Equal(t, w.node.told[0], w.node.told[1], "the same bytes are broadcast again")
	w.sound(t)
	w.mine(t)
	w.mine(t, effect)
	w.mine(t)
	w.work(t)
	require.Equal(t, "Completed", w.at(t, id))
	require.Equal(t, "0 200 0", w.holds(t, wallet))
	require.Equal(t, "-200 -10 10", w.accounts(t))
	w.sound(t)
}

// Every way an order can be wrong. The ledger stays as it is.
func TestWithdrawalProblems(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := openStore(t, store.Options{})
	w, other := tillIn(t, s, chains.FamilyBitcoin, depth(1)), tillIn(t, s, chains.FamilyBitcoin, depth(1))
	wallet, archived, elsewhere := w.fund(t, 500), w.open(t), other.fund(t, 500)
	_, err := w.SetVaultStatus(ctx, w.realm, archived.VaultID, custody.VaultArchived)
	require.NoError(t, err)
	cooling := custody.Entry{ID: uuid.New(), Realm: w.realm, Chain: w.desk.chain.Slug, Address: "c", Script: script(11), CreatedAt: time.Now(), UsableAt: time.Now().Add(time.Hour)}
	require.NoError(t, w.AddEntry(ctx, cooling))
	removed := w.allow(t, 12)
	require.NoError(t, w.RemoveEntry(ctx, w.realm, removed.ID))
	require.NoError(t, w.AddEntry(ctx, custody.Entry{ID: uuid.New(), Realm: w.realm, Chain: w.desk.chain.Slug, Address: "own", Script: script(100), CreatedAt: time.Now(), UsableAt: time.Now()}))
	before := len(w.events(t))
	for _, tt := range []struct {
		name   string
		wallet custody.Wallet
		to     int
		amount int64
		want   error
	}{
		{"TooMuch", wallet, outside, 501, custody.ErrInsufficient},
		{"Zero", wallet, outside, 0, custody.ErrAmountPositive},
		{"Negative", wallet, outside, -5, custody.ErrAmountPositive},
		{"NotInBook", wallet, 10, 5, custody.ErrNotInBook},
		{"RemovedFromBook", wallet, 12, 5, custody.ErrNotInBook},
		{"OwnAddress", wallet, 100, 5, custody.ErrOwnAddress},
		{"Archived", archived, outside, 5, custody.ErrArchived},
		{"OtherTenants", elsewhere, outside, 5, indexer.ErrNotFound},
		{"NoWallet", custody.Wallet{ID: uuid.New()}, outside, 5, indexer.ErrNotFound},
	} {
		order := w.order(tt.wallet, tt.amount)
		order.Script = script(tt.to)
		_, err := w.Withdraw(ctx, order)
		require.ErrorIs(t, err, tt.want, tt.name)
	}
	order := w.order(wallet, 5)
	order.Script = script(11)
	_, err = w.Withdraw(ctx, order)
	var cools *custody.CoolingError
	require.ErrorAs(t, err, &cools)
	require.WithinDuration(t, cooling.UsableAt, cools.UsableAt, time.Millisecond)
	require.Equal(t, "0 500 0", w.holds(t, wallet))
	require.Len(t, w.events(t), before)
	w.sound(t)

	id := w.withdraw(t, wallet, 500)
	_, err = w.Withdrawal(ctx, other.realm, id)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	for name, call := range map[string]func() error{
		"Accept": func() error { return second(w.Accept(ctx, other.realm, id, 1, chains.Signed{Raw: []byte{1}})) },
		"Cancel": func() error { return second(w.Cancel(ctx, other.realm, id)) },
		"Bump":   func() error { return second(w.Bump(ctx, other.realm, id)) },
	} {
		require.ErrorIs(t, call(), indexer.ErrNotFound, name)
	}
	require.ErrorIs(t, second(w.Accept(ctx, w.realm, id, 1, chains.Signed{Raw: []byte{1}})), custody.ErrNotSignable)
	require.ErrorIs(t, second(w.Bump(ctx, w.realm, id)), custody.ErrSettled)
}
