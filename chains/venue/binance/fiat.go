package binance

import (
	"context"
	"strconv"
	"strings"

	"tallyd/chains/venue"
)

// The four questions about money of states, in the order in which they are asked:
// the cursor is the place in this order and the page.
const (
	fiatIn = iota
	fiatOut
	fiatBought
	fiatSold
	fiatEnd
)

func (a *account) fiat(ctx context.Context, q venue.Query) (venue.Page, error) {
	question, number := fiatIn, 1
	if place, page, found := strings.Cut(q.Cursor, ":"); found {
		question, _ = strconv.Atoi(place) // ours
		number, _ = strconv.Atoi(page)    // ours
	}
	path := fiatPath
	if question >= fiatBought {
		path = paymentsPath
	}
	answer, err := get[struct {
		Data *[]fiatOrder `json:"data"`
	}](ctx, a, "", path, venue.P(
		"transactionType", strconv.Itoa(question%2), "beginTime", venue.Millis(q.Range.From), "endTime", venue.Millis(q.Range.To),
		"page", strconv.Itoa(number), "rows", strconv.Itoa(fiatRows),
	))
	if err != nil {
		return venue.Page{}, err
	}
	if answer.Data == nil {
		return venue.Page{}, venue.Misread("%s has no data", path)
	}
	page := venue.Page{}
	for _, order := range *answer.Data {
		page.Movements = append(page.Movements, order.movement(question))
	}
	if len(*answer.Data) < fiatRows {
		question, number = question+1, 0
	}
	if question < fiatEnd {
		page.Next = strconv.Itoa(question) + ":" + strconv.Itoa(number+1)
	}
	return page, nil
}

// fiatOrder is a deposit or a withdrawal of money, or a purchase or a sale for it.
type fiatOrder struct {
	OrderNo        string        `json:"orderNo"`
	FiatCurrency   string        `json:"fiatCurrency"`
	Amount         venue.Decimal `json:"amount"` // after the fee
	TotalFee       venue.Decimal `json:"totalFee"`
	Method         string        `json:"method"`
	PaymentMethod  string        `json:"paymentMethod"`
	SourceAmount   venue.Decimal `json:"sourceAmount"`
	ObtainAmount   venue.Decimal `json:"obtainAmount"`
	CryptoCurrency string        `json:"cryptoCurrency"`
	Status         string        `json:"status"`
	CreateTime     venue.Moment  `json:"createTime"`
	UpdateTime     venue.Moment  `json:"updateTime"`
}

func (o fiatOrder) movement(question int) venue.Movement {
	m := venue.Movement{
		ID: o.OrderNo, Type: o.Method + o.PaymentMethod, Status: venue.Pending, State: o.Status, Vout: -1, Time: o.CreateTime.Time, Updated: o.UpdateTime.Time,
	}
	switch o.Status {
	case "Successful", "Finished", "Completed":
		m.Status = venue.Settled
	case "Failed", "Expired", "Refunded":
		m.Status = venue.Failed
	}
	switch question {
	case fiatIn:
		m.Kind, m.Legs = venue.Deposit, []venue.Leg{{Code: o.FiatCurrency, Amount: o.Amount}}
	case fiatOut:
		m.Kind = venue.Withdrawal
		m.Legs = append([]venue.Leg{{Code: o.FiatCurrency, Amount: o.Amount.Neg()}}, venue.Paid("", o.FiatCurrency, o.TotalFee)...)
	case fiatBought:
		// Paid from outside, by a card: only what was bought arrives here.
		m.Kind, m.Legs = venue.Deposit, []venue.Leg{{Code: o.CryptoCurrency, Amount: o.ObtainAmount}}
	case fiatSold:
		m.Kind, m.Legs = venue.Withdrawal, []venue.Leg{{Code: o.CryptoCurrency, Amount: o.SourceAmount.Neg()}}
	}
	return m
}
