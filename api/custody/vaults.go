package custody

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

type vaultView struct {
	ID         uuid.UUID       `json:"id" format:"uuid"`
	ExternalID *string         `json:"externalId" nullable:"true" example:"cust_12345"`
	Name       string          `json:"name" example:"Alice Johnson"`
	Metadata   access.MetaData `json:"metadata"`
	UserID     *uuid.UUID      `json:"userId" format:"uuid" nullable:"true" doc:"The user whose totals the vault is part of"`
	Status     string          `json:"status" enum:"Active,Archived"`
	CreatedAt  time.Time       `json:"createdAt"`
}

func viewVault(v custody.Vault) vaultView {
	return vaultView{
		ID: v.ID, ExternalID: optional(v.ExternalID), Name: v.Name, Metadata: access.MetaData(v.Metadata), UserID: v.UserID,
		Status: string(v.Status), CreatedAt: v.CreatedAt,
	}
}

type (
	// VaultPath names a vault.
	VaultPath struct {
		Vault uuid.UUID `path:"vaultId" format:"uuid" doc:"Id of the vault"`
	}
	createVaultInput struct {
		Body struct {
			ExternalID string          `json:"externalId,omitempty" maxLength:"200" doc:"Your own name for it, unique among your vaults" example:"cust_12345"`
			Name       string          `json:"name" minLength:"1" maxLength:"200" example:"Alice Johnson"`
			Metadata   access.MetaData `json:"metadata,omitempty"`
			UserID     *uuid.UUID      `json:"userId,omitempty" format:"uuid" doc:"A user whose totals the vault becomes part of"`
		}
	}
	listVaultsInput struct {
		Page
		ExternalID string `query:"externalId" maxLength:"200" doc:"Only the one of this name"`
		Status     string `query:"status" enum:"Active,Archived" doc:"Only these"`
		UserID     string `query:"userId" format:"uuid" doc:"Only those of this user"`
	}
	vaultOutput  struct{ Body vaultView }
	vaultsOutput struct {
		Body struct {
			Vaults []vaultView `json:"vaults" nullable:"false" doc:"Oldest first"`
			Next   *string     `json:"nextCursor" nullable:"true" doc:"cursor of the next page, null if there is none"`
		}
	}
)

func (s *surface) mountVaults(api huma.API) {
	op := func(id, method, path, summary string) huma.Operation {
		return huma.Operation{OperationID: id, Method: method, Path: "/vaults" + path, Summary: summary, Tags: []string{"Vaults"}}
	}
	read, write := access.Rule{Scope: "vaults:read", Signed: true}, access.Rule{Scope: "vaults:write", Signed: true}
	create := op("CreateVault", http.MethodPost, "", "Create a vault for an end customer")
	create.DefaultStatus = http.StatusCreated
	seed(s, api, create, write, s.createVault)
	seed(s, api, op("ListVaults", http.MethodGet, "", "List vaults"), read, s.listVaults)
	seed(s, api, op("GetVault", http.MethodGet, "/{vaultId}", "Get a vault"), read, s.getVault)
	archive := op("ArchiveVault", http.MethodPost, "/{vaultId}/archive", "Archive an empty vault")
	archive.Description = "An archived vault is given no wallets, addresses or money, and gives none. What reaches its addresses all the same is credited."
	seed(s, api, archive, write, s.setStatus(custody.VaultArchived))
	seed(s, api, op("ActivateVault", http.MethodPost, "/{vaultId}/activate", "Take an archived vault back into use"), write, s.setStatus(custody.VaultActive))
}

func (s *surface) createVault(ctx context.Context, in *createVaultInput) (*vaultOutput, error) {
	if err := in.Body.Metadata.Check("metadata"); err != nil {
		return nil, err //nolint:wrapcheck // a problem is the answer itself
	}
	v := custody.Vault{
		ID: uuid.New(), Realm: realmOf(ctx), ExternalID: in.Body.ExternalID, Name: in.Body.Name,
		Metadata: json.RawMessage(in.Body.Metadata), UserID: in.Body.UserID, Status: custody.VaultActive,
		CreatedAt: time.Now().UTC().Truncate(time.Microsecond),
	}
	if len(v.Metadata) == 0 {
		v.Metadata = json.RawMessage("{}")
	}
	err := s.Vaults.CreateVault(ctx, v)
	switch {
	case errors.Is(err, custody.ErrNoUser):
		return nil, problem.Invalid("userId", "no such user")
	case errors.Is(err, indexer.ErrExists):
		return nil, problem.New(http.StatusConflict, problem.Exists, "a vault with this externalId exists").Field("externalId", "is taken")
	case errors.Is(err, indexer.ErrNotFound):
		return nil, problem.Invalid("X-Tenant", "no such tenant")
	case err != nil:
		return nil, edge("create vault", err)
	}
	return &vaultOutput{Body: viewVault(v)}, nil
}

func (s *surface) listVaults(ctx context.Context, in *listVaultsInput) (*vaultsOutput, error) {
	if err := text("externalId", in.ExternalID); err != nil {
		return nil, err
	}
	filter := custody.VaultFilter{ExternalID: in.ExternalID, Status: custody.VaultStatus(in.Status), Limit: in.Limit}
	var err error
	if filter.UserID, err = idOf("userId", in.UserID); err != nil {
		return nil, err
	}
	if filter.After, err = vaultList.place(in.Cursor); err != nil {
		return nil, err
	}
	found, next, err := s.Vaults.Vaults(ctx, realmOf(ctx), filter)
	if err != nil {
		return nil, edge("list vaults", err)
	}
	out := &vaultsOutput{}
	out.Body.Vaults, out.Body.Next = make([]vaultView, 0, len(found)), vaultList.cursor(next)
	for _, v := range found {
		out.Body.Vaults = append(out.Body.Vaults, viewVault(v))
	}
	return out, nil
}

func (s *surface) getVault(ctx context.Context, in *VaultPath) (*vaultOutput, error) {
	v, err := s.Vaults.Vault(ctx, realmOf(ctx), in.Vault)
	if err != nil {
		return nil, edge("read vault", err)
	}
	return &vaultOutput{Body: viewVault(v)}, nil
}

func (s *surface) setStatus(status custody.VaultStatus) func(context.Context, *VaultPath) (*vaultOutput, error) {
	return func(ctx context.Context, in *VaultPath) (*vaultOutput, error) {
		v, err := s.Vaults.SetVaultStatus(ctx, realmOf(ctx), in.Vault, status)
		if err != nil {
			return nil, edge("set the status of a vault", err)
		}
		return &vaultOutput{Body: viewVault(v)}, nil
	}
}

// idOf reads the id in a query parameter. It returns nil for "".
func idOf(field, text string) (*uuid.UUID, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // no filter is no error
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return nil, problem.Invalid(field, "expected an id")
	}
	return &id, nil
}
