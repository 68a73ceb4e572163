package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"tallyd/api/webhook"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// OpenWithdrawals counts the withdrawals of all tenants that have not ended. Statuses
// of which there are none are left out.
func (s *Store) OpenWithdrawals(ctx context.Context) ([]custody.WithdrawalCount, error) {
	rows, err := s.queries(ctx).OpenWithdrawals(ctx)
	if err != nil {
		return nil, fmt.Errorf("count withdrawals: %w", err)
	}
	counts := make([]custody.WithdrawalCount, len(rows))
	for i, row := range rows {
		counts[i] = custody.WithdrawalCount{Chain: row.Chain, Status: custody.Status(row.Status), Count: row.Count}
	}
	return counts, nil
}

// WebhookLoad returns what is under way of the webhooks of all tenants.
func (s *Store) WebhookLoad(ctx context.Context) (webhook.Load, error) {
	load := webhook.Load{Endpoints: map[string]int64{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		deliveries, err := q.OpenDeliveries(ctx)
		if err != nil {
			return fmt.Errorf("count deliveries: %w", err)
		}
		load.Waiting, load.Overdue = deliveries.Waiting, time.Duration(deliveries.Overdue*float64(time.Second))
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
