package venue

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

// TransportOptions are what a Transport is made with. The zero value works.
type TransportOptions struct {
	// HTTP sends; nil is a plain client of its own. It is copied: redirects
	// are never followed, whatever it says.
	HTTP *http.Client

	// UserAgent names this daemon. The default of net/http is refused by name
	// at some venues.
	UserAgent string

	// Base returns the origin to ask in place of the one that a region
	// declares, or "" for that one: a proxy, or a mock. Plain http is taken
	// from loopback addresses only.
	Base func(venue, region, host string) string

	Budgets Budgets // nil counts in this process
	Nonces  Nonces  // nil counts in this process

	// Patience is how long a request may wait for a budget, or for a venue
	// that asked to wait. Beyond it the caller is told until when. 0 is 10 s.
	Patience time.Duration

	// Timeout bounds one attempt, the answer's body included. 0 is 30 s.
	Timeout time.Duration
}

// Transport is the only road to venues. One serves all logins of a daemon, so
// that what they share is counted once: the address they come from, the clock of
// a host. It is safe for concurrent use.
type Transport struct {
	http     *http.Client
	agent    string
	base     func(venue, region, host string) string
	budgets  Budgets
	nonces   Nonces
	patience time.Duration
	timeout  time.Duration

	mu      sync.Mutex
	clocks  map[string]*clock // by venue and region
	strikes map[string]int    // refusals in a row that did not say how long to wait, by what is held
}

// NewTransport returns a Transport.
func NewTransport(o TransportOptions) *Transport {
	t := &Transport{
		http: &http.Client{}, agent: o.UserAgent, base: o.Base, budgets: o.Budgets, nonces: o.Nonces,
		patience: o.Patience, timeout: o.Timeout, clocks: map[string]*clock{}, strikes: map[string]int{},
	}
	if o.HTTP != nil {
		client := *o.HTTP
		t.http = &client
	}
	t.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	if t.agent == "" {
		t.agent = "tallyd"
	}
	if t.base == nil {
		t.base = func(string, string, string) string { return "" }
	}
	if t.budgets == nil {
		t.budgets = &Local{}
	}
	if t.nonces == nil {
		t.nonces = &LocalNonces{}
	}
	if t.patience == 0 {
		t.patience = 10 * time.Second
	}
	if t.timeout == 0 {
		t.timeout = 30 * time.Second
	}
	return t
}

// Open returns the session of a login. It asks nothing: the credentials are
// checked for their form only. The error names fields, and no value.
func (t *Transport) Open(v Venue, c Credentials) (*Session, error) {
	if err := v.check(c); err != nil {
		return nil, err
	}
	region, err := v.Region(c.Get(FieldRegion))
	if err != nil {
		return nil, err
	}
	origins := make(map[string]*url.URL, len(region.Hosts))
	for host, declared := range region.Hosts {
		origin, err := parseOrigin(t.base(v.Name, region.Name, host), declared)
		if err != nil {
			return nil, fmt.Errorf("base URL of %s: %w", v.Name, err)
		}
		origins[host] = origin
	}
	dialect, err := v.Dialect(c)
	if err != nil {
		return nil, fmt.Errorf("credentials of %s: %w", v.Name, err)
	}
	return &Session{
		transport: t, venue: v, region: region, origins: origins, credentials: c, dialect: dialect,
		digest: c.Digest(v.Name), clock: t.clock(v.Name + "/" + region.Name),
	}, nil
}

// parseOrigin reads the URL that is asked in place of a declared one.
func parseOrigin(override, declared string) (*url.URL, error) {
	raw := declared
	if override != "" {
		raw = override
	}
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, errors.New("not an origin, such as https://example.com")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return nil, errors.New("credentials are sent over https, or to this machine")
	}
	u.Path = strings.TrimSuffix(u.Path, "/")
	return u, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (t *Transport) clock(name string) *clock {
	t.mu.Lock()
	defer t.mu.Unlock()
	c, found := t.clocks[name]
	if !found {
		c = &clock{}
		t.clocks[name] = c
	}
	return c
}

// strike counts one more refusal in a row under a key and returns how many there
// were before.
func (t *Transport) strike(key string) int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := t.strikes[key]
	t.strikes[key] = min(n+1, 20)
	return n
}

// forgive forgets the refusals under a key.
func (t *Transport) forgive(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.strikes, key)
}
