package binance

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"

	"tallyd/chains/venue"
)

func (a *account) spot(ctx context.Context) (login string, holdings []venue.Holding, err error) {
	answer, err := get[struct {
		Balances *[]struct {
			Asset  string        `json:"asset"`
			Free   venue.Decimal `json:"free"`
			Locked venue.Decimal `json:"locked"`
		} `json:"balances"`
		UID venue.Text `json:"uid"`
	}](ctx, a, "", accountPath, venue.P("omitZeroBalances", "true"))
	if err != nil {
		return "", nil, err
	}
	if answer.Balances == nil {
		return "", nil, venue.Misread("%s has no balances", accountPath)
	}
	for _, b := range *answer.Balances {
		holdings = append(holdings, venue.Held(venue.Spot, b.Asset, b.Free, b.Locked))
	}
	return string(answer.UID), holdings, nil
}

func (a *account) funding(ctx context.Context) ([]venue.Holding, error) {
	rows, err := venue.Read[[]struct {
		Asset       string        `json:"asset"`
		Free        venue.Decimal `json:"free"`
		Locked      venue.Decimal `json:"locked"`
		Freeze      venue.Decimal `json:"freeze"`
		Withdrawing venue.Decimal `json:"withdrawing"`
	}](ctx, a.s, venue.Request{Method: http.MethodPost, Path: fundingPath})
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		holdings = append(holdings, venue.Held(venue.Funding, r.Asset, r.Free, r.Locked.Add(r.Freeze).Add(r.Withdrawing)))
	}
	return holdings, nil
}

// rowsPerPage is the most that the pages of Simple Earn hold.
const rowsPerPage = 100

// eachPage reads the pages of Simple Earn.
func eachPage[T any](ctx context.Context, a *account, path string, use func(T)) error {
	for page, seen := 1, 0; ; page++ {
		answer, err := get[struct {
			Rows  *[]T `json:"rows"`
			Total int  `json:"total"`
		}](ctx, a, "", path, venue.P("size", strconv.Itoa(rowsPerPage), "current", strconv.Itoa(page)))
		if err != nil {
			return err
		}
		if answer.Rows == nil {
			return venue.Misread("%s has no rows", path)
		}
		for _, row := range *answer.Rows {
			use(row)
		}
		seen += len(*answer.Rows)
		if len(*answer.Rows) == 0 || seen >= answer.Total {
			return nil
		}
	}
}

// flexible returns what can be taken back at any time, and notes it in saved. Where
// it cannot be asked for, the receipts in the spot wallet tell it.
func (a *account) flexible(ctx context.Context, spot []venue.Holding, saved map[string]bool) ([]venue.Holding, error) {
	type position struct {
		Asset       string        `json:"asset"`
		TotalAmount venue.Decimal `json:"totalAmount"`
	}
	var holdings []venue.Holding
	err := eachPage(ctx, a, flexiblePath, func(p position) { holdings = append(holdings, venue.Owned(venue.Earn, p.Asset, p.TotalAmount)) })
	if err != nil {
		holdings = receipts(spot)
	}
	for _, h := range holdings {
		saved[h.Code] = true
	}
	if len(holdings) > 0 {
		return holdings, nil
	}
	return nil, err
}

// receipts returns what the receipts in the spot wallet stand for. LDO is a coin.
func receipts(spot []venue.Holding) []venue.Holding {
	var holdings []venue.Holding
	for _, h := range spot {
		if coin, receipt := strings.CutPrefix(h.Code, "LD"); receipt && len(coin) > 1 {
			holdings = append(holdings, venue.Owned(venue.Earn, coin, h.Total))
		}
	}
	return holdings
}

func (a *account) locked(ctx context.Context) ([]venue.Holding, error) {
	type position struct {
		Asset  string        `json:"asset"`
		Amount venue.Decimal `json:"amount"`
	}
	var holdings []venue.Holding
	err := eachPage(ctx, a, lockedPath, func(p position) {
		holdings = append(holdings, venue.Held(venue.Locked, p.Asset, venue.NewDecimal(0, 0), p.Amount))
	})
	return holdings, err
}

// borrowable is what a margin wallet holds and owes of one asset.
type borrowable struct {
	Asset    string        `json:"asset"`
	Free     venue.Decimal `json:"free"`
	Locked   venue.Decimal `json:"locked"`
	Borrowed venue.Decimal `json:"borrowed"`
	Interest venue.Decimal `json:"interest"`
}

