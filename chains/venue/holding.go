package venue

import (
	"cmp"
	"slices"
	"time"
)

// Wallet is a kind of wallet. Venues keep the same asset in several, and show
// each to another question.
type Wallet string

// The kinds of wallets.
const (
	Spot     Wallet = "spot"     // what trades on the spot market; at most venues the main one
	Funding  Wallet = "funding"  // where deposits arrive and withdrawals leave
	Trading  Wallet = "trading"  // one account for spot, margin and derivatives
	Earn     Wallet = "earn"     // lent or saved, to be taken back at any time
	Locked   Wallet = "locked"   // lent, saved or bonded for a term
	Staking  Wallet = "staking"  //
	Margin   Wallet = "margin"   // cross margin
	Isolated Wallet = "isolated" // isolated margin, all pairs together
	Futures  Wallet = "futures"  // derivatives settled in a stable coin
	Inverse  Wallet = "inverse"  // derivatives settled in the coin itself
	Options  Wallet = "options"  //
	Vault    Wallet = "vault"    // apart, with a delay before it can be moved
	Hold     Wallet = "hold"     // not to be withdrawn yet
	Other    Wallet = "other"    // one that tallyd has no word for
)

// Holding is what one wallet holds of one asset. Its identity is (venue, Code):
// see Identify.
type Holding struct {
	Wallet    Wallet
	Code      string  // as the venue writes it
	Available Decimal // free to move; unknown where the venue does not say
	Locked    Decimal // held by orders, withdrawals or a term
	Borrowed  Decimal // owed, principal and interest; never negative
	Total     Decimal // what belongs to the user: what is owed is taken off, so that it may be negative
}

// Balances is one reading of an account.
type Balances struct {
	At       time.Time // when the venue was asked first, by our clock
	Holdings []Holding // one for each wallet and code, sorted; none with a total of 0 and nothing owed
	Missing  []Missing // wallets that could not be read: what they held before still stands
}

// Missing is a wallet that could not be read.
type Missing struct {
	Wallet Wallet
	Reason Reason
	Detail string // in words
}

// Gather makes the list of a Balances: holdings of one wallet and code become
// one, and empty ones are dropped. A holding without a total is an error: it is
// never taken for 0.
func Gather(holdings []Holding) ([]Holding, error) {
	type key struct {
		wallet Wallet
		code   string
	}
	at := make(map[key]int, len(holdings))
	gathered := make([]Holding, 0, len(holdings))
	for _, h := range holdings {
		if !h.Total.Known() {
			return nil, Misread("%s %s has no balance", h.Wallet, h.Code)
		}
		if h.Code == "" {
			return nil, Misread("a balance in %s has no code", h.Wallet)
		}
		i, found := at[key{h.Wallet, h.Code}]
		if !found {
			at[key{h.Wallet, h.Code}] = len(gathered)
			gathered = append(gathered, h)
			continue
		}
		sum := &gathered[i]
		sum.Available, sum.Locked = sum.Available.Add(h.Available), sum.Locked.Add(h.Locked)
		sum.Total = sum.Total.Add(h.Total)
		if sum.Borrowed.Known() || h.Borrowed.Known() {
			sum.Borrowed = sum.Borrowed.Or(NewDecimal(0, 0)).Add(h.Borrowed.Or(NewDecimal(0, 0)))
		}
	}
	gathered = slices.DeleteFunc(gathered, func(h Holding) bool {
		return h.Total.IsZero() && h.Borrowed.Sign() == 0 && h.Locked.Sign() == 0
	})
	slices.SortFunc(gathered, func(a, b Holding) int {
		return cmp.Or(cmp.Compare(a.Wallet, b.Wallet), cmp.Compare(a.Code, b.Code))
	})
	return gathered, nil
}

// Held returns a holding of what is free and what is locked; their sum belongs
// to the user.
func Held(wallet Wallet, code string, available, locked Decimal) Holding {
	return Holding{Wallet: wallet, Code: code, Available: available, Locked: locked, Total: available.Add(locked)}
}

// Owned returns a holding of which the venue tells the total alone.
func Owned(wallet Wallet, code string, total Decimal) Holding {
	return Holding{Wallet: wallet, Code: code, Total: total}
}
