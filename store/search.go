package store

import (
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Searches = (*Store)(nil)

// SearchScripts implements indexer.Searches. The ids name searches, not scripts:
// when a chain begins again, so does every search, under another id.
func (s *Store) SearchScripts(ctx context.Context, chain string, limit int) ([]indexer.SearchScript, error) {
	rows, err := s.queries().SearchScripts(ctx, db.SearchScriptsParams{Chain: chain, Rows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("read searches: %w", err)
	}
	var scripts []indexer.SearchScript
	for _, row := range rows {
		script := indexer.SearchScript{ID: row.Search, Script: row.Script, Handover: row.Handover, Opened: row.Opened}
		if row.HistoryNext != nil {
			script.Started, script.Next = true, uint64(*row.HistoryNext)
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

// Outpoints implements indexer.Searches.
func (s *Store) Outpoints(ctx context.Context, searches []int64) ([]chains.Outpoint, error) {
	rows, err := s.queries().UnspentOutpoints(ctx, searches)
	if err != nil {
		return nil, fmt.Errorf("read unspent outputs: %w", err)
	}
	var outpoints []chains.Outpoint
	for _, row := range rows {
		outpoints = append(outpoints, chains.Outpoint{Tx: row.Tx, Vout: uint32(row.Vout)})
	}
	return outpoints, nil
}
