package binance

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tallyd/chains/venue"
)

// walk is the cursor of trades: the pairs of a round, which of them is read, and
// from which of its trades on.
type walk struct {
	Pairs []string `json:"pairs"` // BTC/USDT
	At    int      `json:"at"`
	From  int64    `json:"from"`
}

// quotes are what most pairs are quoted in.
func quotes() []string {
	return []string{"USDT", "USDC", "FDUSD", "BUSD", "TUSD", "USD", "BTC", "ETH", "BNB", "EUR", "GBP", "TRY", "BRL", "JPY"}
}

// trades reads the trades of one pair. Binance shows a day of them, or all from
// one id on: a range of more than a day is read from the first id.
func (a *account) trades(ctx context.Context, q venue.Query) (venue.Page, error) {
	w, err := a.walk(ctx, q)
	if err != nil || len(w.Pairs) == 0 {
		return venue.Page{}, err
	}
	base, quote, _ := strings.Cut(w.Pairs[w.At], "/")
	params := venue.P("symbol", base+quote)
	if w.From == 0 && q.Range.To.Sub(q.Range.From) <= day {
		params = params.With("startTime", venue.Millis(q.Range.From), "endTime", venue.Millis(q.Range.To))
	} else {
		params = params.With("fromId", strconv.FormatInt(w.From, 10))
	}
	rows, err := get[*[]trade](ctx, a, "", tradesPath, params.With("limit", strconv.Itoa(maxRows)))
	if err != nil {
		return venue.Page{}, err
	}
	if rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", tradesPath)
	}
	page, last := venue.Page{}, int64(0)
	for _, t := range *rows {
		id, err := strconv.ParseInt(string(t.ID), 10, 64)
		if err != nil {
			return venue.Page{}, venue.Misread("a trade with the id %s", t.ID)
		}
		last = max(last, id)
		page.Movements = append(page.Movements, t.movement(base, quote))
	}
	if len(*rows) >= maxRows {
		w.From = last + 1
	} else {
		w.At, w.From = w.At+1, 0
	}
	if w.At < len(w.Pairs) {
		cursor, err := json.Marshal(w)
		if err != nil {
			return venue.Page{}, fmt.Errorf("write a cursor: %w", err)
		}
		page.Next = string(cursor)
	}
	return page, nil
}

// walk returns where a cursor stands. At the beginning it is all pairs of two
// coins that the account was seen with, or of one of them and a usual quote.
func (a *account) walk(ctx context.Context, q venue.Query) (walk, error) {
	var w walk
	if q.Cursor != "" {
		if err := json.Unmarshal([]byte(q.Cursor), &w); err != nil || w.At < 0 || w.At >= len(w.Pairs) {
			return walk{}, venue.Misread("a cursor of trades that is not ours")
		}
		return w, nil
	}
	_, holdings, err := a.spot(ctx)
	if err != nil {
		return walk{}, err
	}
	seen := map[string]bool{}
	for _, code := range q.Codes {
		seen[code] = true
	}
	for _, h := range holdings {
		seen[h.Code] = true
	}
	usual := quotes()
	info, err := venue.Read[struct {
		Symbols *[]struct {
			Symbol     string `json:"symbol"`
			BaseAsset  string `json:"baseAsset"`
			QuoteAsset string `json:"quoteAsset"`
		} `json:"symbols"`
	}](ctx, a.s, venue.Request{Method: "GET", Path: pairsPath, Query: "showPermissionSets=false", Public: true})
	if err != nil {
		return walk{}, err
	}
	if info.Symbols == nil {
		return walk{}, venue.Misread("%s has no symbols", pairsPath)
	}
	for _, s := range *info.Symbols {
		if seen[s.BaseAsset] && (seen[s.QuoteAsset] || slices.Contains(usual, s.QuoteAsset)) && s.Symbol == s.BaseAsset+s.QuoteAsset {
			w.Pairs = append(w.Pairs, s.BaseAsset+"/"+s.QuoteAsset)
		}
	}
	slices.Sort(w.Pairs)
	return w, nil
}

type trade struct {
	Symbol          string        `json:"symbol"`
	ID              venue.Text    `json:"id"`
	OrderID         venue.Text    `json:"orderId"`
	Qty             venue.Decimal `json:"qty"`
	QuoteQty        venue.Decimal `json:"quoteQty"`
	Commission      venue.Decimal `json:"commission"`
	CommissionAsset string        `json:"commissionAsset"`
	Time            venue.Moment  `json:"time"`
	IsBuyer         bool          `json:"isBuyer"`
}

func (t trade) movement(base, quote string) venue.Movement {
	side := "sell"
	amount, cost := t.Qty.Neg(), t.QuoteQty
	if t.IsBuyer {
		side, amount, cost = "buy", t.Qty, t.QuoteQty.Neg()
	}
	return venue.Movement{
		// Ids count the trades of one pair.
		ID: string(t.ID), Ref: t.Symbol + ":" + string(t.ID), Group: string(t.OrderID), Kind: venue.Trade, Type: side, Status: venue.Settled, Vout: -1, Time: t.Time.Time,
		Legs: append([]venue.Leg{{Wallet: venue.Spot, Code: base, Amount: amount}, {Wallet: venue.Spot, Code: quote, Amount: cost}},
			venue.Paid(venue.Spot, t.CommissionAsset, t.Commission)...),
	}
}
