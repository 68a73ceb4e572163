package okx

import (
	"context"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day     = 24 * time.Hour
	perPage = 100
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2017, 6, 1, 0, 0, 0, 0, time.UTC)
	kept := time.Date(2021, 2, 1, 0, 0, 0, 0, time.UTC) // OKX shows no bill before
	return []venue.History{
		{Stream: venue.Deposits, Since: opened, Again: 7 * day},
		{Stream: venue.Withdrawals, Since: opened, Again: 7 * day},
		{Stream: venue.FundingBook, Since: kept, Again: day, Explains: true, Limits: "changes of the funding wallet"},
		{Stream: venue.Ledger, Since: kept, Depth: 89 * day, Again: day, Explains: true, Limits: "changes of the trading wallet in the last three months"},
		{Stream: venue.Trades, Since: kept, Depth: 89 * day, Again: day, Limits: "spot trades of the last three months, which the ledger has too"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return byTime(ctx, a, depositsPath, q, deposit.movement)
	case venue.Withdrawals:
		return byTime(ctx, a, withdrawalsPath, q, withdrawal.movement)
	case venue.FundingBook:
		return byTime(ctx, a, fundingBills, q, fundingBill.movement)
	case venue.Trades:
		return byBill(ctx, a, fillsPath, q, venue.P("instType", "SPOT"), fill.movement)
	case venue.Ledger:
		return byBill(ctx, a, billsPath, q, nil, func(b bill) (venue.Movement, error) { return b.movement(), nil })
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// timed is a row that has a place in time.
type timed interface{ at() time.Time }

// byTime reads rows that are older than after and newer than before, the newest
// first: the table of the reference says so, its example says the opposite.
func byTime[T timed](ctx context.Context, a *account, path string, q venue.Query, movement func(T) venue.Movement) (venue.Page, error) {
	after := q.Cursor
	if after == "" {
		after = venue.Millis(q.Range.To.Add(time.Millisecond))
	}
	rows, err := get[T](ctx, a, path, venue.P("after", after, "before", venue.Millis(q.Range.From.Add(-time.Millisecond)), "limit", strconv.Itoa(perPage)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, row := range rows {
		page.Movements = append(page.Movements, movement(row))
	}
	if len(rows) >= perPage {
		// Rows of the same millisecond may be on both pages.
		last := rows[len(rows)-1].at()
		page.Next = venue.Millis(last.Add(time.Millisecond))
		if page.Next == after {
			page.Next = venue.Millis(last)
		}
	}
	return page, nil
}

// numbered is a row that has a bill.
type numbered interface{ billID() string }

// byBill reads rows whose bill is older than that of the cursor.
func byBill[T numbered](ctx context.Context, a *account, path string, q venue.Query, params venue.Params, movement func(T) (venue.Movement, error)) (venue.Page, error) {
	rows, err := get[T](ctx, a, path, params.With(
		"after", q.Cursor, "begin", venue.Millis(q.Range.From), "end", venue.Millis(q.Range.To), "limit", strconv.Itoa(perPage),
	))
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
	if len(rows) >= perPage {
		page.Next = rows[len(rows)-1].billID()
	}
	return page, nil
}

type deposit struct {
	DepID    venue.Text    `json:"depId"`
	Ccy      string        `json:"ccy"`
	Chain    string        `json:"chain"` // USDT-TRC20
	Amt      venue.Decimal `json:"amt"`
	From     string        `json:"from"` // whose account, if it came from within
	FromWdID string        `json:"fromWdId"`
	To       string        `json:"to"`
	TxID     string        `json:"txId"`
	State    venue.Text    `json:"state"`
	TS       venue.Moment  `json:"ts"`
}

func (d deposit) at() time.Time { return d.TS.Time }

func (d deposit) movement() venue.Movement {
	m := venue.Movement{
		ID: string(d.DepID), Kind: venue.Deposit, Status: venue.Pending, State: string(d.State), Legs: []venue.Leg{{Wallet: venue.Funding, Code: d.Ccy, Amount: d.Amt}},
		Network: d.Chain, TxHash: d.TxID, Vout: -1, Address: d.To, Inside: d.From != "" || d.FromWdID != "", Time: d.TS.Time,
	}
	if d.State == "1" || d.State == "2" { // 1 is credited, and cannot be withdrawn yet
		m.Status = venue.Settled
	}
	return m
}

type withdrawal struct {
	WdID   venue.Text    `json:"wdId"`
	Ccy    string        `json:"ccy"`
	Chain  string        `json:"chain"`
	Amt    venue.Decimal `json:"amt"`
	Fee    venue.Decimal `json:"fee"`
	FeeCcy string        `json:"feeCcy"`
	To     string        `json:"to"`
	Tag    string        `json:"tag"`
	TxID   string        `json:"txId"`
	State  venue.Text    `json:"state"`
	TS     venue.Moment  `json:"ts"`
}

func (w withdrawal) at() time.Time { return w.TS.Time }

func (w withdrawal) movement() venue.Movement {
	paidIn := w.FeeCcy
	if paidIn == "" {
		paidIn = w.Ccy
	}
	m := venue.Movement{
		ID: string(w.WdID), Kind: venue.Withdrawal, Status: venue.Pending, State: string(w.State),
		Legs:    append([]venue.Leg{{Wallet: venue.Funding, Code: w.Ccy, Amount: w.Amt.Neg()}}, venue.Paid(venue.Funding, paidIn, w.Fee)...),
		Network: w.Chain, TxHash: w.TxID, Vout: -1, Address: w.To, Tag: w.Tag, Time: w.TS.Time,
	}
	switch w.State {
	case "2":
		m.Status = venue.Settled
	case "-2":
		m.Status = venue.Canceled
	case "-1":
		m.Status = venue.Failed
	}
	return m
}

type fundingBill struct {
	BillID venue.Text    `json:"billId"`
	Ccy    string        `json:"ccy"`
	BalChg venue.Decimal `json:"balChg"`
	Type   venue.Text    `json:"type"`
	TS     venue.Moment  `json:"ts"`
}

func (b fundingBill) at() time.Time { return b.TS.Time }

func (b fundingBill) movement() venue.Movement {
	kind := venue.Entry
	switch b.Type {
	case "1":
		kind = venue.Deposit
	case "2":
		kind = venue.Withdrawal
	}
	return venue.Movement{
		ID: string(b.BillID), Kind: kind, Type: string(b.Type), Status: venue.Settled, Vout: -1, Time: b.TS.Time,
		Legs: []venue.Leg{{Wallet: venue.Funding, Code: b.Ccy, Amount: b.BalChg}},
	}
}

type bill struct {
	BillID venue.Text    `json:"billId"`
	OrdID  venue.Text    `json:"ordId"`
	Ccy    string        `json:"ccy"`
	BalChg venue.Decimal `json:"balChg"` // the fee included
	Type   venue.Text    `json:"type"`
	TS     venue.Moment  `json:"ts"`
}

func (b bill) billID() string { return string(b.BillID) }

func (b bill) movement() venue.Movement {
	kind := venue.Entry
	if b.Type == "2" {
		kind = venue.Trade
	}
	return venue.Movement{
		ID: string(b.BillID), Group: string(b.OrdID), Kind: kind, Type: string(b.Type), Status: venue.Settled, Vout: -1, Time: b.TS.Time,
		Legs: []venue.Leg{{Wallet: venue.Trading, Code: b.Ccy, Amount: b.BalChg}},
	}
}

type fill struct {
	BillID  venue.Text    `json:"billId"`
	TradeID venue.Text    `json:"tradeId"`
	OrdID   venue.Text    `json:"ordId"`
	InstID  string        `json:"instId"` // LTC-USDT
	Side    string        `json:"side"`
	FillSz  venue.Decimal `json:"fillSz"`
	FillPx  venue.Decimal `json:"fillPx"`
	Fee     venue.Decimal `json:"fee"` // negative is paid
	FeeCcy  string        `json:"feeCcy"`
	TS      venue.Moment  `json:"ts"`
}

func (f fill) billID() string { return string(f.BillID) }

func (f fill) movement() (venue.Movement, error) {
	base, quote, found := strings.Cut(f.InstID, "-")
	if !found {
		return venue.Movement{}, venue.Misread("a trade of %s", f.InstID)
	}
	legs, err := venue.Swap(f.Side, venue.Trading, base, f.FillSz, quote, f.FillSz.Mul(f.FillPx))
	if err != nil {
		return venue.Movement{}, err
	}
	return venue.Movement{
		// Ids of trades count those of one pair.
		ID: string(f.TradeID), Ref: f.InstID + ":" + string(f.TradeID), Group: string(f.OrdID), Kind: venue.Trade, Type: f.Side, Status: venue.Settled, Vout: -1,
		Legs: append(legs, venue.Paid(venue.Trading, f.FeeCcy, f.Fee.Neg())...), Time: f.TS.Time,
	}, nil
}
