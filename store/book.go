package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var _ custody.Book = (*Store)(nil)

// AddEntry implements custody.Book.
func (s *Store) AddEntry(ctx context.Context, entry custody.Entry) error {
	return s.write(ctx, "add_entry", func(q *db.Queries) error {
		realm := entry.Realm
		environment, err := q.ChainEnvironment(ctx, entry.Chain)
		if err != nil {
			return fmt.Errorf("find chain: %w", orNotFound(err))
		}
		if environment != string(realm.Environment) {
			return fmt.Errorf("chain %s: %w", entry.Chain, indexer.ErrNotFound)
		}
		added, err := q.AddBookEntry(ctx, db.AddBookEntryParams{
			ID: entry.ID, Tenant: realm.Tenant, Environment: environment, Chain: entry.Chain, Address: entry.Address,
			Script: entry.Script, Label: entry.Label, UsableAt: entry.UsableAt, CreatedAt: entry.CreatedAt,
		})
		if err != nil {
			return fmt.Errorf("add entry: %w", orNoTenant(err, realm.Tenant))
		}
		if added == 0 {
			return indexer.ErrExists
		}
		return bookEvent(ctx, q, entry.ID, "address_book.added", 1)
	})
}

func bookEvent(ctx context.Context, q *db.Queries, id uuid.UUID, kind string, version int64) error {
	if err := q.BookEvent(ctx, db.BookEventParams{ID: id, Type: kind, Version: version}); err != nil {
		return fmt.Errorf("write event of entry %s: %w", id, err)
	}
	return nil
}

// BookEntry implements custody.Book.
func (s *Store) BookEntry(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Entry, error) {
	row, err := s.queries(ctx).BookEntry(ctx, db.BookEntryParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return custody.Entry{}, fmt.Errorf("read entry: %w", orNotFound(err))
	}
	return entry(row), nil
}

// BookEntries implements custody.Book.
func (s *Store) BookEntries(ctx context.Context, realm indexer.Realm, filter custody.EntryFilter) ([]custody.Entry, *custody.Place, error) {
	p := db.BookEntriesParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: filter.Chain, Rows: int32(filter.Limit) + 1, //nolint:gosec // checked at the edge
	}
	p.AfterAt, p.AfterID = placeOf(filter.After)
	rows, err := s.queries(ctx).BookEntries(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("read entries: %w", err)
	}
	entries := make([]custody.Entry, 0, len(rows))
	for _, row := range rows {
		entries = append(entries, entry(row))
	}
	entries, next := page(entries, filter.Limit, func(e custody.Entry) custody.Place { return custody.Place{Time: e.CreatedAt, ID: e.ID} })
	return entries, next, nil
}

// RemoveEntry implements custody.Book.
func (s *Store) RemoveEntry(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return s.write(ctx, "remove_entry", func(q *db.Queries) error {
		removed, err := q.RemoveBookEntry(ctx, db.RemoveBookEntryParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("remove entry: %w", err)
		}
		if removed == 0 {
			return indexer.ErrNotFound
		}
		return bookEvent(ctx, q, id, "address_book.removed", 2)
	})
}

func entry(row db.AddressBook) custody.Entry {
	return custody.Entry{
		ID: row.ID, Realm: realmOf(row.Tenant, row.Environment), Chain: row.Chain, Address: row.Address, Script: row.Script,
		Label: row.Label, UsableAt: row.UsableAt.UTC(), CreatedAt: row.CreatedAt.UTC(),
	}
}
