package venue

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"
)

// Kind is a kind of movement.
type Kind string

// The kinds.
const (
	Deposit    Kind = "deposit"    // into the venue from outside
	Withdrawal Kind = "withdrawal" // out of the venue
	Trade      Kind = "trade"      // one asset for another
	Entry      Kind = "entry"      // anything else in a ledger: a transfer, a reward, a fee
)

// Status is how far a movement got.
type Status string

// The statuses. No status is final for ever: some venues take a settled deposit
// back, so that recent ones are read again.
const (
	Pending  Status = "pending"  // not counted, or no longer certain
	Settled  Status = "settled"  // its legs are in the balance
	Failed   Status = "failed"   // it changed nothing
	Canceled Status = "canceled" // it changed nothing
	Reversed Status = "reversed" // it was settled, and taken back
)

// Leg is what a movement does to one asset.
type Leg struct {
	Wallet Wallet // "" if the venue does not say
	Code   string
	Amount Decimal // negative is out
	Fee    bool    // paid to the venue or the network
}

// Movement is one row of a venue's history.
type Movement struct {
	Stream  Stream
	ID      string // the venue's own, or one made of what cannot change: see MadeID
	Ref     string // what stays when the id changes as it settles, "" if the id is that
	Group   string // what joins it with rows of other streams: an order, a reference of the venue
	Kind    Kind
	Type    string // the venue's own word for what it is
	Status  Status
	State   string // the venue's own word for how far it got
	Legs    []Leg  // their sum is what it did, or will do, to the balance
	Network string // as the venue writes it; Network maps it to CAIP-2
	TxHash  string // on that network, "" while there is none
	Vout    int    // the output, for networks that have them; -1 if unknown
	Address string // where it came to or went
	Tag     string // memo, tag or message beside the address
	Inside  bool   // between accounts of the venue: TxHash, if any, is no transaction of a chain
	Time    time.Time
	Updated time.Time // zero if the venue does not say
}

// Key is under what a movement is kept: one row for each key and stream. Where an
// id changes when the movement settles, the key does not.
func (m Movement) Key() string {
	if m.Ref != "" {
		return m.Ref
	}
	return m.ID
}

// check returns what is wrong with a row that a venue sent: without an id it
// could come twice, and an amount that is not there is not 0.
func (m Movement) check() error {
	if m.Key() == "" {
		return Misread("a row of %s has no id", m.Stream)
	}
	for _, leg := range m.Legs {
		if !leg.Amount.Known() || leg.Code == "" {
			return Misread("row %s of %s has no amount", m.ID, m.Stream)
		}
	}
	return nil
}

// MadeID returns an id for a row that has none, of those of its fields that stay
// as they are.
func MadeID(fields ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(fields, "\x00")))
	return "made:" + hex.EncodeToString(sum[:16])
}

// Swap returns the two legs of a trade: so much of the base for so much of the
// quote. side is buy or sell of the base, in any case of letters.
func Swap(side string, wallet Wallet, base string, amount Decimal, quote string, cost Decimal) ([]Leg, error) {
	switch strings.ToLower(side) {
	case "buy":
		return []Leg{{Wallet: wallet, Code: base, Amount: amount}, {Wallet: wallet, Code: quote, Amount: cost.Neg()}}, nil
	case "sell":
		return []Leg{{Wallet: wallet, Code: base, Amount: amount.Neg()}, {Wallet: wallet, Code: quote, Amount: cost}}, nil
	}
	return nil, Misread("a trade that neither buys nor sells: %.20q", side)
}

// Paid returns the leg of a fee: none if it is 0 or unknown. A negative fee is one
// that was paid back.
func Paid(wallet Wallet, code string, fee Decimal) []Leg {
	if fee.Sign() == 0 || code == "" {
		return nil
	}
	return []Leg{{Wallet: wallet, Code: code, Amount: fee.Neg(), Fee: true}}
}
