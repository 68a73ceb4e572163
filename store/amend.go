package store

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// Amend implements indexer.Ledger.
func (s *Store) Amend(ctx context.Context, amendment indexer.Amendment) (indexer.Applied, error) {
	w := writing{chain: amendment.Lease.Chain}
	err := s.write(ctx, "amend", func(q *db.Queries) error {
		w.q = q
		lease := amendment.Lease
		cursor, err := q.HoldLease(ctx, db.HoldLeaseParams{Chain: lease.Chain, Owner: lease.Owner, Epoch: lease.Epoch})
		if errors.Is(err, pgx.ErrNoRows) {
			return indexer.ErrStale
		}
		if err != nil {
			return fmt.Errorf("hold lease: %w", err)
		}
		w.custody = cursor.Custody
		if err := w.mempool(ctx, amendment); err != nil {
			return err
		}
		if err := w.snapshots(ctx, amendment.Snapshots, false); err != nil {
			return err
		}
		if err := w.postpone(ctx, amendment.Unread); err != nil {
			return err
		}
		if err := w.remarks(ctx, amendment, cursor); err != nil {
			return err
		}
		return w.settle(ctx, cursor.Unproven || amendment.Final != nil || amendment.Safe != nil || amendment.Dispute != nil)
	})
	if err != nil {
		return indexer.Applied{}, err
	}
	return w.applied, nil
}

// mempool writes what left, came and came back, in this order: a transaction
// that came replaces what it conflicts with.
func (w *writing) mempool(ctx context.Context, amendment indexer.Amendment) error {
	if len(amendment.Dropped) > 0 {
		ids, err := w.q.DropTxs(ctx, db.DropTxsParams{Chain: w.chain, Txs: raw(amendment.Dropped)})
		if err != nil {
			return fmt.Errorf("drop transactions: %w", err)
		}
		if err := w.events(ctx, ids); err != nil {
			return err
		}
	}
	if err := w.revive(ctx, amendment.Revived); err != nil {
		return err
	}
	return w.pend(ctx, amendment.Pending)
}

// revive makes known transactions pending again. They replace what they conflict
// with.
func (w *writing) revive(ctx context.Context, txs []chains.Hash) error {
	if len(txs) == 0 {
		return nil
	}
	rows, err := w.q.InputsOf(ctx, db.InputsOfParams{Chain: w.chain, Txs: raw(txs)})
	if err != nil {
		return fmt.Errorf("read inputs: %w", err)
	}
	spends := make([]chains.Spend, 0, len(rows))
	for _, row := range rows {
		spends = append(spends, chains.Spend{Tx: row.Tx, Spent: chains.Outpoint{Tx: row.SpentTx, Vout: uint32(row.SpentVout)}})
	}
	settled, err := w.settled(ctx, spends)
	if err != nil {
		return err
	}
	txs = slices.DeleteFunc(slices.Clone(txs), func(tx chains.Hash) bool { return settled[tx] })
	spends = slices.DeleteFunc(spends, func(spend chains.Spend) bool { return settled[spend.Tx] })
	if err := w.replace(ctx, spends); err != nil {
		return err
	}
	revived, err := w.q.ReviveTxs(ctx, db.ReviveTxsParams{Chain: w.chain, Txs: raw(txs)})
	if err != nil {
		return fmt.Errorf("revive transactions: %w", err)
	}
	ids := make([]int64, 0, len(revived))
	for _, t := range revived {
		ids = append(ids, t.ID)
		if t.Vout != nil {
			w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: t.Tx, Vout: uint32(*t.Vout)})
		}
	}
	if err := w.watchInputs(ctx, txs); err != nil {
		return err
	}
	return w.events(ctx, ids)
}

