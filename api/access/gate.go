package access

import (
	"cmp"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// MasterID is what the log calls the master key.
	MasterID = "master"

	// DefaultTenant is the tenant the master key acts on unless told otherwise.
	DefaultTenant = "default"

	flushInterval = 10 * time.Second
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
	Keys        Keys
	Pepper      Pepper             // at least 16 bytes
	Tokens      *Tokens            //
	Master      string             // the master key; "" for none
	Environment chains.Environment // the master key's unless X-Environment says otherwise; live if ""
	Now         func() time.Time   // time.Now if nil
}

// Gate lets callers in. Its middlewares put the caller in the context, where
// From finds it, or answer with a problem. It is safe for concurrent use.
type Gate struct {
	keys   Keys
	pepper Pepper
	tokens *Tokens
	master []byte // hash of the master key; nil for none
	realm  indexer.Realm
	now    func() time.Time
	used   *usage

	table  sync.Mutex
	routes map[string]Route // by pattern; guarded by table
}

// NewGate returns a Gate, or an error that names the setting that is missing.
func NewGate(cfg Config) (*Gate, error) {
	if len(cfg.Pepper) < minPepperSize {
		return nil, fmt.Errorf("pepper of %d bytes, want at least %d", len(cfg.Pepper), minPepperSize)
	}
	if cfg.Keys == nil || cfg.Tokens == nil {
		return nil, errors.New("keys and tokens are required")
	}
	g := &Gate{
		keys: cfg.Keys, pepper: cfg.Pepper, tokens: cfg.Tokens, now: cfg.Now,
		realm:  indexer.Realm{Tenant: DefaultTenant, Environment: cfg.Environment},
		used:   &usage{last: map[string]time.Time{}},
		routes: map[string]Route{},
	}
	if g.now == nil {
		g.now = time.Now
	}
	if g.realm.Environment == "" {
		g.realm.Environment = chains.Live
	}
	if cfg.Master != "" {
		g.master = digest(cfg.Master)
	}
	return g, nil
}

// Tokens returns what issues the tokens this gate accepts.
func (g *Gate) Tokens() *Tokens { return g.tokens }

// Run writes the last use of keys every ten seconds, and once more when ctx
// ends. It returns the cause of that.
func (g *Gate) Run(ctx context.Context, log zerolog.Logger) error {
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

// middleware returns what puts a rule in force.
func (g *Gate) middleware(rule Rule) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		if rule.Public {
			next(ctx)
			return
		}
		p, err := g.caller(ctx, rule)
		if err != nil {
			g.refuse(ctx, err)
			return
		}
		problem.TrailOf(ctx.Context()).Caller = p.Name()
		if p.User == uuid.Nil && !p.Master && (rule.Master || !p.Allows(rule.Scope)) {
			g.refuse(ctx, problem.New(http.StatusForbidden, problem.InsufficientScope, "the key lacks the scope "+rule.Scope))
			return
		}
		next(huma.WithValue(ctx, principalKey{}, p))
	}
}

// caller returns who is calling, a *problem.Problem if nobody a rule lets in, or
// the fault that kept it from finding out.
func (g *Gate) caller(ctx huma.Context, rule Rule) (Principal, error) {
	missing := http.StatusUnauthorized
	if rule.Surface == Blockmate {
		missing = http.StatusBadRequest
	}
	if text := cmp.Or(ctx.Header("X-API-Key"), ctx.Header("X-Blnk-Key")); text != "" && rule.byKey() {
		return g.authenticate(ctx, text)
	}
	if !rule.User {
		return Principal{}, missingKey(missing)
	}
	scheme, text, _ := strings.Cut(ctx.Header("Authorization"), " ")
	if scheme == "" {
		return Principal{}, missingKey(missing)
	}
	bad := BadToken(cmp.Or(rule.BadUser, http.StatusUnauthorized))
	if !strings.EqualFold(scheme, "Bearer") {
		return Principal{}, bad
	}
	p, err := g.tokens.Read(strings.TrimSpace(text))
	if err != nil {
		return Principal{}, bad
	}
	return p, nil
}

// authenticate returns who a key stands for, a *problem.Problem if nobody, or
// the fault that kept it from finding out.
func (g *Gate) authenticate(ctx huma.Context, text string) (Principal, error) {
	if g.master != nil && hmac.Equal(g.master, digest(text)) {
		realm, err := g.masterRealm(ctx.Header("X-Tenant"), ctx.Header("X-Environment"))
		return Principal{Realm: realm, KeyID: MasterID, Master: true}, err
	}
	environment, id, err := ParseKey(text)
	if err != nil {
		return Principal{}, badKey()
	}
	key, err := g.keys.KeyByID(ctx.Context(), id)
	if errors.Is(err, indexer.ErrNotFound) {
		return Principal{}, badKey()
	}
	if err != nil {
		return Principal{}, fmt.Errorf("look up key: %w", err)
	}
	now := g.now()
	if !hmac.Equal(key.Hash, g.pepper.Hash(text)) || key.Realm.Environment != environment || !key.Good(now) {
		return Principal{}, badKey()
	}
	g.used.touch(id, now)
	return Principal{Realm: key.Realm, KeyID: key.ID, Scopes: key.Scopes}, nil
}

// masterRealm returns the realm the master key acts on.
func (g *Gate) masterRealm(tenant, environment string) (indexer.Realm, error) {
	realm := g.realm
	if tenant != "" {
		if !regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`).MatchString(tenant) {
			return indexer.Realm{}, problem.Invalid("X-Tenant", "expected up to 63 lower-case letters, digits, - and _")
		}
		realm.Tenant = tenant
	}
	if environment != "" {
		realm.Environment = chains.Environment(environment)
		if realm.Environment != chains.Live && realm.Environment != chains.Test {
			return indexer.Realm{}, problem.Invalid("X-Environment", "expected live or test")
		}
	}
	return realm, nil
}

// refuse answers a request whose key did not let it in.
func (g *Gate) refuse(ctx huma.Context, err error) {
	var p *problem.Problem
	if !errors.As(err, &p) {
		problem.TrailOf(ctx.Context()).Cause = err
		p = problem.Fault()
	}
	problem.Answer(ctx, p)
}

// BadToken returns the problem of a forged or expired user token, or of one
// whose user is gone.
func BadToken(status int) *problem.Problem {
	return problem.New(status, problem.InvalidToken, "Invalid token or expired token.").Header("WWW-Authenticate", "Bearer")
}

func badKey() *problem.Problem {
	return problem.New(http.StatusUnauthorized, problem.InvalidKey, "Unauthorized").Header("WWW-Authenticate", "ApiKey")
}

func missingKey(status int) *problem.Problem {
	return problem.New(status, problem.MissingKey, "missing key in request header")
}

// digest brings keys of any length to one, so that comparing takes the same
// time for all.
func digest(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}
