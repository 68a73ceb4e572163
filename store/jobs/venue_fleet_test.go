package jobs_test

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/chains/venue/bitmart"
	"tallyd/chains/venue/htx"
	"tallyd/chains/venue/identity"
	"tallyd/chains/venue/kraken"
	"tallyd/chains/venue/venuetest"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/jobs"
	"tallyd/store/secret"
	"tallyd/store/synccache"
)

// often is a schedule for tests, which have no minutes.
type often time.Duration

func (o often) Next(t time.Time) time.Time { return t.Add(time.Duration(o)) }

// unbounded are the budgets of venues without their limits, which would make a
// history last for minutes: only that a venue told us to wait counts.
type unbounded struct{ venue.Budgets }

func (u unbounded) Take(ctx context.Context, key string, _ venue.Budget, cost int) (time.Duration, error) {
	return u.Budgets.Take(ctx, key, venue.Budget{}, cost)
}

// market is the venues' side of all logins: a world for each key, and who asks it.
type market struct {
	mu     sync.Mutex
	worlds map[string]http.RoundTripper // by key; guarded by mu
	busy   map[string]int               // requests under way by key; guarded by mu
	beside int                          // requests that were under way beside another of their key; guarded by mu
	gate   func(r *http.Request)        // holds requests up; nil does not; set before the first
}

// RoundTrip asks the world of the key that a request carries.
func (m *market) RoundTrip(r *http.Request) (*http.Response, error) {
	key := cmp.Or(r.Header.Get("API-Key"), r.Header.Get("X-BM-KEY"), r.URL.Query().Get("AccessKeyId"), "of "+strings.Split(r.URL.Host, ".")[1])
	m.mu.Lock()
	world, gate := m.worlds[key], m.gate
	m.busy[key]++
	if m.busy[key] > 1 && !strings.HasPrefix(key, "of ") {
		m.beside++
	}
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		m.busy[key]--
		m.mu.Unlock()
	}()
	if gate != nil {
		gate(r)
	}
	return world.RoundTrip(r)
}

// open makes the world of a key.
func (m *market) open(name, key string) *venuetest.World {
	world := venuetest.NewWorld()
	handler := map[string]func(*venuetest.World) http.Handler{
		"kraken": venuetest.Kraken, "bitmart": venuetest.BitMart,
		"htx": func(w *venuetest.World) http.Handler { return venuetest.HTX(w, false) },
	}[name](world)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.worlds[key] = world.Wire(handler).Transport
	host := map[string]string{"kraken": "kraken", "bitmart": "bitmart", "htx": "huobi"}[name]
	if m.worlds["of "+host] == nil {
		m.worlds["of "+host] = m.worlds[key] // the clock of the venue
	}
	return world
}

// fleet is a number of daemons that read the venues of a market.
type fleet struct {
	*store.Store
	t      testing.TB
	market *market
	realm  indexer.Realm
	user   uuid.UUID
	conns  indexer.VenueConnections
	look   func(ctx context.Context) error
	owner  uuid.UUID
}

type fleetOptions struct {
	failpoint func(name string) error
	daemons   int // 0 is 1
	pooler    string
	lease     time.Duration          // of an account; 0 is that of the poller
	bounded   bool                   // by the budgets that the venues declare
	workers   int                    // turns at once; 0 is 8
	schedule  *indexer.VenueSchedule // nil is every three seconds
}

// newFleet starts daemons on one database and one Redis.
func newFleet(t testing.TB, opts fleetOptions) *fleet {
	t.Helper()
	ctx := t.Context()
	url := embedded.TestDatabase(t)
	_, err := store.Migrate(ctx, store.Options{URL: url})
	require.NoError(t, err)
	text, err := secret.New()
	require.NoError(t, err)
	keys, err := secret.Parse(text)
	require.NoError(t, err)
	f := &fleet{t: t, market: &market{worlds: map[string]http.RoundTripper{}, busy: map[string]int{}}, user: uuid.New(), owner: uuid.New()}
	redis := embedded.TestRedis(t)
	for range max(1, opts.daemons) {
		f.start(store.Options{URL: url, Secrets: keys, Failpoint: opts.failpoint, Pooler: opts.pooler}, redis, opts)
	}
	f.realm = indexer.Realm{Tenant: "t", Environment: chains.Live}
	require.NoError(t, f.CreateTenant(ctx, access.Tenant{ID: "t", Name: "t"}))
	require.NoError(t, f.CreateUser(ctx, indexer.User{ID: f.user, Realm: f.realm, Name: "u", CreatedAt: time.Now()}))
	return f
}

