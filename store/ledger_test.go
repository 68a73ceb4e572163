package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// TestRoad follows one payment: pending, confirmed, spent, taken back.
func TestRoad(t *testing.T) {
	t.Parallel()
	for _, pooler := range []string{store.PoolerSession, store.PoolerTransaction} {
		t.Run(pooler, func(t *testing.T) {
			t.Parallel()
			ctx := t.Context()
			b := newBench(t, openStore(t, store.Options{Pooler: pooler}), chains.FamilyBitcoin)
			account := b.connect(t, script(1), script(2))
			first := b.apply(t, chains.BlockRef{Height: 99}, 1, chains.Match{})
			require.Empty(t, b.balance(t, account), "unknown is not zero")
			b.complete(t)
			require.Equal(t, "0", b.balance(t, account))

			_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Pending: []chains.UnconfirmedTx{
				{Tx: hash('t', 1), Match: chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 500)}}},
			}})
			require.NoError(t, err)
			second := b.apply(t, first, 2, chains.Match{Transfers: []chains.Transfer{b.pay(1, 1, 500)}})
			require.Equal(t, "500", b.balance(t, account))

			// One transaction pays on, and the next of the same block spends that.
			third := b.apply(t, second, 3, chains.Match{
				Transfers: []chains.Transfer{b.pay(2, 2, 450)},
				Spends:    []chains.Spend{spend(2, 1), spend(3, 2)},
			})
			require.Equal(t, "0", b.balance(t, account))

			applied, err := b.Revert(ctx, b.lease, third)
			require.NoError(t, err)
			require.Equal(t, 3, applied.Events)
			require.Contains(t, applied.Watch, chains.Outpoint{Tx: hash('t', 1)})
			require.Equal(t, "500", b.balance(t, account))
			_, err = b.Revert(ctx, b.lease, second)
			require.NoError(t, err)
			require.Equal(t, "0", b.balance(t, account))
			require.Equal(t, []string{
				"account.synced", "transfer.pending", "transfer.confirmed", "transfer.confirmed", "transfer.confirmed", "transfer.confirmed",
				"transfer.orphaned", "transfer.orphaned", "transfer.orphaned", "transfer.orphaned",
			}, b.types(t))

			page, next, err := b.Transactions(ctx, b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 2})
			require.NoError(t, err)
			require.Len(t, page, 2)
			require.NotNil(t, next)
			rest, next, err := b.Transactions(ctx, b.realm, indexer.TransactionFilter{Accounts: []uuid.UUID{account}, Limit: 2, After: next})
			require.NoError(t, err)
			require.Len(t, rest, 1)
			require.Nil(t, next)
			require.Equal(t, indexer.StatusOrphaned, rest[0].Status)
		})
	}
}
