package binance

import (
	"context"
	"strconv"
	"time"

	"tallyd/chains/venue"
)

const (
	day = 24 * time.Hour

	maxRows  = 1000 // of deposits, withdrawals, conversions and trades
	fiatRows = 500
	dustRows = 100
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2017, 7, 14, 0, 0, 0, 0, time.UTC)
	if a.s.Region().Name == us {
		opened = time.Date(2019, 9, 1, 0, 0, 0, 0, time.UTC)
	}
	trades := venue.History{
		Stream: venue.Trades, Since: opened, Again: time.Hour, Explains: true,
		Limits: "pairs of coins that the account was seen with, and of those with the usual quotes",
	}
	if a.s.Region().Sandbox {
		return []venue.History{trades}
	}
	histories := []venue.History{
		{Stream: venue.Deposits, Window: 89 * day, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Withdrawals, Window: 89 * day, Since: opened, Again: 7 * day, Explains: true},
		trades,
	}
	if a.isGlobal() {
		histories = append(
			histories,
			venue.History{Stream: venue.Converts, Window: 29 * day, Since: time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), Again: day, Explains: true},
			venue.History{Stream: venue.Rewards, Window: 179 * day, Since: opened, Again: day, Explains: true},
			venue.History{Stream: venue.Fiat, Window: 89 * day, Since: time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), Again: 7 * day, Explains: true},
		)
	}
	return histories
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return a.deposits(ctx, q)
	case venue.Withdrawals:
		return a.withdrawals(ctx, q)
	case venue.Converts:
		return a.converts(ctx, q)
	case venue.Rewards:
		return a.rewards(ctx, q)
	case venue.Fiat:
		return a.fiat(ctx, q)
	case venue.Trades:
		return a.trades(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// bounds writes a range as most questions take it.
func bounds(r venue.Range) venue.Params {
	return venue.P("startTime", venue.Millis(r.From), "endTime", venue.Millis(r.To))
}

// offsetPage asks for rows from the offset that a cursor is, and returns the next
// one where the page is full.
func offsetPage[T any](ctx context.Context, a *account, path string, q venue.Query, movement func(T) venue.Movement) (venue.Page, error) {
	offset, _ := strconv.Atoi(q.Cursor) // "" is 0, and others are ours
	params := bounds(q.Range).With("limit", strconv.Itoa(maxRows))
	if offset > 0 {
		params = params.With("offset", strconv.Itoa(offset))
	}
	rows, err := get[*[]T](ctx, a, "", path, params)
	if err != nil {
		return venue.Page{}, err
	}
	if rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", path)
	}
	page := venue.Page{}
	for _, row := range *rows {
		page.Movements = append(page.Movements, movement(row))
	}
	if len(*rows) >= maxRows {
		page.Next = strconv.Itoa(offset + maxRows)
	}
	return page, nil
}

type deposit struct {
	ID           venue.Text    `json:"id"`
	Amount       venue.Decimal `json:"amount"`
	Coin         string        `json:"coin"`
	Network      string        `json:"network"`
	Status       venue.Text    `json:"status"`
	Address      string        `json:"address"`
	AddressTag   string        `json:"addressTag"`
	TxID         string        `json:"txId"`
	InsertTime   venue.Moment  `json:"insertTime"`
	CompleteTime venue.Moment  `json:"completeTime"`
	TransferType venue.Text    `json:"transferType"` // 1 is inside Binance
}

func (a *account) deposits(ctx context.Context, q venue.Query) (venue.Page, error) {
	return offsetPage(ctx, a, depositsPath, q, func(d deposit) venue.Movement {
		m := venue.Movement{
			ID: string(d.ID), Kind: venue.Deposit, Status: venue.Pending, State: string(d.Status), Legs: []venue.Leg{{Code: d.Coin, Amount: d.Amount}},
			Network: d.Network, TxHash: d.TxID, Vout: -1, Address: d.Address, Tag: d.AddressTag, Inside: d.TransferType == "1",
			Time: d.InsertTime.Time, Updated: d.CompleteTime.Time,
		}
		if m.ID == "" {
			m.ID = venue.MadeID(d.TxID, d.Coin, d.Network, d.Address, d.AddressTag, d.Amount.String())
		}
		switch d.Status {
		case "1", "6": // 6 is credited, and cannot be withdrawn yet
			m.Status = venue.Settled
		case "2", "7":
			m.Status = venue.Failed
		}
		return m
	})
}

type withdrawal struct {
	ID             venue.Text    `json:"id"`
	Amount         venue.Decimal `json:"amount"`
	TransactionFee venue.Decimal `json:"transactionFee"`
	Coin           string        `json:"coin"`
	Network        string        `json:"network"`
	Status         venue.Text    `json:"status"`
	Address        string        `json:"address"`
	AddressTag     string        `json:"addressTag"`
	TxID           string        `json:"txId"`
	ApplyTime      venue.Moment  `json:"applyTime"` // a date in UTC
	CompleteTime   venue.Moment  `json:"completeTime"`
	TransferType   venue.Text    `json:"transferType"`
}

