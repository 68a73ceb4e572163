package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// evmTill is a till on an EVM chain with one listed token and a treasury that has
// plenty of both.
type evmTill struct {
	*till
	token chains.AssetID
}

const treasury = 50

func newEVMTill(t testing.TB, policy custody.Policy) *evmTill {
	t.Helper()
	return evmTillIn(t, openStore(t, store.Options{MaxConns: 8}), policy)
}

func evmTillIn(t testing.TB, s *store.Store, policy custody.Policy) *evmTill {
	t.Helper()
	w := tillIn(t, s, chains.FamilyEVM, policy)
	e := &evmTill{till: w, token: tokenOf(w.desk.chain)}
	require.NoError(t, w.Register(t.Context(), w.desk.chain, []chains.Asset{{ID: e.token, Symbol: "TOK", Decimals: 6, Listed: true}}))
	require.NoError(t, w.SetTreasury(t.Context(), w.realm, w.desk.chain.Slug, indexer.WatchedScript{Script: script(treasury), Address: address(treasury)}))
	e.read(t, 10_000, 10_000)
	return e
}

// read has the treasury's balances read in a new block.
func (e *evmTill) read(t testing.TB, native, token int64) {
	t.Helper()
	e.snapshot(t, treasury, native, token)
}

func (e *evmTill) snapshot(t testing.TB, at int, native, token int64) {
	t.Helper()
	e.n++
	ref := block(e.tip(), e.n)
	reading := func(asset chains.AssetID, amount int64) chains.Snapshot {
		return chains.Snapshot{Script: script(at), Asset: asset, Amount: chains.NewAmount(amount), At: ref, Proof: chains.Proven}
	}
	_, err := e.Apply(t.Context(), indexer.Step{
		Lease: e.lease, Parent: e.tip().Hash, WatchVersion: e.version(t), Block: ref,
		Snapshots: []chains.Snapshot{reading(e.desk.chain.Native.ID, native), reading(e.token, token)},
	})
	require.NoError(t, err)
	e.chain = append(e.chain, ref)
}

// rich opens a wallet that has an amount by a posting: its deposits are tested
// elsewhere.
func (w *till) rich(t testing.TB, asset chains.AssetID, amount int64) custody.Wallet {
	t.Helper()
	wallet := w.openIn(t, w.newVault(t), asset)
	_, err := w.Pool().Exec(t.Context(), `
		WITH t AS (
			INSERT INTO transactions (id, tenant, environment, kind, status, destination_wallet, asset_id, amount)
			SELECT gen_random_uuid(), tenant, environment, 'Deposit', 'Completed', id, asset_id, $2 FROM wallets WHERE id = $1
			RETURNING id, tenant, environment
		), j AS (
			INSERT INTO journals (tenant, environment, kind, reference, version) SELECT tenant, environment, 'deposit', id, 1 FROM t RETURNING id
		), w AS (
			UPDATE wallets SET available = $2 WHERE id = $1 RETURNING asset_id
		)
		INSERT INTO postings (journal_id, n, account, wallet_id, asset_id, amount)
		SELECT j.id, v.n, v.account, v.wallet, w.asset_id, v.amount
		FROM j, w, (VALUES (0, 'chain', NULL, -$2::numeric), (1, 'available', $1::uuid, $2::numeric)) AS v (n, account, wallet, amount)`,
		wallet.ID, amount)
	require.NoError(t, err)
	return wallet
}

func (e *evmTill) nonce(t testing.TB, id uuid.UUID) int {
	t.Helper()
	found := e.withdrawal(t, id)
	require.NotNil(t, found.Nonce)
	return int(*found.Nonce)
}

