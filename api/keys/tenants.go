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
	"tallyd/chains"
	"tallyd/indexer"
)

type (
	tenantView struct {
		ID        string    `json:"id" example:"acme"`
		Name      string    `json:"name" example:"Acme Payments"`
		CreatedAt time.Time `json:"created_at"`
		Assets    []string  `json:"assets" nullable:"true" doc:"What it may open wallets of custody for, by CAIP-19; null for all that is listed"`
		access.Created
	}
	createTenantInput struct {
		Body struct {
			ID       string          `json:"id" doc:"Up to 63 lower-case letters, digits, - and _; it never changes" example:"acme"`
			Name     string          `json:"name,omitempty" maxLength:"200" doc:"What people call it; id if left out" example:"Acme Payments"`
			Assets   []string        `json:"assets,omitempty" nullable:"true" maxItems:"1000" doc:"What it may open wallets of custody for, by CAIP-19; all that is listed if left out"`
			MetaData access.MetaData `json:"meta_data,omitempty"`
		}
	}
	// TenantPath names a tenant. It is exported for the router, which fills in
	// exported parts of an input only.
	TenantPath struct {
		ID string `path:"tenant" maxLength:"63" doc:"Id of the tenant"`
	}
	updateTenantInput struct {
		TenantPath
		Body struct {
			Assets []string `json:"assets" nullable:"true" maxItems:"1000" doc:"What it may open wallets of custody for, by CAIP-19; null for all that is listed. Wallets that are open stay"`
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
	operation := func(id, method, path, summary string) huma.Operation {
		op := huma.Operation{OperationID: id, Method: method, Path: "/v1/tenants" + path, Summary: summary, Tags: []string{"Tenants"}}
		return s.Gate.Guard(op, access.Rule{Surface: access.Own, Master: true})
	}
	create := operation("CreateTenant", http.MethodPost, "", "Make a tenant")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.createTenant)
	huma.Register(api, operation("ListTenants", http.MethodGet, "", "List tenants"), s.listTenants)
	huma.Register(api, operation("UpdateTenant", http.MethodPatch, "/{tenant}", "Say what a tenant may hold"), s.updateTenant)
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
		Assets: assetsOf(in.Body.Assets),
	}
	err = s.Tenants.CreateTenant(ctx, tenant)
	switch {
	case errors.Is(err, indexer.ErrExists):
		return nil, problem.New(http.StatusConflict, problem.Exists, "there is such a tenant already").Field("id", "is taken")
	case errors.Is(err, access.ErrUnlisted):
		return nil, unlisted()
	case err != nil:
		return nil, fmt.Errorf("store tenant: %w", err)
	}
	return &tenantOutput{Body: tenantOf(tenant)}, nil
}

func (s *surface) updateTenant(ctx context.Context, in *updateTenantInput) (*tenantOutput, error) {
	tenant, err := s.Tenants.SetTenantAssets(ctx, in.ID, assetsOf(in.Body.Assets))
	switch {
	case errors.Is(err, indexer.ErrNotFound):
		return nil, problem.Missing()
	case errors.Is(err, access.ErrUnlisted):
		return nil, unlisted()
	case err != nil:
		return nil, fmt.Errorf("set the assets of a tenant: %w", err)
	}
	return &tenantOutput{Body: tenantOf(tenant)}, nil
}

func unlisted() error {
	return problem.Invalid("assets", "expected assets that a chain lists, as GET /assets names them")
}

// assetsOf returns the ids of assets, nil for nil.
func assetsOf(names []string) []chains.AssetID {
	if names == nil {
		return nil
	}
	assets := make([]chains.AssetID, 0, len(names))
	for _, name := range names {
		assets = append(assets, chains.AssetID(name))
	}
	return assets
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
	view := tenantView{ID: t.ID, Name: t.Name, CreatedAt: t.CreatedAt, Created: access.CreatedBy(t.CreatedBy, t.MetaData)}
	if t.Assets != nil {
		view.Assets = make([]string, 0, len(t.Assets))
		for _, asset := range t.Assets {
			view.Assets = append(view.Assets, string(asset))
		}
	}
	return view
}
