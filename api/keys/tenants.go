package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

type (
	tenantView struct {
		ID        string    `json:"id" example:"acme"`
		Name      string    `json:"name" example:"Acme Payments"`
		CreatedAt time.Time `json:"created_at"`
		access.Created
	}
	createTenantInput struct {
		Body struct {
			ID       string          `json:"id" doc:"Up to 63 lower-case letters, digits, - and _; it never changes" example:"acme"`
			Name     string          `json:"name,omitempty" maxLength:"200" doc:"What people call it; id if left out" example:"Acme Payments"`
			MetaData access.MetaData `json:"meta_data,omitempty"`
		}
	}
	tenantOutput  struct{ Body tenantView }
	tenantsOutput struct {
		Body struct {
			Tenants []tenantView `json:"tenants" nullable:"false" doc:"Oldest first"`
		}
	}
)

func (s *surface) mountTenants(api huma.API) {
	operation := func(id, method, summary string) huma.Operation {
		op := huma.Operation{OperationID: id, Method: method, Path: "/v1/tenants", Summary: summary, Tags: []string{"Tenants"}}
		return s.Gate.Guard(op, access.Rule{Surface: access.Own, Master: true})
	}
	create := operation("CreateTenant", http.MethodPost, "Make a tenant")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.createTenant)
	huma.Register(api, operation("ListTenants", http.MethodGet, "List tenants"), s.listTenants)
}

func (s *surface) createTenant(ctx context.Context, in *createTenantInput) (*tenantOutput, error) {
	if !access.IsTenantID(in.Body.ID) {
		return nil, problem.Invalid("id", "expected "+access.TenantRule)
	}
	caller := access.From(ctx)
	meta, err := caller.Stamp(in.Body.MetaData)
	if err != nil {
		return nil, err //nolint:wrapcheck // a problem is the answer itself
	}
	tenant := access.Tenant{
		ID: in.Body.ID, Name: cmp.Or(in.Body.Name, in.Body.ID), CreatedBy: caller.Name(), MetaData: meta, CreatedAt: time.Now().UTC(),
	}
	err = s.Tenants.CreateTenant(ctx, tenant)
	if errors.Is(err, indexer.ErrExists) {
		return nil, problem.New(http.StatusConflict, problem.Exists, "there is such a tenant already").Field("id", "is taken")
	}
	if err != nil {
		return nil, fmt.Errorf("store tenant: %w", err)
	}
	return &tenantOutput{Body: tenantOf(tenant)}, nil
}

func (s *surface) listTenants(ctx context.Context, _ *struct{}) (*tenantsOutput, error) {
	all, err := s.Tenants.Tenants(ctx)
	if err != nil {
		return nil, fmt.Errorf("list tenants: %w", err)
	}
	out := &tenantsOutput{}
	out.Body.Tenants = make([]tenantView, 0, len(all))
	for _, tenant := range all {
		out.Body.Tenants = append(out.Body.Tenants, tenantOf(tenant))
	}
	return out, nil
}

func tenantOf(t access.Tenant) tenantView {
	return tenantView{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt, Created: access.CreatedBy(t.CreatedBy, t.MetaData)}
}