// Native coins and tokens leave the treasury, each with a nonce of its own.
func TestTreasuryPays(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(2))
	e.node.nonces[string(script(treasury))] = 7
	coins, tokens := e.rich(t, e.desk.chain.Native.ID, 500), e.rich(t, e.token, 900)
	a, b := e.withdraw(t, coins, 100), e.withdraw(t, tokens, 300)
	e.work(t)
	require.ElementsMatch(t, []int{7, 8}, []int{e.nonce(t, a), e.nonce(t, b)}, "the nonce goes on where the chain is")
	e.signs(t, a)
	e.signs(t, b)
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, a))
	e.mine(t, e.onChain(t, a), e.onChain(t, b))
	e.work(t)
	e.mine(t)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, a))
	require.Equal(t, "Completed", e.at(t, b))
	require.Equal(t, "0 400 0", e.holds(t, coins))
	require.Equal(t, "0 600 0", e.holds(t, tokens))
	require.Equal(t, "2", e.withdrawal(t, b).Mined.Fee.String())
	require.Equal(t, "-400 -4 4", e.accounts(t), "100 left, and what the network was paid")
	e.sound(t)

	e.unmine(t, 2)
	e.work(t)
	require.Equal(t, "0 600 300", e.holds(t, tokens))
	require.Equal(t, "-500 0 0", e.accounts(t))
	e.sound(t)
}

// Another tenant that gives the treasury for its own reserves nothing of it until it
// has signed, which it cannot without the key. Should both have it, the chain decides.
func TestTreasuryOfAnother(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	native := e.desk.chain.Native.ID
	sender := script(treasury)
	e.node.nonces[string(sender)] = 7
	other := e.twin(t)
	require.NoError(t, other.SetTreasury(t.Context(), other.realm, e.desk.chain.Slug, indexer.WatchedScript{Script: sender, Address: address(treasury)}))
	wallet, theirs := e.rich(t, native, 20_000), other.rich(t, native, 20_000)
	nonce := func(w *till, id uuid.UUID) int {
		t.Helper()
		found := w.withdrawal(t, id)
		require.NotNil(t, found.Nonce, found.Reason)
		return int(*found.Nonce)
	}

	first, second := other.withdraw(t, theirs, 6000), other.withdraw(t, theirs, 3000)
	e.work(t)
	require.ElementsMatch(t, []int{7, 8}, []int{nonce(other, first), nonce(other, second)})
	own := e.withdraw(t, wallet, 9000)
	e.work(t)
	require.Equal(t, 7, e.nonce(t, own), "what the other only reserved, of the nonces and of the money, is not gone")
	e.signs(t, own)
	e.work(t)
	e.mine(t, e.onChain(t, own))
	e.read(t, 998, 10_000)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, own))

	e.node.nonces[string(sender)] = 8
	low := first
	if nonce(other, second) == 7 {
		low = second
	}
	other.signs(t, low)
	e.node.refuse = chains.RefusedSpent
	e.work(t)
	e.mineEmpty(t, 12)
	e.again(t)
	require.Equal(t, "Failed conflict", other.at(t, low))
	e.node.refuse = ""
	e.sound(t)
	other.sound(t)

	e.read(t, 10_000, 10_000)
	third := e.withdraw(t, wallet, 500)
	e.work(t)
	require.Equal(t, 8, e.nonce(t, third), "the other has not signed that one")
	e.signs(t, third)
	fourth := other.withdraw(t, theirs, 100)
	e.work(t)
	require.Equal(t, 9, nonce(other, fourth), "what is signed counts for everybody")

	for range 2 {
		fifth := e.withdraw(t, wallet, 100)
		e.work(t)
		e.signs(t, fifth)
	}
	_, err := other.Cancel(t.Context(), other.realm, fourth)
	require.NoError(t, err)
	list, _, err := other.CustodyTransactions(t.Context(), other.realm, custody.TransactionFilter{Kinds: []custody.Kind{custody.KindNonceFill}, Limit: 1})
	require.NoError(t, err)
	require.Empty(t, list, "nobody waits behind a nonce that was not signed")
	e.sound(t)
	other.sound(t)
}

