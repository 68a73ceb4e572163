package store_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// TestTrimAudit drops what is older than it is kept, more than one statement takes,
// from two processes at once, and nothing else.
func TestTrimAudit(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	url := newDatabase(t)
	s := openStore(t, store.Options{URL: url})
	realm := indexer.Realm{Tenant: "default", Environment: chains.Live}
	entry := access.Entry{Realm: realm, Caller: "master", RequestID: uuid.New(), Method: "POST", Route: "/v1/users", Path: "/v1/users", Status: 201}
	require.NoError(t, s.Record(ctx, entry))
	conn, err := pgx.Connect(ctx, url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	old := func(count int, age string) {
		t.Helper()
		_, err := conn.Exec(ctx, fmt.Sprintf(`
			INSERT INTO audit (at, tenant, environment, caller, request_id, method, route, path, status, code)
			SELECT now() - interval '%s', tenant, environment, 'old', request_id, method, route, path, status, code
			FROM audit, generate_series(1, %d) WHERE caller = 'master'`, age, count))
		require.NoError(t, err)
	}
	old(25_000, "366 days")
	old(3, "364 days")

	year := 365 * 24 * time.Hour
	dropped := make(chan int64, 2)
	for range 2 {
		go func() {
			n, err := s.TrimAudit(ctx, year)
			if err != nil {
				t.Error(err)
			}
			dropped <- n
		}()
	}
	require.Equal(t, int64(25_000), <-dropped+<-dropped)
	left, err := s.Entries(ctx, realm, "", 0, 10)
	require.NoError(t, err)
	require.Len(t, left, 4)
	n, err := s.TrimAudit(ctx, year)
	require.NoError(t, err)
	require.Zero(t, n)

	old(1, "2 days")
	n, err = s.TrimAudit(ctx, 24*time.Hour)
	require.NoError(t, err)
	require.Equal(t, int64(4), n)
}
