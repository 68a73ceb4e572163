package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// daysAhead is how many days of the log are made before they come.
	daysAhead = 3

	dayForm = "20060102"

	// patient bounds how long what locks a whole table waits for it. Everything that is
	// written to the table waits behind it: a backup reads for hours.
	patient = `SET LOCAL lock_timeout = '200ms'; `
)

// Upkeep implements webhook.Outbox. The log of deliveries has one partition for
// each day by UTC, so that what is too old goes without a trace in the table. Kept
// answers and signatures go here too. A step that fails leaves the others to go on;
// one that would have to wait for readers fails, and is for the next time.
func (s *Store) Upkeep(ctx context.Context, keep time.Duration) error {
	var now time.Time
	if err := s.pool.QueryRow(ctx, "SELECT now()").Scan(&now); err != nil {
		return fmt.Errorf("read the time: %w", err)
	}
	today := now.UTC().Truncate(24 * time.Hour)
	var faults []error
	for _, table := range []string{"delivery_history", "attempts"} {
		for day := range daysAhead + 1 {
			faults = append(faults, s.makeDay(ctx, table, today.AddDate(0, 0, day)))
		}
		faults = append(faults, s.dropDays(ctx, table, now.Add(-keep)))
	}
	q := s.queries(ctx)
	return errors.Join(append(faults,
		q.DropOldHistory(ctx, now.Add(-keep)), q.DropOldAttempts(ctx, now.Add(-keep)),
		q.DropDispatchers(ctx), q.DropEndedSecrets(ctx),
		q.DropOldAnswers(ctx, answersKept.Seconds()), q.DropOldSignatures(ctx),
		q.DropOrphans(ctx),
	)...)
}

// makeDay makes the partition of one day, unless it is there, or the rest holds
// something of that day: then all of the day goes there, and leaves row by row.
func (s *Store) makeDay(ctx context.Context, table string, day time.Time) error {
	name := table + "_" + day.Format(dayForm)
	err := s.define(ctx, fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s PARTITION OF %s FOR VALUES FROM ('%s') TO ('%s')",
		pgx.Identifier{name}.Sanitize(), pgx.Identifier{table}.Sanitize(), day.Format(time.RFC3339), day.AddDate(0, 0, 1).Format(time.RFC3339)))
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		switch refused.Code {
		case "42P07", "42710", "23505", "42P17":
			// Another process makes it at this moment: as its name, as its type,
			// or as a range that is taken.
			return nil
		case "23514":
			// Nobody made the day before it came: no daemon ran, or a clock was
			// far ahead.
			s.log.Debug().Str("day", name).Msg("the day stays in the rest")
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", name, err)
	}
	return nil
}

// dropDays drops the partitions of days that ended before a time.
func (s *Store) dropDays(ctx context.Context, table string, before time.Time) error {
	rows, err := s.pool.Query(ctx, `SELECT c.relname::text FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid
		WHERE i.inhparent = to_regclass($1)`, table)
	if err != nil {
		return fmt.Errorf("list days of %s: %w", table, err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("list days of %s: %w", table, err)
	}
	for _, name := range names {
		day, err := time.Parse(dayForm, strings.TrimPrefix(name, table+"_"))
		if err != nil || day.AddDate(0, 0, 1).After(before) {
			continue // the rest, or not old enough
		}
		if err := s.define(ctx, "DROP TABLE IF EXISTS "+pgx.Identifier{name}.Sanitize()); err != nil {
			return fmt.Errorf("drop %s: %w", name, err)
		}
	}
	return nil
}

// define runs a statement that locks a whole table. Both statements go out as one, so
// that a process that is stopped in the middle holds no lock.
func (s *Store) define(ctx context.Context, statement string) error {
	_, err := s.pool.Exec(ctx, patient+statement, pgx.QueryExecModeSimpleProtocol)
	return err //nolint:wrapcheck // the caller says what it was doing
}
