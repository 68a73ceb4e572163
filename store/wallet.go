package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var (
	_ custody.Wallets = (*Store)(nil)
	_ custody.Assets  = (*Store)(nil)
)

// Wallet implements custody.Wallets.
func (s *Store) Wallet(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Wallet, error) {
	return oneWallet(ctx, s.queries(ctx), realm, id)
}

func oneWallet(ctx context.Context, q *db.Queries, realm indexer.Realm, id uuid.UUID) (custody.Wallet, error) {
	found, err := wallets(ctx, q, realm, db.WalletRowsParams{ID: &id})
	if err != nil {
		return custody.Wallet{}, err
	}
	if len(found) == 0 {
		return custody.Wallet{}, indexer.ErrNotFound
	}
	return found[0], nil
}

// VaultWallets implements custody.Wallets.
func (s *Store) VaultWallets(ctx context.Context, realm indexer.Realm, vault uuid.UUID, span custody.Span) ([]custody.Wallet, *custody.Place, error) {
	if _, err := s.Vault(ctx, realm, vault); err != nil {
		return nil, nil, err
	}
	p := db.WalletRowsParams{VaultID: &vault, Rows: new(int32(span.Limit) + 1)} //nolint:gosec // checked at the edge
	p.AfterAt, p.AfterID = placeOf(span.After)
	found, err := wallets(ctx, s.queries(ctx), realm, p)
	if err != nil {
		return nil, nil, err
	}
	found, next := page(found, span.Limit, func(w custody.Wallet) custody.Place { return custody.Place{Time: w.CreatedAt, ID: w.ID} })
	return found, next, nil
}

// UserWallets implements custody.Wallets.
func (s *Store) UserWallets(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]custody.Wallet, error) {
	return wallets(ctx, s.queries(ctx), realm, db.WalletRowsParams{UserID: &user})
}

func wallets(ctx context.Context, q *db.Queries, realm indexer.Realm, which db.WalletRowsParams) ([]custody.Wallet, error) {
	which.Tenant, which.Environment = realm.Tenant, string(realm.Environment)
	rows, err := q.WalletRows(ctx, which)
	if err != nil {
		return nil, fmt.Errorf("read wallets: %w", err)
	}
	found := make([]custody.Wallet, 0, len(rows))
	for i := range rows {
		row := &rows[i]
		w := &row.Wallet
		found = append(found, custody.Wallet{
			ID: w.ID, VaultID: w.VaultID, VaultName: row.VaultName, VaultStatus: custody.VaultStatus(row.VaultStatus), Realm: realm, Chain: w.Chain,
			Asset: asset(row.Caip19, row.Symbol, row.AssetName, row.Decimals, row.Listed), Label: w.Label,
			Status:  custody.WalletStatus(w.Status),
			Balance: custody.Balance{Available: w.Available, Locked: w.Locked, Pending: w.Pending},
			Address: row.Address, Searched: row.Searched, Version: w.Version, CreatedAt: w.CreatedAt.UTC(),
		})
	}
	return found, nil
}

// WalletAddresses implements custody.Wallets.
func (s *Store) WalletAddresses(ctx context.Context, realm indexer.Realm, wallet uuid.UUID, span custody.Span) ([]custody.Address, *custody.Place, error) {
	q := s.queries(ctx)
	at, err := q.WalletPlace(ctx, db.WalletPlaceParams{ID: wallet, Tenant: realm.Tenant, Environment: string(realm.Environment)})
	if err != nil {
		return nil, nil, fmt.Errorf("find wallet: %w", orNotFound(err))
	}
	p := db.VaultAddressesParams{VaultID: at.VaultID, Chain: at.Chain, Rows: int32(span.Limit) + 1} //nolint:gosec // checked at the edge
	p.AfterAt, p.AfterID = placeOf(span.After)
	rows, err := q.VaultAddresses(ctx, p)
	if err != nil {
		return nil, nil, fmt.Errorf("read addresses: %w", err)
	}
	addresses := make([]custody.Address, 0, len(rows))
	for _, row := range rows {
		addresses = append(addresses, address(row))
	}
	// What belongs to a vault was given to it.
	addresses, next := page(addresses, span.Limit, func(a custody.Address) custody.Place { return custody.Place{Time: *a.GivenAt, ID: a.ID} })
	return addresses, next, nil
}

func address(row db.Address) custody.Address {
	a := custody.Address{ID: row.ID, Chain: row.Chain, Address: row.Address, VaultID: row.VaultID}
	if row.Index != nil {
		a.Index = new(uint32(*row.Index)) //nolint:gosec // below 2^31
	}
	if row.GivenAt != nil {
		a.GivenAt = new(row.GivenAt.UTC())
	}
	return a
}

// EnabledAssets implements custody.Assets.
func (s *Store) EnabledAssets(ctx context.Context, realm indexer.Realm) ([]custody.EnabledAsset, error) {
	return s.listedAssets(ctx, db.EnabledAssetsParams{Environment: string(realm.Environment), Tenant: &realm.Tenant})
}

// ListedAssets implements custody.Assets.
func (s *Store) ListedAssets(ctx context.Context, environment chains.Environment) ([]custody.EnabledAsset, error) {
	return s.listedAssets(ctx, db.EnabledAssetsParams{Environment: string(environment)})
}

func (s *Store) listedAssets(ctx context.Context, p db.EnabledAssetsParams) ([]custody.EnabledAsset, error) {
	rows, err := s.queries(ctx).EnabledAssets(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("read listed assets: %w", err)
	}
	assets := make([]custody.EnabledAsset, 0, len(rows))
	for _, row := range rows {
		assets = append(assets, custody.EnabledAsset{
			Asset: asset(row.Caip19, row.Symbol, row.Name, row.Decimals, true), Chain: row.Chain, Native: row.Native,
		})
	}
	return assets, nil
}
