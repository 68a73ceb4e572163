package custody

import (
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// The kinds of what is built here, signed elsewhere, and broadcast and followed
// here, beside KindWithdrawal. No wallet has a part in them: they stay within the
// tenant's own addresses.
const (
	KindSweep     Kind = "Sweep"     // all of an asset from a deposit address to the treasury
	KindGasTopUp  Kind = "GasTopUp"  // from the treasury to a deposit address, so that it can pay for a sweep
	KindNonceFill Kind = "NonceFill" // nothing from the treasury to itself, in the place of one that was cancelled
)

// Reasons why a withdrawal is where it is. They do not change.
const (
	// ReasonPoolLow and those below are of Submitted: no draft can be built now. It is tried again.
	ReasonPoolLow     = "pool_low"          // the tenant's free coins do not suffice for amount and fee
	ReasonTreasuryLow = "treasury_low"      // the treasury has too little of the asset, or for the fee
	ReasonGasLow      = "gas_low"           // the address that is swept cannot pay the fee
	ReasonFeeHigh     = "fee_high"          // the fee would be above the ceiling
	ReasonNoTreasury  = "no_treasury"       // the tenant has named no treasury
	ReasonNoChange    = "no_change_address" // there is no key to derive an address for change from, and no treasury
	ReasonNode        = "node_unavailable"  // no node answers, or answers well

	// ReasonReplacementWanted and the next are of Broadcasting and Confirming.
	ReasonReplacementWanted   = "replacement_wanted"   // one with a higher fee is about to be built
	ReasonReplacementUnsigned = "replacement_unsigned" // it waits to be signed

	// ReasonDust and those below are of Failed; of a KindNonceFill that is tried again
	// they are of Submitted.
	ReasonDust        = "dust"          // nodes relay no amount as small as that
	ReasonReverts     = "reverts"       // the recipient or the token refuses it: nothing was broadcast
	ReasonUnsupported = "unsupported"   // the chain's transactions are not built here
	ReasonNothing     = "nothing_there" // nothing is left to sweep
	ReasonReverted    = "reverted"      // it was mined without effect
	ReasonConflict    = "conflict"      // another transaction spent its coin or its nonce
)

// refusedPrefix is how reasons of Broadcasting begin that are the word of nodes.
const refusedPrefix = "refused_"

// ReasonRefused is why nodes do not take what was signed. It is broadcast again.
func ReasonRefused(reason chains.RefusalReason) string { return refusedPrefix + string(reason) }

// Withdrawal is a transaction that is built here, signed elsewhere, and broadcast
// and followed here: one of a wallet's money to outside, or one within the tenant's
// own addresses.
//
// The amount arrives whole: what the network is paid comes from what the tenant
// has set aside, and not from the wallet.
type Withdrawal struct {
	ID          uuid.UUID
	Realm       indexer.Realm
	Kind        Kind
	Status      Status
	Reason      string
	WalletID    *uuid.UUID // of KindWithdrawal
	Chain       string
	Asset       chains.Asset
	Native      chains.Asset // what the network is paid in
	Amount      chains.Amount
	Destination string // canonical spelling
	Script      []byte // of Destination
	Note        string
	MaxFee      *chains.Amount // the most that the network may be paid, nil for the operator's ceiling
	Sender      *Sender        // that pays on an EVM chain; nil elsewhere, and while none is known
	Nonce       *uint64        // nil until it has one
	Replaces    *chains.Draft  // the newest draft of what KindNonceFill fills the place of
	Bump        bool           // a replacement with a higher fee is to be built
	Drafts      []Draft        // in their order
	Taken       bool           // a node has taken one of them
	Mined       *Mined         // the one of them that stands in the chain, as far as is known
	Again       int            // the one that was mined before, if its block has left; 0 for none
	Spender     *Spender       // bitcoin: what stands in the chain and spends the coins of a signed draft
	Lost        *uint64        // the height at which it was seen that none can be mined any more
	Due         *Due           // when Mined or Lost is final
	Short       *chains.ShortageError
	Tip         uint64 // of the chain, for confirmations
	Tries       int    // how often nodes were told or asked in vain
	Turn        Turn
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// Sender is an address of the tenant's own that pays on an EVM chain.
type Sender struct {
	Address string
	Script  []byte
	Key     *chains.KeyPath // nil if the signer knows it by its address
	Next    uint64          // the lowest nonce above all that are reserved
}

// Draft is one transaction that was built for a withdrawal, and what was made of
// it.
type Draft struct {
	N      int // from 1
	Draft  chains.Draft
	Signed *chains.Signed // nil until it came back
}

// Spender is a transaction in the chain that is none of a withdrawal's drafts and
// spends all the coins of one. Without witness that may be the draft itself, whose
// id was changed on its way.
type Spender struct {
	Draft  int // the newest one of which it spends all the coins
	Tx     chains.Hash
	Block  chains.Hash
	Height uint64
}

// Turn is a place in the history of a withdrawal: what was found out in it may be
// written while it lasts.
type Turn struct {
	Chain string
	ID    uuid.UUID
	N     int64
}

// Newest returns the last draft, or nil.
func (w *Withdrawal) Newest() *Draft {
	if len(w.Drafts) == 0 {
		return nil
	}
	return &w.Drafts[len(w.Drafts)-1]
}

// NewestSigned returns the last draft that came back signed, or nil.
func (w *Withdrawal) NewestSigned() *Draft {
	for i := len(w.Drafts) - 1; i >= 0; i-- {
		if w.Drafts[i].Signed != nil {
			return &w.Drafts[i]
		}
	}
	return nil
}

// ToBuild reports whether a draft is to be built: the first one, or a replacement.
func (w *Withdrawal) ToBuild() bool {
	switch w.Status {
	case Submitted:
		return true
	case PendingSignature, Broadcasting, OnChain:
		return w.Bump && w.Mined == nil
	case Completed, Failed, Cancelled:
	}
	return false
}

// ToSign returns the draft that waits for its signature, or nil.
func (w *Withdrawal) ToSign() *Draft {
	newest := w.Newest()
	switch {
	case newest == nil || newest.Signed != nil || w.Mined != nil:
	case w.Status == PendingSignature, w.Status == Broadcasting, w.Status == OnChain:
		return newest
	}
	return nil
}

// ToSend returns the draft that nodes are to be told of, or nil: the newest that is
// signed, but after a reorg the one that was mined before, until a newer one is
// signed.
func (w *Withdrawal) ToSend() *Draft {
	switch {
	case w.Mined != nil, w.Status != Broadcasting && w.Status != OnChain:
		return nil
	case w.Again > 0:
		return &w.Drafts[w.Again-1]
	}
	return w.NewestSigned()
}

// Tx returns the id of the transaction that stands in the chain, else of the one
// that nodes are told of, and false if there is none.
func (w *Withdrawal) Tx() (chains.Hash, bool) {
	draft := w.NewestSigned()
	switch {
	case draft == nil:
		return chains.Hash{}, false
	case w.Mined != nil:
		draft = &w.Drafts[w.Mined.Draft-1]
	case w.Again > 0:
		draft = &w.Drafts[w.Again-1]
	}
	return draft.Signed.ID, true
}

// Confirmations returns how many blocks stand on the withdrawal, its own included.
func (w *Withdrawal) Confirmations() uint64 {
	if w.Mined == nil || w.Tip < w.Mined.Height {
		return 0
	}
	return w.Tip - w.Mined.Height + 1
}

// Ceiling returns the most that the network may be paid, where the operator's own
// ceiling is most.
func (w *Withdrawal) Ceiling(most chains.Amount) chains.Amount {
	if w.MaxFee != nil && w.MaxFee.Cmp(most) < 0 {
		return *w.MaxFee
	}
	return most
}
