package kucoin

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
	fastRows = 200
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2019, 2, 18, 0, 0, 0, 0, time.UTC) // what is older is kept apart
	return []venue.History{
		{Stream: venue.Deposits, Since: opened, Again: 7 * day, Limits: "nothing from before 18 February 2019"},
		{Stream: venue.Withdrawals, Since: opened, Again: 7 * day, Limits: "nothing from before 18 February 2019"},
		{Stream: venue.Ledger, Window: 23 * time.Hour, Since: opened, Depth: 364 * day, Again: day, Explains: true, Limits: "changes of the main, trading and margin wallets in the last year"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return byPage(ctx, a, depositsPath, q, func(t transfer) venue.Movement { return t.movement(venue.Deposit) })
	case venue.Withdrawals:
		return byPage(ctx, a, withdrawalsPath, q, func(t transfer) venue.Movement { return t.movement(venue.Withdrawal) })
	case venue.Ledger:
		return a.ledger(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// ledger reads the ledger of the wallets, and then that of the high-frequency ones.
func (a *account) ledger(ctx context.Context, q venue.Query) (venue.Page, error) {
	if last, fast := strings.CutPrefix(q.Cursor, fastCursor); fast {
		return a.fast(ctx, q, last)
	}
	page, err := byPage(ctx, a, ledgersPath, q, entry.movement)
	if err == nil && page.Next == "" {
		page.Next = fastCursor
	}
	return page, err
}

// fastCursor begins the cursors of the ledger of high-frequency accounts, which is
// asked for after the other.
const fastCursor = "fast:"

func bounds(r venue.Range) venue.Params {
	return venue.P("startAt", venue.Millis(r.From), "endAt", venue.Millis(r.To))
}

// byPage reads a list that is paged by number.
func byPage[T any](ctx context.Context, a *account, path string, q venue.Query, movement func(T) venue.Movement) (venue.Page, error) {
	number := 1
	if q.Cursor != "" {
		number, _ = strconv.Atoi(q.Cursor) // ours
	}
	answer, err := get[struct {
		Items     *[]T `json:"items"`
		TotalPage int  `json:"totalPage"`
	}](ctx, a, "", path, bounds(q.Range).With("currentPage", strconv.Itoa(number), "pageSize", strconv.Itoa(perPage)))
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Items == nil {
		return venue.Page{}, venue.Misread("%s has no items", path)
	}
	page := venue.Page{}
	for _, item := range *answer.Items {
		page.Movements = append(page.Movements, movement(item))
	}
	if number < answer.TotalPage {
		page.Next = strconv.Itoa(number + 1)
	}
	return page, nil
}

// transfer is a deposit or a withdrawal. Deposits have no id.
type transfer struct {
	ID         venue.Text    `json:"id"`
	Currency   string        `json:"currency"`
	Chain      string        `json:"chain"`
	Status     string        `json:"status"`
	Address    string        `json:"address"`
	Memo       string        `json:"memo"`
	IsInner    bool          `json:"isInner"`
	Amount     venue.Decimal `json:"amount"`
	Fee        venue.Decimal `json:"fee"`
	WalletTxID string        `json:"walletTxId"`
	CreatedAt  venue.Moment  `json:"createdAt"`
	UpdatedAt  venue.Moment  `json:"updatedAt"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	hash, _, _ := strings.Cut(t.WalletTxID, "@") // an address may stand behind it
	m := venue.Movement{
		ID: string(t.ID), Kind: kind, Status: venue.Pending, State: t.Status, Network: t.Chain, TxHash: hash, Vout: -1, Address: t.Address, Tag: t.Memo, Inside: t.IsInner,
		Time: t.CreatedAt.Time, Updated: t.UpdatedAt.Time,
	}
	if kind == venue.Deposit {
		// A deposit gets an id when KuCoin gives them one; those that were seen
		// without keep the one that was made.
		m.Ref = venue.MadeID(venue.Millis(t.CreatedAt.Time), t.Currency, t.Chain, t.Address, t.Memo, t.Amount.String())
		m.Legs = []venue.Leg{{Code: t.Currency, Amount: t.Amount}} // the fee was taken before
	} else {
		m.Legs = append([]venue.Leg{{Code: t.Currency, Amount: t.Amount.Neg()}}, venue.Paid("", t.Currency, t.Fee)...)
	}
	switch t.Status {
	case "SUCCESS":
		m.Status = venue.Settled
	case "FAILURE":
		m.Status = venue.Failed
	}
	return m
}

// entry is one line of a ledger.
type entry struct {
	ID          venue.Text    `json:"id"`
	Currency    string        `json:"currency"`
	Amount      venue.Decimal `json:"amount"` // fees included
	AccountType string        `json:"accountType"`
	BizType     string        `json:"bizType"`
	Direction   string        `json:"direction"`
	CreatedAt   venue.Moment  `json:"createdAt"`
}

func (e entry) movement() venue.Movement {
	amount := e.Amount.Abs()
	if e.Direction == "out" {
		amount = amount.Neg()
	}
	kind := venue.Entry
	switch strings.ToLower(e.BizType) {
	case "deposit":
		kind = venue.Deposit
	case "withdraw", "withdrawal":
		kind = venue.Withdrawal
	case "exchange", "trade_exchange", "trade exchange":
		kind = venue.Trade
	}
	return venue.Movement{
		ID: string(e.ID), Kind: kind, Type: e.BizType, Status: venue.Settled, Vout: -1, Time: e.CreatedAt.Time,
		Legs: []venue.Leg{{Wallet: kindOf(e.AccountType), Code: e.Currency, Amount: amount}},
	}
}

// fast reads the ledger of high-frequency accounts, the newest entries first.
func (a *account) fast(ctx context.Context, q venue.Query, last string) (venue.Page, error) {
	rows, err := get[[]entry](ctx, a, "", fastLedgersPath, bounds(q.Range).With("lastId", last, "limit", strconv.Itoa(fastRows)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, e := range rows {
		m := e.movement()
		m.ID = fastCursor + m.ID
		page.Movements = append(page.Movements, m)
	}
	if len(rows) >= fastRows {
		page.Next = fastCursor + string(rows[len(rows)-1].ID)
	}
	return page, nil
}
