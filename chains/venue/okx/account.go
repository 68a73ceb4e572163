package okx

import (
	"context"
	"net/http"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get returns the data of an answer, which is a list. An answer without one is an
// error.
func get[T any](ctx context.Context, a *account, path string, params venue.Params) ([]T, error) {
	answer, err := venue.Read[envelope[T]](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Encode()})
	if err != nil {
		return nil, err
	}
	if answer.Code == "" || answer.Data == nil {
		return nil, venue.Misread("%s has no data", path)
	}
	return *answer.Data, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	rows, err := get[struct {
		UID  venue.Text `json:"uid"`
		IP   string     `json:"ip"`
		Perm *string    `json:"perm"`
	}](ctx, a, configPath, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if len(rows) == 0 || rows[0].Perm == nil {
		return venue.Access{}, venue.Misread("%s has no permissions", configPath)
	}
	access := venue.Access{
		Login: string(rows[0].UID), Can: strings.Split(*rows[0].Perm, ","), Unbound: rows[0].IP == "", State: venue.State{Status: venue.AccountOpen},
	}
	access.Verdict, access.Excess = venue.Judge(access.Can, "read_only")
	access.Lacks = venue.Lacking(access.Can, "read_only")
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	trading, err := a.trading(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(trading...)
	for _, part := range []struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}{{venue.Funding, a.funding}, {venue.Earn, a.savings}, {venue.Staking, a.staking}} {
		if err := c.Try(ctx, part.wallet, part.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

func (a *account) trading(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[struct {
		Details *[]struct {
			Ccy      string        `json:"ccy"`
			Eq       venue.Decimal `json:"eq"` // what is owed is taken off, and what positions won or lost is in it
			CashBal  venue.Decimal `json:"cashBal"`
			AvailBal venue.Decimal `json:"availBal"`
			AvailEq  venue.Decimal `json:"availEq"`
			Liab     venue.Decimal `json:"liab"`
		} `json:"details"`
	}](ctx, a, tradingPath, nil)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 || rows[0].Details == nil {
		return nil, venue.Misread("%s has no details", tradingPath)
	}
	var holdings []venue.Holding
	for _, d := range *rows[0].Details {
		h := venue.Holding{Wallet: venue.Trading, Code: d.Ccy, Available: d.AvailEq.Or(d.AvailBal), Total: d.Eq.Or(d.CashBal)}
		// What is frozen may be more than what is held: orders count at a margin.
		if locked := h.Total.Sub(h.Available); locked.Sign() >= 0 {
			h.Locked = locked
		}
		if owed := d.Liab.Abs(); owed.Sign() > 0 {
			h.Borrowed = owed
		}
		holdings = append(holdings, h)
	}
	return holdings, nil
}

func (a *account) funding(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[struct {
		Ccy       string        `json:"ccy"`
		Bal       venue.Decimal `json:"bal"`
		AvailBal  venue.Decimal `json:"availBal"`
		FrozenBal venue.Decimal `json:"frozenBal"`
	}](ctx, a, fundingPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Holding{Wallet: venue.Funding, Code: r.Ccy, Available: r.AvailBal, Locked: r.FrozenBal, Total: r.Bal})
	}
	return holdings, nil
}

func (a *account) savings(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[struct {
		Ccy string        `json:"ccy"`
		Amt venue.Decimal `json:"amt"`
	}](ctx, a, savingsPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Owned(venue.Earn, r.Ccy, r.Amt))
	}
	return holdings, nil
}

func (a *account) staking(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[struct {
		InvestData []struct {
			Ccy string        `json:"ccy"`
			Amt venue.Decimal `json:"amt"`
		} `json:"investData"`
	}](ctx, a, stakingPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, order := range rows {
		for _, part := range order.InvestData {
			holdings = append(holdings, venue.Held(venue.Staking, part.Ccy, venue.NewDecimal(0, 0), part.Amt))
		}
	}
	return holdings, nil
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	rows, err := get[struct {
		Details struct {
			Earn    venue.Decimal `json:"earn"`
			Funding venue.Decimal `json:"funding"`
			Trading venue.Decimal `json:"trading"`
		} `json:"details"`
		TotalBal venue.Decimal `json:"totalBal"`
	}](ctx, a, valuationPath, venue.P("ccy", "BTC"))
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, venue.Misread("%s has no value", valuationPath)
	}
	return []venue.Worth{
		{Code: "BTC", Total: rows[0].TotalBal},
		{Wallet: venue.Trading, Code: "BTC", Total: rows[0].Details.Trading},
		{Wallet: venue.Funding, Code: "BTC", Total: rows[0].Details.Funding},
		{Wallet: venue.Earn, Code: "BTC", Total: rows[0].Details.Earn},
	}, nil
}
