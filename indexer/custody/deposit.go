package custody

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// DepositState is the life of a deposit.
type DepositState string

// The states. Every deposit that is credited was confirming before; one that left
// can come back, under the same id. None stays orphaned, or confirming with nothing
// arrived, for ever: see Due and End.
const (
	Detected   DepositState = "detected"   // seen unconfirmed: nothing to rely on
	Confirming DepositState = "confirming" // in a block, and not deep enough yet
	Credited   DepositState = "credited"   // the wallet has it
	Orphaned   DepositState = "orphaned"   // its block left the chain
	Replaced   DepositState = "replaced"   // another transaction spent its inputs, or its leg differs now
	Dropped    DepositState = "dropped"    // gone unmined, or no deposit after all
)

// DepositStates returns all states.
func DepositStates() []DepositState {
	return []DepositState{Detected, Confirming, Credited, Orphaned, Replaced, Dropped}
}

// Why deposits were dropped, unless the node's mempool forgot them.
const (
	ReasonInternal = "internal"        // it is money that moved within the tenant's own pool
	ReasonReorg    = "reorg"           // a reorg took its block, and the chain has long gone on without it
	ReasonUnmoved  = "nothing_arrived" // its log or trace stands in the chain, and moved nothing
)

// Next returns the state of a deposit in state s, "" for none yet, whose transfer
// now has a status. internal says that the money came from the tenant's own pool,
// which is no deposit. It returns "" where there is none and none begins.
func (s DepositState) Next(transfer indexer.TransferStatus, internal bool) DepositState {
	next := Dropped
	switch {
	case internal:
	case transfer == indexer.StatusPending:
		next = Detected
	case transfer == indexer.StatusConfirmed && s == Credited:
		next = Credited
	case transfer == indexer.StatusConfirmed:
		next = Confirming
	case transfer == indexer.StatusOrphaned && s != Dropped: // what was given up stays so
		next = Orphaned
	case transfer == indexer.StatusReplaced:
		next = Replaced
	}
	if s == "" && !next.Alive() {
		return ""
	}
	return next
}

// End returns how a deposit in state s ends that is due and has nothing to credit.
func (s DepositState) End() (next DepositState, reason string) {
	if s == Orphaned {
		return Dropped, ReasonReorg
	}
	return Dropped, ReasonUnmoved
}

// Alive reports whether a deposit's transfer stands: in a block or in the mempool.
func (s DepositState) Alive() bool { return s.Pending() || s == Credited }

// Pending reports whether a deposit counts as pending.
func (s DepositState) Pending() bool { return s == Detected || s == Confirming }

// Status returns how a deposit shows among transactions.
func (s DepositState) Status() Status {
	switch s {
	case Credited:
		return Completed
	case Replaced, Dropped:
		return Failed
	case Detected, Confirming, Orphaned:
	}
	return OnChain
}

// Deposit is an incoming transfer of a wallet's asset to an address of its vault.
type Deposit struct {
	ID         uuid.UUID
	Realm      indexer.Realm
	WalletID   uuid.UUID
	VaultID    uuid.UUID
	ExternalID string // of the vault
	Chain      string
	Family     chains.Family
	Asset      chains.Asset
	Amount     chains.Amount
	Received   *chains.Amount // what is credited of it; nil while that is unknown
	Address    string
	State      DepositState
	Reason     string
	Tx         chains.Hash
	Source     string
	Block      chains.BlockRef // zero Hash while it stands in none
	ReplacedBy *chains.Hash
	Due        *Due   // nil while it stands in no block
	Tip        uint64 // of the chain, for confirmations
	Version    int64
	CreatedAt  time.Time
	ChangedAt  time.Time
}

// Confirmations returns how many blocks stand on the deposit, its own included.
func (d Deposit) Confirmations() uint64 {
	if d.Block.Hash.IsZero() || d.Tip < d.Block.Height {
		return 0
	}
	return d.Tip - d.Block.Height + 1
}

// DepositID returns the id of the deposit that a transfer is to a wallet. It
// depends on nothing else: a ledger that is built anew gives the same.
func DepositID(wallet uuid.UUID, chain string, tx chains.Hash, source string, script []byte, amount chains.Amount) uuid.UUID {
	name := chain + "\n" + tx.String() + "\n" + source + "\n" + hex.EncodeToString(script) + "\n" + amount.String()
	return uuid.NewSHA1(wallet, []byte(name))
}

// DepositFilter narrows a list of deposits.
type DepositFilter struct {
	Wallet *uuid.UUID
	Vault  *uuid.UUID
	Chain  string         // "" for all
	States []DepositState // empty for all
	Since  *time.Time     // included
	Until  *time.Time     // not included
	After  *Place
	Limit  int
}

// Deposits reads deposits.
type Deposits interface {
	// Deposit returns one deposit, or indexer.ErrNotFound.
	Deposit(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Deposit, error)

	// Deposits returns up to filter.Limit deposits, newest first, and the
	// place the next page begins after, nil if there is none.
	Deposits(ctx context.Context, realm indexer.Realm, filter DepositFilter) ([]Deposit, *Place, error)
}
