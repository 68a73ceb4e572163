package store

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.VenueAccounts = (*Store)(nil)

// CreateVenueAccount implements indexer.VenueAccounts.
func (s *Store) CreateVenueAccount(ctx context.Context, account indexer.VenueAccount, credentials venue.Credentials) error {
	return s.write(ctx, "create_account", func(q *db.Queries) error {
		realm := account.Realm
		_, err := q.HoldUser(ctx, db.HoldUserParams{ID: account.UserID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find user: %w", orNotFound(err))
		}
		created, err := q.CreateVenueAccount(ctx, db.CreateVenueAccountParams{
			ID: account.ID, Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: account.UserID, Venue: account.Venue,
			Wallet: account.Wallet, WalletDigest: venueDigest(account.Account), Name: account.Name, Description: account.Description,
			CreatedBy: account.CreatedBy, MetaData: account.MetaData,
		})
		if err != nil {
			return fmt.Errorf("create account: %w", err)
		}
		if created == 0 {
			return indexer.ErrExists
		}
		sealed, warnings, err := s.sealLogin(account, credentials)
		if err != nil {
			return err
		}
		err = q.CreateLogin(ctx, db.CreateLoginParams{
			AccountID: account.ID, Region: account.Region, Login: kept(account.Login), Sealed: sealed, Warnings: warnings,
		})
		if err != nil {
			return fmt.Errorf("create login: %w", err)
		}
		if err := q.CreateStream(ctx, account.ID); err != nil {
			return fmt.Errorf("create stream: %w", err)
		}
		return nil
	})
}

// venueDigest is what tells the logins of a user apart.
func venueDigest(account indexer.Account) []byte {
	return digest(account.Venue + "\n" + account.Wallet)
}

// ReplaceCredentials implements indexer.VenueAccounts.
func (s *Store) ReplaceCredentials(ctx context.Context, account indexer.VenueAccount, credentials venue.Credentials) error {
	return s.write(ctx, "replace_login", func(q *db.Queries) error {
		realm := account.Realm
		held, err := q.HoldVenueAccount(ctx, db.HoldVenueAccountParams{ID: account.ID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find account: %w", orNotFound(err))
		}
		account.Venue = held.Venue
		before, err := q.LoginOf(ctx, account.ID)
		if err != nil {
			return fmt.Errorf("read login: %w", err)
		}
		if before != "" && account.Login != "" && before != kept(account.Login) {
			return indexer.ErrOtherLogin
		}
		taken, err := q.VenueWalletTaken(ctx, db.VenueWalletTakenParams{UserID: held.UserID, WalletDigest: venueDigest(account.Account), ID: account.ID})
		if err != nil {
			return fmt.Errorf("look for the key: %w", err)
		}
		if taken {
			return indexer.ErrExists
		}
		err = q.RenameVenueWallet(ctx, db.RenameVenueWalletParams{ID: account.ID, Wallet: account.Wallet, WalletDigest: venueDigest(account.Account)})
		if err != nil {
			return fmt.Errorf("rename wallet: %w", err)
		}
		sealed, warnings, err := s.sealLogin(account, credentials)
		if err != nil {
			return err
		}
		err = q.ReplaceLogin(ctx, db.ReplaceLoginParams{
			AccountID: account.ID, Region: account.Region, Login: kept(account.Login), Sealed: sealed, Warnings: warnings,
		})
		if err != nil {
			return fmt.Errorf("replace login: %w", err)
		}
		if _, err := q.ResumeStream(ctx, account.ID); err != nil {
			return fmt.Errorf("resume stream: %w", err)
		}
		return nil
	})
}

// ResumeVenueAccount implements indexer.VenueAccounts.
func (s *Store) ResumeVenueAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return s.write(ctx, "resume_stream", func(q *db.Queries) error {
		_, err := q.HoldVenueAccount(ctx, db.HoldVenueAccountParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find account: %w", orNotFound(err))
		}
		if _, err := q.ResumeStream(ctx, id); err != nil {
			return fmt.Errorf("resume stream: %w", err)
		}
		return nil
	})
}

// endVenues erases the credentials of accounts that ended, and takes them away
// from whoever reads them.
func endVenues(ctx context.Context, q *db.Queries, ids []uuid.UUID) error {
	if err := q.EraseLogins(ctx, ids); err != nil {
		return fmt.Errorf("erase credentials: %w", err)
	}
	if err := q.EndStreams(ctx, ids); err != nil {
		return fmt.Errorf("end streams: %w", err)
	}
	return nil
}

// sealLogin returns the credentials of an account sealed together with whose they
// are, and its warnings.
func (s *Store) sealLogin(account indexer.VenueAccount, credentials venue.Credentials) ([]byte, json.RawMessage, error) {
	plain, err := json.Marshal(credentials.Reveal())
	if err != nil {
		return nil, nil, fmt.Errorf("write credentials: %w", err)
	}
	sealed, err := s.seal(plain, loginOf(account.Realm.Tenant, account.Venue, account.ID))
	clear(plain)
	if err != nil {
		return nil, nil, fmt.Errorf("seal credentials: %w", err)
	}
	warnings, err := document(orEmpty(account.State.Warnings))
	if err != nil {
		return nil, nil, err
	}
	return sealed, warnings, nil
}

// openLogin returns the credentials of an account, or none if they cannot be
// opened: sealed with a key that this daemon does not have, or another's.
func (s *Store) openLogin(tenant, name string, id uuid.UUID, sealed []byte) venue.Credentials {
	plain, err := s.open(sealed, loginOf(tenant, name, id))
	if err != nil {
		s.log.Warn().Err(err).Stringer("account", id).Str("venue", name).Msg("credentials not opened")
		return venue.Credentials{}
	}
	defer clear(plain)
	var fields map[string]string
	if err := json.Unmarshal(plain, &fields); err != nil {
		return venue.Credentials{} // the error would show a part of it
	}
	return venue.NewCredentials(fields)
}

// loginOf is what credentials are sealed together with: in the row of another
// account, or under another tenant or venue, they do not open.
func loginOf(tenant, name string, id uuid.UUID) []byte {
	return []byte("venue login\n" + tenant + "\n" + name + "\n" + id.String())
}
