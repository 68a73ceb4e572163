package blink

import (
	"context"
	"strconv"
	"time"

	"tallyd/chains/venue"
)

const (
	perPage = 100 // the most that Blink returns

	// slack is how far the order of rows may be from that of their times: they
	// come in the order in which Blink booked them.
	slack = 24 * time.Hour
)

// Page implements venue.Historian. The first page is what is on its way in: such
// a row gets another id when it settles, and is the same by its output on chain.
// The others are booked rows, the newest first.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	if q.Stream != venue.Transactions {
		return venue.Page{}, venue.ErrNoStream
	}
	if q.Cursor == "" {
		data, err := of(ask[mine[struct {
			Rows *[]row `json:"pendingIncomingTransactions"`
		}]](ctx, a, question{Query: pendingQuery}))
		if err != nil {
			return venue.Page{}, err
		}
		if data.Rows == nil {
			return venue.Page{}, venue.Misread("the account does not say what is on its way")
		}
		movements, err := movements(*data.Rows)
		return venue.Page{Movements: movements, Next: firstPage}, err
	}
	return a.booked(ctx, q)
}

// firstPage is the cursor of the first page of booked rows.
const firstPage = "booked"

func (a *account) booked(ctx context.Context, q venue.Query) (venue.Page, error) {
	after := q.Cursor
	if after == firstPage {
		after = ""
	}
	data, err := of(ask[mine[struct {
		Transactions *struct {
			PageInfo *struct {
				HasNextPage bool   `json:"hasNextPage"`
				EndCursor   string `json:"endCursor"`
			} `json:"pageInfo"`
			Edges []struct {
				Node row `json:"node"`
			} `json:"edges"`
		} `json:"transactions"`
	}]](ctx, a, question{Query: transactionsQuery, Variables: &variables{First: perPage, After: after}}))
	if err != nil {
		return venue.Page{}, err
	}
	if data.Transactions == nil || data.Transactions.PageInfo == nil {
		return venue.Page{}, venue.Misread("the account has no transactions")
	}
	rows := make([]row, 0, len(data.Transactions.Edges))
	old := 0
	for _, edge := range data.Transactions.Edges {
		rows = append(rows, edge.Node)
		if edge.Node.CreatedAt.Before(q.Range.From.Add(-slack)) {
			old++
		}
	}
	movements, err := movements(rows)
	if err != nil {
		return venue.Page{}, err
	}
	page := venue.Page{Movements: movements}
	if info := data.Transactions.PageInfo; info.HasNextPage && len(rows) > 0 && old < len(rows) {
		page.Next = info.EndCursor
	}
	return page, nil
}

func movements(rows []row) ([]venue.Movement, error) {
	var all []venue.Movement
	for _, r := range rows {
		m, err := r.movement()
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// row is one transaction.
type row struct {
	ID                 string        `json:"id"`
	CreatedAt          venue.Moment  `json:"createdAt"`
	Status             string        `json:"status"`
	Memo               string        `json:"memo"`
	SettlementAmount   venue.Decimal `json:"settlementAmount"` // what it did to the wallet, the fee included
	SettlementFee      venue.Decimal `json:"settlementFee"`
	SettlementCurrency string        `json:"settlementCurrency"`
	InitiationVia      struct {
		Type        string `json:"__typename"`
		Address     string `json:"address"`
		PaymentHash string `json:"paymentHash"`
	} `json:"initiationVia"`
	SettlementVia struct {
		Type                 string `json:"__typename"`
		TransactionHash      string `json:"transactionHash"`
		Vout                 *int   `json:"vout"`
		CounterPartyUsername string `json:"counterPartyUsername"`
	} `json:"settlementVia"`
}

func (r row) movement() (venue.Movement, error) {
	places, err := placesOf(r.SettlementCurrency)
	if err != nil {
		return venue.Movement{}, err
	}
	amount, fee := r.SettlementAmount.Shift(places), r.SettlementFee.Shift(places)
	m := venue.Movement{
		ID: r.ID, Kind: venue.Withdrawal, Status: statusOf(r.Status), State: r.Status, Vout: -1, Tag: r.Memo, Time: r.CreatedAt.Time,
		Legs: append([]venue.Leg{{Wallet: venue.Spot, Code: r.SettlementCurrency, Amount: amount.Add(fee)}}, venue.Paid(venue.Spot, r.SettlementCurrency, fee)...),
	}
	if amount.Sign() > 0 {
		m.Kind = venue.Deposit
	}
	switch r.SettlementVia.Type {
	case "SettlementViaOnChain":
		m.Type, m.Network, m.TxHash = "onchain", "bitcoin", r.SettlementVia.TransactionHash
		if vout := r.SettlementVia.Vout; vout != nil {
			m.Vout = *vout
			if m.Kind == venue.Deposit && m.TxHash != "" {
				m.Ref = m.TxHash + ":" + strconv.Itoa(*vout) + ":" + r.SettlementCurrency
			}
		}
	case "SettlementViaLn":
		m.Type, m.Network = "lightning", "lightning"
	case "SettlementViaIntraLedger":
		m.Type, m.Inside, m.Address = "intraledger", true, r.SettlementVia.CounterPartyUsername
	}
	m.Group = r.InitiationVia.PaymentHash
	if address := r.InitiationVia.Address; address != "" && address != "<no-address>" {
		m.Address = address
	}
	return m, nil
}

func statusOf(status string) venue.Status {
	switch status {
	case "SUCCESS":
		return venue.Settled
	case "FAILURE":
		return venue.Failed
	}
	return venue.Pending
}