func (a *account) withdrawals(ctx context.Context, q venue.Query) (venue.Page, error) {
	return offsetPage(ctx, a, withdrawalsPath, q, func(w withdrawal) venue.Movement {
		m := venue.Movement{
			ID: string(w.ID), Kind: venue.Withdrawal, Status: venue.Pending, State: string(w.Status),
			Legs:    append([]venue.Leg{{Code: w.Coin, Amount: w.Amount.Neg()}}, venue.Paid("", w.Coin, w.TransactionFee)...),
			Network: w.Network, TxHash: w.TxID, Vout: -1, Address: w.Address, Tag: w.AddressTag, Inside: w.TransferType == "1",
			Time: w.ApplyTime.Time, Updated: w.CompleteTime.Time,
		}
		switch w.Status {
		case "1": // not what 1 means of a deposit
			m.Status = venue.Canceled
		case "3", "5":
			m.Status = venue.Failed
		case "6":
			m.Status = venue.Settled
		}
		return m
	})
}

func (a *account) converts(ctx context.Context, q venue.Query) (venue.Page, error) {
	answer, err := get[struct {
		List *[]struct {
			OrderID     venue.Text    `json:"orderId"`
			OrderStatus string        `json:"orderStatus"`
			FromAsset   string        `json:"fromAsset"`
			FromAmount  venue.Decimal `json:"fromAmount"`
			ToAsset     string        `json:"toAsset"`
			ToAmount    venue.Decimal `json:"toAmount"`
			CreateTime  venue.Moment  `json:"createTime"`
		} `json:"list"`
		MoreData bool `json:"moreData"`
	}](ctx, a, "", convertPath, bounds(q.Range).With("limit", strconv.Itoa(maxRows)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{Cut: answer.MoreData}
	if answer.List == nil {
		return page, nil // Binance leaves the list out where there is nothing
	}
	for _, c := range *answer.List {
		m := venue.Movement{
			ID: string(c.OrderID), Kind: venue.Trade, Type: "convert", Status: venue.Pending, State: c.OrderStatus, Vout: -1, Time: c.CreateTime.Time,
			Legs: []venue.Leg{{Code: c.FromAsset, Amount: c.FromAmount.Neg()}, {Code: c.ToAsset, Amount: c.ToAmount}},
		}
		switch c.OrderStatus {
		case "SUCCESS":
			m.Status = venue.Settled
		case "FAIL", "EXPIRED":
			m.Status = venue.Failed
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

// rewards reads what Binance gave, and then the dust it took for BNB.
func (a *account) rewards(ctx context.Context, q venue.Query) (venue.Page, error) {
	if q.Cursor == "dust" {
		return a.dust(ctx, q)
	}
	answer, err := get[struct {
		Rows *[]struct {
			ID      venue.Text    `json:"id"`
			Amount  venue.Decimal `json:"amount"`
			Asset   string        `json:"asset"`
			DivTime venue.Moment  `json:"divTime"`
			EnInfo  string        `json:"enInfo"`
			TranID  venue.Text    `json:"tranId"`
		} `json:"rows"`
	}](ctx, a, "", dividendPath, bounds(q.Range).With("limit", strconv.Itoa(fiatRows)))
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", dividendPath)
	}
	page := venue.Page{Next: "dust"}
	if len(*answer.Rows) >= fiatRows {
		page = venue.Page{Cut: true}
	}
	for _, r := range *answer.Rows {
		page.Movements = append(page.Movements, venue.Movement{
			ID: string(r.ID), Group: string(r.TranID), Kind: venue.Entry, Type: r.EnInfo, Status: venue.Settled, Vout: -1, Time: r.DivTime.Time,
			Legs: []venue.Leg{{Code: r.Asset, Amount: r.Amount}},
		})
	}
	return page, nil
}

func (a *account) dust(ctx context.Context, q venue.Query) (venue.Page, error) {
	answer, err := get[struct {
		Dribblets *[]struct {
			TransID venue.Text `json:"transId"`
			Details []struct {
				FromAsset           string        `json:"fromAsset"`
				Amount              venue.Decimal `json:"amount"`
				TransferedAmount    venue.Decimal `json:"transferedAmount"` // of BNB, after the charge
				ServiceChargeAmount venue.Decimal `json:"serviceChargeAmount"`
				OperateTime         venue.Moment  `json:"operateTime"`
			} `json:"userAssetDribbletDetails"`
		} `json:"userAssetDribblets"`
	}](ctx, a, "", dustPath, bounds(q.Range))
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Dribblets == nil {
		return venue.Page{}, venue.Misread("%s has no dribblets", dustPath)
	}
	page := venue.Page{Cut: len(*answer.Dribblets) >= dustRows}
	for _, d := range *answer.Dribblets {
		for _, part := range d.Details {
			page.Movements = append(page.Movements, venue.Movement{
				ID: string(d.TransID) + ":" + part.FromAsset, Group: string(d.TransID), Kind: venue.Trade, Type: "dust", Status: venue.Settled, Vout: -1, Time: part.OperateTime.Time,
				Legs: []venue.Leg{{Code: part.FromAsset, Amount: part.Amount.Neg()}, {Code: "BNB", Amount: part.TransferedAmount}},
			})
		}
	}
	return page, nil
}
