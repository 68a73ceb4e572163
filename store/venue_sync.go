package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
	"tallyd/store/db"
)

// syncing is one transaction that writes what was read of one venue account, whose
// rows in accounts and streams it has locked.
type syncing struct {
	q       *db.Queries
	account uuid.UUID
	row     db.HoldStreamRow
	table   *identity.Table
	synced  indexer.Synced
	changes []change
	events  []venueEvent
	codes   []string // all that the account was ever seen with
}

// venueEvent is an event to be written at the end. One without a resource is of
// the account itself.
type venueEvent struct {
	kind     string
	resource string
	version  int64
	data     any
}

// accountData is what events of an account's own state tell.
type accountData struct {
	Venue   string          `json:"venue"`
	At      *time.Time      `json:"at,omitempty"`
	Reason  string          `json:"reason,omitempty"`
	Detail  string          `json:"detail,omitempty"`
	Hint    string          `json:"hint,omitempty"`
	Changes []balanceChange `json:"changes,omitempty"`
}

// balanceChange is what a reading found to have changed.
type balanceChange struct {
	Wallet string        `json:"wallet"`
	Code   string        `json:"code"`
	Asset  string        `json:"asset"`
	Total  venue.Decimal `json:"total"`
	Was    venue.Decimal `json:"was"`
}

// holdStream locks the rows of a lease, or returns ErrStale.
func holdStream(ctx context.Context, q *db.Queries, s *Store, lease indexer.StreamLease) (*syncing, error) {
	table, err := s.identities()
	if err != nil {
		return nil, fmt.Errorf("read the table of assets: %w", err)
	}
	row, err := q.HoldStream(ctx, db.HoldStreamParams{AccountID: lease.Account, Owner: lease.Owner, Epoch: lease.Epoch})
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, indexer.ErrStale
	}
	if err != nil {
		return nil, fmt.Errorf("hold stream: %w", err)
	}
	return &syncing{q: q, account: lease.Account, row: row, table: table, codes: row.Codes}, nil
}

// Sync implements indexer.Streams.
func (s *Store) Sync(ctx context.Context, read indexer.Syncing) (indexer.Synced, error) {
	if read.Balances != nil && read.Valued == nil && read.Checked == nil && read.Reading == nil {
		same, err := s.stands(ctx, read)
		if err != nil || same {
			return indexer.Synced{}, err
		}
	}
	var synced indexer.Synced
	err := s.write(ctx, "sync", func(q *db.Queries) error {
		w, err := holdStream(ctx, q, s, read.Lease)
		if err != nil {
			return err
		}
		if err := w.balances(ctx, read); err != nil {
			return err
		}
		if err := w.history(ctx, read.Reading); err != nil {
			return err
		}
		if err := w.move(ctx, read); err != nil {
			return err
		}
		if w.synced.Events, err = w.told(ctx); err != nil {
			return err
		}
		synced = w.synced
		return nil
	})
	return synced, err
}

// stands reports whether a reading found what stands in the ledger already, so that
// nothing has to be written. Only the holder of the lease could change it meanwhile.
func (s *Store) stands(ctx context.Context, read indexer.Syncing) (bool, error) {
	q := s.queries(ctx)
	row, err := q.PeekStream(ctx, db.PeekStreamParams{AccountID: read.Lease.Account, Owner: read.Lease.Owner, Epoch: read.Lease.Epoch})
	if errors.Is(err, pgx.ErrNoRows) {
		return false, indexer.ErrStale
	}
	if err != nil {
		return false, fmt.Errorf("read stream: %w", err)
	}
	missing, err := missingOf(row.Missing)
	if err != nil {
		return false, err
	}
	if row.SyncedAt == nil || !slices.Equal(missing, keptMissing(read.Balances.Missing)) {
		return false, nil
	}
	standing, err := standingHoldings(ctx, q, read.Lease.Account)
	if err != nil {
		return false, err
	}
	return len(differences(standing, *read.Balances)) == 0, nil
}

