package store_test

import (
	"context"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// start returns a bench of the bitcoin family with one account on scripts 1 and
// 2, level at one block.
func start(t *testing.T, opts store.Options) (*bench, uuid.UUID, chains.BlockRef) {
	t.Helper()
	b := newBench(t, openStore(t, opts), chains.FamilyBitcoin)
	account := b.connect(t, script(1), script(2))
	tip := b.apply(t, chains.BlockRef{Height: 9}, 1, chains.Match{})
	b.complete(t)
	return b, account, tip
}

func pending(tx int, match chains.Match, inputs ...chains.Spend) chains.UnconfirmedTx {
	return chains.UnconfirmedTx{Tx: hash('t', tx), Match: match, Inputs: append(match.Spends, inputs...)}
}

// statuses returns the status of each transfer of the chain by source of its tx.
func (b *bench) statuses(t testing.TB, account uuid.UUID) map[chains.Hash]indexer.TransferStatus {
	t.Helper()
	page, _, err := b.Transactions(t.Context(), b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 100})
	require.NoError(t, err)
	found := map[chains.Hash]indexer.TransferStatus{}
	for _, tx := range page {
		found[tx.Tx] = tx.Status
	}
	return found
}

// TestApplyFaults kills Apply at each step, before and after it persisted.
func TestApplyFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		at        string
		persisted bool // the block is in the ledger although Apply failed
	}{
		{name: "BeforeBegin", at: "apply" + store.BeforeBegin},
		{name: "BeforeCommit", at: "apply" + store.BeforeCommit},
		{name: "AfterCommit", at: "apply" + store.AfterCommit, persisted: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f fault
			b, account, tip := start(t, store.Options{Failpoint: f.fail})
			step := indexer.Step{
				Lease: b.lease, Parent: tip.Hash, WatchVersion: b.version(t), Block: block(tip, 2),
				Match: chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 7)}},
			}
			f.arm(tt.at)
			_, err := b.Apply(t.Context(), step)
			require.ErrorIs(t, err, errFault)
			if tt.persisted {
				require.Equal(t, "7", b.balance(t, account))
				_, err = b.Apply(t.Context(), step)
				require.ErrorIs(t, err, indexer.ErrStale, "the same block twice")
			} else {
				require.Equal(t, "0", b.balance(t, account))
				_, err = b.Apply(t.Context(), step)
				require.NoError(t, err)
			}
			require.Equal(t, "7", b.balance(t, account))
			require.Equal(t, []string{"account.synced", "transfer.confirmed"}, b.types(t))
		})
	}
}

func TestFailpointsAreCalled(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	called := map[string]bool{}
	b, account, tip := start(t, store.Options{Secrets: newKeyset(t), Failpoint: func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		called[name] = true
		return nil
	}})
	ctx := t.Context()
	_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease})
	require.NoError(t, err)
	_, err = b.Revert(ctx, b.lease, tip)
	require.NoError(t, err)
	require.NoError(t, b.Extend(ctx, account, []indexer.WatchedScript{{Script: script(3)}}))
	require.NoError(t, b.Rebase(ctx, b.chain))
	b.events(t)
	venueCalls(t, b)
	b.deliver(t)
	require.NoError(t, b.DeleteUser(ctx, b.realm, b.user))
	require.ErrorIs(t, second(b.ChangeKey(ctx, b.realm, "none", revoke)), indexer.ErrNotFound)
	key := access.Key{ID: "k" + b.realm.Tenant, Realm: b.realm, Hash: []byte{1}}
	require.NoError(t, b.CreateKey(ctx, key))
	require.NoError(t, second(b.ChangeKey(ctx, b.realm, key.ID, revoke)))
	_, _, err = b.Write(ctx, access.Entry{Realm: b.realm}, nil, func(context.Context) access.Answer { return access.Answer{Status: 200} })
	require.NoError(t, err)
	custodyCalls(t, &desk{b})
	withdrawalCalls(t, b.Store)
	for _, name := range store.Failpoints() {
		require.True(t, called[name], name)
	}
	require.Len(t, called, len(store.Failpoints()))
}

