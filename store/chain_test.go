package store_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/embedded"
)

// TestMigrate lets several processes migrate at once.
func TestMigrate(t *testing.T) {
	t.Parallel()
	url := embedded.TestDatabase(t)
	var wg sync.WaitGroup
	applied := make([]int, 3)
	for i := range applied {
		wg.Go(func() {
			var err error
			applied[i], err = store.Migrate(t.Context(), store.Options{URL: url})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	total, workers := 0, 0
	for _, n := range applied {
		total += n
		if n > 0 {
			workers++
		}
	}
	require.Equal(t, 1, workers)
	require.Positive(t, total)
}

func TestOpenHidesThePassword(t *testing.T) {
	t.Parallel()
	for _, opts := range []store.Options{
		{URL: "postgres://u:secret@127.0.0.1:1/db"}, {URL: "postgres://u:secret@host:bad/db"}, {URL: "postgres://u:secret@h/db", Pooler: "other"},
	} {
		_, err := store.Open(t.Context(), opts)
		require.Error(t, err)
		require.NotContains(t, err.Error(), "secret")
	}
}

// TestRebase begins a chain again with another genesis.
func TestRebase(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, tip := start(t, store.Options{})
	b.apply(t, tip, 2, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 7)}})
	next := b.chain
	next.Genesis = hash('g', 1)
	require.ErrorIs(t, b.Register(ctx, next, nil), indexer.ErrGenesis)
	_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Dispute: &indexer.Dispute{Reason: "two branches", Height: 9}})
	require.NoError(t, err)
	require.NoError(t, b.Rebase(ctx, next))
	require.NoError(t, b.Register(ctx, next, nil))
	_, err = b.Apply(ctx, indexer.Step{Lease: b.lease, WatchVersion: b.version(t), Block: block(chains.BlockRef{Height: 3}, 5)})
	require.ErrorIs(t, err, indexer.ErrStale, "the old owner")
	cursor, err := b.Acquire(ctx, b.chain.Slug, b.lease.Owner, leaseTime)
	require.NoError(t, err)
	require.True(t, cursor.Tip.Hash.IsZero())
	require.Zero(t, cursor.Dispute)
	require.Zero(t, cursor.Head)
	require.Equal(t, next.Genesis, cursor.Genesis)
	require.Empty(t, b.balance(t, account), "unknown again")
	require.Equal(t, []string{"account.synced", "transfer.confirmed", "transfer.orphaned"}, b.types(t))

	b.lease = cursor.Lease
	b.apply(t, chains.BlockRef{Height: 3}, 5, chains.Match{})
	scripts, err := b.SearchScripts(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.EqualValues(t, 3, scripts[0].Handover)
	b.complete(t)
	require.Equal(t, "0", b.balance(t, account))
	require.ErrorIs(t, b.Rebase(ctx, testChain("nowhere", chains.FamilyEVM)), indexer.ErrNotFound)
}

func TestStatusEvents(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, _, tip := start(t, store.Options{})
	say := func(state, reason string) {
		_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Final: new(uint64(4)), Status: &indexer.StatusChange{State: state, Reason: reason, Head: 12}})
		require.NoError(t, err)
	}
	for _, state := range []string{
		indexer.StateSyncing, indexer.StateLevel, indexer.StateDegraded, indexer.StateDegraded, indexer.StateHalted, indexer.StateLevel, indexer.StateLevel,
	} {
		say(state, "because")
	}
	require.Equal(t, []string{"account.synced", "chain.degraded", "chain.degraded", "chain.recovered"}, b.types(t))
	cursor, err := b.Acquire(ctx, b.chain.Slug, b.lease.Owner, leaseTime)
	require.NoError(t, err)
	require.EqualValues(t, 12, cursor.Head)
	statuses, err := b.ChainStatuses(ctx)
	require.NoError(t, err)
	require.Len(t, statuses, 1)
	require.Equal(t, tip, statuses[0].Tip)
	require.EqualValues(t, 12, statuses[0].Head)
	require.EqualValues(t, 4, statuses[0].Final)
	require.EqualValues(t, 2, statuses[0].Scripts)
	require.Empty(t, statuses[0].Halted, "that is of credits, and an operator's to end")
	require.ErrorIs(t, b.Resume(ctx, "nowhere"), indexer.ErrNotFound)
}

