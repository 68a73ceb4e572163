package webhook_test

import (
	"context"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/store/embedded"
)

// A Postgres that goes away in the middle of it and comes back costs nothing but
// time: what was sent meanwhile is written down when it is there again.
func TestPostgresRestarts(t *testing.T) {
	t.Parallel()
	const events = 500
	server := startPostgres(t, t.TempDir())
	front := newFront(t, server.URL("tallyd"))
	require.NoError(t, server.CreateDatabase(t.Context(), "tallyd"))
	require.NoError(t, migrate(t.Context(), front.url))
	b := openBench(t, front.url)
	in := newInbox(t, slow)
	e, _ := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", many(events)...)
	b.dispatch(nil)
	eventually(t, "some have come", func() bool { return in.distinct() > events/10 })
	require.NoError(t, server.Stop(t.Context()))
	before := in.distinct()
	server = startPostgres(t, server.dir)
	front.lead(t, server.URL("tallyd"))
	b.pool.Reset() // the test looks through connections of its own
	b.settled(e, webhook.Delivered, events)
	require.Less(t, before, events, "it was away in the middle")
	require.Equal(t, events, in.distinct())
	require.LessOrEqual(t, len(in.all()), events+webhook.DefaultConcurrency)
}

// ownPostgres is a server of the test's own, in a folder.
type ownPostgres struct {
	*embedded.Postgres
	dir string
}

func startPostgres(t *testing.T, dir string) ownPostgres {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{Dir: dir, Bin: embedded.TestPostgres(t), Log: zerolog.Nop(), Volatile: true})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Stop(context.WithoutCancel(t.Context())) })
	return ownPostgres{Postgres: server, dir: dir}
}

// front is an address that stays while the server behind it changes its own.
type front struct {
	url    string
	behind atomic.Pointer[string]
}

func newFront(t *testing.T, server string) *front {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	f := &front{}
	parsed := f.lead(t, server)
	parsed.Host = listener.Addr().String()
	f.url = parsed.String()
	var pipes sync.WaitGroup
	pipes.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			pipes.Go(func() { f.pipe(conn) })
		}
	})
	t.Cleanup(func() {
		_ = listener.Close()
		pipes.Wait()
	})
	return f
}

// lead makes new connections go to a server.
func (f *front) lead(t *testing.T, server string) *url.URL {
	t.Helper()
	parsed, err := url.Parse(server)
	require.NoError(t, err)
	host := parsed.Host // newFront changes the other one
	f.behind.Store(&host)
	return parsed
}

func (f *front) pipe(conn net.Conn) {
	defer conn.Close()
	server, err := net.Dial("tcp", *f.behind.Load()) //nolint:noctx // it ends with the connection
	if err != nil {
		return
	}
	defer server.Close()
	back := make(chan struct{})
	go func() {
		defer close(back)
		_, _ = io.Copy(conn, server)
		_ = conn.Close()
	}()
	_, _ = io.Copy(server, conn)
	_ = server.Close()
	<-back
}
