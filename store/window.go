package store

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Windows = (*Store)(nil)

// MovedWindows implements indexer.Windows. It does not wait for writers.
func (s *Store) MovedWindows(ctx context.Context, chain string, scripts [][]byte, gap uint32) ([]indexer.Window, error) {
	digests := make([][]byte, len(scripts))
	for i, script := range scripts {
		digest := sha256.Sum256(script)
		digests[i] = digest[:]
	}
	rows, err := db.New(s.beside(ctx)).MovedWindows(ctx, db.MovedWindowsParams{Chain: chain, Digests: digests, Gap: int64(gap)})
	if err != nil {
		return nil, fmt.Errorf("read moved windows: %w", err)
	}
	var windows []indexer.Window
	for _, row := range rows {
		windows = append(windows, indexer.Window{
			Account: row.ID, Wallet: row.Wallet, Branch: uint32(row.Branch), Next: uint32(row.Next), Want: uint32(row.Want),
		})
	}
	return windows, nil
}

// Extend implements indexer.Windows. It returns ErrNotFound if the account was
// deleted meanwhile.
func (s *Store) Extend(ctx context.Context, account uuid.UUID, scripts []indexer.WatchedScript) error {
	return s.write(ctx, "extend", func(q *db.Queries) error {
		chain, err := q.AccountChain(ctx, account)
		if err != nil {
			return fmt.Errorf("find account: %w", orNotFound(err))
		}
		cursor, err := q.LockCursor(ctx, chain)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", err)
		}
		_, err = watchScripts(ctx, q, cursor, account, scripts)
		return err
	})
}

// watchScripts gives scripts to an account, those nobody watched yet under a new
// watch version, and returns their row ids.
func watchScripts(ctx context.Context, q *db.Queries, cursor db.LockCursorRow, account uuid.UUID, scripts []indexer.WatchedScript) ([]int64, error) {
	known, err := addScripts(ctx, q, cursor, scripts)
	if err != nil {
		return nil, err
	}
	links := db.LinkScriptsParams{AccountID: account}
	ids := make([]int64, 0, len(known))
	linked := make(map[int64]bool, len(known))
	for _, script := range scripts {
		id := known[string(script.Script)]
		if linked[id] {
			continue
		}
		linked[id] = true
		ids = append(ids, id)
		digest := sha256.Sum256(script.Script)
		links.Digests = append(links.Digests, digest[:])
		links.Branches = append(links.Branches, int64(script.Branch))
		links.Indexes = append(links.Indexes, int64(script.Index))
	}
	if err := q.LinkScripts(ctx, links); err != nil {
		return nil, fmt.Errorf("link scripts: %w", err)
	}
	return ids, nil
}

// addScripts watches scripts, those nobody watched yet under a new watch version,
// and returns their row ids by script.
func addScripts(ctx context.Context, q *db.Queries, cursor db.LockCursorRow, scripts []indexer.WatchedScript) (map[string]int64, error) {
	all := make([][]byte, len(scripts))
	for i := range scripts {
		all[i] = scripts[i].Script
	}
	known, err := scriptIDs(ctx, q, cursor.Chain, all)
	if err != nil {
		return nil, err
	}
	added := db.AddScriptsParams{Chain: cursor.Chain, Handover: cursor.Height}
	for _, script := range scripts {
		if _, there := known[string(script.Script)]; !there {
			known[string(script.Script)] = 0
			added.Scripts = append(added.Scripts, script.Script)
			added.Addresses = append(added.Addresses, script.Address)
		}
	}
	if len(added.Scripts) == 0 {
		return known, nil
	}
	added.WatchVersion, err = q.BumpWatch(ctx, db.BumpWatchParams{Chain: cursor.Chain, Added: int64(len(added.Scripts))})
	if err != nil {
		return nil, fmt.Errorf("bump watch version: %w", err)
	}
	if err := q.AddScripts(ctx, added); err != nil {
		return nil, fmt.Errorf("add %d scripts: %w", len(added.Scripts), err)
	}
	return scriptIDs(ctx, q, cursor.Chain, all)
}
