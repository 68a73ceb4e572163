package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Streams = (*Store)(nil)

// CreateVenueAccount stores an account at a venue, to be read from now on. Its
// wallet names the login. It returns ErrExists if the user has it connected
// already, and ErrNotFound if the realm has no such user.
func (s *Store) CreateVenueAccount(ctx context.Context, account indexer.Account) error {
	return s.write(ctx, "create_account", func(q *db.Queries) error {
		realm := account.Realm
		_, err := q.HoldUser(ctx, db.HoldUserParams{ID: account.UserID, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find user: %w", orNotFound(err))
		}
		created, err := q.CreateVenueAccount(ctx, db.CreateVenueAccountParams{
			ID: account.ID, Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: account.UserID, Venue: account.Venue,
			Wallet: account.Wallet, WalletDigest: digest(account.Venue + "\n" + account.Wallet), Name: account.Name, Description: account.Description,
			CreatedBy: account.CreatedBy, MetaData: account.MetaData,
		})
		if err != nil {
			return fmt.Errorf("create account: %w", err)
		}
		if created == 0 {
			return indexer.ErrExists
		}
		if err := q.CreateStream(ctx, account.ID); err != nil {
			return fmt.Errorf("create stream: %w", err)
		}
		return nil
	})
}

// AcquireStream implements indexer.Streams.
func (s *Store) AcquireStream(ctx context.Context, account, owner uuid.UUID, ttl time.Duration) (indexer.Stream, error) {
	q := s.queries(ctx)
	row, err := q.TakeStream(ctx, db.TakeStreamParams{AccountID: account, Owner: owner, Seconds: ttl.Seconds()})
	if errors.Is(err, pgx.ErrNoRows) {
		if _, err := q.AccountChain(ctx, account); err != nil {
			return indexer.Stream{}, fmt.Errorf("find account: %w", orNotFound(err))
		}
		return indexer.Stream{}, indexer.ErrLeased
	}
	if err != nil {
		return indexer.Stream{}, fmt.Errorf("take stream: %w", err)
	}
	return indexer.Stream{
		Lease: indexer.StreamLease{Account: account, Owner: owner, Epoch: row.Epoch},
		Venue: row.Venue, Cursor: row.Cursor, SyncedAt: row.SyncedAt,
	}, nil
}

// ReleaseStream implements indexer.Streams.
func (s *Store) ReleaseStream(ctx context.Context, lease indexer.StreamLease) error {
	err := s.queries(ctx).DropStream(ctx, db.DropStreamParams{AccountID: lease.Account, Owner: lease.Owner, Epoch: lease.Epoch})
	if err != nil {
		return fmt.Errorf("release stream: %w", err)
	}
	return nil
}

// Sync implements indexer.Streams.
func (s *Store) Sync(ctx context.Context, syncing indexer.Syncing) error {
	return s.write(ctx, "sync", func(q *db.Queries) error {
		lease, cursor := syncing.Lease, syncing.Cursor
		if cursor == nil {
			cursor = json.RawMessage("null")
		}
		moved, err := q.MoveStream(ctx, db.MoveStreamParams{
			AccountID: lease.Account, Owner: lease.Owner, Epoch: lease.Epoch, Cursor: cursor, SyncedAt: syncing.At,
		})
		if err != nil {
			return fmt.Errorf("move stream: %w", err)
		}
		if moved == 0 {
			return indexer.ErrStale
		}
		if err := putHoldings(ctx, q, syncing); err != nil {
			return err
		}
		first, err := q.MarkVenueSynced(ctx, lease.Account)
		if err != nil {
			return fmt.Errorf("mark synced account: %w", err)
		}
		if first == 0 {
			return nil
		}
		if err := q.VenueSyncedEvent(ctx, lease.Account); err != nil {
			return fmt.Errorf("write event of synced account: %w", err)
		}
		return nil
	})
}

// putHoldings makes the holdings of an account those that were read. Of one that
// was read twice the last counts.
func putHoldings(ctx context.Context, q *db.Queries, syncing indexer.Syncing) error {
	type key struct{ wallet, code string }
	latest := make(map[key]indexer.Holding, len(syncing.Holdings))
	for _, h := range syncing.Holdings {
		latest[key{h.Wallet, h.Code}] = h
	}
	p := db.PutHoldingsParams{AccountID: syncing.Lease.Account, UpdatedAt: syncing.At, Wallets: []string{}, Codes: []string{}}
	for k, h := range latest {
		p.Wallets, p.Codes = append(p.Wallets, k.wallet), append(p.Codes, k.code)
		p.Amounts, p.Decimals = append(p.Amounts, h.Amount), append(p.Decimals, int32(h.Decimals))
	}
	err := q.DropHoldings(ctx, db.DropHoldingsParams{AccountID: p.AccountID, Wallets: p.Wallets, Codes: p.Codes})
	if err != nil {
		return fmt.Errorf("drop holdings: %w", err)
	}
	if err := q.PutHoldings(ctx, p); err != nil {
		return fmt.Errorf("put %d holdings: %w", len(latest), err)
	}
	return nil
}

// Holdings returns what a venue account of a realm holds, and when it was read,
// nil before the first time. It returns ErrNotFound if there is no such account.
func (s *Store) Holdings(ctx context.Context, realm indexer.Realm, id uuid.UUID) ([]indexer.Holding, *time.Time, error) {
	var holdings []indexer.Holding
	var at *time.Time
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		var err error
		at, err = q.StreamSynced(ctx, db.StreamSyncedParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read stream: %w", orNotFound(err))
		}
		rows, err := q.Holdings(ctx, db.HoldingsParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read holdings: %w", err)
		}
		for _, row := range rows {
			holdings = append(holdings, indexer.Holding{Wallet: row.Wallet, Code: row.Code, Amount: row.Amount, Decimals: int(row.Decimals)})
		}
		return nil
	})
	return holdings, at, err
}
