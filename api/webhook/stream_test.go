package webhook_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/api/webhook"
	"tallyd/indexer"
)

// feed is numbered events in memory, and counts what it is asked.
type feed struct {
	mu     sync.Mutex
	events []indexer.Event
	looks  map[indexer.Realm]int // EventsAfter
	asks   int                   // LastNumber
	takes  time.Duration         // EventsAfter
	past   int64                 // events of every realm that there were before all of these
	down   error
}

// happen numbers an event of a realm.
func (f *feed) happen(realm indexer.Realm, size int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.events = append(f.events, indexer.Event{
		Seq: f.past + int64(len(f.events)+1), ID: uuid.New(), Realm: realm, Type: "transfer.confirmed", ResourceID: "r",
		Data: []byte(`"` + strings.Repeat("x", size) + `"`),
	})
}

func (f *feed) EventsAfter(ctx context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error) {
	f.mu.Lock()
	takes := f.takes
	f.looks[realm]++
	f.mu.Unlock()
	select {
	case <-time.After(takes):
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var found []indexer.Event
	for after < f.past && len(found) < limit {
		after++
		found = append(found, indexer.Event{Seq: after, Realm: realm, Type: "account.synced"})
	}
	for _, e := range f.events {
		if e.Realm == realm && e.Seq > after && len(found) < limit {
			found = append(found, e)
		}
	}
	return found, f.down
}

func (f *feed) last() int64 { return f.past + int64(len(f.events)) }

func (f *feed) LastNumber(context.Context) (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asks++
	return f.last(), f.down
}

func (f *feed) NumberedRealms(_ context.Context, after, last int64) ([]indexer.Realm, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	seen := map[indexer.Realm]bool{}
	var realms []indexer.Realm
	for _, e := range f.events {
		if e.Seq > after && e.Seq <= last && !seen[e.Realm] {
			seen[e.Realm] = true
			realms = append(realms, e.Realm)
		}
	}
	return realms, f.down
}

// asked returns what was asked since the last time.
func (f *feed) asked() (looks map[indexer.Realm]int, asks int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	looks, asks = f.looks, f.asks
	f.looks, f.asks = map[indexer.Realm]int{}, 0
	return looks, asks
}

// ring is one key, which can change.
type ring struct {
	access.Requests // nobody writes
	access.Replays

	mu  sync.Mutex
	key access.Key
}

func (r *ring) change(edit func(*access.Key)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	edit(&r.key)
	r.key.Version++
}

func (r *ring) KeyByID(_ context.Context, id string) (access.Key, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id != r.key.ID {
		return access.Key{}, indexer.ErrNotFound
	}
	return r.key, nil
}

// Record implements access.Requests: refusals are not looked at.
func (*ring) Record(context.Context, access.Entry) error { return nil }

func (*ring) TouchKeys(context.Context, map[string]time.Time) error { return nil }

func (r *ring) KeysChanged(context.Context) (map[string]int64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return map[string]int64{r.key.ID: r.key.Version}, nil
}

// hall is a stream behind a gate, in a bubble.
type hall struct {
	*testing.T
	*feed
	*ring

	text   string // of the key
	stream *webhook.Stream
	end    context.CancelFunc // of the stream
	mux    *http.ServeMux
}

func newHall(t *testing.T) *hall {
	t.Helper()
	h := &hall{T: t, feed: &feed{looks: map[indexer.Realm]int{}}, ring: &ring{}, mux: http.NewServeMux()}
	pepper := access.Pepper("0123456789abcdef")
	var err error
	h.key, h.text, err = access.NewKey(pepper, access.Request{Realm: realm, Owner: "o", Name: "n", Scopes: []string{"events:read"}}, time.Now())
	require.NoError(t, err)
	h.key.LastUsedAt = &h.key.CreatedAt
	tokens, err := access.NewTokens(make([]byte, 32), nil)
	require.NoError(t, err)
	gate, err := access.NewGate(access.Config{
		Keys: h.ring, Changed: h.ring, Requests: h.ring, Replays: h.ring, Pepper: pepper, Tokens: tokens, Master: master, Environment: realm.Environment,
	})
	require.NoError(t, err)
	doc := huma.DefaultConfig("test", "1")
	problem.Install(&doc)
	h.stream = webhook.NewStream(h.feed)
	h.stream.Mount(humago.New(h.mux, doc), gate, webhook.Types())
	h.end = h.run(func(ctx context.Context) { _ = h.stream.Run(ctx, zerolog.Nop()) })
	h.run(func(ctx context.Context) { _ = gate.Run(ctx, zerolog.Nop()) })
	synctest.Wait()
	return h
}

// run runs something until the test ends, or until what it returns is called.
func (h *hall) run(what func(context.Context)) context.CancelFunc {
	ctx, cancel := context.WithCancel(h.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		what(ctx)
	}()
	h.Cleanup(func() {
		cancel()
		<-ended
	})
	return cancel
}

// guest is somebody who reads a stream.
type guest struct {
	http.ResponseWriter // that of the status and the headers

	slow time.Duration // each thing it is sent takes it so long
	gone context.CancelFunc
	done chan struct{} // closed when the stream has ended

	mu      sync.Mutex
	text    string // the first thing it was sent
	numbers []int64
}

func (g *guest) Write(b []byte) (int, error) {
	if g.slow > 0 {
		<-time.After(g.slow)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.text == "" {
		g.text = string(b)
	}
	for line := range bytes.Lines(b) {
		if text, is := bytes.CutPrefix(line, []byte("id: ")); is {
			n, _ := strconv.ParseInt(string(bytes.TrimSpace(text)), 10, 64)
			g.numbers = append(g.numbers, n)
		}
	}
	return len(b), nil
}

// Flush implements http.Flusher.
func (*guest) Flush() {}

func (g *guest) status() int { return g.ResponseWriter.(*httptest.ResponseRecorder).Code }

// got returns the numbers that came.
func (g *guest) got() []int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.numbers)
}

