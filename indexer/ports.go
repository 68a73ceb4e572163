package indexer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
)

// Lease is the right to write one chain. Its epoch fences every write: a paused
// old owner cannot commit, whatever the clocks say.
type Lease struct {
	Chain string
	Owner uuid.UUID
	Epoch int64
}

// Cursor is the cursor row of one chain.
type Cursor struct {
	Lease        Lease
	Tip          chains.BlockRef // zero Hash before the first block
	Head         uint64          // best height that was seen at a node
	Genesis      chains.Hash
	WatchVersion int64
	Halted       string // why an operator has to act; "" if not halted
	Dispute      Dispute
}

// Dispute says that nodes of a chain stand on different branches: nothing is credited
// for now, and no deposit given up. The zero value says that none is known of.
type Dispute struct {
	Reason string
	Height uint64 // the highest at which they were found to differ; up to there they must agree for it to end
}

// Leases hands out the right to write a chain.
type Leases interface {
	// Register makes the cursor row of a chain if there is none, and its
	// native and listed assets. It returns ErrGenesis if the row is there
	// with another genesis block.
	Register(ctx context.Context, chain chains.Chain, listed []chains.Asset) error

	// Acquire takes or keeps the lease of a chain until ttl from now by the
	// database's clock, or returns ErrLeased. A new owner gets a new epoch.
	Acquire(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (Cursor, error)

	// Rebase makes a chain begin again with another genesis block, as a
	// development chain that was wiped does: every block leaves the canonical
	// chain, every confirmed transfer is orphaned with its event, every search
	// begins again, and whoever holds the lease loses it.
	Rebase(ctx context.Context, chain chains.Chain) error

	// Release gives the lease up, so that another process need not wait for
	// it to run out. A lease already lost is no error.
	Release(ctx context.Context, lease Lease) error
}

// Watches reads what is watched, to build and to level a watch table.
type Watches interface {
	// LoadWatch adds to table every script and every outpoint of a chain
	// whose watch version is above since, and returns the version that table
	// then stands for. since -1 loads all. Outpoints are those of unspent
	// canonical or unconfirmed outputs, and those that watched unconfirmed
	// transactions spend.
	LoadWatch(ctx context.Context, chain string, since int64, table *chains.WatchTable) (int64, error)
}

// Step is one block to append to a chain.
type Step struct {
	Lease        Lease
	Parent       chains.Hash // the tip the block was checked against; zero for the first block followed
	WatchVersion int64       // of the table the block was matched with
	Block        chains.BlockRef
	Match        chains.Match
	Snapshots    []chains.Snapshot // balances read at this block; empty in catch-up
	Stale        []chains.Touch    // balances this block may have changed and that were not read
}

// Applied is what Apply or Amend changed that the caller keeps in memory.
type Applied struct {
	Watch  []chains.Outpoint // outpoints to add to the watch table
	Assets []chains.AssetID  // assets seen for the first time
	Events int               // events written
	Halted string            // why deposits are not credited from now on; "" unless this call was the reason
}

// Ledger is the four verbs that write the ledger, of which Revert is the first
// walked backwards. Each call is one transaction: durable with its events when
// it returns nil, and without effect when it returns an error.
type Ledger interface {
	// Apply appends blocks of which each continues the one before, with one
	// lease and one watch version. It returns ErrStale if the tip or the epoch
	// has moved, and ErrWatchMoved if the watch version has.
	//
	// Transfers whose script nobody watches are dropped; a Spend becomes an
	// outgoing transfer with script, asset and amount of its funding row; a
	// Spend of an input that another watched, unconfirmed transaction spends
	// marks that one and its known descendants as replaced.
	Apply(ctx context.Context, steps ...Step) (Applied, error)

	// Revert takes the tip off a chain: its transfers become orphaned, its
	// snapshots stop counting, and the parent is the tip. It needs nothing
	// from the node. It returns ErrStale as Apply does. Applied.Watch lists
	// outpoints that are unspent again.
	Revert(ctx context.Context, lease Lease, tip chains.BlockRef) (Applied, error)

	// Amend writes the owner's other facts after locking the cursor row at
	// its epoch, or returns ErrStale.
	Amend(ctx context.Context, amendment Amendment) (Applied, error)

	// Fill writes facts of the past of some scripts: see Filling.
	Fill(ctx context.Context, filling Filling) error
}

// Amendment is what the owner of a chain knows beside its blocks.
type Amendment struct {
	Lease     Lease
	Pending   []chains.UnconfirmedTx // newly seen in the mempool, or seen again
	Dropped   []chains.Hash          // left the mempool unmined
	Revived   []chains.Hash          // known transactions that are in the mempool again: their orphaned, replaced or dropped transfers are pending
	Snapshots []chains.Snapshot      // stale balances, read at the block they name
	Unread    []chains.Touch         // stale balances that nobody could name now: they wait behind the others
	Final     *uint64                // highest final height
	Safe      *uint64                // highest height that the node calls safe
	Assets    []chains.Asset         // what tokens call themselves; asked again only if Symbol is "" and a day has gone by
	Sweep     bool                   // EVM: mark the native balance of every watched address as stale
	Status    *StatusChange
	Dispute   *Dispute // kept until another one is written; zero once nothing is in dispute
}

// StatusChange is a chain's state as the owner now sees it. Becoming degraded or
// halted, and recovering from it, is an event for every realm with accounts or
// addresses of custody on the chain.
type StatusChange struct {
	State  string
	Reason string // "" if all is well; never a secret
	Head   uint64
}

// Filling is what a backfill found. It locks the cursor row, refuses blocks that
// are not canonical with ErrNotCanonical, and writes.
type Filling struct {
	Chain   string
	Scripts []int64       // ids of the scripts that were searched
	Blocks  []FilledBlock // ascending; those below the first block followed are added to the chain's blocks. A Touch of one of Scripts that has no snapshot becomes a stale balance

	// Snapshots are opening balances of EVM accounts. Their block may be
	// above the tip: then they count once the tip has reached its hash.
	Snapshots []chains.Snapshot

	// Progress says that From, Next and Method are to be saved. A Filling
	// with opening balances alone has none.
	Progress bool

	// From is the lowest height that is now covered without a gap up to the
	// hand-over height of each script; Next the height at which the search
	// goes on. Both are saved.
	From, Next uint64
	Method     chains.Method

	// Complete says that the search has come to its end. Then spends of the
	// outputs it found must have been followed up to Through, and if the tip
	// is beyond it, Tail is called under the lock to walk (Through, tip]; a
	// nil Tail makes Fill return ErrStale instead.
	//
	// Through without Complete is the tip the search was begun at: it must
	// still be canonical, or zero to ask for nothing.
	Complete bool
	Through  chains.BlockRef
	Tail     func(ctx context.Context, through, tip chains.BlockRef) ([]FilledBlock, error)
}

// FilledBlock is one block of the past with what it does to the searched
// scripts.
type FilledBlock struct {
	Ref   chains.BlockRef
	Match chains.Match
}

// SearchScript is one script whose past is still to be searched.
type SearchScript struct {
	ID       int64
	Script   []byte
	Handover int64  // the follower covers every height above; -1 if nothing lies below. A script added before the chain's first followed block gets the height below that block, and is not returned while there is none
	Next     uint64 // where the search goes on; of no meaning before it started
	Started  bool   // false before the first Fill with progress
	Opened   bool   // EVM: it has an opening balance
}

// Searches reads what a backfill needs.
type Searches interface {
	// SearchScripts returns up to limit scripts of a chain whose history is
	// not complete, oldest first, or none.
	SearchScripts(ctx context.Context, chain string, limit int) ([]SearchScript, error)

	// UnopenedScripts returns up to limit of those that have no opening
	// balance, oldest first, or none. It is asked for EVM chains.
	UnopenedScripts(ctx context.Context, chain string, limit int) ([]SearchScript, error)

	// Outpoints returns the outpoints of all outputs of scripts that are not
	// spent in the canonical chain.
	Outpoints(ctx context.Context, scripts []int64) ([]chains.Outpoint, error)
}

// Blocks reads the canonical chain.
type Blocks interface {
	// Tip returns the tip of a chain, zero before its first block.
	Tip(ctx context.Context, chain string) (chains.BlockRef, error)

	// BlockAt returns the canonical block at a height, or ErrNotFound.
	BlockAt(ctx context.Context, chain string, height uint64) (chains.BlockRef, error)

	// StaleBalances returns up to limit balances of a chain that blocks have
	// changed since they were last read, or none.
	StaleBalances(ctx context.Context, chain string, limit int) ([]chains.Touch, error)

	// OpenTxs returns the ids of all transactions of a chain with a pending
	// transfer, and of those whose transfers are orphaned, replaced or dropped
	// since less than 14 days and may come back.
	OpenTxs(ctx context.Context, chain string) (pending, gone []chains.Hash, err error)
}

// Assets reads the assets of a chain.
type Assets interface {
	// KnownAssets returns the native, the listed and every other asset a
	// watched script of the chain has ever had a transfer of.
	KnownAssets(ctx context.Context, chain string) ([]chains.AssetID, error)

	// UnnamedAssets returns up to limit tokens that nobody has asked for
	// their symbol yet, or not for a day, or none.
	UnnamedAssets(ctx context.Context, chain string, limit int) ([]chains.AssetID, error)
}

// Window is a branch of a descriptor account that must be extended: a script
// near its end was used.
type Window struct {
	Account uuid.UUID
	Wallet  string // canonical descriptor
	Branch  uint32
	Next    uint32 // first index not yet watched
	Want    uint32 // index up to which (not included) scripts must be watched
}

// Windows keeps the gap of descriptor accounts.
type Windows interface {
	// MovedWindows returns the branches whose gap a use of scripts shortens
	// below gap, or none.
	MovedWindows(ctx context.Context, chain string, scripts [][]byte, gap uint32) ([]Window, error)

	// Extend adds scripts to an account. New ones are watched from the next
	// block on, with the current tip as their hand-over height, under a new
	// watch version. Scripts already there change nothing.
	Extend(ctx context.Context, account uuid.UUID, scripts []WatchedScript) error
}

// Accounts connects and disconnects accounts.
type Accounts interface {
	// CreateAccount stores an account with its scripts and bumps the watch
	// version of its chain. It returns ErrExists if the user has the wallet
	// connected already, and ErrNotFound if the realm has no such user.
	CreateAccount(ctx context.Context, account Account, scripts []WatchedScript) error
}

// Sequencer numbers events.
type Sequencer interface {
	// Number gives the next numbers to up to limit events that are committed
	// and have none, in the order they were written, and returns how many. It
	// does nothing and returns 0 while another process holds the numbering.
	Number(ctx context.Context, owner uuid.UUID, limit int) (int, error)

	// LeaveNumbering gives the numbering up, so that another process need not
	// wait for it to run out.
	LeaveNumbering(ctx context.Context, owner uuid.UUID) error
}

// SyncState is the state of chains for those who only look: cached, and behind
// the ledger by moments.
type SyncState interface {
	// PutChain keeps the status of a chain. A cache that is gone is no error.
	PutChain(ctx context.Context, status ChainStatus)
}
