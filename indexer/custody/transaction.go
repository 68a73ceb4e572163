package custody

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Kind says how money moves.
type Kind string

// The kinds.
const (
	KindDeposit    Kind = "Deposit"    // from outside to a wallet
	KindTransfer   Kind = "Transfer"   // between two wallets, at once and on no chain
	KindWithdrawal Kind = "Withdrawal" // from a wallet to outside
)

// Kinds returns all kinds.
func Kinds() []Kind {
	return []Kind{KindDeposit, KindTransfer, KindWithdrawal, KindSweep, KindGasTopUp, KindNonceFill}
}

// Status is how far a transaction is.
type Status string

// The statuses, in their order; the last three are the ends.
const (
	Submitted        Status = "Submitted"
	PendingSignature Status = "PendingSignature"
	Broadcasting     Status = "Broadcasting"
	OnChain          Status = "Confirming"
	Completed        Status = "Completed"
	Failed           Status = "Failed"
	Cancelled        Status = "Cancelled"
)

// Statuses returns all statuses.
func Statuses() []Status {
	return []Status{Submitted, PendingSignature, Broadcasting, OnChain, Completed, Failed, Cancelled}
}

// Transaction is one movement of value that involves a wallet.
type Transaction struct {
	ID          uuid.UUID
	Realm       indexer.Realm
	Kind        Kind
	Status      Status
	Reason      string // why it is where it is, in a word; "" if there is nothing to say
	Source      *uuid.UUID
	Destination *uuid.UUID
	Asset       chains.Asset
	Chain       string
	Amount      chains.Amount
	Note        string
	Deposit     *Deposit // of KindDeposit
	Version     int64
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// TransactionFilter narrows a list of transactions.
type TransactionFilter struct {
	Wallet   *uuid.UUID
	Vault    *uuid.UUID
	Kinds    []Kind         // empty for all
	Statuses []Status       // empty for all
	Asset    chains.AssetID // "" for all
	Since    *time.Time     // included
	Until    *time.Time     // not included
	After    *Place
	Limit    int
}

// Transactions reads transactions.
type Transactions interface {
	// CustodyTransaction returns one transaction, or indexer.ErrNotFound.
	CustodyTransaction(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Transaction, error)

	// CustodyTransactions returns up to filter.Limit transactions, newest
	// first, and the place the next page begins after, nil if there is none.
	CustodyTransactions(ctx context.Context, realm indexer.Realm, filter TransactionFilter) ([]Transaction, *Place, error)
}

// Order is money to be moved from one wallet to another.
type Order struct {
	ID          uuid.UUID
	Realm       indexer.Realm
	Source      uuid.UUID
	Destination uuid.UUID
	Amount      chains.Amount // base units, above 0
	Note        string
}

// Transfers moves money between wallets.
type Transfers interface {
	// Transfer moves an amount at once, with its events, and returns the
	// transaction. It returns indexer.ErrNotFound if the realm has no such
	// source, ErrNoDestination, ErrSameWallet, ErrOtherAsset, ErrArchived for
	// either wallet, ErrFrozen for the source, or ErrInsufficient. A frozen
	// wallet may be paid: it is how it gets out of debt. Concurrent transfers
	// never take more than there is.
	Transfer(ctx context.Context, order Order) (Transaction, error)
}
