package store

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
	"tallyd/store/db"
)

// VenueHistory returns what each account of a user at a venue held at some times,
// which must rise, oldest account first. From before an account was connected nothing
// was read: there it is what it held at first, with the movements that the venue shows
// undone, which may lack some.
func (s *Store) VenueHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.VenueAccountPast, error) {
	table, err := s.identities()
	if err != nil {
		return nil, fmt.Errorf("read the table of assets: %w", err)
	}
	var r venuePastReading
	err = s.read(ctx, func(tx pgx.Tx) error {
		r = venuePastReading{q: db.New(tx), table: table, times: times, at: map[uuid.UUID]*venuePast{}}
		rows, err := r.q.PastVenueAccounts(ctx, db.PastVenueAccountsParams{UserID: user, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read accounts at venues: %w", err)
		}
		return r.run(ctx, rows)
	})
	return r.found, err
}

// venuePastReading reads what accounts at venues held at some times.
type venuePastReading struct {
	q     *db.Queries
	table *identity.Table
	times []time.Time
	found []indexer.VenueAccountPast
	at    map[uuid.UUID]*venuePast
}

// venuePast is what is known of one account: its totals by code at each time, from
// the first reading on, and what movements did before.
type venuePast struct {
	totals []map[string]venue.Decimal
	first  map[string]venue.Decimal         // when it was first read
	moved  map[int]map[string]venue.Decimal // by the first time that shows it
}

func (r *venuePastReading) run(ctx context.Context, rows []db.PastVenueAccountsRow) error {
	read, firsts := []uuid.UUID{}, []time.Time{}
	for _, row := range rows {
		past := &venuePast{first: map[string]venue.Decimal{}, moved: map[int]map[string]venue.Decimal{}}
		for range r.times {
			past.totals = append(past.totals, map[string]venue.Decimal{})
		}
		r.at[row.Account.ID] = past
		if row.First.Unix() > 0 {
			read, firsts = append(read, row.Account.ID), append(firsts, row.First)
		}
	}
	if len(read) > 0 {
		if err := r.readings(ctx, read); err != nil {
			return err
		}
		if err := r.movements(ctx, read, firsts); err != nil {
			return err
		}
	}
	for i := range rows {
		r.found = append(r.found, r.past(&rows[i]))
	}
	return nil
}

// readings adds up the wallets of accounts at each time.
func (r *venuePastReading) readings(ctx context.Context, accounts []uuid.UUID) error {
	rows, err := r.q.PastHoldings(ctx, db.PastHoldingsParams{Accounts: accounts, Times: r.times})
	if err != nil {
		return fmt.Errorf("read past holdings: %w", err)
	}
	for i, row := range rows {
		total, err := venue.ParseDecimal(row.Total)
		if err != nil {
			return fmt.Errorf("read a past holding: %w", err)
		}
		// It stands until the next change of the same wallet and code.
		end := len(r.times)
		if i+1 < len(rows) && rows[i+1].AccountID == row.AccountID && rows[i+1].Wallet == row.Wallet && rows[i+1].Code == row.Code {
			end = int(rows[i+1].Bucket)
		}
		for n := int(row.Bucket); n < end; n++ {
			addTo(r.at[row.AccountID].totals[n], row.Code, total)
		}
	}
	return nil
}

// movements reads what accounts held at first, and what happened before.
func (r *venuePastReading) movements(ctx context.Context, accounts []uuid.UUID, firsts []time.Time) error {
	held, err := r.q.FirstHoldings(ctx, db.FirstHoldingsParams{Accounts: accounts, Firsts: firsts})
	if err != nil {
		return fmt.Errorf("read first holdings: %w", err)
	}
	for _, row := range held {
		total, err := venue.ParseDecimal(row.Total)
		if err != nil {
			return fmt.Errorf("read a first holding: %w", err)
		}
		addTo(r.at[row.AccountID].first, row.Code, total)
	}
	moved, err := r.q.PastMovements(ctx, db.PastMovementsParams{Accounts: accounts, Firsts: firsts, Times: r.times})
	if err != nil {
		return fmt.Errorf("read past movements: %w", err)
	}
	for _, row := range moved {
		amount, err := venue.ParseDecimal(row.Amount)
		if err != nil {
			return fmt.Errorf("read a past movement: %w", err)
		}
		at := r.at[row.AccountID]
		if at.moved[int(row.Bucket)] == nil {
			at.moved[int(row.Bucket)] = map[string]venue.Decimal{}
		}
		addTo(at.moved[int(row.Bucket)], row.Code, amount)
	}
	return nil
}

// past puts together what one account held.
func (r *venuePastReading) past(row *db.PastVenueAccountsRow) indexer.VenueAccountPast {
	at := r.at[row.Account.ID]
	out := indexer.VenueAccountPast{Account: account(row.Account), Points: make([]indexer.VenuePastPoint, len(r.times))}
	unread := row.First.Unix() <= 0
	before := maps.Clone(at.first)
	undo := func(bucket int) {
		for code, amount := range at.moved[bucket] {
			addTo(before, code, amount.Neg())
		}
	}
	undo(len(r.times))
	for n := len(r.times) - 1; n >= 0; n-- {
		point, held := &out.Points[n], at.totals[n]
		switch {
		case unread:
			point.Partial = indexer.PastUnread
		case r.times[n].Before(row.First):
			held = before
			point.Partial = "nothing was read before the account was connected, at " + row.First.UTC().Format("2006-01-02 15:04:05Z") +
				"; it is reckoned back by the movements that the venue shows"
		}
		for _, code := range slices.Sorted(maps.Keys(held)) {
			if held[code].Sign() != 0 {
				point.Held = append(point.Held, indexer.VenuePastHeld{Asset: r.table.Identify(row.Account.Venue, code), Total: held[code]})
			}
		}
		undo(n)
	}
	return out
}

// addTo adds to the sum under a code.
func addTo(sums map[string]venue.Decimal, code string, n venue.Decimal) {
	sums[code] = sums[code].Or(venue.NewDecimal(0, 0)).Add(n)
}
