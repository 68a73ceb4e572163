package keys

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

type (
	createKeyInput struct {
		Body struct {
			Name          string          `json:"name" minLength:"1" maxLength:"200" doc:"What it is for" example:"Mobile App Production"`
			Owner         string          `json:"owner,omitempty" maxLength:"200" doc:"Whose it is: a team, a service. Required; a key makes keys for its own owner only" example:"mobile-team"`
			Scopes        []string        `json:"scopes" minItems:"1" maxItems:"100" nullable:"false" doc:"resource:action, either of which may be *; none that the caller lacks"`
			ExpiresAt     *time.Time      `json:"expires_at,omitempty" nullable:"true" doc:"Never if left out" example:"2030-12-31T23:59:59Z"`
			Kind          access.Kind     `json:"kind,omitempty" enum:"bearer,signed" default:"bearer" doc:"bearer: the key is sent. signed: each request is signed with its secret, which is never sent"`
			Tenant        string          `json:"tenant,omitempty" doc:"The caller's if left out; the master key may name another"`
			Environment   string          `json:"environment,omitempty" enum:"live,test" doc:"The caller's if left out; the master key may name the other"`
			Addresses     []string        `json:"addresses,omitempty" maxItems:"100" doc:"Networks or addresses it may be used from; everywhere, or as the caller's key, if left out"`
			PerMinute     *int            `json:"per_minute,omitempty" minimum:"0" maximum:"10000000" doc:"Its budget of requests, which the master key sets; 0 for the default"`
			UnsignedQuery bool            `json:"unsigned_query,omitempty" doc:"Signatures leave out the query"`
			MetaData      access.MetaData `json:"meta_data,omitempty"`
		}
	}
	newKeyOutput struct{ Body NewKeyView }
)

func (s *surface) createKey(ctx context.Context, in *createKeyInput) (*newKeyOutput, error) {
	c, err := s.caller(ctx)
	if err != nil {
		return nil, err
	}
	request, err := c.request(in)
	if err != nil {
		return nil, err
	}
	key, text, err := access.NewKey(s.Pepper, request, time.Now())
	if err != nil {
		return nil, fmt.Errorf("make key: %w", err)
	}
	if err := c.covers(key); err != nil {
		return nil, err
	}
	err = s.Keys.CreateKey(ctx, key)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, problem.Invalid("tenant", "no such tenant")
	}
	if err != nil {
		return nil, fmt.Errorf("store key: %w", err)
	}
	return &newKeyOutput{Body: shown(key, text)}, nil
}

// request returns what the caller asks for, or the problem with it.
func (c caller) request(in *createKeyInput) (access.Request, error) {
	b := &in.Body
	request := access.Request{
		Realm: indexer.Realm{
			Tenant:      cmp.Or(b.Tenant, c.Realm.Tenant),
			Environment: cmp.Or(chains.Environment(b.Environment), c.Realm.Environment),
		},
		Owner: b.Owner, Name: b.Name, Kind: b.Kind, Scopes: b.Scopes, ExpiresAt: utc(b.ExpiresAt), UnsignedQuery: b.UnsignedQuery,
		CreatedBy: c.Name(),
	}
	switch {
	case b.Owner == "":
		return request, ownerRequired()
	case c.own != nil && b.Owner != c.own.Owner:
		return request, anotherOwner()
	case c.own != nil && request.Realm != c.Realm:
		return request, problem.Invalid("tenant", "a key makes keys of its own tenant and environment only")
	case !access.IsTenantID(request.Realm.Tenant):
		return request, problem.Invalid("tenant", "expected "+access.TenantRule)
	case b.UnsignedQuery && b.Kind != access.Signed:
		return request, problem.Invalid("unsigned_query", "is for signed keys")
	}
	if err := errors.Join(checkText("name", b.Name), checkText("owner", b.Owner), checkScopes(b.Scopes), checkExpiry(b.ExpiresAt)); err != nil {
		return request, first(err)
	}
	if c.own != nil {
		request.Addresses, request.PerMinute = slices.Clone(c.own.Addresses), c.own.PerMinute
	}
	var err error
	if len(b.Addresses) > 0 {
		if request.Addresses, err = addresses(b.Addresses); err != nil {
			return request, err
		}
	}
	if b.PerMinute != nil {
		if err := c.mayBudget(*b.PerMinute); err != nil {
			return request, err
		}
		request.PerMinute = *b.PerMinute
	}
	request.MetaData, err = c.Stamp(b.MetaData)
	return request, err //nolint:wrapcheck // a problem is the answer itself
}

// first returns the first of joined problems: an answer is one.
func first(err error) error {
	p, _ := errors.AsType[*problem.Problem](err)
	return p
}

// checkText returns a problem if a text is only space.
func checkText(field, text string) error {
	if strings.TrimSpace(text) == "" {
		return problem.Invalid(field, "is blank")
	}
	return nil
}

func checkScopes(scopes []string) error {
	for i, scope := range scopes {
		if access.CheckScope(scope) != nil {
			return problem.Invalid("scopes", "entry "+strconv.Itoa(i)+" is not resource:action, or names an unknown resource or action")
		}
	}
	return nil
}

func checkExpiry(at *time.Time) error {
	if at != nil && !time.Now().Before(*at) {
		return problem.Invalid("expires_at", "lies in the past")
	}
	return nil
}
