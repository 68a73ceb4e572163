package webhook

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// The bounds of how many requests one process sends to one endpoint at once, and
// how many it sends at most until it has heard from it.
const (
	DefaultConcurrency = 16
	MaxConcurrency     = 256
	FirstConcurrency   = 16
)

// MaxEndpoints is how many endpoints a realm may have: an event goes to all of
// them.
const MaxEndpoints = 100

// Why an endpoint is disabled.
const (
	DisabledByCaller = "caller" // its owner asked for it
	DisabledGone     = "gone"   // it answered 410 Gone
)

// Endpoint is where a tenant wants its events sent.
type Endpoint struct {
	ID          uuid.UUID
	Realm       indexer.Realm
	Outbound    bool // the one of /webhooks/outbound
	URL         string
	Description string
	Events      []string // types, or prefixes such as transfer.*; empty means all
	Ordered     bool     // events of one resource are sent one after the other
	Concurrency int      // requests at once, of each process
	CreatedAt   time.Time
	CreatedBy   string // id of the key that made it, or master

	DisabledAt     *time.Time // events are kept meanwhile, and sent when it is enabled
	DisabledReason string     // "" if it is not disabled

	FailingSince *time.Time // nil while it takes what it is sent
	FailingError string     // what the attempt said that made it failing
}

// State is one word for how an endpoint is.
func (e Endpoint) State() string {
	switch {
	case e.DisabledAt != nil:
		return "disabled"
	case e.FailingSince != nil:
		return "failing"
	}
	return "active"
}

// Enable lets deliveries go out again. What was wrong is forgotten.
func (e *Endpoint) Enable() {
	e.DisabledAt, e.DisabledReason, e.FailingSince, e.FailingError = nil, "", nil, ""
}

// Disable keeps deliveries back. An endpoint that is disabled already keeps its
// reason.
func (e *Endpoint) Disable(reason string, now time.Time) {
	if e.DisabledAt == nil {
		e.DisabledAt, e.DisabledReason = &now, reason
	}
}

// Wants reports whether a filter lets a type of event through. The store asks
// the same of Postgres.
func Wants(filter []string, kind string) bool {
	for _, one := range filter {
		if prefix, wild := strings.CutSuffix(one, "*"); one == kind || wild && strings.HasPrefix(kind, prefix) {
			return true
		}
	}
	return len(filter) == 0
}

// Secret is what deliveries are signed with.
type Secret struct {
	Key       []byte     // 32 bytes
	ExpiresAt *time.Time // nil for the newest
}

// Endpoints keeps endpoints. One of another realm, or a deleted one, is not found.
type Endpoints interface {
	// CreateEndpoint stores an endpoint with its first secret. It is sent
	// every event that gets its number after that has committed. It returns
	// indexer.ErrExists if the realm has an outbound one and this is another,
	// ErrEndpoints if it has so many that this would be one too many, and
	// indexer.ErrNotFound if there is no such tenant.
	CreateEndpoint(ctx context.Context, endpoint Endpoint, key []byte) (Endpoint, error)

	// Endpoint returns one endpoint, or indexer.ErrNotFound.
	Endpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID) (Endpoint, error)

	// OutboundEndpoint returns the one of /webhooks/outbound, or
	// indexer.ErrNotFound.
	OutboundEndpoint(ctx context.Context, realm indexer.Realm) (Endpoint, error)

	// Endpoints returns up to limit endpoints of a realm, oldest first, behind
	// another one unless after is nil, and how many deliveries each has waiting;
	// one without any is not in the map. It returns indexer.ErrNotFound if that
	// other one is not there; a deleted one is, for a while.
	Endpoints(ctx context.Context, realm indexer.Realm, after *uuid.UUID, limit int) ([]Endpoint, map[uuid.UUID]int64, error)

	// ChangeEndpoint locks an endpoint, lets change edit it, and stores URL,
	// description, events, order, concurrency and state. It returns what it is
	// then, indexer.ErrNotFound, or what change returned; then nothing is
	// stored.
	ChangeEndpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID, change func(*Endpoint) error) (Endpoint, error)

	// DeleteEndpoint ends an endpoint and drops what was waiting for it, or
	// returns indexer.ErrNotFound.
	DeleteEndpoint(ctx context.Context, realm indexer.Realm, id uuid.UUID) error

	// RotateSecret gives an endpoint a new secret. The others sign beside it
	// until overlap is over, or their own end. It returns ErrSecrets if so many
	// are in force that another would be one too many, and
	// indexer.ErrNotFound.
	RotateSecret(ctx context.Context, realm indexer.Realm, id uuid.UUID, key []byte, overlap time.Duration) error
}
