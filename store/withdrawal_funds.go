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

// SpendableCoins implements custody.Coins.
func (s *Store) SpendableCoins(ctx context.Context, realm indexer.Realm, chain string, limit int) ([]chains.Coin, uint64, error) {
	var coins []chains.Coin
	var tip int64
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		terms, err := q.CursorTip(ctx, chain)
		if err != nil {
			return fmt.Errorf("read the tip: %w", orNotFound(err))
		}
		tip = terms
		rows, err := q.SpendableCoins(ctx, db.SpendableCoinsParams{
			Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain, Rows: int32(limit), //nolint:gosec // the caller's own number
		})
		if err != nil {
			return fmt.Errorf("read coins: %w", err)
		}
		for _, row := range rows {
			coins = append(coins, coin(row))
		}
		return nil
	})
	return coins, uint64(tip), err //nolint:gosec // a height
}

func coin(row db.SpendableCoinsRow) chains.Coin {
	c := chains.Coin{
		Outpoint: chains.Outpoint{Tx: row.Tx, Vout: uint32(row.Vout)},                                //nolint:gosec // an output
		Amount:   row.Amount, Script: row.Script, Height: uint64(row.Height), Coinbase: row.Coinbase, //nolint:gosec // a height
	}
	if row.Key != "" {
		c.Key = &chains.KeyPath{Wallet: row.Key, Branch: uint32(row.Branch), Index: uint32(row.Index)} //nolint:gosec // below 2^31
	}
	return c
}

// NextChange implements custody.Coins.
func (s *Store) NextChange(ctx context.Context, realm indexer.Realm, chain string) (custody.ChangeSource, error) {
	row, err := s.queries(ctx).NextChange(ctx, db.NextChangeParams{Tenant: realm.Tenant, Environment: string(realm.Environment), Chain: chain})
	if err != nil {
		return custody.ChangeSource{}, fmt.Errorf("read where change goes: %w", orNotFound(err))
	}
	var source custody.ChangeSource
	if row.KeyID != uuid.Nil {
		source.Key = &custody.Key{ID: row.KeyID, Realm: realm, Chain: chain, Text: row.Key}
		source.Next = uint32(row.NextChange) //nolint:gosec // at most 2^31
	}
	if len(row.Treasury) > 0 {
		source.Treasury = row.Treasury
	}
	return source, nil
}

// Funds implements custody.Ordering.
func (s *Store) Funds(ctx context.Context, realm indexer.Realm, chain string) (custody.Funds, error) {
	funds := custody.Funds{Chain: chain}
	err := s.read(ctx, func(tx pgx.Tx) error {
		f := funding{q: db.New(tx), realm: realm, funds: &funds}
		return f.read(ctx)
	})
	return funds, err
}

// funding reads the funds of one realm on one chain.
type funding struct {
	q     *db.Queries
	realm indexer.Realm
	funds *custody.Funds

	treasury int64 // script of it; 0 for none
	assets   []db.Asset
}

func (f *funding) read(ctx context.Context) error {
	chain := f.funds.Chain
	environment, err := f.q.ChainEnvironment(ctx, chain)
	if err != nil || environment != string(f.realm.Environment) {
		return fmt.Errorf("chain %s: %w", chain, errors.Join(indexer.ErrNotFound, ignoreNoRows(err)))
	}
	tip, err := f.q.CursorTip(ctx, chain)
	if err != nil {
		return fmt.Errorf("read the tip: %w", err)
	}
	f.funds.Tip = uint64(tip) //nolint:gosec // a height
	treasury, err := f.q.Treasury(ctx, db.TreasuryParams{Tenant: f.realm.Tenant, Environment: environment, Chain: chain})
	if ignoreNoRows(err) != nil {
		return fmt.Errorf("find treasury: %w", err)
	}
	f.treasury, f.funds.Treasury = treasury.ScriptID, treasury.Address
	if f.assets, err = f.q.ChainAssets(ctx, chain); err != nil {
		return fmt.Errorf("read assets: %w", err)
	}
	if err := f.open(ctx); err != nil {
		return err
	}
	terms, err := f.q.DepositTerms(ctx, chain)
	if err != nil {
		return fmt.Errorf("read the chain: %w", err)
	}
	if terms.Family != string(chains.FamilyEVM) {
		return f.coins(ctx)
	}
	if err := f.treasuryHas(ctx); err != nil {
		return err
	}
	return f.sweeps(ctx)
}

