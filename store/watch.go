package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"tallyd/chains"
	"tallyd/indexer"
)

var _ indexer.Watches = (*Store)(nil)

// What is watched is read row by row and not by sqlc, which would first collect
// ten million rows in memory. Inputs of unconfirmed transactions are few.
const (
	watchedScripts = `
SELECT script
FROM scripts
WHERE chain = $1
AND watch_version > $2`

	// All outputs that are there and that no canonical transfer spends.
	watchedOutputs = `
SELECT t.tx, t.vout
FROM transfers AS t
WHERE t.chain = $1
AND t.vout IS NOT NULL
AND t.status IN ('pending', 'confirmed')
AND NOT EXISTS (
    SELECT
    FROM transfers AS o
    WHERE o.chain = t.chain
    AND o.spent_tx = t.tx
    AND o.spent_vout = t.vout
    AND o.status = 'confirmed'
)`

	// Those that a backfill found since a version. Others come to the owner
	// with what Apply returns.
	watchedOutputsSince = watchedOutputs + `
AND t.watch_version > 0
AND t.watch_version > $2`
)

// LoadWatch implements indexer.Watches. The version is read first: what is added
// while the rest is read may be in the table already, and is never missing from
// it.
func (s *Store) LoadWatch(ctx context.Context, chain string, since int64, table *chains.WatchTable) (int64, error) {
	q := s.queries(ctx)
	version, err := q.WatchVersion(ctx, chain)
	if err != nil {
		return 0, fmt.Errorf("read watch version: %w", orNotFound(err))
	}
	if version == since {
		return version, nil
	}
	rows, err := s.querier(ctx).Query(ctx, watchedScripts, chain, since)
	if err != nil {
		return 0, fmt.Errorf("read watched scripts: %w", err)
	}
	var script pgtype.DriverBytes // of the connection's buffer, valid for one row
	if _, err := pgx.ForEachRow(rows, []any{&script}, func() error {
		table.AddScript(script)
		return nil
	}); err != nil {
		return 0, fmt.Errorf("read watched scripts: %w", err)
	}
	if err := s.loadOutpoints(ctx, chain, since, table); err != nil {
		return 0, err
	}
	inputs, err := q.WatchedInputs(ctx, chain)
	if err != nil {
		return 0, fmt.Errorf("read watched inputs: %w", err)
	}
	for _, input := range inputs {
		table.AddOutpoint(chains.Outpoint{Tx: input.SpentTx, Vout: uint32(input.SpentVout)})
	}
	return version, nil
}

func (s *Store) loadOutpoints(ctx context.Context, chain string, since int64, table *chains.WatchTable) error {
	query, args := watchedOutputs, []any{chain}
	if since >= 0 {
		query, args = watchedOutputsSince, []any{chain, since}
	}
	rows, err := s.querier(ctx).Query(ctx, query, args...)
	if err != nil {
		return fmt.Errorf("read watched outputs: %w", err)
	}
	var tx chains.Hash
	var vout int64
	if _, err := pgx.ForEachRow(rows, []any{&tx, &vout}, func() error {
		table.AddOutpoint(chains.Outpoint{Tx: tx, Vout: uint32(vout)})
		return nil
	}); err != nil {
		return fmt.Errorf("read watched outputs: %w", err)
	}
	return nil
}
