package store_test

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// What Postgres itself refuses, whoever asks.
func TestLedgerRefuses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	for name, statement := range map[string]string{
		"ChangePosting":    "UPDATE postings SET amount = 2 * amount",
		"DropPosting":      "DELETE FROM postings",
		"EmptyPostings":    "TRUNCATE postings",
		"ChangeJournal":    "UPDATE journals SET kind = 'transfer'",
		"DropJournal":      "DELETE FROM journals",
		"OneSided":         "INSERT INTO postings SELECT journal_id, 10, 'chain', NULL, asset_id, 5 FROM postings LIMIT 1",
		"Nothing":          "INSERT INTO postings SELECT journal_id, 10, 'chain', NULL, asset_id, 0 FROM postings LIMIT 1",
		"NobodysWallet":    "INSERT INTO postings SELECT journal_id, n + 10, 'available', NULL, asset_id, -amount FROM postings",
		"WalletOfAnAsset":  "INSERT INTO postings SELECT journal_id, n + 10, account, wallet_id, asset_id + 1, -amount FROM postings WHERE wallet_id IS NOT NULL",
		"SecondReversal":   "INSERT INTO journals (tenant, environment, kind, reference, version, reverses) SELECT tenant, environment, 'reversal', reference, 8 + n, id FROM journals, generate_series(1, 2) AS n",
		"PostedTwice":      "INSERT INTO journals (tenant, environment, kind, reference, version) SELECT tenant, environment, 'deposit', reference, version FROM journals",
		"LockedBelowZero":  "UPDATE wallets SET locked = -1",
		"ActiveWithDebt":   "UPDATE wallets SET available = -1",
		"CreditedUnposted": "UPDATE deposits SET journal_id = NULL",
		"MoreThanPaid":     "UPDATE deposits SET received = amount + 1",
	} {
		_, err := d.Store.Pool().Exec(ctx, statement)
		var refused *pgconn.PgError
		require.ErrorAs(t, err, &refused, name)
	}
	require.Equal(t, "0 500 0", d.holds(t, w))
	d.sound(t)
}

// A ledger that somebody tampered with does not add up, and says where.
func TestLedgerFaults(t *testing.T) {
	t.Parallel()
	for name, tamper := range map[string]string{
		"the balance of a wallet is not the sum of its postings":      "UPDATE wallets SET available = 501 WHERE available = 500",
		"what is pending is not the sum of the deposits that are":     "UPDATE wallets SET pending = 3 WHERE available = 500",
		"a deposit is credited with another amount than was received": "UPDATE deposits SET received = 499",
		"a deposit is credited and its transfer is not in the chain":  "UPDATE transfers SET status = 'orphaned', block = NULL, height = NULL",
		"the postings of a journal do not sum to zero":                "ALTER TABLE postings DISABLE TRIGGER USER; INSERT INTO postings SELECT journal_id, 10, 'chain', NULL, asset_id, 5 FROM postings LIMIT 1",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
			d.open(t)
			d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
			d.sound(t)
			_, err := d.Store.Pool().Exec(t.Context(), tamper)
			require.NoError(t, err)
			faults, err := d.LedgerFaults(t.Context(), d.realm.Tenant, 10)
			require.NoError(t, err)
			require.Len(t, faults, 1)
			require.Equal(t, name, faults[0].Fault)
			require.NotEmpty(t, faults[0].Resource)
		})
	}
}

// Every way a transfer can be wrong. The ledger stays as it is.
func TestTransferProblems(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s := openStore(t, store.Options{})
	d, tip := deskIn(t, s, chains.FamilyBitcoin, depth(1))
	foreign, _ := deskIn(t, s, chains.FamilyBitcoin, depth(1))
	a, b, archived, elsewhere := d.open(t), d.open(t), d.open(t), foreign.open(t)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	_, err := d.SetVaultStatus(ctx, d.realm, archived.VaultID, custody.VaultArchived)
	require.NoError(t, err)
	// The other chain's coin, for the same tenant.
	foreign.realm = d.realm
	foreign.register(t, "ypub")
	otherAsset := foreign.open(t)
	before := len(d.events(t))
	for _, tt := range []struct {
		name     string
		from, to custody.Wallet
		amount   int64
		want     error
	}{
		{"TooMuch", a, b, 501, custody.ErrInsufficient},
		{"Empty", b, a, 1, custody.ErrInsufficient},
		{"Zero", a, b, 0, custody.ErrAmountPositive},
		{"Negative", a, b, -5, custody.ErrAmountPositive},
		{"Same", a, a, 5, custody.ErrSameWallet},
		{"OtherAsset", a, otherAsset, 5, custody.ErrOtherAsset},
		{"Archived", a, archived, 5, custody.ErrArchived},
		{"FromArchived", archived, a, 5, custody.ErrArchived},
		{"OtherTenantsDestination", a, elsewhere, 5, custody.ErrNoDestination},
		{"OtherTenantsSource", elsewhere, a, 5, indexer.ErrNotFound},
		{"NoSource", custody.Wallet{ID: uuid.New()}, a, 5, indexer.ErrNotFound},
		{"NoDestination", a, custody.Wallet{ID: uuid.New()}, 5, custody.ErrNoDestination},
	} {
		require.ErrorIs(t, d.move(t, tt.from, tt.to, tt.amount), tt.want, tt.name)
	}
	require.Equal(t, "0 500 0", d.holds(t, a))
	require.Equal(t, "0 0 0", d.holds(t, b))
	require.Len(t, d.events(t), before)
	require.NoError(t, d.move(t, a, b, 500), "all of it")
	require.Equal(t, "0 0 0", d.holds(t, a))
	require.Equal(t, "0 500 0", d.holds(t, b))
	d.empty(t, tip, 3)
	d.sound(t)
}

