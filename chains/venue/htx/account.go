package htx

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get returns the data of an answer. An answer without data is an error.
func get[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	answer, err := venue.Read[struct {
		Status string      `json:"status"`
		Code   json.Number `json:"code"`
		Data   *T          `json:"data"`
	}](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Encode()})
	if err != nil {
		return *new(T), err
	}
	if answer.Status == "" && answer.Code == "" || answer.Data == nil {
		return *new(T), venue.Misread("%s has no data", path)
	}
	return *answer.Data, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	uid, err := get[venue.Text](ctx, a, uidPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	own := a.s.Credentials().Get(venue.FieldKey)
	keys, err := get[[]struct {
		AccessKey   string     `json:"accessKey"`
		Status      string     `json:"status"`
		Permission  string     `json:"permission"` // readOnly,trade
		IPAddresses string     `json:"ipAddresses"`
		ValidDays   venue.Text `json:"validDays"`
	}](ctx, a, keyPath, venue.P("uid", string(uid), "accessKey", own))
	if err != nil {
		return venue.Access{}, err
	}
	for _, key := range keys {
		if key.AccessKey != own {
			continue
		}
		access := venue.Access{
			Login: string(uid), Can: strings.Split(key.Permission, ","), Unbound: key.IPAddresses == "", State: venue.State{Status: venue.AccountOpen},
		}
		access.Verdict, access.Excess = venue.Judge(access.Can, "readOnly")
		access.Lacks = venue.Lacking(access.Can, "readOnly")
		if days, err := time.ParseDuration(string(key.ValidDays) + "h"); err == nil && days > 0 {
			access.Expires = a.s.Now().Add(days * 24).Truncate(24 * time.Hour)
		}
		return access, nil
	}
	return venue.Access{}, venue.Misread("%s does not show the key that asks", keyPath)
}

// part is one account in HTX's words: a wallet.
type part struct {
	ID      venue.Text `json:"id"`
	Type    string     `json:"type"`
	Subtype string     `json:"subtype"`
	State   string     `json:"state"`
}

func (p part) wallet() venue.Wallet {
	switch p.Type {
	case "spot":
		return venue.Spot
	case "otc":
		return venue.Funding
	case "super-margin":
		return venue.Margin
	case "margin":
		return venue.Isolated
	case "deposit-earning":
		return venue.Earn
	}
	return venue.Other
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	parts, err := get[[]part](ctx, a, accountsPath, nil)
	if err != nil {
		return venue.Balances{}, err
	}
	if len(parts) == 0 {
		return venue.Balances{}, venue.Misread("%s has no accounts", accountsPath)
	}
	for _, p := range parts {
		if p.ID == "" || p.Type == "" {
			return venue.Balances{}, venue.Misread("an account has no id")
		}
		if p.Type == "point" {
			continue // vouchers for fees, which are nobody's asset
		}
		if p.Type == "spot" {
			holdings, err := a.balance(ctx, p)
			if err != nil {
				return venue.Balances{}, err
			}
			c.Add(holdings...)
			continue
		}
		err := c.Try(ctx, p.wallet(), func(ctx context.Context) ([]venue.Holding, error) { return a.balance(ctx, p) })
		if err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

// balance returns what one account holds. HTX lists what is free, frozen and owed
// of a coin as rows of their own.
func (a *account) balance(ctx context.Context, p part) ([]venue.Holding, error) {
	answer, err := get[struct {
		List *[]struct {
			Currency string        `json:"currency"`
			Type     string        `json:"type"`
			Balance  venue.Decimal `json:"balance"`
		} `json:"list"`
	}](ctx, a, strings.Replace(balancePath, "{id}", string(p.ID), 1), nil)
	if err != nil {
		return nil, err
	}
	if answer.List == nil {
		return nil, venue.Misread("%s has no list", balancePath)
	}
	var holdings []venue.Holding
	zero := venue.NewDecimal(0, 0)
	for _, row := range *answer.List {
		h := venue.Holding{Wallet: p.wallet(), Code: row.Currency, Available: zero, Locked: zero, Total: row.Balance}
		switch row.Type {
		case "trade":
			h.Available = row.Balance
		case "loan", "interest":
			h.Borrowed, h.Total = row.Balance.Abs(), row.Balance.Abs().Neg()
		case "loan-available", "transfer-out-available":
			continue // what could be, and not what is
		default:
			h.Locked = row.Balance
		}
		if !row.Balance.Known() {
			return nil, venue.Misread("%s has no balance", row.Currency)
		}
		holdings = append(holdings, h)
	}
	return holdings, nil
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	answer, err := get[struct {
		Balance venue.Decimal `json:"balance"`
	}](ctx, a, valuationPath, venue.P("accountType", "spot", "valuationCurrency", "BTC"))
	if err != nil {
		return nil, err
	}
	return []venue.Worth{{Wallet: venue.Spot, Code: "BTC", Total: answer.Balance}}, nil
}
