package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/rs/zerolog"

	"tallyd/config"
	"tallyd/store"
)

// openLedger opens the database of the settings. One that is not migrated is
// refused, and nothing is written.
func openLedger(ctx context.Context, cfg config.Database, log zerolog.Logger, failpoint func(string) error) (*store.Store, error) {
	ledger, err := store.Open(ctx, store.Options{
		URL: cfg.URL.Reveal(), Pooler: cfg.Pooler, MaxConns: int32(cfg.MaxConns), //nolint:gosec // checked when loaded
		Log: log, Failpoint: failpoint,
	})
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", oneLineError{err})
	}
	if err := ledger.CheckSchema(ctx); err != nil {
		ledger.Close()
		if errors.Is(err, store.ErrNotMigrated) {
			return nil, fmt.Errorf("%w: run `tallyd migrate` with the same settings first", err)
		}
		return nil, fmt.Errorf("open the database: %w", oneLineError{err})
	}
	return ledger, nil
}

// oneLineError says an error in one line. Postgres' driver writes a line for each
// address it tried, and tries some of them twice.
type oneLineError struct{ error }

// Error implements error.
func (e oneLineError) Error() string {
	lines := strings.Split(e.error.Error(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Compact(lines), " ")
}

// Unwrap returns the error itself.
func (e oneLineError) Unwrap() error { return e.error }
