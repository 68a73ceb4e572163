package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// evm returns a bench of the EVM family with one account, followed from one
// block on.
func evm(t *testing.T) (*bench, uuid.UUID, chains.BlockRef) {
	t.Helper()
	b := newBench(t, openStore(t, store.Options{}), chains.FamilyEVM)
	account := b.connect(t, script(1))
	return b, account, b.applyEVM(t, chains.BlockRef{Height: 9}, 1, nil)
}

func (b *bench) applyEVM(t testing.TB, parent chains.BlockRef, n int, stale []chains.Touch) chains.BlockRef {
	t.Helper()
	ref := block(parent, n)
	_, err := b.Apply(t.Context(), indexer.Step{
		Lease: b.lease, Parent: parent.Hash, WatchVersion: b.version(t), Block: ref, Stale: stale,
	})
	require.NoError(t, err)
	return ref
}

func (b *bench) snapshot(at chains.BlockRef, amount int64) []chains.Snapshot {
	return []chains.Snapshot{{Script: script(1), Asset: b.chain.Native.ID, Amount: chains.NewAmount(amount), At: at, Proof: chains.Proven}}
}

func (b *bench) touch() []chains.Touch {
	return []chains.Touch{{Script: script(1), Asset: b.chain.Native.ID}}
}

// open writes an opening balance as a search does.
func (b *bench) open(t testing.TB, at chains.BlockRef, amount int64) {
	t.Helper()
	scripts, err := b.SearchScripts(t.Context(), b.chain.Slug, 10)
	require.NoError(t, err)
	require.Len(t, scripts, 1)
	require.False(t, scripts[0].Opened)
	require.NoError(t, b.Fill(t.Context(), indexer.Filling{Chain: b.chain.Slug, Scripts: []int64{scripts[0].ID}, Snapshots: b.snapshot(at, amount)}))
	scripts, err = b.SearchScripts(t.Context(), b.chain.Slug, 10)
	require.NoError(t, err)
	require.True(t, scripts[0].Opened)
}

func (b *bench) native(t testing.TB, account uuid.UUID) indexer.Balance {
	t.Helper()
	balance, err := b.AccountBalance(t.Context(), b.realm, account)
	require.NoError(t, err)
	require.Len(t, balance.Balances, 1)
	require.NotNil(t, balance.State.LastSync)
	return balance.Balances[0]
}

// TestSnapshots follows a balance that is read, changed, read late and reorged.
func TestSnapshots(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, first := evm(t)
	require.Empty(t, b.balance(t, account))
	b.open(t, first, 100)
	require.Equal(t, "100", b.native(t, account).Amount.String())
	require.Equal(t, []string{"account.synced"}, b.types(t))

	// A block changes it and could not be read: the balance stays as of before.
	second := b.applyEVM(t, first, 2, b.touch())
	require.Equal(t, first.Hash, b.native(t, account).AsOf.Hash)
	stale, err := b.StaleBalances(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Equal(t, b.touch(), stale)
	third := b.applyEVM(t, second, 3, nil)
	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Snapshots: b.snapshot(third, 130)})
	require.NoError(t, err)
	require.Equal(t, "130", b.native(t, account).Amount.String())
	require.Equal(t, "30", b.native(t, account).Unattributed.String(), "no leg explains it")
	stale, err = b.StaleBalances(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Empty(t, stale)

	// The block it was read at leaves: what the second one did is unread again.
	_, err = b.Revert(ctx, b.lease, third)
	require.NoError(t, err)
	require.Equal(t, "100", b.native(t, account).Amount.String())
	require.Equal(t, first.Hash, b.native(t, account).AsOf.Hash)
	stale, err = b.StaleBalances(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Equal(t, b.touch(), stale)

	// A leg explains a part of what a later block shows.
	other := block(second, 4)
	_, err = b.Apply(ctx, indexer.Step{
		Lease: b.lease, Parent: second.Hash, WatchVersion: b.version(t), Block: other, Snapshots: b.snapshot(other, 150),
		Match: chains.Match{Transfers: []chains.Transfer{
			{Tx: hash('t', 1), Source: chains.SourceValue, Side: chains.In, Asset: b.chain.Native.ID, Amount: chains.NewAmount(45), Script: script(1), Peer: make([]byte, 20)},
		}},
	})
	require.NoError(t, err)
	require.Equal(t, "5", b.native(t, account).Unattributed.String())
	stale, err = b.StaleBalances(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Empty(t, stale)
	page, _, err := b.Transactions(ctx, b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, "0x0000000000000000000000000000000000000000", page[0].Legs[0].PeerAddress)

	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Sweep: true})
	require.NoError(t, err)
	stale, err = b.StaleBalances(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Equal(t, b.touch(), stale)
}

// TestProvisional reads an opening balance ahead of the ledger, which then
// reaches its block, or another one at its height.
func TestProvisional(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		reached int // number of the block at the height it was read
		amount  string
		stale   int
	}{
		{name: "Reached", reached: 3, amount: "70"},
		{name: "Missed", reached: 4, amount: "", stale: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			b, account, first := evm(t)
			second := block(first, 2)
			b.open(t, block(second, 3), 70)
			require.True(t, b.native(t, account).Provisional)
			b.applyEVM(t, first, 2, b.touch())
			require.True(t, b.native(t, account).Provisional)
			b.applyEVM(t, second, tt.reached, nil)
			require.Equal(t, tt.amount, b.balance(t, account))
			stale, err := b.StaleBalances(t.Context(), b.chain.Slug, 10)
			require.NoError(t, err)
			require.Len(t, stale, tt.stale)
			if tt.amount != "" {
				require.False(t, b.native(t, account).Provisional)
			}
		})
	}
}

func TestFillRefusesAnotherBranch(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, _, first := evm(t)
	second := b.applyEVM(t, first, 2, nil)
	scripts, err := b.SearchScripts(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	fill := func(refs ...chains.BlockRef) error {
		filling := indexer.Filling{Chain: b.chain.Slug, Scripts: []int64{scripts[0].ID}, Progress: true, From: 5, Next: 5, Method: chains.MethodRaw}
		for _, ref := range refs {
			filling.Blocks = append(filling.Blocks, indexer.FilledBlock{Ref: ref})
		}
		return b.Fill(ctx, filling)
	}
	require.ErrorIs(t, fill(block(first, 9)), indexer.ErrNotCanonical, "another block at the tip")
	require.ErrorIs(t, fill(block(second, 9)), indexer.ErrNotCanonical, "above the tip")
	require.ErrorIs(t, fill(chains.BlockRef{Height: 9, Hash: hash('b', 9)}), indexer.ErrNotCanonical, "not the parent of the first block")
	require.NoError(t, fill(chains.BlockRef{Height: 7, Hash: hash('b', 7), Parent: hash('b', 6)}))
	require.ErrorIs(t, fill(chains.BlockRef{Height: 8, Hash: hash('b', 8)}), indexer.ErrNotCanonical, "its parent is not the block below")
	require.NoError(t, fill(second, first))
	scripts, err = b.SearchScripts(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.EqualValues(t, 5, scripts[0].Next)
	require.True(t, scripts[0].Started)

	require.NoError(t, b.Rebase(ctx, b.chain))
	require.ErrorIs(t, fill(), indexer.ErrStale, "the search began again under another id")
}