// over reports whether the stream has ended.
func (g *guest) over() bool {
	select {
	case <-g.done:
		return true
	default:
		return false
	}
}

// visit opens a stream. Headers come as name, value pairs.
func (h *hall) visit(slow time.Duration, after int64, headers ...string) *guest {
	g := &guest{ResponseWriter: httptest.NewRecorder(), slow: slow, done: make(chan struct{})}
	ctx, cancel := context.WithCancel(h.Context())
	g.gone = cancel
	r := httptest.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s?after=%d", webhook.StreamPath, after), nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	go func() {
		defer close(g.done)
		h.mux.ServeHTTP(g, r)
	}()
	h.Cleanup(func() {
		cancel()
		<-g.done
	})
	return g
}

func pass(d time.Duration) { <-time.After(d) }

// endless is more events than anybody reads in a test.
const endless = 1 << 40

// A stream opens nothing to a key that has ended, whether it waits or has much to
// tell.
func TestStreamEndsWithItsKey(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*access.Key){
		"Revoked":      func(key *access.Key) { key.RevokedAt = new(time.Now()) },
		"Expired":      func(key *access.Key) { key.ExpiresAt = new(time.Now()) },
		"AnotherScope": func(key *access.Key) { key.Scopes = []string{"users:read"} },
	} {
		for _, past := range []int64{0, endless} {
			t.Run(fmt.Sprint(name, past), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newHall(t)
					h.past, h.takes = past, 100*time.Millisecond
					g := h.visit(0, 0, "X-API-Key", h.text)
					pass(2 * time.Second)
					require.False(t, g.over())
					h.change(end)
					pass(time.Second)
					was := len(g.got())
					pass(time.Second)
					require.True(t, g.over())
					require.Len(t, g.got(), was, "nothing is told a second after")
					refused := h.visit(0, 0, "X-API-Key", h.text)
					<-refused.done
					require.GreaterOrEqual(t, refused.status(), http.StatusUnauthorized)
				})
			})
		}
	}
}

// A key that ends at a time ends its streams then.
func TestStreamEndsWhenItsKeyExpires(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		h.change(func(key *access.Key) { key.ExpiresAt = new(time.Now().Add(time.Hour)) })
		g := h.visit(0, 0, "X-API-Key", h.text)
		pass(time.Hour - time.Millisecond)
		require.False(t, g.over())
		pass(time.Second)
		require.True(t, g.over())
	})
}

// A daemon that stops waits for no stream, also for none that has much to tell, and a
// reader that went leaves nothing behind.
func TestStreamsEnd(t *testing.T) {
	t.Parallel()
	for _, past := range []int64{0, endless} {
		t.Run(strconv.FormatInt(past, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				h := newHall(t)
				h.past, h.takes = past, 100*time.Millisecond
				guests := make([]*guest, webhook.StreamsOfRealm)
				for i := range guests {
					guests[i] = h.visit(0, 0, "X-API-Key", h.text)
				}
				pass(time.Second)
				guests[0].gone()
				pass(time.Second)
				require.True(t, guests[0].over())
				require.False(t, guests[1].over())
				h.end()
				pass(time.Second)
				for _, g := range guests {
					require.True(t, g.over())
				}
			})
		})
	}
}

// Nobody holds every connection: a tenant and environment has so many streams, and a
// process.
func TestStreamsAreFew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		visit := func(tenant int) *guest { return h.visit(0, 0, "X-API-Key", master, "X-Tenant", strconv.Itoa(tenant)) }
		refused := func(tenant int) {
			g := visit(tenant)
			<-g.done
			require.Equal(t, http.StatusTooManyRequests, g.status())
			require.Equal(t, "5", g.Header().Get("Retry-After"))
			require.Contains(t, g.text, `"code":"too_many_streams"`)
		}
		first := visit(0)
		for range webhook.StreamsOfRealm - 1 {
			visit(0)
		}
		synctest.Wait()
		refused(0)
		first.gone()
		<-first.done
		visit(0)
		synctest.Wait()
		refused(0)

		var last *guest
		for i := webhook.StreamsOfRealm; i < webhook.StreamsInAll; i++ {
			last = visit(i / webhook.StreamsOfRealm)
		}
		synctest.Wait()
		refused(webhook.StreamsInAll)
		last.gone()
		<-last.done
		require.False(t, visit(webhook.StreamsInAll).over())
	})
}

