package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ indexer.Sequencer = (*Store)(nil)

// numberingTime is how long the numbering stays with its last owner.
const numberingTime = 4 * time.Second

// Number implements indexer.Sequencer. Two owners could number side by side and
// be right, since the numbers go on from the last one or not at all; the lease only
// keeps them from doing so.
func (s *Store) Number(ctx context.Context, owner uuid.UUID, limit int) (int, error) {
	q := s.queries(ctx)
	at, err := q.Numbering(ctx, owner)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read the last number: %w", err)
	}
	if !at.Waiting {
		return 0, nil
	}
	var numbered int64
	err = s.single("number", func() (err error) {
		numbered, err = q.NumberEvents(ctx, db.NumberEventsParams{
			Rows: int32(limit), Owner: owner, Seconds: numberingTime.Seconds(), Last: at.Last,
		})
		if err != nil {
			return fmt.Errorf("number events: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(numbered), nil
}

// LeaveNumbering implements indexer.Sequencer.
func (s *Store) LeaveNumbering(ctx context.Context, owner uuid.UUID) error {
	if err := s.queries(ctx).DropNumbering(ctx, owner); err != nil {
		return fmt.Errorf("leave numbering: %w", err)
	}
	return nil
}

// EventsAfter returns up to limit events of a realm whose number is above after,
// in their order. Events without a number are not there yet.
func (s *Store) EventsAfter(ctx context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error) {
	rows, err := s.queries(ctx).EventsAfter(ctx, db.EventsAfterParams{
		Tenant: realm.Tenant, Environment: string(realm.Environment), Beyond: after, Rows: int32(limit),
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events := make([]indexer.Event, 0, len(rows))
	for _, row := range rows {
		events = append(events, indexer.Event{
			Seq: *row.Seq, ID: row.Uid, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)},
			Type: row.Type, Chain: row.Chain, AccountID: row.AccountID, ResourceID: row.ResourceID,
			ResourceVersion: row.ResourceVersion, Data: row.Data, OccurredAt: row.OccurredAt.UTC(),
		})
	}
	return events, nil
}