func (b borrowable) holding(w venue.Wallet) venue.Holding {
	owed := b.Borrowed.Add(b.Interest)
	return venue.Holding{Wallet: w, Code: b.Asset, Available: b.Free, Locked: b.Locked, Borrowed: owed, Total: b.Free.Add(b.Locked).Sub(owed)}
}

func (a *account) margin(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		UserAssets *[]borrowable `json:"userAssets"`
	}](ctx, a, "", marginPath, nil)
	if err != nil {
		return nil, err
	}
	if answer.UserAssets == nil {
		return nil, venue.Misread("%s has no assets", marginPath)
	}
	var holdings []venue.Holding
	for _, b := range *answer.UserAssets {
		holdings = append(holdings, b.holding(venue.Margin))
	}
	return holdings, nil
}

func (a *account) isolated(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Assets *[]struct {
			BaseAsset  borrowable `json:"baseAsset"`
			QuoteAsset borrowable `json:"quoteAsset"`
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

func (a *account) usdm(ctx context.Context) ([]venue.Holding, error) {
	return a.derivatives(ctx, usdm, usdmPath, venue.Futures)
}

func (a *account) coinm(ctx context.Context) ([]venue.Holding, error) {
	return a.derivatives(ctx, coinm, coinmPath, venue.Inverse)
}

// derivatives returns the margin of positions, what they have won or lost so far
// included.
func (a *account) derivatives(ctx context.Context, host, path string, w venue.Wallet) ([]venue.Holding, error) {
	answer, err := get[struct {
		Assets *[]struct {
			Asset            string        `json:"asset"`
			WalletBalance    venue.Decimal `json:"walletBalance"`
			UnrealizedProfit venue.Decimal `json:"unrealizedProfit"`
			AvailableBalance venue.Decimal `json:"availableBalance"`
		} `json:"assets"`
	}](ctx, a, host, path, nil)
	if err != nil {
		return nil, err
	}
	if answer.Assets == nil {
		return nil, venue.Misread("%s has no assets", path)
	}
	var holdings []venue.Holding
	for _, b := range *answer.Assets {
		holdings = append(holdings, venue.Holding{Wallet: w, Code: b.Asset, Available: b.AvailableBalance, Total: b.WalletBalance.Add(b.UnrealizedProfit)})
	}
	return holdings, nil
}

// portfolio returns what is in portfolio margin. Its total does not know what is
// owed on cross margin, nor what positions have won or lost.
func (a *account) portfolio(ctx context.Context) ([]venue.Holding, error) {
	rows, err := get[[]struct {
		Asset               string        `json:"asset"`
		TotalWalletBalance  venue.Decimal `json:"totalWalletBalance"`
		CrossMarginBorrowed venue.Decimal `json:"crossMarginBorrowed"`
		CrossMarginInterest venue.Decimal `json:"crossMarginInterest"`
		UmUnrealizedPNL     venue.Decimal `json:"umUnrealizedPNL"`
		CmUnrealizedPNL     venue.Decimal `json:"cmUnrealizedPNL"`
	}](ctx, a, pm, pmPath, nil)
	if err != nil {
		return nil, err
	}
	var holdings []venue.Holding
	for _, r := range rows {
		owed := r.CrossMarginBorrowed.Add(r.CrossMarginInterest)
		holdings = append(holdings, venue.Holding{
			Wallet: venue.Trading, Code: r.Asset, Borrowed: owed,
			Total: r.TotalWalletBalance.Add(r.UmUnrealizedPNL).Add(r.CmUnrealizedPNL).Sub(owed),
		})
	}
	return holdings, nil
}

// staking tells what is staked at Binance.US apart as nothing or something: no
// reference at hand says how it is shown.
func (a *account) staking(ctx context.Context) ([]venue.Holding, error) {
	answer, err := get[struct {
		Data json.RawMessage `json:"data"`
	}](ctx, a, "", stakingPath, nil)
	if err != nil {
		return nil, err
	}
	if !venue.Hollow(answer.Data) {
		return nil, venue.Say(venue.NotRead, "", "something is staked, and no reference says how it is shown")
	}
	return nil, nil
}
