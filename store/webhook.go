package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ webhook.Endpoints = (*Store)(nil)

// CreateEndpoint implements webhook.Endpoints.
func (s *Store) CreateEndpoint(ctx context.Context, e webhook.Endpoint, key []byte) (webhook.Endpoint, error) {
	var created webhook.Endpoint
	err := s.write(ctx, "create_endpoint", func(q *db.Queries) error {
		row, err := q.CreateEndpoint(ctx, db.CreateEndpointParams{
			ID: e.ID, Tenant: e.Realm.Tenant, Environment: string(e.Realm.Environment), Outbound: e.Outbound, Url: e.URL,
			Description: e.Description, Events: append([]string{}, e.Events...), Ordered: e.Ordered, Concurrency: int32(e.Concurrency),
			CreatedBy: e.CreatedBy,
		})
		if errors.Is(err, pgx.ErrNoRows) {
			return indexer.ErrExists
		}
		if refused, ok := errors.AsType[*pgconn.PgError](err); ok && refused.Code == foreignKeyViolation {
			return fmt.Errorf("tenant %s: %w", e.Realm.Tenant, indexer.ErrNotFound)
		}
		if err != nil {
			return fmt.Errorf("create endpoint: %w", err)
		}
		count, err := q.CountEndpoints(ctx, db.CountEndpointsParams{Tenant: e.Realm.Tenant, Environment: string(e.Realm.Environment)})
		if err != nil {
			return fmt.Errorf("count endpoints: %w", err)
		}
		if count > webhook.MaxEndpoints {
			return webhook.ErrEndpoints
		}
		created = endpoint(row)
		return s.putSecret(ctx, q, e.ID, key)
	})
	return created, err
}

// putSecret seals the newest secret of an endpoint.
func (s *Store) putSecret(ctx context.Context, q *db.Queries, id uuid.UUID, key []byte) error {
	sealed, err := s.seal(key, secretOf(id))
	if err != nil {
		return fmt.Errorf("seal signing secret: %w", err)
	}
	if err := q.CreateSecret(ctx, db.CreateSecretParams{EndpointID: id, Sealed: sealed}); err != nil {
		return fmt.Errorf("store signing secret: %w", err)
	}
	return nil
}

// secretOf is what a signing secret is sealed together with: in the row of
// another endpoint it does not open.
func secretOf(id uuid.UUID) []byte { return []byte("endpoint " + id.String()) }

// Endpoint implements webhook.Endpoints.
func (s *Store) Endpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID) (webhook.Endpoint, error) {
	row, err := s.queries(ctx).Endpoint(ctx, db.EndpointParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return webhook.Endpoint{}, fmt.Errorf("read endpoint: %w", orNotFound(err))
	}
	return endpoint(row), nil
}

// OutboundEndpoint implements webhook.Endpoints.
func (s *Store) OutboundEndpoint(ctx context.Context, realm indexer.Realm) (webhook.Endpoint, error) {
	row, err := s.queries(ctx).OutboundEndpoint(ctx, db.OutboundEndpointParams{Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return webhook.Endpoint{}, fmt.Errorf("read outbound endpoint: %w", orNotFound(err))
	}
	return endpoint(row), nil
}

// Endpoints implements webhook.Endpoints.
func (s *Store) Endpoints(ctx context.Context, realm indexer.Realm, after *uuid.UUID, limit int) ([]webhook.Endpoint, map[uuid.UUID]int64, error) {
	q := s.queries(ctx)
	p := db.EndpointsParams{Tenant: realm.Tenant, Environment: string(realm.Environment), AfterID: after, Rows: int32(limit)} //nolint:gosec // checked at the edge
	if after != nil {
		at, err := q.EndpointPlace(ctx, db.EndpointPlaceParams{ID: *after, Tenant: p.Tenant, Environment: p.Environment})
		if err != nil {
			return nil, nil, fmt.Errorf("find endpoint: %w", orNotFound(err))
		}
		p.AfterAt = &at
	}
	rows, err := q.Endpoints(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("read endpoints: %w", err)
	}
	ids := make([]uuid.UUID, 0, len(rows))
	for _, row := range rows {
		ids = append(ids, row.ID)
	}
	counts, err := q.CountWaiting(ctx, ids)
	if err != nil {
		return nil, nil, fmt.Errorf("count waiting deliveries: %w", err)
	}
	endpoints, waiting := make([]webhook.Endpoint, 0, len(rows)), make(map[uuid.UUID]int64, len(counts))
	for _, row := range rows {
		endpoints = append(endpoints, endpoint(row))
	}
	for _, count := range counts {
		waiting[count.EndpointID] = count.Waiting
	}
	return endpoints, waiting, nil
}

// ChangeEndpoint implements webhook.Endpoints.
func (s *Store) ChangeEndpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID, change func(*webhook.Endpoint) error) (webhook.Endpoint, error) {
	var changed webhook.Endpoint
	err := s.write(ctx, "change_endpoint", func(q *db.Queries) error {
		row, err := lockEndpoint(ctx, q, realm, id)
		if err != nil {
			return err
		}
		ordered, e := row.Ordered, endpoint(row)
		if err := change(&e); err != nil {
			return err
		}
		row, err = q.ChangeEndpoint(ctx, db.ChangeEndpointParams{
			ID: id, Url: e.URL, Description: e.Description, Events: append([]string{}, e.Events...), Ordered: e.Ordered,
			Concurrency: int32(e.Concurrency), DisabledAt: e.DisabledAt, DisabledReason: e.DisabledReason,
			FailingSince: e.FailingSince, FailingError: e.FailingError,
		})
		if err != nil {
			return fmt.Errorf("change endpoint: %w", err)
		}
		if ordered && !row.Ordered {
			if err := q.UntieDeliveries(ctx, id); err != nil {
				return fmt.Errorf("untie deliveries: %w", err)
			}
		}
		changed = endpoint(row)
		return nil
	})
	return changed, err
}

