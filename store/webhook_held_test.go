package store_test

import (
	"context"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/store"
)

// soon is how long a statement may take while others hold what it would like to have.
const soon = 10 * time.Second

// hold opens a transaction, runs a statement in it, and leaves it open until release
// is called.
func hold(t testing.TB, s *store.Store, sql string, args ...any) (release func()) {
	t.Helper()
	conn, err := pgx.ConnectConfig(t.Context(), s.Pool().Config().ConnConfig)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	_, err = conn.Exec(t.Context(), "BEGIN")
	require.NoError(t, err)
	_, err = conn.Exec(t.Context(), sql, args...)
	require.NoError(t, err)
	return func() {
		_, err := conn.Exec(t.Context(), "ROLLBACK")
		require.NoError(t, err)
	}
}

// A backup reads every table for as long as it takes. The days of the log that cannot
// be made or dropped meanwhile are made and dropped later, and hold up no delivery.
func TestUpkeepBesideBackup(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	q.happen(10)
	q.fanOut()
	done := q.claim(0)
	q.exec(`CREATE TABLE attempts_20200101 PARTITION OF attempts FOR VALUES FROM ('2020-01-01T00:00:00Z') TO ('2020-01-02T00:00:00Z')`)
	const days = `SELECT count(*) FROM pg_inherits WHERE inhparent IN ('attempts'::regclass, 'delivery_history'::regclass)`
	require.Equal(t, 3, q.count(days))

	release := hold(t, q.Store, `LOCK TABLE attempts, delivery_history IN ACCESS SHARE MODE`)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()
	kept := make(chan error, 1)
	go func() { kept <- q.Upkeep(ctx, 30*24*time.Hour) }()
	for waiting := 0; waiting == 0 && len(kept) == 0; {
		waiting = q.count(`SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = ANY('{attempts,delivery_history}'::regclass[])`)
	}
	counted, err := q.Complete(ctx, q.owner, done)
	require.NoError(t, err, "what is done can be written")
	require.Equal(t, 10, counted)
	require.ErrorContains(t, <-kept, "lock timeout")
	require.NoError(t, ctx.Err())
	require.Equal(t, 3, q.count(days))

	release()
	require.NoError(t, q.Upkeep(t.Context(), 30*24*time.Hour))
	require.Equal(t, 2+2*4, q.count(days)+2, "today is in the rest")
}

// Who deletes or changes an endpoint may take long, or be stopped in the middle. What
// others are sent is written meanwhile, and what processes held that are gone is freed.
func TestOutcomesBesideHeldEndpoint(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	held := q.endpoint
	other := q.add()
	q.happen(10)
	q.fanOut()
	outcomes := q.claim(0)
	require.Len(t, outcomes, 20)
	ctx, cancel := context.WithTimeout(t.Context(), soon)
	defer cancel()

	release := hold(t, q.Store, `WITH held AS (UPDATE endpoints SET deleted_at = now() WHERE id = $1) DELETE FROM deliveries WHERE endpoint_id = $1`, held.ID)
	require.NoError(t, q.Mark(ctx, heard("answered 500", held, other)))
	require.NoError(t, q.Disable(ctx, heard("", held, other)))
	counted, err := q.Complete(ctx, q.owner, outcomes[:10])
	require.NoError(t, err)
	rest, err := q.Complete(ctx, q.owner, outcomes[10:])
	require.NoError(t, err)
	require.Equal(t, 10, counted+rest, "those of the other one")
	q.exec(`UPDATE dispatchers SET alive_until = now() - interval '1 second'`)
	_, err = q.Beat(ctx, q.endpoint.ID, time.Hour)
	require.NoError(t, err)
	require.NoError(t, q.Leave(ctx, q.owner))
	now, err := q.Endpoint(ctx, q.realm, other.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"disabled", "answered 500"}, []string{now.State(), now.FailingError})

	// It was not deleted after all: nothing of it is lost.
	release()
	freed, err := q.Beat(ctx, q.endpoint.ID, time.Hour)
	require.NoError(t, err)
	require.Equal(t, 10, freed)
	require.Equal(t, 10, q.count(`SELECT count(*) FROM deliveries WHERE lease IS NULL`))
	require.Equal(t, 10, q.count(`SELECT count(*) FROM delivery_history`))
	require.Equal(t, 20, q.count(`SELECT count(*) FROM attempts`), "every attempt is kept")
}
