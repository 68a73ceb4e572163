package indexer

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
)

// StreamLease is the right to write one venue account. Its epoch fences every
// write, as the Lease of a chain does.
type StreamLease struct {
	Account uuid.UUID
	Owner   uuid.UUID
	Epoch   int64
}

// Stream is the row of one venue account: how far it was read.
type Stream struct {
	Lease    StreamLease
	Venue    string
	Cursor   json.RawMessage // the connector's own; null before the first Sync
	SyncedAt *time.Time      // nil before the first Sync
}

// Holding is what a venue account holds of one asset in one of its wallets. The
// asset's identity is (venue, Code), never a ticker of elsewhere.
type Holding struct {
	Wallet   string // spot, funding, earn, margin, …
	Code     string // as the venue writes it
	Amount   chains.Amount
	Decimals int // of Amount, which was parsed exactly from the venue's text
}

// Syncing is what was read of a venue account.
type Syncing struct {
	Lease    StreamLease
	Holdings []Holding       // all of them: what is not in it is held no more
	Cursor   json.RawMessage // where the next reading goes on
	At       time.Time       // when the venue was asked
}

// Streams writes what venues say. Sync is the fourth verb that writes the
// ledger.
type Streams interface {
	// AcquireStream takes or keeps the lease of a venue account until ttl from
	// now by the database's clock, or returns ErrLeased. It returns
	// ErrNotFound if there is no such account, or no more.
	AcquireStream(ctx context.Context, account, owner uuid.UUID, ttl time.Duration) (Stream, error)

	// ReleaseStream gives the lease up. A lease already lost is no error.
	ReleaseStream(ctx context.Context, lease StreamLease) error

	// Sync writes holdings and cursor in one transaction, with the event
	// account.synced the first time. It returns ErrStale if the lease is lost
	// or the account was deleted: then nothing was written.
	Sync(ctx context.Context, syncing Syncing) error
}
