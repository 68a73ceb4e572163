package accounts

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// entry is one account in the totals, with what it adds to them.
type entry struct {
	shown accountTotals
	held  *sums
}

func entryOf(b indexer.AccountBalance, evm bool) entry {
	one, held := balanceOf(b, evm), newSums()
	for _, balance := range b.Balances {
		held.add(balance.Asset, balance.Amount)
	}
	return entry{held: held, shown: accountTotals{
		AccountID: b.Account.ID, Name: b.Account.Name, Description: b.Account.Description,
		Type: typeOf(b.Account), URL: pathOf(b.Account), Chain: b.Account.Chain,
		Balance: one.Balance, Pending: one.Pending, AsOf: one.AsOf, State: one.State,
	}}
}

func entryOfVenue(b indexer.VenueBalance) entry {
	held, a := heldAt(b), b.Account.Account
	return entry{held: held, shown: accountTotals{
		AccountID: a.ID, Name: a.Name, Description: a.Description, Type: typeOf(a), URL: pathOf(a), Venue: a.Venue,
		Balance: held.holdings(), Pending: []pending{}, State: stateOfVenue(b.Account.State),
	}}
}

// venueBalances reads all accounts of the caller at venues.
func (s *surface) venueBalances(ctx context.Context) ([]indexer.VenueBalance, error) {
	caller := callerOf(ctx)
	all, err := s.VenueAccounts.UserVenueBalances(ctx, caller.Realm, caller.User)
	if err != nil {
		return nil, fmt.Errorf("read balances at venues: %w", err)
	}
	return all, nil
}

// venueStates returns the states of those of the caller's accounts that are at
// venues. It asks for nothing if none are.
func (s *surface) venueStates(ctx context.Context, all []indexer.Account) (map[uuid.UUID]indexer.VenueState, error) {
	if !slices.ContainsFunc(all, func(a indexer.Account) bool { return a.Kind == indexer.KindVenue }) {
		return nil, nil //nolint:nilnil // no states are no error
	}
	caller := callerOf(ctx)
	accounts, err := s.VenueAccounts.UserVenueAccounts(ctx, caller.Realm, caller.User)
	if err != nil {
		return nil, fmt.Errorf("read accounts at venues: %w", err)
	}
	states := make(map[uuid.UUID]indexer.VenueState, len(accounts))
	for i := range accounts {
		states[accounts[i].ID] = accounts[i].State
	}
	return states, nil
}