// Many transfers at once in every direction, beside the chain's own writer that
// credits and takes back. None takes more than there is, no money appears or
// vanishes, and nobody waits for ever.
func TestTransfersRace(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{MaxConns: 8}, chains.FamilyBitcoin, depth(1))
	wallets := make([]custody.Wallet, 4)
	var match chains.Match
	for i := range wallets {
		wallets[i] = d.open(t)
		match.Transfers = append(match.Transfers, d.to(1+i, i, 100))
	}
	tip = d.apply(t, tip, 2, match)
	var wg sync.WaitGroup
	var moved atomic.Int64
	for worker := range 4 {
		wg.Go(func() {
			for n := range 25 {
				from, to := wallets[(worker+n)%4], wallets[(worker+n*n+1)%4]
				_, err := d.Transfer(ctx, custody.Order{ID: uuid.New(), Realm: d.realm, Source: from.ID, Destination: to.ID, Amount: chains.NewAmount(70)})
				switch {
				case err == nil:
					moved.Add(1)
				case errors.Is(err, custody.ErrInsufficient), errors.Is(err, custody.ErrSameWallet), errors.Is(err, custody.ErrFrozen):
				default:
					t.Error(err)
				}
			}
		})
	}
	wg.Go(func() {
		for n := range 20 {
			ref := block(tip, 100+n)
			var match chains.Match
			for i := range wallets {
				match.Transfers = append(match.Transfers, d.to(1000+10*n+i, (i+n)%4, 1))
			}
			if _, err := d.Apply(ctx, indexer.Step{Lease: d.lease, Parent: tip.Hash, WatchVersion: 4, Block: ref, Match: match}); err != nil {
				t.Error(err)
				return
			}
			if n%5 == 0 {
				if _, err := d.Revert(ctx, d.lease, ref); err != nil {
					t.Error(err)
				}
				if err := d.Resume(ctx, d.chain.Slug); err != nil {
					t.Error(err)
				}
				continue
			}
			tip = ref
		}
	})
	wg.Wait()
	require.Positive(t, moved.Load())
	total := chains.Amount{}
	for _, w := range wallets {
		now, err := d.Wallet(ctx, d.realm, w.ID)
		require.NoError(t, err)
		total = total.Add(now.Balance.Credited())
	}
	require.Equal(t, "464", total.String(), "4 of 100 and 16 blocks of 4")
	d.sound(t)
	d.told(t)
}

// No address is given twice: not in a race, not after the key was changed and came
// back, not when an index turns out to be taken.
func TestAddresses(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{MaxConns: 8}, chains.FamilyBitcoin, depth(1))
	first := d.open(t)
	require.Equal(t, address(100), first.Address)
	var wg sync.WaitGroup
	var mu sync.Mutex
	given := map[string]bool{first.Address: true}
	take := func(text string) {
		mu.Lock()
		defer mu.Unlock()
		if given[text] {
			t.Errorf("%s was given twice", text)
		}
		given[text] = true
	}
	for range 4 {
		wg.Go(func() {
			for range 4 {
				a, err := d.CreateAddress(ctx, d.realm, first.ID, derive)
				if err != nil {
					t.Error(err)
					return
				}
				take(a.Address)
			}
		})
	}
	wg.Wait()
	require.Len(t, given, 17)
	list, _, err := d.WalletAddresses(ctx, d.realm, first.ID, whole)
	require.NoError(t, err)
	require.Len(t, list, 17)
	require.Equal(t, first.Address, list[0].Address)
	for _, limit := range []int{1, 5, 16, 17} {
		require.Equal(t, list, paged(t, limit, func(span custody.Span) ([]custody.Address, *custody.Place, error) {
			return d.WalletAddresses(ctx, d.realm, first.ID, span)
		}))
	}

	// Another key; then the first again, in another spelling.
	d.register(t, "ypub")
	second := d.open(t)
	require.Equal(t, address(200), second.Address)
	d.register(t, "xpub spelt differently")
	third := d.open(t)
	require.Equal(t, address(117), third.Address)
	pool, err := d.AddressPool(ctx, d.realm, d.chain.Slug)
	require.NoError(t, err)
	require.Equal(t, "xpub spelt differently", pool.Key.Text)
	require.EqualValues(t, 18, pool.Key.NextIndex)
	require.EqualValues(t, 19, pool.Given)

	// An address that is registered is not derived; a key can begin higher.
	_, err = d.RegisterAddresses(ctx, d.realm, d.chain.Slug, []indexer.WatchedScript{{Script: script(118), Address: address(118)}})
	require.NoError(t, err)
	require.Equal(t, address(119), d.open(t).Address)
	origin, err := derive(custody.Key{Text: "xpub"}, 0)
	require.NoError(t, err)
	require.NoError(t, d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Text: "xpub", NextIndex: 30}, origin.Script))
	require.Equal(t, address(130), d.open(t).Address)
	require.NoError(t, d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Text: "xpub", NextIndex: 3}, origin.Script))
	require.Equal(t, address(131), d.open(t).Address, "it never goes back")

	// The old addresses are alive, the new ones are watched from the next block on.
	d.apply(t, tip, 2, transfers(d.to(1, 5, 10), d.to(2, 100, 7), d.to(3, 17, 3)))
	require.Equal(t, "0 10 0", d.holds(t, first))
	require.Equal(t, "0 7 0", d.holds(t, second))
	require.Equal(t, "0 3 0", d.holds(t, third))

	// A key that ends is not begun again.
	require.NoError(t, d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Text: "xpub", NextIndex: custody.MaxIndex}, origin.Script))
	_, err = d.CreateAddress(ctx, d.realm, first.ID, derive)
	require.NoError(t, err)
	_, err = d.CreateAddress(ctx, d.realm, first.ID, derive)
	require.ErrorIs(t, err, custody.ErrExhausted)
}

