package custody

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Payouts is the ledger as a Payer needs it.
type Payouts interface {
	// TakeTurn returns the withdrawal of a chain that waits longest to be looked
	// at, and keeps it from others until ttl from now by the database's clock. It
	// returns indexer.ErrNotFound if none waits. A Payer that dies gives its turn
	// up when that ends; one that was paused writes nothing any more, since the
	// turn has moved.
	TakeTurn(ctx context.Context, chain string, ttl time.Duration) (Withdrawal, error)

	// Settle gives a withdrawal the status that it has by what the ledger holds
	// and what was observed, with its journal and its events, and returns it. It
	// returns indexer.ErrStale if the turn has moved.
	Settle(ctx context.Context, turn Turn, seen Observation) (Withdrawal, error)

	// PutDraft keeps a draft, reserves what it spends, and makes it wait to be
	// signed. Nobody may be shown a draft before. It returns indexer.ErrStale if
	// the turn has moved, or if another withdrawal has a coin or the nonce of the
	// draft, or the ledger no longer has the coin; and a *chains.ShortageError if other
	// drafts leave too little of what the sender has.
	PutDraft(ctx context.Context, turn Turn, built Built) (Withdrawal, error)

	// Decline keeps why no draft was built. It returns indexer.ErrStale if the
	// turn has moved.
	Decline(ctx context.Context, turn Turn, why Declined) (Withdrawal, error)
}

// Coins is the tenant's pool as a Payer needs it.
type Coins interface {
	// SpendableCoins returns up to limit coins of the addresses of a realm that
	// are confirmed, unspent and not reserved, the most valuable first, and the
	// height of the tip they are true at.
	SpendableCoins(ctx context.Context, realm indexer.Realm, chain string, limit int) ([]chains.Coin, uint64, error)

	// NextChange returns where change of a realm goes next: nothing is given away
	// before PutDraft.
	NextChange(ctx context.Context, realm indexer.Realm, chain string) (ChangeSource, error)
}

// ChangeSource is what addresses for change come from.
type ChangeSource struct {
	Key      *Key   // nil if none is registered
	Next     uint32 // the lowest index of its branch for change that was never given
	Treasury []byte // script of the treasury, nil for none
}

// ChangeAddress is where the change of a draft goes, if it is a new address.
type ChangeAddress struct {
	Key    uuid.UUID
	Branch uint32
	Index  uint32
	Script indexer.WatchedScript
}

// Built is a draft with what has to be kept together with it.
type Built struct {
	Draft  chains.Draft
	Change *ChangeAddress // nil if no new address was needed

	// Of an EVM chain.
	Sender  []byte        // the address that pays
	Pending uint64        // the next nonce of the sender as nodes say
	Amount  chains.Amount // what the draft moves; a sweep has it from here
}

// Declined says why no draft was built.
type Declined struct {
	Reason string
	Short  *chains.ShortageError // what there is too little of; nil for nothing
	Failed bool                  // none ever will be: the withdrawal ends
	Retry  time.Duration         // when to try again
}

// Observation is what nodes said of a withdrawal. The zero value is that they
// were not asked.
type Observation struct {
	Asked   bool                 // nodes were told of a draft, and answered or did not
	Taken   bool                 // one has it
	Refused chains.RefusalReason // all refuse it; "" if not
	Seen    *Seen                // EVM: where a draft is mined, by the word of a node
	UsedAt  *uint64              // EVM: the height of a head at which the nonce is used, and by none of the drafts
	Adopt   *Spender             // bitcoin: the draft itself, in the chain with an id that was changed on its way

	// Searched says that all was looked at by which a draft could turn out to be
	// mined. Without it no withdrawal is given up as lost.
	Searched bool

	Retry time.Duration // when to ask again
}

// used reports whether nodes refuse as they do where the nonce is used: there are words
// for it that also stand for something else.
func (o *Observation) used() bool {
	return o.Refused == chains.RefusedSpent || o.Refused == chains.RefusedOther
}

// Gone reports whether all that was asked says that none of the drafts can be mined
// any more: of coins the ledger has to say it too, of a nonce nodes have.
func (o *Observation) Gone(nonce bool) bool {
	if !nonce {
		return o.Searched && o.Refused == chains.RefusedSpent
	}
	return o.Searched && o.used() && o.UsedAt != nil
}

// Seen says where a node says that a draft is mined.
type Seen struct {
	Draft    int
	Sighting chains.Sighting
}
