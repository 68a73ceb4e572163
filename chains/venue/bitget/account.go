package bitget

import (
	"context"
	"net/http"
	"strings"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get returns the data of an answer. An answer without data is an error.
func get[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	answer, err := venue.Read[envelope[T]](ctx, a.s, venue.Request{Method: http.MethodGet, Path: path, Query: params.Sorted().Encode()})
	if err != nil {
		return *new(T), err
	}
	if answer.Code == "" || answer.Data == nil {
		return *new(T), venue.Misread("%s has no data", path)
	}
	return *answer.Data, nil
}

// reading are the rights that only read: of orders and positions in contracts, of
// orders and wallets at the spot market, of margin, of transfers, of withdrawals, of
// taxes.
func reading() []string {
	return []string{"readonly", "coor", "cpor", "stor", "smor", "ttor", "wtor", "taxr"}
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	info, err := get[struct {
		UserID      venue.Text `json:"userId"`
		IPs         string     `json:"ips"`
		Authorities *[]string  `json:"authorities"`
	}](ctx, a, infoPath, nil)
	if venue.ReasonOf(err) == venue.AccountMode {
		// A unified account cannot be asked about its key in this way. That the
		// key holds is seen at the balance.
		_, err = a.Balances(ctx)
		return venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}, err
	}
	if err != nil {
		return venue.Access{}, err
	}
	if info.Authorities == nil {
		return venue.Access{}, venue.Misread("%s has no authorities", infoPath)
	}
	access := venue.Access{Login: string(info.UserID), Can: *info.Authorities, Unbound: info.IPs == "", State: venue.State{Status: venue.AccountOpen}}
	access.Verdict, access.Excess = venue.Judge(access.Can, reading()...)
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	type part struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}
	parts := []part{
		{venue.Funding, func(ctx context.Context) ([]venue.Holding, error) { return a.funding(ctx, fundingPath) }},
		{venue.Earn, a.earn},
		{venue.Margin, func(ctx context.Context) ([]venue.Holding, error) { return a.margin(ctx, crossedPath, venue.Margin) }},
		{venue.Isolated, func(ctx context.Context) ([]venue.Holding, error) { return a.margin(ctx, isolatedPath, venue.Isolated) }},
		{venue.Futures, a.futures},
		{venue.Inverse, func(ctx context.Context) ([]venue.Holding, error) {
			return a.contracts(ctx, "COIN-FUTURES", venue.Inverse)
		}},
	}
	main, err := a.spot(ctx)
	if venue.ReasonOf(err) == venue.AccountMode {
		main, err = a.unified(ctx)
		parts = []part{
			{venue.Funding, func(ctx context.Context) ([]venue.Holding, error) { return a.funding(ctx, unifiedFundPath) }},
			{venue.Earn, a.earn},
		}
	}
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(main...)
	for _, p := range parts {
		if err := c.Try(ctx, p.wallet, p.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

func (a *account) spot(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Coin      string        `json:"coin"`
		Available venue.Decimal `json:"available"`
		Frozen    venue.Decimal `json:"frozen"`
		Locked    venue.Decimal `json:"locked"`
	}](ctx, a, spotPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Held(venue.Spot, strings.ToUpper(r.Coin), r.Available, r.Frozen.Add(r.Locked.Or(venue.NewDecimal(0, 0)))))
	}
	_, err = venue.Gather(holdings) // a row without a balance is no empty wallet
	return holdings, err
}

func (a *account) unified(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Assets *[]struct {
			Coin      string        `json:"coin"`
			Equity    venue.Decimal `json:"equity"` // what is owed is taken off
			Available venue.Decimal `json:"available"`
			Locked    venue.Decimal `json:"locked"`
			Debt      venue.Decimal `json:"debt"`
		} `json:"assets"`
	}](ctx, a, unifiedPath, nil)
	if err != nil {
		return nil, err
	}
	if answer.Assets == nil {
		return nil, venue.Misread("%s has no assets", unifiedPath)
	}
	var holdings []venue.Holding
	for _, b := range *answer.Assets {
		holdings = append(holdings, venue.Holding{Wallet: venue.Trading, Code: b.Coin, Available: b.Available, Locked: b.Locked, Borrowed: b.Debt, Total: b.Equity})
	}
	return holdings, nil
}

func (a *account) funding(ctx context.Context, path string) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Coin      string        `json:"coin"`
		Available venue.Decimal `json:"available"`
		Frozen    venue.Decimal `json:"frozen"`
	}](ctx, a, path, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Held(venue.Funding, r.Coin, r.Available, r.Frozen))
	}
	return holdings, nil
}

func (a *account) earn(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Coin   string        `json:"coin"`
		Amount venue.Decimal `json:"amount"`
	}](ctx, a, earnPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Owned(venue.Earn, r.Coin, r.Amount))
	}
	return holdings, nil
}

func (a *account) margin(ctx context.Context, path string, w venue.Wallet) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Coin      string        `json:"coin"`
		Available venue.Decimal `json:"available"`
		Frozen    venue.Decimal `json:"frozen"`
		Borrow    venue.Decimal `json:"borrow"`
		Interest  venue.Decimal `json:"interest"`
		Net       venue.Decimal `json:"net"`
	}](ctx, a, path, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Holding{
			Wallet: w, Code: r.Coin, Available: r.Available, Locked: r.Frozen, Borrowed: r.Borrow.Add(r.Interest), Total: r.Net,
		})
	}
	return holdings, nil
}

// futures returns the margin of contracts that are settled in dollars.
func (a *account) futures(ctx context.Context) ([]venue.Holding, error) {
	tether, err := a.contracts(ctx, "USDT-FUTURES", venue.Futures)
	if err != nil {
		return nil, err
	}
	circle, err := a.contracts(ctx, "USDC-FUTURES", venue.Futures)
	return append(tether, circle...), err
}

func (a *account) contracts(ctx context.Context, product string, w venue.Wallet) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		MarginCoin    string        `json:"marginCoin"`
		AccountEquity venue.Decimal `json:"accountEquity"` // what positions won or lost is in it
		Available     venue.Decimal `json:"available"`
		Locked        venue.Decimal `json:"locked"`
	}](ctx, a, futuresPath, venue.P("productType", product))
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Holding{Wallet: w, Code: r.MarginCoin, Available: r.Available, Locked: r.Locked, Total: r.AccountEquity})
	}
	return holdings, nil
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	rows, err := get[[]struct {
		AccountType string        `json:"accountType"`
		USDTBalance venue.Decimal `json:"usdtBalance"`
	}](ctx, a, totalPath, nil)
	if err != nil {
		return nil, err
	}
	var worth []venue.Worth
	for _, r := range rows {
		worth = append(worth, venue.Worth{Wallet: venue.Wallet(r.AccountType), Code: "USDT", Total: r.USDTBalance})
	}
	return worth, nil
}
