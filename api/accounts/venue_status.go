package accounts

import (
	"context"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/indexer"
)

// VenueCounts counts accounts at venues.
type VenueCounts interface {
	// VenueCounts returns how many accounts each venue has in each status, in
	// every realm, sorted by venue; none without accounts.
	VenueCounts(ctx context.Context) ([]indexer.VenueCount, error)
}

type (
	// venueCounts is how many accounts at one venue are in which status.
	venueCounts struct {
		Venue       string `json:"venue" example:"kraken"`
		Environment string `json:"environment" enum:"live,test"`
		Accounts    int64  `json:"accounts"`
		Level       int64  `json:"level"`
		Syncing     int64  `json:"syncing" doc:"Not read yet"`
		Degraded    int64  `json:"degraded" doc:"Could not be read last, and will be tried again"`
		Stopped     int64  `json:"stopped" doc:"Not asked before their users have done something"`
	}
	venueCountsOutput struct {
		Body struct {
			Venues []venueCounts `json:"venues" nullable:"false"`
		}
	}
)

func (s *surface) mountVenueCounts(api huma.API) {
	op := huma.Operation{
		OperationID: "CountVenueAccounts", Method: http.MethodGet, Path: "/v1/venues", Summary: "How many accounts at venues are level", Tags: []string{"Operation"},
		Description: "Those of the key's tenant and environment; with the master key those of all tenants.",
	}
	huma.Register(api, s.Gate.Guard(op, access.Rule{Surface: access.Own, Scope: "venues:read"}), s.countVenues)
}

func (s *surface) countVenues(ctx context.Context, _ *struct{}) (*venueCountsOutput, error) {
	all, err := s.VenueCounts.VenueCounts(ctx)
	if err != nil {
		return nil, fmt.Errorf("count accounts: %w", err)
	}
	caller := callerOf(ctx)
	out := &venueCountsOutput{}
	out.Body.Venues = []venueCounts{}
	for _, c := range all {
		if c.Realm.Environment != caller.Realm.Environment || !caller.Master && c.Realm.Tenant != caller.Realm.Tenant {
			continue
		}
		if last := len(out.Body.Venues) - 1; last < 0 || out.Body.Venues[last].Venue != c.Venue {
			out.Body.Venues = append(out.Body.Venues, venueCounts{Venue: c.Venue, Environment: string(c.Realm.Environment)})
		}
		out.Body.Venues[len(out.Body.Venues)-1].add(c)
	}
	return out, nil
}

func (v *venueCounts) add(c indexer.VenueCount) {
	v.Accounts += c.Accounts
	switch c.Status {
	case indexer.StateLevel:
		v.Level += c.Accounts
	case indexer.StateSyncing:
		v.Syncing += c.Accounts
	case indexer.StateStopped:
		v.Stopped += c.Accounts
	default:
		v.Degraded += c.Accounts
	}
}
