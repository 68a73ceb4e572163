package keys

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

// Gate says who may call an operation.
type Gate interface {
	// Guard returns the operation with its rule in force.
	Guard(op huma.Operation, rule access.Rule) huma.Operation
}

// Keys keeps keys.
type Keys interface {
	access.KeyChanges

	// KeyByID returns a key of any realm, revoked and expired ones too, or
	// indexer.ErrNotFound.
	KeyByID(ctx context.Context, id string) (access.Key, error)
}

// Config is what the operations need.
type Config struct {
	Gate    Gate
	Keys    Keys
	Tenants access.Tenants
	Audit   access.AuditLog
	Pepper  access.Pepper // that new keys are hashed with
}

type surface struct{ Config }

// Mount adds the operations to an API.
func Mount(api huma.API, cfg Config) {
	s := &surface{Config: cfg}
	s.mountKeys(api, "/v1", "")
	s.mountKeys(api, "", "AsBlnk")
	s.mountTenants(api)
	s.mountAudit(api)
}

func (s *surface) mountKeys(api huma.API, prefix, suffix string) {
	operation := func(id, method, path, action, summary string) huma.Operation {
		op := huma.Operation{OperationID: id + suffix, Method: method, Path: prefix + "/api-keys" + path, Summary: summary, Tags: []string{"Keys"}}
		return s.Gate.Guard(op, access.Rule{Surface: access.Own, Scope: "api-keys:" + action})
	}
	create := operation("CreateKey", http.MethodPost, "", "write", "Make an API key")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.createKey)
	huma.Register(api, operation("ListKeys", http.MethodGet, "", "read", "List the API keys of an owner"), s.listKeys)
	revoke := operation("RevokeKey", http.MethodDelete, "/{id}", "delete", "Revoke an API key for good")
	revoke.DefaultStatus = http.StatusNoContent
	huma.Register(api, revoke, s.revokeKey)
	huma.Register(api, operation("ChangeKey", http.MethodPatch, "/{id}", "write", "Change an API key"), s.changeKey)
	rotate := operation("RotateKey", http.MethodPost, "/{id}/rotate", "write", "Give an API key a new secret")
	rotate.Description = "The one before stays good for the overlap. At most two are good at a time; with an overlap of 0 every earlier one ends now."
	huma.Register(api, rotate, s.rotateKey)
}

// caller is who administers keys: the master key, or one of a tenant's.
type caller struct {
	access.Principal
	own *access.Key // nil for the master key
}

// caller returns who is calling, with their key as it is now.
func (s *surface) caller(ctx context.Context) (caller, error) {
	c := caller{Principal: access.From(ctx)}
	if c.Master {
		return c, nil
	}
	own, err := s.Keys.KeyByID(ctx, c.KeyID)
	if err != nil {
		return c, fmt.Errorf("read the caller's key: %w", err)
	}
	c.own = &own
	return c, nil
}

// edge turns an outcome of the store into what the caller may know.
func edge(doing string, err error) error {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, indexer.ErrNotFound):
		return missingKey()
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// The texts are those that Blnk documents or sends.

func missingKey() *problem.Problem {
	return problem.New(http.StatusNotFound, problem.NotFound, "API key not found")
}

func anotherOwner() *problem.Problem {
	return problem.New(http.StatusForbidden, problem.CrossOwner, "cannot manage API keys for another owner")
}

func notItsOwner() *problem.Problem {
	return problem.New(http.StatusForbidden, problem.CrossOwner, "Unauthorized - owner doesn't match")
}

func broader(what string) *problem.Problem {
	return problem.New(http.StatusForbidden, problem.ScopeEscalation, "cannot grant "+what+" broader than caller")
}

func ownerRequired() *problem.Problem {
	p := problem.New(http.StatusBadRequest, problem.InvalidInput, "owner is required")
	return p.Field("owner", "is required")
}
