package custody

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// VaultStatus says whether a vault is in use.
type VaultStatus string

// The statuses. An archived vault gives out nothing: no wallets, no addresses, no
// money. What reaches its addresses all the same is still credited.
const (
	VaultActive   VaultStatus = "Active"
	VaultArchived VaultStatus = "Archived"
)

// Vault is one end customer's holdings.
type Vault struct {
	ID         uuid.UUID
	Realm      indexer.Realm
	ExternalID string // the tenant's own, unique in the realm; "" for none
	Name       string
	Metadata   json.RawMessage // an object, as it was sent
	UserID     *uuid.UUID      // whose totals the vault is part of; nil for nobody's
	Status     VaultStatus
	Version    int64 // counts its status changes
	CreatedAt  time.Time
}

// Place is a place in a list that is ordered by time and id.
type Place struct {
	Time time.Time
	ID   uuid.UUID
}

// Span is a part of a list: so many entries, behind a place.
type Span struct {
	After *Place // nil for the beginning
	Limit int
}

// VaultFilter narrows a list of vaults.
type VaultFilter struct {
	ExternalID string      // "" for all
	Status     VaultStatus // "" for all
	UserID     *uuid.UUID  // nil for all
	After      *Place
	Limit      int
}

// Vaults keeps vaults. A vault of another realm is not found.
type Vaults interface {
	// CreateVault stores a vault, with its event. It returns
	// indexer.ErrExists if the external id is taken, ErrNoUser, or
	// indexer.ErrNotFound if there is no such tenant.
	CreateVault(ctx context.Context, vault Vault) error

	// Vault returns one vault, or indexer.ErrNotFound.
	Vault(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Vault, error)

	// Vaults returns up to filter.Limit vaults, oldest first, and the place
	// the next page begins after, nil if there is none.
	Vaults(ctx context.Context, realm indexer.Realm, filter VaultFilter) ([]Vault, *Place, error)

	// SetVaultStatus archives a vault or takes it back into use, with its
	// event, and returns it. One that has the status already is left as it is.
	// It returns ErrNotEmpty for a vault that holds anything and is to be
	// archived, or indexer.ErrNotFound.
	SetVaultStatus(ctx context.Context, realm indexer.Realm, id uuid.UUID, status VaultStatus) (Vault, error)
}