func venues() map[string]venue.Venue {
	return map[string]venue.Venue{"kraken": kraken.Venue(), "bitmart": bitmart.Venue(), "htx": htx.Venue()}
}

// start starts one daemon. The last one is the one that tests look through.
func (f *fleet) start(at store.Options, redis string, opts fleetOptions) {
	t, ctx := f.t, f.t.Context()
	t.Helper()
	s, err := store.Open(ctx, at)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	cache, err := synccache.New(redis, s, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cache.Close()) })
	var budgets venue.Budgets = unbounded{cache.Budgets()}
	if opts.bounded {
		budgets = cache.Budgets()
	}
	schedule := indexer.VenueSchedule{Balances: often(3 * time.Second), History: often(3 * time.Second)}
	if opts.schedule != nil {
		schedule = *opts.schedule
	}
	transport := venue.NewTransport(venue.TransportOptions{
		HTTP: &http.Client{Transport: f.market}, UserAgent: "tallyd-test", Budgets: budgets, Nonces: s.Nonces(), Patience: 2 * time.Second,
	})
	table, err := identity.Load()
	require.NoError(t, err)
	poller := &indexer.Poller{
		Venues: venues(), Open: transport.Open, Streams: s, Assets: table, Wrote: func() {}, Retry: 50 * time.Millisecond, Lease: opts.lease, Log: zerolog.Nop(),
		Schedule: func(string) indexer.VenueSchedule { return schedule },
	}
	client, err := jobs.New(jobs.Config{
		Pool: s.Pool(), PollOnly: s.PollOnly(), Searches: patient{s}, Log: zerolog.Nop(), Visit: poller.Visit, VenueWorkers: cmp.Or(opts.workers, 8),
		Search: func(context.Context, string) error { return nil },
	})
	require.NoError(t, err)
	poller.Enqueue = client.EnqueueTurns
	require.NoError(t, client.Start(ctx))
	t.Cleanup(func() { require.NoError(t, client.Stop(context.WithoutCancel(ctx))) })
	f.Store, f.look = s, poller.Look
	f.conns = indexer.VenueConnections{
		Venues: venues(), Open: transport.Open, Accounts: s,
		Read: func(ctx context.Context, account uuid.UUID) {
			_ = client.EnqueueTurns(ctx, []indexer.DueStream{{Account: account}})
		},
	}
}

// credentials are what the worlds know of a key.
func credentials(name, key string) venue.Credentials {
	fields := map[string]string{venue.FieldKey: key, venue.FieldSecret: "test-api-secret"}
	switch name {
	case "kraken":
		fields[venue.FieldSecret] = base64.StdEncoding.EncodeToString([]byte("test-api-secret"))
	case "bitmart":
		fields[venue.FieldMemo] = "test-memo"
	}
	return venue.NewCredentials(fields)
}

// connect connects a login whose world is prepared.
func (f *fleet) connect(name, key string) uuid.UUID {
	f.t.Helper()
	account, err := f.conns.Connect(f.t.Context(), indexer.VenueConnecting{
		Realm: f.realm, User: f.user, Venue: name, Credentials: credentials(name, key), Acknowledged: true,
	})
	require.NoError(f.t, err)
	return account.ID
}

// until looks what is due until done is true.
func (f *fleet) until(what string, done func() bool) {
	f.t.Helper()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(90 * time.Second)
	defer end.Stop()
	for !done() {
		require.NoError(f.t, f.look(f.t.Context()))
		select {
		case <-tick.C:
		case <-end.C:
			require.Fail(f.t, "not in time: "+what)
		}
	}
}