// pend writes unconfirmed transactions. One that a block has settled meanwhile
// was read from an older mempool, and is left out.
func (w *writing) pend(ctx context.Context, pending []chains.UnconfirmedTx) error {
	var spends []chains.Spend
	for _, tx := range pending {
		for _, input := range tx.Inputs {
			spends = append(spends, chains.Spend{Tx: tx.Tx, Spent: input.Spent})
		}
	}
	settled, err := w.settled(ctx, spends)
	if err != nil {
		return err
	}
	sights := make([]seen, 0, len(pending))
	for _, tx := range pending {
		if !settled[tx.Tx] {
			sights = append(sights, seen{match: tx.Match})
		}
	}
	spends = slices.DeleteFunc(spends, func(spend chains.Spend) bool { return settled[spend.Tx] })
	if err := w.replace(ctx, spends); err != nil {
		return err
	}
	if _, err := w.match(ctx, indexer.StatusPending, sights); err != nil {
		return err
	}
	return w.keepInputs(ctx, spends)
}

// keepInputs keeps every input of unconfirmed transactions that have a transfer
// in the ledger, and adds them to what the caller must watch.
func (w *writing) keepInputs(ctx context.Context, spends []chains.Spend) error {
	if len(spends) == 0 {
		return nil
	}
	p := db.PutInputsParams{Chain: w.chain}
	for i := range spends {
		p.Txs = append(p.Txs, spends[i].Tx[:])
		p.SpentTxs = append(p.SpentTxs, spends[i].Spent.Tx[:])
		p.SpentVouts = append(p.SpentVouts, int64(spends[i].Spent.Vout))
	}
	kept, err := w.q.PutInputs(ctx, p)
	if err != nil {
		return fmt.Errorf("keep inputs: %w", err)
	}
	for _, row := range kept {
		w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: row.SpentTx, Vout: uint32(row.SpentVout)})
	}
	return nil
}

// settled returns those transactions, of which spends are the inputs, that can
// no longer be unconfirmed.
func (w *writing) settled(ctx context.Context, spends []chains.Spend) (map[chains.Hash]bool, error) {
	if len(spends) == 0 {
		return nil, nil
	}
	p := db.SettledTxsParams{Chain: w.chain}
	for i := range spends {
		p.Txs = append(p.Txs, spends[i].Tx[:])
		p.SpentTxs = append(p.SpentTxs, spends[i].Spent.Tx[:])
		p.SpentVouts = append(p.SpentVouts, int64(spends[i].Spent.Vout))
	}
	rows, err := w.q.SettledTxs(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("find settled transactions: %w", err)
	}
	settled := make(map[chains.Hash]bool, len(rows))
	for _, row := range rows {
		settled[chains.Hash(row)] = true
	}
	return settled, nil
}

// remarks writes what is no transfer and no balance.
func (w *writing) remarks(ctx context.Context, amendment indexer.Amendment, cursor db.HoldLeaseRow) error {
	if amendment.Final != nil || amendment.Safe != nil {
		p := db.SetFinalParams{Chain: w.chain, Final: signed(amendment.Final), Safe: signed(amendment.Safe)}
		if err := w.q.SetFinal(ctx, p); err != nil {
			return fmt.Errorf("set final height: %w", err)
		}
	}
	if dispute := amendment.Dispute; dispute != nil {
		p := db.SetDisputedParams{Chain: w.chain, Reason: storable(dispute.Reason), Height: int64(dispute.Height)}
		if err := w.q.SetDisputed(ctx, p); err != nil {
			return fmt.Errorf("set dispute: %w", err)
		}
	}
	if len(amendment.Assets) > 0 {
		n := assetNames(amendment.Assets)
		err := w.q.NameAssets(ctx, db.NameAssetsParams{Chain: w.chain, Caip19s: n.caip19s, Symbols: n.symbols, Names: n.names, Decimals: n.decimals})
		if err != nil {
			return fmt.Errorf("name assets: %w", err)
		}
	}
	if amendment.Sweep && cursor.Height >= 0 {
		if err := w.q.MarkNativeStale(ctx, db.MarkNativeStaleParams{Chain: w.chain, Height: cursor.Height}); err != nil {
			return fmt.Errorf("mark native balances: %w", err)
		}
	}
	if amendment.Status != nil {
		return w.status(ctx, *amendment.Status, cursor.State)
	}
	return nil
}

// signed returns a height as Postgres has it.
func signed(height *uint64) *int64 {
	if height == nil {
		return nil
	}
	return new(int64(*height))
}