// A transaction that fails after an address was derived has given none away.
func TestAddressFaults(t *testing.T) {
	t.Parallel()
	for _, at := range []string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			var f fault
			d, _ := newDesk(t, store.Options{Failpoint: f.fail}, chains.FamilyBitcoin, depth(1))
			vault := d.newVault(t)
			f.arm("create_wallet" + at)
			_, err := d.CreateWallet(t.Context(), d.wallet(vault, d.chain.Native.ID), derive)
			require.ErrorIs(t, err, errFault)
			made, _, err := d.VaultWallets(t.Context(), d.realm, vault, whole)
			require.NoError(t, err)
			if at == store.AfterCommit {
				require.Len(t, made, 1)
				require.Equal(t, address(100), made[0].Address, "it is there, and known")
				require.Equal(t, address(101), d.open(t).Address)
				return
			}
			require.Empty(t, made)
			require.Equal(t, address(100), d.open(t).Address, "nobody was told of it")
			require.Equal(t, []string{"wallet.created"}, d.told(t, "wallet."))
		})
	}
}

// Where no key is registered, addresses are leased from those that are.
func TestPool(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d := &desk{newBench(t, openStore(t, store.Options{MaxConns: 8}), chains.FamilyBitcoin)}
	vault := d.newVault(t)
	_, err := d.CreateWallet(ctx, d.wallet(vault, d.chain.Native.ID), derive)
	require.ErrorIs(t, err, custody.ErrNoAddress)
	var scripts []indexer.WatchedScript
	for n := range 6 {
		scripts = append(scripts, indexer.WatchedScript{Script: script(n), Address: address(n)})
	}
	added, err := d.RegisterAddresses(ctx, d.realm, d.chain.Slug, append(scripts, scripts[0]))
	require.NoError(t, err)
	require.Equal(t, 6, added)
	added, err = d.RegisterAddresses(ctx, d.realm, d.chain.Slug, scripts)
	require.NoError(t, err)
	require.Zero(t, added)
	w := d.openIn(t, vault, d.chain.Native.ID)
	require.Equal(t, address(0), w.Address, "in the order they were registered")
	_, err = d.RegisterAddresses(ctx, d.realm, d.chain.Slug, scripts[:1])
	require.ErrorIs(t, err, custody.ErrTaken, "it was given")

	var wg sync.WaitGroup
	var failed atomic.Int64
	for range 8 {
		wg.Go(func() {
			if _, err := d.CreateAddress(ctx, d.realm, w.ID, derive); errors.Is(err, custody.ErrNoAddress) {
				failed.Add(1)
			} else if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 3, failed.Load(), "five were left")
	pool, err := d.AddressPool(ctx, d.realm, d.chain.Slug)
	require.NoError(t, err)
	require.Equal(t, custody.Pool{Given: 6}, pool)

	// The address that pays is no deposit address.
	treasury := indexer.WatchedScript{Script: script(50), Address: address(50)}
	require.NoError(t, d.SetTreasury(ctx, d.realm, d.chain.Slug, treasury))
	require.ErrorIs(t, d.SetTreasury(ctx, d.realm, d.chain.Slug, scripts[3]), custody.ErrTaken)
	_, err = d.RegisterAddresses(ctx, d.realm, d.chain.Slug, []indexer.WatchedScript{treasury})
	require.ErrorIs(t, err, custody.ErrTaken)
	next := indexer.WatchedScript{Script: script(51), Address: address(51)}
	for _, one := range []indexer.WatchedScript{next, treasury, next} {
		require.NoError(t, d.SetTreasury(ctx, d.realm, d.chain.Slug, one))
		pool, err = d.AddressPool(ctx, d.realm, d.chain.Slug)
		require.NoError(t, err)
		require.Equal(t, one.Address, pool.Treasury)
	}
	for name, err := range map[string]error{
		"AddressPool":       second(d.AddressPool(ctx, d.realm, "nowhere")),
		"HasChain":          d.HasChain(ctx, d.realm, "nowhere"),
		"RegisterAddresses": second(d.RegisterAddresses(ctx, d.realm, "nowhere", scripts)),
		"RegisterKey":       d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: d.realm, Chain: "nowhere", Text: "x"}, script(1)),
		"SetTreasury":       d.SetTreasury(ctx, d.realm, "nowhere", treasury),
		"OtherEnvironment":  second(d.AddressPool(ctx, indexer.Realm{Tenant: d.realm.Tenant, Environment: chains.Live}, d.chain.Slug)),
		"NoTenant":          d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: indexer.Realm{Tenant: "none", Environment: chains.Test}, Chain: d.chain.Slug, Text: "x"}, script(1)),
		"NoTenantsPool":     second(d.RegisterAddresses(ctx, indexer.Realm{Tenant: "none", Environment: chains.Test}, d.chain.Slug, scripts)),
		"NoTenantsTreasury": d.SetTreasury(ctx, indexer.Realm{Tenant: "none", Environment: chains.Test}, d.chain.Slug, treasury),
	} {
		require.ErrorIs(t, err, indexer.ErrNotFound, name)
	}
}

func TestVaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	vault := custody.Vault{ID: uuid.New(), Realm: d.realm, Name: "n", ExternalID: "x1", Metadata: []byte(`{"b": 1,"a":9007199254740993}`), UserID: &d.user, CreatedAt: time.Now()}
	require.NoError(t, d.CreateVault(ctx, vault))
	read, err := d.Vault(ctx, d.realm, vault.ID)
	require.NoError(t, err)
	require.Equal(t, `{"b": 1,"a":9007199254740993}`, string(read.Metadata), "as it was sent")
	require.Equal(t, custody.VaultActive, read.Status)

	again := vault
	again.ID = uuid.New()
	require.ErrorIs(t, d.CreateVault(ctx, again), indexer.ErrExists)
	again.ExternalID, again.UserID = "x2", new(uuid.New())
	require.ErrorIs(t, d.CreateVault(ctx, again), custody.ErrNoUser)
	again.UserID, again.Realm.Tenant = nil, "none"
	require.ErrorIs(t, d.CreateVault(ctx, again), indexer.ErrNotFound)
	for range 2 {
		d.newVault(t) // without an external id there may be any number
	}

	found, next, err := d.Vaults(ctx, d.realm, custody.VaultFilter{Limit: 2})
	require.NoError(t, err)
	require.Len(t, found, 2)
	require.Equal(t, vault.ID, found[0].ID)
	rest, next, err := d.Vaults(ctx, d.realm, custody.VaultFilter{Limit: 2, After: next})
	require.NoError(t, err)
	require.Len(t, rest, 1)
	require.Nil(t, next)
	for want, filter := range map[int]custody.VaultFilter{1: {ExternalID: "x1"}, 0: {Status: custody.VaultArchived}, 3: {Status: custody.VaultActive}} {
		filter.Limit = 10
		found, _, err := d.Vaults(ctx, d.realm, filter)
		require.NoError(t, err)
		require.Len(t, found, want)
	}

	// A vault with money, or that waits for some, is not archived.
	w := d.openIn(t, vault.ID, d.chain.Native.ID)
	_, err = d.CreateWallet(ctx, d.wallet(vault.ID, d.chain.Native.ID), derive)
	require.ErrorIs(t, err, indexer.ErrExists)
	_, err = d.CreateWallet(ctx, d.wallet(vault.ID, "eip155:9/slip44:60"), derive)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	_, err = d.CreateWallet(ctx, d.wallet(uuid.New(), d.chain.Native.ID), derive)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	d.amend(t, indexer.Amendment{Pending: []chains.UnconfirmedTx{pending(1, transfers(d.to(1, 0, 5)))}})
	archive := func() error {
		return second(d.SetVaultStatus(ctx, d.realm, vault.ID, custody.VaultArchived))
	}
	require.ErrorIs(t, archive(), custody.ErrNotEmpty)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 5)))
	require.ErrorIs(t, archive(), custody.ErrNotEmpty)
	house := d.open(t)
	require.NoError(t, d.move(t, w, house, 5))
	require.NoError(t, archive())
	require.NoError(t, archive(), "twice changes nothing")
	_, err = d.CreateAddress(ctx, d.realm, w.ID, derive)
	require.ErrorIs(t, err, custody.ErrArchived)
	d.apply(t, tip, 3, transfers(d.to(2, 0, 9)))
	require.Equal(t, "0 9 0", d.holds(t, w), "what arrives all the same is not lost")
	active, err := d.SetVaultStatus(ctx, d.realm, vault.ID, custody.VaultActive)
	require.NoError(t, err)
	require.EqualValues(t, 3, active.Version)
	require.NoError(t, d.move(t, w, house, 9))
	require.Equal(t, []string{
		"vault.status.updated", "vault.status.updated", "vault.status.updated", "vault.status.updated", "vault.status.updated", "vault.status.updated",
	}, d.told(t, "vault."), "four were made; one was archived and taken back")
	d.sound(t)

	wallets, err := d.UserWallets(ctx, d.realm, d.user)
	require.NoError(t, err)
	require.Len(t, wallets, 1)
	assets, err := d.ListedAssets(ctx, chains.Test)
	require.NoError(t, err)
	require.Len(t, assets, 1)
	require.Equal(t, d.chain.Slug, assets[0].Chain)
	none, err := d.ListedAssets(ctx, chains.Live)
	require.NoError(t, err)
	require.Empty(t, none)
}

