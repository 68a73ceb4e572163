package coinbase

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day     = 24 * time.Hour
	perPage = "100"
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2012, 6, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{
			Stream: venue.Transactions, Since: opened, Again: 3 * day, Explains: true,
			Limits: "wallets that hold something or were ever changed; Coinbase leaves some transactions of old wallets out",
		},
		{Stream: venue.Trades, Since: time.Date(2015, 1, 1, 0, 0, 0, 0, time.UTC), Again: day, Limits: "trades of Advanced, which the transactions have too"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Trades:
		return a.fills(ctx, q)
	case venue.Transactions:
		return a.transactions(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// walk is the cursor of transactions: the wallets of a round, which of them is
// read, and after which of its rows.
type walk struct {
	Wallets []string `json:"wallets"`
	At      int      `json:"at"`
	After   string   `json:"after,omitempty"`
}

func (a *account) walk(ctx context.Context, cursor string) (walk, error) {
	var w walk
	if cursor != "" {
		if err := json.Unmarshal([]byte(cursor), &w); err != nil || w.At < 0 || w.At >= len(w.Wallets) {
			return walk{}, venue.Misread("a cursor of transactions that is not ours")
		}
		return w, nil
	}
	wallets, err := a.wallets(ctx)
	if err != nil {
		return walk{}, err
	}
	for _, one := range wallets {
		if !one.unused() {
			w.Wallets = append(w.Wallets, one.ID)
		}
	}
	return w, nil
}

// transactions reads a page of one wallet, the newest rows first.
func (a *account) transactions(ctx context.Context, q venue.Query) (venue.Page, error) {
	w, err := a.walk(ctx, q.Cursor)
	if err != nil || len(w.Wallets) == 0 {
		return venue.Page{}, err
	}
	path := strings.Replace(transactionsPath, "{id}", w.Wallets[w.At], 1)
	p, err := get[page[transaction]](ctx, a, path, venue.P("limit", perPage, "starting_after", w.After))
	if err != nil {
		return venue.Page{}, err
	}
	if p.Data == nil {
		return venue.Page{}, venue.Misread("%s has no rows", path)
	}
	result, reached := venue.Page{}, true
	for _, t := range *p.Data {
		result.Movements = append(result.Movements, t.movement())
		reached = reached && t.CreatedAt.Before(q.Range.From)
	}
	next := p.next()
	if next == "" || next == w.After || reached {
		w.At, next = w.At+1, ""
	}
	w.After = next
	if w.At < len(w.Wallets) {
		cursor, err := json.Marshal(w)
		if err != nil {
			return venue.Page{}, fmt.Errorf("write a cursor: %w", err)
		}
		result.Next = string(cursor)
	}
	return result, nil
}

type money struct {
	Amount   venue.Decimal `json:"amount"`
	Currency string        `json:"currency"`
}

// transaction is one change of one wallet.
type transaction struct {
	ID        string       `json:"id"`
	Type      string       `json:"type"`
	Status    string       `json:"status"`
	Amount    money        `json:"amount"` // all that the wallet was changed by, the fee of the network included
	CreatedAt venue.Moment `json:"created_at"`
	UpdatedAt venue.Moment `json:"updated_at"`
	Network   struct {
		Hash   string `json:"hash"`
		Name   string `json:"network_name"`
		Status string `json:"status"`
	} `json:"network"`
	To struct {
		Address string `json:"address"`
	} `json:"to"`
}

func (t transaction) movement() venue.Movement {
	m := venue.Movement{
		ID: t.ID, Kind: venue.Entry, Type: t.Type, Status: venue.Pending, State: t.Status, Vout: -1,
		Legs:    []venue.Leg{{Code: t.Amount.Currency, Amount: t.Amount.Amount}},
		Network: t.Network.Name, TxHash: t.Network.Hash, Address: t.To.Address, Time: t.CreatedAt.Time, Updated: t.UpdatedAt.Time,
	}
	switch t.Type {
	case "send", "receive", "fiat_deposit", "fiat_withdrawal", "exchange_deposit", "exchange_withdrawal", "pro_deposit", "pro_withdrawal":
		m.Kind = venue.Deposit
		if t.Amount.Amount.Sign() < 0 {
			m.Kind = venue.Withdrawal
		}
		m.Inside = t.Network.Hash == "" && (t.Type == "send" || t.Type == "receive") && t.Network.Status == "off_blockchain"
	case "buy", "sell", "trade", "advanced_trade_fill":
		m.Kind = venue.Trade
	}
	switch t.Status {
	case "completed":
		m.Status = venue.Settled
	case "failed", "expired":
		m.Status = venue.Failed
	case "canceled":
		m.Status = venue.Canceled
	}
	return m
}

// fills reads trades of Advanced.
func (a *account) fills(ctx context.Context, q venue.Query) (venue.Page, error) {
	answer, err := get[struct {
		Fills  *[]fill `json:"fills"`
		Cursor string  `json:"cursor"`
	}](ctx, a, fillsPath, venue.P(
		"start_sequence_timestamp", q.Range.From.UTC().Format(time.RFC3339), "end_sequence_timestamp", q.Range.To.Add(time.Second).UTC().Format(time.RFC3339),
		"limit", perPage, "cursor", q.Cursor,
	))
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Fills == nil {
		return venue.Page{}, venue.Misread("%s has no fills", fillsPath)
	}
	result := venue.Page{}
	for _, f := range *answer.Fills {
		m, err := f.movement()
		if err != nil {
			return venue.Page{}, err
		}
		result.Movements = append(result.Movements, m)
	}
	// Coinbase gives a cursor with the last page too.
	if len(*answer.Fills) > 0 && answer.Cursor != q.Cursor {
		result.Next = answer.Cursor
	}
	return result, nil
}

type fill struct {
	EntryID     string        `json:"entry_id"`
	TradeID     string        `json:"trade_id"`
	OrderID     string        `json:"order_id"`
	TradeTime   venue.Moment  `json:"trade_time"`
	Price       venue.Decimal `json:"price"`
	Size        venue.Decimal `json:"size"`
	Commission  venue.Decimal `json:"commission"`
	ProductID   string        `json:"product_id"` // ADA-USDT
	SizeInQuote bool          `json:"size_in_quote"`
	Side        string        `json:"side"`
}

func (f fill) movement() (venue.Movement, error) {
	m := venue.Movement{
		ID: f.TradeID, Ref: f.EntryID, Group: f.OrderID, Kind: venue.Trade, Type: strings.ToLower(f.Side), Status: venue.Settled, Vout: -1, Time: f.TradeTime.Time,
	}
	product := strings.Split(f.ProductID, "-")
	if len(product) != 2 {
		m.Type = "contract " + f.ProductID // it moves none of the coins that it names
		return m, nil
	}
	amount, cost := f.Size, f.Size.Mul(f.Price)
	if f.SizeInQuote {
		// What was bought for so much of the quote cannot be told exactly: the
		// transactions have it.
		m.Type = "quoted " + m.Type
		return m, nil
	}
	legs, err := venue.Swap(f.Side, venue.Spot, product[0], amount, product[1], cost)
	if err != nil {
		return venue.Movement{}, err
	}
	m.Legs = append(legs, venue.Paid(venue.Spot, product[1], f.Commission)...)
	return m, nil
}
