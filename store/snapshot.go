package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// snapshots keeps balances of watched scripts as they were read. Balances read
// at the blocks of snapshots, and at reached, are no longer stale.
func (w *writing) snapshots(ctx context.Context, snapshots []chains.Snapshot, opening bool, reached ...chains.Hash) error {
	rows, err := w.snapshotRows(ctx, snapshots)
	if err != nil {
		return err
	}
	rows.Opening = opening
	if len(rows.ScriptIds) > 0 {
		scripts, err := w.q.PutSnapshots(ctx, rows)
		if err != nil {
			return fmt.Errorf("put %d balances: %w", len(rows.ScriptIds), err)
		}
		if err := w.q.AddPositions(ctx, db.AddPositionsParams{ScriptIds: rows.ScriptIds, AssetIds: rows.AssetIds}); err != nil {
			return fmt.Errorf("add positions: %w", err)
		}
		if err := w.synced(ctx, scripts); err != nil {
			return err
		}
	}
	hashes := append(rows.Hashes, raw(reached)...)
	if len(hashes) == 0 {
		return nil
	}
	if err := w.q.ClearStale(ctx, db.ClearStaleParams{Chain: w.chain, Hashes: hashes}); err != nil {
		return fmt.Errorf("clear stale balances: %w", err)
	}
	return nil
}

func (w *writing) snapshotRows(ctx context.Context, snapshots []chains.Snapshot) (db.PutSnapshotsParams, error) {
	touched := make([]chains.Touch, len(snapshots))
	for i, s := range snapshots {
		touched[i] = chains.Touch{Script: s.Script, Asset: s.Asset}
	}
	rows := db.PutSnapshotsParams{Chain: w.chain}
	at, err := w.positions(ctx, touched)
	if err != nil {
		return rows, err
	}
	type row struct {
		position
		hash chains.Hash
	}
	known := make(map[row]struct{}, len(snapshots))
	for i := range snapshots {
		s := &snapshots[i]
		if _, twice := known[row{at[i], s.At.Hash}]; twice || at[i].script == 0 {
			continue
		}
		known[row{at[i], s.At.Hash}] = struct{}{}
		rows.ScriptIds = append(rows.ScriptIds, at[i].script)
		rows.AssetIds = append(rows.AssetIds, at[i].asset)
		rows.Heights = append(rows.Heights, int64(s.At.Height))
		rows.Hashes = append(rows.Hashes, s.At.Hash[:])
		rows.Parents = append(rows.Parents, s.At.Parent[:])
		rows.BlockTimes = append(rows.BlockTimes, s.At.Time)
		rows.Amounts = append(rows.Amounts, s.Amount)
		rows.Proofs = append(rows.Proofs, string(s.Proof))
	}
	return rows, nil
}

// positions returns the row ids of touched balances in their order, zero for a
// script nobody watches. New assets are made.
func (w *writing) positions(ctx context.Context, touched []chains.Touch) ([]position, error) {
	if len(touched) == 0 {
		return nil, nil
	}
	scripts := make([][]byte, len(touched))
	for i := range touched {
		scripts[i] = touched[i].Script
	}
	if err := w.findScripts(ctx, scripts); err != nil {
		return nil, err
	}
	var assets []chains.AssetID
	for i := range touched {
		if w.scripts[string(touched[i].Script)] != 0 {
			assets = append(assets, touched[i].Asset)
		}
	}
	if err := w.findAssets(ctx, assets); err != nil {
		return nil, err
	}
	at := make([]position, len(touched))
	for i := range touched {
		if id := w.scripts[string(touched[i].Script)]; id != 0 {
			at[i] = position{id, w.assets[touched[i].Asset]}
		}
	}
	return at, nil
}

// stale keeps that blocks may have changed balances that were not read there.
func (w *writing) stale(ctx context.Context, steps []indexer.Step) error {
	var touched []chains.Touch
	var blocks []int64 // height of the block of each
	for i := range steps {
		touched = append(touched, steps[i].Stale...)
		for range steps[i].Stale {
			blocks = append(blocks, int64(steps[i].Block.Height))
		}
	}
	at, err := w.positions(ctx, touched)
	if err != nil {
		return err
	}
	heights := make(map[position]int64, len(at))
	for i, p := range at {
		heights[p] = max(heights[p], blocks[i])
	}
	return w.markStale(ctx, heights)
}

func (w *writing) markStale(ctx context.Context, heights map[position]int64) error {
	rows := db.MarkStaleParams{Chain: w.chain}
	for p, height := range heights {
		if p.script != 0 {
			rows.ScriptIds, rows.AssetIds = append(rows.ScriptIds, p.script), append(rows.AssetIds, p.asset)
			rows.Heights = append(rows.Heights, height)
		}
	}
	if len(rows.ScriptIds) == 0 {
		return nil
	}
	if err := w.q.MarkStale(ctx, rows); err != nil {
		return fmt.Errorf("mark %d stale balances: %w", len(rows.ScriptIds), err)
	}
	return nil
}

// postpone puts stale balances that nobody could name behind the others: thousands
// of tokens that answer nothing keep none from being read.
func (w *writing) postpone(ctx context.Context, unread []chains.Touch) error {
	at, err := w.positions(ctx, unread)
	if err != nil || len(at) == 0 {
		return err
	}
	var p db.PostponeStaleParams
	for _, one := range at {
		p.ScriptIds, p.AssetIds = append(p.ScriptIds, one.script), append(p.AssetIds, one.asset)
	}
	if err := w.q.PostponeStale(ctx, p); err != nil {
		return fmt.Errorf("postpone %d stale balances: %w", len(at), err)
	}
	return nil
}

// unread marks balances as stale that blocks of the past touched and that were
// never read.
func (w *writing) unread(ctx context.Context, sights []seen) error {
	var touched []chains.Touch
	var heights []int64
	for _, sight := range sights {
		touched = append(touched, sight.match.Touched...)
		for range sight.match.Touched {
			heights = append(heights, int64(sight.block.Height))
		}
	}
	at, err := w.positions(ctx, touched)
	if err != nil || len(at) == 0 {
		return err
	}
	var p db.UnreadParams
	for i := range at {
		if at[i].script != 0 {
			p.ScriptIds, p.AssetIds = append(p.ScriptIds, at[i].script), append(p.AssetIds, at[i].asset)
			p.Heights = append(p.Heights, heights[i])
		}
	}
	rows, err := w.q.Unread(ctx, p)
	if err != nil {
		return fmt.Errorf("find unread balances: %w", err)
	}
	latest := make(map[position]int64, len(rows))
	for _, row := range rows {
		at := position{row.ScriptID, row.AssetID}
		latest[at] = max(latest[at], row.Height)
	}
	return w.markStale(ctx, latest)
}

// StaleBalances implements indexer.Blocks.
func (s *Store) StaleBalances(ctx context.Context, chain string, limit int) ([]chains.Touch, error) {
	rows, err := s.queries(ctx).StaleBalances(ctx, db.StaleBalancesParams{Chain: chain, Rows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("read stale balances: %w", err)
	}
	var touched []chains.Touch
	for _, row := range rows {
		touched = append(touched, chains.Touch{Script: row.Script, Asset: chains.AssetID(row.Caip19)})
	}
	return touched, nil
}
