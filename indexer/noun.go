package indexer

import (
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
)

// Outcomes of the ports. They are handled by name; anything else is a fault.
var (
	// ErrStale says that the cursor, the lease or the stream is no longer
	// what the caller thought: nothing was written, look again.
	ErrStale = errors.New("stale")

	// ErrWatchMoved says that scripts were added since the block was matched:
	// nothing was written, load the new ones and match again.
	ErrWatchMoved = errors.New("watch version moved")

	// ErrLeased says that another process owns the chain.
	ErrLeased = errors.New("leased by another process")

	// ErrNotCanonical says that a fact stands in a block that is not on the
	// canonical chain: nothing was written.
	ErrNotCanonical = errors.New("block is not canonical")

	// ErrNotFound says that there is no such row in this realm. Another
	// tenant's row is not found either.
	ErrNotFound = errors.New("not found")

	// ErrExists says that the row is there already.
	ErrExists = errors.New("already exists")

	// ErrGenesis says that the node's chain begins with another block than
	// the chain in the ledger: the node serves another network.
	ErrGenesis = errors.New("another genesis block than the ledger's")
)

// Realm is what keeps customers apart: a tenant, and test from live.
type Realm struct {
	Tenant      string
	Environment chains.Environment
}

// User is a tenant's end customer.
type User struct {
	ID        uuid.UUID
	Realm     Realm
	Name      string
	CreatedAt time.Time
	CreatedBy string          // id of the key that made it, or master; "" if nobody knows
	MetaData  json.RawMessage // the caller's own object, as it was written; nil for none
}

// AccountKind says what an account connects.
type AccountKind string

// The kinds.
const (
	KindAddress    AccountKind = "address"
	KindDescriptor AccountKind = "descriptor"
	KindVenue      AccountKind = "venue"
	KindNFT        AccountKind = "nft"   // an address of which NFTs are shown and nothing else
	KindVault      AccountKind = "vault" // a wallet of custody that counts in a user's totals; nothing connects one
)

// Account is one connection of one user: an address, an extended key or
// descriptor, or a venue login.
type Account struct {
	ID          uuid.UUID
	Realm       Realm
	UserID      uuid.UUID
	Chain       string // slug, "" at a venue
	Venue       string // "" on a chain
	Kind        AccountKind
	Wallet      string // canonical spelling
	Name        string
	Description string
	CreatedAt   time.Time
	CreatedBy   string          // as of a User, or user: and the id of the user
	MetaData    json.RawMessage // as of a User
}

// WatchedScript is one script of an account, to be watched from now on.
type WatchedScript struct {
	Script  []byte
	Address string // "" if it has none
	Branch  uint32
	Index   uint32
}

// HistoryStatus says how much of an account's past is in the ledger.
type HistoryStatus string

// The statuses.
const (
	HistoryNone     HistoryStatus = "none"     // nothing was searched yet
	HistoryPartial  HistoryStatus = "partial"  // complete from FromHeight on
	HistoryComplete HistoryStatus = "complete" // complete from the first block the node can give
)

// History is what of an account's past is covered.
type History struct {
	Status     HistoryStatus
	FromHeight uint64  // lowest covered height; of no meaning while Status is none
	Method     string  // chains.Method of the search, "" while none
	Gaps       []Range // heights within the covered range that were not searched; empty if none
}

// Range is a range of heights, both included.
type Range struct {
	From uint64 `json:"from"`
	To   uint64 `json:"to"`
}

// AccountState says how far an account is level with its chain.
type AccountState struct {
	LastSync *time.Time // nil until a first exact balance was there
	Status   string     // syncing, level, lagging, degraded, halted
	Height   uint64     // tip of the ledger
	Head     uint64     // best height seen at the node
	History  History
	Error    string // why not level, in words; "" if it is
}

