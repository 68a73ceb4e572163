package webhook_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/chains/guard"
	"tallyd/indexer"
	"tallyd/migrations"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/secret"
)

// childVariable makes this test program a daemon that only sends: on the database
// its value names, until its input ends.
const childVariable = "TALLYD_TEST_SENDER"

// stopVariable makes that daemon stop itself, once, at the commit boundary its
// value names.
const stopVariable = "TALLYD_TEST_STOP"

// TestMain runs the tests, or the daemon a test has started this program for.
func TestMain(m *testing.M) {
	if url, child := os.LookupEnv(childVariable); child {
		if err := sendOnly(url, os.Getenv(stopVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

// patience is how long anything may take that happens by itself.
const patience = time.Minute

// realm is the tenant's that every test has.
var realm = indexer.Realm{Tenant: "default", Environment: chains.Test}

// bench is a database with events, and dispatchers that empty it.
type bench struct {
	testing.TB
	*store.Store
	url    string
	pool   *pgxpool.Pool // for what no port offers
	number uuid.UUID     // who numbers the events
}

func newBench(t testing.TB) *bench {
	t.Helper()
	return openBench(t, newDatabase(t))
}

// newDatabase returns the URL of a migrated database of the test's own.
func newDatabase(t testing.TB) string {
	t.Helper()
	digest := sha256.New()
	names, err := fs.Glob(migrations.Files, "*.sql")
	require.NoError(t, err)
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		require.NoError(t, err)
		digest.Write(text)
	}
	return embedded.TestDatabaseFrom(t, "webhook"+hex.EncodeToString(digest.Sum(nil)), migrate)
}

func migrate(ctx context.Context, url string) error {
	_, err := store.Migrate(ctx, store.Options{URL: url, Log: zerolog.Nop()})
	return err
}

func openBench(t testing.TB, url string) *bench {
	t.Helper()
	b := &bench{TB: t, url: url, number: uuid.New()}
	b.Store = b.open()
	var err error
	b.pool, err = pgxpool.New(b.Context(), url)
	require.NoError(b, err)
	b.Cleanup(b.pool.Close)
	return b
}

// open returns another store of the same database, as another process has.
func (b *bench) open() *store.Store {
	b.Helper()
	s, err := store.Open(b.Context(), options(b.url))
	require.NoError(b, err)
	b.Cleanup(s.Close)
	return s
}

// happen writes one event for each resource, in their order, and numbers them.
func (b *bench) happen(kind string, resources ...string) {
	b.Helper()
	require.NoError(b, b.write(kind, resources))
	b.numbered()
}

// happenLater writes events one commit after the other, in its own goroutine, and
// leaves the numbering to others.
func (b *bench) happenLater(kind string, resources []string) {
	for ; len(resources) > 0; resources = resources[min(100, len(resources)):] {
		if err := b.write(kind, resources[:min(100, len(resources))]); err != nil {
			b.Error(err)
			return
		}
	}
}

func (b *bench) write(kind string, resources []string) error {
	_, err := b.pool.Exec(b.Context(), `INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
		SELECT $1, $2, $3, 'btc', r.id, r.n, jsonb_build_object('n', r.n, 'note', 'a < b & "c"', 'amount', '115792089237316195423570985008687907853269984665640564039457584007913129639935')
		FROM unnest($4::text[]) WITH ORDINALITY AS r (id, n) ORDER BY r.n`, realm.Tenant, string(realm.Environment), kind, resources)
	return err
}

// numbered gives every event its number.
func (b *bench) numbered() {
	b.Helper()
	for {
		n, err := b.Number(b.Context(), b.number, 1000)
		require.NoError(b, err)
		if n == 0 {
			return
		}
	}
}

// many returns n resources.
func many(n int) []string {
	resources := make([]string, n)
	for i := range resources {
		resources[i] = "r" + hex.EncodeToString([]byte{byte(i >> 16), byte(i >> 8), byte(i)})
	}
	return resources
}

// endpoint makes an endpoint, after edit has had its say, and returns it with its
// secret.
func (b *bench) endpoint(url string, edit func(*webhook.Endpoint)) (webhook.Endpoint, string) {
	b.Helper()
	e := webhook.Endpoint{ID: uuid.New(), Realm: realm, URL: url, Concurrency: webhook.DefaultConcurrency}
	if edit != nil {
		edit(&e)
	}
	key := webhook.NewKey()
	made, err := b.CreateEndpoint(b.Context(), e, key)
	require.NoError(b, err)
	return made, webhook.Text(key)
}

// dispatch runs a dispatcher until the test ends, or stop is called.
func (b *bench) dispatch(edit func(*webhook.Config)) (d *webhook.Dispatcher, stop func()) {
	b.Helper()
	cfg := webhook.Config{Outbox: b.Store, Client: client(), Refused: guard.ErrRefused, Owner: uuid.New(), Agent: "tallyd/test", Log: zerolog.Nop()}
	if edit != nil {
		edit(&cfg)
	}
	d = webhook.New(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.Run(ctx)
		cfg.Client.CloseIdleConnections()
	}()
	stop = func() {
		cancel()
		<-ended
	}
	b.Cleanup(stop)
	return d, stop
}

// client is the guarded client with loopback let through.
func client() *http.Client {
	rules := guard.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	return guard.New(rules).Client(guard.ClientOptions{Body: 16 << 10, Conns: 512})
}

// receiver is a server that takes deliveries.
func receiver(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

// hang answers nothing until the client goes away.
func hang(_ http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // else nobody looks whether it has gone
	<-r.Context().Done()
}

// eventually waits until done is true, in the test's own goroutine.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.NewTimer(patience)
	defer end.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-end.C:
			require.Fail(t, "not in time: "+what)
		}
	}
}

// states counts an endpoint's deliveries by state.
func (b *bench) states(e webhook.Endpoint) map[webhook.State]int {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), `
		SELECT CASE WHEN lease IS NOT NULL THEN 'sending' WHEN rung > 0 THEN 'retrying' ELSE 'waiting' END, count(*)
		FROM deliveries WHERE endpoint_id = $1 GROUP BY 1
		UNION ALL SELECT state, count(*) FROM delivery_history WHERE endpoint_id = $1 GROUP BY 1`, e.ID)
	require.NoError(b, err)
	counts := map[webhook.State]int{}
	var state webhook.State
	var count int
	_, err = pgx.ForEachRow(rows, []any{&state, &count}, func() error {
		counts[state] = count
		return nil
	})
	require.NoError(b, err)
	return counts
}

// settled waits until an endpoint's deliveries are n in one state.
func (b *bench) settled(e webhook.Endpoint, state webhook.State, n int) {
	b.Helper()
	eventually(b, string(state), func() bool { return b.states(e)[state] == n })
}

// keyset is what every process of the tests seals with.
const keyset = `{"primaryKeyId":1,"key":[{"keyData":{"typeUrl":"type.googleapis.com/google.crypto.tink.AesGcmKey",` +
	`"value":"GiAAAQIDBAUGBwgJCgsMDQ4PEBESExQVFhcYGRobHB0eHw==","keyMaterialType":"SYMMETRIC"},"status":"ENABLED","keyId":1,"outputPrefixType":"TINK"}]}`

func options(url string) store.Options {
	secrets, err := secret.Parse(keyset)
	if err != nil {
		panic(err)
	}
	return store.Options{URL: url, MaxConns: 8, Secrets: secrets, Log: zerolog.Nop()}
}
