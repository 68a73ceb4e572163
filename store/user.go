package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// foreignKeyViolation is the code of Postgres for a row that refers to none.
const foreignKeyViolation = "23503"

// CreateUser adds a user, or returns ErrNotFound if there is no such tenant.
func (s *Store) CreateUser(ctx context.Context, user indexer.User) error {
	err := s.try(ctx, func(q *db.Queries) error {
		_, err := q.CreateUser(ctx, db.CreateUserParams{
			ID: user.ID, Tenant: user.Realm.Tenant, Environment: string(user.Realm.Environment), Name: user.Name, CreatedAt: user.CreatedAt,
			CreatedBy: user.CreatedBy, MetaData: user.MetaData,
		})
		return err //nolint:wrapcheck // said below
	})
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == foreignKeyViolation {
		return fmt.Errorf("tenant %s: %w", user.Realm.Tenant, indexer.ErrNotFound)
	}
	if err != nil {
		return fmt.Errorf("create user: %w", err)
	}
	return nil
}

// Users returns the users of a realm, oldest first.
func (s *Store) Users(ctx context.Context, realm indexer.Realm) ([]indexer.User, error) {
	rows, err := s.queries(ctx).Users(ctx, db.UsersParams{Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, fmt.Errorf("read users: %w", err)
	}
	users := make([]indexer.User, 0, len(rows))
	for _, row := range rows {
		users = append(users, user(row))
	}
	return users, nil
}

// User returns one user of a realm, or ErrNotFound.
func (s *Store) User(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.User, error) {
	row, err := s.queries(ctx).User(ctx, db.UserParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return indexer.User{}, fmt.Errorf("read user: %w", orNotFound(err))
	}
	return user(row), nil
}

// RenameUser changes the name of a user and returns it, or ErrNotFound.
func (s *Store) RenameUser(ctx context.Context, realm indexer.Realm, id uuid.UUID, name string) (indexer.User, error) {
	row, err := s.queries(ctx).RenameUser(ctx, db.RenameUserParams{
		ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment), Name: name,
	})
	if err != nil {
		return indexer.User{}, fmt.Errorf("rename user: %w", orNotFound(err))
	}
	return user(row), nil
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
		ids, err := q.DeleteAccountsOf(ctx, id)
		if err != nil {
			return fmt.Errorf("delete accounts: %w", err)
		}
		return endVenues(ctx, q, ids)
	})
}

func user(row db.User) indexer.User {
	return indexer.User{
		ID: row.ID, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)}, Name: row.Name,
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, MetaData: row.MetaData,
	}
}
