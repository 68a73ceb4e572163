package custody

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Branches of a key. What returns from a payment as change goes to a branch of its
// own, and is never a deposit.
const (
	BranchDeposit = 0
	BranchChange  = 1
)

// MaxIndex is the highest index that a public key derives a child for.
const MaxIndex = 1<<31 - 1

// Key is an extended public key or a descriptor that a tenant's addresses on one
// chain are derived from.
type Key struct {
	ID        uuid.UUID
	Realm     indexer.Realm
	Chain     string
	Text      string // canonical spelling; no private key is ever one
	NextIndex uint32 // the lowest that was never given away
	CreatedAt time.Time
}

// Address is one address of a tenant's pool.
type Address struct {
	ID      uuid.UUID
	Chain   string
	Address string
	Index   *uint32    // nil unless it was derived
	VaultID *uuid.UUID // nil while it waits to be given
	GivenAt *time.Time
}

// Pool is what a tenant's addresses on one chain come from.
type Pool struct {
	Key      *Key   // nil if none is registered
	Treasury string // that pays on EVM chains; "" for none
	Given    int64  // addresses that vaults have
	Free     int64  // registered ones that wait to be given
}

// Derive returns the script that a key has at an index, for deposits. It asks no
// node.
type Derive func(key Key, index uint32) (indexer.WatchedScript, error)

// Pools keeps keys and addresses.
type Pools interface {
	// HasChain returns indexer.ErrNotFound if the realm's environment has no such
	// chain.
	HasChain(ctx context.Context, realm indexer.Realm, chain string) error

	// AddressPool returns what a realm has on a chain, or indexer.ErrNotFound if the
	// realm's environment has no such chain. It counts all addresses.
	AddressPool(ctx context.Context, realm indexer.Realm, chain string) (Pool, error)

	// RegisterKey makes key, whose first script is origin, the one that
	// addresses are derived from. Two keys with one origin are one key: it goes
	// on at its next index, and at key.NextIndex if that is higher. Addresses
	// given before stay. It returns indexer.ErrNotFound for an unknown chain or
	// tenant.
	RegisterKey(ctx context.Context, key Key, origin []byte) error

	// SetTreasury makes an address the one that pays on a chain. It returns
	// ErrTaken if the realm has it in another role, or indexer.ErrNotFound for
	// an unknown chain or tenant.
	SetTreasury(ctx context.Context, realm indexer.Realm, chain string, treasury indexer.WatchedScript) error

	// RegisterAddresses adds addresses that wait to be given. Those that wait
	// already change nothing. It returns how many were added, ErrTaken if one
	// is in another role, or indexer.ErrNotFound for an unknown chain or tenant.
	RegisterAddresses(ctx context.Context, realm indexer.Realm, chain string, scripts []indexer.WatchedScript) (int, error)

	// CreateWallet opens a wallet with an address, and with the deposits that
	// reached the vault's addresses before, all with their events. A vault's
	// wallets on one EVM chain share its first address. It returns
	// indexer.ErrNotFound if the realm has no such vault or the asset is not
	// listed, indexer.ErrExists for the second wallet of an asset,
	// ErrArchived, ErrNoAddress or ErrExhausted.
	CreateWallet(ctx context.Context, wallet Wallet, derive Derive) (Wallet, error)

	// CreateAddress gives the vault of a wallet a further address. It returns
	// indexer.ErrNotFound, ErrArchived, ErrNoAddress or ErrExhausted.
	CreateAddress(ctx context.Context, realm indexer.Realm, wallet uuid.UUID, derive Derive) (Address, error)

	// ChainOf returns the chain of an asset that is listed in an environment,
	// or indexer.ErrNotFound.
	ChainOf(ctx context.Context, environment chains.Environment, asset chains.AssetID) (string, error)
}
