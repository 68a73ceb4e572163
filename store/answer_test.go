package store_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/secret"
)

func newKeyset(t testing.TB) *secret.Keyset {
	t.Helper()
	text, err := secret.New()
	require.NoError(t, err)
	keyset, err := secret.Parse(text)
	require.NoError(t, err)
	return keyset
}

// office is a realm whose requests are carried out.
type office struct {
	*store.Store
	realm indexer.Realm
	url   string
}

func newOffice(t testing.TB, opts store.Options) *office {
	t.Helper()
	if opts.URL == "" {
		opts.URL = newDatabase(t)
	}
	if opts.Secrets == nil {
		opts.Secrets = newKeyset(t)
	}
	o := &office{Store: openStore(t, opts), realm: indexer.Realm{Tenant: uuid.NewString()[:8], Environment: chains.Test}, url: opts.URL}
	require.NoError(t, o.CreateTenant(t.Context(), access.Tenant{ID: o.realm.Tenant, Name: "n"}))
	return o
}

func (o *office) entry(caller string) access.Entry {
	return access.Entry{
		Realm: o.realm, Caller: caller, RequestID: uuid.New(), Method: "POST", Route: "/v1/users", Path: "/v1/users",
		Address: netip.MustParseAddr("192.0.2.7"),
	}
}

func once(key, body string) *access.Once {
	return &access.Once{Key: key, Fingerprint: sha256.Sum256([]byte(body))}
}

// add returns a request that adds a user of a name.
func (o *office) add(t require.TestingT, name string) func(context.Context) access.Answer {
	return func(ctx context.Context) access.Answer {
		require.NoError(t, o.CreateUser(ctx, indexer.User{ID: uuid.New(), Realm: o.realm, Name: name, CreatedAt: time.Now()}))
		return access.Answer{Status: 201, ContentType: "application/json", Body: []byte(`{"made":"` + name + `"}`)}
	}
}

func refused(context.Context) access.Answer {
	return access.Answer{Status: 404, ContentType: "application/problem+json", Body: []byte(`{}`), Code: "not_found"}
}

// names returns the names of the users there are, oldest first.
func (o *office) names(t require.TestingT, ctx context.Context) []string { //nolint:revive // a test comes first here
	users, err := o.Users(ctx, o.realm)
	require.NoError(t, err)
	names := []string{}
	for _, u := range users {
		names = append(names, u.Name)
	}
	return names
}

// audited returns the entries there are, oldest first, without their times.
func (o *office) audited(t require.TestingT, ctx context.Context) []access.Entry { //nolint:revive // a test comes first here
	entries, err := o.Entries(ctx, o.realm, "", 0, 10_000)
	require.NoError(t, err)
	var list []access.Entry
	for i := len(entries) - 1; i >= 0; i-- {
		entries[i].ID, entries[i].At = 0, time.Time{}
		list = append(list, entries[i])
	}
	return list
}

// A request is carried out once for its caller, method and path; asked for again
// it has the answer it had.
func TestWriteOnce(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	entry := o.entry("k1")
	first, replayed, err := o.Write(ctx, entry, once("a", "body"), o.add(t, "ann"))
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, access.Answer{Status: 201, ContentType: "application/json", Body: []byte(`{"made":"ann"}`)}, first)

	again, replayed, err := o.Write(ctx, o.entry("k1"), once("a", "body"), func(context.Context) access.Answer {
		require.Fail(t, "it was carried out twice")
		return access.Answer{}
	})
	require.NoError(t, err)
	require.True(t, replayed)
	require.Equal(t, first, again)
	_, _, err = o.Write(ctx, o.entry("k1"), once("a", "other"), refused)
	require.ErrorIs(t, err, access.ErrOtherBody)
	entry.Status = 201
	require.Equal(t, []access.Entry{entry}, o.audited(t, ctx), "one line for one request")

	// Nobody else has made that request.
	for name, change := range map[string]func(*access.Entry){
		"caller":      func(e *access.Entry) { e.Caller = "k2" },
		"method":      func(e *access.Entry) { e.Method = "PUT" },
		"path":        func(e *access.Entry) { e.Path = "/v1/users/" },
		"environment": func(e *access.Entry) { e.Realm.Environment = chains.Live },
		"tenant":      func(e *access.Entry) { e.Realm.Tenant = "default" },
	} {
		entry := o.entry("k1")
		change(&entry)
		_, replayed, err := o.Write(ctx, entry, once("a", "other"), o.add(t, name))
		require.NoError(t, err, name)
		require.False(t, replayed, name)
	}
	// Where one part ends and the next begins is told apart.
	shifted := o.entry("k")
	shifted.Method = "1POST"
	_, replayed, err = o.Write(ctx, shifted, once("a", "other"), o.add(t, "shifted"))
	require.NoError(t, err)
	require.False(t, replayed)
	require.Len(t, o.names(t, ctx), 7)
}

