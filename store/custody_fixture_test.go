package store_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// desk is a bench with a key that addresses are derived from. Its key "xpub" has
// script(100) at index 0, script(101) at index 1, and so on.
type desk struct{ *bench }

// depth is a policy of some confirmations.
func depth(confirmations uint64) custody.Policy {
	return custody.Policy{Default: custody.Threshold{Basis: custody.BasisDepth, Confirmations: confirmations}}
}

// newDesk returns a desk on a chain that is followed from height 10 on.
func newDesk(t testing.TB, opts store.Options, family chains.Family, policy custody.Policy) (*desk, chains.BlockRef) {
	t.Helper()
	return deskIn(t, openStore(t, opts), family, policy)
}

func deskIn(t testing.TB, s *store.Store, family chains.Family, policy custody.Policy) (*desk, chains.BlockRef) {
	t.Helper()
	d := &desk{newBench(t, s, family)}
	require.NoError(t, d.SetPolicy(t.Context(), d.chain.Slug, policy))
	d.register(t, "xpub")
	return d, d.apply(t, chains.BlockRef{Height: 9}, 1, chains.Match{})
}

// derive derives the scripts of keys by their first letter.
func derive(key custody.Key, index uint32) (indexer.WatchedScript, error) {
	base := map[byte]int{'x': 100, 'y': 200}[key.Text[0]]
	return indexer.WatchedScript{Script: script(base + int(index)), Address: address(base + int(index)), Index: index}, nil
}

func address(n int) string { return "addr" + string(rune('A'+n/26)) + string(rune('a'+n%26)) }

func (d *desk) register(t testing.TB, text string) {
	t.Helper()
	key := custody.Key{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Text: text}
	origin, err := derive(key, 0)
	require.NoError(t, err)
	require.NoError(t, d.RegisterKey(t.Context(), key, origin.Script))
}

// dispute says why the nodes of the chain disagree, or, with "", that they agree.
func (d *desk) dispute(t testing.TB, reason string) {
	t.Helper()
	_, err := d.Amend(t.Context(), indexer.Amendment{Lease: d.lease, Dispute: &indexer.Dispute{Reason: reason}})
	require.NoError(t, err)
}

// halted returns why nothing of the chain is credited, "" if it is.
func (d *desk) halted(t testing.TB) string {
	t.Helper()
	statuses, err := d.ChainStatuses(t.Context())
	require.NoError(t, err)
	for _, one := range statuses {
		if one.Chain == d.chain.Slug {
			return one.Halted
		}
	}
	return "no such chain"
}

// say gives the chain a state, as its owner sees it.
func (d *desk) say(t testing.TB, state string) {
	t.Helper()
	_, err := d.Amend(t.Context(), indexer.Amendment{Lease: d.lease, Status: &indexer.StatusChange{State: state, Reason: "because"}})
	require.NoError(t, err)
}

// newVault returns the id of a new vault.
func (d *desk) newVault(t testing.TB) uuid.UUID {
	t.Helper()
	v := custody.Vault{ID: uuid.New(), Realm: d.realm, Name: "v", Metadata: json.RawMessage("{}"), CreatedAt: time.Now()}
	require.NoError(t, d.CreateVault(t.Context(), v))
	return v.ID
}

// open opens a wallet of the chain's coin in a new vault.
// whole is a list on one page.
var whole = custody.Span{Limit: 1000}

// paged returns a list read page by page.
func paged[T any](t *testing.T, limit int, read func(span custody.Span) ([]T, *custody.Place, error)) []T {
	t.Helper()
	var all []T
	for span := (custody.Span{Limit: limit}); ; {
		found, next, err := read(span)
		require.NoError(t, err)
		require.LessOrEqual(t, len(found), limit)
		all = append(all, found...)
		if next == nil {
			return all
		}
		require.Len(t, found, limit, "a page that is not the last is full")
		span.After = next
	}
}

func (d *desk) open(t testing.TB) custody.Wallet {
	t.Helper()
	return d.openIn(t, d.newVault(t), d.chain.Native.ID)
}

func (d *desk) openIn(t testing.TB, vault uuid.UUID, asset chains.AssetID) custody.Wallet {
	t.Helper()
	w, err := d.CreateWallet(t.Context(), d.wallet(vault, asset), derive)
	require.NoError(t, err)
	return w
}

func (d *desk) wallet(vault uuid.UUID, asset chains.AssetID) custody.Wallet {
	return custody.Wallet{ID: uuid.New(), VaultID: vault, Realm: d.realm, Asset: chains.Asset{ID: asset}, Label: "l", CreatedAt: time.Now()}
}

// holds returns pending, available and locked of a wallet as one text.
func (d *desk) holds(t testing.TB, wallet custody.Wallet) string {
	t.Helper()
	w, err := d.Wallet(t.Context(), d.realm, wallet.ID)
	require.NoError(t, err)
	text := w.Balance.Pending.String() + " " + w.Balance.Available.String() + " " + w.Balance.Locked.String()
	if w.Status != custody.WalletActive {
		text += " " + string(w.Status)
	}
	return text
}

// depositsOf returns the deposits of a wallet, oldest first.
func (d *desk) depositsOf(t testing.TB, wallet custody.Wallet) []custody.Deposit {
	t.Helper()
	found, _, err := d.Deposits(t.Context(), d.realm, custody.DepositFilter{Wallet: &wallet.ID, Limit: 1000})
	require.NoError(t, err)
	slices.Reverse(found)
	return found
}