func TestBook(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, _ := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	add := func(n int) (custody.Entry, error) {
		e := custody.Entry{
			ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Address: address(n), Script: script(n), Label: "l",
			CreatedAt: time.Now(), UsableAt: time.Now().Add(time.Hour),
		}
		return e, d.AddEntry(ctx, e)
	}
	first, err := add(1)
	require.NoError(t, err)
	require.ErrorIs(t, second(add(1)), indexer.ErrExists)
	_, err = add(2)
	require.NoError(t, err)
	read, err := d.BookEntry(ctx, d.realm, first.ID)
	require.NoError(t, err)
	require.WithinDuration(t, first.UsableAt, read.UsableAt, time.Millisecond)
	page, next, err := d.BookEntries(ctx, d.realm, custody.EntryFilter{Limit: 1, Chain: d.chain.Slug})
	require.NoError(t, err)
	require.Equal(t, first.ID, page[0].ID)
	page, next, err = d.BookEntries(ctx, d.realm, custody.EntryFilter{Limit: 1, After: next})
	require.NoError(t, err)
	require.Len(t, page, 1)
	require.Nil(t, next)
	require.NoError(t, d.RemoveEntry(ctx, d.realm, first.ID))
	require.ErrorIs(t, d.RemoveEntry(ctx, d.realm, first.ID), indexer.ErrNotFound)
	require.ErrorIs(t, second(d.BookEntry(ctx, d.realm, first.ID)), indexer.ErrNotFound)
	_, err = add(1)
	require.NoError(t, err, "it may come back")
	require.Equal(t, []string{"address_book.added", "address_book.added", "address_book.removed", "address_book.added"}, d.told(t, "address_book."))
}

