package store

import (
	"context"
	"fmt"

	"tallyd/api/access"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ access.Tenants = (*Store)(nil)

// CreateTenant implements access.Tenants.
func (s *Store) CreateTenant(ctx context.Context, tenant access.Tenant) error {
	created, err := s.queries(ctx).CreateTenant(ctx, db.CreateTenantParams{
		ID: tenant.ID, Name: tenant.Name, CreatedBy: tenant.CreatedBy, MetaData: tenant.MetaData,
	})
	if err != nil {
		return fmt.Errorf("create tenant: %w", err)
	}
	if created == 0 {
		return indexer.ErrExists
	}
	return nil
}

// Tenants implements access.Tenants.
func (s *Store) Tenants(ctx context.Context) ([]access.Tenant, error) {
	rows, err := s.queries(ctx).Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("read tenants: %w", err)
	}
	tenants := make([]access.Tenant, 0, len(rows))
	for _, row := range rows {
		tenants = append(tenants, access.Tenant{
			ID: row.ID, Name: row.Name, CreatedBy: row.CreatedBy, MetaData: row.MetaData, CreatedAt: row.CreatedAt.UTC(),
		})
	}
	return tenants, nil
}
