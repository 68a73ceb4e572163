package coinbase

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

func get[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	return venue.Read[T](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Encode()})
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	rights, err := get[map[string]json.RawMessage](ctx, a, keyPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if _, there := rights["can_view"]; !there {
		return venue.Access{}, venue.Misread("%s does not say whether the key may view", keyPath)
	}
	access := venue.Access{State: venue.State{Status: venue.AccountOpen}}
	for _, name := range slices.Sorted(maps.Keys(rights)) {
		if string(rights[name]) == "true" {
			access.Can = append(access.Can, name)
		}
	}
	var portfolio venue.Text
	if text, there := rights["portfolio_uuid"]; there && portfolio.UnmarshalJSON(text) == nil {
		access.Login = string(portfolio)
	}
	access.Verdict, access.Excess = venue.Judge(access.Can, "can_view")
	access.Lacks = venue.Lacking(access.Can, "can_view")
	return access, nil
}

// wallet is one account in Coinbase's words.
type wallet struct {
	ID      string `json:"id"`
	Name    string `json:"name"`
	Type    string `json:"type"`
	Balance *struct {
		Amount   venue.Decimal `json:"amount"`
		Currency string        `json:"currency"`
	} `json:"balance"`
	CreatedAt venue.Moment `json:"created_at"`
	UpdatedAt venue.Moment `json:"updated_at"`
}

// kind returns what the wallet is: what is staked has one of its own, told by its
// name.
func (w wallet) kind() venue.Wallet {
	switch {
	case w.Type == "vault":
		return venue.Vault
	case strings.HasPrefix(w.Name, "Staked "):
		return venue.Staking
	}
	return venue.Spot
}

// unused reports whether nothing ever happened in the wallet.
func (w wallet) unused() bool {
	return w.Balance.Amount.IsZero() && !w.CreatedAt.IsZero() && w.CreatedAt.Equal(w.UpdatedAt.Time)
}

// page is a list and where it goes on.
type page[T any] struct {
	Data       *[]T `json:"data"`
	Pagination struct {
		NextURI string `json:"next_uri"`
	} `json:"pagination"`
}

// next returns where the list goes on, "" at its end.
func (p page[T]) next() string {
	target, err := url.Parse(p.Pagination.NextURI)
	if err != nil {
		return ""
	}
	return target.Query().Get("starting_after")
}

// maxWallets is the most that one page of wallets holds.
const maxWallets = "250"

func (a *account) wallets(ctx context.Context) ([]wallet, error) {
	var all []wallet
	seen := map[string]bool{}
	for after := ""; ; {
		p, err := get[page[wallet]](ctx, a, accountsPath, venue.P("limit", maxWallets, "starting_after", after))
		if err != nil {
			return nil, err
		}
		if p.Data == nil {
			return nil, venue.Misread("%s has no wallets", accountsPath)
		}
		for _, w := range *p.Data {
			if w.Balance == nil {
				return nil, venue.Misread("a wallet has no balance")
			}
			if !seen[w.ID] {
				all = append(all, w)
			}
			seen[w.ID] = true
		}
		next := p.next()
		if next == "" || next == after || len(*p.Data) == 0 {
			return all, nil
		}
		after = next
	}
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	wallets, err := a.wallets(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	for _, w := range wallets {
		c.Add(venue.Owned(w.kind(), w.Balance.Currency, w.Balance.Amount))
	}
	return c.Balances()
}
