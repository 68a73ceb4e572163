package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ access.Tenants = (*Store)(nil)

// CreateTenant implements access.Tenants.
func (s *Store) CreateTenant(ctx context.Context, tenant access.Tenant) error {
	q := s.queries(ctx)
	assets, err := listedNames(ctx, q, tenant.Assets)
	if err != nil {
		return err
	}
	created, err := q.CreateTenant(ctx, db.CreateTenantParams{
		ID: tenant.ID, Name: tenant.Name, CreatedBy: tenant.CreatedBy, MetaData: tenant.MetaData, Assets: assets,
	})
	if err != nil {
		return fmt.Errorf("create tenant: %w", err)
	}
	if created == 0 {
		return indexer.ErrExists
	}
	return nil
}

// SetTenantAssets implements access.Tenants.
func (s *Store) SetTenantAssets(ctx context.Context, id string, assets []chains.AssetID) (access.Tenant, error) {
	q := s.queries(ctx)
	names, err := listedNames(ctx, q, assets)
	if err != nil {
		return access.Tenant{}, err
	}
	row, err := q.SetTenantAssets(ctx, db.SetTenantAssetsParams{ID: id, Assets: names})
	if err != nil {
		return access.Tenant{}, fmt.Errorf("set the assets of a tenant: %w", orNotFound(err))
	}
	return tenant(row.ID, row.Name, row.CreatedBy, row.MetaData, row.CreatedAt, row.Assets), nil
}

// listedNames returns the names of assets, nil for nil, or access.ErrUnlisted.
func listedNames(ctx context.Context, q *db.Queries, assets []chains.AssetID) ([]string, error) {
	if assets == nil {
		return nil, nil
	}
	names := make([]string, 0, len(assets))
	for _, id := range assets {
		names = append(names, string(id))
	}
	strange, err := q.StrangeAssets(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("look assets up: %w", err)
	}
	if len(strange) > 0 {
		return nil, fmt.Errorf("%w: %s", access.ErrUnlisted, strings.Join(strange, " "))
	}
	return names, nil
}

// Tenants implements access.Tenants.
func (s *Store) Tenants(ctx context.Context) ([]access.Tenant, error) {
	rows, err := s.queries(ctx).Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	tenants := make([]access.Tenant, 0, len(rows))
	for _, row := range rows {
		tenants = append(tenants, tenant(row.ID, row.Name, row.CreatedBy, row.MetaData, row.CreatedAt, row.Assets))
	}
	return tenants, nil
}

func tenant(id, name, by string, meta json.RawMessage, at time.Time, assets []string) access.Tenant {
	t := access.Tenant{ID: id, Name: name, CreatedBy: by, MetaData: meta, CreatedAt: at.UTC()}
	if assets == nil {
		return t
	}
	t.Assets = make([]chains.AssetID, 0, len(assets))
	for _, asset := range assets {
		t.Assets = append(t.Assets, chains.AssetID(asset))
	}
	return t
}
