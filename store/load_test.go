package store_test

import (
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The operator is told what is under way, and nothing of what has ended or waits for
// an endpoint that is disabled.
func TestLoad(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	w := newTill(t, store.Options{Secrets: newKeyset(t)}, depth(2))
	open, err := w.OpenWithdrawals(ctx)
	require.NoError(t, err)
	require.Empty(t, open)
	load, err := w.WebhookLoad(ctx)
	require.NoError(t, err)
	require.Equal(t, webhook.Load{Endpoints: map[string]int64{}}, load)

	wallet := w.fund(t, 500, 300)
	w.withdraw(t, wallet, 100)
	for range 3 {
		e, err := w.CreateEndpoint(ctx, webhook.Endpoint{ID: uuid.New(), Realm: w.realm, URL: "https://receiver.example", Concurrency: 1}, webhook.NewKey())
		require.NoError(t, err)
		_, err = w.SendTest(ctx, w.realm, e.ID)
		require.NoError(t, err)
	}
	endpoints, _, err := w.Endpoints(ctx, w.realm, nil, 100)
	require.NoError(t, err)
	require.NoError(t, w.Disable(ctx, heard("", endpoints[0])))
	require.NoError(t, w.Mark(ctx, heard("refused", endpoints[1])))
	owner := uuid.New()
	_, err = w.Number(ctx, owner, 1000)
	require.NoError(t, err)
	_, err = w.FanOut(ctx, 1000)
	require.NoError(t, err)

	open, err = w.OpenWithdrawals(ctx)
	require.NoError(t, err)
	require.Equal(t, []custody.WithdrawalCount{{Chain: w.desk.chain.Slug, Status: custody.Submitted, Count: 1}}, open)
	load, err = w.WebhookLoad(ctx)
	require.NoError(t, err)
	require.Equal(t, map[string]int64{"working": 1, "failing": 1, "disabled": 1}, load.Endpoints)
	require.Positive(t, load.Waiting)
	require.Positive(t, load.Overdue)
	_, err = w.Pool().Exec(ctx, `UPDATE deliveries SET due_at = now() + interval '1 hour'`)
	require.NoError(t, err)
	load, err = w.WebhookLoad(ctx)
	require.NoError(t, err)
	require.Zero(t, load.Overdue)
	require.NoError(t, w.Disable(ctx, heard("", endpoints[1:]...)))
	load, err = w.WebhookLoad(ctx)
	require.NoError(t, err)
	require.Zero(t, load.Waiting)
}