// An answer of 400 or more takes everything back but its line in the log, and is
// not the answer for ever.
func TestWriteRefused(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	entry := o.entry("k")
	answer, replayed, err := o.Write(ctx, entry, once("a", "body"), func(ctx context.Context) access.Answer {
		o.add(t, "ann")(ctx)
		require.Equal(t, []string{"ann"}, o.names(t, ctx), "it sees what it wrote")
		require.Empty(t, o.names(t, t.Context()), "and nobody else does") //nolint:contextcheck // it looks from outside of the request
		return refused(ctx)
	})
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, refused(ctx), answer)
	require.Empty(t, o.names(t, ctx))
	entry.Status, entry.Code = 404, "not_found"
	require.Equal(t, []access.Entry{entry}, o.audited(t, ctx))

	_, replayed, err = o.Write(ctx, o.entry("k"), once("a", "better body"), o.add(t, "bob"))
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, []string{"bob"}, o.names(t, ctx))
}

// What a hostile request line holds is written down as far as it can be.
func TestEntriesAreStorable(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	entry := o.entry("k")
	entry.Path = "/\x00\xff" + strings.Repeat("x", 10_000)
	entry.Address = netip.MustParseAddr("::ffff:192.0.2.7")
	_, _, err := o.Write(ctx, entry, once("a", ""), o.add(t, "ann"))
	require.NoError(t, err)
	entry.Address = netip.MustParseAddr("fe80::1%eth0")
	require.NoError(t, o.Record(ctx, entry))
	entry.Address = netip.Addr{}
	require.NoError(t, o.Record(ctx, entry))
	list := o.audited(t, ctx)
	require.Len(t, list, 3)
	require.Less(t, len(list[0].Path), 2049)
	require.Equal(t, netip.MustParseAddr("192.0.2.7"), list[0].Address)
	require.Equal(t, netip.MustParseAddr("fe80::1"), list[1].Address)
	require.False(t, list[2].Address.IsValid())
}

// While a request runs, the same one is told so at once, and after that has its
// answer.
func TestWriteRunning(t *testing.T) {
	t.Parallel()
	for name, pooler := range map[string]string{"Session": store.PoolerSession, "Transaction": store.PoolerTransaction} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := newOffice(t, store.Options{Pooler: pooler})
			ctx := t.Context()
			running, end := make(chan struct{}), make(chan struct{})
			ended, add := make(chan error, 1), o.add(t, "ann")
			finish := sync.OnceFunc(func() { close(end) })
			defer finish() // also where the test fails: the pool waits for its connections
			go func() {
				_, _, err := o.Write(ctx, o.entry("k"), once("a", "body"), func(ctx context.Context) access.Answer {
					close(running)
					<-end
					return add(ctx)
				})
				ended <- err
			}()
			<-running
			for _, body := range []string{"body", "other"} {
				_, _, err := o.Write(ctx, o.entry("k"), once("a", body), refused)
				require.ErrorIs(t, err, access.ErrRunning)
			}
			_, _, err := o.Write(ctx, o.entry("k"), once("b", "body"), o.add(t, "bob"))
			require.NoError(t, err, "another key does not wait")
			finish()
			require.NoError(t, <-ended)
			_, replayed, err := o.Write(ctx, o.entry("k"), once("a", "body"), refused)
			require.NoError(t, err)
			require.True(t, replayed)
			require.ElementsMatch(t, []string{"ann", "bob"}, o.names(t, ctx))
		})
	}
}

