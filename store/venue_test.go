package store_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

func TestSync(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	var f fault
	b := newBench(t, openStore(t, store.Options{Failpoint: f.fail}), chains.FamilyBitcoin)
	account := indexer.Account{ID: uuid.New(), Realm: b.realm, UserID: b.user, Kind: indexer.KindVenue, Venue: "kraken", Wallet: "key1"}
	require.NoError(t, b.CreateVenueAccount(ctx, account))
	again := account
	again.ID = uuid.New()
	require.ErrorIs(t, b.CreateVenueAccount(ctx, again), indexer.ErrExists)
	got, err := b.Account(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Equal(t, "kraken", got.Venue)
	require.Empty(t, got.Chain)

	mine, other := uuid.New(), uuid.New()
	stream, err := b.AcquireStream(ctx, account.ID, mine, leaseTime)
	require.NoError(t, err)
	require.JSONEq(t, "null", string(stream.Cursor))
	_, err = b.AcquireStream(ctx, account.ID, other, leaseTime)
	require.ErrorIs(t, err, indexer.ErrLeased)
	_, err = b.AcquireStream(ctx, uuid.New(), other, leaseTime)
	require.ErrorIs(t, err, indexer.ErrNotFound)

	at := time.Now().UTC().Truncate(time.Millisecond)
	half, err := chains.ParseDecimal("-0.5", 18)
	require.NoError(t, err)
	syncing := indexer.Syncing{Lease: stream.Lease, At: at, Cursor: json.RawMessage(`{"page":2}`), Holdings: []indexer.Holding{
		{Wallet: "margin", Code: "XETH", Amount: half, Decimals: 18}, {Wallet: "spot", Code: "XXBT", Amount: chains.NewAmount(7), Decimals: 8},
	}}
	f.arm("sync" + store.BeforeCommit)
	require.ErrorIs(t, b.Sync(ctx, syncing), errFault)
	holdings, synced, err := b.Holdings(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Empty(t, holdings)
	require.Nil(t, synced)

	require.NoError(t, b.Sync(ctx, syncing))
	require.NoError(t, b.Sync(ctx, syncing), "again changes nothing")
	holdings, synced, err = b.Holdings(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Len(t, holdings, 2)
	require.Equal(t, "-0.5", holdings[0].Amount.Decimal(18))
	require.True(t, at.Equal(*synced))
	require.Equal(t, []string{"account.synced"}, b.types(t))

	syncing.Holdings = syncing.Holdings[1:]
	require.NoError(t, b.Sync(ctx, syncing))
	require.NoError(t, b.ReleaseStream(ctx, stream.Lease))
	next, err := b.AcquireStream(ctx, account.ID, other, leaseTime)
	require.NoError(t, err)
	require.JSONEq(t, `{"page":2}`, string(next.Cursor))
	require.ErrorIs(t, b.Sync(ctx, syncing), indexer.ErrStale, "the paused owner")
	holdings, _, err = b.Holdings(ctx, b.realm, account.ID)
	require.NoError(t, err)
	require.Len(t, holdings, 1)
	_, _, err = b.Holdings(ctx, indexer.Realm{Tenant: "default", Environment: chains.Test}, account.ID)
	require.ErrorIs(t, err, indexer.ErrNotFound)

	require.NoError(t, b.DeleteAccount(ctx, b.realm, account.ID))
	syncing.Lease = next.Lease
	require.ErrorIs(t, b.Sync(ctx, syncing), indexer.ErrStale, "a deleted account")
}
