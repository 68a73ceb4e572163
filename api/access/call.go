package access

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

// call is one request on its way through the gate. It belongs to the goroutine that
// serves the request.
type call struct {
	gate *Gate
	rule *Rule
	ctx  huma.Context
	now  time.Time
	from netip.Addr // the zero Addr if nobody knows

	// key is the stored key that the request names, also one that is refused; nil
	// if it names none.
	key *stored
	who Principal // once it is let in

	// proof is what of the key's the caller has shown to have: its hash, or the secret
	// that signs, now or before a rotation.
	proof []byte

	body      []byte // once read
	read      bool
	lent      bool       // it was long, and read before it was known whose it is
	signature *signature // of a signed request
}

// middleware returns what puts a rule in force.
func (g *Gate) middleware(rule Rule) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		c := &call{gate: g, rule: &rule, ctx: ctx, now: g.now(), from: g.proxies.client(ctx)}
		if p := c.admit(); p != nil {
			c.refuse(p)
			return
		}
		if rule.Public {
			next(ctx)
			return
		}
		c.ctx = huma.WithValue(ctx, principalKey{}, c.who)
		if rule.Lasting {
			c.ctx = huma.WithValue(c.ctx, lastingKey{}, c)
		}
		if writes(ctx.Method()) {
			c.write(next)
			return
		}
		next(c.handedOn())
	}
}

// writes reports whether requests of a method are written down, and carried out
// whole or not at all.
func writes(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return false
	}
	return true
}

// admit returns nil if the request is let in. The order is that of the costs, and
// of what a stranger may learn: nothing is said about a key to who does not have it,
// and nobody uses up the budget of another's key.
func (c *call) admit() *problem.Problem {
	if c.rule.Public {
		if c.rule.Probe {
			return nil
		}
		if budget, left := c.spendAnonymous(); !left {
			return exhausted(budget)
		}
		return nil
	}
	if p := c.identify(); p != nil {
		if p.Status >= http.StatusInternalServerError {
			return p
		}
		if budget, left := c.spendAnonymous(); !left {
			// Strangers do not fill the audit log.
			c.key = nil
			return exhausted(budget)
		}
		return p
	}
	problem.TrailOf(c.ctx.Context()).Caller = c.who.Name()
	if c.key != nil {
		c.gate.use(c.ctx.Context(), c.key, c.now)
	}
	if budget, left := c.spend(); !left {
		return exhausted(budget)
	}
	if c.who.User == uuid.Nil && !c.who.Master && (c.rule.Master || !c.who.Allows(c.rule.Scope)) {
		return c.rule.forbidden()
	}
	return nil
}

// identify finds out who is calling, or returns the problem of not knowing.
func (c *call) identify() *problem.Problem {
	g := c.gate
	token := c.ctx.Header("Authorization")
	if g.open && c.rule.byKey() && (!c.rule.User || token == "") && c.direct() {
		return c.master()
	}
	if text := c.ctx.Header(headerKey); text != "" && c.rule.byKey() {
		return c.byKey(text)
	}
	if text := c.ctx.Header(headerBlnkKey); text != "" && c.rule.byKey() {
		return c.byKey(text)
	}
	if token == "" || !c.rule.User {
		return c.rule.missing()
	}
	scheme, text, _ := strings.Cut(token, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return c.rule.badToken()
	}
	who, err := g.tokens.Read(strings.TrimSpace(text))
	if err != nil {
		return c.rule.badToken()
	}
	c.who = who
	return nil
}

// byKey identifies a caller by what it sent as its key.
func (c *call) byKey(text string) *problem.Problem {
	g := c.gate
	sum := sha256.Sum256([]byte(text))
	if g.master != nil && hmac.Equal(g.master[:], sum[:]) {
		return c.master()
	}
	environment, id, err := ParseKey(text)
	whole := err == nil
	if !whole {
		// Of a signed key only the public part is sent.
		environment, id, err = ParsePublic(text)
	}
	if err != nil {
		return c.rule.invalid()
	}
	key, err := g.keyring.get(c.ctx.Context(), id)
	if errors.Is(err, indexer.ErrNotFound) {
		return c.rule.invalid()
	}
	if err != nil {
		problem.TrailOf(c.ctx.Context()).Cause = err
		return unknown()
	}
	if key.Realm.Environment != environment {
		return c.rule.invalid()
	}
	c.key = key
	if p := c.prove(key, text, sum, whole); p != nil {
		return p
	}
	if p := c.usable(&key.Key, c.now); p != nil {
		return p
	}
	if c.rule.Signed && key.Kind != Signed {
		return unsigned()
	}
	c.who = Principal{Realm: key.Realm, KeyID: key.ID, Owner: key.Owner, Scopes: key.Scopes}
	return nil
}

