package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var _ custody.Vaults = (*Store)(nil)

// CreateVault implements custody.Vaults.
func (s *Store) CreateVault(ctx context.Context, vault custody.Vault) error {
	return s.write(ctx, "create_vault", func(q *db.Queries) error {
		realm := vault.Realm
		if vault.UserID != nil {
			_, err := q.HoldUser(ctx, db.HoldUserParams{ID: *vault.UserID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
			if err != nil {
				return orOutcome("find user", err, custody.ErrNoUser)
			}
		}
		created, err := q.CreateVault(ctx, db.CreateVaultParams{
			ID: vault.ID, Tenant: realm.Tenant, Environment: string(realm.Environment), ExternalID: vault.ExternalID,
			Name: vault.Name, Metadata: vault.Metadata, UserID: vault.UserID, CreatedAt: vault.CreatedAt,
		})
		if err != nil {
			return fmt.Errorf("create vault: %w", orNoTenant(err, realm.Tenant))
		}
		if created == 0 {
			return indexer.ErrExists
		}
		return vaultEvent(ctx, q, vault.ID)
	})
}

func vaultEvent(ctx context.Context, q *db.Queries, id uuid.UUID) error {
	if err := q.VaultEvent(ctx, id); err != nil {
		return fmt.Errorf("write event of vault %s: %w", id, err)
	}
	return nil
}

// Vault implements custody.Vaults.
func (s *Store) Vault(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Vault, error) {
	row, err := s.queries(ctx).Vault(ctx, db.VaultParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return custody.Vault{}, fmt.Errorf("read vault: %w", orNotFound(err))
	}
	return vault(row), nil
}

// Vaults implements custody.Vaults.
func (s *Store) Vaults(ctx context.Context, realm indexer.Realm, filter custody.VaultFilter) ([]custody.Vault, *custody.Place, error) {
	// One more than asked for tells whether another page follows.
	p := db.VaultsParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), ExternalID: filter.ExternalID,
		Status: string(filter.Status), UserID: filter.UserID, Rows: int32(filter.Limit) + 1, //nolint:gosec // checked at the edge
	}
	p.AfterAt, p.AfterID = placeOf(filter.After)
	rows, err := s.queries(ctx).Vaults(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("read vaults: %w", err)
	}
	vaults := make([]custody.Vault, 0, len(rows))
	for _, row := range rows {
		vaults = append(vaults, vault(row))
	}
	vaults, next := page(vaults, filter.Limit, func(v custody.Vault) custody.Place { return custody.Place{Time: v.CreatedAt, ID: v.ID} })
	return vaults, next, nil
}

// SetVaultStatus implements custody.Vaults. Whoever gives a vault something locks
// it first, so that it is not archived meanwhile.
func (s *Store) SetVaultStatus(ctx context.Context, realm indexer.Realm, id uuid.UUID, status custody.VaultStatus) (custody.Vault, error) {
	var now db.Vault
	err := s.write(ctx, "set_vault_status", func(q *db.Queries) error {
		var err error
		now, err = q.LockVault(ctx, db.LockVaultParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("lock vault: %w", orNotFound(err))
		}
		if now.Status == string(status) {
			return nil
		}
		if status == custody.VaultArchived {
			// A transfer under way into one of its wallets is waited for.
			if err := q.LockVaultWallets(ctx, id); err != nil {
				return fmt.Errorf("lock wallets of vault %s: %w", id, err)
			}
			holds, err := q.VaultHolds(ctx, id)
			if err != nil {
				return fmt.Errorf("look into vault %s: %w", id, err)
			}
			if holds {
				return custody.ErrNotEmpty
			}
		}
		if now, err = q.SetVaultStatus(ctx, db.SetVaultStatusParams{ID: id, Status: string(status)}); err != nil {
			return fmt.Errorf("set the status of vault %s: %w", id, err)
		}
		return vaultEvent(ctx, q, id)
	})
	return vault(now), err
}

func vault(row db.Vault) custody.Vault {
	v := custody.Vault{
		ID: row.ID, Realm: realmOf(row.Tenant, row.Environment), Name: row.Name, Metadata: row.Metadata, UserID: row.UserID,
		Status: custody.VaultStatus(row.Status), Version: row.Version, CreatedAt: row.CreatedAt.UTC(),
	}
	if row.ExternalID != nil {
		v.ExternalID = *row.ExternalID
	}
	return v
}

// orNoTenant makes the refusal of a row of an unknown tenant the sentinel of
// package indexer.
func orNoTenant(err error, tenant string) error {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == foreignKeyViolation {
		return fmt.Errorf("tenant %s: %w", tenant, indexer.ErrNotFound)
	}
	return err
}

// orOutcome makes the absence of a row an outcome.
func orOutcome(doing string, err, outcome error) error {
	if errors.Is(orNotFound(err), indexer.ErrNotFound) {
		return outcome
	}
	return fmt.Errorf("%s: %w", doing, err)
}
