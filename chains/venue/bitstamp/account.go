package bitstamp

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// list asks for a list.
func list[T any](ctx context.Context, a *account, path string, params venue.Params) ([]T, error) {
	rows, err := venue.Read[*[]T](ctx, a.s, venue.Request{Method: http.MethodPost, Path: path, Body: params.Encode()})
	if err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, venue.Misread("%s has no list", path)
	}
	return *rows, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	if _, err := a.Balances(ctx); err != nil {
		return venue.Access{}, err
	}
	return venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	rows, err := list[struct {
		Currency  string        `json:"currency"`
		Total     venue.Decimal `json:"total"`
		Available venue.Decimal `json:"available"`
		Reserved  venue.Decimal `json:"reserved"`
	}](ctx, a, balancesPath, nil)
	if err != nil {
		return venue.Balances{}, err
	}
	for _, r := range rows {
		c.Add(venue.Holding{Wallet: venue.Spot, Code: r.Currency, Available: r.Available, Locked: r.Reserved, Total: r.Total})
	}
	return c.Balances()
}

const (
	day     = 24 * time.Hour
	perPage = 1000
)

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2011, 8, 1, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Transactions, Since: opened, Again: day, Explains: true},
		{Stream: venue.Deposits, Since: opened, Again: 7 * day, Limits: "deposits of coins, which the transactions have too"},
		{Stream: venue.Withdrawals, Since: opened, Depth: 570 * day, Again: 7 * day, Limits: "requests of the last year and a half, which the transactions have too once they are done"},
	}
}

// Page implements venue.Historian.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	offset, _ := strconv.Atoi(q.Cursor) // "" is 0, and others are ours
	switch q.Stream {
	case venue.Deposits:
		return a.deposits(ctx, q, offset)
	case venue.Withdrawals:
		return a.withdrawals(ctx, q, offset)
	case venue.Transactions:
		return a.transactions(ctx, q, offset)
	default:
		return venue.Page{}, venue.ErrNoStream
	}
}

func (a *account) transactions(ctx context.Context, q venue.Query, offset int) (venue.Page, error) {
	rows, err := list[map[string]json.RawMessage](ctx, a, transactionsPath, paging(offset).With("sort", "desc"))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, row := range rows {
		m, err := movementOf(row)
		if err != nil {
			return venue.Page{}, err
		}
		page.Movements = append(page.Movements, m)
	}
	return more(page, len(rows), offset, q), nil
}

func paging(offset int) venue.Params {
	return venue.P("offset", strconv.Itoa(offset), "limit", strconv.Itoa(perPage))
}

// more says that a list goes on, unless it has reached what is older than the
// range: rows come the newest first.
func more(page venue.Page, rows, offset int, q venue.Query) venue.Page {
	older := func(m venue.Movement) bool { return m.Time.Before(q.Range.From) }
	if rows >= perPage && slices.ContainsFunc(page.Movements, func(m venue.Movement) bool { return !older(m) }) {
		page.Next = strconv.Itoa(offset + perPage)
	}
	return page
}

// movementOf reads a transaction. Bitstamp writes the amount of each currency
// under its code, and the price of a pair under its name: link, usd and link_usd.
func movementOf(row map[string]json.RawMessage) (venue.Movement, error) {
	var head struct {
		ID       venue.Text    `json:"id"`
		Datetime venue.Moment  `json:"datetime"`
		Type     venue.Text    `json:"type"`
		Fee      venue.Decimal `json:"fee"`
		OrderID  venue.Text    `json:"order_id"`
	}
	text, err := json.Marshal(row)
	if err != nil {
		return venue.Movement{}, venue.Misread("a transaction: %v", err)
	}
	if err := venue.Decode(text, &head); err != nil {
		return venue.Movement{}, venue.Misread("a transaction: %v", err)
	}
	m := venue.Movement{
		ID: string(head.ID), Group: string(head.OrderID), Kind: venue.Entry, Type: string(head.Type), Status: venue.Settled, Vout: -1, Time: head.Datetime.Time,
	}
	paidIn := ""
	for _, name := range slices.Sorted(maps.Keys(row)) {
		if slices.Contains([]string{"id", "datetime", "type", "fee", "order_id", "status", "market"}, name) {
			continue
		}
		if _, quote, isPrice := strings.Cut(name, "_"); isPrice {
			if _, there := row[quote]; there {
				paidIn = quote
			}
			continue
		}
		var amount venue.Decimal
		if amount.UnmarshalJSON(row[name]) != nil || amount.Sign() == 0 {
			continue
		}
		m.Legs = append(m.Legs, venue.Leg{Wallet: venue.Spot, Code: name, Amount: amount})
	}
	if paidIn == "" && len(m.Legs) == 1 {
		paidIn = m.Legs[0].Code
	}
	if head.Fee.Sign() != 0 && paidIn == "" {
		return venue.Movement{}, venue.Misread("transaction %s has a fee in no currency", m.ID)
	}
	m.Legs = append(m.Legs, venue.Paid(venue.Spot, paidIn, head.Fee)...)
	switch head.Type {
	case "0":
		m.Kind = venue.Deposit
	case "1":
		m.Kind = venue.Withdrawal
	case "2":
		m.Kind = venue.Trade
	}
	return m, nil
}

