package accounts

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

type (
	// ProviderPath names a chain. Like the other parts of inputs it is exported
	// for the router, which fills in exported parts only.
	ProviderPath struct {
		Chain string `path:"chain" maxLength:"64" doc:"Slug of a chain, or a common name of it: btc, bitcoin" example:"btc"`
	}

	// AccountPath names an account on a chain.
	AccountPath struct {
		ProviderPath
		ID uuid.UUID `path:"account_id" format:"uuid" doc:"Id of the account"`
	}
	connectBody struct {
		Wallet      string `json:"wallet" minLength:"1" maxLength:"10000" doc:"Address, extended public key or output descriptor; for NFTs an address" example:"bc1qxy2kgdygjrsqtzq2n0yrf2493p83kkfjhx0wlh"`
		Description string `json:"description,omitempty" maxLength:"1000" example:"My savings"`
		Name        string `json:"name,omitempty" maxLength:"200" doc:"The chain's slug if left out" example:"savings"`

		MetaData access.MetaData `json:"meta_data,omitempty"`
	}
	connectInput struct {
		ProviderPath
		Body connectBody
	}
	connected struct {
		ID          uuid.UUID `json:"id" format:"uuid"`
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Verified    bool      `json:"verified" doc:"Always false: connecting proves no ownership"`
		access.Created
	}
	connectOutput struct{ Body connected }
	hintOutput    struct {
		Status int
		Body   hintOrNot
	}
)

// hintOrNot is a hint, or what Blockmate answers for an unknown provider.
type hintOrNot struct {
	Hint
	missing bool
}

// MarshalJSON writes the hint, or the status not_found.
func (h hintOrNot) MarshalJSON() ([]byte, error) {
	if h.missing {
		return []byte(`{"status":"not_found"}`), nil
	}
	raw, err := json.Marshal(h.Hint)
	if err != nil {
		return nil, fmt.Errorf("encode hint: %w", err)
	}
	return raw, nil
}

func (s *surface) mountConnect(api huma.API) {
	operation := func(id, method, summary string) huma.Operation {
		return s.byUser(huma.Operation{
			OperationID: id, Method: method, Path: "/v1/onchain/{chain}/connect", Summary: summary, Tags: []string{"Accounts"},
		}, http.StatusForbidden)
	}
	hint := operation("GetAccountHint", http.MethodGet, "What connecting takes")
	hint.Description = `An unknown chain is answered with 404 and {"status":"not_found"}.`
	huma.Register(api, hint, s.connectHint)
	huma.Register(api, operation("ConnectAccount", http.MethodPost, "Connect an account"), s.connect)
}

func (s *surface) mountAccounts(api huma.API) {
	operation := func(id, method, path, summary string) huma.Operation {
		return s.byUser(huma.Operation{
			OperationID: id, Method: method, Path: "/v1/onchain/{chain}/account/{account_id}" + path, Summary: summary, Tags: []string{"Accounts"},
		}, http.StatusForbidden)
	}
	huma.Register(api, operation("DeleteAccount", http.MethodDelete, "", "Disconnect an account"), s.deleteAccount)
	balance := operation("AccountBalance", http.MethodGet, "/balance", "Balance of one account")
	balance.Description = "Waits up to two seconds for the first balance of an account that was just connected."
	huma.Register(api, balance, s.balance)
	huma.Register(api, operation("AccountTransactions", http.MethodGet, "/transactions", "Transactions of one account"), s.accountTransactions)
}

func (s *surface) connectHint(ctx context.Context, in *ProviderPath) (*hintOutput, error) {
	p, known := s.provider(in.Chain, callerOf(ctx).Realm.Environment)
	if !known {
		return &hintOutput{Status: http.StatusNotFound, Body: hintOrNot{missing: true}}, nil
	}
	return &hintOutput{Status: http.StatusOK, Body: hintOrNot{Hint: p.hint()}}, nil
}

func (s *surface) connect(ctx context.Context, in *connectInput) (*connectOutput, error) {
	p, known := s.provider(in.Chain, callerOf(ctx).Realm.Environment)
	if !known {
		return nil, problem.Missing()
	}
	return s.connectTo(ctx, indexer.Connecting{Chain: p.Chain}, in.Body)
}

// connectTo connects what the caller typed.
func (s *surface) connectTo(ctx context.Context, asked indexer.Connecting, body connectBody) (*connectOutput, error) {
	caller := callerOf(ctx)
	meta, err := caller.Stamp(body.MetaData)
	if err != nil {
		return nil, err //nolint:wrapcheck // a problem is the answer itself
	}
	asked.Realm, asked.User, asked.CreatedBy, asked.MetaData = caller.Realm, caller.User, caller.Name(), meta
	asked.Wallet, asked.Name, asked.Description = body.Wallet, cmp.Or(body.Name, asked.Chain), body.Description
	a, err := s.Connections.Connect(ctx, asked)
	if errors.Is(err, indexer.ErrNotFound) {
		return nil, s.whoIsMissing(ctx, caller)
	}
	if err != nil {
		return nil, edge("connect account", err)
	}
	return &connectOutput{Body: connected{
		ID: a.ID, Name: a.Name, Description: a.Description, Created: access.CreatedBy(a.CreatedBy, a.MetaData),
	}}, nil
}

// whoIsMissing tells a token that has outlived its user from a chain whose nodes
// have not answered since the start.
func (s *surface) whoIsMissing(ctx context.Context, caller access.Principal) error {
	_, err := s.Users.User(ctx, caller.Realm, caller.User)
	if errors.Is(err, indexer.ErrNotFound) {
		return access.BadToken(http.StatusForbidden)
	}
	if err != nil {
		return fmt.Errorf("read user: %w", err)
	}
	return problem.New(http.StatusServiceUnavailable, problem.Unavailable, "the chain's nodes have not answered yet")
}

func (s *surface) deleteAccount(ctx context.Context, in *AccountPath) (*done, error) {
	_, account, err := s.account(ctx, in)
	if err != nil {
		return nil, err
	}
	if err := s.Accounts.DeleteAccount(ctx, account.Realm, account.ID); err != nil {
		return nil, edge("delete account", err)
	}
	return ok(), nil
}

// path returns the provider and the account id that a path names.
func (s *surface) path(ctx context.Context, in *AccountPath) (Provider, uuid.UUID, error) {
	p, known := s.provider(in.Chain, callerOf(ctx).Realm.Environment)
	if !known {
		return Provider{}, uuid.Nil, problem.Missing()
	}
	return p, in.ID, nil
}

// account returns the account that a path names, if it is the caller's and on
// the chain the path names.
func (s *surface) account(ctx context.Context, in *AccountPath) (Provider, indexer.Account, error) {
	p, id, err := s.path(ctx, in)
	if err != nil {
		return Provider{}, indexer.Account{}, err
	}
	caller := callerOf(ctx)
	account, err := s.Accounts.Account(ctx, caller.Realm, id)
	if err != nil {
		return Provider{}, indexer.Account{}, edge("read account", err)
	}
	if account.UserID != caller.User || account.Chain != p.Chain || account.Kind == indexer.KindNFT {
		return Provider{}, indexer.Account{}, problem.Missing()
	}
	return p, account, nil
}

// evm reports whether a chain spells hashes with 0x. A chain that is no longer
// configured does not.
func (s *surface) evm(chain string) bool {
	for _, p := range s.Providers {
		if p.Chain == chain {
			return p.Family == chains.FamilyEVM
		}
	}
	return false
}
