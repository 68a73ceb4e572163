package bitget

import (
	"context"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day      = 24 * time.Hour
	perPage  = 100
	billRows = 500
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2018, 7, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Window: 89 * day, Since: opened, Again: 7 * day},
		{Stream: venue.Withdrawals, Window: 89 * day, Since: opened, Again: 7 * day},
		{Stream: venue.Ledger, Window: 89 * day, Since: opened, Depth: 89 * day, Again: day, Explains: true, Limits: "changes of the spot wallet in the last three months"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return page(ctx, a, depositsPath, perPage, q, func(t transfer) (string, venue.Movement) { return string(t.OrderID), t.movement(venue.Deposit) })
	case venue.Withdrawals:
		return page(ctx, a, withdrawalsPath, perPage, q, func(t transfer) (string, venue.Movement) { return string(t.OrderID), t.movement(venue.Withdrawal) })
	case venue.Ledger:
		return page(ctx, a, billsPath, billRows, q, func(b bill) (string, venue.Movement) { return string(b.BillID), b.movement() })
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// page reads rows that are older than the one of the cursor, the newest first.
func page[T any](ctx context.Context, a *account, path string, rowsPerPage int, q venue.Query, movement func(T) (string, venue.Movement)) (venue.Page, error) {
	rows, err := get[[]T](ctx, a, path, venue.P(
		"startTime", venue.Millis(q.Range.From), "endTime", venue.Millis(q.Range.To), "limit", strconv.Itoa(rowsPerPage), "idLessThan", q.Cursor,
	))
	if err != nil {
		return venue.Page{}, err
	}
	result := venue.Page{}
	last := ""
	for _, row := range rows {
		id, m := movement(row)
		last = id
		result.Movements = append(result.Movements, m)
	}
	if len(rows) >= rowsPerPage {
		result.Next = last
	}
	return result, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	OrderID     venue.Text    `json:"orderId"`
	TradeID     string        `json:"tradeId"` // the transaction
	Coin        string        `json:"coin"`
	Size        venue.Decimal `json:"size"`
	Fee         venue.Decimal `json:"fee"`
	Status      string        `json:"status"`
	Dest        string        `json:"dest"` // on_chain, internal_transfer
	Chain       string        `json:"chain"`
	ToAddress   string        `json:"toAddress"`
	Tag         string        `json:"tag"`
	CreateTime  venue.Moment  `json:"cTime"`
	UpdatedTime venue.Moment  `json:"uTime"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	m := venue.Movement{
		ID: string(t.OrderID), Kind: kind, Type: t.Dest, Status: venue.Pending, State: t.Status, Network: t.Chain, TxHash: t.TradeID, Vout: -1,
		Address: t.ToAddress, Tag: t.Tag, Inside: strings.Contains(t.Dest, "internal"), Time: t.CreateTime.Time, Updated: t.UpdatedTime.Time,
	}
	code := strings.ToUpper(t.Coin)
	if kind == venue.Deposit {
		m.Legs = []venue.Leg{{Code: code, Amount: t.Size}}
	} else {
		m.Legs = append([]venue.Leg{{Code: code, Amount: t.Size.Neg()}}, venue.Paid("", code, t.Fee.Abs())...)
	}
	switch t.Status {
	case "success":
		m.Status = venue.Settled
	case "fail":
		m.Status = venue.Failed
	case "cancel":
		m.Status = venue.Canceled
	}
	return m
}

// bill is one change of the spot wallet.
type bill struct {
	BillID       venue.Text    `json:"billId"`
	Coin         string        `json:"coin"`
	GroupType    string        `json:"groupType"`
	BusinessType string        `json:"businessType"`
	Size         venue.Decimal `json:"size"`
	Fees         venue.Decimal `json:"fees"` // negative is paid
	CreateTime   venue.Moment  `json:"cTime"`
}

func (b bill) movement() venue.Movement {
	kind := venue.Entry
	switch b.GroupType {
	case "deposit":
		kind = venue.Deposit
	case "withdraw":
		kind = venue.Withdrawal
	case "transaction":
		kind = venue.Trade
	}
	code := strings.ToUpper(b.Coin)
	return venue.Movement{
		ID: string(b.BillID), Kind: kind, Type: b.GroupType + "/" + b.BusinessType, Status: venue.Settled, Vout: -1, Time: b.CreateTime.Time,
		Legs: append([]venue.Leg{{Wallet: venue.Spot, Code: code, Amount: b.Size}}, venue.Paid(venue.Spot, code, b.Fees.Neg())...),
	}
}
