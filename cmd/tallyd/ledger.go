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
	"tallyd/store/secret"
)

// openLedger opens the database of the settings. One that is not migrated is
// refused, and nothing is written.
func openLedger(ctx context.Context, cfg config.Config, log zerolog.Logger, failpoint func(string) error) (*store.Store, error) {
	secrets, err := keysetOf(cfg.Secrets)
	if err != nil {
		return nil, err
	}
	ledger, err := store.Open(ctx, store.Options{
		URL: cfg.Database.URL.Reveal(), Pooler: cfg.Database.Pooler, MaxConns: int32(cfg.Database.MaxConns), //nolint:gosec // checked when loaded
		Secrets: secrets, Log: log, Failpoint: failpoint,
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

// keysetOf returns what secrets are sealed with, nil if nothing is set.
func keysetOf(cfg config.Secrets) (*secret.Keyset, error) {
	text, err := cfg.Read()
	if err != nil || text.Reveal() == "" {
		return nil, err //nolint:wrapcheck // it names the setting
	}
	keyset, err := secret.Parse(text.Reveal())
	if err != nil {
		name := "secrets.keyset"
		if cfg.KeysetFile != "" {
			name = "secrets.keyset_file"
		}
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return keyset, nil
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