// What the store is asked does not grow with the readers, nor with the numberings: an
// event is read once for all readers of its realm, and by no others.
func TestReadersShareWhatIsRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		other := indexer.Realm{Tenant: "other", Environment: realm.Environment}
		var guests []*guest
		for range webhook.StreamsOfRealm {
			guests = append(guests, h.visit(0, 0, "X-API-Key", h.text))
		}
		h.visit(0, 0, "X-API-Key", master, "X-Tenant", other.Tenant)
		pass(5 * time.Second)

		h.asked()
		pass(time.Minute)
		looks, asks := h.asked()
		require.Empty(t, looks, "nothing happens")
		require.LessOrEqual(t, asks, 60)

		h.happen(realm, 10)
		h.stream.Wake()
		pass(50 * time.Millisecond)
		looks, _ = h.asked()
		require.Equal(t, map[indexer.Realm]int{realm: 1}, looks)
		for _, g := range guests {
			require.Equal(t, []int64{1}, g.got())
		}

		for range 300 {
			h.happen(realm, 10)
			h.stream.Wake()
			pass(time.Millisecond)
		}
		pass(time.Second)
		looks, asks = h.asked()
		require.Less(t, asks, 25, "numberings close together are one")
		require.Len(t, looks, 1)
		require.Less(t, looks[realm], 25)
		for _, g := range guests {
			require.Len(t, g.got(), 301)
		}

		for range 600 { // what a tail keeps
			h.happen(realm, 10)
		}
		h.stream.Wake()
		pass(50 * time.Millisecond)
		looks, _ = h.asked()
		require.Equal(t, map[indexer.Realm]int{realm: 2}, looks, "batches of 500")
		for _, g := range guests {
			require.Len(t, g.got(), 901)
		}

		h.happen(other, 10)
		pass(1100 * time.Millisecond)
		looks, _ = h.asked()
		require.Equal(t, map[indexer.Realm]int{other: 1}, looks, "another process numbered it")
	})
}

// A store that does not answer costs its streams an end or a wait, and no event.
func TestStreamsHearAgain(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newHall(t)
		g := h.visit(0, 0, "X-API-Key", h.text)
		pass(2 * time.Second)
		h.feed.mu.Lock()
		h.down = errors.New("away")
		h.feed.mu.Unlock()
		h.happen(realm, 10)
		pass(5 * time.Second)
		require.False(t, g.over())
		h.feed.mu.Lock()
		h.down = nil
		h.feed.mu.Unlock()
		pass(2 * time.Second)
		require.Equal(t, []int64{1}, g.got())
	})
}

// Whoever begins wherever, and reads however slowly, gets every event of its realm
// behind its beginning once, in order.
func TestStreamModel(t *testing.T) {
	t.Parallel()
	for seed := range uint64(4) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // a test that can be repeated
				h := newHall(t)
				h.takes = time.Duration(random.IntN(30)) * time.Millisecond
				realms := []indexer.Realm{realm, {Tenant: "other", Environment: realm.Environment}, {Tenant: "third", Environment: realm.Environment}}
				type visit struct {
					*guest
					realm indexer.Realm
					after int64
				}
				var visits []visit
				for range 200 {
					switch random.IntN(10) {
					case 0:
						v := visit{realm: realms[random.IntN(2)], after: random.Int64N(int64(len(h.events) + 1))}
						v.guest = h.visit(time.Duration(random.IntN(2)*random.IntN(3000))*time.Millisecond, v.after,
							"X-API-Key", master, "X-Tenant", v.realm.Tenant)
						visits = append(visits, v)
					case 1:
						burst := random.IntN(3)
						for range random.IntN(1200) {
							h.happen(realms[burst], 10)
						}
					case 2, 3, 4:
						h.happen(realms[random.IntN(4)/3], 90<<10) // of which a tail keeps two
					default:
						h.happen(realms[random.IntN(3)], 10)
					}
					if random.IntN(2) == 0 {
						h.stream.Wake()
					}
					pass(time.Duration(random.IntN(100)) * time.Millisecond)
				}
				pass(2 * time.Minute)
				for _, v := range visits {
					var want []int64
					for _, e := range h.events {
						if e.Realm == v.realm && e.Seq > v.after {
							want = append(want, e.Seq)
						}
					}
					if !v.over() || v.status() == http.StatusOK {
						require.Equal(t, want, v.got())
					}
				}
				require.NotEmpty(t, visits)
			})
		})
	}
}
