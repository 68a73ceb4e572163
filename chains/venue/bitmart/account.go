package bitmart

import (
	"context"
	"encoding/json"
	"net/http"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// get asks for the data of an answer. An answer without data is an error.
func get[T any](ctx context.Context, a *account, host, path string, params venue.Params) (T, error) {
	r := venue.Request{Method: http.MethodGet, Host: host, Path: path, Query: params.Encode()}
	answer, err := venue.Read[envelope[T]](ctx, a.s, r)
	if err != nil {
		return *new(T), err
	}
	if answer.Code == "" || answer.Data == nil {
		return *new(T), venue.Misread("%s has no data", path)
	}
	return *answer.Data, nil
}

// Check implements venue.Account. It asks for a trade, which is where the venue
// looks at secret and memo.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	now := a.s.Now()
	if _, err := a.trades(ctx, venue.Range{From: now.Add(-day), To: now}, 1); err != nil {
		return venue.Access{}, err
	}
	return venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	spot, err := a.spot(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(spot...)
	for _, part := range []struct {
		wallet venue.Wallet
		read   func(context.Context) ([]venue.Holding, error)
	}{
		{venue.Funding, func(ctx context.Context) ([]venue.Holding, error) { return a.funding(ctx, spot) }},
		{venue.Isolated, a.isolated},
		{venue.Futures, a.futures},
		{venue.Earn, a.earn},
	} {
		if err := c.Try(ctx, part.wallet, part.read); err != nil {
			return venue.Balances{}, err
		}
	}
	return c.Balances()
}

func (a *account) spot(ctx context.Context) ([]venue.Holding, error) {
	data, err := get[struct {
		Wallet *[]struct {
			ID        string        `json:"id"`
			Available venue.Decimal `json:"available"`
			Frozen    venue.Decimal `json:"frozen"`
			Total     venue.Decimal `json:"total"`
		}
	}](ctx, a, "", walletPath, nil)
	if err != nil {
		return nil, err
	}
	if data.Wallet == nil {
		return nil, venue.Misread("%s has no wallet", walletPath)
	}
	var holdings []venue.Holding
	for _, w := range *data.Wallet {
		h := venue.Held(venue.Spot, w.ID, w.Available, w.Frozen)
		h.Total = w.Total.Or(h.Total)
		holdings = append(holdings, h)
	}
	return holdings, nil
}

// funding returns what stands in the funding wallet. The question for it shows
// the spot wallet too, under available and frozen: that is not counted twice.
func (a *account) funding(ctx context.Context, spot []venue.Holding) ([]venue.Holding, error) {
	data, err := get[struct {
		Wallet *[]struct {
			Currency      string        `json:"currency"`
			Available     venue.Decimal `json:"available"`
			FundAvailable venue.Decimal `json:"fundAvailable"`
			FundFrozen    venue.Decimal `json:"fundFrozen"`
		}
	}](ctx, a, "", accountPath, nil)
	if err != nil {
		return nil, err
	}
	if data.Wallet == nil {
		return nil, venue.Misread("%s has no wallet", accountPath)
	}
	known := map[string]bool{}
	for _, h := range spot {
		known[h.Code] = true
	}
	var holdings []venue.Holding
	for _, w := range *data.Wallet {
		if !known[w.Currency] && w.Available.Sign() > 0 {
			return nil, venue.Misread("%s shows %s, and the spot wallet does not", accountPath, w.Currency)
		}
		if w.FundAvailable.Known() {
			holdings = append(holdings, venue.Held(venue.Funding, w.Currency, w.FundAvailable, w.FundFrozen.Or(venue.NewDecimal(0, 0))))
		}
	}
	return holdings, nil
}

func (a *account) isolated(ctx context.Context) ([]venue.Holding, error) {
	type side struct {
		Currency       string        `json:"currency"`
		Available      venue.Decimal `json:"available"`
		Frozen         venue.Decimal `json:"frozen"`
		BorrowUnpaid   venue.Decimal `json:"borrow_unpaid"`
		InterestUnpaid venue.Decimal `json:"interest_unpaid"`
		TotalAsset     venue.Decimal `json:"total_asset"`
	}
	data, err := get[struct{ Symbols []struct{ Base, Quote side } }](ctx, a, "", marginPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, pair := range data.Symbols {
		for _, s := range []side{pair.Base, pair.Quote} {
			owed := s.BorrowUnpaid.Add(s.InterestUnpaid)
			holdings = append(holdings, venue.Holding{
				Wallet: venue.Isolated, Code: s.Currency, Available: s.Available, Locked: s.Frozen,
				Borrowed: owed, Total: s.TotalAsset.Sub(owed),
			})
		}
	}
	return holdings, nil
}

func (a *account) futures(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Currency         string        `json:"currency"`
		AvailableBalance venue.Decimal `json:"available_balance"`
		FrozenBalance    venue.Decimal `json:"frozen_balance"`
		PositionDeposit  venue.Decimal `json:"position_deposit"`
		Equity           venue.Decimal `json:"equity"`
	}](ctx, a, futures, futuresPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, row := range rows {
		holdings = append(holdings, venue.Holding{
			Wallet: venue.Futures, Code: row.Currency, Available: row.AvailableBalance,
			Locked: row.FrozenBalance.Add(row.PositionDeposit), Total: row.Equity,
		})
	}
	return holdings, nil
}

// earn tells savings apart as none or some: no reference says how they are shown.
func (a *account) earn(ctx context.Context) ([]venue.Holding, error) {
	data, err := venue.Read[envelope[json.RawMessage]](ctx, a.s, venue.Request{Method: http.MethodGet, Path: earnPath})
	if err != nil {
		return nil, err
	}
	if !isHollow(data.Data) {
		return nil, venue.Say(venue.NotRead, "", "there are savings, and no reference says how they are shown")
	}
	return nil, nil
}
