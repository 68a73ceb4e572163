package store

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains/venue"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.VenueReader = (*Store)(nil)

// VenueAccount implements indexer.VenueReader.
func (s *Store) VenueAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error) {
	balance, err := s.venueAccount(ctx, realm, id, false)
	return balance.Account, err
}

// VenueBalance implements indexer.VenueReader.
func (s *Store) VenueBalance(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueBalance, error) {
	return s.venueAccount(ctx, realm, id, true)
}

func (s *Store) venueAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID, holdings bool) (indexer.VenueBalance, error) {
	var found []indexer.VenueBalance
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		row, err := q.VenueAccount(ctx, db.VenueAccountParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read account: %w", orNotFound(err))
		}
		found, err = s.venueBalances(ctx, q, []db.UserVenueAccountsRow{db.UserVenueAccountsRow(row)}, holdings)
		return err
	})
	if err != nil {
		return indexer.VenueBalance{}, err
	}
	return found[0], nil
}

// UserVenueAccounts implements indexer.VenueReader.
func (s *Store) UserVenueAccounts(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueAccount, error) {
	balances, err := s.userVenues(ctx, realm, user, false)
	accounts := make([]indexer.VenueAccount, 0, len(balances))
	for _, b := range balances {
		accounts = append(accounts, b.Account)
	}
	return accounts, err
}

// UserVenueBalances implements indexer.VenueReader.
func (s *Store) UserVenueBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueBalance, error) {
	return s.userVenues(ctx, realm, user, true)
}

func (s *Store) userVenues(ctx context.Context, realm indexer.Realm, user uuid.UUID, holdings bool) ([]indexer.VenueBalance, error) {
	var found []indexer.VenueBalance
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		rows, err := q.UserVenueAccounts(ctx, db.UserVenueAccountsParams{UserID: user, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		found, err = s.venueBalances(ctx, q, rows, holdings)
		return err
	})
	return found, err
}

// venueBalances completes accounts with their histories, and with what they hold.
func (s *Store) venueBalances(ctx context.Context, q *db.Queries, rows []db.UserVenueAccountsRow, holdings bool) ([]indexer.VenueBalance, error) {
	found := make([]indexer.VenueBalance, 0, len(rows))
	place := map[uuid.UUID]int{}
	ids := []uuid.UUID{}
	for i := range rows {
		account, err := venueAccount(&rows[i])
		if err != nil {
			return nil, err
		}
		place[account.ID] = len(found)
		ids, found = append(ids, account.ID), append(found, indexer.VenueBalance{Account: account})
	}
	histories, err := q.HistoriesOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read histories: %w", err)
	}
	for _, row := range histories {
		h, err := venueHistory(row)
		if err != nil {
			return nil, err
		}
		state := &found[place[row.AccountID]].Account.State
		state.Histories = append(state.Histories, h)
	}
	if !holdings {
		return found, nil
	}
	table, err := s.identities()
	if err != nil {
		return nil, fmt.Errorf("read the table of assets: %w", err)
	}
	held, err := q.HoldingsOf(ctx, ids)
	if err != nil {
		return nil, fmt.Errorf("read holdings: %w", err)
	}
	for _, row := range held {
		h, err := holding(row.Wallet, row.Code, row.Available, row.Locked, row.Borrowed, row.Total)
		if err != nil {
			return nil, err
		}
		b := &found[place[row.AccountID]]
		b.Holdings = append(b.Holdings, indexer.VenueHolding{Holding: h, Asset: table.Identify(b.Account.Venue, h.Code), At: row.At.UTC()})
	}
	return found, nil
}

func venueAccount(row *db.UserVenueAccountsRow) (indexer.VenueAccount, error) {
	a := indexer.VenueAccount{Account: account(row.Account), Region: row.Region, Login: row.Login}
	a.State = indexer.VenueState{
		Status: row.Status, Reason: venue.Reason(row.Reason), Code: row.Code, Detail: row.Detail, Hint: row.Hint,
		Since: inUTC(row.Since), LastSync: inUTC(row.ReadAt),
	}
	if row.Status != indexer.StateStopped {
		a.State.RetryAt = inUTC(&row.BalancesDue)
	}
	for _, column := range []struct {
		text json.RawMessage
		into any
	}{{row.Missing, &a.State.Missing}, {row.Totals, &a.State.Totals}, {row.Warnings, &a.State.Warnings}} {
		if err := json.Unmarshal(column.text, column.into); err != nil {
			return a, fmt.Errorf("read state of account %s: %w", a.ID, err)
		}
	}
	return a, nil
}

func venueHistory(row db.History) (indexer.VenueHistory, error) {
	h := indexer.VenueHistory{
		Stream: venue.Stream(row.Stream), Status: indexer.HistoryNone, Since: inUTC(row.Since), Limits: row.Limits,
		Reason: venue.Reason(row.Reason), Detail: row.Detail,
	}
	var progress venue.Progress
	if err := json.Unmarshal(row.Progress, &progress); err != nil {
		return h, fmt.Errorf("read progress of %s: %w", row.Stream, err)
	}
	h.Covered = progress.Covered
	switch {
	case row.DoneAt != nil:
		h.Status = indexer.HistoryComplete
	case len(h.Covered) > 0:
		h.Status = indexer.HistoryPartial
	}
	return h, nil
}

func inUTC(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	utc := t.UTC()
	return &utc
}
