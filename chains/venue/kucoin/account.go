package kucoin

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get returns the data of an answer. An answer without data is an error.
func get[T any](ctx context.Context, a *account, host, path string, params venue.Params) (T, error) {
	answer, err := venue.Read[envelope[T]](ctx, a.s, venue.Request{Method: http.MethodGet, Host: host, Path: path, Query: params.Encode()})
	if err != nil {
		return *new(T), err
	}
	if answer.Code == "" || answer.Data == nil {
		return *new(T), venue.Misread("%s has no data", path)
	}
	return *answer.Data, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	key, err := get[struct {
		UID         venue.Text   `json:"uid"`
		Permission  *string      `json:"permission"` // General,Spot
		IPWhitelist string       `json:"ipWhitelist"`
		ExpiredAt   venue.Moment `json:"expiredAt"`
		IsMaster    *bool        `json:"isMaster"`
	}](ctx, a, "", keyPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if key.Permission == nil {
		return venue.Access{}, venue.Misread("%s has no permission", keyPath)
	}
	access := venue.Access{
		Login: string(key.UID), Can: strings.Split(*key.Permission, ","), Unbound: key.IPWhitelist == "", Expires: key.ExpiredAt.Time,
		State: venue.State{Status: venue.AccountOpen},
	}
	access.Verdict, access.Excess = venue.Judge(access.Can, "General")
	access.Lacks = venue.Lacking(access.Can, "General")
	if key.IsMaster != nil && !*key.IsMaster {
		access.Warnings = append(access.Warnings, "the key is one of a sub-account: the master's balances are not in it")
	}
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	wallets, err := a.accounts(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(wallets...)
	for _, part := range []struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}{
		{venue.Margin, a.margin},
		{venue.Isolated, a.isolated},
		{venue.Earn, a.earn},
		{venue.Futures, func(ctx context.Context) ([]venue.Holding, error) { return a.futures(ctx, "USDT", venue.Futures) }},
		{venue.Inverse, func(ctx context.Context) ([]venue.Holding, error) { return a.futures(ctx, "XBT", venue.Inverse) }},
		{venue.Trading, a.unified},
	} {
		if err := c.Try(ctx, part.wallet, part.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

// accounts returns all wallets but those of margin, which are read where what is
// owed is shown too.
func (a *account) accounts(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Currency  string        `json:"currency"`
		Type      string        `json:"type"`
		Balance   venue.Decimal `json:"balance"`
		Available venue.Decimal `json:"available"`
		Holds     venue.Decimal `json:"holds"`
	}](ctx, a, "", accountsPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		w := kindOf(r.Type)
		if w == venue.Margin || w == venue.Isolated {
			continue
		}
		holdings = append(holdings, venue.Holding{Wallet: w, Code: r.Currency, Available: r.Available, Locked: r.Holds, Total: r.Balance})
	}
	_, err = venue.Gather(holdings) // a row without a balance is no empty wallet
	return holdings, err
}

// owed is what a margin wallet holds and owes of one asset.
type owed struct {
	Currency  string        `json:"currency"`
	Total     venue.Decimal `json:"total"`
	Available venue.Decimal `json:"available"`
	Hold      venue.Decimal `json:"hold"`
	Liability venue.Decimal `json:"liability"`
}

func (o owed) holding(w venue.Wallet) venue.Holding {
	return venue.Holding{Wallet: w, Code: o.Currency, Available: o.Available, Locked: o.Hold, Borrowed: o.Liability, Total: o.Total.Sub(o.Liability)}
}

func (a *account) margin(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Accounts *[]owed `json:"accounts"`
	}](ctx, a, "", marginPath, nil)
	if err != nil {
		return nil, err
	}
	if answer.Accounts == nil {
		return nil, venue.Misread("%s has no accounts", marginPath)
	}
	var holdings []venue.Holding
	for _, o := range *answer.Accounts {
		holdings = append(holdings, o.holding(venue.Margin))
	}
	return holdings, nil
}

func (a *account) isolated(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Assets *[]struct {
			BaseAsset  owed `json:"baseAsset"`
			QuoteAsset owed `json:"quoteAsset"`
		} `json:"assets"`
	}](ctx, a, "", isolatedPath, nil)
	if err != nil {
		return nil, err
	}
	if answer.Assets == nil {
		return nil, venue.Misread("%s has no assets", isolatedPath)
	}
	var holdings []venue.Holding
	for _, pair := range *answer.Assets {
		holdings = append(holdings, pair.BaseAsset.holding(venue.Isolated), pair.QuoteAsset.holding(venue.Isolated))
	}
	return holdings, nil
}

func (a *account) earn(ctx context.Context) ([]venue.Holding, error) {
	var holdings []venue.Holding
	for number := 1; ; number++ {
		answer, err := get[struct {
			Items *[]struct {
				Currency   string        `json:"currency"`
				HoldAmount venue.Decimal `json:"holdAmount"`
			} `json:"items"`
			TotalPage int `json:"totalPage"`
		}](ctx, a, "", earnPath, venue.P("currentPage", strconv.Itoa(number), "pageSize", "500"))
		if err != nil {
			return nil, err
		}
		if answer.Items == nil {
			return nil, venue.Misread("%s has no items", earnPath)
		}
		for _, item := range *answer.Items {
			holdings = append(holdings, venue.Owned(venue.Earn, item.Currency, item.HoldAmount))
		}
		if number >= answer.TotalPage || len(*answer.Items) == 0 {
			return holdings, nil
		}
	}
}

func (a *account) futures(ctx context.Context, currency string, w venue.Wallet) ([]venue.Holding, error) {
	o, err := get[struct {
		Currency         string        `json:"currency"`
		AccountEquity    venue.Decimal `json:"accountEquity"` // what positions won or lost is in it
		AvailableBalance venue.Decimal `json:"availableBalance"`
	}](ctx, a, futures, futuresPath, venue.P("currency", currency))
	if err != nil {
		return nil, err
	}
	return []venue.Holding{{Wallet: w, Code: o.Currency, Available: o.AvailableBalance, Total: o.AccountEquity}}, nil
}

// unified tells whether the account is a unified one, which has questions of its
// own.
func (a *account) unified(ctx context.Context) ([]venue.Holding, error) {
	mode, err := get[json.RawMessage](ctx, a, "", modePath, nil)
	if reason := venue.ReasonOf(err); reason == venue.Refused || reason == venue.PermissionMissing {
		return nil, nil // not asked of every account
	}
	if err != nil {
		return nil, err
	}
	if strings.Contains(strings.ToUpper(string(mode)), "UNIFIED") {
		return nil, venue.Say(venue.NotRead, "", "a unified account is not read")
	}
	return nil, nil
}
