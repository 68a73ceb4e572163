package custody

import (
	"bytes"
	"cmp"
	"maps"
	"slices"

	"github.com/google/uuid"

	"tallyd/chains"
)

// Mined says where one of the drafts of a withdrawal stands in the chain.
type Mined struct {
	Draft  int // its number
	Block  chains.Hash
	Height uint64
	Paid   bool          // it did what it was built for; EVM: one that failed is mined too
	Fee    chains.Amount // what the network was paid
}

// Standing is what is known of a withdrawal of which signed bytes were accepted.
// Its status depends on nothing else, and not on the way it came about: after a
// reorg or a crash it is what it would have been without.
type Standing struct {
	Taken bool   // a node has taken one of its drafts, ever
	Mined *Mined // the one that stands in the chain
	Lost  bool   // none can be mined any more: another transaction spent the coin or the nonce
	Deep  bool   // Mined or Lost is as deep as the chain's policy asks, or was and still stands
}

// Status returns the status that a withdrawal has by its standing, and why it
// failed. Where it fails the wallet has its money back.
func (s Standing) Status() (status Status, reason string) {
	switch {
	case s.Mined != nil && s.Deep && s.Mined.Paid:
		return Completed, ""
	case s.Mined != nil && s.Deep:
		return Failed, ReasonReverted
	case s.Mined != nil:
		return OnChain, ""
	case s.Lost && s.Deep:
		return Failed, ReasonConflict
	case s.Taken:
		return OnChain, ""
	}
	return Broadcasting, ""
}

// Open reports whether a withdrawal with a status holds its money locked.
func (s Status) Open() bool {
	switch s {
	case Submitted, PendingSignature, Broadcasting, OnChain:
		return true
	case Completed, Failed, Cancelled:
	}
	return false
}

// Cancellable reports whether a withdrawal can be cancelled: until signed bytes
// were accepted, which somebody else may broadcast then.
func (s Status) Cancellable() bool { return s == Submitted || s == PendingSignature }

// Claim is the money of a withdrawal.
type Claim struct {
	Wallet *uuid.UUID // nil where no wallet has a part in it
	Asset  int64      // the ledger's own number of the asset, as of Native
	Native int64
	Amount chains.Amount
}

// Books returns what a withdrawal with a status has done to the accounts
// altogether, where the network was paid fee. What one change of status does is
// the difference: see Between.
func (c Claim) Books(status Status, fee chains.Amount) []Posting {
	var postings []Posting
	if c.Wallet != nil {
		switch {
		case status.Open():
			postings = Movement(Available(*c.Wallet), Locked(*c.Wallet), c.Asset, c.Amount)
		case status == Completed:
			postings = Movement(Available(*c.Wallet), World(), c.Asset, c.Amount)
		}
	}
	if !status.Open() && !fee.IsZero() {
		postings = append(postings, Movement(Posting{Account: AccountTreasury}, Posting{Account: AccountFees}, c.Native, fee)...)
	}
	return postings
}

// Between returns the postings that lead from one state of the accounts to
// another, none if they are the same.
func Between(before, after []Posting) []Posting {
	type key struct {
		account Account
		wallet  uuid.UUID
		asset   int64
	}
	sums := map[key]Posting{}
	add := func(p Posting, amount chains.Amount) {
		k := key{p.Account, p.Wallet, p.Asset}
		p.Amount = sums[k].Amount.Add(amount)
		sums[k] = p
	}
	for _, p := range before {
		add(p, p.Amount.Neg())
	}
	for _, p := range after {
		add(p, p.Amount)
	}
	maps.DeleteFunc(sums, func(_ key, p Posting) bool { return p.Amount.IsZero() })
	return slices.SortedFunc(maps.Values(sums), func(a, b Posting) int {
		return cmp.Or(cmp.Compare(a.Account, b.Account), bytes.Compare(a.Wallet[:], b.Wallet[:]), cmp.Compare(a.Asset, b.Asset))
	})
}
