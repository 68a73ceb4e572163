package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// Revert implements indexer.Ledger. When the block's parent is not in the ledger
// the chain has no tip any more: then everything a backfill wrote below is taken
// back too, since nothing says on which branch it stands, and searches begin
// again.
func (s *Store) Revert(ctx context.Context, lease indexer.Lease, tip chains.BlockRef) (indexer.Applied, error) {
	w := writing{chain: lease.Chain, taken: &tip.Height}
	err := s.write(ctx, "revert", func(q *db.Queries) error {
		w.q = q
		held, err := q.HoldTip(ctx, db.HoldTipParams{Chain: lease.Chain, Owner: lease.Owner, Epoch: lease.Epoch, Hash: tip.Hash[:]})
		if errors.Is(err, pgx.ErrNoRows) {
			return indexer.ErrStale
		}
		if err != nil {
			return fmt.Errorf("hold tip: %w", err)
		}
		w.custody = held.Custody
		if err := w.retreat(ctx, tip); err != nil {
			return err
		}
		return w.settle(ctx, true)
	})
	if err != nil {
		return indexer.Applied{}, err
	}
	return w.applied, nil
}

// retreat takes the block off and makes its parent the tip.
func (w *writing) retreat(ctx context.Context, tip chains.BlockRef) error {
	hash := tip.Hash
	parent, err := w.q.UnmarkBlock(ctx, db.UnmarkBlockParams{Chain: w.chain, Hash: hash})
	if err != nil {
		return fmt.Errorf("unmark block: %w", err)
	}
	if err := w.q.MarkRevertedStale(ctx, db.MarkRevertedStaleParams{Chain: w.chain, Hash: hash}); err != nil {
		return fmt.Errorf("mark reverted balances: %w", err)
	}
	height, err := w.q.CanonicalHeight(ctx, db.CanonicalHeightParams{Chain: w.chain, Hash: parent})
	if errors.Is(err, pgx.ErrNoRows) {
		if err := w.restart(ctx); err != nil {
			return err
		}
		return w.setTip(ctx, db.SetTipParams{Chain: w.chain})
	}
	if err != nil {
		return fmt.Errorf("find parent: %w", err)
	}
	if err := w.orphan(ctx, hash); err != nil {
		return err
	}
	if err := w.unprove(ctx, tip.Height); err != nil {
		return err
	}
	return w.setTip(ctx, db.SetTipParams{Chain: w.chain, Height: &height, Hash: parent[:]})
}

func (w *writing) setTip(ctx context.Context, p db.SetTipParams) error {
	if err := w.q.SetTip(ctx, p); err != nil {
		return fmt.Errorf("set tip: %w", err)
	}
	return nil
}

// orphan marks the transfers of a block, and names every outpoint that is to be
// watched again: what they spent, and what they funded.
func (w *writing) orphan(ctx context.Context, block chains.Hash) error {
	rows, err := w.q.OrphanBlock(ctx, db.OrphanBlockParams{Chain: w.chain, Block: block[:]})
	if err != nil {
		return fmt.Errorf("orphan transfers: %w", err)
	}
	sums, ids, txs := make(deltas), make([]int64, 0, len(rows)), make([]chains.Hash, 0, len(rows))
	for _, t := range rows {
		sums.take(t.ScriptID, t.AssetID, t.Side, t.Amount)
		ids, txs = append(ids, t.ID), append(txs, t.Tx)
		if t.Vout != nil {
			w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: t.Tx, Vout: uint32(*t.Vout)})
		}
		if t.SpentTx != nil {
			w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: *t.SpentTx, Vout: uint32(*t.SpentVout)})
		}
	}
	if err := sums.save(ctx, w.q); err != nil {
		return err
	}
	if err := w.watchInputs(ctx, txs); err != nil {
		return err
	}
	return w.events(ctx, ids)
}

// watchInputs adds the known inputs of unconfirmed transactions to what the
// caller must watch.
func (w *writing) watchInputs(ctx context.Context, txs []chains.Hash) error {
	if len(txs) == 0 {
		return nil
	}
	rows, err := w.q.InputsOf(ctx, db.InputsOfParams{Chain: w.chain, Txs: raw(txs)})
	if err != nil {
		return fmt.Errorf("read inputs: %w", err)
	}
	for _, row := range rows {
		w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: row.SpentTx, Vout: uint32(row.SpentVout)})
	}
	return nil
}