// TestRealms asks with another tenant, and with the other environment: nothing
// is found, nothing changes.
func TestRealms(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, _ := start(t, store.Options{})
	key := access.Key{ID: "k" + b.realm.Tenant, Realm: b.realm, Owner: "o", Name: "n", Hash: []byte{1}, Scopes: []string{"*:*"}}
	require.NoError(t, b.CreateKey(ctx, key))
	require.ErrorIs(t, b.CreateKey(ctx, key), indexer.ErrExists)
	for _, realm := range []indexer.Realm{{Tenant: "default", Environment: chains.Test}, {Tenant: b.realm.Tenant, Environment: chains.Live}} {
		for name, err := range map[string]error{
			"User":           second(b.User(ctx, realm, b.user)),
			"RenameUser":     second(b.RenameUser(ctx, realm, b.user, "x")),
			"DeleteUser":     b.DeleteUser(ctx, realm, b.user),
			"Account":        second(b.Account(ctx, realm, account)),
			"AccountBalance": second(b.AccountBalance(ctx, realm, account)),
			"AccountState":   second(b.AccountState(ctx, realm, account)),
			"DeleteAccount":  b.DeleteAccount(ctx, realm, account),
			"ChangeKey":      second(b.ChangeKey(ctx, realm, key.ID, revoke)),
			"CreateAccount":  b.CreateAccount(ctx, indexer.Account{ID: uuid.New(), Realm: realm, UserID: b.user, Chain: b.chain.Slug, Kind: indexer.KindAddress, Wallet: "w"}, nil),
		} {
			require.ErrorIs(t, err, indexer.ErrNotFound, name)
		}
		users, err := b.Users(ctx, realm)
		require.NoError(t, err)
		require.Empty(t, users)
		accounts, err := b.Accounts(ctx, realm, b.user)
		require.NoError(t, err)
		require.Empty(t, accounts)
		balances, err := b.AccountBalances(ctx, realm, b.user)
		require.NoError(t, err)
		require.Empty(t, balances)
		page, _, err := b.Transactions(ctx, realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 5})
		require.NoError(t, err)
		require.Empty(t, page)
		events, err := b.EventsAfter(ctx, realm, 0, 10)
		require.NoError(t, err)
		require.Empty(t, events)
	}
	require.ErrorIs(t, b.CreateUser(ctx, indexer.User{ID: uuid.New(), Realm: indexer.Realm{Tenant: "none", Environment: chains.Test}}), indexer.ErrNotFound)

	// In its own realm each of them works.
	require.NoError(t, b.TouchKeys(ctx, map[string]time.Time{key.ID: time.Now(), "gone": time.Now()}))
	require.NoError(t, second(b.ChangeKey(ctx, b.realm, key.ID, revoke)))
	kept, err := b.KeyByID(ctx, key.ID)
	require.NoError(t, err)
	require.NotNil(t, kept.LastUsedAt)
	require.NotNil(t, kept.RevokedAt)
	renamed, err := b.RenameUser(ctx, b.realm, b.user, "x")
	require.NoError(t, err)
	require.Equal(t, "x", renamed.Name)
	balances, err := b.AccountBalances(ctx, b.realm, b.user)
	require.NoError(t, err)
	require.Len(t, balances, 1)
	require.NoError(t, b.DeleteUser(ctx, b.realm, b.user))
	require.ErrorIs(t, second(b.Account(ctx, b.realm, account)), indexer.ErrNotFound)
}

// Those who ask at once each have the answer to what they asked, in their own realm.
func TestBalancesAtOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, openStore(t, store.Options{}), chains.FamilyBitcoin)
	accounts := make([]uuid.UUID, 80)
	var match chains.Match
	for i := range accounts {
		accounts[i] = b.connect(t, script(100+i))
		match.Transfers = append(match.Transfers, b.pay(i, 100+i, i+1))
	}
	tip := b.apply(t, chains.BlockRef{Height: 9}, 1, chains.Match{})
	b.complete(t)
	tip = b.apply(t, tip, 2, match)
	var all sync.WaitGroup
	for i, account := range slices.Concat(accounts, accounts) {
		all.Go(func() {
			found, err := b.AccountBalance(t.Context(), b.realm, account)
			if assert.NoError(t, err) && assert.Len(t, found.Balances, 1) {
				assert.Equal(t, account, found.Account.ID)
				assert.Equal(t, tip, found.AsOf)
				assert.Equal(t, strconv.Itoa(i%len(accounts)+1), found.Balances[0].Amount.String())
			}
		})
		all.Go(func() {
			_, err := b.AccountBalance(t.Context(), indexer.Realm{Tenant: "default", Environment: chains.Test}, account)
			assert.ErrorIs(t, err, indexer.ErrNotFound)
		})
	}
	all.Wait()
}

func revoke(key *access.Key) error {
	at := time.Now()
	key.RevokedAt = &at
	return nil
}

