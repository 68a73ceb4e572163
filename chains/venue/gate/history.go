package gate

import (
	"context"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day      = 24 * time.Hour
	perPage  = 500
	bookRows = 1000

	// maxRows is how deep Gate lets a list be paged.
	maxRows = 100_000
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2017, 1, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Window: 29 * day, Since: opened, Again: 7 * day},
		{Stream: venue.Withdrawals, Window: 29 * day, Since: opened, Again: 7 * day},
		{Stream: venue.Ledger, Window: 29 * day, Since: opened, Again: day, Explains: true, Limits: "changes of the spot wallet"},
		{Stream: venue.Trades, Window: 29 * day, Since: opened, Again: day, Limits: "spot trades, which the ledger has too"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return a.transfers(ctx, q, depositsPath, venue.Deposit)
	case venue.Withdrawals:
		return a.transfers(ctx, q, withdrawalsPath, venue.Withdrawal)
	case venue.Trades:
		return byPage(ctx, a, tradesPath, q, trade.movement)
	case venue.Ledger:
		return byPage(ctx, a, bookPath, q, func(e entry) (venue.Movement, error) { return e.movement(), nil })
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// bounds writes a range in whole seconds, at both ends of which rows may be left
// out.
func bounds(r venue.Range) venue.Params {
	return venue.P("from", venue.Seconds(r.From.Add(-time.Second)), "to", venue.Seconds(r.To.Add(time.Second)))
}

// byPage reads a list that is paged by number.
func byPage[T any](ctx context.Context, a *account, path string, q venue.Query, movement func(T) (venue.Movement, error)) (venue.Page, error) {
	number := 1
	if q.Cursor != "" {
		number, _ = strconv.Atoi(q.Cursor) // ours
	}
	rows, err := list[T](ctx, a, path, bounds(q.Range).With("page", strconv.Itoa(number), "limit", strconv.Itoa(bookRows)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, row := range rows {
		m, err := movement(row)
		if err != nil {
			return venue.Page{}, err
		}
		page.Movements = append(page.Movements, m)
	}
	switch {
	case len(rows) < bookRows:
	case number*bookRows >= maxRows:
		page.Cut = true
	default:
		page.Next = strconv.Itoa(number + 1)
	}
	return page, nil
}

func (a *account) transfers(ctx context.Context, q venue.Query, path string, kind venue.Kind) (venue.Page, error) {
	offset, _ := strconv.Atoi(q.Cursor) // "" is 0, and others are ours
	rows, err := list[transfer](ctx, a, path, bounds(q.Range).With("limit", strconv.Itoa(perPage), "offset", strconv.Itoa(offset)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, row := range rows {
		page.Movements = append(page.Movements, row.movement(kind))
	}
	if len(rows) >= perPage {
		page.Next = strconv.Itoa(offset + perPage)
	}
	return page, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	ID        venue.Text    `json:"id"`
	Timestamp venue.Moment  `json:"timestamp"`
	Currency  string        `json:"currency"`
	Address   string        `json:"address"`
	TxID      string        `json:"txid"`
	Amount    venue.Decimal `json:"amount"`
	Fee       venue.Decimal `json:"fee"`
	Memo      string        `json:"memo"`
	Status    string        `json:"status"`
	Chain     string        `json:"chain"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	m := venue.Movement{
		ID: string(t.ID), Kind: kind, Status: venue.Pending, State: t.Status, Network: t.Chain, TxHash: t.TxID, Vout: -1, Address: t.Address, Tag: t.Memo,
		Inside: t.Status == "BCODE", Time: t.Timestamp.Time,
	}
	amount := t.Amount
	if kind == venue.Withdrawal {
		amount = amount.Neg()
	}
	m.Legs = append([]venue.Leg{{Code: t.Currency, Amount: amount}}, venue.Paid("", t.Currency, t.Fee)...)
	switch t.Status {
	case "DONE", "BCODE":
		m.Status = venue.Settled
	case "CANCEL":
		m.Status = venue.Canceled
	case "FAIL", "INVALID":
		m.Status = venue.Failed
	}
	return m
}

// entry is one line of the spot account's book.
type entry struct {
	ID       venue.Text    `json:"id"`
	Time     venue.Moment  `json:"time"`
	Currency string        `json:"currency"`
	Change   venue.Decimal `json:"change"`
	Type     string        `json:"type"`
	Text     string        `json:"text"`
}

func (e entry) movement() venue.Movement {
	kind := venue.Entry
	switch e.Type {
	case "deposit":
		kind = venue.Deposit
	case "withdraw":
		kind = venue.Withdrawal
	case "new_order", "order_fee", "order_create", "cancel_order":
		kind = venue.Trade
	}
	return venue.Movement{
		ID: string(e.ID), Group: e.Text, Kind: kind, Type: e.Type, Status: venue.Settled, Vout: -1, Time: e.Time.Time,
		Legs: []venue.Leg{{Wallet: venue.Spot, Code: e.Currency, Amount: e.Change}},
	}
}

type trade struct {
	ID           venue.Text    `json:"id"`
	CreateTimeMs venue.Moment  `json:"create_time_ms"`
	CurrencyPair string        `json:"currency_pair"` // LTC_USDT
	Side         string        `json:"side"`
	Amount       venue.Decimal `json:"amount"`
	Price        venue.Decimal `json:"price"`
	OrderID      venue.Text    `json:"order_id"`
	Fee          venue.Decimal `json:"fee"`
	FeeCurrency  string        `json:"fee_currency"`
	GTFee        venue.Decimal `json:"gt_fee"`
}

func (t trade) movement() (venue.Movement, error) {
	base, quote, found := strings.Cut(t.CurrencyPair, "_")
	if !found {
		return venue.Movement{}, venue.Misread("a trade of %s", t.CurrencyPair)
	}
	legs, err := venue.Swap(t.Side, venue.Spot, base, t.Amount, quote, t.Amount.Mul(t.Price))
	if err != nil {
		return venue.Movement{}, err
	}
	legs = append(legs, venue.Paid(venue.Spot, t.FeeCurrency, t.Fee)...)
	return venue.Movement{
		// Ids count the trades of one pair.
		ID: string(t.ID), Ref: t.CurrencyPair + ":" + string(t.ID), Group: string(t.OrderID), Kind: venue.Trade, Type: t.Side, Status: venue.Settled, Vout: -1,
		Legs: append(legs, venue.Paid(venue.Spot, "GT", t.GTFee)...), Time: t.CreateTimeMs.Time,
	}, nil
}
