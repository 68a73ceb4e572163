package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"tallyd/migrations"
)

const (
	migrateLock  = 7411 // of pg_advisory_xact_lock
	migrateConns = 4    // the lock, goose and River each hold one
	migrateRetry = 100 * time.Millisecond
)

// Migrate brings the schema to this build's version, ours and that of the jobs,
// and returns how many migrations it applied. Any number of processes may call
// it at once: one works, the others wait and find nothing to do.
func Migrate(ctx context.Context, opts Options) (int, error) {
	opts.Pooler = PoolerTransaction // also right without one
	pool, err := connect(ctx, opts, migrateConns)
	if err != nil {
		return 0, err
	}
	defer pool.Close()
	for {
		applied, held, err := migrateAlone(ctx, pool)
		if err != nil || held {
			return applied, err
		}
		timer := time.NewTimer(migrateRetry)
		select {
		case <-ctx.Done():
			timer.Stop()
			return 0, context.Cause(ctx)
		case <-timer.C:
		}
	}
}

// migrateAlone migrates while it holds the lock of all migrations, or reports
// that another process holds it.
//
// The lock is one of a transaction, since one of a session leaks behind a pooler.
// It is tried for and never waited for, and asked for in the simple protocol:
// a session that waits, or keeps an unnamed portal, holds a snapshot, and CREATE
// INDEX CONCURRENTLY would wait for that for ever.
func migrateAlone(ctx context.Context, pool *pgxpool.Pool) (applied int, held bool, err error) {
	tx, err := pool.Begin(ctx)
	if err != nil {
		return 0, false, fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	const lock = `SELECT pg_try_advisory_xact_lock($1) FROM (SELECT set_config('idle_in_transaction_session_timeout', '0', true)) AS s`
	if err := tx.QueryRow(ctx, lock, pgx.QueryExecModeSimpleProtocol, migrateLock).Scan(&held); err != nil || !held {
		return 0, false, err //nolint:wrapcheck // said by Postgres in full
	}
	database := stdlib.OpenDBFromPool(pool)
	defer func() { err = errors.Join(err, database.Close()) }()
	ours, err := migrateOurs(ctx, database)
	if err != nil {
		return 0, true, err
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(pool), nil)
	if err != nil {
		return ours, true, fmt.Errorf("prepare the migrations of jobs: %w", err)
	}
	jobs, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil)
	if err != nil {
		return ours, true, fmt.Errorf("migrate jobs: %w", err)
	}
	return ours + len(jobs.Versions), true, nil
}

func migrateOurs(ctx context.Context, database *sql.DB) (int, error) {
	provider, err := goose.NewProvider(goose.DialectPostgres, database, migrations.Files, goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return 0, fmt.Errorf("prepare migrations: %w", err)
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return 0, fmt.Errorf("migrate: %w", err)
	}
	return len(done), nil
}
