package accounts

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// transactions reads one page of the caller's accounts on chains and at venues.
// Without accounts there are none.
//
// A venue may tell of the same thing in several histories: every says that all
// rows are wanted, and not one for each thing.
func (s *surface) transactions(ctx context.Context, p Page, onChain, atVenues []uuid.UUID, every bool) ([]transaction, string, error) {
	caller := callerOf(ctx)
	filter, at, err := p.filter(s.cursors, caller.User)
	if err != nil {
		return nil, "", err
	}
	filter.Accounts = onChain
	transfers, err := s.transfers(ctx, filter, at)
	if err != nil {
		return nil, "", err
	}
	filter.Accounts = atVenues
	movements, err := s.movements(ctx, filter, at, !every)
	if err != nil {
		return nil, "", err
	}
	list, next := s.merge(transfers, movements, p.Limit)
	if err := s.link(ctx, list); err != nil {
		return nil, "", err
	}
	if err := s.convertTransactions(ctx, p.Currency, list); err != nil {
		return nil, "", err
	}
	if next.onChainEnded && next.atVenuesEnded {
		return list, "", nil
	}
	return list, s.cursors.write(caller.User, next), nil
}

// transfersPage is a page of what happened on chains.
type transfersPage struct {
	found []indexer.Transaction
	begin *indexer.TransactionCursor
	next  *indexer.TransactionCursor // nil if this is all
}

func (s *surface) transfers(ctx context.Context, filter indexer.TransactionFilter, at place) (transfersPage, error) {
	page := transfersPage{begin: at.onChain}
	if len(filter.Accounts) == 0 || at.onChainEnded {
		return page, nil
	}
	filter.After = at.onChain
	var err error
	page.found, page.next, err = s.Transactions.Transactions(ctx, callerOf(ctx).Realm, filter)
	if err != nil {
		return page, fmt.Errorf("list %d transactions: %w", filter.Limit, err)
	}
	return page, nil
}

// after returns the place behind the first n of a page, and whether nothing is
// left there.
func (p transfersPage) after(n int) (*indexer.TransactionCursor, bool) {
	switch {
	case n == len(p.found) && p.next == nil:
		return nil, true
	case n == 0:
		return p.begin, false
	case n == len(p.found):
		return p.next, false
	}
	last := p.found[n-1]
	return &indexer.TransactionCursor{Time: last.Time, Tx: last.Tx, Account: last.AccountID}, false
}

// movementsPage is a page of what happened at venues.
type movementsPage struct {
	found []indexer.VenueMovement
	begin *indexer.VenueMovementCursor
	more  bool
}

func (s *surface) movements(ctx context.Context, filter indexer.TransactionFilter, at place, shown bool) (movementsPage, error) {
	page := movementsPage{begin: at.atVenues}
	statuses, some := venueStatuses(filter.Statuses)
	if len(filter.Accounts) == 0 || at.atVenuesEnded || !some {
		return page, nil
	}
	// One more than asked for tells whether another page follows.
	found, err := s.VenueAccounts.VenueMovements(ctx, callerOf(ctx).Realm, indexer.VenueMovementFilter{
		Accounts: filter.Accounts, Since: filter.Since, Until: filter.Until, Statuses: statuses, Shown: shown, After: at.atVenues, Limit: filter.Limit + 1,
	})
	if err != nil {
		return page, fmt.Errorf("list %d movements: %w", filter.Limit, err)
	}
	page.more = len(found) > filter.Limit
	page.found = found[:min(len(found), filter.Limit)]
	return page, nil
}

// after returns the place behind the first n of a page, and whether nothing is
// left there.
func (p movementsPage) after(n int) (*indexer.VenueMovementCursor, bool) {
	switch {
	case n == len(p.found) && !p.more:
		return nil, true
	case n == 0:
		return p.begin, false
	}
	last := p.found[n-1]
	return &indexer.VenueMovementCursor{Time: last.Time, ID: last.ID}, false
}

// merge returns the newest of both pages, newest first, and where the next page
// begins.
func (s *surface) merge(transfers transfersPage, movements movementsPage, limit int) ([]transaction, place) {
	list := []transaction{}
	i, j := 0, 0
	for len(list) < limit && (i < len(transfers.found) || j < len(movements.found)) {
		if j == len(movements.found) || i < len(transfers.found) && !transfers.found[i].Time.Before(movements.found[j].Time) {
			list = append(list, transactionOf(transfers.found[i], s.evm(transfers.found[i].Chain)))
			i++
			continue
		}
		list = append(list, venueTransactionOf(movements.found[j], s.evm))
		j++
	}
	var next place
	next.onChain, next.onChainEnded = transfers.after(i)
	next.atVenues, next.atVenuesEnded = movements.after(j)
	return list, next
}

type (
	venueTransactionsInput struct {
		VenueAccountPath
		Page
		Every bool `query:"every" doc:"List every row of every history, also those that tell of what another row tells"`
	}
	venueTransactionsOutput = accountTransactionsOutput
)

// venueTransactions answers with a page of one account's movements.
func (s *surface) venueTransactions(ctx context.Context, in *venueTransactionsInput) (*venueTransactionsOutput, error) {
	account, err := s.venueAccount(ctx, &in.VenueAccountPath)
	if err != nil {
		return nil, err
	}
	out := &venueTransactionsOutput{}
	out.Body.State = stateOfVenue(account.State)
	out.Body.Transactions, out.Body.PageCursor, err = s.transactions(ctx, in.Page, nil, []uuid.UUID{account.ID}, in.Every)
	if err != nil {
		return nil, err
	}
	return out, nil
}
