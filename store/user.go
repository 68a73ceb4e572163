package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/indexer"
	"tallyd/store/db"
)

// foreignKeyViolation is the code of Postgres for a row that refers to none.
const foreignKeyViolation = "23503"

// CreateTenant adds a tenant, or returns ErrExists.
func (s *Store) CreateTenant(ctx context.Context, id, name string) error {
	created, err := s.queries().CreateTenant(ctx, db.CreateTenantParams{ID: id, Name: name})
	if err != nil {
		return fmt.Errorf("create tenant: %w", err)
	}
	if created == 0 {
		return indexer.ErrExists
	}
	return nil
}

// CreateUser adds a user, or returns ErrNotFound if there is no such tenant.
func (s *Store) CreateUser(ctx context.Context, user indexer.User) error {
	_, err := s.queries().CreateUser(ctx, db.CreateUserParams{
		ID: user.ID, Tenant: user.Realm.Tenant, Environment: string(user.Realm.Environment), Name: user.Name, CreatedAt: user.CreatedAt,
	})
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == foreignKeyViolation {
		return fmt.Errorf("tenant %s: %w", user.Realm.Tenant, indexer.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// Users returns the users of a realm, oldest first.
func (s *Store) Users(ctx context.Context, realm indexer.Realm) ([]indexer.User, error) {
	rows, err := s.queries().Users(ctx, db.UsersParams{Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	users := make([]indexer.User, 0, len(rows))
	for _, row := range rows {
		users = append(users, user(realm, row.ID, row.Name, row.CreatedAt))
	}
	return users, nil
}

// User returns one user of a realm, or ErrNotFound.
func (s *Store) User(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.User, error) {
	row, err := s.queries().User(ctx, db.UserParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return indexer.User{}, fmt.Errorf("read user: %w", orNotFound(err))
	}
	return user(realm, row.ID, row.Name, row.CreatedAt), nil
}

// RenameUser changes the name of a user and returns it, or ErrNotFound.
func (s *Store) RenameUser(ctx context.Context, realm indexer.Realm, id uuid.UUID, name string) (indexer.User, error) {
	row, err := s.queries().RenameUser(ctx, db.RenameUserParams{
		ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment), Name: name,
	})
	if err != nil {
		return indexer.User{}, fmt.Errorf("rename user: %w", orNotFound(err))
	}
	return user(realm, row.ID, row.Name, row.CreatedAt), nil
}

// DeleteUser ends a user and all accounts of that user, or returns ErrNotFound.
func (s *Store) DeleteUser(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return s.write(ctx, "delete_user", func(q *db.Queries) error {
		deleted, err := q.DeleteUser(ctx, db.DeleteUserParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("delete user: %w", err)
		}
		if deleted == 0 {
			return indexer.ErrNotFound
		}
		if err := q.DeleteAccountsOf(ctx, id); err != nil {
			return fmt.Errorf("delete accounts: %w", err)
		}
		return nil
	})
}

func user(realm indexer.Realm, id uuid.UUID, name string, created time.Time) indexer.User {
	return indexer.User{ID: id, Realm: realm, Name: name, CreatedAt: created.UTC()}
}
