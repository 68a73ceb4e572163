package chains

import (
	"context"
	"errors"
	"fmt"
)

// Why a transaction is not built.
var (
	// ErrDust says that an amount is below what nodes relay.
	ErrDust = errors.New("amount is below what nodes relay")

	// ErrFeeTooHigh says that the fee would be above the ceiling.
	ErrFeeTooHigh = errors.New("fee is above the ceiling")

	// ErrFeeTooLow says that the rate is below what nodes relay.
	ErrFeeTooLow = errors.New("fee rate is below what nodes relay")

	// ErrReverts says that the recipient or the token refuses the transfer.
	ErrReverts = errors.New("the contract refuses the transfer")
)

// ShortageError says that there is too little of an asset to build a transaction.
type ShortageError struct {
	Asset AssetID // the native one where the fee cannot be paid
	Have  Amount  // in the bitcoin family: in the coins worth spending, as many as fit a transaction
	Need  Amount  // with the fee
}

// Error implements error.
func (s *ShortageError) Error() string {
	return fmt.Sprintf("%s of %s where %s are needed", s.Have, s.Asset, s.Need)
}

// PaymentOrder asks for a transaction of the bitcoin family.
type PaymentOrder struct {
	Coins   []Coin // may be spent; immature ones are left out, and those whose signature has no known size
	To      Output
	Change  Output  // where the rest goes; its Amount is not read
	Rate    FeeRate // base units for 1000 virtual bytes
	Ceiling Amount  // the fee may not be more
	Tip     uint64  // height of the best block
}

// CoinBuilder is a Source that builds transactions out of coins: one of the
// bitcoin family.
type CoinBuilder interface {
	// BuildPayment chooses coins and builds a transaction that pays To, with
	// change if the rest is worth one. The same order gives the same
	// transaction. It reserves nothing: the caller keeps the coins of the
	// draft from being chosen again.
	//
	// The error is a *ShortageError, ErrDust, ErrFeeTooHigh or ErrFeeTooLow where
	// the order cannot be met, ErrUnsupported where no transactions are built or
	// a script has no address, or a fault of the nodes.
	BuildPayment(ctx context.Context, order PaymentOrder) (Draft, error)
}

// TransferOrder asks for an EVM transaction.
type TransferOrder struct {
	From    []byte   // 20 bytes
	Key     *KeyPath // of From; nil if the signer knows it
	Nonce   uint64
	Asset   AssetID // native, or a token
	To      []byte  // 20 bytes: who is paid
	Amount  Amount  // 0 only from an address to itself, which spends its nonce and nothing else
	All     bool    // instead of Amount: all there is at the node's head, of the native coin less the fee
	Rate    FeeRate
	Ceiling Amount // the fee may not be more

	// Replaces is a transaction with the same sender and nonce that may be
	// known to nodes; the fees are raised to what replaces it. nil for none.
	Replaces *Draft
}

// TransferBuilder is a Source that builds transactions of accounts: one of EVM.
type TransferBuilder interface {
	// BuildTransfer asks a node for the gas the transfer takes, and whether it
	// would succeed at its head, and builds it. It reserves nothing: the caller
	// keeps the nonce.
	//
	// The error is a *ShortageError, ErrFeeTooHigh or ErrReverts where the order
	// cannot be met, or a fault of the nodes.
	BuildTransfer(ctx context.Context, order TransferOrder) (Draft, error)
}

// Bump says how a transaction that is not mined is to be replaced.
type Bump struct {
	Rate    FeeRate // wanted; raised to the least that nodes take for a replacement
	Ceiling Amount  // the fee may not be more
	Coins   []Coin  // bitcoin: may be spent in addition; unconfirmed and immature ones are left out
	Change  Output  // bitcoin: where the rest goes if the draft has no change; its Amount is not read
	Tip     uint64  // bitcoin: height of the best block
	Evicted Amount  // bitcoin: fees of the unconfirmed transactions that spend an output of the draft, and leave with it
}

// Bumper is a Source that can raise the fee of what it has built.
type Bumper interface {
	// Bump builds the replacement of a draft: it pays the same to the same,
	// and spends the same coins, or the same nonce, so that one of the two at
	// most is ever mined. Where the draft sends all there is, the higher fee
	// makes that less. The errors are those of building.
	Bump(ctx context.Context, draft Draft, bump Bump) (Draft, error)
}
