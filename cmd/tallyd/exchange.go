package main

import (
	"context"
	"fmt"
	"net/http"

	"github.com/google/uuid"

	"tallyd/chains/all"
	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/store/jobs"
)

// venuesInUse returns the venues that the settings let accounts be connected at,
// sorted by name.
func venuesInUse(cfg config.Venues) []venue.Venue {
	var list []venue.Venue
	venues := all.Venues()
	for _, name := range venueNames() {
		if cfg.Uses(name) {
			list = append(list, venues[name])
		}
	}
	return list
}

// byName returns venues by their names.
func byName(list []venue.Venue) map[string]venue.Venue {
	venues := make(map[string]venue.Venue, len(list))
	for _, v := range list {
		venues[v.Name] = v
	}
	return venues
}

// venueSchedules returns when each venue is read. The settings were checked when
// they were loaded.
func venueSchedules(cfg config.Venues) (map[string]indexer.VenueSchedule, error) {
	schedules := map[string]indexer.VenueSchedule{}
	for _, name := range venueNames() {
		balances, history := cfg.Schedule(name)
		var s indexer.VenueSchedule
		var err error
		if s.Balances, err = indexer.ParseSchedule(balances); err != nil {
			return nil, fmt.Errorf("venues.balances: %w", err)
		}
		if s.History, err = indexer.ParseSchedule(history); err != nil {
			return nil, fmt.Errorf("venues.history: %w", err)
		}
		schedules[name] = s
	}
	return schedules, nil
}

// openVenues opens the road to venues, and prepares who reads accounts there.
func (d *daemon) openVenues() error {
	names, err := identity.Load()
	if err != nil {
		return fmt.Errorf("read the table of assets: %w", err)
	}
	schedules, err := venueSchedules(d.cfg.Venues)
	if err != nil {
		return err
	}
	options := transportOptions(d.cfg.Venues)
	options.HTTP, options.Nonces, options.Budgets = &http.Client{Transport: d.asked}, d.store.Nonces(), d.budgets
	d.venues = venue.NewTransport(options)
	d.poller = &indexer.Poller{
		Venues: byName(venuesInUse(d.cfg.Venues)), Open: d.venues.Open, Streams: d.store, Assets: names, Wrote: d.tell, Log: d.log,
		Schedule: func(name string) indexer.VenueSchedule { return schedules[name] },
		Enqueue:  func(ctx context.Context, due []indexer.DueStream) error { return d.jobs.EnqueueTurns(ctx, due) },
	}
	return nil
}

// jobsConfig returns what the settings of venues say of jobs.
func jobsConfig(cfg config.Venues) jobs.Config { return jobs.Config{VenueWorkers: cfg.Concurrency} }

// logins connects logins of the venues in use.
func (d *daemon) logins() indexer.VenueConnections {
	return indexer.VenueConnections{Venues: byName(venuesInUse(d.cfg.Venues)), Open: d.venues.Open, Accounts: d.store, Read: d.readVenue}
}

// readVenue asks for a turn at an account, within a request once what it wrote can
// be seen. One that cannot be asked for now is found by the schedule.
func (d *daemon) readVenue(ctx context.Context, account uuid.UUID) {
	d.store.AfterCommit(ctx, func(ctx context.Context) {
		if err := d.jobs.EnqueueTurns(ctx, []indexer.DueStream{{Account: account}}); err != nil {
			d.log.Warn().Err(err).Stringer("account", account).Msg("reading not asked for")
		}
	})
}
