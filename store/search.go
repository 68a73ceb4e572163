package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Searches = (*Store)(nil)

// SearchScripts implements indexer.Searches. The ids name searches, not scripts:
// when a chain begins again, so does every search, under another id.
func (s *Store) SearchScripts(ctx context.Context, chain string, limit int) ([]indexer.SearchScript, error) {
	rows, err := s.queries(ctx).SearchScripts(ctx, db.SearchScriptsParams{Chain: chain, Rows: int32(limit)})
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

// UnopenedScripts implements indexer.Searches.
func (s *Store) UnopenedScripts(ctx context.Context, chain string, limit int) ([]indexer.SearchScript, error) {
	rows, err := s.queries(ctx).UnopenedScripts(ctx, db.UnopenedScriptsParams{Chain: chain, Rows: int32(limit)})
	if err != nil {
		return nil, fmt.Errorf("read scripts without a balance: %w", err)
	}
	scripts := make([]indexer.SearchScript, 0, len(rows))
	for _, row := range rows {
		script := indexer.SearchScript{ID: row.Search, Script: row.Script, Handover: row.Handover}
		if row.HistoryNext != nil {
			script.Started, script.Next = true, uint64(*row.HistoryNext)
		}
		scripts = append(scripts, script)
	}
	return scripts, nil
}

// Outpoints implements indexer.Searches.
func (s *Store) Outpoints(ctx context.Context, searches []int64) ([]chains.Outpoint, error) {
	rows, err := s.queries(ctx).UnspentOutpoints(ctx, searches)
	if err != nil {
		return nil, fmt.Errorf("read unspent outputs: %w", err)
	}
	var outpoints []chains.Outpoint
	for _, row := range rows {
		outpoints = append(outpoints, chains.Outpoint{Tx: row.Tx, Vout: uint32(row.Vout)})
	}
	return outpoints, nil
}

// AcquireSearch takes or keeps the right to search the past of a chain until ttl
// from now by the database's clock, and reports whether the owner has it.
func (s *Store) AcquireSearch(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (bool, error) {
	taken, err := s.queries(ctx).TakeSearch(ctx, db.TakeSearchParams{Chain: chain, Owner: owner, Seconds: ttl.Seconds()})
	if err != nil {
		return false, fmt.Errorf("take search: %w", err)
	}
	return taken > 0, nil
}

// ReleaseSearch gives that right up, so that another process need not wait for
// it to run out.
func (s *Store) ReleaseSearch(ctx context.Context, chain string, owner uuid.UUID) error {
	if err := s.queries(ctx).DropSearch(ctx, db.DropSearchParams{Chain: chain, Owner: owner}); err != nil {
		return fmt.Errorf("release search: %w", err)
	}
	return nil
}
