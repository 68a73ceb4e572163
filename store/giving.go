package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// giving gives addresses of one chain to one vault, in a transaction that has
// locked the chain's row.
//
// The index moves in the transaction that stores the address, and nobody is told
// of the address before that has committed: one that was given away is never given
// again, and one that was rolled back was never given away.
type giving struct {
	q      *db.Queries
	realm  indexer.Realm
	cursor db.LockCursorRow
	derive custody.Derive
	vault  uuid.UUID
}

// hold locks the vault.
func (g *giving) hold(ctx context.Context, vault uuid.UUID) error {
	row, err := g.q.LockVault(ctx, db.LockVaultParams{ID: vault, Tenant: g.realm.Tenant, Environment: string(g.realm.Environment)})
	if err != nil {
		return fmt.Errorf("find vault: %w", orNotFound(err))
	}
	if row.Status == string(custody.VaultArchived) {
		return custody.ErrArchived
	}
	g.vault = vault
	return nil
}

// first gives the vault an address, unless it has one that serves every asset of
// the chain.
func (g *giving) first(ctx context.Context) error {
	if g.cursor.Family == string(chains.FamilyEVM) {
		has, err := g.q.HasAddress(ctx, db.HasAddressParams{VaultID: g.vault, Chain: g.cursor.Chain})
		if err != nil {
			return fmt.Errorf("look for an address of the vault: %w", err)
		}
		if has {
			return nil
		}
	}
	_, err := g.give(ctx)
	return err
}

// give gives the vault an address: one that is derived, or, where no key is
// registered, one of those that wait.
func (g *giving) give(ctx context.Context) (custody.Address, error) {
	row, err := g.q.CustodyKey(ctx, db.CustodyKeyParams{Tenant: g.realm.Tenant, Environment: string(g.realm.Environment), Chain: g.cursor.Chain})
	if errors.Is(err, pgx.ErrNoRows) {
		return g.lease(ctx)
	}
	if err != nil {
		return custody.Address{}, fmt.Errorf("read key: %w", err)
	}
	row.NextIndex, err = g.q.HoldIndexes(ctx, db.HoldIndexesParams{Tenant: g.realm.Tenant, Environment: string(g.realm.Environment), Origin: row.Origin})
	if err != nil {
		return custody.Address{}, fmt.Errorf("lock key: %w", err)
	}
	key := custodyKey(row)
	for index := key.NextIndex; index <= custody.MaxIndex; index++ {
		script, err := g.derive(key, index)
		if err != nil {
			return custody.Address{}, fmt.Errorf("derive address %d: %w", index, err)
		}
		given, put, err := g.put(ctx, key, index, script)
		if err != nil {
			return custody.Address{}, err
		}
		if !put {
			continue // it is registered, and may have been given away so
		}
		if err := g.q.SetNextIndex(ctx, db.SetNextIndexParams{ID: key.ID, NextIndex: int64(index) + 1}); err != nil {
			return custody.Address{}, fmt.Errorf("move the index: %w", err)
		}
		return given, setCustody(ctx, g.q, g.cursor.Chain)
	}
	return custody.Address{}, custody.ErrExhausted
}

// put stores a derived address, and reports false if the realm has it already.
func (g *giving) put(ctx context.Context, key custody.Key, index uint32, script indexer.WatchedScript) (custody.Address, bool, error) {
	ids, err := addScripts(ctx, g.q, g.cursor, []indexer.WatchedScript{script})
	if err != nil {
		return custody.Address{}, false, err
	}
	given := custody.Address{ID: uuid.New(), Chain: g.cursor.Chain, Address: script.Address, Index: &index, VaultID: &g.vault}
	at, err := g.q.PutAddress(ctx, db.PutAddressParams{
		ID: given.ID, Tenant: g.realm.Tenant, Environment: string(g.realm.Environment), Chain: g.cursor.Chain,
		ScriptID: ids[string(script.Script)], Address: script.Address, Purpose: "deposit",
		KeyID: &key.ID, Branch: new(int64(custody.BranchDeposit)), Index: new(int64(index)), VaultID: &g.vault,
	})
	if errors.Is(err, pgx.ErrNoRows) {
		return given, false, nil
	}
	if err != nil {
		return custody.Address{}, false, fmt.Errorf("put address: %w", err)
	}
	if at != nil {
		given.GivenAt = new(at.UTC())
	}
	return given, true, nil
}

func (g *giving) lease(ctx context.Context) (custody.Address, error) {
	row, err := g.q.LeaseAddress(ctx, db.LeaseAddressParams{
		VaultID: g.vault, Tenant: g.realm.Tenant, Environment: string(g.realm.Environment), Chain: g.cursor.Chain,
	})
	if err != nil {
		return custody.Address{}, orOutcome("lease an address", err, custody.ErrNoAddress)
	}
	return custody.Address{ID: row.ID, Chain: g.cursor.Chain, Address: row.Address, VaultID: &g.vault, GivenAt: row.GivenAt}, nil
}
