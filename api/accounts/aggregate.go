package accounts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

type (
	listedProvider struct {
		Name string `json:"name" example:"btc"`
		Type string `json:"type" enum:"crypto_wallet,crypto_exchange"`
		URL  string `json:"url" example:"onchain/btc"`
	}
	providersOutput struct {
		Body []listedProvider `nullable:"false"`
	}
	hintsOutput struct {
		Body []listedHint `nullable:"false"`
	}

	// listedAccount is Blockmate's Account with what it connects.
	listedAccount struct {
		ID          uuid.UUID `json:"id" format:"uuid"`
		Name        string    `json:"name" example:"btc"`
		Description string    `json:"description"`
		Verified    bool      `json:"verified"`
		Type        string    `json:"type" enum:"crypto_wallet,crypto_exchange"`
		URL         string    `json:"url" example:"onchain/btc/account/4cf7cf36-52a2-11ec-85b8-00155de33000"`
		Chain       string    `json:"chain" doc:"Empty at a venue" example:"btc"`
		Venue       string    `json:"venue,omitempty" doc:"Where it is an account at a venue" example:"kraken"`
		Kind        string    `json:"kind" enum:"address,descriptor,venue,nft"`
		Wallet      string    `json:"wallet" doc:"In canonical spelling; empty at a venue"`
		CreatedAt   stamp     `json:"created_at"`
		access.Created
	}
	accountsOutput struct {
		Body []listedAccount `nullable:"false"`
	}

	// AccountFilter narrows totals to one account.
	AccountFilter struct {
		Account string `query:"account-filter" format:"uuid" doc:"Only this account"`
	}
	totalsInput struct {
		AccountFilter
		In
	}
	accountTotals struct {
		AccountID   uuid.UUID `json:"account_id" format:"uuid"`
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Verified    bool      `json:"verified"`
		Type        string    `json:"type" enum:"crypto_wallet,crypto_exchange"`
		URL         string    `json:"url"`
		Chain       string    `json:"chain"`
		Venue       string    `json:"venue,omitempty" doc:"Where it is an account at a venue" example:"kraken"`
		Balance     []holding `json:"balance" doc:"Empty while last_sync is null, which does not mean zero" nullable:"false"`
		Pending     []pending `json:"pending" nullable:"false"`
		AsOf        *block    `json:"as_of"`
		State       state     `json:"state"`
		Converted   *worth    `json:"converted,omitempty" doc:"What balance is worth; absent unless currency asks for it, and while there is no balance"`
	}
	totalsOutput struct{ Body totals }

	aggregateTransactionsInput struct {
		AccountFilter
		Page
	}
	transactionsAccount struct {
		ID          uuid.UUID `json:"id" format:"uuid"`
		Name        string    `json:"name"`
		Description string    `json:"description"`
		Verified    bool      `json:"verified"`
		Type        string    `json:"type" enum:"crypto_wallet,crypto_exchange"`
		URL         string    `json:"url"`
		State       state     `json:"state"`
	}
	aggregateTransactionsOutput struct {
		Body struct {
			PageCursor   string                `json:"page_cursor,omitempty" doc:"cursor of the next page; absent on the last"`
			Accounts     []transactionsAccount `json:"accounts" nullable:"false"`
			Transactions []transaction         `json:"transactions" nullable:"false"`
		}
	}
)

// nestedTotals is the object of Blockmate's document.
type nestedTotals struct {
	Sum      []amount        `json:"balance_sum" doc:"By asset, over the accounts that have a balance" nullable:"false"`
	Complete bool            `json:"complete" doc:"false while an account has no balance yet: balance_sum then lacks what it holds"`
	Accounts []accountTotals `json:"accounts" nullable:"false"`

	Converted *worth `json:"converted,omitempty" doc:"What balance_sum is worth; absent unless currency asks for it"`
}

type totalsMembers struct {
	Balance nestedTotals `json:"balance"`
}

// totals is what all accounts hold together.
type totals struct {
	totalsMembers
	symbols symbols
}

// MarshalJSON writes the nested object, then SYMBOL: number.
func (t totals) MarshalJSON() ([]byte, error) { return t.symbols.splice(t.totalsMembers) }

// Schema describes the body for the OpenAPI document.
func (totals) Schema(r huma.Registry) *huma.Schema {
	return withSymbols(r, reflect.TypeFor[totalsMembers](),
		"Beside balance, SYMBOL: number with the total of all listed assets of that symbol. While complete is false these members are absent: a part is never shown as the whole.")
}

