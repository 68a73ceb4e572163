package store

import (
	"context"
	"encoding/json"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// limit halts credits when a block is taken back, and with it more of them than the
// policy lets a reorg. An operator who resumes meanwhile is not overruled.
func (s *settlement) limit(ctx context.Context) error {
	limit := s.policy.ReorgLimit
	if s.taken == nil || limit == 0 || uint64(s.terms.Reverted) <= limit {
		return nil
	}
	return s.halt(ctx, fmt.Sprintf("a reorg took back more than %d blocks", limit))
}

// halt stops credits until an operator lets them go on. The chain is followed all
// the same.
func (s *settlement) halt(ctx context.Context, reason string) error {
	if s.rebased {
		return nil
	}
	halted, err := s.q.Halt(ctx, db.HaltParams{Chain: s.chain, Reason: reason})
	if err != nil {
		return fmt.Errorf("halt credits: %w", err)
	}
	if halted == 0 {
		return nil
	}
	written, err := s.q.ChainEvents(ctx, s.chain)
	if err != nil {
		return fmt.Errorf("write events of the halt: %w", err)
	}
	s.applied.Events += int(written)
	s.applied.Halted = reason
	return nil
}

// Resume lets the credits of a chain go on, and credits at once what became due
// meanwhile. One that was not halted is left as it is. It returns ErrNotFound if
// there is no such chain.
func (s *Store) Resume(ctx context.Context, chain string) error {
	return s.write(ctx, "resume", func(q *db.Queries) error {
		cursor, err := q.LockCursor(ctx, chain)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", orNotFound(err))
		}
		ended, err := q.EndHalt(ctx, chain)
		if err != nil {
			return fmt.Errorf("end halt: %w", err)
		}
		if ended == 0 {
			return nil
		}
		if _, err := q.ChainEvents(ctx, chain); err != nil {
			return fmt.Errorf("write events of the halt's end: %w", err)
		}
		w := writing{q: q, chain: chain, custody: cursor.Custody}
		return w.settle(ctx, true)
	})
}

// SetPolicy makes a policy the one that a chain's deposits are credited by, and its
// withdrawals completed, those that wait for it among them. It returns ErrNotFound if the chain was never
// registered.
func (s *Store) SetPolicy(ctx context.Context, chain string, policy custody.Policy) error {
	return s.write(ctx, "set_policy", func(q *db.Queries) error {
		cursor, err := q.LockCursor(ctx, chain)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", orNotFound(err))
		}
		changed, err := setPolicy(ctx, q, cursor, policy)
		if err != nil || !changed {
			return err
		}
		w := writing{q: q, chain: chain, custody: cursor.Custody}
		return w.settle(ctx, true)
	})
}

// setPolicy keeps the policy of a chain whose row is locked, and reports whether it
// is another one, by which more may be due: that is left to settle.
func setPolicy(ctx context.Context, q *db.Queries, cursor db.LockCursorRow, policy custody.Policy) (bool, error) {
	text, err := json.Marshal(policy)
	if err != nil {
		return false, fmt.Errorf("write the policy: %w", err)
	}
	changed, err := q.SetPolicy(ctx, db.SetPolicyParams{Chain: cursor.Chain, Policy: text})
	if err != nil {
		return false, fmt.Errorf("set policy: %w", err)
	}
	if changed == 0 || !cursor.Custody {
		return changed > 0, nil
	}
	if err := q.WakeSettling(ctx, cursor.Chain); err != nil {
		return false, fmt.Errorf("wake withdrawals: %w", err)
	}
	return true, remeasure(ctx, q, cursor, policy)
}

// remeasure says anew when open deposits are due. One whose block left keeps its
// height, unless it waits for what is not read any more: then it is due as one in
// the block at that height is, which is no earlier than it would have been.
func remeasure(ctx context.Context, q *db.Queries, cursor db.LockCursorRow, policy custody.Policy) error {
	rows, err := q.OpenDeposits(ctx, cursor.Chain)
	if err != nil {
		return fmt.Errorf("read open deposits: %w", err)
	}
	if len(rows) == 0 {
		return nil
	}
	var p db.SetDuesParams
	for i := range rows {
		row := &rows[i]
		threshold := policy.For(chains.AssetID(row.Caip19), row.Amount)
		due := threshold.Due(uint64(row.Height), row.Coinbase, uint64(cursor.Maturity))
		if row.State == string(custody.Orphaned) {
			due = threshold.Due(uint64(row.Due), false, 0)
			if string(due.Basis) == row.Basis {
				continue
			}
		}
		p.Ids, p.Bases = append(p.Ids, row.ID), append(p.Bases, string(due.Basis))
		p.Dues, p.Matures = append(p.Dues, int64(due.Height)), append(p.Matures, int64(due.Mature))
	}
	if err := q.SetDues(ctx, p); err != nil {
		return fmt.Errorf("say anew when %d deposits are due: %w", len(p.Ids), err)
	}
	if err := q.SetDue(ctx, cursor.Chain); err != nil {
		return fmt.Errorf("keep when deposits are due: %w", err)
	}
	return nil
}