// The transaction of one tenant's withdrawal is not taken for that of another's.
func TestSameBytesOfAnother(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	native := e.desk.chain.Native.ID
	other := e.twin(t)
	require.NoError(t, other.SetTreasury(t.Context(), other.realm, e.desk.chain.Slug, indexer.WatchedScript{Script: script(treasury), Address: address(treasury)}))
	wallet, theirs := e.rich(t, native, 500), other.rich(t, native, 500)
	late := other.withdraw(t, theirs, 10)
	e.work(t)
	id := e.withdraw(t, wallet, 10)
	e.work(t)
	draft := e.signs(t, id)
	require.ErrorIs(t, second(other.Accept(t.Context(), other.realm, late, 1, sign(draft.Draft))), custody.ErrNotSignable)
	e.work(t)
	e.mine(t, e.onChain(t, id))
	e.again(t)
	require.Equal(t, "Completed", e.at(t, id))
	require.Equal(t, "PendingSignature", other.at(t, late))
	require.NoError(t, second(other.Cancel(t.Context(), other.realm, late)))
	require.Equal(t, "0 500 0", other.holds(t, theirs))
	e.sound(t)
	other.sound(t)
}

// A token that refuses when it is mined costs the tenant the fee, and the wallet
// nothing.
func TestRevertedTransfer(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(2))
	tokens := e.rich(t, e.token, 900)
	id := e.withdraw(t, tokens, 300)
	e.work(t)
	draft := e.signs(t, id)
	e.work(t)
	e.mine(t, e.transferEffect(draft.Draft, sign(draft.Draft).ID, false))
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, id), "a reorg may still let it succeed")
	require.Equal(t, "0 600 300", e.holds(t, tokens))
	e.mine(t)
	e.work(t)
	require.Equal(t, "Failed reverted", e.at(t, id))
	require.Equal(t, "0 900 0", e.holds(t, tokens))
	require.Equal(t, "0 -2 2", e.accounts(t))
	e.sound(t)
	e.unmine(t, 2)
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, id))
	require.Equal(t, "0 600 300", e.holds(t, tokens))
	e.mine(t, e.onChain(t, id))
	e.mine(t)
	e.work(t)
	require.Equal(t, "Completed", e.at(t, id))
	e.sound(t)

	// One that refuses before is not even built.
	e.node.reverts = true
	id = e.withdraw(t, tokens, 5)
	e.work(t)
	require.Equal(t, "Failed reverts", e.at(t, id))
	require.Equal(t, "0 600 0", e.holds(t, tokens))
	e.sound(t)
}

// Where nothing is paid for gas, one that failed leaves no transfer: the node's word
// for it counts, as long as its block does.
func TestRevertedWithoutFee(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	tokens := e.rich(t, e.token, 900)
	id := e.withdraw(t, tokens, 300)
	e.work(t)
	draft := e.signs(t, id)
	e.work(t)
	ref := e.mine(t)
	e.node.sights[sign(draft.Draft).ID] = chains.Sighting{Mined: true, Block: ref.Hash, Height: ref.Height, Failed: true}
	e.again(t)
	require.Equal(t, "Failed reverted", e.at(t, id))
	require.Equal(t, "0 900 0", e.holds(t, tokens))
	e.sound(t)
	delete(e.node.sights, sign(draft.Draft).ID)
	e.unmine(t, 1)
	e.work(t)
	require.Equal(t, "Confirming", e.at(t, id), "its block left")
	require.Equal(t, "0 600 300", e.holds(t, tokens))
	e.node.sights[sign(draft.Draft).ID] = chains.Sighting{Mined: true, Block: hash('f', 1), Height: 1, Failed: true}
	e.again(t)
	require.Equal(t, "Confirming", e.at(t, id), "in a block that the ledger does not have")
	e.sound(t)
}

