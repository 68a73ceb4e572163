package blink

import (
	"context"
	"net/http"
	"time"

	"tallyd/chains/venue"
)

// account is one login.
type account struct{ s *venue.Session }

// ask returns the data of an answer.
func ask[T any](ctx context.Context, a *account, q question) (T, error) {
	answer, err := venue.Read[struct {
		Data *T `json:"data"`
	}](ctx, a.s, venue.Request{Method: http.MethodPost, Path: path, Body: q.body()})
	if err != nil {
		return *new(T), err
	}
	if answer.Data == nil {
		return *new(T), venue.Misread("the answer has no data")
	}
	return *answer.Data, nil
}

// mine is data about the account of the key.
type mine[T any] struct {
	Me *struct {
		DefaultAccount *T `json:"defaultAccount"`
	} `json:"me"`
}

// of returns the account in an answer.
func of[T any](m mine[T], err error) (T, error) {
	if err != nil {
		return *new(T), err
	}
	if m.Me == nil || m.Me.DefaultAccount == nil {
		return *new(T), venue.Misread("the answer tells of no account")
	}
	return *m.Me.DefaultAccount, nil
}

// Check implements venue.Account.
func (a *account) Check(ctx context.Context) (venue.Access, error) {
	data, err := ask[struct {
		Authorization *struct {
			Scopes *[]string `json:"scopes"`
		} `json:"authorization"`
		mine[struct {
			ID string `json:"id"`
		}]
	}](ctx, a, question{Query: checkQuery})
	if err != nil {
		return venue.Access{}, err
	}
	owner, err := of(data.mine, nil)
	if err != nil {
		return venue.Access{}, err
	}
	if data.Authorization == nil || data.Authorization.Scopes == nil {
		return venue.Access{}, venue.Misread("the answer tells of no scopes")
	}
	access := venue.Access{Login: owner.ID, Can: *data.Authorization.Scopes}
	if len(access.Can) == 0 {
		// Blink lets a key without scopes do everything.
		access.Verdict, access.Excess = venue.TooStrong, []string{"no scopes, which is full access"}
	} else {
		access.Verdict, access.Excess = venue.Judge(access.Can, "READ", "RECEIVE")
	}
	access.Lacks = venue.Lacking(access.Can, "READ")
	access.State, err = a.state(ctx)
	return access, err
}

// state asks whether the account is being wound down. A schema without that
// question has no account that is.
func (a *account) state(ctx context.Context) (venue.State, error) {
	data, err := ask[struct {
		WindDown *struct {
			Status            string       `json:"status"`
			ReceiveDisabledAt venue.Moment `json:"receiveDisabledAt"`
			FinalDeadline     venue.Moment `json:"finalDeadline"`
		} `json:"windDown"`
	}](ctx, a, question{Query: windDownQuery})
	if venue.ReasonOf(err) == venue.Refused {
		return venue.State{Status: venue.AccountOpen}, nil
	}
	if err != nil {
		return venue.State{}, err
	}
	if data.WindDown == nil {
		return venue.State{Status: venue.AccountOpen}, nil
	}
	w := data.WindDown
	state := venue.State{Status: venue.AccountClosing, At: w.FinalDeadline.Time, Detail: "Blink ends custody in the account's region: move what is held before the deadline"}
	switch w.Status {
	case "PRE_CUTOFF":
		state.At, state.Detail = w.ReceiveDisabledAt.Time, "Blink ends custody in the account's region: nothing can be received from this time on"
	case "RECEIVE_DISABLED":
		state.Status = venue.AccountFrozen
	case "GATED_CLOSED":
		state.Status, state.Detail = venue.AccountEnded, "Blink has ended custody in the account's region"
	}
	return state, nil
}

// Balances implements venue.Account. Blink counts in satoshi and in cents.
func (a *account) Balances(ctx context.Context) (venue.Balances, error) {
	c := venue.Collect()
	data, err := of(ask[mine[struct {
		Wallets *[]struct {
			WalletCurrency string        `json:"walletCurrency"`
			Balance        venue.Decimal `json:"balance"`
		} `json:"wallets"`
	}]](ctx, a, question{Query: balancesQuery}))
	if err != nil {
		return venue.Balances{}, err
	}
	if data.Wallets == nil {
		return venue.Balances{}, venue.Misread("the account has no wallets")
	}
	for _, w := range *data.Wallets {
		places, err := placesOf(w.WalletCurrency)
		if err != nil {
			return venue.Balances{}, err
		}
		c.Add(venue.Owned(venue.Spot, w.WalletCurrency, w.Balance.Shift(places)))
	}
	return c.Balances()
}

// placesOf returns how many digits of an amount stand after its point.
func placesOf(currency string) (int, error) {
	switch currency {
	case "BTC":
		return 8, nil
	case "USD":
		return 2, nil
	}
	return 0, venue.Misread("a wallet in %s, of which nobody knows the unit", currency)
}

// Histories implements venue.Historian.
func (a *account) Histories() []venue.History {
	return []venue.History{{
		Stream: venue.Transactions, Since: time.Date(2019, 1, 1, 0, 0, 0, 0, time.UTC), Again: 3 * 24 * time.Hour, Explains: true,
		Limits: "deposits on chain below Blink's own minimum, which it keeps and does not show",
	}}
}
