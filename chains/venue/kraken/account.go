package kraken

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// ask returns the result of an answer. An answer without one is an error.
func ask[T any](ctx context.Context, a *account, path string, params venue.Params) (T, error) {
	answer, err := venue.Read[struct {
		Result *T `json:"result"`
	}](ctx, a.s, venue.Request{Method: http.MethodPost, Path: path, Body: params.Encode()})
	if err != nil {
		return *new(T), err
	}
	if answer.Result == nil {
		return *new(T), venue.Misread("%s has no result", path)
	}
	return *answer.Result, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	key, err := ask[struct {
		Permissions *[]string    `json:"permissions"`
		IBAN        string       `json:"iban"` // the account's name at Kraken
		ValidUntil  venue.Moment `json:"validUntil"`
		QueryFrom   venue.Moment `json:"queryFrom"`
		QueryTo     venue.Moment `json:"queryTo"`
		IPAllowlist []string     `json:"ipAllowlist"`
	}](ctx, a, keyPath, nil)
	if e, ok := errors.AsType[*venue.Error](err); ok && e.Reason == venue.Refused && strings.HasPrefix(e.Detail, "Unknown method") {
		// Not everywhere is there the question: whether the key holds can be seen all the same.
		_, err = a.holdings(ctx)
		return venue.Access{Verdict: venue.Unknown, State: venue.State{Status: venue.AccountOpen}}, err
	}
	if err != nil {
		return venue.Access{}, err
	}
	if key.Permissions == nil {
		return venue.Access{}, venue.Misread("%s has no permissions", keyPath)
	}
	access := venue.Access{
		Login: key.IBAN, Can: *key.Permissions, Expires: key.ValidUntil.Time, Unbound: len(key.IPAllowlist) == 0,
		State: venue.State{Status: venue.AccountOpen},
	}
	access.Verdict, access.Excess = venue.Judge(access.Can, "query-funds", "query-ledger", "query-open-trades", "query-closed-trades", "export-data")
	access.Lacks = venue.Lacking(access.Can, "query-funds", "query-ledger")
	if !key.QueryFrom.IsZero() || !key.QueryTo.IsZero() {
		access.Warnings = append(access.Warnings, "the key shows a part of the past only")
	}
	return access, nil
}

// Balances implements venue.Account. One question shows all wallets: the code says
// which one a balance is in.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	holdings, err := a.holdings(ctx)
	if err != nil {
		return venue.Balances{}, err
	}
	c.Add(holdings...)
	return c.Balances()
}

func (a *account) holdings(ctx context.Context) ([]venue.Holding, error) {
	balances, err := ask[map[string]struct {
		Balance    venue.Decimal `json:"balance"`
		HoldTrade  venue.Decimal `json:"hold_trade"`
		Credit     venue.Decimal `json:"credit"`
		CreditUsed venue.Decimal `json:"credit_used"`
	}](ctx, a, balancePath, nil)
	if err != nil {
		return nil, err
	}
	zero := venue.NewDecimal(0, 0)
	var holdings []venue.Holding
	for code, b := range balances {
		held := b.HoldTrade.Or(zero)
		h := venue.Holding{
			Wallet: walletOf(code), Code: code, Locked: held, Total: b.Balance.Sub(b.CreditUsed.Or(zero)),
			Available: b.Balance.Sub(held).Add(b.Credit.Or(zero)).Sub(b.CreditUsed.Or(zero)),
		}
		if b.CreditUsed.Sign() > 0 {
			h.Borrowed = b.CreditUsed
		}
		holdings = append(holdings, h)
	}
	return holdings, nil
}

// walletOf returns the wallet that a code is kept in: Kraken writes it behind the
// code, and leaves what is merely traded without.
func walletOf(code string) venue.Wallet {
	_, suffix, _ := strings.Cut(code, ".")
	switch suffix {
	case "S":
		return venue.Staking
	case "M", "F":
		return venue.Earn
	case "B", "P":
		return venue.Locked
	case "HOLD":
		return venue.Hold
	}
	return venue.Spot
}

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	opened := time.Date(2011, 7, 28, 0, 0, 0, 0, time.UTC)
	return []venue.History{
		{Stream: venue.Deposits, Since: opened, Again: 7 * 24 * time.Hour},
		{Stream: venue.Withdrawals, Since: opened, Again: 7 * 24 * time.Hour},
		{Stream: venue.Ledger, Since: opened, Again: time.Hour, Explains: true},
	}
}
