package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

var _ custody.Pools = (*Store)(nil)

// HasChain implements custody.Pools.
func (s *Store) HasChain(ctx context.Context, realm indexer.Realm, chain string) error {
	environment, err := s.queries(ctx).ChainEnvironment(ctx, chain)
	if err != nil {
		return fmt.Errorf("find chain: %w", orNotFound(err))
	}
	if environment != string(realm.Environment) {
		return fmt.Errorf("chain %s: %w", chain, indexer.ErrNotFound)
	}
	return nil
}

// AddressPool implements custody.Pools.
func (s *Store) AddressPool(ctx context.Context, realm indexer.Realm, chain string) (custody.Pool, error) {
	if err := s.HasChain(ctx, realm, chain); err != nil {
		return custody.Pool{}, err
	}
	q, environment := s.queries(ctx), string(realm.Environment)
	status, err := q.PoolStatus(ctx, db.PoolStatusParams{Tenant: realm.Tenant, Environment: environment, Chain: chain})
	if err != nil {
		return custody.Pool{}, fmt.Errorf("count addresses: %w", err)
	}
	pool := custody.Pool{Treasury: status.Treasury, Given: status.Given, Free: status.Free}
	row, err := q.CustodyKey(ctx, db.CustodyKeyParams{Tenant: realm.Tenant, Environment: environment, Chain: chain})
	switch {
	case errors.Is(err, pgx.ErrNoRows):
	case err != nil:
		return custody.Pool{}, fmt.Errorf("read key: %w", err)
	default:
		pool.Key = new(custodyKey(row))
	}
	return pool, nil
}

// RegisterKey implements custody.Pools.
func (s *Store) RegisterKey(ctx context.Context, key custody.Key, origin []byte) error {
	return s.write(ctx, "register_key", func(q *db.Queries) error {
		realm := key.Realm
		if _, err := holdChain(ctx, q, realm, key.Chain); err != nil {
			return err
		}
		digest := sha256.Sum256(origin)
		err := q.RetireCustodyKey(ctx, db.RetireCustodyKeyParams{
			Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: key.Chain, Origin: digest[:],
		})
		if err != nil {
			return fmt.Errorf("retire the key before: %w", err)
		}
		err = q.PutCustodyKey(ctx, db.PutCustodyKeyParams{
			ID: key.ID, Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: key.Chain,
			Key: key.Text, Origin: digest[:], NextIndex: int64(key.NextIndex),
		})
		if err != nil {
			return fmt.Errorf("put key: %w", orNoTenant(err, realm.Tenant))
		}
		return nil
	})
}

// SetTreasury implements custody.Pools.
func (s *Store) SetTreasury(ctx context.Context, realm indexer.Realm, chain string, treasury indexer.WatchedScript) error {
	return s.write(ctx, "set_treasury", func(q *db.Queries) error {
		cursor, err := holdChain(ctx, q, realm, chain)
		if err != nil {
			return err
		}
		ids, err := addScripts(ctx, q, cursor, []indexer.WatchedScript{treasury})
		if err != nil {
			return err
		}
		id := ids[string(treasury.Script)]
		err = q.RetireTreasury(ctx, db.RetireTreasuryParams{Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain, ScriptID: id})
		if err != nil {
			return fmt.Errorf("retire the treasury before: %w", err)
		}
		put, err := q.PutTreasury(ctx, db.PutTreasuryParams{
			ID: uuid.New(), Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain, ScriptID: id, Address: treasury.Address,
		})
		if err != nil {
			return fmt.Errorf("put treasury: %w", orNoTenant(err, realm.Tenant))
		}
		if put == 0 {
			return custody.ErrTaken
		}
		return setCustody(ctx, q, chain)
	})
}

// RegisterAddresses implements custody.Pools.
func (s *Store) RegisterAddresses(ctx context.Context, realm indexer.Realm, chain string, scripts []indexer.WatchedScript) (int, error) {
	var added []int64
	err := s.write(ctx, "register_addresses", func(q *db.Queries) error {
		cursor, err := holdChain(ctx, q, realm, chain)
		if err != nil {
			return err
		}
		ids, err := addScripts(ctx, q, cursor, scripts)
		if err != nil {
			return err
		}
		rows := make([]int64, len(scripts))
		for i := range scripts {
			rows[i] = ids[string(scripts[i].Script)]
		}
		taken, err := q.NotFree(ctx, db.NotFreeParams{Tenant: realm.Tenant, Environment: string(realm.Environment), ScriptIds: rows})
		if err != nil {
			return fmt.Errorf("look for addresses in use: %w", err)
		}
		if taken {
			return custody.ErrTaken
		}
		added, err = q.PutFreeAddresses(ctx, db.PutFreeAddressesParams{Tenant: realm.Tenant, Environment: string(realm.Environment), ScriptIds: rows})
		if err != nil {
			return fmt.Errorf("put %d addresses: %w", len(rows), orNoTenant(err, realm.Tenant))
		}
		return setCustody(ctx, q, chain)
	})
	return len(added), err
}