func second[T any](_ T, err error) error { return err }

func third[T, U any](_ T, _ U, err error) error { return err }

// TestConnectAgain connects a wallet that another account has: its past is
// known, and only what comes is told.
func TestConnectAgain(t *testing.T) {
	t.Parallel()
	b, account, tip := start(t, store.Options{})
	tip = b.apply(t, tip, 2, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 7)}})
	again := b.connect(t, script(1))
	require.Equal(t, "7", b.balance(t, again))
	b.apply(t, tip, 3, chains.Match{Transfers: []chains.Transfer{b.pay(2, 1, 2)}})
	require.Equal(t, "9", b.balance(t, account))
	require.Equal(t, []string{"account.synced", "transfer.confirmed", "account.synced", "transfer.confirmed", "transfer.confirmed"}, b.types(t))
	got, err := b.Account(t.Context(), b.realm, again)
	require.NoError(t, err)
	got.ID = uuid.New()
	require.ErrorIs(t, b.CreateAccount(t.Context(), got, nil), indexer.ErrExists)
	same, err := b.AccountByWallet(t.Context(), b.realm, b.user, b.chain.Slug, got.Wallet)
	require.NoError(t, err)
	require.Equal(t, again, same.ID)
}

func TestWindows(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, _ := start(t, store.Options{}) // indexes 0 and 1 are watched
	windows, err := b.MovedWindows(ctx, b.chain.Slug, [][]byte{script(1), script(77)}, 1)
	require.NoError(t, err)
	require.Empty(t, windows, "one unused script follows index 0")
	windows, err = b.MovedWindows(ctx, b.chain.Slug, [][]byte{script(1), script(2)}, 3)
	require.NoError(t, err)
	require.Equal(t, []indexer.Window{{Account: account, Wallet: account.String(), Next: 2, Want: 5}}, windows)
	require.ErrorIs(t, b.Extend(ctx, uuid.New(), nil), indexer.ErrNotFound)
}

// TestSideBySide lets a follower, accounts that grow, searches and the numbering
// run at the same time. The race detector watches, and nothing is lost.
func TestSideBySide(t *testing.T) {
	t.Parallel()
	const extensions = 200
	errEnough := errors.New("enough")
	ctx := t.Context()
	b, account, tip := start(t, store.Options{MaxConns: 4})
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		table, version := chains.NewWatchTable(0, 0), int64(-1)
		for n := range 30 {
			step := indexer.Step{Lease: b.lease, Parent: tip.Hash, Block: block(tip, 100+n), Match: chains.Match{Transfers: []chains.Transfer{b.pay(n, 1, 1)}}}
			for {
				var err error
				if version, err = b.LoadWatch(ctx, b.chain.Slug, version, table); err != nil {
					t.Error(err)
					return
				}
				step.WatchVersion = version
				_, err = b.Apply(ctx, step)
				if errors.Is(err, indexer.ErrWatchMoved) {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				break
			}
			tip = step.Block
		}
	})
	until := func(f func(n int) error) {
		wg.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				err := f(n)
				if errors.Is(err, errEnough) {
					return
				}
				if err != nil && !errors.Is(err, indexer.ErrNotCanonical) {
					t.Error(err)
					return
				}
			}
		})
	}
	until(func(n int) error {
		if n == extensions { // a watch that moves for ever lets nobody apply
			return errEnough
		}
		return b.Extend(ctx, account, []indexer.WatchedScript{{Script: []byte{1, byte(n), byte(n >> 8)}, Index: uint32(10 + n)}})
	})
	until(func(int) error { return second(b.Number(ctx, uuid.New(), 10)) })
	until(func(int) error {
		scripts, err := b.SearchScripts(ctx, b.chain.Slug, 2)
		if err != nil || len(scripts) == 0 {
			return err
		}
		filling := indexer.Filling{
			Chain: b.chain.Slug, Progress: true, Complete: true, Method: chains.MethodRaw,
			Tail: func(ctx context.Context, _, _ chains.BlockRef) ([]indexer.FilledBlock, error) {
				_, err := b.Tip(ctx, b.chain.Slug) // reads under the lock get a connection
				return nil, err
			},
		}
		for _, s := range scripts {
			filling.Scripts = append(filling.Scripts, s.ID)
		}
		return b.Fill(ctx, filling)
	})
	wg.Wait()
	b.complete(t)
	require.Equal(t, "30", b.balance(t, account))
	tipNow, err := b.Tip(ctx, b.chain.Slug)
	require.NoError(t, err)
	require.Equal(t, tip.Hash, tipNow.Hash)
}
