package main

import (
	"context"

	"github.com/google/uuid"

	"tallyd/chains/all"
	"tallyd/chains/venue"
	"tallyd/indexer"
)

// venuesInUse returns the venues that the settings let accounts be connected at, by
// name.
func (d *daemon) venuesInUse() []venue.Venue {
	var list []venue.Venue
	venues := all.Venues()
	for _, name := range venueNames() {
		if d.cfg.Venues.Uses(name) {
			list = append(list, venues[name])
		}
	}
	return list
}

// openVenues opens the road to venues.
func (d *daemon) openVenues() {
	options := transportOptions(d.cfg.Venues)
	options.Nonces = d.store.Nonces()
	d.venues = venue.NewTransport(options)
}

// logins connects logins of the venues in use.
func (d *daemon) logins() indexer.VenueConnections {
	venues := map[string]venue.Venue{}
	for _, v := range d.venuesInUse() {
		venues[v.Name] = v
	}
	return indexer.VenueConnections{Venues: venues, Open: d.venues.Open, Accounts: d.store, Read: d.readVenue}
}

// readVenue asks for an account to be read, within a request once what it wrote can
// be seen.
func (d *daemon) readVenue(ctx context.Context, account uuid.UUID) {
	d.store.AfterCommit(ctx, func(context.Context) { d.log.Trace().Stringer("account", account).Msg("reading asked for") })
}