// Another tenant, and the other environment: nothing is found, nothing changes.
func TestCustodyRealms(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(1))
	w := d.open(t)
	d.apply(t, tip, 2, transfers(d.to(1, 0, 5)))
	deposit := d.depositsOf(t, w)[0]
	entry := custody.Entry{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Address: "a", Script: script(1), CreatedAt: time.Now(), UsableAt: time.Now()}
	require.NoError(t, d.AddEntry(ctx, entry))
	for _, realm := range []indexer.Realm{{Tenant: "default", Environment: chains.Test}, {Tenant: d.realm.Tenant, Environment: chains.Live}} {
		stranger := d.wallet(w.VaultID, d.chain.Native.ID)
		stranger.Realm = realm
		for name, err := range map[string]error{
			"Vault":              second(d.Vault(ctx, realm, w.VaultID)),
			"SetVaultStatus":     second(d.SetVaultStatus(ctx, realm, w.VaultID, custody.VaultArchived)),
			"VaultWallets":       third(d.VaultWallets(ctx, realm, w.VaultID, whole)),
			"Wallet":             second(d.Wallet(ctx, realm, w.ID)),
			"WalletAddresses":    third(d.WalletAddresses(ctx, realm, w.ID, whole)),
			"CreateWallet":       second(d.CreateWallet(ctx, stranger, derive)),
			"CreateAddress":      second(d.CreateAddress(ctx, realm, w.ID, derive)),
			"Deposit":            second(d.Deposit(ctx, realm, deposit.ID)),
			"CustodyTransaction": second(d.CustodyTransaction(ctx, realm, deposit.ID)),
			"BookEntry":          second(d.BookEntry(ctx, realm, entry.ID)),
			"RemoveEntry":        d.RemoveEntry(ctx, realm, entry.ID),
		} {
			require.ErrorIs(t, err, indexer.ErrNotFound, name)
		}
		vaults, _, err := d.Vaults(ctx, realm, custody.VaultFilter{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, vaults)
		deposits, _, err := d.Deposits(ctx, realm, custody.DepositFilter{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, deposits)
		transactions, _, err := d.CustodyTransactions(ctx, realm, custody.TransactionFilter{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, transactions)
		entries, _, err := d.BookEntries(ctx, realm, custody.EntryFilter{Limit: 10})
		require.NoError(t, err)
		require.Empty(t, entries)
	}
	live := entry
	live.ID, live.Realm.Environment = uuid.New(), chains.Live
	require.ErrorIs(t, d.AddEntry(ctx, live), indexer.ErrNotFound, "a live book has no test chain")
}

// Lists by every filter, and page by page.
func TestCustodyTransactions(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(2))
	a, b := d.open(t), d.open(t)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	tip = d.empty(t, tip, 3)
	require.NoError(t, d.move(t, a, b, 100))
	d.apply(t, tip, 4, transfers(d.to(2, 1, 7)))
	count := func(filter custody.TransactionFilter) int {
		filter.Limit = 10
		found, _, err := d.CustodyTransactions(ctx, d.realm, filter)
		require.NoError(t, err)
		return len(found)
	}
	now := time.Now()
	for i, tt := range []struct {
		filter custody.TransactionFilter
		want   int
	}{
		{custody.TransactionFilter{}, 3},
		{custody.TransactionFilter{Wallet: &a.ID}, 2},
		{custody.TransactionFilter{Vault: &b.VaultID}, 2},
		{custody.TransactionFilter{Kinds: []custody.Kind{custody.KindTransfer}}, 1},
		{custody.TransactionFilter{Kinds: []custody.Kind{custody.KindTransfer, custody.KindDeposit}}, 3},
		{custody.TransactionFilter{Statuses: []custody.Status{custody.OnChain}}, 1},
		{custody.TransactionFilter{Statuses: []custody.Status{custody.Completed}, Wallet: &b.ID}, 1},
		{custody.TransactionFilter{Asset: d.chain.Native.ID}, 3},
		{custody.TransactionFilter{Asset: "other"}, 0},
		{custody.TransactionFilter{Until: &now}, 3},
		{custody.TransactionFilter{Since: &now}, 0},
	} {
		require.Equal(t, tt.want, count(tt.filter), "filter %d", i)
	}
	var all []custody.Transaction
	var after *custody.Place
	for {
		found, next, err := d.CustodyTransactions(ctx, d.realm, custody.TransactionFilter{Limit: 1, After: after})
		require.NoError(t, err)
		all = append(all, found...)
		if next == nil {
			break
		}
		after = next
	}
	require.Len(t, all, 3)
	require.Equal(t, []custody.Kind{custody.KindDeposit, custody.KindTransfer, custody.KindDeposit}, []custody.Kind{all[0].Kind, all[1].Kind, all[2].Kind})
	require.Nil(t, all[1].Deposit)
	require.Equal(t, custody.Confirming, all[0].Deposit.State)
	byState, next, err := d.Deposits(ctx, d.realm, custody.DepositFilter{States: []custody.DepositState{custody.Credited}, Vault: &a.VaultID, Chain: d.chain.Slug, Limit: 10})
	require.NoError(t, err)
	require.Nil(t, next)
	require.Len(t, byState, 1)
}

// Every write of custody fails at each of its boundaries: before the commit nothing
// of it is there, after it all of it is, and in both cases the ledger adds up.
func TestCustodyFaults(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var f fault
	d, tip := newDesk(t, store.Options{Failpoint: f.fail}, chains.FamilyBitcoin, depth(1))
	a, b := d.open(t), d.open(t)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 500)))
	empty, vacant := d.newVault(t), d.newVault(t)
	entry := func() custody.Entry {
		return custody.Entry{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Address: "a", Script: []byte(uuid.NewString()), CreatedAt: time.Now(), UsableAt: time.Now()}
	}
	next := 300
	watched := func() indexer.WatchedScript {
		next++
		return indexer.WatchedScript{Script: []byte{1, byte(next), byte(next >> 8)}, Address: address(next % 600)}
	}
	added := entry()
	require.NoError(t, d.AddEntry(ctx, added))
	for _, write := range []struct {
		verb string
		do   func() error
	}{
		{"remove_entry", func() error { return d.RemoveEntry(ctx, d.realm, added.ID) }},
		{"create_vault", func() error {
			return d.CreateVault(ctx, custody.Vault{ID: uuid.New(), Realm: d.realm, Name: "v", Metadata: []byte("{}")})
		}},
		{"set_vault_status", func() error {
			v, err := d.Vault(ctx, d.realm, empty)
			require.NoError(t, err)
			status := custody.VaultArchived
			if v.Status == status {
				status = custody.VaultActive
			}
			return second(d.SetVaultStatus(ctx, d.realm, empty, status))
		}},
		{"register_key", func() error {
			return d.RegisterKey(ctx, custody.Key{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Text: "x" + uuid.NewString()}, script(100))
		}},
		{"set_treasury", func() error { return d.SetTreasury(ctx, d.realm, d.chain.Slug, watched()) }},
		{"register_addresses", func() error {
			return second(d.RegisterAddresses(ctx, d.realm, d.chain.Slug, []indexer.WatchedScript{watched()}))
		}},
		{"create_wallet", func() error {
			return second(d.CreateWallet(ctx, d.wallet(vacant, d.chain.Native.ID), derive))
		}},
		{"create_address", func() error { return second(d.CreateAddress(ctx, d.realm, a.ID, derive)) }},
		{"transfer", func() error { return d.move(t, a, b, 1) }},
		{"add_entry", func() error { return d.AddEntry(ctx, entry()) }},
		{"set_policy", func() error { next++; return d.SetPolicy(ctx, d.chain.Slug, depth(uint64(next))) }},
	} {
		for _, boundary := range []string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit} {
			before := d.fingerprint(t)
			f.arm(write.verb + boundary)
			require.ErrorIs(t, write.do(), errFault, write.verb+boundary)
			require.Equal(t, boundary == store.AfterCommit, before != d.fingerprint(t), write.verb+boundary)
			d.sound(t)
		}
	}

	// A halt that could not be ended is there, and one that was is not.
	second := d.apply(t, tip, 3, transfers(d.to(2, 1, 7)))
	require.NoError(t, d.SetPolicy(ctx, d.chain.Slug, depth(1)))
	d.revert(t, second)
	for _, boundary := range []string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit} {
		f.arm("resume" + boundary)
		require.ErrorIs(t, d.Resume(ctx, d.chain.Slug), errFault)
		statuses, err := d.ChainStatuses(ctx)
		require.NoError(t, err)
		require.Equal(t, boundary == store.AfterCommit, statuses[0].Halted == "", boundary)
	}
}

