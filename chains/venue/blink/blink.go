// Package blink reads accounts at Blink, a custodial wallet for bitcoin, Lightning
// and dollars.
//
// All questions go to one path, and one kind of them could move money. So it is the
// text of the question that is allowed: those in queries.go, and no other.
package blink

import (
	"net/http"
	"time"

	"tallyd/chains/venue"
)

const path = "/graphql"

// Venue returns what Blink is.
func Venue() venue.Venue {
	return venue.Venue{
		Name:  "blink",
		Title: "Blink",
		About: "Deposits on chain below 5000 satoshi are not credited by Blink, and are not shown. Blink ends its custody region by region: an account that is being wound down says so in its state.",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "API key", Hint: "blink_…, with the scope READ; one with WRITE, or made without scopes, is refused", Secret: true},
		},
		Tick: []string{"READ"},
		Regions: []venue.Region{
			{Name: "main", Title: "blink.sv", Hosts: map[string]string{"": "https://api.blink.sv"}},
			{Name: "staging", Title: "staging.blink.sv, on signet", Sandbox: true, Hosts: map[string]string{"": "https://api.staging.blink.sv"}},
		},
		Routes: []venue.Route{{Method: http.MethodPost, Path: path, Body: allowed}},
		// Blink names no limit. This is ours, so that many accounts do not become
		// a burst.
		Budgets:     []venue.Budget{{Name: "requests", Scope: venue.PerAddress, Limit: 300, Window: time.Minute}},
		Introspects: true,
		Evidence: []venue.Evidence{
			{Part: "signing", By: venue.ByReference, Source: "https://dev.blink.sv/api/auth", Seen: "2026-08"},
			{Part: "balances", By: venue.ByReference, Source: "https://github.com/GaloyMoney/blink, core/api/src/graphql/public/schema.graphql and its supergraph", Seen: "2026-08"},
			{Part: "transactions", By: venue.ByReference, Source: "https://github.com/GaloyMoney/blink, core/api/src/graphql/shared/types/object/transaction.ts", Seen: "2026-08"},
			{Part: "permissions", By: venue.ByReference, Source: "https://github.com/GaloyMoney/blink, core/api/src/servers/middlewares/scope.ts", Seen: "2026-08"},
			{Part: "winding down", By: venue.ByReference, Source: "https://github.com/GaloyMoney/blink, commit 3680236", Seen: "2026-07-28"},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) { return dialect{c}, nil },
		Account: func(s *venue.Session) venue.Account { return &account{s} },
	}
}

// dialect sends the key, and signs nothing.
type dialect struct{ c venue.Credentials }

// Sign implements venue.Dialect.
func (d dialect) Sign(r *venue.Request, _ venue.Stamp) error {
	r.Header.Set("X-API-KEY", d.c.Get(venue.FieldKey))
	r.Header.Set("Content-Type", "application/json")
	return nil
}

// Fault implements venue.Dialect. Blink says no with status 200, and may send a
// part of the data beside it: a part is none.
func (d dialect) Fault(a venue.Answer) error {
	answer, said := venue.Said[struct {
		Errors []struct {
			Message    string `json:"message"`
			Extensions struct {
				Code venue.Text `json:"code"`
			} `json:"extensions"`
		} `json:"errors"`
	}](a)
	if !said || len(answer.Errors) == 0 {
		return nil // judged by its status
	}
	first := answer.Errors[0]
	e := venue.Say(venue.Refused, string(first.Extensions.Code), first.Message)
	switch string(first.Extensions.Code) {
	case "NOT_AUTHORIZED":
		e.Reason, e.Hint = venue.PermissionMissing, "the key needs the scope READ"
	case "UNAUTHENTICATED", "NOT_AUTHENTICATED":
		e.Reason = venue.KeyRefused
	case "TOO_MANY_REQUEST":
		e.Reason = venue.RateLimited
	case "INTERNAL_SERVER_ERROR", "UNKNOWN_CLIENT_ERROR":
		e.Reason = venue.Unreachable
	}
	return e
}
