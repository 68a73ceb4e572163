package store

import (
	"context"
	"fmt"
	"runtime"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// balancesAtOnce is of how many accounts, at most, one reading is.
const balancesAtOnce = 32

// balanceReadings returns how many readings of single balances are under way at once:
// one more than there are processors to do them, and no more than half of the
// connections, so that those who poll leave some to others.
func balanceReadings(conns int32) int {
	return max(1, min(runtime.GOMAXPROCS(0)+1, int(conns)/2))
}

// accountKey names an account within a realm.
type accountKey struct {
	realm indexer.Realm
	id    uuid.UUID
}

// AccountBalance returns what one account holds, all of it as of one moment after
// the call, or ErrNotFound. It is what everybody polls, so it is read for several
// callers in one go; within a request it is read by the request itself.
func (s *Store) AccountBalance(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.AccountBalance, error) {
	key := accountKey{realm: realm, id: id}
	if s.requestOf(ctx) != nil {
		found, err := s.accountBalances(ctx, []accountKey{key})
		return oneBalance(found[key], err)
	}
	found, err := s.polled.get(ctx, key)
	return oneBalance(found, err)
}

func oneBalance(found *indexer.AccountBalance, err error) (indexer.AccountBalance, error) {
	switch {
	case err != nil:
		return indexer.AccountBalance{}, err
	case found == nil:
		return indexer.AccountBalance{}, indexer.ErrNotFound
	}
	return *found, nil
}

// accountBalances returns what accounts hold, without those that are not there.
func (s *Store) accountBalances(ctx context.Context, keys []accountKey) (map[accountKey]*indexer.AccountBalance, error) {
	var which db.AccountStatesParams
	for _, key := range keys {
		which.Ids = append(which.Ids, key.id)
		which.Tenants = append(which.Tenants, key.realm.Tenant)
		which.Environments = append(which.Environments, string(key.realm.Environment))
	}
	balances, err := s.balances(ctx, which)
	if err != nil {
		return nil, err
	}
	found := make(map[accountKey]*indexer.AccountBalance, len(balances))
	for i := range balances {
		b := &balances[i]
		found[accountKey{realm: b.Account.Realm, id: b.Account.ID}] = b
	}
	return found, nil
}

// AccountBalances returns what each account of a user holds, oldest account
// first, all of it as of one moment. A user without accounts, or one of another
// realm, has none.
func (s *Store) AccountBalances(ctx context.Context, realm indexer.Realm, userID uuid.UUID) ([]indexer.AccountBalance, error) {
	return s.balances(ctx, db.AccountStatesParams{Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: &userID})
}

func (s *Store) balances(ctx context.Context, which db.AccountStatesParams) ([]indexer.AccountBalance, error) {
	var b balanceReading
	err := s.readOften(ctx, func(tx pgx.Tx) error {
		b.q = db.New(tx)
		states, err := b.q.AccountStates(ctx, which)
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		return b.run(ctx, states)
	})
	return b.found, err
}

// balanceReading reads the balances of some accounts.
type balanceReading struct {
	q     *db.Queries
	found []indexer.AccountBalance
	at    map[uuid.UUID]*indexer.AccountBalance
}

func (b *balanceReading) run(ctx context.Context, states []db.AccountStatesRow) error {
	b.found = make([]indexer.AccountBalance, len(states))
	b.at = make(map[uuid.UUID]*indexer.AccountBalance, len(states))
	var all, bitcoin, evm []uuid.UUID
	for i := range states {
		row := &states[i]
		b.found[i] = indexer.AccountBalance{Account: account(row.Account), State: accountState(row)}
		if len(row.TipHash) > 0 {
			b.found[i].AsOf = blockRef(row.Height, chains.Hash(row.TipHash), chains.Hash(row.TipParent), row.TipTime, row.TipWork)
		}
		b.at[row.Account.ID] = &b.found[i]
		all = append(all, row.Account.ID)
		switch {
		case row.Family == string(chains.FamilyEVM):
			evm = append(evm, row.Account.ID)
		case b.found[i].State.LastSync != nil:
			bitcoin = append(bitcoin, row.Account.ID)
		}
	}
	if err := b.sums(ctx, bitcoin, states); err != nil {
		return err
	}
	if err := b.readings(ctx, evm, states); err != nil {
		return err
	}
	return b.pending(ctx, all)
}

// sums adds the balances of accounts of the bitcoin family whose past is known.
// One without any transfer holds zero.
func (b *balanceReading) sums(ctx context.Context, accounts []uuid.UUID, states []db.AccountStatesRow) error {
	if len(accounts) == 0 {
		return nil
	}
	rows, err := b.q.SumBalances(ctx, accounts)
	if err != nil {
		return fmt.Errorf("read sums: %w", err)
	}
	for _, row := range rows {
		at := b.at[row.AccountID]
		at.Balances = append(at.Balances, indexer.Balance{
			Asset:  asset(row.Caip19, row.Symbol, row.Name, row.Decimals, row.Listed),
			Amount: row.Amount, Immature: row.Immature, AsOf: at.AsOf, Proof: chains.Proven,
		})
	}
	for i := range states {
		at := &b.found[i]
		if states[i].Family != string(chains.FamilyEVM) && at.State.LastSync != nil && len(at.Balances) == 0 {
			at.Balances = []indexer.Balance{{Asset: nativeOf(&states[i]), AsOf: at.AsOf, Proof: chains.Proven}}
		}
	}
	return nil
}

// readings adds the balances of EVM accounts as they were read. An account one of
// whose addresses has no native balance yet has none.
func (b *balanceReading) readings(ctx context.Context, accounts []uuid.UUID, states []db.AccountStatesRow) error {
	if len(accounts) == 0 {
		return nil
	}
	rows, err := b.q.ReadBalances(ctx, accounts)
	if err != nil {
		return fmt.Errorf("read balances: %w", err)
	}
	native := make(map[uuid.UUID]int64, len(accounts))
	for _, row := range rows {
		if row.Native {
			native[row.AccountID]++
		}
		// A token that was looked for and not found is no holding.
		if row.Amount.IsZero() && row.Unattributed.IsZero() && !row.Listed {
			continue
		}
		at := b.at[row.AccountID]
		at.Balances = addBalance(at.Balances, indexer.Balance{
			Asset:  asset(row.Caip19, row.Symbol, row.Name, row.Decimals, row.Listed),
			Amount: row.Amount, Unattributed: row.Unattributed,
			AsOf:  chains.BlockRef{Height: uint64(row.Height), Hash: chains.Hash(row.Hash), Parent: chains.Hash(row.Parent), Time: row.BlockTime.UTC()},
			Proof: chains.Proof(row.Proof), Provisional: row.Provisional,
		})
	}
	for i := range states {
		at := &b.found[i]
		if states[i].Family == string(chains.FamilyEVM) && native[at.Account.ID] < max(states[i].Scripts, 1) {
			at.Balances, at.State.LastSync = nil, nil
		}
	}
	return nil
}

// addBalance adds what one address holds to what the account's others hold: the
// sum is as old as its oldest part, and as sure as its least sure one.
func addBalance(balances []indexer.Balance, one indexer.Balance) []indexer.Balance {
	for i := range balances {
		sum := &balances[i]
		if sum.Asset.ID != one.Asset.ID {
			continue
		}
		sum.Amount = sum.Amount.Add(one.Amount)
		sum.Unattributed = sum.Unattributed.Add(one.Unattributed)
		sum.Provisional = sum.Provisional || one.Provisional
		if one.AsOf.Height < sum.AsOf.Height {
			sum.AsOf = one.AsOf
		}
		if strength(one.Proof) < strength(sum.Proof) {
			sum.Proof = one.Proof
		}
		return balances
	}
	return append(balances, one)
}

func strength(p chains.Proof) int {
	switch p {
	case chains.Proven:
		return 3
	case chains.Derived:
		return 2
	case chains.Confirmed:
		return 1
	case chains.Asserted:
	}
	return 0
}

func (b *balanceReading) pending(ctx context.Context, accounts []uuid.UUID) error {
	if len(accounts) == 0 {
		return nil
	}
	rows, err := b.q.PendingSums(ctx, accounts)
	if err != nil {
		return fmt.Errorf("read pending transfers: %w", err)
	}
	for _, row := range rows {
		at := b.at[row.AccountID]
		at.Pending = append(at.Pending, indexer.Pending{
			Asset: asset(row.Caip19, row.Symbol, row.Name, row.Decimals, row.Listed), In: row.Incoming, Out: row.Outgoing,
		})
	}
	return nil
}

// accountState says how far an account is level with its chain. One that was
// level once keeps the time of that while new scripts of it are searched.
func accountState(row *db.AccountStatesRow) indexer.AccountState {
	state := indexer.AccountState{Status: row.State, Height: uint64(max(row.Height, 0)), Head: uint64(row.Head)}
	evm := row.Family == string(chains.FamilyEVM)
	if row.Account.SyncedAt != nil {
		at := row.Account.SyncedAt.UTC()
		if (row.Complete || evm) && row.UpdatedAt.After(at) {
			at = row.UpdatedAt.UTC()
		}
		state.LastSync = &at
	}
	switch {
	case row.Complete:
		state.History.Status = indexer.HistoryComplete
	case row.None:
		state.History.Status = indexer.HistoryNone
	default:
		state.History.Status = indexer.HistoryPartial
	}
	state.History.FromHeight, state.History.Method = uint64(row.FromHeight), row.Method
	if !troubled(row.State) && (state.LastSync == nil || row.State == indexer.StateStarting || !evm && !row.Complete) {
		state.Status = indexer.StateSyncing
	}
	if state.Status != indexer.StateLevel {
		state.Error = row.Reason
	}
	return state
}

func asset(caip19, symbol, name string, decimals int32, listed bool) chains.Asset {
	return chains.Asset{ID: chains.AssetID(caip19), Symbol: symbol, Name: name, Decimals: int(decimals), Listed: listed}
}

func nativeOf(row *db.AccountStatesRow) chains.Asset {
	return asset(row.Caip19, row.Symbol, row.AssetName, row.Decimals, true)
}

// AccountState returns how far an account is, or ErrNotFound.
func (s *Store) AccountState(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.AccountState, error) {
	balance, err := s.AccountBalance(ctx, realm, id)
	return balance.State, err
}
