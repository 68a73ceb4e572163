package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ access.Keys = (*Store)(nil)

// CreateKey adds a key. It returns ErrExists if its id is taken, and ErrNotFound
// if there is no such tenant.
func (s *Store) CreateKey(ctx context.Context, key access.Key) error {
	_, err := s.queries().CreateKey(ctx, db.CreateKeyParams{
		ID: key.ID, Tenant: key.Realm.Tenant, Environment: string(key.Realm.Environment), Owner: key.Owner,
		Name: key.Name, Hash: key.Hash, Scopes: append([]string{}, key.Scopes...), ExpiresAt: key.ExpiresAt,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return indexer.ErrExists
	}
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == foreignKeyViolation {
		return fmt.Errorf("tenant %s: %w", key.Realm.Tenant, indexer.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("create key: %w", err)
	}
	return nil
}

// KeyByID returns a key, revoked and expired ones too, or ErrNotFound.
func (s *Store) KeyByID(ctx context.Context, id string) (access.Key, error) {
	row, err := s.queries().KeyByID(ctx, id)
	if err != nil {
		return access.Key{}, fmt.Errorf("read key: %w", orNotFound(err))
	}
	return key(row), nil
}

// Keys returns the keys of a realm, oldest first.
func (s *Store) Keys(ctx context.Context, realm indexer.Realm) ([]access.Key, error) {
	rows, err := s.queries().Keys(ctx, db.KeysParams{Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	keys := make([]access.Key, 0, len(rows))
	for _, row := range rows {
		keys = append(keys, key(row))
	}
	return keys, nil
}

// RevokeKey ends a key of a realm, or returns ErrNotFound. Ending it twice is no
// error.
func (s *Store) RevokeKey(ctx context.Context, realm indexer.Realm, id string) error {
	revoked, err := s.queries().RevokeKey(ctx, db.RevokeKeyParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return fmt.Errorf("revoke key: %w", err)
	}
	if revoked == 0 {
		return indexer.ErrNotFound
	}
	return nil
}

// TouchKeys implements access.Keys.
func (s *Store) TouchKeys(ctx context.Context, used map[string]time.Time) error {
	var p db.TouchKeysParams
	for id, at := range used {
		p.Ids, p.Used = append(p.Ids, id), append(p.Used, at)
	}
	if err := s.queries().TouchKeys(ctx, p); err != nil {
		return fmt.Errorf("touch %d keys: %w", len(used), err)
	}
	return nil
}

func key(row db.Key) access.Key {
	return access.Key{
		ID: row.ID, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
		Owner: row.Owner, Name: row.Name, Hash: row.Hash, Scopes: row.Scopes, CreatedAt: row.CreatedAt.UTC(),
		ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt, RevokedAt: row.RevokedAt,
	}
}
