package kraken

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	switch q.Stream {
	case venue.Deposits:
		return a.transfers(ctx, q, depositsPath, venue.Deposit)
	case venue.Withdrawals:
		return a.transfers(ctx, q, withdrawalsPath, venue.Withdrawal)
	case venue.Ledger:
		return a.ledger(ctx, q)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

// bounds writes a range in whole seconds, of which start is left out by Kraken.
func bounds(r venue.Range) venue.Params {
	return venue.P("start", venue.Seconds(r.From.Add(-time.Second)), "end", venue.Seconds(r.To.Add(time.Second)))
}

// ledger reads entries by their offset from the end of the range, which does not
// move.
func (a *account) ledger(ctx context.Context, q venue.Query) (venue.Page, error) {
	offset, _ := strconv.Atoi(q.Cursor) // "" is 0, and others are ours
	result, err := ask[struct {
		Ledger *map[string]entry `json:"ledger"`
		Count  venue.Text        `json:"count"` // of the whole range
	}](ctx, a, ledgersPath, bounds(q.Range).With("ofs", strconv.Itoa(offset)))
	if err != nil {
		return venue.Page{}, err
	}
	if result.Ledger == nil {
		return venue.Page{}, venue.Misread("%s has no ledger", ledgersPath)
	}
	page := venue.Page{}
	for id, e := range *result.Ledger {
		page.Movements = append(page.Movements, e.movement(id))
	}
	slices.SortFunc(page.Movements, func(a, b venue.Movement) int {
		if c := b.Time.Compare(a.Time); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
	next := offset + len(page.Movements)
	if count, err := strconv.Atoi(string(result.Count)); len(page.Movements) > 0 && (err != nil || next < count) {
		page.Next = strconv.Itoa(next)
	}
	return page, nil
}

type entry struct {
	RefID   string        `json:"refid"`
	Time    venue.Moment  `json:"time"`
	Type    string        `json:"type"`
	Subtype string        `json:"subtype"`
	Asset   string        `json:"asset"`
	Amount  venue.Decimal `json:"amount"`
	Fee     venue.Decimal `json:"fee"`
}

func (e entry) movement(id string) venue.Movement {
	kind := venue.Entry
	switch e.Type {
	case "deposit":
		kind = venue.Deposit
	case "withdrawal":
		kind = venue.Withdrawal
	case "trade":
		kind = venue.Trade
	}
	wallet := walletOf(e.Asset)
	return venue.Movement{
		ID: id, Group: e.RefID, Kind: kind, Type: strings.TrimSuffix(e.Type+"/"+e.Subtype, "/"), Status: venue.Settled, Vout: -1, Time: e.Time.Time,
		Legs: append([]venue.Leg{{Wallet: wallet, Code: e.Asset, Amount: e.Amount}}, venue.Paid(wallet, e.Asset, e.Fee)...),
	}
}

// transfers reads deposits or withdrawals.
func (a *account) transfers(ctx context.Context, q venue.Query, path string, kind venue.Kind) (venue.Page, error) {
	cursor := q.Cursor
	if cursor == "" {
		cursor = "true" // asks for a first page with a cursor behind it
	}
	result, err := ask[json.RawMessage](ctx, a, path, bounds(q.Range).With("cursor", cursor))
	if err != nil {
		return venue.Page{}, err
	}
	rows, next, err := paged(result)
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{Next: next}
	for _, row := range rows {
		page.Movements = append(page.Movements, row.movement(kind))
	}
	return page, nil
}

// paged reads a list of transfers, which stands alone, or beside the cursor of the
// next page under a name that says what is listed.
func paged(result json.RawMessage) (rows []transfer, next string, err error) {
	if strings.HasPrefix(strings.TrimSpace(string(result)), "[") {
		return rows, "", venue.Decode(result, &rows)
	}
	var page struct {
		Deposit, Deposits, Withdrawal, Withdrawals *[]transfer

		NextCursor venue.Text `json:"next_cursor"`
	}
	if err := venue.Decode(result, &page); err != nil {
		return nil, "", err
	}
	for _, list := range []*[]transfer{page.Deposit, page.Deposits, page.Withdrawal, page.Withdrawals} {
		if list != nil {
			return *list, string(page.NextCursor), nil
		}
	}
	return nil, "", venue.Misread("a page of transfers without transfers")
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	Method     string        `json:"method"`
	Network    string        `json:"network"`
	Asset      string        `json:"asset"`
	RefID      string        `json:"refid"`
	TxID       string        `json:"txid"`
	Info       string        `json:"info"` // the address
	Amount     venue.Decimal `json:"amount"`
	Fee        venue.Decimal `json:"fee"`
	Time       venue.Moment  `json:"time"`
	Status     string        `json:"status"`
	StatusProp string        `json:"status-prop"`
}

func (t transfer) movement(kind venue.Kind) venue.Movement {
	m := venue.Movement{
		ID: t.RefID, Group: t.RefID, Kind: kind, Type: t.Method, Status: statusOf(t.Status, t.StatusProp),
		State: strings.TrimSpace(t.Status + " " + t.StatusProp), Network: t.Network, TxHash: t.TxID, Vout: -1, Address: t.Info, Time: t.Time.Time,
	}
	if m.Network == "" {
		m.Network = t.Method
	}
	amount := t.Amount
	if kind == venue.Withdrawal {
		amount = amount.Neg()
	}
	m.Legs = append([]venue.Leg{{Code: t.Asset, Amount: amount}}, venue.Paid("", t.Asset, t.Fee)...)
	return m
}

// statusOf returns the status of a transfer. Settled is Kraken's word for what the
// network has confirmed and Kraken has not credited yet.
func statusOf(status, prop string) venue.Status {
	switch {
	case prop == "canceled":
		return venue.Canceled
	case status == "Success":
		return venue.Settled
	case status == "Failure":
		return venue.Failed
	}
	return venue.Pending
}
