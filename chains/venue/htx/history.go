package htx

import (
	"context"
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"tallyd/chains/venue"
)

const (
	day      = 24 * time.Hour
	perPage  = 500
	bookRows = 500
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2013, 9, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Withdrawals, Since: opened, Again: 7 * day, Explains: true},
		{Stream: venue.Transfers, Window: 9 * day, Since: opened, Depth: 179 * day, Again: day, Limits: "transfers out of and into the spot account in the last half year"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return a.transfers(ctx, q, "deposit", venue.Deposit)
	case venue.Withdrawals:
		return a.transfers(ctx, q, "withdraw", venue.Withdrawal)
	case venue.Transfers:
		return a.ledger(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// transfers reads deposits or withdrawals from an id on. Rows come in the order of
// their ids, and the reference does not say in which: a page shows it.
func (a *account) transfers(ctx context.Context, q venue.Query, kindName string, kind venue.Kind) (venue.Page, error) {
	from := q.Cursor
	if from == "" {
		from = "0"
	}
	rows, err := get[[]transfer](ctx, a, transfersPath, venue.P("type", kindName, "from", from, "size", strconv.Itoa(perPage), "direct", "next"))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, row := range rows {
		page.Movements = append(page.Movements, row.movement(kind))
	}
	if len(rows) < perPage {
		return page, nil
	}
	first, last := rows[0], rows[len(rows)-1]
	falling := last.CreatedAt.Before(first.CreatedAt.Time)
	if falling && last.CreatedAt.Before(q.Range.From) || string(last.ID) == q.Cursor {
		return page, nil
	}
	page.Next = string(last.ID) // it may be on the next page again
	return page, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	ID         venue.Text    `json:"id"`
	Currency   string        `json:"currency"`
	Chain      string        `json:"chain"`
	TxHash     string        `json:"tx-hash"`
	Amount     venue.Decimal `json:"amount"`
	Address    string        `json:"address"`
	AddressTag string        `json:"address-tag"`
	Fee        venue.Decimal `json:"fee"`
	State      string        `json:"state"`
	SubType    string        `json:"sub-type"`
	CreatedAt  venue.Moment  `json:"created-at"`
	UpdatedAt  venue.Moment  `json:"updated-at"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	m := venue.Movement{
		ID: string(t.ID), Kind: kind, Type: t.SubType, Status: venue.Pending, State: t.State, Network: t.Chain, TxHash: t.TxHash, Vout: -1,
		Address: t.Address, Tag: t.AddressTag, Inside: t.SubType == "FAST", Time: t.CreatedAt.Time, Updated: t.UpdatedAt.Time,
	}
	if kind == venue.Deposit {
		m.Legs = append([]venue.Leg{{Wallet: venue.Spot, Code: t.Currency, Amount: t.Amount}}, venue.Paid(venue.Spot, t.Currency, t.Fee)...)
		switch t.State {
		case "confirmed", "safe": // confirmed is credited, and cannot be withdrawn yet
			m.Status = venue.Settled
		case "orphan":
			m.Status = venue.Reversed
		}
		return m
	}
	m.Legs = append([]venue.Leg{{Wallet: venue.Spot, Code: t.Currency, Amount: t.Amount.Neg()}}, venue.Paid(venue.Spot, t.Currency, t.Fee)...)
	switch t.State {
	case "confirmed":
		m.Status = venue.Settled
	case "canceled", "repealed":
		m.Status = venue.Canceled
	case "reject", "wallet-reject", "confirm-error", "failed":
		m.Status = venue.Failed
	}
	return m
}

// ledger reads the transfers of the spot account.
func (a *account) ledger(ctx context.Context, q venue.Query) (venue.Page, error) {
	parts, err := get[[]part](ctx, a, accountsPath, nil)
	if err != nil {
		return venue.Page{}, err
	}
	spot := ""
	for _, p := range parts {
		if p.Type == "spot" {
			spot = string(p.ID)
		}
	}
	if spot == "" {
		return venue.Page{}, venue.Misread("%s has no spot account", accountsPath)
	}
	answer, err := venue.Read[struct {
		Code json.Number `json:"code"`
		Data *[]struct {
			Currency     string        `json:"currency"`
			TransactAmt  venue.Decimal `json:"transactAmt"`
			TransactType string        `json:"transactType"`
			TransferType string        `json:"transferType"`
			TransactID   venue.Text    `json:"transactId"`
			TransactTime venue.Moment  `json:"transactTime"`
		} `json:"data"`
		NextID venue.Text `json:"nextId"`
	}](ctx, a.s, venue.Request{Method: http.MethodGet, Path: ledgerPath, Query: venue.P(
		"accountId", spot, "startTime", venue.Millis(q.Range.From), "endTime", venue.Millis(q.Range.To), "limit", strconv.Itoa(bookRows), "fromId", q.Cursor,
	).Encode()})
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Data == nil {
		return venue.Page{}, venue.Misread("%s has no data", ledgerPath)
	}
	page := venue.Page{}
	if len(*answer.Data) > 0 && answer.NextID != "0" {
		page.Next = string(answer.NextID)
	}
	for _, e := range *answer.Data {
		page.Movements = append(page.Movements, venue.Movement{
			// Many rows carry the id 0.
			ID:   string(e.TransactID),
			Ref:  venue.MadeID(string(e.TransactID), e.Currency, e.TransferType, e.TransactAmt.String(), venue.Millis(e.TransactTime.Time)),
			Kind: venue.Entry, Type: e.TransactType + "/" + e.TransferType, Status: venue.Settled, Vout: -1, Time: e.TransactTime.Time,
			Legs: []venue.Leg{{Wallet: venue.Spot, Code: e.Currency, Amount: e.TransactAmt}},
		})
	}
	return page, nil
}
