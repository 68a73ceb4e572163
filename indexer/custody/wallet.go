package custody

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// WalletStatus says whether money may leave a wallet.
type WalletStatus string

// The statuses. A wallet is frozen while it owes, and no longer.
const (
	WalletActive WalletStatus = "Active"
	WalletFrozen WalletStatus = "Frozen"
)

// StatusOf returns the status of a wallet with so much available.
func StatusOf(available chains.Amount) WalletStatus {
	if available.Sign() < 0 {
		return WalletFrozen
	}
	return WalletActive
}

// Balance is what a wallet holds, in base units.
type Balance struct {
	Available chains.Amount // may be moved; negative while the wallet owes
	Locked    chains.Amount // set aside for withdrawals under way
	Pending   chains.Amount // seen, and not credited yet: nothing to rely on
}

// Credited returns all that is the wallet's.
func (b Balance) Credited() chains.Amount { return b.Available.Add(b.Locked) }

// Wallet is one asset of a vault: a claim on what the tenant holds of that asset.
type Wallet struct {
	ID          uuid.UUID
	VaultID     uuid.UUID
	VaultName   string
	VaultStatus VaultStatus
	Realm       indexer.Realm
	Chain       string
	Asset       chains.Asset
	Label       string
	Status      WalletStatus
	Balance     Balance
	Address     string // the first that was given to the vault on this chain
	Searched    bool   // the past of its addresses is known
	Version     int64
	CreatedAt   time.Time
}

// Wallets reads wallets. A wallet of another realm is not found.
type Wallets interface {
	// Wallet returns one wallet, or indexer.ErrNotFound.
	Wallet(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Wallet, error)

	// VaultWallets returns wallets of a vault, oldest first, and the place after
	// which the next ones begin, nil if there are none; or indexer.ErrNotFound.
	VaultWallets(ctx context.Context, realm indexer.Realm, vault uuid.UUID, span Span) ([]Wallet, *Place, error)

	// UserWallets returns the wallets of all vaults that are part of a user's
	// totals, oldest first, or none.
	UserWallets(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]Wallet, error)

	// WalletAddresses returns addresses a wallet is paid at, oldest first, and the
	// place after which the next ones begin, nil if there are none; or
	// indexer.ErrNotFound.
	WalletAddresses(ctx context.Context, realm indexer.Realm, wallet uuid.UUID, span Span) ([]Address, *Place, error)
}

// EnabledAsset is an asset that wallets may be opened for.
type EnabledAsset struct {
	chains.Asset

	Chain  string
	Native bool
}

// Assets reads what a realm may use.
type Assets interface {
	// EnabledAssets returns the assets that a realm may open wallets for, by chain,
	// the native one first: those that are listed, less those that its tenant is
	// not to hold.
	EnabledAssets(ctx context.Context, realm indexer.Realm) ([]EnabledAsset, error)

	// ListedAssets returns the listed assets of all chains of an environment, by
	// chain, the native one first.
	ListedAssets(ctx context.Context, environment chains.Environment) ([]EnabledAsset, error)
}
