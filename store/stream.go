package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// LastNumber returns the highest number that an event was given, 0 before the first.
// Whoever reads it can read all events up to it.
func (s *Store) LastNumber(ctx context.Context) (int64, error) {
	last, err := s.queries(ctx).LastNumber(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the last number: %w", err)
	}
	return last, nil
}

// NumberedRealms returns the realms whose events have numbers above after and up to
// last.
func (s *Store) NumberedRealms(ctx context.Context, after, last int64) ([]indexer.Realm, error) {
	rows, err := s.queries(ctx).NumberedRealms(ctx, db.NumberedRealmsParams{Beyond: after, Last: last})
	if err != nil {
		return nil, fmt.Errorf("read realms of events: %w", err)
	}
	realms := make([]indexer.Realm, 0, len(rows))
	for _, row := range rows {
		realms = append(realms, indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)})
	}
	return realms, nil
}
