package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"

	"tallyd/migrations"
)

// ErrNotMigrated means that the database lacks a part of this version's schema.
var ErrNotMigrated = errors.New("the database is not migrated to this version's schema")

// undefinedTable is Postgres' code for a table that is not there.
const undefinedTable = "42P01"

// CheckSchema returns ErrNotMigrated unless the database has every migration of
// this build, ours and that of the jobs. A newer one than ours is fine. It writes
// nothing.
func (s *Store) CheckSchema(ctx context.Context) error {
	var have int64
	err := s.pool.QueryRow(ctx, `SELECT coalesce(max(version_id), 0) FROM goose_db_version WHERE is_applied`).Scan(&have)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == undefinedTable {
		return ErrNotMigrated
	}
	if err != nil {
		return fmt.Errorf("read the schema's version: %w", err)
	}
	newest, err := newestMigration()
	if err != nil {
		return err
	}
	if have < newest {
		return ErrNotMigrated
	}
	migrator, err := rivermigrate.New(riverpgxv5.New(s.pool), nil)
	if err != nil {
		return fmt.Errorf("prepare the migrations of jobs: %w", err)
	}
	jobs, err := migrator.Validate(ctx, nil)
	if err != nil {
		return fmt.Errorf("read the version of the jobs' schema: %w", err)
	}
	if !jobs.OK {
		return ErrNotMigrated
	}
	return nil
}

// newestMigration returns the highest version of our own migrations.
func newestMigration() (int64, error) {
	names, err := fs.Glob(migrations.Files, "*.sql")
	if err != nil {
		return 0, fmt.Errorf("list migrations: %w", err)
	}
	var newest int64
	for _, name := range names {
		version, err := goose.NumericComponent(name)
		if err != nil {
			return 0, fmt.Errorf("version of migration %s: %w", name, err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