// The nonce of one that is cancelled is filled if later ones wait behind it, and
// given again if none do.
func TestCancelNonce(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	var ids []uuid.UUID
	for range 3 {
		ids = append(ids, e.withdraw(t, coins, 10))
		e.work(t)
	}
	require.Equal(t, 2, e.nonce(t, ids[2]))
	require.NoError(t, second(e.Cancel(ctx, e.realm, ids[2])))
	top := e.withdraw(t, coins, 11)
	e.work(t)
	require.Equal(t, 2, e.nonce(t, top), "the highest is given again")

	require.NoError(t, second(e.Cancel(ctx, e.realm, ids[0])))
	require.NoError(t, second(e.Cancel(ctx, e.realm, ids[0])), "twice is once")
	e.work(t)
	list, _, err := e.CustodyTransactions(ctx, e.realm, custody.TransactionFilter{Kinds: []custody.Kind{custody.KindNonceFill}, Limit: 10})
	require.NoError(t, err)
	require.Len(t, list, 1)
	fill := e.withdrawal(t, list[0].ID)
	require.Equal(t, custody.PendingSignature, fill.Status)
	require.Equal(t, uint64(0), *fill.Nonce)
	transfer := fill.Drafts[0].Draft.Transfer
	require.Equal(t, transfer.From, transfer.To)
	require.True(t, transfer.Value.IsZero())
	require.Equal(t, 1, fill.Drafts[0].Draft.Rate.Max.Cmp(e.withdrawal(t, ids[0]).Drafts[0].Draft.Rate.Max), "it replaces what may be known to nodes")
	require.ErrorIs(t, second(e.Cancel(ctx, e.realm, fill.ID)), custody.ErrSettled)

	for _, id := range []uuid.UUID{fill.ID, ids[1], top} {
		e.signs(t, id)
	}
	e.work(t)
	for _, id := range []uuid.UUID{fill.ID, ids[1], top} {
		e.mine(t, e.onChain(t, id))
	}
	e.work(t)
	for _, id := range []uuid.UUID{fill.ID, ids[1], top} {
		require.Equal(t, "Completed", e.at(t, id))
	}
	require.Equal(t, "0 479 0", e.holds(t, coins))
	require.Equal(t, "-479 -6 6", e.accounts(t))
	e.sound(t)
}

// Two payers and one treasury: every draft has a nonce of its own, without a gap,
// also while others cancel.
func TestWithdrawalsRaceForNonces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 5000)
	var ids []uuid.UUID
	for range 12 {
		ids = append(ids, e.withdraw(t, coins, 10))
	}
	var wg sync.WaitGroup
	for range 3 {
		payer := e.newPayer()
		wg.Go(func() {
			for range 16 {
				if _, err := payer.Step(ctx); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for _, id := range ids[:6] {
			if _, err := e.Cancel(ctx, e.realm, id); err != nil {
				t.Error(err)
			}
		}
	})
	wg.Wait()
	e.again(t)
	var nonces []int64
	rows, err := e.Pool().Query(ctx, "SELECT nonce FROM withdrawals WHERE chain = $1 AND status = 'PendingSignature' ORDER BY nonce", e.desk.chain.Slug)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var nonce int64
		require.NoError(t, rows.Scan(&nonce))
		require.Equal(t, int64(len(nonces)), nonce, "neither twice nor left out")
		nonces = append(nonces, nonce)
	}
	require.NoError(t, rows.Err())
	require.GreaterOrEqual(t, len(nonces), 6)
	require.Equal(t, "0 4940 60", e.holds(t, coins))
	e.sound(t)
}

// A draft that waits while the highest nonce is given up takes that one, and not the
// next: what was read before the wait is old.
func TestNonceGivenUpBeside(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	reached, leave := make(chan struct{}), make(chan struct{})
	goOn := sync.OnceFunc(func() { close(leave) })
	s := openStore(t, store.Options{MaxConns: 8, Failpoint: func(name string) error {
		if name == "cancel"+store.BeforeCommit {
			close(reached)
			<-leave
		}
		return nil
	}})
	t.Cleanup(goOn) // before the store closes, also where the test fails
	e := evmTillIn(t, s, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	ids := []uuid.UUID{e.withdraw(t, coins, 10), e.withdraw(t, coins, 10)}
	e.work(t)
	top := ids[1]
	if *e.withdrawal(t, top).Nonce != 1 {
		top = ids[0]
	}
	late := e.withdraw(t, coins, 10)
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := e.Cancel(ctx, e.realm, top); err != nil {
			t.Error(err)
		}
	})
	<-reached
	wg.Go(func() {
		if _, err := e.payer.Step(ctx); err != nil {
			t.Error(err)
		}
	})
	require.Eventually(t, func() bool {
		var waiting int
		err := s.Pool().QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&waiting)
		return err == nil && waiting == 1
	}, 30*time.Second, 5*time.Millisecond)
	goOn()
	wg.Wait()
	e.again(t)
	require.Equal(t, "PendingSignature", e.at(t, late))
	require.EqualValues(t, 1, *e.withdrawal(t, late).Nonce)
	e.sound(t)
}

