package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
)

// VenueCounts returns how many accounts each venue has in each status, in every
// realm; none without accounts.
func (s *Store) VenueCounts(ctx context.Context) ([]indexer.VenueCount, error) {
	rows, err := s.queries(ctx).VenueCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count accounts at venues: %w", err)
	}
	counts := make([]indexer.VenueCount, 0, len(rows))
	for _, row := range rows {
		counts = append(counts, indexer.VenueCount{
			Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
			Venue: row.Venue, Status: row.Status, Accounts: row.Count,
		})
	}
	return counts, nil
}
