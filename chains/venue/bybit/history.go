package bybit

import (
	"context"
	"net/url"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day     = 24 * time.Hour
	perPage = "50"
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2018, 11, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		// A deposit that succeeded may be rolled back weeks later.
		{Stream: venue.Deposits, Window: 29 * day, Since: opened, Again: 29 * day, Explains: true},
		{Stream: venue.Withdrawals, Window: 29 * day, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Ledger, Window: 6 * day, Since: opened, Depth: 729 * day, Again: day, Explains: true, Limits: "changes of the unified account in the last two years"},
	}
}

// Page implements venue.Historian. A question without a range would be about the
// last 30 days, whatever happened before.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		if cursor, inside := strings.CutPrefix(q.Cursor, fromInside); inside {
			return a.inside(ctx, q, cursor)
		}
		return a.deposits(ctx, q)
	case venue.Withdrawals:
		return a.withdrawals(ctx, q)
	case venue.Ledger:
		return a.log(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// fromInside begins the cursors of deposits from within Bybit, which are asked for
// after those from chains.
const fromInside = "inside:"

func bounds(q venue.Query, cursor string) venue.Params {
	return venue.P("startTime", venue.Millis(q.Range.From.Add(-time.Second)), "endTime", venue.Millis(q.Range.To.Add(time.Second)), "limit", perPage, "cursor", cursor)
}

// next returns a cursor as it has to be encoded anew: some come encoded.
func next(cursor string) string {
	if plain, err := url.QueryUnescape(cursor); err == nil && strings.Contains(cursor, "%") {
		return plain
	}
	return cursor
}

func (a *account) deposits(ctx context.Context, q venue.Query) (venue.Page, error) {
	result, err := get[struct {
		Rows *[]struct {
			ID        venue.Text    `json:"id"`
			Coin      string        `json:"coin"`
			Chain     string        `json:"chain"`
			Amount    venue.Decimal `json:"amount"`
			TxID      string        `json:"txID"`
			Status    venue.Text    `json:"status"`
			ToAddress string        `json:"toAddress"`
			Tag       string        `json:"tag"`
			SuccessAt venue.Moment  `json:"successAt"`
			TxIndex   string        `json:"txIndex"`
		} `json:"rows"`
		NextPageCursor string `json:"nextPageCursor"`
	}](ctx, a, depositsPath, bounds(q, q.Cursor))
	if err != nil {
		return venue.Page{}, err
	}
	if result.Rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", depositsPath)
	}
	page := venue.Page{Next: fromInside}
	if result.NextPageCursor != "" && len(*result.Rows) > 0 {
		page.Next = next(result.NextPageCursor)
	}
	for _, d := range *result.Rows {
		m := venue.Movement{
			ID: string(d.ID), Kind: venue.Deposit, Status: depositStatus(string(d.Status)), State: string(d.Status), Legs: []venue.Leg{{Code: d.Coin, Amount: d.Amount}},
			Network: d.Chain, TxHash: d.TxID, Vout: -1, Address: d.ToAddress, Tag: d.Tag, Time: d.SuccessAt.Time,
		}
		if n, err := strconv.Atoi(d.TxIndex); err == nil {
			m.Vout = n
		}
		if m.ID == "" {
			m.ID = venue.MadeID(d.TxID, d.TxIndex, d.Coin, d.ToAddress, d.Amount.String())
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

// depositStatus returns the status of a deposit. Success is not its end: Bybit
// takes back what a chain took back.
func depositStatus(code string) venue.Status {
	switch code {
	case "3", "10012", "70012", "70013": // 70012 stays credited, 70013 could not be rolled back
		return venue.Settled
	case "4":
		return venue.Failed
	case "70011":
		return venue.Reversed
	}
	return venue.Pending // 7 among them: being rolled back
}

func (a *account) inside(ctx context.Context, q venue.Query, cursor string) (venue.Page, error) {
	result, err := get[struct {
		Rows *[]struct {
			ID          venue.Text    `json:"id"`
			Coin        string        `json:"coin"`
			Amount      venue.Decimal `json:"amount"`
			Status      venue.Text    `json:"status"`
			Address     string        `json:"address"`
			CreatedTime venue.Moment  `json:"createdTime"`
			TxID        string        `json:"txID"`
		} `json:"rows"`
		NextPageCursor string `json:"nextPageCursor"`
	}](ctx, a, insidePath, bounds(q, cursor))
	if err != nil {
		return venue.Page{}, err
	}
	if result.Rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", insidePath)
	}
	page := venue.Page{}
	if result.NextPageCursor != "" && len(*result.Rows) > 0 {
		page.Next = fromInside + next(result.NextPageCursor)
	}
	for _, d := range *result.Rows {
		m := venue.Movement{
			ID: fromInside + string(d.ID), Kind: venue.Deposit, Status: venue.Pending, State: string(d.Status), Legs: []venue.Leg{{Code: d.Coin, Amount: d.Amount}},
			TxHash: d.TxID, Vout: -1, Address: d.Address, Inside: true, Time: d.CreatedTime.Time,
		}
		switch d.Status {
		case "2":
			m.Status = venue.Settled
		case "3":
			m.Status = venue.Failed
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

func (a *account) withdrawals(ctx context.Context, q venue.Query) (venue.Page, error) {
	result, err := get[struct {
		Rows *[]struct {
			WithdrawID   venue.Text    `json:"withdrawId"`
			WithdrawType venue.Text    `json:"withdrawType"` // 1 is inside Bybit
			Coin         string        `json:"coin"`
			Chain        string        `json:"chain"`
			Amount       venue.Decimal `json:"amount"`
			WithdrawFee  venue.Decimal `json:"withdrawFee"`
			TxID         string        `json:"txID"`
			Status       string        `json:"status"`
			ToAddress    string        `json:"toAddress"`
			Tag          string        `json:"tag"`
			CreateTime   venue.Moment  `json:"createTime"`
			UpdateTime   venue.Moment  `json:"updateTime"`
		} `json:"rows"`
		NextPageCursor string `json:"nextPageCursor"`
	}](ctx, a, withdrawalsPath, bounds(q, q.Cursor).With("withdrawType", "2"))
	if err != nil {
		return venue.Page{}, err
	}
	if result.Rows == nil {
		return venue.Page{}, venue.Misread("%s has no rows", withdrawalsPath)
	}
	page := venue.Page{}
	if len(*result.Rows) > 0 {
		page.Next = next(result.NextPageCursor)
	}
	for _, w := range *result.Rows {
		m := venue.Movement{
			ID: string(w.WithdrawID), Kind: venue.Withdrawal, Status: venue.Pending, State: w.Status,
			Legs:    append([]venue.Leg{{Code: w.Coin, Amount: w.Amount.Neg()}}, venue.Paid("", w.Coin, w.WithdrawFee)...),
			Network: w.Chain, TxHash: w.TxID, Vout: -1, Address: w.ToAddress, Tag: w.Tag, Inside: w.WithdrawType == "1", Time: w.CreateTime.Time, Updated: w.UpdateTime.Time,
		}
		switch w.Status {
		case "success", "BlockchainConfirmed":
			m.Status = venue.Settled
		case "CancelByUser":
			m.Status = venue.Canceled
		case "Reject", "Fail":
			m.Status = venue.Failed
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

func (a *account) log(ctx context.Context, q venue.Query) (venue.Page, error) {
	result, err := get[struct {
		List *[]struct {
			ID              venue.Text    `json:"id"`
			TradeID         string        `json:"tradeId"`
			OrderID         string        `json:"orderId"`
			Type            string        `json:"type"`
			Symbol          string        `json:"symbol"`
			Currency        string        `json:"currency"`
			Change          venue.Decimal `json:"change"` // the fee included
			TransactionTime venue.Moment  `json:"transactionTime"`
		} `json:"list"`
		NextPageCursor string `json:"nextPageCursor"`
	}](ctx, a, logPath, bounds(q, q.Cursor).With("accountType", "UNIFIED"))
	if err != nil {
		return venue.Page{}, err
	}
	if result.List == nil {
		return venue.Page{}, venue.Misread("%s has no list", logPath)
	}
	page := venue.Page{}
	if len(*result.List) > 0 {
		page.Next = next(result.NextPageCursor)
	}
	for _, e := range *result.List {
		kind := venue.Entry
		if e.Type == "TRADE" {
			kind = venue.Trade
		}
		legs := []venue.Leg{{Wallet: venue.Trading, Code: e.Currency, Amount: e.Change}}
		if strings.HasPrefix(e.Type, "TRANSFER_") {
			// The other side has no ledger.
			legs = append(legs, venue.Leg{Wallet: venue.Funding, Code: e.Currency, Amount: e.Change.Neg()})
		}
		page.Movements = append(page.Movements, venue.Movement{
			// Several rows carry one id.
			ID: string(e.ID), Ref: venue.MadeID(string(e.ID), e.TradeID, e.Type, e.Currency, e.Change.String(), venue.Millis(e.TransactionTime.Time)),
			Group: e.OrderID, Kind: kind, Type: e.Type, Status: venue.Settled, Vout: -1, Time: e.TransactionTime.Time,
			Legs: legs,
		})
	}
	return page, nil
}