// Somebody uses the nonce for another transaction.
func TestNonceUsedElsewhere(t *testing.T) {
	t.Parallel()
	e := newEVMTill(t, depth(1))
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	id := e.withdraw(t, coins, 100)
	e.work(t)
	e.signs(t, id)
	e.node.refuse, e.node.nonces[string(script(treasury))] = chains.RefusedSpent, 1
	e.work(t)
	require.Equal(t, "Broadcasting refused_spent", e.at(t, id))
	e.mineEmpty(t, 11)
	e.again(t)
	require.Equal(t, "Broadcasting refused_spent", e.at(t, id), "a node may be ahead of the ledger")
	e.node.nonces[string(script(treasury))] = 0
	e.mineEmpty(t, 5)
	e.again(t)
	require.Nil(t, e.withdrawal(t, id).Lost, "it is not used any more")
	e.node.nonces[string(script(treasury))] = 1
	e.again(t)
	e.mineEmpty(t, 12)
	e.node.down = errors.New("unplugged")
	e.again(t)
	require.Equal(t, "Broadcasting refused_spent", e.at(t, id))
	e.node.down = nil
	e.again(t)
	require.Equal(t, "Failed conflict", e.at(t, id))
	require.Equal(t, "0 500 0", e.holds(t, coins))
	e.sound(t)
}

// The treasury has what it has: drafts that wait count.
func TestTreasuryLow(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(1))
	e.read(t, 250, 70)
	coins, tokens := e.rich(t, e.desk.chain.Native.ID, 1000), e.rich(t, e.token, 1000)
	a := e.withdraw(t, coins, 100)
	e.work(t)
	b := e.withdraw(t, coins, 135)
	e.work(t)
	require.Equal(t, "Submitted treasury_low", e.at(t, b))
	require.Equal(t, &chains.ShortageError{Asset: e.desk.chain.Native.ID, Have: chains.NewAmount(140), Need: chains.NewAmount(145)}, e.withdrawal(t, b).Short)
	require.NoError(t, second(e.Cancel(ctx, e.realm, b)))
	b = e.withdraw(t, tokens, 60)
	e.work(t)
	require.Equal(t, "PendingSignature", e.at(t, b))
	c := e.withdraw(t, tokens, 20)
	e.work(t)
	require.Equal(t, "Submitted treasury_low", e.at(t, c))
	require.Equal(t, e.token, e.withdrawal(t, c).Short.Asset)
	funds, err := e.Funds(ctx, e.realm, e.desk.chain.Slug)
	require.NoError(t, err)
	require.Equal(t, address(treasury), funds.Treasury)
	require.Equal(t, []string{"250", "120", "0"}, []string{funds.Assets[0].Balance.String(), funds.Assets[0].Committed.String(), funds.Assets[0].Waiting.String()})
	require.Equal(t, []string{"70", "60", "20"}, []string{funds.Assets[1].Balance.String(), funds.Assets[1].Committed.String(), funds.Assets[1].Waiting.String()})

	// a is mined, and nobody has read the balance since: it still counts.
	e.signs(t, a)
	e.work(t)
	e.mine(t, e.onChain(t, a))
	e.work(t)
	require.Equal(t, "Completed", e.at(t, a))
	d := e.withdraw(t, coins, 140)
	e.work(t)
	require.Equal(t, "Submitted treasury_low", e.at(t, d))
	e.read(t, 900, 900)
	e.again(t)
	require.Equal(t, "PendingSignature", e.at(t, c))
	require.Equal(t, "PendingSignature", e.at(t, d))
	e.sound(t)
}

