package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/google/uuid"

	"tallyd/indexer"
)

// MaxSecrets is how many secrets of one endpoint sign at once: the newest and
// some that are being replaced.
const MaxSecrets = 10

// ErrEndpoints says that a realm has as many endpoints as it may have.
var ErrEndpoints = errors.New("too many endpoints")

// ErrSecrets says that an endpoint has as many secrets as it may have.
var ErrSecrets = errors.New("too many secrets in force")

// State is how far a delivery is.
type State string

// The states. A delivery is done when it is delivered, or failed on the last rung
// of the ladder; one that is done can be sent again.
const (
	Waiting   State = "waiting"   // for its first attempt
	Sending   State = "sending"   // a process has it
	Retrying  State = "retrying"  // for its next attempt
	Delivered State = "delivered" // the endpoint answered 2xx
	Failed    State = "failed"    // no attempt is left
)

// Delivery is one event for one endpoint. Its identity is the event's.
type Delivery struct {
	Seq             int64
	Event           uuid.UUID
	Type            string
	ResourceID      string
	ResourceVersion int64
	OccurredAt      time.Time
	State           State
	Attempts        int // begun
	DueAt           time.Time
	CreatedAt       time.Time
	DoneAt          *time.Time // nil until it is done
}

// Attempt is one try to deliver.
type Attempt struct {
	Number  int
	At      time.Time
	Took    time.Duration
	URL     string
	Status  int             // 0 if there was no answer
	Error   string          // in few words; "" if it was delivered
	Headers json.RawMessage // of the answer: an object of lists, secrets redacted
	Body    []byte          // of the answer, its first 16 KiB
}

// DeliveryFilter narrows a list of deliveries. Zero values narrow nothing.
type DeliveryFilter struct {
	State    State
	Type     string
	Resource string
	Event    uuid.UUID // there is one at most; if there is no such event, indexer.ErrNotFound
	Before   int64     // the number of an event: the list begins below; 0 begins at the newest
	Limit    int
}

// Deliveries reads and repeats deliveries. All methods return
// indexer.ErrNotFound for an endpoint of another realm.
type Deliveries interface {
	// Deliveries returns a page, newest event first, or none.
	Deliveries(ctx context.Context, realm indexer.Realm, endpoint uuid.UUID, filter DeliveryFilter) ([]Delivery, error)

	// Attempts returns the attempts of a delivery, oldest first, or none.
	Attempts(ctx context.Context, realm indexer.Realm, endpoint uuid.UUID, seq int64) ([]Attempt, error)

	// Resend queues one event of the realm once more, also one that was
	// delivered or never meant for the endpoint. One that is on its way is left
	// alone. It returns 1, or 0 if it left it alone, and indexer.ErrNotFound if
	// there is no such event.
	Resend(ctx context.Context, realm indexer.Realm, endpoint, event uuid.UUID) (int64, error)

	// Recover queues, of the events since a time that pass the endpoint's
	// filter, those that failed, that wait for another attempt, or that the
	// endpoint was never sent. It returns how many.
	Recover(ctx context.Context, realm indexer.Realm, endpoint uuid.UUID, since time.Time) (int64, error)

	// SendTest writes an event of type webhook.test for one endpoint, and
	// returns its id.
	SendTest(ctx context.Context, realm indexer.Realm, endpoint uuid.UUID) (uuid.UUID, error)
}
