package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ webhook.Outbox = (*Store)(nil)

// FanOut implements webhook.Outbox.
func (s *Store) FanOut(ctx context.Context, limit int) (int, error) {
	q := s.queries(ctx)
	at, err := q.FanoutPosition(ctx, int32(limit))
	if err != nil {
		return 0, fmt.Errorf("read position: %w", err)
	}
	if at.Upto == at.Position {
		return 0, nil
	}
	var fanned db.FanOutRow
	err = s.single("fan_out", func() (err error) {
		if fanned, err = q.FanOut(ctx, db.FanOutParams{Beyond: at.Position, Upto: at.Upto}); err != nil {
			return fmt.Errorf("queue deliveries: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	if fanned.Moved == 0 {
		return 0, nil // another process did
	}
	// Numbers have no holes.
	return int(at.Upto - at.Position), nil
}

// Claim implements webhook.Outbox.
func (s *Store) Claim(ctx context.Context, owner uuid.UUID, lease time.Duration, rooms map[uuid.UUID]webhook.Room, limit int) ([]webhook.Claimed, error) {
	p := db.ClaimDeliveriesParams{
		Owner: &owner, Seconds: lease.Seconds(), Rows: int32(limit), Unknown: webhook.FirstConcurrency,
	}
	for id, room := range rooms {
		p.Busy, p.Versions = append(p.Busy, id), append(p.Versions, room.Version)
		p.Free, p.Flying = append(p.Free, int32(room.Free)), append(p.Flying, int32(room.Flying))
	}
	var rows []db.ClaimDeliveriesRow
	err := s.single("claim", func() (err error) {
		if rows, err = s.queries(ctx).ClaimDeliveries(ctx, p); err != nil {
			return fmt.Errorf("claim deliveries: %w", err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	claimed := make([]webhook.Claimed, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		claimed = append(claimed, webhook.Claimed{
			Endpoint: row.EndpointID, URL: row.Url, Version: row.Version, Concurrency: int(row.Concurrency), Ordered: row.Ordered,
			Failing: row.Failing, Attempt: int(row.Attempt), Rung: int(row.Rung),
			Event: indexer.Event{
				Seq: row.Seq, ID: row.Uid, Realm: indexer.Realm{Environment: chains.Environment(row.Environment)}, Type: row.Type,
				Chain: row.Chain, AccountID: row.AccountID, ResourceID: row.ResourceID, ResourceVersion: row.ResourceVersion,
				Data: row.Data, OccurredAt: row.OccurredAt.UTC(),
			},
		})
	}
	return claimed, nil
}

// Complete implements webhook.Outbox.
func (s *Store) Complete(ctx context.Context, owner uuid.UUID, outcomes []webhook.Outcome) (int, error) {
	p := db.CompleteDeliveriesParams{Owner: owner}
	for i := range outcomes {
		o := &outcomes[i]
		p.EndpointIds, p.Seqs, p.Attempts = append(p.EndpointIds, o.Endpoint), append(p.Seqs, o.Seq), append(p.Attempts, int32(o.Attempt))
		p.States, p.Rungs, p.Waits = append(p.States, string(o.State)), append(p.Rungs, int32(o.Rung)), append(p.Waits, o.Wait.Seconds())
		p.Ats, p.Took, p.Urls = append(p.Ats, o.At), append(p.Took, o.Took.Milliseconds()), append(p.Urls, o.URL)
		p.Statuses, p.Errors = append(p.Statuses, int32(o.Status)), append(p.Errors, o.Error)
		p.Headers, p.Bodies = append(p.Headers, string(o.Headers)), append(p.Bodies, append([]byte{}, o.Body...))
	}
	var counted int64
	err := s.single("complete", func() (err error) {
		if counted, err = s.queries(ctx).CompleteDeliveries(ctx, p); err != nil {
			return fmt.Errorf("write %d outcomes: %w", len(outcomes), err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(counted), nil
}

// Mark implements webhook.Outbox.
func (s *Store) Mark(ctx context.Context, heard []webhook.Heard) error {
	var p db.MarkEndpointsParams
	for _, h := range heard {
		p.Ids, p.Urls, p.Errors = append(p.Ids, h.Endpoint), append(p.Urls, h.URL), append(p.Errors, h.Error)
	}
	if err := s.single("mark", func() error { return s.queries(ctx).MarkEndpoints(ctx, p) }); err != nil {
		return fmt.Errorf("mark %d endpoints: %w", len(heard), err)
	}
	return nil
}

// Disable implements webhook.Outbox.
func (s *Store) Disable(ctx context.Context, gone []webhook.Heard) error {
	var p db.DisableGoneParams
	for _, h := range gone {
		p.Ids, p.Urls = append(p.Ids, h.Endpoint), append(p.Urls, h.URL)
	}
	if err := s.single("disable", func() error { return s.queries(ctx).DisableGone(ctx, p) }); err != nil {
		return fmt.Errorf("disable %d endpoints: %w", len(gone), err)
	}
	return nil
}

// Secrets implements webhook.Outbox.
func (s *Store) Secrets(ctx context.Context, id uuid.UUID) ([]webhook.Secret, int64, error) {
	rows, err := s.queries(ctx).EndpointSecrets(ctx, id)
	if err != nil {
		return nil, 0, fmt.Errorf("read signing secrets: %w", err)
	}
	var version int64
	secrets := make([]webhook.Secret, 0, len(rows))
	for _, row := range rows {
		key, err := s.open(row.Sealed, secretOf(id))
		if err != nil {
			return nil, 0, fmt.Errorf("open signing secret: %w", err)
		}
		secrets = append(secrets, webhook.Secret{Key: key, ExpiresAt: row.ExpiresAt})
		version = row.Version
	}
	return secrets, version, nil
}

// Beat implements webhook.Outbox.
func (s *Store) Beat(ctx context.Context, owner uuid.UUID, alive time.Duration) (int, error) {
	q := s.queries(ctx)
	err := s.single("beat", func() error {
		return q.BeatDispatcher(ctx, db.BeatDispatcherParams{ID: owner, Seconds: alive.Seconds()})
	})
	if err != nil {
		return 0, fmt.Errorf("write sign of life: %w", err)
	}
	var freed int64
	err = s.single("take_over", func() (err error) {
		if freed, err = q.FreeDeliveries(ctx); err != nil {
			return fmt.Errorf("free deliveries: %w", err)
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return int(freed), nil
}

// Leave implements webhook.Outbox.
func (s *Store) Leave(ctx context.Context, owner uuid.UUID) error {
	if err := s.single("leave", func() error { return s.queries(ctx).EndDispatcher(ctx, owner) }); err != nil {
		return fmt.Errorf("give up deliveries: %w", err)
	}
	return nil
}
