package embedded

import (
	"context"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

func TestTestDatabase(t *testing.T) {
	t.Parallel()
	prepared := 0
	prepare := func(ctx context.Context, url string) error {
		prepared++
		conn, err := pgx.Connect(ctx, url)
		if err != nil {
			return err
		}
		defer conn.Close(ctx)
		_, err = conn.Exec(ctx, "CREATE TABLE seen (n int); INSERT INTO seen VALUES (1)")
		return err
	}
	first := TestDatabaseFrom(t, t.Name(), prepare)
	second := TestDatabaseFrom(t, t.Name(), prepare)
	require.NotEqual(t, first, second)
	require.LessOrEqual(t, prepared, 1)

	for _, url := range []string{first, second} {
		require.Equal(t, 1, queryInt(t, url, "WITH x AS (INSERT INTO seen VALUES (2)) SELECT count(*) FROM seen"))
	}
	require.Equal(t, 0, queryInt(t, TestDatabase(t), "SELECT count(*) FROM pg_class WHERE relname = 'seen'"))
}

// queryInt runs one statement on a connection of its own.
func queryInt(t *testing.T, url, sql string) int {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	var n int
	require.NoError(t, conn.QueryRow(t.Context(), sql).Scan(&n))
	return n
}
