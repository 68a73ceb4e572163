package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// MasterID is what the log calls the master key.
	MasterID = "master"

	// DefaultTenant is the tenant the master key acts on unless told otherwise.
	DefaultTenant = "default"

	flushInterval = time.Second
	flushTimeout  = 2 * time.Second
)

// Keys is where keys are kept.
type Keys interface {
	// KeyByID returns a key, revoked and expired ones too, or
	// indexer.ErrNotFound.
	KeyByID(ctx context.Context, id string) (Key, error)

	// TouchKeys sets the time of last use of keys, by id. Ids that are gone
	// are no error.
	TouchKeys(ctx context.Context, used map[string]time.Time) error
}

// Config is what a Gate is made of.
type Config struct {
	Keys     Keys
	Changed  Changed  // what ends the memory of keys
	Requests Requests // what writes are carried out in, and where they are written down
	Replays  Replays

	Pepper   Pepper   // at least 16 bytes
	Accepted []Pepper // under which keys may be stored too
	Tokens   *Tokens  //
	Master   string   // the master key; "" for none

	Environment chains.Environment // the master key's unless X-Environment says otherwise; live if ""
	Limits      Limits             //
	Limiter     Limiter            // a Local if nil
	Proxies     []netip.Prefix     // whose X-Forwarded-For is believed
	Open        bool               // callers from this machine act as the master key, without a key
	Now         func() time.Time   // time.Now if nil
}

// Gate lets callers in. Guard puts it before an operation: it finds out who is
// calling, counts the call against a budget, and lets it through with the caller in
// the context, where From finds it, or answers with a problem. What writes is carried
// out in one transaction with its line in the audit log. A Gate is safe for
// concurrent use.
type Gate struct {
	keyring  *keyring
	keys     Keys
	requests Requests
	replays  Replays
	peppers  []Pepper
	tokens   *Tokens
	master   *[sha256.Size]byte // of the master key, so that comparing takes the same time for all; nil for none
	realm    indexer.Realm      // the master key's
	limits   Limits
	limiter  Limiter
	told     *Local // who was written down lately for using up a budget
	unproven *Local // addresses that sent long bodies which nobody has signed
	proxies  proxies
	open     bool
	now      func() time.Time
	used     *usage

	table  sync.Mutex
	routes map[string]Route // by pattern; guarded by table
}

// NewGate returns a Gate, or an error that names the setting that is missing.
func NewGate(cfg Config) (*Gate, error) {
	peppers := append([]Pepper{cfg.Pepper}, cfg.Accepted...)
	for _, pepper := range peppers {
		if len(pepper) < minPepperSize {
			return nil, fmt.Errorf("pepper of %d bytes, want at least %d", len(pepper), minPepperSize)
		}
	}
	if cfg.Keys == nil || cfg.Tokens == nil {
		return nil, errors.New("keys and tokens are required")
	}
	if cfg.Changed == nil || cfg.Requests == nil || cfg.Replays == nil {
		return nil, errors.New("changes of keys, requests and replays are required")
	}
	g := &Gate{
		keyring: newKeyring(cfg.Keys, cfg.Changed), keys: cfg.Keys, requests: cfg.Requests, replays: cfg.Replays,
		peppers: peppers, tokens: cfg.Tokens, now: cfg.Now,
		realm:  indexer.Realm{Tenant: DefaultTenant, Environment: cfg.Environment},
		limits: cfg.Limits.settled(), limiter: cfg.Limiter, proxies: cfg.Proxies, open: cfg.Open,
		used:   &usage{last: map[string]time.Time{}},
		routes: map[string]Route{},
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.limiter == nil {
		g.limiter = NewLocal(g.now)
	}
	g.told, g.unproven = NewLocal(g.now), NewLocal(g.now)
	if g.realm.Environment == "" {
		g.realm.Environment = chains.Live
	}
	if cfg.Master != "" {
		sum := sha256.Sum256([]byte(cfg.Master))
		g.master = &sum
	}
	return g, nil
}

// Tokens returns what issues the tokens this gate accepts.
func (g *Gate) Tokens() *Tokens { return g.tokens }

// Secure reports whether callers are asked for credentials.
func (g *Gate) Secure() bool { return !g.open }

// Run hears of keys that change, so that keys can be remembered, and writes the last
// use of keys every second, and once more when ctx ends. It returns the cause of
// that. Without it every request asks the store for its key.
func (g *Gate) Run(ctx context.Context, log zerolog.Logger) error {
	if g.open {
		log.Warn().Msg("secure mode is off: whoever reaches this address may do everything")
	}
	var watching sync.WaitGroup
	defer watching.Wait()
	watching.Go(func() { g.keyring.watch(ctx, log) })
	tick := time.NewTicker(flushInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if err := g.Flush(ctx); err != nil {
				log.Warn().Err(err).Msg("last use of keys not written")
			}
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
			defer cancel()
			if err := g.Flush(last); err != nil {
				log.Warn().Err(err).Msg("last use of keys not written")
			}
			return context.Cause(ctx)
		}
	}
}

// Flush writes the last use of keys now. What cannot be written is kept.
func (g *Gate) Flush(ctx context.Context) error { return g.used.flush(ctx, g.keys) }
