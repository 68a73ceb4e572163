package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// AccountHistory returns what each account of a user on a chain held at some times,
// which must rise, oldest account first, all of it by the ledger of one moment. What
// a reorg has taken back was never held.
func (s *Store) AccountHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.AccountPast, error) {
	var r pastReading
	err := s.read(ctx, func(tx pgx.Tx) error {
		r = pastReading{q: db.New(tx), times: times, at: map[uuid.UUID]*indexer.AccountPast{}}
		states, err := r.q.AccountStates(ctx, db.AccountStatesParams{Tenant: realm.Tenant, Environment: string(realm.Environment), UserID: &user})
		if err != nil {
			return fmt.Errorf("read accounts: %w", err)
		}
		return r.run(ctx, states)
	})
	return r.found, err
}

// VaultHistory returns what each wallet in the vaults of a user held at some times,
// which must rise, by the journals of before.
func (s *Store) VaultHistory(ctx context.Context, realm indexer.Realm, user uuid.UUID, times []time.Time) ([]indexer.AccountPast, error) {
	var found []indexer.AccountPast
	err := s.read(ctx, func(tx pgx.Tx) error {
		q := db.New(tx)
		held, err := wallets(ctx, q, realm, db.WalletRowsParams{UserID: &user})
		if err != nil || len(held) == 0 {
			return err
		}
		p := db.PastPostingsParams{Times: times}
		at := make(map[uuid.UUID]buckets, len(held))
		for i := range held {
			p.Wallets = append(p.Wallets, held[i].ID)
			at[held[i].ID] = make(buckets, len(times))
		}
		rows, err := q.PastPostings(ctx, p)
		if err != nil {
			return fmt.Errorf("read postings: %w", err)
		}
		for _, row := range rows {
			at[row.WalletID].add(int(row.Bucket), row.Amount)
		}
		for i := range held {
			w := &held[i]
			past := indexer.AccountPast{Account: vaultBalance(w, &indexer.ChainStatus{}, user).Account, Points: make([]indexer.PastPoint, len(times))}
			for n, amount := range at[w.ID].sums() {
				past.Points[n].Hold(w.Asset, amount)
			}
			found = append(found, past)
		}
		return nil
	})
	return found, err
}

// buckets are changes, each by the first point that shows it. What comes after the
// last point is in none.
type buckets []chains.Amount

func (b buckets) add(bucket int, change chains.Amount) {
	if bucket < len(b) {
		b[bucket] = b[bucket].Add(change)
	}
}

// sums returns at each point what the changes until then add up to.
func (b buckets) sums() []chains.Amount {
	sums := make([]chains.Amount, len(b))
	var sum chains.Amount
	for i, change := range b {
		sum = sum.Add(change)
		sums[i] = sum
	}
	return sums
}

// pastReading reads what accounts held at some times.
type pastReading struct {
	q     *db.Queries
	times []time.Time
	found []indexer.AccountPast
	at    map[uuid.UUID]*indexer.AccountPast
}

// group is accounts of one chain, whose times are the same heights.
type group struct {
	bitcoin, evm []uuid.UUID
	heights      []int64
}

func (r *pastReading) run(ctx context.Context, states []db.AccountStatesRow) error {
	r.found = make([]indexer.AccountPast, len(states))
	groups := map[string]*group{}
	var slugs []string
	for i := range states {
		row := &states[i]
		past := &r.found[i]
		past.Account, past.Points = account(row.Account), make([]indexer.PastPoint, len(r.times))
		r.at[row.Account.ID] = past
		evm := row.Family == string(chains.FamilyEVM)
		if accountState(row).LastSync == nil {
			past.Doubt(indexer.PastUnread)
			continue
		}
		if !row.Complete {
			past.Doubt(indexer.PastSearched)
		}
		g := groups[row.Account.Chain]
		if g == nil {
			g = &group{}
			groups[row.Account.Chain] = g
			slugs = append(slugs, row.Account.Chain)
		}
		if evm {
			g.evm = append(g.evm, row.Account.ID)
		} else {
			g.bitcoin = append(g.bitcoin, row.Account.ID)
		}
	}
	if err := r.heights(ctx, slugs, groups); err != nil {
		return err
	}
	for _, slug := range slugs {
		if err := r.sums(ctx, groups[slug]); err != nil {
			return err
		}
		if err := r.readings(ctx, groups[slug], states); err != nil {
			return err
		}
	}
	return nil
}

// heights finds the block that was the last at each time.
func (r *pastReading) heights(ctx context.Context, slugs []string, groups map[string]*group) error {
	if len(slugs) == 0 {
		return nil
	}
	rows, err := r.q.HeightsAt(ctx, db.HeightsAtParams{Chains: slugs, Times: r.times})
	if err != nil {
		return fmt.Errorf("find blocks of past times: %w", err)
	}
	for _, row := range rows {
		g := groups[row.Chain]
		height := row.Height
		if n := len(g.heights); n > 0 {
			height = max(height, g.heights[n-1])
		}
		g.heights = append(g.heights, height)
	}
	return nil
}

// sums adds what accounts of the bitcoin family held: what their confirmed legs up to
// a block add up to.
func (r *pastReading) sums(ctx context.Context, g *group) error {
	if len(g.bitcoin) == 0 {
		return nil
	}
	rows, err := r.q.PastSums(ctx, db.PastSumsParams{Accounts: g.bitcoin, Heights: g.heights})
	if err != nil {
		return fmt.Errorf("read past sums: %w", err)
	}
	for i := 0; i < len(rows); {
		first := &rows[i]
		changes := make(buckets, len(r.times))
		for ; i < len(rows) && rows[i].AccountID == first.AccountID && rows[i].Caip19 == first.Caip19; i++ {
			changes.add(int(rows[i].Bucket), rows[i].Amount)
		}
		one := asset(first.Caip19, first.Symbol, first.Name, first.Decimals, first.Listed)
		for n, amount := range changes.sums() {
			r.at[first.AccountID].Points[n].Hold(one, amount)
		}
	}
	return nil
}
