package bybit

import (
	"context"
	"net/http"
	"slices"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get returns the result of an answer. An answer without one is an error.
func get[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	answer, err := venue.Read[envelope[T]](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Encode()})
	if err != nil {
		return *new(T), err
	}
	if answer.RetCode == nil || answer.Result == nil {
		return *new(T), venue.Misread("%s has no result", path)
	}
	return *answer.Result, nil
}

// Check implements venue.Account. What makes a key read-only is its flag: two of
// the rights it lists are needed for reading.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	key, err := get[struct {
		UserID      venue.Text          `json:"userID"`
		ReadOnly    venue.Text          `json:"readOnly"`
		Permissions map[string][]string `json:"permissions"`
		IPs         []string            `json:"ips"`
		ExpiredAt   venue.Moment        `json:"expiredAt"`
		DeadlineDay venue.Text          `json:"deadlineDay"`
		IsMaster    *bool               `json:"isMaster"`
	}](ctx, a, keyPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if key.ReadOnly == "" {
		return venue.Access{}, venue.Misread("%s does not say whether the key is read-only", keyPath)
	}
	access := venue.Access{
		Login: string(key.UserID), Verdict: venue.ReadOnly, Unbound: len(key.IPs) == 0 || slices.Contains(key.IPs, "*"),
		State: venue.State{Status: venue.AccountOpen},
	}
	for group, rights := range key.Permissions {
		for _, right := range rights {
			access.Can = append(access.Can, group+":"+right)
		}
	}
	slices.Sort(access.Can)
	if key.ReadOnly != "1" {
		access.Verdict, access.Excess = venue.TooStrong, []string{"readOnly=" + string(key.ReadOnly)}
	}
	access.Lacks = venue.Lacking(access.Can, "Wallet:AccountTransfer", "Earn:Earn")
	if access.Unbound {
		access.Expires = key.ExpiredAt.Time
	}
	if key.IsMaster != nil && !*key.IsMaster {
		access.Warnings = append(access.Warnings, "the key is one of a sub-account, which does not see withdrawals")
	}
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	unified, err := a.unified(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(unified...)
	for _, part := range []struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}{
		{venue.Funding, a.funding},
		{venue.Earn, func(ctx context.Context) ([]venue.Holding, error) { return a.earn(ctx, "FlexibleSaving", venue.Earn) }},
		{venue.Staking, func(ctx context.Context) ([]venue.Holding, error) { return a.earn(ctx, "OnChain", venue.Staking) }},
	} {
		if err := c.Try(ctx, part.wallet, part.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

func (a *account) unified(ctx context.Context) ([]venue.Holding, error) {
	result, err := get[struct {
		List *[]struct {
			Coin []struct {
				Coin            string        `json:"coin"`
				Equity          venue.Decimal `json:"equity"` // what is owed is taken off, and what positions won or lost is in it
				WalletBalance   venue.Decimal `json:"walletBalance"`
				SpotBorrow      venue.Decimal `json:"spotBorrow"`
				BorrowAmount    venue.Decimal `json:"borrowAmount"`
				AccruedInterest venue.Decimal `json:"accruedInterest"`
				Locked          venue.Decimal `json:"locked"`
			} `json:"coin"`
		} `json:"list"`
	}](ctx, a, walletPath, venue.P("accountType", "UNIFIED"))
	if err != nil {
		return nil, err
	}
	if result.List == nil || len(*result.List) == 0 {
		return nil, venue.Misread("%s has no account", walletPath)
	}
	zero := venue.NewDecimal(0, 0)
	var holdings []venue.Holding
	for _, wallet := range *result.List {
		if wallet.Coin == nil {
			return nil, venue.Misread("%s has no coins", walletPath)
		}
		for _, b := range wallet.Coin {
			h := venue.Holding{Wallet: venue.Trading, Code: b.Coin, Locked: b.Locked, Total: b.Equity.Or(b.WalletBalance.Sub(b.SpotBorrow.Or(zero)))}
			if owed := b.BorrowAmount.Or(b.SpotBorrow).Add(b.AccruedInterest.Or(zero)); owed.Sign() > 0 {
				h.Borrowed = owed
			}
			holdings = append(holdings, h)
		}
	}
	return holdings, nil
}

func (a *account) funding(ctx context.Context) ([]venue.Holding, error) {
	result, err := get[struct {
		Balance *[]struct {
			Coin            string        `json:"coin"`
			WalletBalance   venue.Decimal `json:"walletBalance"`
			TransferBalance venue.Decimal `json:"transferBalance"`
		} `json:"balance"`
	}](ctx, a, fundPath, venue.P("accountType", "FUND"))
	if err != nil {
		return nil, err
	}
	if result.Balance == nil {
		return nil, venue.Misread("%s has no balance", fundPath)
	}
	var holdings []venue.Holding
	for _, b := range *result.Balance {
		holdings = append(holdings, venue.Holding{
			Wallet: venue.Funding, Code: b.Coin, Available: b.TransferBalance, Locked: b.WalletBalance.Sub(b.TransferBalance), Total: b.WalletBalance,
		})
	}
	return holdings, nil
}

func (a *account) earn(ctx context.Context, category string, w venue.Wallet) ([]venue.Holding, error) {
	result, err := get[struct {
		List []struct {
			Coin   string        `json:"coin"`
			Amount venue.Decimal `json:"amount"`
		} `json:"list"`
	}](ctx, a, earnPath, venue.P("category", category))
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, p := range result.List {
		holdings = append(holdings, venue.Owned(w, p.Coin, p.Amount))
	}
	return holdings, nil
}
