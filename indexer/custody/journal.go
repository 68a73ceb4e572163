package custody

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Account is a side of a posting.
type Account string

// The accounts. The first two are of one wallet, the others of a tenant as a
// whole.
const (
	AccountAvailable Account = "available" // what a wallet may move
	AccountLocked    Account = "locked"    // what a wallet has set aside for withdrawals
	AccountChain     Account = "chain"     // the world outside
	AccountTreasury  Account = "treasury"  // what is set aside to pay with
	AccountFees      Account = "fees"      // what networks were paid
)

// JournalKind says what a journal is about.
type JournalKind string

// The kinds.
const (
	JournalDeposit  JournalKind = "deposit"  // a deposit is credited
	JournalReversal JournalKind = "reversal" // a journal is taken back
	JournalTransfer JournalKind = "transfer" // money moves between two wallets

	JournalWithdrawal JournalKind = "withdrawal" // money is set aside for a withdrawal, leaves, or comes back
)

// Posting is what a journal does to one account.
type Posting struct {
	Account Account
	Wallet  uuid.UUID // of AccountAvailable and AccountLocked, else zero
	Asset   int64     // the ledger's own number of the asset
	Amount  chains.Amount
}

// Journal is one movement of money. It is never changed: one that was wrong is
// taken back by another.
type Journal struct {
	Realm     indexer.Realm
	Kind      JournalKind
	Reference uuid.UUID // the transaction
	Version   int64     // of the reference, with which the journal came
	Reverses  *int64    // the number of the journal that this one takes back
	Postings  []Posting
}

// Check returns an error unless the postings of a journal sum to zero for each
// asset, and each names the account it means. Postgres refuses one that does not,
// too.
func (j Journal) Check() error {
	sums := map[int64]chains.Amount{}
	for _, p := range j.Postings {
		if (p.Wallet != uuid.Nil) != (p.Account == AccountAvailable || p.Account == AccountLocked) {
			return fmt.Errorf("posting to %s: a wallet is named where none belongs, or the other way round", p.Account)
		}
		if p.Amount.IsZero() {
			return fmt.Errorf("posting to %s of nothing", p.Account)
		}
		sums[p.Asset] = sums[p.Asset].Add(p.Amount)
	}
	if len(j.Postings) == 0 {
		return errors.New("a journal without postings")
	}
	for asset, sum := range sums {
		if !sum.IsZero() {
			return fmt.Errorf("postings of asset %d sum to %s", asset, sum)
		}
	}
	return nil
}

// Movement returns the two postings that move an amount of an asset from one
// account to another.
func Movement(from, to Posting, asset int64, amount chains.Amount) []Posting {
	from.Asset, from.Amount = asset, amount.Neg()
	to.Asset, to.Amount = asset, amount
	return []Posting{from, to}
}

// World is the account of what is outside of the ledger, Available what a wallet
// may move, Locked what it has set aside.
func World() Posting { return Posting{Account: AccountChain} }

// Available is the account of what a wallet may move.
func Available(wallet uuid.UUID) Posting {
	return Posting{Account: AccountAvailable, Wallet: wallet}
}

// Locked is the account of what a wallet has set aside for withdrawals.
func Locked(wallet uuid.UUID) Posting { return Posting{Account: AccountLocked, Wallet: wallet} }