// fingerprint changes with everything that custody keeps.
func (d *desk) fingerprint(t testing.TB) string {
	t.Helper()
	var text string
	require.NoError(t, d.Store.Pool().QueryRow(t.Context(), `
SELECT md5(concat(
    (SELECT string_agg(v::text, ',' ORDER BY v.id) FROM vaults AS v),
    (SELECT string_agg(w::text, ',' ORDER BY w.id) FROM wallets AS w),
    (SELECT string_agg(k::text, ',' ORDER BY k.id) FROM custody_keys AS k),
    (SELECT string_agg(a::text, ',' ORDER BY a.id) FROM addresses AS a),
    (SELECT string_agg(x::text, ',' ORDER BY x.id) FROM transactions AS x),
    (SELECT string_agg(p::text, ',' ORDER BY p.journal_id, p.n) FROM postings AS p),
    (SELECT string_agg(b::text, ',' ORDER BY b.id) FROM address_book AS b),
    (SELECT string_agg(c.policy::text, ',') FROM cursors AS c),
    (SELECT count(*) FROM scripts), (SELECT count(*) FROM events)))`).Scan(&text))
	return text
}

// The wallets of a user's vaults count in the totals of that user, and of nobody
// else.
func TestVaultBalances(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{}, chains.FamilyBitcoin, depth(2))
	vault := custody.Vault{ID: uuid.New(), Realm: d.realm, Name: "Ann", Metadata: []byte("{}"), UserID: &d.user, CreatedAt: time.Now()}
	require.NoError(t, d.CreateVault(ctx, vault))
	w := d.openIn(t, vault.ID, d.chain.Native.ID)
	d.open(t)
	tip = d.apply(t, tip, 2, transfers(d.to(1, 0, 500), d.to(2, 1, 9)))
	tip = d.apply(t, tip, 3, transfers(d.to(3, 0, 7)))
	found, err := d.VaultBalances(ctx, d.realm, d.user)
	require.NoError(t, err)
	require.Len(t, found, 1)
	require.Equal(t, w.ID, found[0].Account.ID)
	require.Equal(t, indexer.KindVault, found[0].Account.Kind)
	require.Equal(t, "500", found[0].Balances[0].Amount.String())
	require.Equal(t, "7", found[0].Pending[0].In.String())
	require.Equal(t, tip.Hash, found[0].AsOf.Hash)
	require.NotNil(t, found[0].State.LastSync)
	require.Equal(t, indexer.HistoryNone, found[0].State.History.Status)
	d.complete(t)
	found, err = d.VaultBalances(ctx, d.realm, d.user)
	require.NoError(t, err)
	require.Equal(t, indexer.HistoryComplete, found[0].State.History.Status)
	none, err := d.VaultBalances(ctx, d.realm, uuid.New())
	require.NoError(t, err)
	require.Empty(t, none)
	none, err = d.VaultBalances(ctx, indexer.Realm{Tenant: "default", Environment: chains.Test}, d.user)
	require.NoError(t, err)
	require.Empty(t, none)
}

