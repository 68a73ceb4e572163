package store

import (
	"context"
	"crypto/sha256"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Accounts = (*Store)(nil)

// CreateAccount implements indexer.Accounts. A script that is watched already
// needs no new search: the account then is as far as the script is, and at once
// synced if that is complete. It gets no events of what lies in the past.
func (s *Store) CreateAccount(ctx context.Context, account indexer.Account, scripts []indexer.WatchedScript) error {
	return s.write(ctx, "create_account", func(q *db.Queries) error {
		realm := account.Realm
		_, err := q.HoldUser(ctx, db.HoldUserParams{ID: account.UserID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find user: %w", orNotFound(err))
		}
		cursor, err := q.LockCursor(ctx, account.Chain)
		if err != nil {
			return fmt.Errorf("lock cursor: %w", orNotFound(err))
		}
		if cursor.Environment != string(realm.Environment) {
			return fmt.Errorf("chain %s: %w", account.Chain, indexer.ErrNotFound)
		}
		created, err := q.CreateAccount(ctx, db.CreateAccountParams{
			ID: account.ID, Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: account.UserID, Chain: account.Chain,
			Kind: string(account.Kind), Wallet: account.Wallet, WalletDigest: digest(keyOf(account)),
			Name: account.Name, Description: account.Description, CreatedBy: account.CreatedBy, MetaData: account.MetaData,
		})
		if err != nil {
			return fmt.Errorf("create account: %w", err)
		}
		if created == 0 {
			return indexer.ErrExists
		}
		ids, err := watchScripts(ctx, q, cursor, account.ID, scripts)
		if err != nil {
			return err
		}
		w := writing{q: q, chain: account.Chain}
		return w.synced(ctx, ids)
	})
}

// Account returns one account of a realm, or ErrNotFound.
func (s *Store) Account(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.Account, error) {
	row, err := s.queries(ctx).Account(ctx, db.AccountParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return indexer.Account{}, fmt.Errorf("read account: %w", orNotFound(err))
	}
	return account(row), nil
}

// AccountByWallet returns the account with which a user has a wallet connected,
// by its canonical spelling, or ErrNotFound.
func (s *Store) AccountByWallet(ctx context.Context, realm indexer.Realm, userID uuid.UUID, chain, wallet string) (indexer.Account, error) {
	row, err := s.queries(ctx).AccountByWallet(ctx, db.AccountByWalletParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: userID, Chain: chain, WalletDigest: digest(wallet),
	})
	if err != nil {
		return indexer.Account{}, fmt.Errorf("read account: %w", orNotFound(err))
	}
	return account(row), nil
}

// Accounts returns the accounts of a user, oldest first. A user of another realm
// has none.
func (s *Store) Accounts(ctx context.Context, realm indexer.Realm, userID uuid.UUID) ([]indexer.Account, error) {
	rows, err := s.queries(ctx).Accounts(ctx, db.AccountsParams{UserID: userID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	accounts := make([]indexer.Account, 0, len(rows))
	for _, row := range rows {
		accounts = append(accounts, account(row))
	}
	return accounts, nil
}

// DeleteAccount implements indexer.VenueAccounts, for accounts of every kind. The
// scripts of one on a chain stay watched: connecting the wallet again finds its
// history whole. Of one at a venue the credentials are erased.
func (s *Store) DeleteAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return s.write(ctx, "delete_account", func(q *db.Queries) error {
		deleted, err := q.DeleteAccount(ctx, db.DeleteAccountParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("delete account: %w", err)
		}
		if deleted == 0 {
			return indexer.ErrNotFound
		}
		return endVenues(ctx, q, []uuid.UUID{id})
	})
}

// keyOf returns what a user can have connected once: a wallet for its balances,
// and another time for its NFTs.
func keyOf(account indexer.Account) string {
	if account.Kind == indexer.KindNFT {
		return "nft:" + account.Wallet
	}
	return account.Wallet
}

func digest(wallet string) []byte {
	sum := sha256.Sum256([]byte(wallet))
	return sum[:]
}

func account(row db.Account) indexer.Account {
	return indexer.Account{
		ID: row.ID, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
		UserID: row.UserID, Chain: row.Chain, Venue: row.Venue, Kind: indexer.AccountKind(row.Kind), Wallet: row.Wallet,
		Name: row.Name, Description: row.Description, CreatedAt: row.CreatedAt.UTC(),
		CreatedBy: row.CreatedBy, MetaData: row.MetaData,
	}
}