func (d *desk) states(t testing.TB, wallet custody.Wallet) []custody.DepositState {
	t.Helper()
	var states []custody.DepositState
	for _, one := range d.depositsOf(t, wallet) {
		states = append(states, one.State)
	}
	return states
}

// told returns the types of the events that begin with one of prefixes, and holds
// every event against the resource it tells of.
func (d *desk) told(t testing.TB, prefixes ...string) []string {
	t.Helper()
	var types []string
	last := map[string]int64{}
	for _, e := range d.events(t) {
		kind, _, _ := strings.Cut(e.Type, ".")
		if e.AccountID == nil && kind != "chain" {
			group := kind
			if kind == "balance" {
				group = "wallet"
			}
			require.Greater(t, e.ResourceVersion, last[group+e.ResourceID], "%s of %s", e.Type, e.ResourceID)
			last[group+e.ResourceID] = e.ResourceVersion
		}
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(e.Type, p) }) {
			types = append(types, e.Type)
		}
	}
	return types
}

// sound asks the ledger whether it adds up.
func (d *desk) sound(t testing.TB) {
	t.Helper()
	faults, err := d.LedgerFaults(t.Context(), "", 10)
	require.NoError(t, err)
	require.Empty(t, faults)
}

// to pays the script of an address of a desk's key.
func (d *desk) to(tx, index, amount int) chains.Transfer { return d.pay(tx, 100+index, amount) }

func transfers(list ...chains.Transfer) chains.Match { return chains.Match{Transfers: list} }

// empty appends blocks with nothing in them.
func (d *desk) empty(t testing.TB, tip chains.BlockRef, numbers ...int) chains.BlockRef {
	t.Helper()
	for _, n := range numbers {
		tip = d.apply(t, tip, n, chains.Match{})
	}
	return tip
}

// revert takes blocks off, the last one first.
func (d *desk) revert(t testing.TB, blocks ...chains.BlockRef) {
	t.Helper()
	for _, tip := range slices.Backward(blocks) {
		_, err := d.Revert(t.Context(), d.lease, tip)
		require.NoError(t, err)
	}
}

func (d *desk) amend(t testing.TB, amendment indexer.Amendment) {
	t.Helper()
	amendment.Lease = d.lease
	_, err := d.Amend(t.Context(), amendment)
	require.NoError(t, err)
}

// move orders a transfer.
func (d *desk) move(t testing.TB, from, to custody.Wallet, amount int64) error {
	t.Helper()
	_, err := d.Transfer(t.Context(), custody.Order{ID: uuid.New(), Realm: d.realm, Source: from.ID, Destination: to.ID, Amount: chains.NewAmount(amount)})
	return err
}

// custodyCalls calls every method of custody that writes.
func custodyCalls(t testing.TB, d *desk) {
	t.Helper()
	ctx := t.Context()
	require.NoError(t, d.SetPolicy(ctx, d.chain.Slug, depth(1)))
	d.register(t, "xpub")
	require.NoError(t, d.SetTreasury(ctx, d.realm, d.chain.Slug, indexer.WatchedScript{Script: script(50), Address: address(50)}))
	require.NoError(t, second(d.RegisterAddresses(ctx, d.realm, d.chain.Slug, []indexer.WatchedScript{{Script: script(51), Address: address(51)}})))
	a, b := d.open(t), d.open(t)
	require.NoError(t, second(d.CreateAddress(ctx, d.realm, a.ID, derive)))
	require.ErrorIs(t, d.move(t, a, b, 1), custody.ErrInsufficient)
	_, err := d.Pool().Exec(ctx, `UPDATE wallets SET available = 5 WHERE id = $1`, a.ID)
	require.NoError(t, err)
	require.NoError(t, d.move(t, a, b, 1))
	require.NoError(t, second(d.SetVaultStatus(ctx, d.realm, d.newVault(t), custody.VaultArchived)))
	entry := custody.Entry{ID: uuid.New(), Realm: d.realm, Chain: d.chain.Slug, Address: "a", Script: script(1), CreatedAt: time.Now(), UsableAt: time.Now()}
	require.NoError(t, d.AddEntry(ctx, entry))
	require.NoError(t, d.RemoveEntry(ctx, d.realm, entry.ID))
	require.NoError(t, d.Resume(ctx, d.chain.Slug))
}

// completed returns what the transactions say that were completed into a wallet, as
// they are listed, and holds the last event of each against that.
func (d *desk) completed(t testing.TB, wallet custody.Wallet) string {
	t.Helper()
	found, _, err := d.CustodyTransactions(t.Context(), d.realm, custody.TransactionFilter{Wallet: &wallet.ID, Limit: 1000})
	require.NoError(t, err)
	var sum chains.Amount
	for _, one := range found {
		var told string
		err := d.Pool().QueryRow(t.Context(), `
SELECT data ->> 'amount' FROM events WHERE type LIKE 'transaction.%' AND resource_id = $1 ORDER BY resource_version DESC LIMIT 1`, one.ID.String()).Scan(&told)
		require.NoError(t, err)
		require.Equal(t, one.Amount.Decimal(one.Asset.Decimals), told)
		if one.Status == custody.Completed {
			sum = sum.Add(one.Amount)
		}
	}
	return sum.String()
}
