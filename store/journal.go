package store

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// books are the wallets that one transaction changes. Journals are written as they
// come, and each wallet once, at the end.
type books struct {
	q      *db.Queries
	deltas map[uuid.UUID]custody.Balance
	held   map[uuid.UUID]db.LockWalletsRow // those locked so far
}

// add changes the balance of a wallet.
func (b *books) add(wallet uuid.UUID, change custody.Balance) {
	if b.deltas == nil {
		b.deltas = map[uuid.UUID]custody.Balance{}
	}
	d := b.deltas[wallet]
	d.Available = d.Available.Add(change.Available)
	d.Locked = d.Locked.Add(change.Locked)
	d.Pending = d.Pending.Add(change.Pending)
	b.deltas[wallet] = d
}

// post writes journals and returns their numbers in the same order.
func (b *books) post(ctx context.Context, journals []custody.Journal) ([]int64, error) {
	if len(journals) == 0 {
		return nil, nil
	}
	numbers, err := b.putJournals(ctx, journals)
	if err != nil {
		return nil, err
	}
	var p db.PutPostingsParams
	for i := range journals {
		for n, posting := range journals[i].Postings {
			p.Journals = append(p.Journals, numbers[i])
			p.Numbers = append(p.Numbers, int32(n)) //nolint:gosec // a journal has a handful
			p.Accounts = append(p.Accounts, string(posting.Account))
			p.Wallets = append(p.Wallets, posting.Wallet)
			p.Assets = append(p.Assets, posting.Asset)
			p.Amounts = append(p.Amounts, posting.Amount)
			switch posting.Account {
			case custody.AccountAvailable:
				b.add(posting.Wallet, custody.Balance{Available: posting.Amount})
			case custody.AccountLocked:
				b.add(posting.Wallet, custody.Balance{Locked: posting.Amount})
			case custody.AccountChain, custody.AccountTreasury, custody.AccountFees:
			}
		}
	}
	if err := b.q.PutPostings(ctx, p); err != nil {
		return nil, fmt.Errorf("put %d postings: %w", len(p.Journals), err)
	}
	return numbers, nil
}

func (b *books) putJournals(ctx context.Context, journals []custody.Journal) ([]int64, error) {
	type state struct {
		reference uuid.UUID
		version   int64
	}
	var p db.PutJournalsParams
	for i := range journals {
		j := &journals[i]
		if err := j.Check(); err != nil {
			return nil, fmt.Errorf("post %s of %s: %w", j.Kind, j.Reference, err)
		}
		p.Tenants = append(p.Tenants, j.Realm.Tenant)
		p.Environments = append(p.Environments, string(j.Realm.Environment))
		p.Kinds = append(p.Kinds, string(j.Kind))
		p.Refs = append(p.Refs, j.Reference)
		p.Versions = append(p.Versions, j.Version)
		reverses := int64(0)
		if j.Reverses != nil {
			reverses = *j.Reverses
		}
		p.Reverses = append(p.Reverses, reverses)
	}
	rows, err := b.q.PutJournals(ctx, p)
	if err != nil {
		return nil, fmt.Errorf("put %d journals: %w", len(journals), err)
	}
	byState := make(map[state]int64, len(rows))
	for _, row := range rows {
		byState[state{row.Reference, row.Version}] = row.ID
	}
	numbers := make([]int64, len(journals))
	for i := range journals {
		numbers[i] = byState[state{journals[i].Reference, journals[i].Version}]
	}
	return numbers, nil
}

// hold locks wallets. All that a transaction locks are locked at once, in the
// order of their ids.
func (b *books) hold(ctx context.Context, wallets []uuid.UUID) error {
	rows, err := b.q.LockWallets(ctx, wallets)
	if err != nil {
		return fmt.Errorf("lock %d wallets: %w", len(wallets), err)
	}
	b.held = make(map[uuid.UUID]db.LockWalletsRow, len(rows))
	for _, row := range rows {
		b.held[row.ID] = row
	}
	return nil
}

// close writes the balances that changed, with their events, and returns how many
// those are. A wallet that comes to owe is frozen, and one that no longer does is
// not, each with an event of its own.
func (b *books) close(ctx context.Context) (int, error) {
	maps.DeleteFunc(b.deltas, func(_ uuid.UUID, d custody.Balance) bool {
		return d.Available.IsZero() && d.Locked.IsZero() && d.Pending.IsZero()
	})
	if len(b.deltas) == 0 {
		return 0, nil
	}
	if b.held == nil {
		if err := b.hold(ctx, slices.Collect(maps.Keys(b.deltas))); err != nil {
			return 0, err
		}
	}
	var p db.SetBalancesParams
	var flipped []uuid.UUID
	for id, d := range b.deltas {
		row := b.held[id]
		available := row.Available.Add(d.Available)
		status := string(custody.StatusOf(available))
		if status != row.Status {
			flipped = append(flipped, id)
		}
		p.Ids, p.Statuses = append(p.Ids, id), append(p.Statuses, status)
		p.Available = append(p.Available, available)
		p.Locked = append(p.Locked, row.Locked.Add(d.Locked))
		p.Pending = append(p.Pending, row.Pending.Add(d.Pending))
	}
	if err := b.q.SetBalances(ctx, p); err != nil {
		return 0, fmt.Errorf("set %d balances: %w", len(p.Ids), err)
	}
	written, err := b.q.BalanceEvents(ctx, p.Ids)
	if err != nil {
		return 0, fmt.Errorf("write events of %d balances: %w", len(p.Ids), err)
	}
	told, err := b.flip(ctx, flipped)
	return int(written) + told, err
}

func (b *books) flip(ctx context.Context, wallets []uuid.UUID) (int, error) {
	if len(wallets) == 0 {
		return 0, nil
	}
	if err := b.q.BumpWallets(ctx, wallets); err != nil {
		return 0, fmt.Errorf("count a change of %d wallets: %w", len(wallets), err)
	}
	written, err := b.q.WalletEvents(ctx, db.WalletEventsParams{Type: "wallet.status.updated", Ids: wallets})
	if err != nil {
		return 0, fmt.Errorf("write events of %d wallets: %w", len(wallets), err)
	}
	return int(written), nil
}

// LedgerFault is something in the ledger of wallets that does not add up.
type LedgerFault struct {
	Fault    string
	Resource string // id of the wallet, journal or deposit
}

// LedgerFaults derives every balance of every wallet from its postings, and every
// journal from its deposit, and returns up to limit of those that differ: none, if
// all is well. It looks at one tenant, or, with "", at all.
func (s *Store) LedgerFaults(ctx context.Context, tenant string, limit int) ([]LedgerFault, error) {
	rows, err := s.queries(ctx).LedgerFaults(ctx, db.LedgerFaultsParams{Tenant: tenant, Most: int32(limit)}) //nolint:gosec // the caller's own number
	if err != nil {
		return nil, fmt.Errorf("check the ledger: %w", err)
	}
	var faults []LedgerFault
	for _, row := range rows {
		faults = append(faults, LedgerFault{Fault: row.Fault, Resource: row.Resource})
	}
	return faults, nil
}

func realmOf(tenant, environment string) indexer.Realm {
	return indexer.Realm{Tenant: tenant, Environment: chains.Environment(environment)}
}
