package access

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// Tenant is a customer of the operator.
type Tenant struct {
	ID        string // slug
	Name      string
	CreatedBy string // id of the key, or master
	MetaData  json.RawMessage
	CreatedAt time.Time

	// Assets are those it may open wallets of custody for; nil for all that are
	// listed.
	Assets []chains.AssetID
}

// ErrUnlisted says that an asset is named which no chain lists.
var ErrUnlisted = errors.New("no chain lists such an asset")

// Tenants keeps tenants.
type Tenants interface {
	// CreateTenant adds a tenant, or returns indexer.ErrExists, or ErrUnlisted for
	// its assets.
	CreateTenant(ctx context.Context, tenant Tenant) error

	// SetTenantAssets sets what a tenant may open wallets for, nil for all that is
	// listed, and returns the tenant as it is then. It returns indexer.ErrNotFound,
	// or ErrUnlisted. Wallets that are open stay.
	SetTenantAssets(ctx context.Context, id string, assets []chains.AssetID) (Tenant, error)

	// Tenants returns every tenant, oldest first.
	Tenants(ctx context.Context) ([]Tenant, error)
}

// KeyChanges makes and changes keys. A key of another realm is not found.
type KeyChanges interface {
	// CreateKey adds a key. It returns indexer.ErrExists if its id is taken,
	// and indexer.ErrNotFound if there is no such tenant.
	CreateKey(ctx context.Context, key Key) error

	// Keys returns the keys of a realm, revoked ones too, oldest first; of
	// one owner unless owner is "". Their secrets are left out.
	Keys(ctx context.Context, realm indexer.Realm, owner string) ([]Key, error)

	// ChangeKey locks a key, lets change edit it, and stores name, scopes,
	// expiry, addresses, limit, unsigned query, hashes, secrets and revocation. It
	// returns the key as it is then, indexer.ErrNotFound, or what change returned;
	// then nothing is stored.
	ChangeKey(ctx context.Context, realm indexer.Realm, id string, change func(*Key) error) (Key, error)
}

// Changed tells which keys changed, so that no instance believes a revoked one.
type Changed interface {
	// KeysChanged returns the id and the version of every key that changed
	// within the last minute by the database's clock, or none.
	KeysChanged(ctx context.Context) (map[string]int64, error)
}

// Limiter counts requests against budgets.
type Limiter interface {
	// Take takes one request from the budget of name. It never fails: a
	// limiter whose memory is gone counts in this process alone.
	Take(ctx context.Context, name string, perMinute int) Budget
}

// Budget is what a Limiter says of one request.
type Budget struct {
	Allowed   bool
	Limit     int           // requests per minute
	Remaining int           // requests that are left now
	Reset     time.Duration // until the whole budget is there again
	Retry     time.Duration // until the next request is allowed; 0 if this one was
}

// Replays remembers signatures.
type Replays interface {
	// Fresh keeps a signature until a time, durable when it returns, and reports
	// whether it was not kept already. An error means that nobody knows.
	Fresh(ctx context.Context, signature []byte, until time.Time) (bool, error)
}

// Entry is a line of the audit log: one write, or one refusal of a known key.
type Entry struct {
	ID        int64
	At        time.Time
	Realm     indexer.Realm
	Caller    string // id of the key, master, or user:ID
	RequestID uuid.UUID
	Method    string
	Route     string // the pattern: /v1/users/{id}
	Path      string // as asked for, without the query
	Address   netip.Addr
	Status    int
	Code      string // of the problem; "" if it went well
}

// AuditLog reads the audit log.
type AuditLog interface {
	// Entries returns up to limit entries of a realm before an id, newest
	// first, or none; before 0 begins at the newest. caller narrows them to one
	// unless it is "".
	Entries(ctx context.Context, realm indexer.Realm, caller string, before int64, limit int) ([]Entry, error)
}

// What a request with an Idempotency-Key may meet instead of an answer.
var (
	ErrOtherBody = errors.New("the key was used for another request")
	ErrRunning   = errors.New("a request with this key still runs")
)

// Answer is what a request was answered with.
type Answer struct {
	Status      int
	ContentType string
	Body        []byte
	Code        string // of the problem, for the entry; "" if it went well
}

// Once names a request that is carried out at most once.
type Once struct {
	Key         string   // Idempotency-Key, 1 to 64 of A-Z a-z 0-9 _ -
	Path        string   // what the key is unique for, one for all spellings of an operation; that of the entry if ""
	Fingerprint [32]byte // SHA-256 of the body as sent
}

// Requests makes one transaction of a request that writes.
type Requests interface {
	// Write calls do with a context in which every method of the store works in
	// one transaction, and commits that transaction with the entry and, if
	// once is not nil, with the answer (sealed: it may hold a secret shown
	// once). Status and code in the entry are the answer's. An answer of 400 or
	// more rolls everything back: then the entry alone is written, and the
	// answer is not kept. do does not panic.
	//
	// If once was carried out by this caller on this method and path before,
	// Write returns the kept answer with replayed true and does not call do; no
	// entry is written. It returns ErrOtherBody if that request had another body,
	// and ErrRunning while it still runs. Any other error means that nothing was
	// written, or that the answer to the commit was lost: then nobody knows.
	Write(ctx context.Context, entry Entry, once *Once, do func(ctx context.Context) Answer) (answer Answer, replayed bool, err error)

	// Kept returns the kept answer of a request, and writes nothing. It returns
	// indexer.ErrNotFound if there is none, and otherwise errs as Write does.
	Kept(ctx context.Context, entry Entry, once Once) (Answer, error)

	// Record writes an entry on its own, also when ctx has ended.
	Record(ctx context.Context, entry Entry) error
}
