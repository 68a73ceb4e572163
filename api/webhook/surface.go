package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

// Gate says who may call an operation.
type Gate interface {
	// Guard returns the operation with its rule in force.
	Guard(op huma.Operation, rule access.Rule) huma.Operation
}

// SurfaceConfig is what the operations need.
type SurfaceConfig struct {
	Gate       Gate
	Endpoints  Endpoints
	Deliveries Deliveries
	Types      []EventType // those that filters may name, Types() and what other surfaces have
	Agent      string      // User-Agent of deliveries, for their log

	// Keep is how long the log of deliveries goes back, 30 days unless set. What
	// was delivered before cannot be told from what was not.
	Keep time.Duration

	// AllowHTTP lets endpoints have plain http URLs.
	AllowHTTP bool

	// Check refuses addresses that would not be dialled, so that a caller hears
	// of it at once where the URL has one. nil refuses none.
	Check func(netip.AddrPort) error
}

type surface struct {
	SurfaceConfig
	known []string // names of Types
}

// Mount adds the operations to an API, and the types of events to its document.
func Mount(api huma.API, cfg SurfaceConfig) {
	if cfg.Keep <= 0 {
		cfg.Keep = defaultKeep
	}
	s := &surface{SurfaceConfig: cfg, known: names(cfg.Types)}
	describe(api.OpenAPI(), cfg.Types)
	s.mountOutbound(api)
	s.mountEndpoints(api)
	s.mountDeliveries(api)
}

// own returns an operation of the surface of our own.
func (s *surface) own(id, method, path, action, summary string) huma.Operation {
	op := huma.Operation{OperationID: id, Method: method, Path: "/v1/webhooks/endpoints" + path, Summary: summary, Tags: []string{"Webhooks"}}
	return s.Gate.Guard(op, access.Rule{Surface: access.Own, Scope: "webhooks:" + action})
}

const maxURL = 2048

// checkURL returns a problem unless deliveries can be sent to a URL.
func (s *surface) checkURL(text string) error {
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Hostname() == "" || u.Opaque != "" || len(text) > maxURL:
		return problem.Invalid("url", "expected an absolute URL of at most "+strconv.Itoa(maxURL)+" characters")
	case u.Scheme != "https" && (u.Scheme != "http" || !s.AllowHTTP):
		return problem.Invalid("url", "expected https")
	case u.User != nil:
		return problem.Invalid("url", "must hold no credentials")
	case u.Fragment != "":
		return problem.Invalid("url", "must have no fragment")
	}
	if address, isAddress := literal(u.Hostname()); isAddress && s.Check != nil {
		return s.checkAddress(address, u)
	}
	return nil // a name is looked up, and checked, at every connection
}

// literal returns the address that a host spells out, and whether it does.
func literal(host string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(host)
	return address, err == nil
}

// checkAddress returns a problem unless a URL's address and port may be dialed.
func (s *surface) checkAddress(address netip.Addr, u *url.URL) error {
	text := u.Port()
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return problem.Invalid("url", "has no such port")
	}
	if s.Check(netip.AddrPortFrom(address, uint16(port))) != nil {
		return problem.Invalid("url", "the address or the port is not allowed")
	}
	return nil
}

// checkEvents returns a problem unless every entry of a filter lets something
// through.
func (s *surface) checkEvents(filter []string) error { return checkFilter("events", filter, s.known) }

// checkFilter is checkEvents for a filter that stands in a field.
func checkFilter(field string, filter, known []string) error {
	for _, entry := range filter {
		if !covered(entry, known) {
			return problem.Invalid(field, "expected types of events, or prefixes such as transfer.*")
		}
	}
	return nil
}

// edge turns an outcome of a port into what the caller may know.
func edge(doing string, err error) error {
	var p *problem.Problem
	switch {
	case errors.As(err, &p):
		return p
	case errors.Is(err, indexer.ErrNotFound):
		return problem.Missing()
	case errors.Is(err, ErrEndpoints):
		return problem.New(http.StatusBadRequest, problem.InvalidInput, "there are "+strconv.Itoa(MaxEndpoints)+" endpoints already: delete one, or give one more types of events")
	case errors.Is(err, ErrSecrets):
		return problem.New(http.StatusBadRequest, problem.InvalidInput, "too many secrets are in force: wait until one has ended, or end them with overlap_seconds 0").
			Field("overlap_seconds", "at most "+strconv.Itoa(MaxSecrets)+" secrets sign at once")
	}
	return fmt.Errorf("%s: %w", doing, err)
}

func realmOf(ctx context.Context) indexer.Realm { return access.From(ctx).Realm }