// balances writes what the wallets hold where it changed.
func (w *syncing) balances(ctx context.Context, read indexer.Syncing) error {
	if read.Balances == nil {
		return nil
	}
	standing, err := standingHoldings(ctx, w.q, w.account)
	if err != nil {
		return err
	}
	w.changes = differences(standing, *read.Balances)
	if err := w.putHoldings(ctx, read.Balances.At); err != nil {
		return err
	}
	at := moment(read.Balances.At)
	if w.row.SyncedAt == nil {
		if _, err := w.q.MarkVenueSynced(ctx, w.account); err != nil {
			return fmt.Errorf("mark synced account: %w", err)
		}
		w.tell("account.synced", accountData{Venue: w.row.Venue, At: &at})
		return nil
	}
	data := accountData{Venue: w.row.Venue, At: &at}
	for _, c := range w.changes {
		if !c.total() {
			continue
		}
		data.Changes = append(data.Changes, balanceChange{
			Wallet: string(c.now.Wallet), Code: c.now.Code, Asset: string(w.table.Identify(w.row.Venue, c.now.Code).Asset),
			Total: c.now.Total, Was: c.was.Total.Or(venue.NewDecimal(0, 0)),
		})
	}
	if data.Changes != nil {
		w.tell("balance.updated", data)
	}
	return nil
}

// move writes what was read beside holdings and rows, where it changed.
func (w *syncing) move(ctx context.Context, read indexer.Syncing) error {
	p := db.MoveStreamParams{AccountID: w.account, Missing: w.row.Missing, Totals: w.row.Totals, Codes: w.codes}
	moved := len(w.codes) != len(w.row.Codes)
	if read.Balances != nil {
		missing, err := missingOf(w.row.Missing)
		if err != nil {
			return err
		}
		now := keptMissing(read.Balances.Missing)
		if p.Missing, err = document(orEmpty(now)); err != nil {
			return err
		}
		at := moment(read.Balances.At)
		p.SyncedAt = &at
		moved = moved || w.row.SyncedAt == nil || len(w.changes) > 0 || !slices.Equal(missing, now)
	}
	if read.Valued != nil {
		var err error
		if p.Totals, err = document(orEmpty(read.Valued.Totals)); err != nil {
			return err
		}
		at := moment(read.Valued.At)
		p.ValuedAt, moved = &at, true
	}
	if read.Checked != nil {
		warnings, err := document(orEmpty(read.Checked.Warnings))
		if err != nil {
			return err
		}
		if err := w.q.WarnOfLogin(ctx, db.WarnOfLoginParams{AccountID: w.account, Warnings: warnings}); err != nil {
			return fmt.Errorf("write what to know of the login: %w", err)
		}
		at := moment(read.Checked.At)
		p.CheckedAt, moved = &at, true
	}
	if !moved {
		return nil
	}
	if err := w.q.MoveStream(ctx, p); err != nil {
		return fmt.Errorf("move stream: %w", err)
	}
	return nil
}

// see adds codes to those that the account was ever seen with.
func (w *syncing) see(code string) {
	place, found := slices.BinarySearch(w.codes, code)
	if !found {
		w.codes = slices.Insert(slices.Clone(w.codes), place, code)
	}
}

// tell remembers an event of the account itself.
func (w *syncing) tell(kind string, data any) {
	w.events = append(w.events, venueEvent{kind: kind, data: data})
}

// told writes the events, in the order in which they were told, and returns how
// many.
func (w *syncing) told(ctx context.Context) (int, error) {
	if len(w.events) == 0 {
		return 0, nil
	}
	p := db.PutVenueEventsParams{Tenant: w.row.Tenant, Environment: w.row.Environment, AccountID: w.account}
	for _, event := range w.events {
		if event.resource == "" {
			version, err := w.q.BumpAccount(ctx, w.account)
			if err != nil {
				return 0, fmt.Errorf("count a change of the account: %w", err)
			}
			event.resource, event.version = w.account.String(), version
		}
		data, err := document(event.data)
		if err != nil {
			return 0, err
		}
		p.Types, p.ResourceIds = append(p.Types, event.kind), append(p.ResourceIds, event.resource)
		p.ResourceVersions, p.Datas = append(p.ResourceVersions, event.version), append(p.Datas, string(data))
	}
	if err := w.q.PutVenueEvents(ctx, p); err != nil {
		return 0, fmt.Errorf("write %d events: %w", len(p.Types), err)
	}
	return len(p.Types), nil
}

// missingOf reads the wallets that a reading could not read.
func missingOf(text json.RawMessage) ([]venue.Missing, error) {
	var missing []venue.Missing
	if err := json.Unmarshal(text, &missing); err != nil {
		return nil, fmt.Errorf("read missing wallets: %w", err)
	}
	return missing, nil
}

// keptMissing returns missing wallets as they are read back.
func keptMissing(missing []venue.Missing) []venue.Missing {
	var clean []venue.Missing
	for _, m := range missing {
		clean = append(clean, venue.Missing{Wallet: venue.Wallet(kept(string(m.Wallet))), Reason: m.Reason, Detail: plainText(m.Detail)})
	}
	return clean
}
