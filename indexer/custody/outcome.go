package custody

import "errors"

// Outcomes of the ports, beside those of package indexer. Nothing was written
// when one is returned.
var (
	// ErrNoUser says that the realm has no such user.
	ErrNoUser = errors.New("no such user")

	// ErrNotEmpty says that a vault holds money, or waits for some.
	ErrNotEmpty = errors.New("the vault is not empty")

	// ErrArchived says that the vault of a wallet is archived.
	ErrArchived = errors.New("the vault is archived")

	// ErrFrozen says that the wallet owes: a reorg took back what had been
	// moved on.
	ErrFrozen = errors.New("the wallet is frozen")

	// ErrInsufficient says that the wallet has less available.
	ErrInsufficient = errors.New("not enough is available")

	// ErrOtherAsset says that two wallets do not hold the same asset.
	ErrOtherAsset = errors.New("the wallets hold different assets")

	// ErrSameWallet says that source and destination are one wallet.
	ErrSameWallet = errors.New("source and destination are the same wallet")

	// ErrNoDestination says that the realm has no such destination.
	ErrNoDestination = errors.New("no such destination")

	// ErrNoAddress says that no key is registered to derive an address from,
	// and no registered address is left.
	ErrNoAddress = errors.New("no address is left and no key is registered")

	// ErrExhausted says that a key has no further index.
	ErrExhausted = errors.New("the key has no further address")

	// ErrTaken says that an address belongs to the realm in another role.
	ErrTaken = errors.New("the address is in use already")
)
