package indexer

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains/venue"
)

// TriedLogin is a login that its venue has confirmed and that may be kept.
type TriedLogin struct {
	Account     VenueAccount
	Credentials venue.Credentials
}

// Try is the first half of Connect: it asks the venue, writes nothing, and returns
// what Connect does but for ErrExists. Whoever keeps a transaction open while it
// writes calls this before.
func (c VenueConnections) Try(ctx context.Context, asked VenueConnecting) (TriedLogin, error) {
	account := VenueAccount{
		Account: Account{
			ID: uuid.New(), Realm: asked.Realm, UserID: asked.User, Venue: asked.Venue, Kind: KindVenue,
			Name: asked.Name, Description: asked.Description, CreatedAt: time.Now().UTC(),
			CreatedBy: asked.CreatedBy, MetaData: asked.MetaData,
		},
		State: VenueState{Status: StateSyncing},
	}
	if err := c.try(ctx, &account, asked.Credentials, asked.Acknowledged); err != nil {
		return TriedLogin{}, err
	}
	return TriedLogin{Account: account, Credentials: asked.Credentials}, nil
}

// Keep is the second half of Connect. It asks nobody.
func (c VenueConnections) Keep(ctx context.Context, tried TriedLogin) (VenueAccount, error) {
	if err := c.Accounts.CreateVenueAccount(ctx, tried.Account, tried.Credentials); err != nil {
		return VenueAccount{}, fmt.Errorf("store account: %w", err)
	}
	c.Read(ctx, tried.Account.ID)
	return tried.Account, nil
}

// TryOther is the first half of Replace, as Try is of Connect.
func (c VenueConnections) TryOther(ctx context.Context, realm Realm, id uuid.UUID, credentials venue.Credentials, acknowledged bool) (TriedLogin, error) {
	account, err := c.Accounts.VenueAccount(ctx, realm, id)
	if err != nil {
		return TriedLogin{}, fmt.Errorf("find account: %w", err)
	}
	if err := c.try(ctx, &account, credentials, acknowledged); err != nil {
		return TriedLogin{}, err
	}
	return TriedLogin{Account: account, Credentials: credentials}, nil
}

// KeepOther is the second half of Replace.
func (c VenueConnections) KeepOther(ctx context.Context, tried TriedLogin) (VenueAccount, error) {
	if err := c.Accounts.ReplaceCredentials(ctx, tried.Account, tried.Credentials); err != nil {
		return VenueAccount{}, fmt.Errorf("replace credentials: %w", err)
	}
	c.Read(ctx, tried.Account.ID)
	return c.Accounts.VenueAccount(ctx, tried.Account.Realm, tried.Account.ID) //nolint:wrapcheck // the store says what it was doing
}
