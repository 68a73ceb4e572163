package store

import (
	"context"
	"fmt"
	"maps"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// writing is what the verbs share: one transaction that writes the ledger of one
// chain, whose cursor row it has locked.
type writing struct {
	q       *db.Queries
	chain   string
	custody bool    // the chain has addresses of custody: see settle
	changed []int64 // transfers that changed, while custody
	applied indexer.Applied

	scripts map[string]int64         // row ids that were found, see findScripts
	assets  map[chains.AssetID]int64 // see findAssets

	rebased  bool    // the chain begins again as another: there is nothing to halt
	unproved bool    // deposits wait for a balance again
	shaken   []int64 // transfers of deposits to be judged anew
	taken    *uint64 // height of the block that is taken back, by Revert
}

// match writes what blocks, or unconfirmed transactions, do to watched scripts:
// transfers first, so that a spend finds an output of the same block. It returns
// the transfers that changed.
func (w *writing) match(ctx context.Context, status indexer.TransferStatus, sights []seen) ([]db.PutTransfersRow, error) {
	legs, err := w.transferLegs(ctx, sights)
	if err != nil {
		return nil, err
	}
	changed, err := w.put(ctx, status, legs)
	if err != nil {
		return nil, err
	}
	if err := w.replace(ctx, spendsOf(sights)); err != nil {
		return nil, err
	}
	if legs, err = spendLegs(ctx, w.q, w.chain, sights); err != nil {
		return nil, err
	}
	spent, err := w.put(ctx, status, legs)
	return append(changed, spent...), err
}

// findScripts finds the row ids of those scripts that are watched, once for all that
// a transaction writes: what a block paid is what it touched.
func (w *writing) findScripts(ctx context.Context, scripts [][]byte) error {
	unknown := make([][]byte, 0, len(scripts))
	for _, script := range scripts {
		if _, known := w.scripts[string(script)]; !known {
			unknown = append(unknown, script)
		}
	}
	found, err := scriptIDs(ctx, w.q, w.chain, unknown)
	if w.scripts == nil {
		w.scripts = found
	}
	maps.Copy(w.scripts, found)
	return err
}

// findAssets finds the row ids of assets, made where there are none.
func (w *writing) findAssets(ctx context.Context, assets []chains.AssetID) error {
	unknown := make([]chains.AssetID, 0, len(assets))
	for _, asset := range assets {
		if _, known := w.assets[asset]; !known {
			unknown = append(unknown, asset)
		}
	}
	found, fresh, err := assetIDs(ctx, w.q, w.chain, unknown)
	if w.assets == nil {
		w.assets = found
	}
	maps.Copy(w.assets, found)
	w.applied.Assets = append(w.applied.Assets, fresh...)
	return err
}

func spendsOf(sights []seen) []chains.Spend {
	var spends []chains.Spend
	for _, sight := range sights {
		spends = append(spends, sight.match.Spends...)
	}
	return spends
}

// put writes legs with one status, with their sums and events, and returns those
// that changed.
func (w *writing) put(ctx context.Context, status indexer.TransferStatus, legs []leg) ([]db.PutTransfersRow, error) {
	legs = distinct(legs)
	if len(legs) == 0 {
		return nil, nil
	}
	p := columns(w.chain, status, legs)
	// The row of a leg that now differs ends before its successor begins: at
	// most one of a key is alive.
	ended, err := w.q.Supersede(ctx, db.SupersedeParams{
		Chain: w.chain, Txs: p.Txs, Sources: p.Sources, Sides: p.Sides, ScriptIds: p.ScriptIds, AssetIds: p.AssetIds, Amounts: p.Amounts,
	})
	if err != nil {
		return nil, fmt.Errorf("end transfers that differ: %w", err)
	}
	sums, ids := make(deltas), make([]int64, 0, len(legs))
	for _, t := range ended {
		if t.Status == string(indexer.StatusOrphaned) { // it was confirmed
			sums.take(t.ScriptID, t.AssetID, t.Side, t.Amount)
		}
		ids = append(ids, t.ID)
	}
	changed, err := w.q.PutTransfers(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("put %d transfers: %w", len(legs), err)
	}
	for _, t := range changed {
		if status == indexer.StatusConfirmed {
			sums.add(t.ScriptID, t.AssetID, t.Side, t.Amount)
		}
		if t.Vout != nil {
			w.applied.Watch = append(w.applied.Watch, chains.Outpoint{Tx: t.Tx, Vout: uint32(*t.Vout)})
		}
		ids = append(ids, t.ID)
	}
	if err := sums.save(ctx, w.q); err != nil {
		return nil, err
	}
	return changed, w.events(ctx, ids)
}

// replace ends the unconfirmed transactions that spends conflict with.
func (w *writing) replace(ctx context.Context, spends []chains.Spend) error {
	if len(spends) == 0 {
		return nil
	}
	p := db.ReplaceParams{Chain: w.chain}
	for i := range spends {
		p.Spenders = append(p.Spenders, spends[i].Tx[:])
		p.Txs = append(p.Txs, spends[i].Spent.Tx[:])
		p.Vouts = append(p.Vouts, int64(spends[i].Spent.Vout))
	}
	ids, err := w.q.Replace(ctx, p)
	if err != nil {
		return fmt.Errorf("replace conflicting transactions: %w", err)
	}
	return w.events(ctx, ids)
}

// events writes the events of transfers that changed their state, in the order
// given. It is called once for each change: an event tells the row as it is now.
func (w *writing) events(ctx context.Context, ids []int64) error {
	if len(ids) == 0 {
		return nil
	}
	written, err := w.q.TransferEvents(ctx, ids)
	if err != nil {
		return fmt.Errorf("write events of %d transfers: %w", len(ids), err)
	}
	w.applied.Events += int(written)
	if w.custody {
		w.changed = append(w.changed, ids...)
	}
	return nil
}

// synced marks the accounts of scripts that became level, with their event.
func (w *writing) synced(ctx context.Context, scripts []int64) error {
	if len(scripts) == 0 {
		return nil
	}
	ids, err := w.q.SyncAccounts(ctx, scripts)
	if err != nil {
		return fmt.Errorf("mark synced accounts: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	written, err := w.q.SyncedEvents(ctx, ids)
	if err != nil {
		return fmt.Errorf("write events of synced accounts: %w", err)
	}
	w.applied.Events += int(written)
	return nil
}