func ignoreNoRows(err error) error {
	if errors.Is(err, pgx.ErrNoRows) {
		return nil
	}
	return err
}

// open reads what withdrawals take of each asset.
func (f *funding) open(ctx context.Context) error {
	rows, err := f.q.OpenSums(ctx, db.OpenSumsParams{Tenant: f.realm.Tenant, Environment: string(f.realm.Environment), Chain: f.funds.Chain})
	if err != nil {
		return fmt.Errorf("sum open withdrawals: %w", err)
	}
	for i := range f.assets {
		a := &f.assets[i]
		fund := custody.Fund{Asset: asset(a.Caip19, a.Symbol, a.Name, a.Decimals, a.Listed)}
		for _, row := range rows {
			if row.AssetID == a.ID {
				fund.Committed, fund.Waiting = fund.Committed.Add(row.Committed), fund.Waiting.Add(row.Waiting)
			}
			if a.Native {
				fund.Committed = fund.Committed.Add(row.Fees)
			}
		}
		f.funds.Assets = append(f.funds.Assets, fund)
	}
	return nil
}

// coins reads what the coins of the pool are worth. What is committed of them are
// whole coins.
func (f *funding) coins(ctx context.Context) error {
	sums, err := f.q.CoinSums(ctx, db.CoinSumsParams{Tenant: f.realm.Tenant, Environment: string(f.realm.Environment), Chain: f.funds.Chain})
	if err != nil {
		return fmt.Errorf("sum coins: %w", err)
	}
	if len(f.funds.Assets) > 0 {
		native := &f.funds.Assets[0]
		native.Balance, native.Committed = &sums.Balance, sums.Reserved
	}
	return nil
}

// treasuryHas reads what the treasury has, and what drafts take of it.
func (f *funding) treasuryHas(ctx context.Context) error {
	if f.treasury == 0 {
		return nil
	}
	for i := range f.assets {
		row, err := f.q.SenderFunds(ctx, db.SenderFundsParams{
			SenderID: f.treasury, AssetID: f.assets[i].ID, Tenant: f.realm.Tenant, Environment: string(f.realm.Environment),
		})
		if err != nil {
			return fmt.Errorf("read what the treasury has: %w", err)
		}
		fund := &f.funds.Assets[i]
		if fund.Committed = row.Committed; f.assets[i].Native {
			fund.Committed = fund.Committed.Add(row.Fees)
		}
		if row.Balance.Sign() >= 0 {
			fund.Balance = &row.Balance
		}
	}
	return nil
}

// sweeps reads what could be swept to the treasury.
func (f *funding) sweeps(ctx context.Context) error {
	const most = 1000 // holdings, the largest
	rows, err := f.q.PoolHoldings(ctx, db.PoolHoldingsParams{
		Tenant: f.realm.Tenant, Environment: string(f.realm.Environment), Chain: f.funds.Chain, Rows: most,
	})
	if err != nil {
		return fmt.Errorf("read holdings: %w", err)
	}
	native, byID := map[int64]chains.Amount{}, map[int64]int{} // by script, by asset
	for i := range f.assets {
		byID[f.assets[i].ID] = i
	}
	for _, row := range rows {
		if f.assets[byID[row.AssetID]].Native {
			native[row.ScriptID] = row.Amount
		}
	}
	for _, row := range rows {
		if row.Purpose == "deposit" {
			f.funds.Sweeps = append(f.funds.Sweeps, custody.Sweepable{
				Address: row.Address, Asset: f.funds.Assets[byID[row.AssetID]].Asset, Amount: row.Amount, Gas: native[row.ScriptID],
			})
		}
	}
	return nil
}