func (s *surface) mountAggregate(api huma.API) {
	operation := func(id, path, summary string) huma.Operation {
		return s.byUser(huma.Operation{
			OperationID: id, Method: http.MethodGet, Path: "/v1/aggregate/" + path, Summary: summary, Tags: []string{"Totals"},
		}, http.StatusUnauthorized)
	}
	huma.Register(api, operation("AccountProvidersList", "account_providers", "What can be connected"), s.listProviders)
	huma.Register(api, operation("AccountProviderHintsList", "account_provider_hints", "What connecting takes, for all"), s.listHints)
	huma.Register(api, operation("Accounts", "accounts", "All accounts of the user"), s.listAccounts)
	huma.Register(api, operation("Balance", "balance", "What all accounts hold"), s.totals)
	huma.Register(api, operation("Transactions", "transactions", "Transactions of all accounts"), s.aggregateTransactions)
}

func (s *surface) listProviders(ctx context.Context, _ *struct{}) (*providersOutput, error) {
	out := &providersOutput{Body: []listedProvider{}}
	for _, p := range s.Providers {
		if p.Environment == callerOf(ctx).Realm.Environment {
			out.Body = append(out.Body, listedProvider{Name: p.Chain, Type: walletType, URL: p.url()})
		}
	}
	for _, p := range s.Providers {
		if p.Environment == callerOf(ctx).Realm.Environment && p.Family == chains.FamilyEVM {
			out.Body = append(out.Body, listedProvider{Name: p.Chain, Type: walletType, URL: nftURL(p.Chain)})
		}
	}
	for _, v := range s.Venues {
		out.Body = append(out.Body, listedProvider{Name: v.Name, Type: exchangeType, URL: venueURL(v.Name)})
	}
	return out, nil
}

func (s *surface) listHints(ctx context.Context, _ *struct{}) (*hintsOutput, error) {
	out := &hintsOutput{Body: []listedHint{}}
	for _, p := range s.Providers {
		if p.Environment == callerOf(ctx).Realm.Environment {
			out.Body = append(out.Body, listedHint{
				AccountName: p.Chain, AccountType: walletType, AccountURL: p.url(), Hint: p.hint(),
			})
		}
	}
	for _, p := range s.Providers {
		if p.Environment == callerOf(ctx).Realm.Environment && p.Family == chains.FamilyEVM {
			out.Body = append(out.Body, listedHint{
				AccountName: p.Chain, AccountType: walletType, AccountURL: nftURL(p.Chain), Hint: p.nftHint(),
			})
		}
	}
	for _, v := range s.Venues {
		out.Body = append(out.Body, listedHint{
			AccountName: v.Name, AccountType: exchangeType, AccountURL: venueURL(v.Name), Hint: hintOfVenue(v, callerOf(ctx).Realm.Environment),
		})
	}
	return out, nil
}

func (s *surface) listAccounts(ctx context.Context, _ *struct{}) (*accountsOutput, error) {
	caller := callerOf(ctx)
	all, err := s.Accounts.Accounts(ctx, caller.Realm, caller.User)
	if err != nil {
		return nil, fmt.Errorf("list accounts: %w", err)
	}
	out := &accountsOutput{Body: make([]listedAccount, 0, len(all))}
	for _, a := range all {
		out.Body = append(out.Body, listedAccount{
			ID: a.ID, Name: a.Name, Description: a.Description, Type: typeOf(a),
			URL: pathOf(a), Chain: a.Chain, Venue: a.Venue, Kind: string(a.Kind), Wallet: walletOf(a), CreatedAt: stamp(a.CreatedAt),
			Created: access.CreatedBy(a.CreatedBy, a.MetaData),
		})
	}
	return out, nil
}

// typeOf returns what Blockmate calls an account.
func typeOf(a indexer.Account) string {
	if a.Kind == indexer.KindVenue {
		return exchangeType
	}
	return walletType
}

// walletOf returns the wallet of an account. That of a login is a digest of its
// key, which is nobody's business.
func walletOf(a indexer.Account) string {
	if a.Kind == indexer.KindVenue {
		return ""
	}
	return a.Wallet
}

// pathOf returns the path of an account below /v1/.
func pathOf(a indexer.Account) string {
	switch a.Kind {
	case indexer.KindVault:
		return "wallets/" + a.ID.String()
	case indexer.KindVenue:
		return pathOfVenue(a.Venue, a.ID)
	case indexer.KindNFT:
		return nftURL(a.Chain) + "/account/" + a.ID.String()
	case indexer.KindAddress, indexer.KindDescriptor:
	}
	return accountURL(a.Chain) + "/account/" + a.ID.String()
}

