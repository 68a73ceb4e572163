package cryptocom

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// ask returns the result of an answer. An answer without one is an error.
func ask[T any](ctx context.Context, a *account, path, params string) (T, error) {
	answer, err := venue.Read[struct {
		Code   *json.Number `json:"code"`
		Result *T           `json:"result"`
	}](ctx, a.s, venue.Request{Method: http.MethodPost, Path: path, Body: params})
	if err != nil {
		return *new(T), err
	}
	if answer.Code == nil || answer.Result == nil {
		return *new(T), venue.Misread("%s has no result", path)
	}
	return *answer.Result, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	if _, err := a.Balances(ctx); err != nil {
		return venue.Access{}, err
	}
	return venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}, nil
}

// Balances implements venue.Account. There is one wallet; what is owed is a
// negative quantity.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	result, err := ask[struct {
		Data *[]struct {
			PositionBalances *[]struct {
				InstrumentName string        `json:"instrument_name"`
				Quantity       venue.Decimal `json:"quantity"`
				ReservedQty    venue.Decimal `json:"reserved_qty"`
			} `json:"position_balances"`
		} `json:"data"`
	}](ctx, a, balancePath, "")
	if err != nil {
		return venue.Balances{}, err
	}
	if result.Data == nil || len(*result.Data) == 0 {
		return venue.Balances{}, venue.Misread("%s has no data", balancePath)
	}
	for _, wallet := range *result.Data {
		if wallet.PositionBalances == nil {
			return venue.Balances{}, venue.Misread("%s has no balances", balancePath)
		}
		for _, b := range *wallet.PositionBalances {
			held := b.ReservedQty.Or(venue.NewDecimal(0, 0))
			h := venue.Holding{Wallet: venue.Trading, Code: b.InstrumentName, Available: b.Quantity.Sub(held), Locked: held, Total: b.Quantity}
			if b.Quantity.Sign() < 0 {
				h.Available, h.Borrowed = venue.NewDecimal(0, 0), b.Quantity.Abs()
			}
			c.Add(h)
		}
	}
	return c.Balances()
}

const (
	day       = 24 * time.Hour
	perPage   = 200
	tradeRows = 100
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2019, 11, 14, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Window: 89 * day, Since: opened, Depth: 179 * day, Again: 7 * day, Explains: true},
		{Stream: venue.Withdrawals, Window: 89 * day, Since: opened, Depth: 179 * day, Again: 7 * day, Explains: true},
		{Stream: venue.Trades, Window: 23 * time.Hour, Since: opened, Depth: 179 * day, Again: day, Explains: true, Limits: "trades of coins for coins, of the last half year"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		result, err := ask[struct {
			List *[]transfer `json:"deposit_list"`
		}](ctx, a, depositsPath, paging(q))
		return transfers(q, depositsPath, result.List, venue.Deposit, err)
	case venue.Withdrawals:
		result, err := ask[struct {
			List *[]transfer `json:"withdrawal_list"`
		}](ctx, a, withdrawalsPath, paging(q))
		return transfers(q, withdrawalsPath, result.List, venue.Withdrawal, err)
	case venue.Trades:
		return a.trades(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

func paging(q venue.Query) string {
	return fmt.Sprintf(`{%s,"page_size":%d,"page":%d}`, window("start_ts", "end_ts", q), perPage, number(q.Cursor))
}

func transfers(q venue.Query, path string, list *[]transfer, kind venue.Kind, err error) (venue.Page, error) {
	if err != nil {
		return venue.Page{}, err
	}
	if list == nil {
		return venue.Page{}, venue.Misread("%s has no list", path)
	}
	page := venue.Page{}
	for _, t := range *list {
		page.Movements = append(page.Movements, t.movement(kind))
	}
	if len(*list) >= perPage {
		page.Next = strconv.Itoa(number(q.Cursor) + 1)
	}
	return page, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	ID         venue.Text    `json:"id"`
	Currency   string        `json:"currency"`
	Amount     venue.Decimal `json:"amount"`
	Fee        venue.Decimal `json:"fee"`
	Address    string        `json:"address"` // with its tag behind a question mark
	Status     venue.Text    `json:"status"`
	TxID       string        `json:"txid"`
	NetworkID  string        `json:"network_id"`
	CreateTime venue.Moment  `json:"create_time"`
	UpdateTime venue.Moment  `json:"update_time"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	address, tag, _ := strings.Cut(t.Address, "?")
	m := venue.Movement{
		ID: string(t.ID), Kind: kind, Status: venue.Pending, State: string(t.Status), Network: t.NetworkID, TxHash: t.TxID, Vout: -1,
		Address: address, Tag: tag, Time: t.CreateTime.Time, Updated: t.UpdateTime.Time,
	}
	if kind == venue.Deposit {
		m.Legs = []venue.Leg{{Wallet: venue.Trading, Code: t.Currency, Amount: t.Amount}} // the fee was taken before
		switch t.Status {
		case "1":
			m.Status = venue.Settled
		case "2":
			m.Status = venue.Failed
		}
		return m
	}
	m.Legs = append([]venue.Leg{{Wallet: venue.Trading, Code: t.Currency, Amount: t.Amount.Neg()}}, venue.Paid(venue.Trading, t.Currency, t.Fee)...)
	switch t.Status {
	case "5":
		m.Status = venue.Settled
	case "2", "4":
		m.Status = venue.Failed
	case "6":
		m.Status = venue.Canceled
	}
	return m
}

// trades reads trades. There is no cursor: a full page is cut.
func (a *account) trades(ctx context.Context, q venue.Query) (venue.Page, error) {
	result, err := ask[struct {
		Data *[]trade `json:"data"`
	}](ctx, a, tradesPath, fmt.Sprintf(`{%s,"limit":%d}`, window("start_time", "end_time", q), tradeRows))
	if err != nil {
		return venue.Page{}, err
	}
	if result.Data == nil {
		return venue.Page{}, venue.Misread("%s has no data", tradesPath)
	}
	page := venue.Page{Cut: len(*result.Data) >= tradeRows}
	for _, t := range *result.Data {
		m, err := t.movement()
		if err != nil {
			return venue.Page{}, err
		}
		page.Movements = append(page.Movements, m)
	}
	return page, nil
}

type trade struct {
	TradeID           venue.Text    `json:"trade_id"`
	OrderID           venue.Text    `json:"order_id"`
	InstrumentName    string        `json:"instrument_name"` // BTC_USD
	Side              string        `json:"side"`
	TradedQuantity    venue.Decimal `json:"traded_quantity"`
	TradedPrice       venue.Decimal `json:"traded_price"`
	Fees              venue.Decimal `json:"fees"` // negative is paid
	FeeInstrumentName string        `json:"fee_instrument_name"`
	CreateTime        venue.Moment  `json:"create_time"`
}

func (t trade) movement() (venue.Movement, error) {
	m := venue.Movement{
		ID: string(t.TradeID), Group: string(t.OrderID), Kind: venue.Trade, Type: strings.ToLower(t.Side), Status: venue.Settled, Vout: -1, Time: t.CreateTime.Time,
	}
	base, quote, found := strings.Cut(t.InstrumentName, "_")
	if !found {
		m.Type = "contract " + t.InstrumentName // it moves none of the coins that it names
		return m, nil
	}
	legs, err := venue.Swap(t.Side, venue.Trading, base, t.TradedQuantity, quote, t.TradedQuantity.Mul(t.TradedPrice))
	if err != nil {
		return venue.Movement{}, err
	}
	m.Legs = append(legs, venue.Paid(venue.Trading, t.FeeInstrumentName, t.Fees.Neg())...)
	return m, nil
}
