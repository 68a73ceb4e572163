package store

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// pastPosition is what is known of what one address held of one asset.
type pastPosition struct {
	legs     buckets
	readings map[int]chains.Amount // the last in each bucket, brought up to its point
	first    *db.FirstReadingsRow  // nil if it was never read
}

// readings adds what EVM accounts held: the last reading before a time, and what legs
// moved since. Before the first reading it is what legs add up to, where they add up to
// that reading.
func (r *pastReading) readings(ctx context.Context, g *group, states []db.AccountStatesRow) error {
	if len(g.evm) == 0 {
		return nil
	}
	places, err := r.q.PastPositions(ctx, g.evm)
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	known, err := r.positions(ctx, g)
	if err != nil {
		return err
	}
	// As of a balance now: an address that was never read leaves the account unread.
	native := make(map[uuid.UUID]int64, len(g.evm))
	for _, place := range places {
		if place.Native && known[position{place.ScriptID, place.AssetID}].first != nil {
			native[place.AccountID]++
		}
	}
	unread := map[uuid.UUID]bool{}
	for i := range states {
		id := states[i].Account.ID
		if states[i].Family == string(chains.FamilyEVM) && native[id] < max(states[i].Scripts, 1) {
			unread[id] = true
			r.at[id].Doubt(indexer.PastUnread)
		}
	}
	for _, place := range places {
		if unread[place.AccountID] {
			continue
		}
		past := r.at[place.AccountID]
		one := asset(place.Caip19, place.Symbol, place.Name, place.Decimals, place.Listed)
		p := known[position{place.ScriptID, place.AssetID}]
		amounts, sure := p.amounts(len(r.times))
		for n, amount := range amounts {
			if n < sure {
				past.Points[n].Doubt(p.unsure(one))
				if amount.Sign() < 0 {
					continue // a transfer is missing, so that nothing is known of it
				}
			}
			past.Points[n].Hold(one, amount)
		}
	}
	return nil
}

// positions reads all that is known of what addresses held.
func (r *pastReading) positions(ctx context.Context, g *group) (map[position]*pastPosition, error) {
	known := map[position]*pastPosition{}
	at := func(script, asset int64) *pastPosition {
		p := known[position{script, asset}]
		if p == nil {
			p = &pastPosition{legs: make(buckets, len(r.times)), readings: map[int]chains.Amount{}}
			known[position{script, asset}] = p
		}
		return p
	}
	places, err := r.q.PastPositions(ctx, g.evm)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	for _, place := range places {
		at(place.ScriptID, place.AssetID)
	}
	legs, err := r.q.PastLegs(ctx, db.PastLegsParams{Accounts: g.evm, Heights: g.heights})
	if err != nil {
		return nil, fmt.Errorf("read past legs: %w", err)
	}
	for _, row := range legs {
		at(row.ScriptID, row.AssetID).legs.add(int(row.Bucket), row.Amount)
	}
	readings, err := r.q.PastReadings(ctx, db.PastReadingsParams{Accounts: g.evm, Heights: g.heights})
	if err != nil {
		return nil, fmt.Errorf("read past balances: %w", err)
	}
	for _, row := range readings {
		at(row.ScriptID, row.AssetID).readings[int(row.Bucket)] = row.Amount
	}
	firsts, err := r.q.FirstReadings(ctx, db.FirstReadingsParams{Accounts: g.evm, Heights: g.heights})
	if err != nil {
		return nil, fmt.Errorf("read first balances: %w", err)
	}
	for i := range firsts {
		at(firsts[i].ScriptID, firsts[i].AssetID).first = &firsts[i]
	}
	return known, nil
}

// amounts returns what was held at each of n points, and from which point on that is
// sure.
func (p *pastPosition) amounts(n int) (amounts []chains.Amount, sure int) {
	if p.first == nil {
		return p.legs.sums(), n
	}
	amounts = make([]chains.Amount, n)
	begin := int(p.first.Bucket)
	for i := begin; i < n; i++ {
		if read, known := p.readings[i]; known {
			amounts[i] = read
		} else {
			amounts[i] = amounts[i-1].Add(p.legs[i])
		}
	}
	// Back from the first reading, each leg undone.
	before := p.first.Amount.Sub(p.first.Since)
	for i := min(begin, n) - 1; i >= 0; i-- {
		if i < begin-1 {
			before = before.Sub(p.legs[i+1])
		}
		amounts[i] = before
	}
	if !p.first.Amount.Equal(p.first.Total) {
		sure = min(begin, n)
	}
	return amounts, sure
}

// unsure says why points before the first reading are not sure.
func (p *pastPosition) unsure(one chains.Asset) string {
	if p.first == nil {
		return fmt.Sprintf("the balance of %s was never read", one.ID)
	}
	return fmt.Sprintf("no known transfer explains all of the first balance of %s that was read, at %s",
		one.ID, p.first.BlockTime.UTC().Format("2006-01-02 15:04:05Z"))
}
