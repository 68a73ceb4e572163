package indexer

import (
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
)

// VenueAccount is an account at a venue: one login of one user, and how far it
// was read. Its credentials are sealed in the ledger and stand nowhere in it.
type VenueAccount struct {
	Account
	Region string // where the login belongs, by the name its venue declares
	Login  string // the venue's own name of the login, "" if it does not say
	State  VenueState
}

// StateStopped is the state of an account that is not asked again before its user
// has done something. It is beside StateSyncing (no balance yet), StateLevel and
// StateDegraded (the last reading failed, and another will be tried).
const StateStopped = "stopped"

// VenueState says how far an account at a venue was read, and why not further.
type VenueState struct {
	Status string // StateSyncing, StateLevel, StateDegraded or StateStopped

	// Reason, Code, Detail and Hint are those of the venue.Error that stands in
	// the way; "" if none does. Hint says what the user can do about it.
	Reason venue.Reason
	Code   string
	Detail string
	Hint   string
	Since  *time.Time // since when Status is what it is; nil while nothing was tried

	// RetryAt is when the balances are read next; nil while Status is
	// StateStopped.
	RetryAt *time.Time

	// LastSync is when the balances were last read, whether they had changed or
	// not; nil before the first time. A wallet in Missing is as of before.
	LastSync *time.Time

	Missing   []venue.Missing // wallets that the last reading could not read
	Warnings  []string        // in words, from when the login was last checked
	Totals    []VenueTotal    // what the venue itself says it is worth; nil where it does not
	Histories []VenueHistory  // one for each stream, in the order in which they are read
}

// VenueTotal is what a venue says that a wallet, or all of them, are worth beside
// what was read of them: they are compared and never added up.
type VenueTotal struct {
	venue.Worth

	// Sum is what the holdings of the wallet are worth in the same code at the
	// same time. It is unknown where they are in other codes: then whoever has
	// prices compares.
	Sum venue.Decimal
	At  time.Time
}

// Difference returns how much more the venue says than was read, unknown if it
// cannot be told without prices.
func (t VenueTotal) Difference() venue.Decimal { return t.Total.Sub(t.Sum) }

// VenueHistory is how far one stream of an account was read.
type VenueHistory struct {
	Stream  venue.Stream
	Status  HistoryStatus // none, partial, or complete: all that the venue shows
	Covered venue.Ranges  // it only grows
	Since   *time.Time    // nothing older can be read; nil before the first round
	Limits  string        // what the stream leaves out, in words; "" if nothing

	// Reason and Detail say why the last round was not finished; "" if it was,
	// or runs.
	Reason venue.Reason
	Detail string
}

// From returns from when on the history is covered without a gap until it was
// last read, and false if nothing is.
func (h VenueHistory) From() (time.Time, bool) {
	if len(h.Covered) == 0 {
		return time.Time{}, false
	}
	return h.Covered[len(h.Covered)-1].From, true
}

// VenueHolding is what an account holds of one asset in one of its wallets.
type VenueHolding struct {
	venue.Holding
	Asset identity.Identity // what the code stands for; Known is false for one that is not in the table
	At    time.Time         // when it was first read as it is
}

// VenueBalance is all that an account at a venue holds. Holdings is empty and
// State.LastSync nil while nothing was read: unknown is never shown as zero.
type VenueBalance struct {
	Account  VenueAccount
	Holdings []VenueHolding // by wallet and code
}

// VenueMovement is one row of a venue's history as it stands in the ledger.
type VenueMovement struct {
	venue.Movement
	ID        int64
	AccountID uuid.UUID
	Venue     string
	Version   int64               // counts the changes of the row
	Chain     string              // CAIP-2 of the network, "" if it is none or not in the table
	Assets    []identity.Identity // of each of Legs
	FirstSeen time.Time

	// Shown says that this row is the one to show for what happened: the same may
	// stand in another stream as well, as a deposit does in a ledger.
	Shown bool

	// Links are the legs of the same transaction in accounts on chains of the
	// same user: where there are any, both show one move between own accounts.
	Links []VenueLink
}

// VenueLink is a leg on a chain that is the other end of a venue's movement.
type VenueLink struct {
	AccountID uuid.UUID
	Chain     string // slug
	Tx        chains.Hash
	Source    string
	Side      chains.Side
	Asset     chains.AssetID
	Amount    chains.Amount
	Status    TransferStatus
}

// VenueMovementCursor is a place in a list of movements, newest first.
type VenueMovementCursor struct {
	Time time.Time
	ID   int64
}

// VenueMovementFilter narrows a list of movements.
type VenueMovementFilter struct {
	Accounts []uuid.UUID // of one user; empty means none
	Since    *time.Time  // included
	Until    *time.Time  // not included
	Kinds    []venue.Kind
	Statuses []venue.Status
	Streams  []venue.Stream
	Shown    bool // only those that are to be shown, so that nothing is listed twice
	After    *VenueMovementCursor
	Limit    int
}