// A vault is not archived beside a transfer into it.
func TestArchiveRaces(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	d, tip := newDesk(t, store.Options{MaxConns: 8}, chains.FamilyBitcoin, depth(1))
	house, guest := d.open(t), d.open(t)
	d.apply(t, tip, 2, transfers(d.to(1, 0, 100)))
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(done)
		for range 60 {
			if err := d.move(t, house, guest, 1); err != nil && !errors.Is(err, custody.ErrArchived) {
				t.Error(err)
			}
			if err := d.move(t, guest, house, 1); err != nil && !errors.Is(err, custody.ErrArchived) && !errors.Is(err, custody.ErrInsufficient) {
				t.Error(err)
			}
		}
	})
	archived := 0
	for open := true; open; {
		select {
		case <-done:
			open = false
		default:
		}
		_, err := d.SetVaultStatus(ctx, d.realm, guest.VaultID, custody.VaultArchived)
		if errors.Is(err, custody.ErrNotEmpty) {
			continue
		}
		require.NoError(t, err)
		archived++
		require.Equal(t, "0 0 0", d.holds(t, guest))
		_, err = d.SetVaultStatus(ctx, d.realm, guest.VaultID, custody.VaultActive)
		require.NoError(t, err)
	}
	wg.Wait()
	require.Positive(t, archived)
	d.sound(t)
}

// One key on two chains derives the same scripts: no two vaults get the same address,
// not even on different chains, whoever asks first.
func TestOneKeyOnTwoChains(t *testing.T) {
	t.Parallel()
	s := openStore(t, store.Options{})
	a, _ := deskIn(t, s, chains.FamilyEVM, depth(1))
	b, _ := deskIn(t, s, chains.FamilyEVM, depth(1))
	b.realm = a.realm
	b.register(t, "xpub")
	var wait sync.WaitGroup
	given := make([]string, 20)
	for i := range given {
		d := []*desk{a, b}[i%2]
		vault := d.newVault(t)
		wait.Go(func() { given[i] = d.openIn(t, vault, d.chain.Native.ID).Address })
	}
	wait.Wait()
	slices.Sort(given)
	require.NotContains(t, given, "")
	require.Len(t, slices.Compact(given), 20)
}

// The wallets of a vault page by page.
func TestWalletPages(t *testing.T) {
	t.Parallel()
	e := newEVMDesk(t, depth(3))
	vault := e.newVault(t)
	coin, token := e.openIn(t, vault, e.chain.Native.ID), e.openIn(t, vault, e.token)
	e.openIn(t, e.newVault(t), e.token) // of another vault
	for _, limit := range []int{1, 2, 3} {
		var ids []uuid.UUID
		for _, w := range paged(t, limit, func(span custody.Span) ([]custody.Wallet, *custody.Place, error) {
			return e.VaultWallets(t.Context(), e.realm, vault, span)
		}) {
			ids = append(ids, w.ID)
		}
		require.Equal(t, []uuid.UUID{coin.ID, token.ID}, ids)
	}
}

// A tenant opens wallets for what the operator lets it hold, and keeps those it has.
func TestTenantAssets(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	e := newEVMDesk(t, depth(3))
	native := e.chain.Native.ID
	enabled := func() []chains.AssetID {
		found, err := e.EnabledAssets(ctx, e.realm)
		require.NoError(t, err)
		var ids []chains.AssetID
		for _, a := range found {
			ids = append(ids, a.ID)
		}
		return ids
	}
	all := enabled()
	require.Equal(t, []chains.AssetID{native, e.token}, all)
	vault := e.newVault(t)
	open := e.openIn(t, vault, e.token)

	set := func(id string, assets ...chains.AssetID) error {
		return second(e.SetTenantAssets(ctx, id, assets))
	}
	require.ErrorIs(t, set("nobody"), indexer.ErrNotFound)
	require.ErrorIs(t, set(e.realm.Tenant, native, "eip155:1/erc20:0xunheard"), access.ErrUnlisted)
	require.Equal(t, all, enabled())
	changed, err := e.SetTenantAssets(ctx, e.realm.Tenant, []chains.AssetID{native})
	require.NoError(t, err)
	require.Equal(t, []chains.AssetID{native}, changed.Assets)
	require.Equal(t, []chains.AssetID{native}, enabled())
	e.openIn(t, e.newVault(t), native)
	_, err = e.CreateWallet(ctx, e.wallet(e.newVault(t), e.token), derive)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	kept, err := e.Wallet(ctx, e.realm, open.ID)
	require.NoError(t, err)
	require.Equal(t, e.token, kept.Asset.ID)
	listed, err := e.ListedAssets(ctx, e.realm.Environment)
	require.NoError(t, err)
	require.Len(t, listed, 2, "it stays listed")
	none, err := e.SetTenantAssets(ctx, e.realm.Tenant, []chains.AssetID{})
	require.NoError(t, err)
	require.NotNil(t, none.Assets)
	require.Empty(t, enabled())

	// Another tenant is none of its business.
	require.NoError(t, e.CreateTenant(ctx, access.Tenant{ID: "other", Name: "other", Assets: []chains.AssetID{e.token}}))
	other, err := e.EnabledAssets(ctx, indexer.Realm{Tenant: "other", Environment: e.realm.Environment})
	require.NoError(t, err)
	require.Len(t, other, 1)
	require.Equal(t, e.token, other[0].ID)
	require.NoError(t, set(e.realm.Tenant))
	require.Equal(t, all, enabled())
	tenants, err := e.Tenants(ctx)
	require.NoError(t, err)
	require.Equal(t, []chains.AssetID{e.token}, tenants[len(tenants)-1].Assets)
}