func (s *surface) totals(ctx context.Context, in *totalsInput) (*totalsOutput, error) {
	all, err := s.balances(ctx)
	if err != nil {
		return nil, err
	}
	venues, err := s.venueBalances(ctx)
	if err != nil {
		return nil, err
	}
	entries := make([]entry, 0, len(all)+len(venues))
	for _, b := range all {
		entries = append(entries, entryOf(b, s.evm(b.Account.Chain)))
	}
	for _, b := range venues {
		entries = append(entries, entryOfVenue(b))
	}
	entries, err = chosen(entries, in.AccountFilter, func(e entry) uuid.UUID { return e.shown.AccountID })
	if err != nil {
		return nil, err
	}
	nested := nestedTotals{Complete: true, Accounts: make([]accountTotals, 0, len(entries))}
	held := newSums()
	for _, e := range entries {
		nested.Complete = nested.Complete && e.shown.State.LastSync != nil
		for _, asset := range e.held.assets {
			held.add(asset, e.held.amounts[asset.ID])
		}
		nested.Accounts = append(nested.Accounts, e.shown)
	}
	nested.Sum = held.list()
	if err := s.convertTotals(ctx, in.Currency, &nested); err != nil {
		return nil, err
	}
	out := &totalsOutput{Body: totals{totalsMembers: totalsMembers{Balance: nested}}}
	if nested.Complete {
		out.Body.symbols = symbolsOf(held)
	}
	return out, nil
}

func (s *surface) aggregateTransactions(ctx context.Context, in *aggregateTransactionsInput) (*aggregateTransactionsOutput, error) {
	caller := callerOf(ctx)
	all, err := s.Accounts.Accounts(ctx, caller.Realm, caller.User)
	if err != nil {
		return nil, fmt.Errorf("read accounts: %w", err)
	}
	all = slices.DeleteFunc(all, func(a indexer.Account) bool { return a.Kind == indexer.KindNFT })
	all, err = chosen(all, in.AccountFilter, func(a indexer.Account) uuid.UUID { return a.ID })
	if err != nil {
		return nil, err
	}
	atVenues, err := s.venueStates(ctx, all)
	if err != nil {
		return nil, err
	}
	out := &aggregateTransactionsOutput{}
	out.Body.Accounts = make([]transactionsAccount, 0, len(all))
	var onChain, venues []uuid.UUID
	for _, a := range all {
		shown := transactionsAccount{ID: a.ID, Name: a.Name, Description: a.Description, Type: typeOf(a), URL: pathOf(a)}
		if a.Kind == indexer.KindVenue {
			now, known := atVenues[a.ID]
			if !known {
				continue // deleted a moment ago
			}
			shown.State = stateOfVenue(now)
			venues = append(venues, a.ID)
		} else {
			now, err := s.States.AccountState(ctx, a.Realm, a.ID)
			if errors.Is(err, indexer.ErrNotFound) {
				continue // deleted a moment ago
			}
			if err != nil {
				return nil, fmt.Errorf("read the state of account %s: %w", a.ID, err)
			}
			shown.State = stateOf(now, now.Height > 0)
			onChain = append(onChain, a.ID)
		}
		out.Body.Accounts = append(out.Body.Accounts, shown)
	}
	out.Body.Transactions, out.Body.PageCursor, err = s.transactions(ctx, in.Page, onChain, venues, false)
	if err != nil {
		return nil, err
	}
	return out, nil
}

// balances reads all accounts of the caller on chains, with the wallets of the
// caller's vaults.
func (s *surface) balances(ctx context.Context) ([]indexer.AccountBalance, error) {
	caller := callerOf(ctx)
	all, err := s.Balances.AccountBalances(ctx, caller.Realm, caller.User)
	if err != nil {
		return nil, fmt.Errorf("read balances: %w", err)
	}
	all = slices.DeleteFunc(all, func(b indexer.AccountBalance) bool { return b.Account.Kind == indexer.KindVenue })
	if s.Vaults != nil {
		vaults, err := s.Vaults.VaultBalances(ctx, caller.Realm, caller.User)
		if err != nil {
			return nil, fmt.Errorf("read balances of vaults: %w", err)
		}
		all = append(all, vaults...)
	}
	return all, nil
}

// chosen returns all, or the one that the filter names.
func chosen[T any](all []T, filter AccountFilter, idOf func(T) uuid.UUID) ([]T, error) {
	if filter.Account == "" {
		return all, nil
	}
	id, err := uuid.Parse(filter.Account)
	if err != nil {
		return nil, problem.Invalid("account-filter", "expected the id of an account")
	}
	for _, one := range all {
		if idOf(one) == id {
			return []T{one}, nil
		}
	}
	return nil, problem.Missing()
}