// deposits reads what came on a chain.
func (a *account) deposits(ctx context.Context, q venue.Query, offset int) (venue.Page, error) {
	answer, err := venue.Read[struct {
		Deposits *[]struct {
			ID       venue.Text    `json:"id"`
			Network  string        `json:"network"`
			Currency string        `json:"currency"`
			TxID     string        `json:"txid"`
			Amount   venue.Decimal `json:"amount"`
			Datetime venue.Moment  `json:"datetime"`
			Status   string        `json:"status"`
			Pending  string        `json:"pending_reason"`
			Address  string        `json:"destinationAddress"`
		} `json:"deposits"`
	}](ctx, a.s, venue.Request{Method: http.MethodPost, Path: cryptoPath, Body: paging(offset).Encode()})
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Deposits == nil {
		return venue.Page{}, venue.Misread("%s has no deposits", cryptoPath)
	}
	page := venue.Page{}
	for _, d := range *answer.Deposits {
		m := venue.Movement{
			ID: string(d.ID), Kind: venue.Deposit, Status: venue.Settled, State: strings.TrimSpace(d.Status + " " + d.Pending),
			Legs:    []venue.Leg{{Wallet: venue.Spot, Code: strings.ToLower(d.Currency), Amount: d.Amount}},
			Network: d.Network, TxHash: d.TxID, Vout: -1, Address: d.Address, Time: d.Datetime.Time,
		}
		if d.Status != "" && d.Status != "COMPLETED" {
			m.Status = venue.Pending
		}
		if m.ID == "" {
			m.ID = venue.MadeID(d.TxID, d.Currency, d.Address, d.Amount.String())
		}
		page.Movements = append(page.Movements, m)
	}
	return more(page, len(*answer.Deposits), offset, q), nil
}

// withdrawals reads what was asked for, as far back as Bitstamp lets.
func (a *account) withdrawals(ctx context.Context, q venue.Query, offset int) (venue.Page, error) {
	back := a.s.Now().Sub(q.Range.From) + time.Minute
	rows, err := list[struct {
		ID       venue.Text    `json:"id"`
		Datetime venue.Moment  `json:"datetime"`
		Type     venue.Text    `json:"type"`
		Currency string        `json:"currency"`
		Network  string        `json:"network"`
		Amount   venue.Decimal `json:"amount"`
		Status   venue.Text    `json:"status"`
		Address  string        `json:"address"`
		TxHash   string        `json:"transaction_id"`
	}](ctx, a, requestsPath, paging(offset).With("timedelta", strconv.FormatInt(int64(back/time.Second), 10)))
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{}
	for _, w := range rows {
		m := venue.Movement{
			ID: string(w.ID), Kind: venue.Withdrawal, Type: string(w.Type), Status: venue.Pending, State: string(w.Status),
			Legs:    []venue.Leg{{Wallet: venue.Spot, Code: strings.ToLower(w.Currency), Amount: w.Amount.Neg()}},
			Network: w.Network, TxHash: w.TxHash, Vout: -1, Address: w.Address, Time: w.Datetime.Time,
		}
		switch w.Status {
		case "2":
			m.Status = venue.Settled
		case "3":
			m.Status = venue.Canceled
		case "4":
			m.Status = venue.Failed
		}
		page.Movements = append(page.Movements, m)
	}
	return more(page, len(rows), offset, q), nil
}