func (f *fleet) state(account uuid.UUID) indexer.VenueState {
	f.t.Helper()
	got, err := f.VenueAccount(f.t.Context(), f.realm, account)
	require.NoError(f.t, err)
	return got.State
}

// read reports whether all histories of an account were read to their end and its
// balances stand.
func (f *fleet) read(account uuid.UUID) bool {
	f.t.Helper()
	state := f.state(account)
	for _, h := range state.Histories {
		if h.Status != indexer.HistoryComplete {
			return false
		}
	}
	streams := map[string]int{"kraken": 3, "bitmart": 4, "htx": 3}
	got, err := f.VenueAccount(f.t.Context(), f.realm, account)
	require.NoError(f.t, err)
	return state.Status == indexer.StateLevel && len(state.Histories) == streams[got.Venue]
}

// movements returns all rows of an account by stream and the venue's id.
func (f *fleet) movements(account uuid.UUID) map[string]indexer.VenueMovement {
	f.t.Helper()
	found := map[string]indexer.VenueMovement{}
	filter := indexer.VenueMovementFilter{Accounts: []uuid.UUID{account}, Limit: 100}
	for {
		page, err := f.VenueMovements(f.t.Context(), f.realm, filter)
		require.NoError(f.t, err)
		for _, m := range page {
			at := string(m.Stream) + " " + m.Movement.ID
			require.NotContains(f.t, found, at, "a row is there twice")
			found[at] = m
		}
		if len(page) < filter.Limit {
			return found
		}
		last := page[len(page)-1]
		filter.After = &indexer.VenueMovementCursor{Time: last.Time, ID: last.ID}
	}
}

// whole checks that an account has each row of its world once.
func (f *fleet) whole(account uuid.UUID, world *venuetest.World) {
	f.t.Helper()
	got, want := f.movements(account), 0
	for _, stream := range []venue.Stream{venue.Deposits, venue.Withdrawals, venue.Trades, venue.Ledger, venue.Transfers} {
		for _, row := range world.Rows(stream) {
			want++
			m, found := got[string(stream)+" "+row.ID]
			require.True(f.t, found, "%s %s is lost", stream, row.ID)
			require.Equal(f.t, row.At.Unix(), m.Time.Unix())
		}
	}
	require.Len(f.t, got, want, "rows that never happened")
}

// types returns the types of events in their order.
func (f *fleet) types() []string {
	f.t.Helper()
	ctx := f.t.Context()
	for {
		n, err := f.Number(ctx, f.owner, 1000)
		require.NoError(f.t, err)
		if n == 0 {
			break
		}
	}
	events, err := f.EventsAfter(ctx, f.realm, 0, 100_000)
	require.NoError(f.t, err)
	var types []string
	for _, e := range events {
		types = append(types, e.Type)
	}
	return types
}

// populate gives a world a past: something long ago, then nothing, some rows close
// together that are more than a page, and something today.
func populate(world *venuetest.World, streams []venue.Stream, burst int) {
	now := time.Now().UTC().Truncate(time.Second)
	for _, stream := range streams {
		n := 0
		add := func(at time.Time) {
			n++
			amount := fmt.Sprintf("%d.5", n)
			if stream == venue.Withdrawals {
				amount = "-" + amount
			}
			world.Happen(stream, venuetest.Row{
				ID: fmt.Sprintf("%d%05d", 10+len(stream), n), At: at, Code: "BTC", Amount: amount, TxHash: fmt.Sprintf("%064x", int(stream[0])<<20+n),
			})
		}
		add(now.Add(-150 * 24 * time.Hour))
		for i := range burst {
			add(now.Add(-40*24*time.Hour + time.Duration(i)*7*time.Second))
		}
		for i := range 3 {
			add(now.Add(-time.Duration(i+1) * time.Hour))
		}
	}
}

// streamsOf are the streams of a venue's world.
func streamsOf(name string) []venue.Stream {
	return map[string][]venue.Stream{
		"kraken":  {venue.Deposits, venue.Withdrawals, venue.Ledger},
		"bitmart": {venue.Deposits, venue.Withdrawals, venue.Trades, venue.Ledger},
		"htx":     {venue.Deposits, venue.Withdrawals, venue.Transfers},
	}[name]
}
