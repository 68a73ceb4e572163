package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/indexer"
	"tallyd/store"
)

// The operator is told what is under way, and nothing of what has ended or waits for
// an endpoint that is disabled.
func TestLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{Secrets: newKeyset(t)}, depth(2))
	load, err := w.Load(ctx)
	require.NoError(t, err)
	require.Equal(t, indexer.Load{Endpoints: map[string]int64{}}, load)

	wallet := w.fund(t, 500, 300)
	w.withdraw(t, wallet, 100)
	for range 3 {
		e, err := w.CreateEndpoint(ctx, webhook.Endpoint{ID: uuid.New(), Realm: w.realm, URL: "https://receiver.example", Concurrency: 1}, webhook.NewKey())
		require.NoError(t, err)
		_, err = w.SendTest(ctx, w.realm, e.ID)
		require.NoError(t, err)
	}
	endpoints, _, err := w.Endpoints(ctx, w.realm)
	require.NoError(t, err)
	require.NoError(t, w.Disable(ctx, heard("", endpoints[0])))
	require.NoError(t, w.Mark(ctx, heard("refused", endpoints[1])))
	owner := uuid.New()
	_, err = w.Number(ctx, owner, 1000)
	require.NoError(t, err)
	_, err = w.FanOut(ctx, 1000)
	require.NoError(t, err)

	load, err = w.Load(ctx)
	require.NoError(t, err)
	require.Equal(t, []indexer.WithdrawalCount{{Chain: w.desk.chain.Slug, Status: "Submitted", Count: 1}}, load.Withdrawals)
	require.Equal(t, map[string]int64{"working": 1, "failing": 1, "disabled": 1}, load.Endpoints)
	require.Positive(t, load.Deliveries)
	require.Positive(t, load.Overdue)
	_, err = w.Pool().Exec(ctx, `UPDATE deliveries SET due_at = now() + interval '1 hour'`)
	require.NoError(t, err)
	load, err = w.Load(ctx)
	require.NoError(t, err)
	require.Zero(t, load.Overdue)
	require.NoError(t, w.Disable(ctx, heard("", endpoints[1:]...)))
	load, err = w.Load(ctx)
	require.NoError(t, err)
	require.Zero(t, load.Deliveries)
}
