package indexer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/chains/venue"
)

// VenueAccounts connects and disconnects accounts at venues.
type VenueAccounts interface {
	// CreateVenueAccount stores an account with its credentials, sealed, to be
	// read from now on. Its Wallet names the login. It returns ErrExists if the
	// user has the login connected already, and ErrNotFound if the realm has no
	// such user.
	CreateVenueAccount(ctx context.Context, account VenueAccount, credentials venue.Credentials) error

	// ReplaceCredentials gives an account other credentials in place of those it
	// has, which are erased. A stopped account is read again at once. It returns
	// ErrNotFound if the realm has no such account, ErrOtherLogin if the venue
	// says that they are another login's, and ErrExists if the user has that key
	// connected under another account.
	ReplaceCredentials(ctx context.Context, account VenueAccount, credentials venue.Credentials) error

	// ResumeVenueAccount lets an account be read again at once with the credentials
	// it has, or returns ErrNotFound.
	ResumeVenueAccount(ctx context.Context, realm Realm, id uuid.UUID) error

	// VenueAccount returns one account at a venue, or ErrNotFound.
	VenueAccount(ctx context.Context, realm Realm, id uuid.UUID) (VenueAccount, error)

	// DeleteAccount ends an account and erases its credentials in the same
	// transaction, or returns ErrNotFound. A reading under way writes nothing
	// any more.
	DeleteAccount(ctx context.Context, realm Realm, id uuid.UUID) error
}

// VenueReader reads what is known of accounts at venues. Another realm's rows are
// not found.
type VenueReader interface {
	// VenueAccount returns one account at a venue, or ErrNotFound.
	VenueAccount(ctx context.Context, realm Realm, id uuid.UUID) (VenueAccount, error)

	// UserVenueAccounts returns the accounts of a user at venues, oldest first.
	UserVenueAccounts(ctx context.Context, realm Realm, user uuid.UUID) ([]VenueAccount, error)

	// VenueBalance returns what one account holds, and its state, as of one
	// moment, or ErrNotFound.
	VenueBalance(ctx context.Context, realm Realm, id uuid.UUID) (VenueBalance, error)

	// UserVenueBalances returns what all accounts of a user at venues hold, as of
	// one moment, oldest account first.
	UserVenueBalances(ctx context.Context, realm Realm, user uuid.UUID) ([]VenueBalance, error)

	// VenueMovements returns movements, newest first, with their links.
	VenueMovements(ctx context.Context, realm Realm, filter VenueMovementFilter) ([]VenueMovement, error)

	// LinkedMovements returns the movements at venues of accounts of the same
	// user that carry one of the transactions in which an account on a chain has
	// a leg: the other way of VenueMovement.Links.
	LinkedMovements(ctx context.Context, realm Realm, user uuid.UUID, chain string, txs []chains.Hash) ([]VenueMovement, error)
}

// StreamLease is the right to write one venue account. Its epoch fences every
// write, as the Lease of a chain does.
type StreamLease struct {
	Account uuid.UUID
	Owner   uuid.UUID
	Epoch   int64
}

// Stream is the row of one venue account, as whoever reads the venue needs it.
type Stream struct {
	Lease       StreamLease
	Venue       string
	Credentials venue.Credentials // none if they cannot be opened with the keyset of this daemon
	SyncedAt    *time.Time        // when the balances were last read; nil before the first time
	ValuedAt    *time.Time        // when the venue was last asked what it says they are worth
	CheckedAt   time.Time         // when the venue was last asked what the login may do, and how the account stands
	BalancesDue time.Time         // when they are to be read
	HistoryDue  time.Time         // when one of the histories is to be read
	Failures    int               // readings of balances that failed since the last that did not
	Histories   map[venue.Stream]StreamHistory
	Codes       []string // all that the account was ever seen with, sorted
}

// StreamHistory is how far one history of an account was read.
type StreamHistory struct {
	Progress venue.Progress
	Due      time.Time // when it is to be read
	Failures int       // since the last page that was read
}

// DueStream is an account of which something is to be read now. Epoch is that of
// its last lease.
type DueStream struct {
	Account uuid.UUID
	Venue   string
	Epoch   int64
	History bool // nothing but its history is due
}

// Syncing is what was read of a venue account: some of what stands in it.
type Syncing struct {
	Lease    StreamLease
	Balances *venue.Balances // nil if they were not read
	Valued   *Valued         // nil if the venue was not asked what they are worth
	Checked  *Checked        // nil if the venue was not asked what the login may do
	Reading  *Reading        // nil if no history was read
}

// Valued is what a venue says an account is worth.
type Valued struct {
	At     time.Time
	Totals []VenueTotal
}

// Checked is what the user of a login should know of it now, in words.
type Checked struct {
	At       time.Time
	Warnings []string
}

// Reading is one page of one history, with the progress that stands once it is
// written.
type Reading struct {
	Stream    venue.Stream
	Place     int // of the stream among those of the account
	Limits    string
	Movements []venue.Movement
	Shown     []bool // of each of Movements: see VenueMovement.Shown
	Progress  venue.Progress
	Since     time.Time // nothing older can be read
	Done      bool      // the round is over
	Due       time.Time // when it goes on
}

// Synced is what Sync changed.
type Synced struct {
	Holdings  int // written, or no more held
	Movements int // new or changed
	Events    int
}

// Turn is how a turn at an account ended, and when the next one is.
type Turn struct {
	Lease       StreamLease
	BalancesDue time.Time
	HistoryDue  time.Time

	// SyncedAt is when the balances were read in this turn; nil if they were not,
	// or could not be.
	SyncedAt *time.Time

	// Fault is why they could not be read, or what stops the account; nil if
	// neither. An account that it stops has no turns until its user replaces the
	// credentials or resumes it.
	Fault *venue.Error

	// Failed are histories that could not be read further, and when they are
	// tried again.
	Failed []FailedHistory
}

// FailedHistory is a history that could not be read further.
type FailedHistory struct {
	Stream venue.Stream
	Place  int
	Fault  *venue.Error
	Due    time.Time
}

// Streams writes what venues say. Sync is the fourth verb that writes the
// ledger.
type Streams interface {
	// DueStreams returns up to limit accounts of which something is due and that
	// nobody has leased, those whose balances are due first, the longest due
	// first among them.
	DueStreams(ctx context.Context, limit int) ([]DueStream, error)

	// AcquireStream takes or keeps the lease of a venue account until ttl from
	// now by the database's clock, or returns ErrLeased. A new owner gets a new
	// epoch. It returns ErrNotFound if there is no such account, or no more, and
	// ErrStopped if it is stopped.
	AcquireStream(ctx context.Context, account, owner uuid.UUID, ttl time.Duration) (Stream, error)

	// RenewStream keeps a lease until ttl from now, or returns ErrStale if it is
	// lost.
	RenewStream(ctx context.Context, lease StreamLease, ttl time.Duration) error

	// Sync writes what was read in one transaction, with its events. What stands
	// there already is not written again: balances that did not change begin no
	// transaction. It returns ErrStale if the lease is lost or the account was
	// deleted: then nothing was written.
	Sync(ctx context.Context, syncing Syncing) (Synced, error)

	// EndTurn writes how a turn ended, with the event of an account that stopped
	// or recovered, and gives the lease up. It returns ErrStale as Sync does.
	EndTurn(ctx context.Context, turn Turn) (Synced, error)
}
