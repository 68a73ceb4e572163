package bitmart

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

const (
	day = 24 * time.Hour

	historyRows = 100  // the most that all references agree on
	tradeRows   = 200  //
	ledgerRows  = 1000 //
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2018, 3, 15, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Window: 89 * day, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Withdrawals, Window: 89 * day, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Trades, Window: 30 * day, Since: opened, Again: day, Explains: true},
		{
			Stream: venue.Ledger, Window: 7 * day, Since: time.Date(2022, 1, 1, 0, 0, 0, 0, time.UTC), Again: day,
			Limits: "changes of the futures wallet only",
		},
	}
}

// Page implements venue.Historian. The venue has no cursors: a page that is full
// is cut.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return a.transfers(ctx, q.Range, "deposit")
	case venue.Withdrawals:
		return a.transfers(ctx, q.Range, "withdraw")
	case venue.Trades:
		return a.trades(ctx, q.Range, tradeRows)
	case venue.Ledger:
		return a.ledger(ctx, q.Range)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

func (a *account) transfers(ctx context.Context, r venue.Range, operation string) (venue.Page, error) {
	data, err := get[struct {
		Records *[]transfer
	}](ctx, a, "", historyPath, venue.P("operation_type", operation, "N", strconv.Itoa(historyRows), "startTime", venue.Millis(r.From), "endTime", venue.Millis(r.To)))
	if err != nil {
		return venue.Page{}, err
	}
	if data.Records == nil {
		return venue.Page{}, venue.Misread("%s has no records", historyPath)
	}
	page := venue.Page{Cut: len(*data.Records) >= historyRows}
	for _, t := range *data.Records {
		page.Movements = append(page.Movements, t.movement())
	}
	return page, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	WithdrawID    venue.Text    `json:"withdraw_id"`
	DepositID     venue.Text    `json:"deposit_id"`
	OperationType string        `json:"operation_type"`
	Currency      string        `json:"currency"` // USDT-TRC20
	ApplyTime     venue.Moment  `json:"apply_time"`
	ArrivalAmount venue.Decimal `json:"arrival_amount"`
	Fee           venue.Decimal `json:"fee"`
	Status        venue.Text    `json:"status"`
	Address       string        `json:"address"`
	AddressMemo   string        `json:"address_memo"`
	TxID          string        `json:"tx_id"`
}

func (t transfer) movement() venue.Movement {
	code, network, _ := strings.Cut(t.Currency, "-")
	m := venue.Movement{
		ID: string(t.DepositID), Kind: venue.Deposit, Type: t.OperationType, Status: statusOf(string(t.Status)), State: string(t.Status),
		Legs:    []venue.Leg{{Code: code, Amount: t.ArrivalAmount}},
		Network: network, TxHash: t.TxID, Vout: -1, Address: t.Address, Tag: t.AddressMemo, Time: t.ApplyTime.Time,
	}
	if t.OperationType == "withdraw" {
		// The fee is taken beside what arrives; that of a deposit is in it.
		m.ID, m.Kind = string(t.WithdrawID), venue.Withdrawal
		m.Legs = append([]venue.Leg{{Code: code, Amount: t.ArrivalAmount.Neg()}}, venue.Paid("", code, t.Fee)...)
	}
	return m
}

func statusOf(s string) venue.Status {
	switch s {
	case "3":
		return venue.Settled
	case "4":
		return venue.Canceled
	case "5":
		return venue.Failed
	}
	return venue.Pending
}

func (a *account) trades(ctx context.Context, r venue.Range, rows int) (venue.Page, error) {
	body := fmt.Sprintf(`{"startTime":%s,"endTime":%s,"limit":%d}`, venue.Millis(r.From), venue.Millis(r.To), rows)
	answer, err := venue.Read[envelope[[]trade]](ctx, a.s, venue.Request{Method: http.MethodPost, Path: tradesPath, Body: body})
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Data == nil {
		return venue.Page{}, venue.Misread("%s has no data", tradesPath)
	}
	page := venue.Page{Cut: len(*answer.Data) >= rows}
	for _, t := range *answer.Data {
		m, err := t.movement()
		if err != nil {
			return venue.Page{}, err
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

type trade struct {
	TradeID     venue.Text    `json:"tradeId"`
	OrderID     venue.Text    `json:"orderId"`
	Symbol      string        `json:"symbol"` // LTC_USDT
	Side        string        `json:"side"`
	OrderMode   string        `json:"orderMode"`
	Size        venue.Decimal `json:"size"`
	Notional    venue.Decimal `json:"notional"`
	Fee         venue.Decimal `json:"fee"`
	FeeCoinName string        `json:"feeCoinName"`
	CreateTime  venue.Moment  `json:"createTime"`
}

func (t trade) movement() (venue.Movement, error) {
	base, quote, found := strings.Cut(t.Symbol, "_")
	if !found {
		return venue.Movement{}, venue.Misread("a trade of %s", t.Symbol)
	}
	wallet := venue.Spot
	if t.OrderMode != "spot" {
		wallet = venue.Isolated
	}
	legs, err := venue.Swap(t.Side, wallet, base, t.Size, quote, t.Notional)
	if err != nil {
		return venue.Movement{}, err
	}
	return venue.Movement{
		ID: string(t.TradeID), Group: string(t.OrderID), Kind: venue.Trade, Type: t.Side, Status: venue.Settled,
		Legs: append(legs, venue.Paid(wallet, t.FeeCoinName, t.Fee)...), Vout: -1, Time: t.CreateTime.Time,
	}, nil
}

func (a *account) ledger(ctx context.Context, r venue.Range) (venue.Page, error) {
	rows, err := get[[]struct {
		Symbol   string        `json:"symbol"`
		FlowType venue.Text    `json:"flow_type"`
		Type     string        `json:"type"`
		Amount   venue.Decimal `json:"amount"`
		Asset    string        `json:"asset"`
		Time     venue.Moment  `json:"time"`
		TranID   venue.Text    `json:"tran_id"`
	}](ctx, a, futures, ledgerPath, venue.P("flow_type", "0", "page_size", strconv.Itoa(ledgerRows), "start_time", venue.Millis(r.From), "end_time", venue.Millis(r.To)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{Cut: len(rows) >= ledgerRows}
	for _, row := range rows {
		id := string(row.TranID)
		page.Movements = append(page.Movements, venue.Movement{
			// The id is often a time, which rows share: what tells them apart is the row.
			ID: id, Ref: venue.MadeID(id, row.Symbol, string(row.FlowType), row.Asset, row.Amount.String()),
			Kind: venue.Entry, Type: row.Type, Status: venue.Settled, Vout: -1, Time: row.Time.Time,
			Legs: []venue.Leg{{Wallet: venue.Futures, Code: row.Asset, Amount: row.Amount}},
		})
	}
	return page, nil
}
