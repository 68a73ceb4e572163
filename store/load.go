package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tallyd/indexer"
	"tallyd/store/db"
)

// Load returns what is under way for all tenants.
func (s *Store) Load(ctx context.Context) (indexer.Load, error) {
	load := indexer.Load{Endpoints: map[string]int64{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		open, err := q.OpenWithdrawals(ctx)
		if err != nil {
			return fmt.Errorf("count withdrawals: %w", err)
		}
		for _, row := range open {
			load.Withdrawals = append(load.Withdrawals, indexer.WithdrawalCount{Chain: row.Chain, Status: row.Status, Count: row.Count})
		}
		deliveries, err := q.OpenDeliveries(ctx)
		if err != nil {
			return fmt.Errorf("count deliveries: %w", err)
		}
		load.Deliveries, load.Overdue = deliveries.Waiting, time.Duration(deliveries.Overdue*float64(time.Second))
		states, err := q.EndpointStates(ctx)
		if err != nil {
			return fmt.Errorf("count endpoints: %w", err)
		}
		for _, row := range states {
			load.Endpoints[row.State] = row.Count
		}
		return nil
	})
	return load, err
}