func lockEndpoint(ctx context.Context, q *db.Queries, realm indexer.Realm, id uuid.UUID) (db.Endpoint, error) {
	row, err := q.LockEndpoint(ctx, db.LockEndpointParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return db.Endpoint{}, fmt.Errorf("lock endpoint: %w", orNotFound(err))
	}
	return row, nil
}

// DeleteEndpoint implements webhook.Endpoints.
func (s *Store) DeleteEndpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID) error {
	return s.write(ctx, "delete_endpoint", func(q *db.Queries) error {
		deleted, err := q.DeleteEndpoint(ctx, db.DeleteEndpointParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("delete endpoint: %w", err)
		}
		if deleted == 0 {
			return indexer.ErrNotFound
		}
		if err := q.DropDeliveries(ctx, id); err != nil {
			return fmt.Errorf("drop deliveries: %w", err)
		}
		if err := q.DropSecrets(ctx, id); err != nil {
			return fmt.Errorf("drop signing secrets: %w", err)
		}
		return nil
	})
}

// RotateSecret implements webhook.Endpoints.
func (s *Store) RotateSecret(ctx context.Context, realm indexer.Realm, id uuid.UUID, key []byte, overlap time.Duration) error {
	return s.write(ctx, "rotate_secret", func(q *db.Queries) error {
		if _, err := lockEndpoint(ctx, q, realm, id); err != nil {
			return err
		}
		if err := q.EndSecrets(ctx, db.EndSecretsParams{EndpointID: id, Seconds: overlap.Seconds()}); err != nil {
			return fmt.Errorf("end signing secrets: %w", err)
		}
		inForce, err := q.CountSecrets(ctx, id)
		if err != nil {
			return fmt.Errorf("count signing secrets: %w", err)
		}
		if inForce >= webhook.MaxSecrets {
			return webhook.ErrSecrets
		}
		if err := s.putSecret(ctx, q, id, key); err != nil {
			return err
		}
		if _, err := q.BumpEndpoint(ctx, id); err != nil {
			return fmt.Errorf("count the change: %w", err)
		}
		return nil
	})
}

func endpoint(row db.Endpoint) webhook.Endpoint {
	return webhook.Endpoint{
		ID: row.ID, Realm: indexer.Realm{Tenant: row.Tenant, Environment: chains.Environment(row.Environment)}, Outbound: row.Outbound,
		URL: row.Url, Description: row.Description, Events: row.Events, Ordered: row.Ordered, Concurrency: int(row.Concurrency),
		CreatedAt: row.CreatedAt.UTC(), CreatedBy: row.CreatedBy, DisabledAt: row.DisabledAt, DisabledReason: row.DisabledReason,
		FailingSince: row.FailingSince, FailingError: row.FailingError,
	}
}