// usable returns nil if a key that the caller has is good, here and now.
func (c *call) usable(key *Key, now time.Time) *problem.Problem {
	if !key.Good(now) {
		return c.rule.ended()
	}
	if len(key.Addresses) > 0 && !slices.ContainsFunc(key.Addresses, func(n netip.Prefix) bool { return n.Contains(c.from) }) {
		return elsewhere()
	}
	return nil
}

// prove returns nil if the caller has the secret of the key. whole says that text
// is a secret, and not the public part of a key.
func (c *call) prove(key *stored, text string, sum [sha256.Size]byte, whole bool) *problem.Problem {
	switch {
	case key.Kind == Signed && whole:
		return unsigned() // the secret is not to be sent, and opens nothing by itself
	case key.Kind == Signed:
		return c.verify(&key.Key)
	case !whole:
		return c.rule.invalid()
	}
	if proven := key.proven.Load(); proven != nil && hmac.Equal(proven[:], sum[:]) {
		c.proof = key.Hash
		return nil
	}
	for _, pepper := range c.gate.peppers {
		hash := pepper.Hash(text)
		if hmac.Equal(key.Hash, hash) {
			c.proof = key.Hash
			key.proven.Store(&sum)
			return nil
		}
		if key.OldHash != nil && hmac.Equal(key.OldHash, hash) {
			if key.OldUntil == nil || !c.now.Before(*key.OldUntil) {
				return c.rule.ended()
			}
			c.proof = key.OldHash
			return nil
		}
	}
	return c.rule.invalid()
}

// master lets the caller in as the master key, in the realm it asks for.
func (c *call) master() *problem.Problem {
	c.who = Principal{Realm: c.gate.realm, KeyID: MasterID, Master: true}
	if tenant := c.ctx.Header("X-Tenant"); tenant != "" {
		if !IsTenantID(tenant) {
			return problem.Invalid("X-Tenant", "expected "+TenantRule)
		}
		c.who.Realm.Tenant = tenant
	}
	if environment := chains.Environment(c.ctx.Header("X-Environment")); environment != "" {
		if environment != chains.Live && environment != chains.Test {
			return problem.Invalid("X-Environment", "expected live or test")
		}
		c.who.Realm.Environment = environment
	}
	return nil
}

// direct reports whether a request comes from a program on this machine, and not
// through a proxy or a page that a browser loaded from elsewhere.
func (c *call) direct() bool {
	if !hop(c.ctx.RemoteAddr()).IsLoopback() || c.ctx.Header(forwardedFor) != "" || c.ctx.Header("Forwarded") != "" {
		return false
	}
	host := c.ctx.Host()
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || hop(strings.Trim(host, "[]")).IsLoopback()
}

// refuse answers with a problem. Whom it concerns is written down: in the audit log
// if it is a known key, else as a number.
func (c *call) refuse(p *problem.Problem) {
	trail := problem.TrailOf(c.ctx.Context())
	if p.Status < http.StatusInternalServerError {
		switch {
		case c.key == nil && !c.who.Master:
			trail.Refused = p.Code
		case p.Code != problem.RateLimited || c.gate.told.Take(c.ctx.Context(), c.entry().Caller, 1).Allowed:
			if err := c.gate.requests.Record(c.ctx.Context(), c.refusal(p)); err != nil {
				trail.Cause = err // and the request is refused
			}
		}
	}
	problem.Answer(c.ctx, p)
}

// entry returns the line of the audit log for the request, without its outcome.
func (c *call) entry() Entry {
	url := c.ctx.URL()
	e := Entry{
		At: c.now.UTC(), Realm: c.who.Realm, Caller: c.who.Name(), RequestID: problem.TrailOf(c.ctx.Context()).Request,
		Method: c.ctx.Method(), Route: c.ctx.Operation().Path, Path: withoutKeys(url.Path), Address: c.from,
	}
	if c.key != nil {
		e.Realm, e.Caller = c.key.Realm, c.key.ID
	}
	return e
}

// withoutKeys returns a path without the keys that somebody put into it by mistake:
// it is kept for long, and read by others.
func withoutKeys(path string) string {
	if !strings.Contains(path, keyPrefix+"_") {
		return path
	}
	parts := strings.Split(path, "/")
	for i, part := range parts {
		if _, id, err := ParseKey(part); err == nil {
			parts[i] = keyPrefix + "_" + id + "_redacted"
		}
	}
	return strings.Join(parts, "/")
}

// refusal returns the line of the audit log for the request, refused with p.
func (c *call) refusal(p *problem.Problem) Entry {
	e := c.entry()
	e.Status, e.Code = p.Status, string(p.Code)
	return e
}