// deliver calls everything that a delivery passes through.
func (b *bench) deliver(t *testing.T) {
	t.Helper()
	ctx := t.Context()
	e, err := b.CreateEndpoint(ctx, webhook.Endpoint{ID: uuid.New(), Realm: b.realm, URL: "https://receiver.example", Concurrency: 1}, webhook.NewKey())
	require.NoError(t, err)
	_, err = b.ChangeEndpoint(ctx, b.realm, e.ID, func(*webhook.Endpoint) error { return nil })
	require.NoError(t, err)
	require.NoError(t, b.RotateSecret(ctx, b.realm, e.ID, webhook.NewKey(), time.Hour))
	event, err := b.SendTest(ctx, b.realm, e.ID)
	require.NoError(t, err)
	b.events(t)
	sender := uuid.New()
	_, err = b.Beat(ctx, sender, time.Hour)
	require.NoError(t, err)
	_, err = b.FanOut(ctx, 1000)
	require.NoError(t, err)
	_, err = b.Claim(ctx, sender, time.Hour, nil, 10)
	require.NoError(t, err)
	_, err = b.Complete(ctx, sender, nil)
	require.NoError(t, err)
	require.NoError(t, b.Mark(ctx, heard("it answers 500", e)))
	require.NoError(t, b.Disable(ctx, heard("", e)))
	require.NoError(t, b.Leave(ctx, sender))
	require.NoError(t, second(b.Resend(ctx, b.realm, e.ID, event)))
	_, err = b.Recover(ctx, b.realm, e.ID, time.Unix(0, 0))
	require.NoError(t, err)
	require.NoError(t, b.DeleteEndpoint(ctx, b.realm, e.ID))
}

// TestPausedOwner pauses an owner past its lease: whatever it does then is stale.
func TestPausedOwner(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, tip := start(t, store.Options{})
	old := b.lease
	_, err := b.Acquire(ctx, b.chain.Slug, uuid.New(), leaseTime)
	require.ErrorIs(t, err, indexer.ErrLeased)
	_, err = b.Acquire(ctx, b.chain.Slug, old.Owner, -time.Second) // its lease runs out at once
	require.NoError(t, err)
	cursor, err := b.Acquire(ctx, b.chain.Slug, uuid.New(), leaseTime)
	require.NoError(t, err)
	require.Equal(t, old.Epoch+1, cursor.Lease.Epoch)
	require.Equal(t, tip, cursor.Tip)

	step := indexer.Step{Lease: old, Parent: tip.Hash, WatchVersion: cursor.WatchVersion, Block: block(tip, 2)}
	_, err = b.Apply(ctx, step)
	require.ErrorIs(t, err, indexer.ErrStale)
	_, err = b.Revert(ctx, old, tip)
	require.ErrorIs(t, err, indexer.ErrStale)
	_, err = b.Amend(ctx, indexer.Amendment{Lease: old, Pending: []chains.UnconfirmedTx{
		pending(1, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 1)}}),
	}})
	require.ErrorIs(t, err, indexer.ErrStale)
	require.NoError(t, b.Release(ctx, old), "a lost lease is no error")
	_, err = b.Acquire(ctx, b.chain.Slug, old.Owner, leaseTime)
	require.ErrorIs(t, err, indexer.ErrLeased, "and giving it up changes nothing")

	step.Lease = cursor.Lease
	_, err = b.Apply(ctx, step)
	require.NoError(t, err)
	require.NoError(t, b.Release(ctx, cursor.Lease))
	step.Parent, step.Block = step.Block.Hash, block(step.Block, 3)
	_, err = b.Apply(ctx, step)
	require.ErrorIs(t, err, indexer.ErrStale, "it gave the lease up")
	require.Empty(t, b.statuses(t, account))
	_, err = b.Acquire(ctx, "nowhere", uuid.New(), leaseTime)
	require.ErrorIs(t, err, indexer.ErrNotFound)
}

