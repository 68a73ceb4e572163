package webhook

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// Outbox is the queue as a Dispatcher sees it. Every method is one statement or
// one short transaction, durable when it returns nil: a process that is stopped
// in the middle of one holds no lock. The caller retries.
type Outbox interface {
	// FanOut queues up to limit further events for the endpoints that want
	// them, each once, and returns how many events it went through.
	FanOut(ctx context.Context, limit int) (int, error)

	// Claim leases deliveries that are due to owner for a time by the
	// database's clock: up to limit, and of no endpoint more than it has room
	// for. Of one that rooms says nothing of in its present version these are
	// FirstConcurrency at most, or one if it is marked as failing, with those
	// under way. Those of an endpoint that is disabled are left alone. It
	// returns none if there are none.
	Claim(ctx context.Context, owner uuid.UUID, lease time.Duration, rooms map[uuid.UUID]Room, limit int) ([]Claimed, error)

	// Complete writes outcomes, each if its attempt is the delivery's last and
	// still leased to owner, and the log of all. It returns how many counted.
	Complete(ctx context.Context, owner uuid.UUID, outcomes []Outcome) (int, error)

	// Mark writes which endpoints began to fail, with why, and with "" which
	// are well again. One that has another URL by now is left alone.
	Mark(ctx context.Context, heard []Heard) error

	// Disable disables endpoints that answered that they are gone, unless they
	// have another URL by now.
	Disable(ctx context.Context, gone []Heard) error

	// Secrets returns the secrets in force of an endpoint, newest first, and
	// the endpoint's version they belong to.
	Secrets(ctx context.Context, endpoint uuid.UUID) ([]Secret, int64, error)

	// Beat says that owner lives for a time to come, and takes back what
	// processes hold that do not live any more. It returns how many deliveries
	// that freed.
	Beat(ctx context.Context, owner uuid.UUID, alive time.Duration) (int, error)

	// Leave gives up all that owner holds.
	Leave(ctx context.Context, owner uuid.UUID) error

	// Upkeep makes room for the days to come and drops what is older than
	// keep. It may run in several processes at once. Deliveries go on without.
	Upkeep(ctx context.Context, keep time.Duration) error
}

// Room is what a process has room for at one endpoint.
type Room struct {
	Version int64 // of the endpoint, as it was last claimed for
	Free    int   // deliveries that may begin
	Flying  int   // those under way
}

// Claimed is a delivery that this process is to send.
type Claimed struct {
	Endpoint    uuid.UUID
	URL         string
	Version     int64 // of the endpoint
	Concurrency int
	Ordered     bool
	Failing     bool // the endpoint is marked as failing
	Attempt     int  // number of the attempt that begins with this claim
	Rung        int  // attempts that failed since it was queued
	Event       indexer.Event
}

// Heard is what an attempt says of an endpoint.
type Heard struct {
	Endpoint uuid.UUID
	URL      string // that was tried
	Error    string // why it is failing, "" if it is well
}

// Outcome is what an attempt came to.
type Outcome struct {
	Endpoint uuid.UUID
	Seq      int64
	Attempt  int
	State    State         // Delivered, Failed, or Waiting for the next attempt
	Rung     int           // of a waiting one
	Wait     time.Duration // until its next attempt
	At       time.Time
	Took     time.Duration
	URL      string
	Status   int
	Error    string
	Headers  json.RawMessage
	Body     []byte
}
