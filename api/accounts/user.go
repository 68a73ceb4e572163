package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

// callerOf returns who the gate let in.
func callerOf(ctx context.Context) access.Principal { return access.From(ctx) }

// user is Blockmate's User, with who created it.
type user struct {
	ID   uuid.UUID `json:"uuid" format:"uuid"`
	Name string    `json:"name" example:"some-name"`
	access.Created
}

func userOf(u indexer.User) user {
	return user{ID: u.ID, Name: u.Name, Created: access.CreatedBy(u.CreatedBy, u.MetaData)}
}

type (
	// UserPath names a user. It is exported for the router, which fills in
	// exported parts of an input only.
	UserPath struct {
		ID uuid.UUID `path:"id" format:"uuid" doc:"Id of the user"`
	}
	createUserInput struct {
		Body struct {
			Name     string          `json:"name" minLength:"1" maxLength:"200" doc:"For your own use" example:"some-name"`
			MetaData access.MetaData `json:"meta_data,omitempty"`
		}
	}
	renameUserInput struct {
		UserPath
		Body struct {
			Name string `json:"name" minLength:"1" maxLength:"200" doc:"For your own use" example:"some-name"`
		}
	}
	userOutput  struct{ Body user }
	usersOutput struct {
		Body []user `nullable:"false"`
	}
	tokenOutput struct {
		Body struct {
			Token string `json:"token" doc:"JWT for the header Authorization: Bearer, good for 15 minutes"`
		}
	}
)

func (s *surface) mountUsers(api huma.API) {
	operation := func(id, method, path, action, summary string) huma.Operation {
		return s.byKey(huma.Operation{OperationID: id, Method: method, Path: path, Summary: summary, Tags: []string{"Users"}}, action)
	}
	create := operation("CreateUser", http.MethodPost, "/v1/users", "create", "Create a user")
	create.DefaultStatus = http.StatusCreated
	huma.Register(api, create, s.createUser)
	huma.Register(api, operation("ListUsers", http.MethodGet, "/v1/users", "read", "List users"), s.listUsers)
	huma.Register(api, operation("GetUser", http.MethodGet, "/v1/users/{id}", "read", "Get a user"), s.getUser)
	huma.Register(api, operation("UpdateUser", http.MethodPost, "/v1/users/{id}", "write", "Rename a user"), s.renameUser)
	huma.Register(api, operation("DeleteUser", http.MethodDelete, "/v1/users/{id}", "delete", "Delete a user and all accounts"), s.deleteUser)
	huma.Register(api, operation("AuthenticateUser", http.MethodGet, "/v1/users/{id}/auth", "write", "Get a token for a user"), s.authenticateUser)
}

func (s *surface) createUser(ctx context.Context, in *createUserInput) (*userOutput, error) {
	caller := callerOf(ctx)
	meta, err := caller.Stamp(in.Body.MetaData)
	if err != nil {
		return nil, err //nolint:wrapcheck // a problem is the answer itself
	}
	u := indexer.User{
		ID: uuid.New(), Realm: caller.Realm, Name: in.Body.Name, CreatedAt: time.Now().UTC(), CreatedBy: caller.Name(), MetaData: meta,
	}
	err = s.Users.CreateUser(ctx, u)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, problem.Invalid("X-Tenant", "no such tenant")
	}
	if err != nil {
		return nil, fmt.Errorf("create user: %w", err)
	}
	return &userOutput{Body: userOf(u)}, nil
}

func (s *surface) listUsers(ctx context.Context, _ *struct{}) (*usersOutput, error) {
	all, err := s.Users.Users(ctx, callerOf(ctx).Realm)
	if err != nil {
		return nil, fmt.Errorf("list users: %w", err)
	}
	list := make([]user, 0, len(all))
	for _, u := range all {
		list = append(list, userOf(u))
	}
	return &usersOutput{Body: list}, nil
}

func (s *surface) getUser(ctx context.Context, in *UserPath) (*userOutput, error) {
	u, err := s.Users.User(ctx, callerOf(ctx).Realm, in.ID)
	if err != nil {
		return nil, edge("read user", err)
	}
	return &userOutput{Body: userOf(u)}, nil
}

func (s *surface) renameUser(ctx context.Context, in *renameUserInput) (*userOutput, error) {
	u, err := s.UserChanges.RenameUser(ctx, callerOf(ctx).Realm, in.ID, in.Body.Name)
	if err != nil {
		return nil, edge("rename user", err)
	}
	return &userOutput{Body: userOf(u)}, nil
}

func (s *surface) deleteUser(ctx context.Context, in *UserPath) (*done, error) {
	if err := s.UserChanges.DeleteUser(ctx, callerOf(ctx).Realm, in.ID); err != nil {
		return nil, edge("delete user", err)
	}
	return ok(), nil
}

func (s *surface) authenticateUser(ctx context.Context, in *UserPath) (*tokenOutput, error) {
	u, err := s.Users.User(ctx, callerOf(ctx).Realm, in.ID)
	if err != nil {
		return nil, edge("read user", err)
	}
	out := &tokenOutput{}
	if out.Body.Token, err = s.Gate.Tokens().Issue(u.Realm, u.ID); err != nil {
		return nil, fmt.Errorf("issue token: %w", err)
	}
	return out, nil
}