func TestApplyMatchesAgain(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, tip := start(t, store.Options{})
	table := chains.NewWatchTable(0, 0)
	version, err := b.LoadWatch(ctx, b.chain.Slug, -1, table)
	require.NoError(t, err)
	require.NoError(t, b.Extend(ctx, account, []indexer.WatchedScript{{Script: script(3), Index: 2}, {Script: script(1)}}))
	step := indexer.Step{Lease: b.lease, Parent: tip.Hash, WatchVersion: version, Block: block(tip, 2)}
	_, err = b.Apply(ctx, step)
	require.ErrorIs(t, err, indexer.ErrWatchMoved)
	require.False(t, table.HasScript(script(3)))
	step.WatchVersion, err = b.LoadWatch(ctx, b.chain.Slug, version, table)
	require.NoError(t, err)
	require.True(t, table.HasScript(script(3)))
	_, err = b.Apply(ctx, step)
	require.NoError(t, err)
	require.NoError(t, b.Extend(ctx, account, []indexer.WatchedScript{{Script: script(3)}}))
	require.Equal(t, step.WatchVersion, b.version(t), "nothing new is no new version")
	scripts, err := b.SearchScripts(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Len(t, scripts, 1)
	require.EqualValues(t, tip.Height, scripts[0].Handover)
}

// TestReplaced follows conflicts: in the mempool, by a block, by a transaction
// that pays us nothing, with a child, and back again.
func TestReplaced(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, tip := start(t, store.Options{})
	foreign := spend(1, 100)
	first := pending(1, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 10)}}, foreign)
	child := pending(2, chains.Match{Transfers: []chains.Transfer{b.pay(2, 2, 9)}, Spends: []chains.Spend{spend(2, 1)}})
	applied, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Pending: []chains.UnconfirmedTx{first, child}})
	require.NoError(t, err)
	require.Contains(t, applied.Watch, foreign.Spent)
	require.Equal(t, 3, applied.Events)

	// Another one of the mempool spends what the first one spends.
	second := pending(3, chains.Match{Transfers: []chains.Transfer{b.pay(3, 1, 8)}}, chains.Spend{Tx: hash('t', 3), Spent: foreign.Spent})
	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Pending: []chains.UnconfirmedTx{second}})
	require.NoError(t, err)
	require.Equal(t, map[chains.Hash]indexer.TransferStatus{
		hash('t', 1): indexer.StatusReplaced, hash('t', 2): indexer.StatusReplaced, hash('t', 3): indexer.StatusPending,
	}, b.statuses(t, account))

	// The node prefers the first one again.
	applied, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Revived: []chains.Hash{hash('t', 1), hash('t', 2)}})
	require.NoError(t, err)
	require.Equal(t, 4, applied.Events)
	require.Equal(t, map[chains.Hash]indexer.TransferStatus{
		hash('t', 1): indexer.StatusPending, hash('t', 2): indexer.StatusPending, hash('t', 3): indexer.StatusReplaced,
	}, b.statuses(t, account))

	// A block holds one that pays us nothing.
	table := chains.NewWatchTable(0, 0)
	_, err = b.LoadWatch(ctx, b.chain.Slug, -1, table)
	require.NoError(t, err)
	require.True(t, table.HasOutpoint(foreign.Spent), "a restart watches the inputs of what is unconfirmed")
	mined := b.apply(t, tip, 2, chains.Match{Spends: []chains.Spend{{Tx: hash('t', 4), Spent: foreign.Spent}}})
	require.Equal(t, map[chains.Hash]indexer.TransferStatus{
		hash('t', 1): indexer.StatusReplaced, hash('t', 2): indexer.StatusReplaced, hash('t', 3): indexer.StatusReplaced,
	}, b.statuses(t, account))
	_, gone, err := b.OpenTxs(ctx, b.chain.Slug)
	require.NoError(t, err)
	require.Len(t, gone, 3)

	// That block leaves; the first one is mined instead, the mempool is older.
	_, err = b.Revert(ctx, b.lease, mined)
	require.NoError(t, err)
	b.apply(t, tip, 3, chains.Match{Transfers: first.Match.Transfers, Spends: []chains.Spend{foreign}})
	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Pending: []chains.UnconfirmedTx{first, child}, Dropped: []chains.Hash{hash('t', 1)}})
	require.NoError(t, err)
	require.Equal(t, map[chains.Hash]indexer.TransferStatus{
		hash('t', 1): indexer.StatusConfirmed, hash('t', 2): indexer.StatusPending, hash('t', 3): indexer.StatusReplaced,
	}, b.statuses(t, account))
	require.Equal(t, "10", b.balance(t, account))
	balance, err := b.AccountBalance(ctx, b.realm, account)
	require.NoError(t, err)
	require.Equal(t, "9", balance.Pending[0].In.String())
	require.Equal(t, "10", balance.Pending[0].Out.String())
}