func TestNoTreasury(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(1))
	_, err := e.Pool().Exec(ctx, "UPDATE addresses SET retired_at = now() WHERE tenant = $1 AND purpose = 'treasury'", e.realm.Tenant)
	require.NoError(t, err)
	coins := e.rich(t, e.desk.chain.Native.ID, 1000)
	id := e.withdraw(t, coins, 100)
	e.work(t)
	require.Equal(t, "Submitted no_treasury", e.at(t, id))
	require.NoError(t, e.SetTreasury(ctx, e.realm, e.desk.chain.Slug, indexer.WatchedScript{Script: script(treasury), Address: address(treasury)}))
	e.again(t)
	require.Equal(t, "PendingSignature", e.at(t, id))
	e.sound(t)
}

// An address is swept once at a time, and topped up so that it can be.
func TestSweep(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMTill(t, depth(1))
	wallet := e.openIn(t, e.newVault(t), e.token)
	at := 100 // the first of the key
	require.Equal(t, address(at), wallet.Address)
	order := custody.InternalOrder{ID: uuid.New(), Realm: e.realm, Kind: custody.KindSweep, Chain: e.desk.chain.Slug, Script: script(at), Asset: e.token}
	require.ErrorIs(t, second(e.MoveWithin(ctx, order)), custody.ErrNothingThere)
	e.snapshot(t, at, 5, 60)
	funds, err := e.Funds(ctx, e.realm, e.desk.chain.Slug)
	require.NoError(t, err)
	require.Len(t, funds.Sweeps, 2)
	require.Equal(t, "5", funds.Sweeps[0].Gas.String())
	for name, wrong := range map[string]custody.InternalOrder{
		"Foreign":  {Script: script(outside), Asset: e.token},
		"Treasury": {Script: script(treasury), Asset: e.token},
		"NoAsset":  {Script: script(at), Asset: "x"},
	} {
		wrong.ID, wrong.Realm, wrong.Kind, wrong.Chain = uuid.New(), e.realm, custody.KindSweep, e.desk.chain.Slug
		require.ErrorIs(t, second(e.MoveWithin(ctx, wrong)), indexer.ErrNotFound, name)
	}
	sweep, err := e.MoveWithin(ctx, order)
	require.NoError(t, err)
	require.Equal(t, "60", sweep.Amount.String())
	require.Equal(t, script(treasury), sweep.Script)
	again := order
	again.ID = uuid.New()
	require.ErrorIs(t, second(e.MoveWithin(ctx, again)), custody.ErrUnderWay)

	topUp, err := e.MoveWithin(ctx, custody.InternalOrder{
		ID: uuid.New(), Realm: e.realm, Kind: custody.KindGasTopUp, Chain: e.desk.chain.Slug, Script: script(at), Amount: chains.NewAmount(15),
	})
	require.NoError(t, err)
	e.work(t)
	found := e.withdrawal(t, sweep.ID)
	require.Equal(t, custody.PendingSignature, found.Status)
	require.Equal(t, "40", found.Amount.String(), "what there is by the time it is built")
	require.Equal(t, script(at), []byte(found.Drafts[0].Draft.Transfer.From))
	require.Equal(t, &chains.KeyPath{Wallet: "xpub"}, found.Drafts[0].Draft.Transfer.Key)
	require.Equal(t, script(treasury), []byte(e.withdrawal(t, topUp.ID).Drafts[0].Draft.Transfer.From))
	e.signs(t, sweep.ID)
	e.signs(t, topUp.ID)
	e.work(t)
	e.mine(t, e.onChain(t, sweep.ID), e.onChain(t, topUp.ID))
	e.work(t)
	require.Equal(t, "Completed", e.at(t, sweep.ID))
	require.Equal(t, "Completed", e.at(t, topUp.ID))
	require.Equal(t, "0 0 0", e.holds(t, wallet), "neither is a deposit")
	require.Empty(t, e.depositsOf(t, wallet))
	require.Equal(t, "0 -4 4", e.accounts(t))
	e.sound(t)
}
