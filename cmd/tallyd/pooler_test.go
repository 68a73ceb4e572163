package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/secret"
)

// TestPooler runs the daemon behind pgbouncer in transaction mode, through a
// connection, payments and a reorg.
func TestPooler(t *testing.T) {
	t.Parallel()
	program := os.Getenv("TALLYD_PGBOUNCER")
	if program == "" {
		require.Empty(t, os.Getenv("TALLYD_REQUIRE"), "TALLYD_PGBOUNCER does not name a pgbouncer")
		t.Skip("TALLYD_PGBOUNCER does not name a pgbouncer")
	}
	node, miner := localnode.TestBitcoind(t)
	w := newBitcoinWorld(t, node, miner)
	w.cfg.Database = config.Database{URL: config.NewURL(pooled(t, program, migratedDatabase(t))), Pooler: "transaction", MaxConns: 8}
	w.start()
	w.accounts = []account{w.connect("btc", w.people[0].Address(localnode.P2WPKH))}
	w.pay(1_000_000, 0)
	w.generate(1)
	w.exact("paid")
	w.replace(1, 2)
	w.exact("the block that paid left the chain")
	w.generate(1)
	w.exact("paid again")
	w.eventually("events are numbered", func() bool {
		_, answer := w.call("GET", "/v1/events?after=0", "X-API-Key", testMaster, nil)
		events, _ := answer["events"].([]any)
		return len(events) > 2
	})
}

// pooled starts a pgbouncer before a database and returns the URL through it.
func pooled(t *testing.T, program, url string) string {
	t.Helper()
	to, err := pgx.ParseConfig(url)
	require.NoError(t, err)
	port := freePort(t)
	dir := t.TempDir()
	require.NoError(t, os.Chmod(filepath.Dir(dir), 0o755)) // it does not run as root
	settings := filepath.Join(dir, "pgbouncer.ini")
	require.NoError(t, os.WriteFile(settings, fmt.Appendf(nil, `[databases]
ledger = host=%s port=%d dbname=%s user=%s password=%s
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = %d
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 4
`, to.Host, to.Port, to.Database, to.User, to.Password, port), 0o644))
	command := localnode.Command{Path: program, Args: []string{settings}, Log: filepath.Join(dir, "log"), DeathSignal: syscall.SIGKILL}
	if os.Geteuid() == 0 {
		const nobody = 65534
		command.User = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	process, err := localnode.StartProcess(command)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, process.Stop(context.WithoutCancel(t.Context()), syscall.SIGINT, patience))
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	until(t, "pgbouncer listens", func() bool {
		conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
		if err == nil {
			_ = conn.Close()
		}
		return err == nil
	})
	return "postgres://ledger@" + address + "/ledger?sslmode=disable"
}

// freePort returns a port nobody listens on now.
func freePort(t *testing.T) int {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	address, ok := listener.Addr().(*net.TCPAddr)
	require.True(t, ok)
	return address.Port
}

// TestRequestsBehindPooler makes the same request twice at once through two
// stores behind pgbouncer in transaction mode: it is carried out once.
func TestRequestsBehindPooler(t *testing.T) {
	t.Parallel()
	program := os.Getenv("TALLYD_PGBOUNCER")
	if program == "" {
		require.Empty(t, os.Getenv("TALLYD_REQUIRE"), "TALLYD_PGBOUNCER does not name a pgbouncer")
		t.Skip("TALLYD_PGBOUNCER does not name a pgbouncer")
	}
	text, err := secret.New()
	require.NoError(t, err)
	secrets, err := secret.Parse(text)
	require.NoError(t, err)
	url := pooled(t, program, migratedDatabase(t))
	open := func() *store.Store {
		s, err := store.Open(t.Context(), store.Options{URL: url, Pooler: store.PoolerTransaction, MaxConns: 4, Secrets: secrets})
		require.NoError(t, err)
		t.Cleanup(s.Close)
		return s
	}
	one, two := open(), open()
	realm := indexer.Realm{Tenant: access.DefaultTenant, Environment: chains.Test}
	entry := access.Entry{Realm: realm, Caller: "k", Method: "POST", Path: "/v1/users"}
	once := &access.Once{Key: "a"}
	add := func(s *store.Store) func(context.Context) access.Answer {
		return func(ctx context.Context) access.Answer {
			require.NoError(t, s.CreateUser(ctx, indexer.User{ID: uuid.New(), Realm: realm, Name: "ann"}))
			return access.Answer{Status: http.StatusCreated}
		}
	}
	_, _, err = one.Write(t.Context(), entry, once, func(ctx context.Context) access.Answer {
		_, _, err := two.Write(t.Context(), entry, once, add(two)) //nolint:contextcheck // another request
		require.ErrorIs(t, err, access.ErrRunning)
		return add(one)(ctx)
	})
	require.NoError(t, err)
	_, replayed, err := two.Write(t.Context(), entry, once, add(two))
	require.NoError(t, err)
	require.True(t, replayed)
	users, err := two.Users(t.Context(), realm)
	require.NoError(t, err)
	require.Len(t, users, 1)
}
