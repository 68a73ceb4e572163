package gemini

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

func ask[T any](ctx context.Context, a *account, path, body string) (T, error) {
	return venue.Read[T](ctx, a.s, venue.Request{Method: http.MethodPost, Path: path, Body: body})
}

// list asks for a list.
func list[T any](ctx context.Context, a *account, path, body string) ([]T, error) {
	rows, err := ask[*[]T](ctx, a, path, body)
	if err != nil {
		return nil, err
	}
	if rows == nil {
		return nil, venue.Misread("%s has no list", path)
	}
	return *rows, nil
}

// Check implements venue.Account. A role that has another name than is known here
// is too much; if the one that only reads has, nobody knows.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	roles, err := ask[map[string]json.RawMessage](ctx, a, rolesPath, "")
	if err != nil {
		return venue.Access{}, err
	}
	access := venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}
	for _, name := range slices.Sorted(maps.Keys(roles)) {
		if string(roles[name]) == "true" {
			access.Can = append(access.Can, name)
		}
	}
	if id, there := roles["counterparty_id"]; there {
		access.Login = strings.Trim(string(id), `"`)
	}
	verdict, excess := venue.Judge(access.Can, "isAuditor")
	if _, there := roles["isAuditor"]; there || verdict == venue.TooStrong {
		access.Verdict, access.Excess = verdict, excess
		access.Lacks = venue.Lacking(access.Can, "isAuditor")
	}
	return access, nil
}

// Balances implements venue.Account.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	rows, err := list[struct {
		Currency  string        `json:"currency"`
		Amount    venue.Decimal `json:"amount"`
		Available venue.Decimal `json:"available"`
	}](ctx, a, balancesPath, "")
	if err != nil {
		return venue.Balances{}, err
	}
	for _, r := range rows {
		c.Add(venue.Holding{Wallet: venue.Spot, Code: r.Currency, Available: r.Available, Locked: r.Amount.Sub(r.Available), Total: r.Amount})
	}
	if err := c.Try(ctx, venue.Staking, a.staking); err != nil {
		return venue.Balances{}, err
	}
	return c.Balances()
}

// staking tells what is staked apart as nothing or something: no reference at hand
// says how it is shown.
func (a *account) staking(ctx context.Context) ([]venue.Holding, error) {
	answer, err := ask[json.RawMessage](ctx, a, stakingPath, "")
	if err != nil {
		return nil, err
	}
	if !venue.Hollow(answer) {
		return nil, venue.Say(venue.NotRead, "", "something is staked, and no reference says how it is shown")
	}
	return nil, nil
}

// Value implements venue.Valuer.
func (a *account) Value(ctx context.Context) ([]venue.Worth, error) {
	rows, err := list[struct {
		AmountNotional venue.Decimal `json:"amountNotional"`
	}](ctx, a, notionalPath, "")
	if err != nil {
		return nil, err
	}
	sum := venue.NewDecimal(0, 0)
	for _, r := range rows {
		sum = sum.Add(r.AmountNotional)
	}
	return []venue.Worth{{Wallet: venue.Spot, Code: "USD", Total: sum}}, nil
}

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	return []venue.History{{
		Stream: venue.Transfers, Since: time.Date(2015, 10, 5, 0, 0, 0, 0, time.UTC), Again: 7 * 24 * time.Hour,
		Limits: "deposits and withdrawals; not trades",
	}}
}

// Page implements venue.Historian. Gemini shows transfers from a time on; the page
// after a full one begins with the time of its newest row, which comes again.
func (a *account) Page(ctx context.Context, q venue.Query) (venue.Page, error) {
	if q.Stream != venue.Transfers {
		return venue.Page{}, venue.ErrNoStream
	}
	since := q.Range.From
	if q.Cursor != "" {
		at, err := strconv.ParseInt(q.Cursor, 10, 64)
		if err != nil {
			return venue.Page{}, venue.Misread("a cursor of transfers that is not ours")
		}
		since = time.UnixMilli(at)
	}
	rows, err := list[transfer](ctx, a, transfersPath, params(since))
	if err != nil {
		return venue.Page{}, err
	}
	page, newest := venue.Page{}, since
	for _, t := range rows {
		page.Movements = append(page.Movements, t.movement())
		if t.TimestampMs.After(newest) {
			newest = t.TimestampMs.Time
		}
	}
	if len(rows) >= perPage {
		page.Next = venue.Millis(newest)
		if !newest.After(since) {
			// A whole page of one moment: what follows it is a moment later.
			page.Next = venue.Millis(newest.Add(time.Millisecond))
		}
	}
	return page, nil
}

// transfer is a deposit or a withdrawal.
type transfer struct {
	Type        string        `json:"type"`
	Status      string        `json:"status"`
	TimestampMs venue.Moment  `json:"timestampms"`
	EID         venue.Text    `json:"eid"`
	Currency    string        `json:"currency"`
	Amount      venue.Decimal `json:"amount"`
	FeeAmount   venue.Decimal `json:"feeAmount"`
	FeeCurrency string        `json:"feeCurrency"`
	Method      string        `json:"method"`
	TxHash      string        `json:"txHash"`
	OutputIdx   *int          `json:"outputIdx"`
	Destination string        `json:"destination"`
}

func (t transfer) movement() venue.Movement {
	m := venue.Movement{
		ID: string(t.EID), Kind: venue.Deposit, Type: strings.TrimSuffix(t.Type+"/"+t.Method, "/"), Status: venue.Pending, State: t.Status,
		TxHash: t.TxHash, Vout: -1, Address: t.Destination, Time: t.TimestampMs.Time,
	}
	amount := t.Amount
	if t.Type == "Withdrawal" {
		m.Kind, amount = venue.Withdrawal, amount.Neg()
	}
	m.Legs = append([]venue.Leg{{Wallet: venue.Spot, Code: t.Currency, Amount: amount}}, venue.Paid(venue.Spot, t.FeeCurrency, t.FeeAmount)...)
	if t.OutputIdx != nil {
		m.Vout = *t.OutputIdx
	}
	if t.Status == "Complete" || t.Status == "Advanced" {
		m.Status = venue.Settled
	}
	return m
}
