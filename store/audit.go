package store

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"time"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ access.AuditLog = (*Store)(nil)

const (
	// recordTime is how long writing an entry on its own may take.
	recordTime = 5 * time.Second

	// maxEntryText bounds what a caller can make a line of the audit log hold, in
	// bytes of one column.
	maxEntryText = 2048

	// trimRows is how many lines of the audit log one statement drops.
	trimRows = 10_000
)

// Record writes an entry of the audit log on its own, whatever becomes of the
// request of ctx, and also when ctx has ended.
func (s *Store) Record(ctx context.Context, entry access.Entry) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTime)
	defer cancel()
	return writeEntry(ctx, db.New(s.pool), entry)
}

func writeEntry(ctx context.Context, q *db.Queries, e access.Entry) error {
	p := db.WriteEntryParams{
		Tenant: clip(e.Realm.Tenant, maxEntryText), Environment: string(e.Realm.Environment), Caller: clip(e.Caller, maxEntryText),
		RequestID: e.RequestID, Method: clip(e.Method, maxEntryText), Route: clip(e.Route, maxEntryText), Path: clip(e.Path, maxEntryText),
		Status: int32(e.Status), Code: clip(e.Code, maxEntryText),
	}
	if e.Address.IsValid() {
		address := e.Address.Unmap().WithZone("")
		p.Address = &address
	}
	if err := q.WriteEntry(ctx, p); err != nil {
		return fmt.Errorf("write audit entry: %w", err)
	}
	return nil
}

// Entries implements access.AuditLog.
func (s *Store) Entries(ctx context.Context, realm indexer.Realm, caller string, before int64, limit int) ([]access.Entry, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	rows, err := s.queries(ctx).Entries(ctx, db.EntriesParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), Before: before, Caller: caller, Rows: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("read audit log: %w", err)
	}
	entries := make([]access.Entry, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		var address netip.Addr
		if row.Address != nil {
			address = *row.Address
		}
		entries = append(entries, access.Entry{
			ID: row.ID, At: row.At.UTC(), Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
			Caller: row.Caller, RequestID: row.RequestID, Method: row.Method, Route: row.Route, Path: row.Path,
			Address: address, Status: int(row.Status), Code: row.Code,
		})
	}
	return entries, nil
}

// TrimAudit drops the lines of the audit log that are older than keep, some at a
// time so that nothing waits for it, and returns how many there were.
func (s *Store) TrimAudit(ctx context.Context, keep time.Duration) (int64, error) {
	var dropped int64
	for {
		rows, err := s.queries(ctx).DropOldEntries(ctx, db.DropOldEntriesParams{Seconds: keep.Seconds(), Rows: trimRows})
		if err != nil {
			return dropped, fmt.Errorf("trim the audit log: %w", err)
		}
		dropped += rows
		if rows < trimRows {
			return dropped, nil
		}
	}
}