// Balance is what one account holds of one asset.
type Balance struct {
	Asset        chains.Asset
	Amount       chains.Amount // confirmed, immature included
	Immature     chains.Amount // the part of Amount that cannot be spent yet
	Unattributed chains.Amount // EVM: the part of Amount that no known transfer explains
	AsOf         chains.BlockRef
	Proof        chains.Proof
	Provisional  bool // read at a block the ledger has not reached yet
}

// Pending is what unconfirmed transactions will do to one asset of an account.
type Pending struct {
	Asset chains.Asset
	In    chains.Amount
	Out   chains.Amount
}

// AccountBalance is everything one account holds. Balances is empty and
// State.LastSync nil while nothing exact is known: unknown is never shown as
// zero.
type AccountBalance struct {
	Account  Account
	Balances []Balance
	Pending  []Pending
	AsOf     chains.BlockRef // the tip the answer was read at; zero Hash before the first block
	State    AccountState
}

// TransferStatus is the life of a transfer.
type TransferStatus string

// The statuses. A transfer that left can come back: an orphaned, replaced or
// dropped one may be pending or confirmed again.
const (
	StatusPending   TransferStatus = "pending"   // in the node's mempool
	StatusConfirmed TransferStatus = "confirmed" // in a canonical block
	StatusOrphaned  TransferStatus = "orphaned"  // its block left the canonical chain
	StatusReplaced  TransferStatus = "replaced"  // another transaction spent its inputs
	StatusDropped   TransferStatus = "dropped"   // gone from the mempool, unmined
)

// Leg is one transfer of an account as it stands in the ledger.
type Leg struct {
	ID          int64
	Source      string
	Side        chains.Side
	Asset       chains.Asset
	Amount      chains.Amount
	Address     string // of the watched script, "" if it has none
	PeerAddress string // of the other side where known
	Coinbase    bool
}

// Transaction is what one transaction of a chain did to one account.
type Transaction struct {
	AccountID     uuid.UUID
	Chain         string
	Tx            chains.Hash
	Status        TransferStatus  // of its legs, which share one
	Block         chains.BlockRef // zero Hash while it stands in none
	TxIndex       uint32
	Confirmations uint64    // 0 while it stands in no canonical block
	Time          time.Time // of the block, else when it was first seen
	Legs          []Leg
}

// TransactionCursor is a place in a list of transactions, newest first.
type TransactionCursor struct {
	Time    time.Time
	Tx      chains.Hash
	Account uuid.UUID
}

// TransactionFilter narrows a list of transactions.
type TransactionFilter struct {
	Accounts []uuid.UUID      // of one user; empty means none
	Since    *time.Time       // included
	Until    *time.Time       // not included
	Statuses []TransferStatus // empty means all
	After    *TransactionCursor
	Limit    int
}

// Event is one state change, numbered after its commit.
type Event struct {
	Seq             int64
	ID              uuid.UUID
	Realm           Realm
	Type            string // transfer.confirmed, account.synced, chain.degraded, …
	Chain           string
	AccountID       *uuid.UUID
	ResourceID      string
	ResourceVersion int64
	Data            json.RawMessage
	OccurredAt      time.Time
}

// ChainStatus is what the operator sees of one chain.
type ChainStatus struct {
	Chain        string
	ID           string // CAIP-2
	Family       chains.Family
	Environment  chains.Environment
	Tip          chains.BlockRef // zero Hash before the first block
	Head         uint64
	Final        uint64 // highest height that counts as final; 0 if none
	State        string // starting, syncing, level, lagging, degraded, halted
	Reason       string
	Halted       string // why deposits are not credited; "" if they are
	WatchVersion int64
	Scripts      int64
	UpdatedAt    time.Time
}

// The states of a chain.
const (
	StateStarting = "starting" // no answer from a node yet
	StateSyncing  = "syncing"  // behind the node's head and catching up
	StateLevel    = "level"    // the tip is the node's head, or will be within moments
	StateLagging  = "lagging"  // the node is behind the ledger
	StateDegraded = "degraded" // no node gives an answer that holds
	StateHalted   = "halted"   // its nodes serve another network than the ledger's: nobody follows it
)
