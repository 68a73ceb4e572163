package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// status writes how the owner sees its chain. Entering trouble, changing its
// kind and leaving it are events for every realm with live accounts or addresses of
// custody there.
func (w *writing) status(ctx context.Context, now indexer.StatusChange, before string) error {
	edge := now.State != before && (troubled(now.State) || troubled(before))
	_, err := w.q.SetStatus(ctx, db.SetStatusParams{
		Chain: w.chain, State: now.State, Reason: storable(now.Reason), Head: int64(now.Head), Edge: edge,
	})
	if err != nil {
		return fmt.Errorf("set status: %w", err)
	}
	if !edge {
		return nil
	}
	written, err := w.q.ChainEvents(ctx, w.chain)
	if err != nil {
		return fmt.Errorf("write events of the chain: %w", err)
	}
	w.applied.Events += int(written)
	return nil
}

func troubled(state string) bool {
	return state == indexer.StateDegraded || state == indexer.StateHalted
}

// ChainStatuses returns what the operator sees of every chain, by slug.
func (s *Store) ChainStatuses(ctx context.Context) ([]indexer.ChainStatus, error) {
	return chainStatuses(ctx, s.queries(ctx))
}

func chainStatuses(ctx context.Context, q *db.Queries) ([]indexer.ChainStatus, error) {
	rows, err := q.ChainStatuses(ctx)
	if err != nil {
		return nil, fmt.Errorf("read chains: %w", err)
	}
	statuses := make([]indexer.ChainStatus, 0, len(rows))
	for _, row := range rows {
		status := indexer.ChainStatus{
			Chain: row.Chain, ID: row.Caip2, Family: chains.Family(row.Family), Environment: chains.Environment(row.Environment),
			Head: uint64(row.Head), Final: uint64(row.Final), State: row.State, Reason: row.Reason, Halted: row.Halted,
			WatchVersion: row.WatchVersion, Scripts: row.Scripts, UpdatedAt: row.UpdatedAt.UTC(),
		}
		if row.TipHeight != nil {
			status.Tip = blockRef(*row.TipHeight, row.TipHash, row.TipParent, *row.TipTime, *row.TipWork)
		}
		statuses = append(statuses, status)
	}
	return statuses, nil
}