// Of many calls with one key at once, one is carried out.
func TestWriteRace(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	for round := range 20 {
		key := uuid.NewString()
		var carried, replays, running atomic.Int32
		var wait sync.WaitGroup
		for range 8 {
			wait.Go(func() {
				_, replayed, err := o.Write(ctx, o.entry("k"), once(key, "body"), o.add(t, key))
				switch {
				case errors.Is(err, access.ErrRunning):
					running.Add(1)
				case err != nil:
					t.Error(err)
				case replayed:
					replays.Add(1)
				default:
					carried.Add(1)
				}
			})
		}
		wait.Wait()
		require.EqualValues(t, 1, carried.Load())
		require.EqualValues(t, 7, replays.Load()+running.Load())
		require.Len(t, o.names(t, ctx), round+1)
	}
}

// A request that dies at any boundary is carried out by the one that comes after,
// unless it was: then that one has its answer.
func TestWriteFaults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name      string
		at        string
		persisted bool // it was carried out although Write failed
	}{
		{name: "BeforeBegin", at: "request" + store.BeforeBegin},
		{name: "BeforeCommit", at: "request" + store.BeforeCommit},
		{name: "AfterCommit", at: "request" + store.AfterCommit, persisted: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var f fault
			o := newOffice(t, store.Options{Failpoint: f.fail})
			ctx := t.Context()
			f.arm(tt.at)
			_, _, err := o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
			require.ErrorIs(t, err, errFault)
			if !tt.persisted {
				require.Empty(t, o.names(t, ctx))
				require.Empty(t, o.audited(t, ctx))
			}
			answer, replayed, err := o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
			require.NoError(t, err)
			require.Equal(t, tt.persisted, replayed)
			require.Equal(t, 201, answer.Status)
			require.Equal(t, []string{"ann"}, o.names(t, ctx))
			require.Len(t, o.audited(t, ctx), 1)
		})
	}
}

