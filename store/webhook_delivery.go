package store

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"tallyd/api/webhook"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ webhook.Deliveries = (*Store)(nil)

// Deliveries implements webhook.Deliveries.
func (s *Store) Deliveries(ctx context.Context, realm indexer.Realm, id uuid.UUID, filter webhook.DeliveryFilter) ([]webhook.Delivery, error) {
	if _, err := s.Endpoint(ctx, realm, id); err != nil {
		return nil, err
	}
	p := db.DeliveriesParams{
		EndpointID: id, Before: filter.Before, State: string(filter.State), Type: filter.Type, ResourceID: filter.Resource,
		Rows: int32(filter.Limit),
	}
	if p.Before == 0 {
		p.Before = math.MaxInt64
	}
	if filter.Event != uuid.Nil {
		e, err := s.queries(ctx).EventByID(ctx, db.EventByIDParams{Uid: filter.Event, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return nil, fmt.Errorf("read event: %w", orNotFound(err))
		}
		p.Above, p.Before = *e.Seq-1, *e.Seq+1
	}
	rows, err := s.queries(ctx).Deliveries(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read deliveries: %w", err)
	}
	deliveries := make([]webhook.Delivery, 0, len(rows))
	for _, row := range rows {
		deliveries = append(deliveries, webhook.Delivery{
			Seq: row.Seq, Event: row.Uid, Type: row.Type, ResourceID: row.ResourceID, ResourceVersion: row.ResourceVersion,
			OccurredAt: row.OccurredAt.UTC(), State: webhook.State(row.State), Attempts: int(row.Attempt),
			DueAt: row.DueAt.UTC(), CreatedAt: row.CreatedAt.UTC(), DoneAt: row.DoneAt,
		})
	}
	return deliveries, nil
}

// Attempts implements webhook.Deliveries.
func (s *Store) Attempts(ctx context.Context, realm indexer.Realm, id uuid.UUID, seq int64) ([]webhook.Attempt, error) {
	if _, err := s.Endpoint(ctx, realm, id); err != nil {
		return nil, err
	}
	rows, err := s.queries(ctx).Attempts(ctx, db.AttemptsParams{EndpointID: id, Seq: seq})
	if err != nil {
		return nil, fmt.Errorf("read attempts: %w", err)
	}
	attempts := make([]webhook.Attempt, 0, len(rows))
	for _, row := range rows {
		attempts = append(attempts, webhook.Attempt{
			Number: int(row.Attempt), At: row.At.UTC(), Took: time.Duration(row.TookMs) * time.Millisecond, URL: row.Url,
			Status: int(row.Status), Error: row.Error, Headers: row.Headers, Body: row.Body,
		})
	}
	return attempts, nil
}

// Resend implements webhook.Deliveries.
func (s *Store) Resend(ctx context.Context, realm indexer.Realm, id, event uuid.UUID) (int64, error) {
	var queued int64
	err := s.write(ctx, "resend", func(q *db.Queries) error {
		if err := lockRecovery(ctx, q, realm, id); err != nil {
			return err
		}
		row, err := q.EventByID(ctx, db.EventByIDParams{Uid: event, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("read event: %w", orNotFound(err))
		}
		queued, err = again(ctx, q, id, *row.Seq, *row.Seq, time.Time{})
		return err
	})
	return queued, err
}

// Recover implements webhook.Deliveries.
func (s *Store) Recover(ctx context.Context, realm indexer.Realm, id uuid.UUID, since time.Time) (int64, error) {
	var queued int64
	err := s.write(ctx, "recover", func(q *db.Queries) error {
		if err := lockRecovery(ctx, q, realm, id); err != nil {
			return err
		}
		lowest, err := lowestSince(ctx, q, realm, since)
		if err != nil {
			return err
		}
		queued, err = again(ctx, q, id, 0, lowest, since)
		return err
	})
	return queued, err
}

// lockRecovery returns indexer.ErrNotFound if there is no such endpoint. Another
// who sends its events again waits until the transaction ends; nobody else does.
func lockRecovery(ctx context.Context, q *db.Queries, realm indexer.Realm, id uuid.UUID) error {
	if err := q.LockRecovery(ctx, id); err != nil {
		return fmt.Errorf("lock recovery: %w", err)
	}
	if _, err := q.Endpoint(ctx, db.EndpointParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)}); err != nil {
		return fmt.Errorf("read endpoint: %w", orNotFound(err))
	}
	return nil
}

// lowestSince returns a number that no event of a realm since a time is below. It
// goes back from the last event and stops where a whole stretch is older: events
// are numbered in the order they were written, which differs from that of their
// times by no more than a transaction takes.
func lowestSince(ctx context.Context, q *db.Queries, realm indexer.Realm, since time.Time) (int64, error) {
	const stretch = 5000
	lowest := int64(math.MaxInt64)
	for {
		found, err := q.EventsBefore(ctx, db.EventsBeforeParams{
			Tenant: realm.Tenant, Environment: string(realm.Environment), Before: lowest, Rows: stretch,
		})
		if err != nil {
			return 0, fmt.Errorf("look back for events: %w", err)
		}
		if found.Lowest == 0 || found.Latest.Before(since) {
			return lowest, nil
		}
		lowest = found.Lowest
	}
}

// again queues one event, or with seq 0 those since a time, of which none has a
// number below lowest. What was never sent comes before what is taken back from the
// history: it is told apart by not standing there.
func again(ctx context.Context, q *db.Queries, id uuid.UUID, seq, lowest int64, since time.Time) (int64, error) {
	hastened, err := q.HastenDeliveries(ctx, db.HastenDeliveriesParams{EndpointID: id, Seq: seq, Since: since})
	if err != nil {
		return 0, fmt.Errorf("hasten deliveries: %w", err)
	}
	missing, err := q.QueueMissing(ctx, db.QueueMissingParams{EndpointID: id, Seq: seq, Lowest: lowest, Since: since})
	if err != nil {
		return 0, fmt.Errorf("queue missing deliveries: %w", err)
	}
	revived, err := q.ReviveDeliveries(ctx, db.ReviveDeliveriesParams{EndpointID: id, Seq: seq, Since: since})
	if err != nil {
		return 0, fmt.Errorf("take deliveries from the history: %w", err)
	}
	return hastened + missing + revived, nil
}

// SendTest implements webhook.Deliveries.
func (s *Store) SendTest(ctx context.Context, realm indexer.Realm, id uuid.UUID) (uuid.UUID, error) {
	var event uuid.UUID
	err := s.write(ctx, "send_test", func(q *db.Queries) error {
		if _, err := lockEndpoint(ctx, q, realm, id); err != nil {
			return err
		}
		if _, err := q.BumpEndpoint(ctx, id); err != nil {
			return fmt.Errorf("count the test: %w", err)
		}
		var err error
		if event, err = q.TestEvent(ctx, id); err != nil {
			return fmt.Errorf("write test event: %w", err)
		}
		return nil
	})
	return event, err
}
