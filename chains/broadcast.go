package chains

import (
	"context"
	"fmt"
)

// RefusalReason says why nodes refuse a transaction. The reasons do not change.
type RefusalReason string

// The reasons, from the one that passes soonest to the one that never does.
const (
	RefusedEarly    RefusalReason = "early"    // not yet: lock time or maturity is not reached, a node lags
	RefusedFee      RefusalReason = "fee"      // the fee is too low, or too low to replace another
	RefusedFunds    RefusalReason = "funds"    // EVM: the sender cannot pay it
	RefusedConflict RefusalReason = "conflict" // another transaction that waits spends the same coins or nonce
	RefusedOther    RefusalReason = "other"    // none of these; see Detail
	RefusedSpent    RefusalReason = "spent"    // the coins are spent or unknown, or the nonce is used
	RefusedInvalid  RefusalReason = "invalid"  // it breaks the rules of the chain
)

// RefusalError says that every node that was asked has refused a transaction.
type RefusalError struct {
	Reason RefusalReason
	Detail string // a node's own words, bounded
}

// Error implements error.
func (r *RefusalError) Error() string { return fmt.Sprintf("refused (%s): %s", r.Reason, r.Detail) }

// Sighting is what one node knows of a transaction.
type Sighting struct {
	Mined  bool   // in a block of the node's best chain; otherwise it waits
	Block  Hash   // where mined
	Height uint64 // where mined
	Failed bool   // EVM: mined without effect
}

// Broadcaster is a Source that can make a transaction known.
type Broadcaster interface {
	// Broadcast hands a raw transaction, whose id the caller knows, to every
	// node that may be asked. It returns nil if one has it, now or since
	// before, waiting or mined: so it may be repeated.
	//
	// It returns a *RefusalError if all refused it. A refusal is the word of nodes
	// about this moment, and an earlier broadcast may still be on its way: only
	// the chain says that a transaction can never be mined, when another one
	// that spends the same coin or nonce is final. Any other error leaves open
	// whether some node has it.
	Broadcast(ctx context.Context, raw []byte) error

	// Lookup returns what a node knows of a transaction, or ErrNotFound if no
	// node knows it. Without an index of transactions a node of the bitcoin
	// family has forgotten those whose first outputs are spent.
	Lookup(ctx context.Context, id Hash) (Sighting, error)
}

// NonceReader is a Source of accounts that count their transactions.
type NonceReader interface {
	// Nonces returns the next nonce of an address after the newest block, and
	// after what waits too: the highest that a node says, so that one that
	// lags takes nothing back.
	Nonces(ctx context.Context, address []byte) (latest, pending uint64, err error)
}