// CreateWallet implements custody.Pools. It locks in the order of every writer:
// the chain, the vault, the key, and at last the wallets.
func (s *Store) CreateWallet(ctx context.Context, wallet custody.Wallet, derive custody.Derive) (custody.Wallet, error) {
	var made custody.Wallet
	err := s.write(ctx, "create_wallet", func(q *db.Queries) error {
		realm := wallet.Realm
		listed, err := q.ListedAsset(ctx, db.ListedAssetParams{
			Environment: string(realm.Environment), Tenant: &realm.Tenant, Caip19: string(wallet.Asset.ID),
		})
		if err != nil {
			return fmt.Errorf("find asset: %w", orNotFound(err))
		}
		g := giving{q: q, realm: realm, derive: derive}
		if g.cursor, err = holdChain(ctx, q, realm, listed.Chain); err != nil {
			return err
		}
		if err := g.hold(ctx, wallet.VaultID); err != nil {
			return err
		}
		created, err := q.CreateWallet(ctx, db.CreateWalletParams{
			ID: wallet.ID, VaultID: wallet.VaultID, Tenant: realm.Tenant, Environment: string(realm.Environment),
			Chain: listed.Chain, AssetID: listed.ID, Label: wallet.Label, CreatedAt: wallet.CreatedAt,
		})
		if err != nil {
			return fmt.Errorf("create wallet: %w", err)
		}
		if created == 0 {
			return indexer.ErrExists
		}
		if err := g.first(ctx); err != nil {
			return err
		}
		if _, err := q.WalletEvents(ctx, db.WalletEventsParams{Type: "wallet.created", Ids: []uuid.UUID{wallet.ID}}); err != nil {
			return fmt.Errorf("write event of the wallet: %w", err)
		}
		w := writing{q: q, chain: listed.Chain, custody: true}
		if err := w.claim(ctx, []uuid.UUID{wallet.ID}, nil); err != nil {
			return err
		}
		made, err = oneWallet(ctx, q, realm, wallet.ID)
		return err
	})
	return made, err
}

// CreateAddress implements custody.Pools.
func (s *Store) CreateAddress(ctx context.Context, realm indexer.Realm, wallet uuid.UUID, derive custody.Derive) (custody.Address, error) {
	var given custody.Address
	err := s.write(ctx, "create_address", func(q *db.Queries) error {
		at, err := q.WalletPlace(ctx, db.WalletPlaceParams{ID: wallet, Tenant: realm.Tenant, Environment: string(realm.Environment)})
		if err != nil {
			return fmt.Errorf("find wallet: %w", orNotFound(err))
		}
		g := giving{q: q, realm: realm, derive: derive}
		if g.cursor, err = holdChain(ctx, q, realm, at.Chain); err != nil {
			return err
		}
		if err := g.hold(ctx, at.VaultID); err != nil {
			return err
		}
		if given, err = g.give(ctx); err != nil {
			return err
		}
		w := writing{q: q, chain: at.Chain, custody: true}
		wallets, err := q.WalletsOfVault(ctx, db.WalletsOfVaultParams{VaultID: at.VaultID, Chain: at.Chain})
		if err != nil {
			return fmt.Errorf("find wallets of the vault: %w", err)
		}
		return w.claim(ctx, wallets, &given.ID)
	})
	return given, err
}

// ChainOf implements custody.Pools.
func (s *Store) ChainOf(ctx context.Context, environment chains.Environment, asset chains.AssetID) (string, error) {
	row, err := s.queries(ctx).ListedAsset(ctx, db.ListedAssetParams{Environment: string(environment), Caip19: string(asset)})
	if err != nil {
		return "", fmt.Errorf("find asset: %w", orNotFound(err))
	}
	return row.Chain, nil
}

// holdChain locks the row of a chain of a realm's environment.
func holdChain(ctx context.Context, q *db.Queries, realm indexer.Realm, chain string) (db.LockCursorRow, error) {
	cursor, err := q.LockCursor(ctx, chain)
	if err != nil {
		return cursor, fmt.Errorf("lock cursor: %w", orNotFound(err))
	}
	if cursor.Environment != string(realm.Environment) {
		return cursor, fmt.Errorf("chain %s: %w", chain, indexer.ErrNotFound)
	}
	return cursor, nil
}

func setCustody(ctx context.Context, q *db.Queries, chain string) error {
	if err := q.SetCustody(ctx, chain); err != nil {
		return fmt.Errorf("tell the chain of its addresses: %w", err)
	}
	return nil
}

func custodyKey(row db.CustodyKey) custody.Key {
	return custody.Key{
		ID: row.ID, Realm: realmOf(row.Tenant, row.Environment), Chain: row.Chain, Text: row.Key,
		NextIndex: uint32(row.NextIndex), CreatedAt: row.CreatedAt.UTC(), //nolint:gosec // at most 2^31
	}
}
