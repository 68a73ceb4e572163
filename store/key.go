package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var (
	_ access.Keys       = (*Store)(nil)
	_ access.KeyChanges = (*Store)(nil)
	_ access.Changed    = (*Store)(nil)
)

// CreateKey implements access.KeyChanges.
func (s *Store) CreateKey(ctx context.Context, key access.Key) error {
	secret, err := s.sealOf(key.ID, key.Secret)
	if err != nil {
		return err
	}
	err = s.try(ctx, func(q *db.Queries) error {
		_, err := q.CreateKey(ctx, db.CreateKeyParams{
			ID: key.ID, Tenant: key.Realm.Tenant, Environment: string(key.Realm.Environment), Owner: key.Owner, Name: key.Name,
			Hash: key.Hash, Scopes: append([]string{}, key.Scopes...), CreatedAt: key.CreatedAt, ExpiresAt: key.ExpiresAt,
			Kind: string(cmp.Or(key.Kind, access.Bearer)), Secret: secret, UnsignedQuery: key.UnsignedQuery, Addresses: append([]netip.Prefix{}, key.Addresses...),
			PerMinute: int32(key.PerMinute), CreatedBy: key.CreatedBy, MetaData: key.MetaData,
		})
		return err //nolint:wrapcheck // said below
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

// KeyByID implements access.Keys.
func (s *Store) KeyByID(ctx context.Context, id string) (access.Key, error) {
	row, err := s.queries(ctx).KeyByID(ctx, id)
	if err != nil {
		return access.Key{}, fmt.Errorf("read key: %w", orNotFound(err))
	}
	return s.openKey(row)
}

// Keys implements access.KeyChanges.
func (s *Store) Keys(ctx context.Context, realm indexer.Realm, owner string) ([]access.Key, error) {
	rows, err := s.queries(ctx).Keys(ctx, db.KeysParams{Tenant: realm.Tenant, Environment: string(realm.Environment), Owner: owner})
	if err != nil {
		return nil, fmt.Errorf("read keys: %w", err)
	}
	keys := make([]access.Key, 0, len(rows))
	for i := range rows {
		keys = append(keys, key(&rows[i]))
	}
	return keys, nil
}

// ChangeKey implements access.KeyChanges. What is sealed is sealed anew, by the
// primary key of today.
func (s *Store) ChangeKey(ctx context.Context, realm indexer.Realm, id string, change func(*access.Key) error) (access.Key, error) {
	var changed access.Key
	err := s.write(ctx, "change_key", func(q *db.Queries) error {
		row, err := q.LockKey(ctx, db.LockKeyParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("lock key: %w", orNotFound(err))
		}
		if changed, err = s.openKey(row); err != nil {
			return err
		}
		if err := change(&changed); err != nil {
			return err
		}
		p := db.ChangeKeyParams{
			ID: id, Name: changed.Name, Hash: changed.Hash, Scopes: append([]string{}, changed.Scopes...), ExpiresAt: changed.ExpiresAt,
			RevokedAt: changed.RevokedAt, OldHash: changed.OldHash, OldUntil: changed.OldUntil, UnsignedQuery: changed.UnsignedQuery,
			Addresses: append([]netip.Prefix{}, changed.Addresses...), PerMinute: int32(changed.PerMinute),
		}
		if p.Secret, err = s.sealOf(id, changed.Secret); err != nil {
			return err
		}
		if p.OldSecret, err = s.sealOf(id, changed.OldSecret); err != nil {
			return err
		}
		if changed.Version, err = q.ChangeKey(ctx, p); err != nil {
			return fmt.Errorf("change key: %w", err)
		}
		return nil
	})
	if err != nil {
		return access.Key{}, err
	}
	return changed, nil
}

// KeysChanged implements access.Changed.
func (s *Store) KeysChanged(ctx context.Context) (map[string]int64, error) {
	rows, err := s.queries(ctx).KeysChanged(ctx)
	if err != nil {
		return nil, fmt.Errorf("read changed keys: %w", err)
	}
	versions := make(map[string]int64, len(rows))
	for _, row := range rows {
		versions[row.ID] = row.Version
	}
	return versions, nil
}

// TouchKeys implements access.Keys.
func (s *Store) TouchKeys(ctx context.Context, used map[string]time.Time) error {
	var p db.TouchKeysParams
	for id, at := range used {
		p.Ids, p.Used = append(p.Ids, id), append(p.Used, at)
	}
	if err := s.queries(ctx).TouchKeys(ctx, p); err != nil {
		return fmt.Errorf("touch %d keys: %w", len(used), err)
	}
	return nil
}

// ofKey is what the secrets of a key are sealed together with: in the row of
// another key they do not open.
func ofKey(id string) []byte { return []byte("key " + id) }

// sealOf seals a secret of a key; none stays none.
func (s *Store) sealOf(id string, secret []byte) ([]byte, error) {
	if secret == nil {
		return nil, nil
	}
	sealed, err := s.seal(secret, ofKey(id))
	if err != nil {
		return nil, fmt.Errorf("seal the secret of key %s: %w", id, err)
	}
	return sealed, nil
}

// openKey returns a key with its secrets opened.
func (s *Store) openKey(row db.Key) (access.Key, error) {
	k := key(&row)
	var err error
	if k.Secret, err = s.openOf(k.ID, row.Secret); err != nil {
		return access.Key{}, err
	}
	if k.OldSecret, err = s.openOf(k.ID, row.OldSecret); err != nil {
		return access.Key{}, err
	}
	return k, nil
}

// openOf opens a secret of a key; none stays none.
func (s *Store) openOf(id string, sealed []byte) ([]byte, error) {
	if sealed == nil {
		return nil, nil
	}
	secret, err := s.open(sealed, ofKey(id))
	if err != nil {
		return nil, fmt.Errorf("open the secret of key %s: %w", id, err)
	}
	return secret, nil
}

// key returns a key without its secrets.
func key(row *db.Key) access.Key {
	return access.Key{
		ID: row.ID, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
		Owner: row.Owner, Name: row.Name, Hash: row.Hash, Scopes: row.Scopes, CreatedAt: row.CreatedAt.UTC(),
		ExpiresAt: row.ExpiresAt, LastUsedAt: row.LastUsedAt, RevokedAt: row.RevokedAt,
		Kind: access.Kind(row.Kind), OldHash: row.OldHash, OldUntil: row.OldUntil, UnsignedQuery: row.UnsignedQuery,
		Addresses: row.Addresses, PerMinute: int(row.PerMinute), CreatedBy: row.CreatedBy, MetaData: row.MetaData, Version: row.Version,
	}
}
