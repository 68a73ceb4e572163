package accounts

import (
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// exchangeLink is a movement at a venue that is the other end of what happened on a
// chain.
type exchangeLink struct {
	AccountID uuid.UUID `json:"account_id" format:"uuid"`
	Venue     string    `json:"venue" example:"kraken"`
	ID        string    `json:"transaction_id"`
	Kind      string    `json:"kind" enum:"deposit,withdrawal,trade,entry"`
	Status    string    `json:"status" enum:"pending,settled,failed,canceled,reversed"`
}

// link adds to transactions on chains the movements at venues of the same user that
// carry them: together they are a move between own accounts.
func (s *surface) link(ctx context.Context, list []transaction) error {
	caller := callerOf(ctx)
	byChain := map[string][]chains.Hash{}
	places := map[chains.Hash][]int{}
	for i := range list {
		if hash, err := chains.ParseHash(list[i].ID); list[i].Venue == nil && err == nil {
			byChain[list[i].Chain] = append(byChain[list[i].Chain], hash)
			places[hash] = append(places[hash], i)
		}
	}
	for chain, txs := range byChain {
		linked, err := s.VenueAccounts.LinkedMovements(ctx, caller.Realm, caller.User, chain, txs)
		if errors.Is(err, indexer.ErrNotFound) {
			continue
		}
		if err != nil {
			return fmt.Errorf("read the other ends of %d transactions: %w", len(txs), err)
		}
		for _, m := range linked {
			hash, err := chains.ParseHash(m.TxHash)
			if err != nil {
				continue
			}
			for _, at := range places[hash] {
				if list[at].Chain == chain {
					list[at].Links = append(list[at].Links, exchangeLink{
						AccountID: m.AccountID, Venue: m.Venue, ID: m.Movement.ID, Kind: string(m.Kind), Status: string(m.Status),
					})
				}
			}
		}
	}
	return nil
}