// A process that dies in the middle takes its lock with it.
func TestWriteDies(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	_, _, err = o.Write(ctx, o.entry("k"), once("a", "body"), func(ctx context.Context) access.Answer {
		answer := o.add(t, "ann")(ctx)
		_, err := conn.Exec(ctx, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
			WHERE datname = current_database() AND state = 'idle in transaction'`)
		require.NoError(t, err)
		return answer
	})
	require.Error(t, err)
	require.Empty(t, o.names(t, ctx))
	_, replayed, err := o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, []string{"ann"}, o.names(t, ctx))
}

// A caller that hangs up loses its effect and leaves its line.
func TestWriteAbandoned(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx, hangUp := context.WithCancel(t.Context())
	_, _, err := o.Write(ctx, o.entry("k"), nil, func(ctx context.Context) access.Answer {
		o.add(t, "ann")(ctx)
		hangUp()
		return access.Answer{Status: 503, Code: "unavailable"}
	})
	require.NoError(t, err)
	require.Empty(t, o.names(t, t.Context()))
	list := o.audited(t, t.Context())
	require.Len(t, list, 1)
	require.Equal(t, "unavailable", list[0].Code)
}

func TestWriteRefusesMisuse(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	_, _, err := o.Write(ctx, o.entry("k"), nil, func(ctx context.Context) access.Answer {
		_, _, err := o.Write(ctx, o.entry("k"), nil, refused)
		require.ErrorContains(t, err, "within a request")
		return o.add(t, "ann")(ctx)
	})
	require.NoError(t, err)

	bare := openStore(t, store.Options{URL: o.url})
	_, _, err = bare.Write(ctx, o.entry("k"), once("a", ""), o.add(t, "bob"))
	require.ErrorIs(t, err, store.ErrNoKeyset)
	require.Equal(t, []string{"ann"}, o.names(t, ctx))
	// Without a key nothing is sealed.
	_, _, err = bare.Write(ctx, o.entry("k"), nil, o.add(t, "bob"))
	require.NoError(t, err)
}

// Kept answers may hold a secret that is shown once: the table shows none, and
// one opens under its own request alone.
func TestKeptAnswersAreSealed(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	for _, key := range []string{"a", "b"} {
		_, _, err := o.Write(ctx, o.entry("k"), once(key, "body"), o.add(t, "hunter2"))
		require.NoError(t, err)
	}
	var dump string
	require.NoError(t, conn.QueryRow(ctx, `SELECT string_agg(encode(sealed, 'escape'), '') FROM answers`).Scan(&dump))
	require.NotEmpty(t, dump)
	require.NotContains(t, dump, "hunter2")
	_, err = conn.Exec(ctx, `UPDATE answers AS a SET sealed = b.sealed FROM answers AS b WHERE a.id <> b.id`)
	require.NoError(t, err)
	_, _, err = o.Write(ctx, o.entry("k"), once("a", "body"), refused)
	require.ErrorContains(t, err, "open kept answer")
}

// Answers are kept for more than three days, signatures until their time; what
// runs is never swept.
func TestAnswersAreSwept(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	age := func(hours int) {
		t.Helper()
		_, err := conn.Exec(ctx, `UPDATE answers SET created_at = now() - make_interval(hours => $1)`, hours)
		require.NoError(t, err)
	}
	fresh := func(signature string, left time.Duration) bool {
		t.Helper()
		fresh, err := o.Fresh(ctx, []byte(signature), time.Now().Add(left))
		require.NoError(t, err)
		return fresh
	}
	_, _, err = o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
	require.NoError(t, err)
	require.True(t, fresh("over", -time.Second))
	require.True(t, fresh("good", time.Minute))
	age(72)
	require.NoError(t, o.Upkeep(ctx, time.Hour))
	_, replayed, err := o.Write(ctx, o.entry("k"), once("a", "body"), refused)
	require.NoError(t, err)
	require.True(t, replayed)
	require.False(t, fresh("good", time.Minute))
	require.True(t, fresh("over", -time.Second))

	_, _, err = o.Write(ctx, o.entry("k"), once("b", "body"), refused)
	require.NoError(t, err)
	age(74)
	_, _, err = o.Write(ctx, o.entry("k"), once("b", "body"), func(ctx context.Context) access.Answer {
		require.NoError(t, o.Upkeep(t.Context(), time.Hour)) //nolint:contextcheck // another process
		return o.add(t, "bob")(ctx)
	})
	require.NoError(t, err)
	_, replayed, err = o.Write(ctx, o.entry("k"), once("b", "body"), refused)
	require.NoError(t, err)
	require.True(t, replayed)
	_, replayed, err = o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
	require.NoError(t, err)
	require.False(t, replayed)
	require.Equal(t, []string{"ann", "bob", "ann"}, o.names(t, ctx))
}

// A request that begins with a row of long ago, which came to nothing then, is
// kept from now on.
func TestOldRowBeginsAnew(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	conn, err := pgx.Connect(ctx, o.url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(ctx)) })
	_, _, err = o.Write(ctx, o.entry("k"), once("a", "body"), refused)
	require.NoError(t, err)
	_, err = conn.Exec(ctx, `UPDATE answers SET created_at = now() - interval '1 year'`)
	require.NoError(t, err)
	_, _, err = o.Write(ctx, o.entry("k"), once("a", "body"), o.add(t, "ann"))
	require.NoError(t, err)
	require.NoError(t, o.Upkeep(ctx, time.Hour))
	_, replayed, err := o.Write(ctx, o.entry("k"), once("a", "body"), refused)
	require.NoError(t, err)
	require.True(t, replayed)
}