// TestLegThatDiffers mines a leg again with another amount, as a log of an EVM
// transaction may be: the old transfer ends and another one begins.
func TestLegThatDiffers(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t, openStore(t, store.Options{}), chains.FamilyEVM)
	account := b.connect(t, script(1))
	first := b.apply(t, chains.BlockRef{Height: 9}, 1, chains.Match{})
	leg := func(amount int64, to int) chains.Match {
		return chains.Match{Transfers: []chains.Transfer{{
			Tx: hash('t', 1), Source: chains.SourceLog(0), Side: chains.In, Asset: "eip155:1/erc20:0xabc", Amount: chains.NewAmount(amount), Script: script(to),
		}}}
	}
	second := b.apply(t, first, 2, leg(5, 1))
	_, err := b.Revert(ctx, b.lease, second)
	require.NoError(t, err)
	third := b.apply(t, first, 3, leg(6, 1))
	_, err = b.Revert(ctx, b.lease, third)
	require.NoError(t, err)
	b.apply(t, first, 4, leg(5, 1))
	require.Equal(t, []string{
		"transfer.confirmed", "transfer.orphaned", "transfer.confirmed", "transfer.orphaned", "transfer.confirmed",
	}, b.types(t))
	page, _, err := b.Transactions(ctx, b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 9})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Len(t, page[0].Legs, 1)
	require.Equal(t, "5", page[0].Legs[0].Amount.String())
	require.EqualValues(t, 1, page[0].Confirmations)
	events := b.events(t)
	require.Equal(t, events[0].ResourceID, events[4].ResourceID, "the same transfer came back")
	require.NotEqual(t, events[0].ResourceID, events[2].ResourceID)
	require.EqualValues(t, 3, events[4].ResourceVersion)
	require.JSONEq(t, `{"chain":"`+b.chain.Slug+`","tx":"0x`+hash('t', 1).String()+`","source":"log:0","side":"in","asset":"eip155:1/erc20:0xabc",
		"amount":"5","address":"addr001401","status":"confirmed","block":"0x`+hash('b', 4).String()+`","height":11,"coinbase":false,"replaced_by":null}`, string(events[4].Data))
}

// TestHostileBlock writes what no honest block holds. None of it may fail.
func TestHostileBlock(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b := newBench(t, openStore(t, store.Options{}), chains.FamilyEVM)
	b.connect(t, script(1))
	huge := chains.AmountFromBig(new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1)))
	var match chains.Match
	for i := range 9 {
		match.Transfers = append(match.Transfers, chains.Transfer{
			Tx: hash('t', 1), Source: chains.SourceLog(i), Side: chains.In, Asset: "eip155:1/erc20:0xabc", Amount: huge, Script: script(1),
		})
	}
	long := chains.Transfer{
		Tx: hash('t', 2), Source: chains.SourceCall(string(make0(9000))), Side: chains.Out, Asset: "eip155:1/erc20:0xdef",
		Amount: huge, Script: script(1), Peer: make0(100_000),
	}
	match.Transfers = append(match.Transfers, match.Transfers[0], long)
	b.apply(t, chains.BlockRef{Height: 9}, 1, match)
	var sum chains.Amount
	require.NoError(t, b.Pool().QueryRow(ctx, `SELECT max(s.amount) FROM sums AS s JOIN assets AS a ON a.id = s.asset_id WHERE a.chain = $1`, b.chain.Slug).Scan(&sum))
	require.Equal(t, huge.Mul(chains.NewAmount(9)).String(), sum.String())
	_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Assets: []chains.Asset{
		{ID: "eip155:1/erc20:0xabc", Symbol: "A\x00\xff", Name: string(make0(5000)), Decimals: 1 << 40},
	}})
	require.NoError(t, err)
	left, err := b.UnnamedAssets(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Equal(t, []chains.AssetID{"eip155:1/erc20:0xdef"}, left)
}

func make0(n int) []byte { return slices.Repeat([]byte("0"), n) }

// TestCoinbase keeps a reward apart until it can be spent, and takes it back.
func TestCoinbase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, tip := start(t, store.Options{})
	reward := b.pay(1, 1, 50)
	reward.Coinbase = true
	tip = b.apply(t, tip, 2, chains.Match{Transfers: []chains.Transfer{reward}})
	rewarded := tip
	for n, immature := range []string{"50", "50", "0"} {
		balance, err := b.AccountBalance(ctx, b.realm, account)
		require.NoError(t, err)
		require.Equal(t, "50", balance.Balances[0].Amount.String())
		require.Equal(t, immature, balance.Balances[0].Immature.String(), "confirmations: %d", n+1)
		if n < 2 {
			tip = b.apply(t, tip, 3+n, chains.Match{})
		}
	}
	for tip.Height >= rewarded.Height {
		_, err := b.Revert(ctx, b.lease, tip)
		require.NoError(t, err)
		var now chains.BlockRef
		now, err = b.Tip(ctx, b.chain.Slug)
		require.NoError(t, err)
		tip = now
	}
	require.Equal(t, "0", b.balance(t, account))
	require.Equal(t, indexer.StatusOrphaned, b.statuses(t, account)[hash('t', 1)])
	_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Revived: []chains.Hash{hash('t', 1)}})
	require.NoError(t, err)
	require.Equal(t, indexer.StatusOrphaned, b.statuses(t, account)[hash('t', 1)], "a reward is never in a mempool")
}
