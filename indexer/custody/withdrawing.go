package custody

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Outcomes of withdrawals. Nothing was written when one is returned.
var (
	// ErrNotInBook says that the destination is not in the address book, or no
	// longer.
	ErrNotInBook = errors.New("the destination is not in the address book")

	// ErrOwnAddress says that the destination is an address of the realm itself,
	// where the money would belong to nobody.
	ErrOwnAddress = errors.New("the destination is an address of the pool")

	// ErrNoTreasury says that the realm has named no treasury on the chain.
	ErrNoTreasury = errors.New("no treasury is registered")

	// ErrNothingThere says that an address has nothing of an asset.
	ErrNothingThere = errors.New("the address holds nothing of the asset")

	// ErrUnderWay says that the same is under way already.
	ErrUnderWay = errors.New("the same is under way")

	// ErrSigned says that signed bytes were accepted, which somebody may broadcast
	// at any time.
	ErrSigned = errors.New("signed bytes were accepted already")

	// ErrNotSignable says that no draft waits for a signature, or another one
	// than was signed.
	ErrNotSignable = errors.New("no such draft waits for a signature")

	// ErrSettled says that it is too late: a transaction is mined, or the end is
	// reached.
	ErrSettled = errors.New("the withdrawal is settled")
)

// CoolingError says that a destination is in the address book and not usable yet.
type CoolingError struct{ UsableAt time.Time }

// Error implements error.
func (e *CoolingError) Error() string {
	return "the destination is usable from " + e.UsableAt.UTC().Format(time.RFC3339) + " on"
}

// WithdrawalOrder is money to be paid from a wallet to outside.
type WithdrawalOrder struct {
	ID      uuid.UUID
	Realm   indexer.Realm
	Wallet  uuid.UUID
	Address string // canonical spelling
	Script  []byte
	Amount  chains.Amount // base units, above 0
	MaxFee  *chains.Amount
	Note    string
}

// InternalOrder is money to be moved within the addresses of a realm on an EVM
// chain: all of an asset from an address to the treasury, or an amount of the
// native coin the other way.
type InternalOrder struct {
	ID     uuid.UUID
	Realm  indexer.Realm
	Kind   Kind // KindSweep or KindGasTopUp
	Chain  string
	Script []byte         // of the deposit address
	Asset  chains.AssetID // of a sweep
	Amount chains.Amount  // of a top-up, above 0
	MaxFee *chains.Amount
	Note   string
}

// Ordering orders withdrawals.
type Ordering interface {
	// Withdraw locks an amount of a wallet, all with its events. It returns
	// indexer.ErrNotFound if the realm has no such wallet, ErrArchived, ErrFrozen,
	// ErrInsufficient, ErrOwnAddress, ErrNotInBook or a *CoolingError. Concurrent
	// withdrawals and transfers never take more than there is.
	Withdraw(ctx context.Context, order WithdrawalOrder) (Withdrawal, error)

	// MoveWithin orders a sweep or a top-up. It returns indexer.ErrNotFound if the
	// realm has no such deposit address or the chain no such asset, ErrNoTreasury,
	// ErrNothingThere, or ErrUnderWay for a second sweep of the same.
	MoveWithin(ctx context.Context, order InternalOrder) (Withdrawal, error)

	// Funds returns what a realm has on a chain to pay withdrawals with, or
	// indexer.ErrNotFound.
	Funds(ctx context.Context, realm indexer.Realm, chain string) (Funds, error)
}

// Withdrawals is what becomes of withdrawals by the hands of those who ordered
// them. One of another realm is not found.
type Withdrawals interface {
	// Withdrawal returns one, or indexer.ErrNotFound.
	Withdrawal(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Withdrawal, error)

	// Accept keeps what came back signed of a draft. When it returns nil the
	// bytes are durable: they are broadcast until the chain has settled it. The
	// same bytes again change nothing. It returns indexer.ErrNotFound,
	// ErrNotSignable, ErrFrozen if the wallet has come to owe, or ErrNotInBook if
	// the destination was removed meanwhile.
	Accept(ctx context.Context, realm indexer.Realm, id uuid.UUID, draft int, signed chains.Signed) (Withdrawal, error)

	// Cancel ends one that was not signed, and gives the wallet its money and the
	// others its coins. A nonce below a later one is filled by a withdrawal of its
	// own. One that is cancelled already is left as it is. It returns
	// indexer.ErrNotFound, ErrSigned, or ErrSettled if it has ended otherwise or
	// is a fill itself.
	Cancel(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Withdrawal, error)

	// Bump asks for a replacement with a higher fee. It returns
	// indexer.ErrNotFound, or ErrSettled if there is no draft yet, or one is
	// mined, or the end is reached.
	Bump(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Withdrawal, error)
}

// Funds is what a realm has on one chain to pay withdrawals with.
type Funds struct {
	Chain    string
	Treasury string // address that pays on an EVM chain; "" for none
	Tip      uint64
	Assets   []Fund
	Sweeps   []Sweepable // EVM: what could be swept, by amount
}

// Fund is one asset of Funds, in base units.
type Fund struct {
	Asset     chains.Asset
	Balance   *chains.Amount // bitcoin: in coins that could be spent; EVM: the treasury's; nil while unknown
	Committed chains.Amount  // of it, to withdrawals that have a draft, with their fees
	Waiting   chains.Amount  // of withdrawals that have none yet
}

// Sweepable is what one deposit address holds of one asset.
type Sweepable struct {
	Address string
	Asset   chains.Asset
	Amount  chains.Amount
	Gas     chains.Amount // what it has of the native coin to pay for the sweep
}
