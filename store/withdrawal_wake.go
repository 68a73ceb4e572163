package store

import (
	"context"
	"fmt"

	"tallyd/store/db"
)

// wakeWithdrawals makes those withdrawals be looked at that have to do with what a
// verb changed, in its own transaction: what the chain did is never missed, however
// late anybody looks.
func (w *writing) wakeWithdrawals(ctx context.Context) error {
	p := db.WakeChangedParams{Chain: w.chain, Ids: w.changed}
	if p.Ids == nil {
		p.Ids = []int64{}
	}
	if err := w.q.WakeChanged(ctx, p); err != nil {
		return fmt.Errorf("wake withdrawals: %w", err)
	}
	return nil
}
