package accounts

import (
	"context"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// Logins connects logins of venues. Each call comes in two halves: what asks a
// venue writes nothing, and what writes asks nobody. Their errors are those of
// indexer.VenueConnections.
type Logins interface {
	// Try asks a venue whether a login holds and may be kept.
	Try(ctx context.Context, asked indexer.VenueConnecting) (indexer.TriedLogin, error)

	// Keep connects a login that was tried. When it returns nil the account is
	// durable.
	Keep(ctx context.Context, tried indexer.TriedLogin) (indexer.VenueAccount, error)

	// TryOther asks about other credentials for an account.
	TryOther(ctx context.Context, realm indexer.Realm, id uuid.UUID, credentials venue.Credentials, acknowledged bool) (indexer.TriedLogin, error)

	// KeepOther gives them to the account, and erases those it had.
	KeepOther(ctx context.Context, tried indexer.TriedLogin) (indexer.VenueAccount, error)

	// Resume lets an account be read again with the credentials it has.
	Resume(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error)

	// Disconnect ends an account and erases its credentials.
	Disconnect(ctx context.Context, realm indexer.Realm, id uuid.UUID) error
}

// VenueAccounts reads what is known of accounts at venues. Those of another realm
// are not found.
type VenueAccounts interface {
	// VenueAccount returns one account, or indexer.ErrNotFound.
	VenueAccount(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueAccount, error)

	// UserVenueAccounts returns the accounts of a user, oldest first, or none.
	UserVenueAccounts(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueAccount, error)

	// VenueBalance returns what one account holds, or indexer.ErrNotFound.
	VenueBalance(ctx context.Context, realm indexer.Realm, id uuid.UUID) (indexer.VenueBalance, error)

	// UserVenueBalances returns what each account of a user holds, oldest
	// account first, or none.
	UserVenueBalances(ctx context.Context, realm indexer.Realm, user uuid.UUID) ([]indexer.VenueBalance, error)

	// VenueMovements returns movements, newest first, or none.
	VenueMovements(ctx context.Context, realm indexer.Realm, filter indexer.VenueMovementFilter) ([]indexer.VenueMovement, error)

	// LinkedMovements returns the movements of a user's accounts that carry
	// transactions of a chain, or indexer.ErrNotFound if there is no such chain.
	LinkedMovements(ctx context.Context, realm indexer.Realm, user uuid.UUID, chain string, txs []chains.Hash) ([]indexer.VenueMovement, error)
}

// exchangeType is what Blockmate calls every account at a venue.
const exchangeType = "crypto_exchange"

type (
	// VenuePath names a venue. Like the other parts of inputs it is exported for
	// the router, which fills in exported parts only.
	VenuePath struct {
		Venue string `path:"venue" maxLength:"64" doc:"Name of a venue, as GET /v1/exchange lists them" example:"bitmart"`
	}

	// VenueAccountPath names an account at a venue.
	VenueAccountPath struct {
		VenuePath
		ID uuid.UUID `path:"account_id" format:"uuid" doc:"Id of the account"`
	}

	// venueRegion is a place where a venue answers.
	venueRegion struct {
		Name    string `json:"name" example:"global"`
		Title   string `json:"title" example:"bitmart.com"`
		Sandbox bool   `json:"sandbox" doc:"Test money; for the environment test only"`
	}

	// venuePart is a part of a connector.
	venuePart struct {
		Part     string `json:"part" example:"balances"`
		Standing string `json:"standing" enum:"vector,recording,reference,unverified" doc:"What it was checked against, the best first: signed requests of another client; answers recorded from the venue; answers as its reference shows them; nothing"`
		Source   string `json:"source" doc:"Empty if there is none"`
		Seen     string `json:"seen" doc:"Date of the source, or when it was read"`
	}

	// listedVenue is one venue.
	listedVenue struct {
		Name        string        `json:"name" example:"bitmart"`
		Title       string        `json:"title" example:"BitMart"`
		URL         string        `json:"url" example:"exchange/bitmart"`
		About       string        `json:"about" doc:"What a user should know before connecting; empty if nothing"`
		Regions     []venueRegion `json:"regions" nullable:"false"`
		Permissions []string      `json:"permissions" nullable:"false" doc:"To tick when the key is made, and no others"`
		TellsRights bool          `json:"tells_rights" doc:"The venue says what a key may do. Where it does not, connecting takes permissions_unverified"`
		Standing    string        `json:"standing" enum:"verified,unverified" doc:"Whether signing and balances were checked against anything"`
		Parts       []venuePart   `json:"parts" nullable:"false"`
	}
	venuesOutput struct {
		Body struct {
			Venues []listedVenue `json:"venues" nullable:"false"`
		}
	}
)

func (s *surface) mountVenues(api huma.API) {
	huma.Register(api, s.Gate.Guard(huma.Operation{
		OperationID: "ListVenues", Method: http.MethodGet, Path: "/v1/exchange",
		Summary: "Exchanges and custodial services that can be connected", Tags: []string{"Exchanges"},
	}, access.Rule{Surface: access.Blockmate, Scope: "venues:read", User: true}), s.listVenues)
	s.mountVenueConnect(api)
	s.mountVenueAccounts(api)
	s.mountVenueCounts(api)
}

// atVenue returns an operation on a venue, which a user's token opens.
func (s *surface) atVenue(id, method, path, summary string, ahead bool) huma.Operation {
	return s.Gate.Guard(huma.Operation{
		OperationID: id, Method: method, Path: "/v1/exchange/{venue}" + path, Summary: summary, Tags: []string{"Exchanges"},
	}, access.Rule{Surface: access.Blockmate, User: true, BadUser: http.StatusForbidden, Ahead: ahead})
}

func (s *surface) listVenues(ctx context.Context, _ *struct{}) (*venuesOutput, error) {
	out := &venuesOutput{}
	out.Body.Venues = make([]listedVenue, 0, len(s.Venues))
	for _, v := range s.Venues {
		out.Body.Venues = append(out.Body.Venues, listedVenueOf(v, callerOf(ctx).Realm.Environment))
	}
	return out, nil
}

func listedVenueOf(v venue.Venue, environment chains.Environment) listedVenue {
	listed := listedVenue{
		Name: v.Name, Title: v.Title, URL: venueURL(v.Name), About: v.About, Permissions: append([]string{}, v.Tick...),
		TellsRights: v.Introspects, Standing: string(venue.Unverified), Regions: []venueRegion{}, Parts: []venuePart{},
	}
	if v.Verified() {
		listed.Standing = "verified"
	}
	for _, r := range regionsOf(v, environment) {
		listed.Regions = append(listed.Regions, venueRegion{Name: r.Name, Title: r.Title, Sandbox: r.Sandbox})
	}
	for _, e := range v.Evidence {
		listed.Parts = append(listed.Parts, venuePart{Part: e.Part, Standing: string(e.By), Source: e.Source, Seen: e.Seen})
	}
	return listed
}

// regionsOf returns the regions that an environment may connect logins of: test
// money is never counted as money.
func regionsOf(v venue.Venue, environment chains.Environment) []venue.Region {
	return slices.DeleteFunc(slices.Clone(v.Regions), func(r venue.Region) bool {
		return r.Sandbox && environment == chains.Live
	})
}

// venueURL returns the path of a venue below /v1/, as Blockmate names it.
func venueURL(name string) string { return "exchange/" + name }

// venue returns the venue that a path names, if it is in use.
func (s *surface) venue(name string) (venue.Venue, bool) {
	for _, v := range s.Venues {
		if v.Name == name {
			return v, true
		}
	}
	return venue.Venue{}, false
}

// venueAccount returns the account that a path names, if it is the caller's and at
// the venue the path names. The venue may be one that is in use no more.
func (s *surface) venueAccount(ctx context.Context, in *VenueAccountPath) (indexer.VenueAccount, error) {
	caller := callerOf(ctx)
	account, err := s.VenueAccounts.VenueAccount(ctx, caller.Realm, in.ID)
	if err != nil {
		return indexer.VenueAccount{}, edge("read account", err)
	}
	if account.UserID != caller.User || account.Venue != in.Venue {
		return indexer.VenueAccount{}, problem.Missing()
	}
	return account, nil
}
