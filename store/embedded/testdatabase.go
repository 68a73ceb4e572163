package embedded

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// shared is the server this test process has joined, for the rest of its life:
// leaving it after each test would stop and start it in between.
//
//nolint:gochecknoglobals // one per test process, and there is no other place that lives as long
var shared struct {
	once   sync.Once
	server *testServer
	err    error
}

// TestDatabase returns the connection string of a new, empty database, dropped at
// the end of the test. The server is shared with other test processes, runs
// without fsync and ends with the last of them: a test that stops the server or
// asks for durability starts its own with Start.
//
// Without PostgreSQL on the machine the test is skipped, or fails when
// TALLYD_REQUIRE=1.
func TestDatabase(t testing.TB) string {
	t.Helper()
	return newTestDatabase(t, "template0")
}

// TestDatabaseFrom is TestDatabase, made as a copy of what prepare made of an
// empty database, which takes some tens of milliseconds. Prepare is called once
// for each key while a server lives, and must close its connections. The key
// must change whenever the outcome of prepare does, also from one version of our
// sources to the next: use a hash of the migrations.
func TestDatabaseFrom(t testing.TB, key string, prepare func(ctx context.Context, url string) error) string {
	t.Helper()
	server := sharedServer(t)
	template := "template_" + templateHash(key)
	if err := server.prepare(t.Context(), template, prepare); err != nil {
		t.Fatalf("prepare a test database: %v", err)
	}
	return newTestDatabase(t, template)
}

func newTestDatabase(t testing.TB, template string) string {
	t.Helper()
	server := sharedServer(t)
	name := "test_" + strings.ToLower(rand.Text()[:16])
	if err := server.exec(t.Context(), "CREATE DATABASE "+name+" TEMPLATE "+template); err != nil {
		t.Fatalf("make a test database: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), leaveTime)
		defer cancel()
		if err := server.exec(ctx, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop the test database: %v", err)
		}
	})
	return server.cluster.url(server.port, name)
}

func sharedServer(t testing.TB) *testServer {
	t.Helper()
	bin := TestPostgres(t)
	shared.once.Do(func() {
		shared.server, shared.err = joinTestServer(context.WithoutCancel(t.Context()), bin)
	})
	if shared.err != nil {
		t.Fatalf("start the test server: %v", shared.err)
	}
	return shared.server
}

// TestPostgres returns the folder of the PostgreSQL programs for tests that start
// a server of their own. Without any the test is skipped, or fails when
// TALLYD_REQUIRE=1.
func TestPostgres(t testing.TB) string {
	t.Helper()
	bin, err := FindPostgres(environmentOf)
	if errors.Is(err, ErrNoPostgres) && environmentOf("TALLYD_REQUIRE") != "1" {
		t.Skipf("needs PostgreSQL: %v", err)
	}
	if err != nil {
		t.Fatalf("find PostgreSQL: %v", err)
	}
	return bin
}

func environmentOf(name string) string {
	value, _ := os.LookupEnv(name)
	return value
}

// prepare makes a template unless it is there. Its name appears only when it is
// complete.
func (s *testServer) prepare(ctx context.Context, template string, prepare func(ctx context.Context, url string) error) error {
	lock, err := lockFile(filepath.Join(s.cluster.base, template+".lock"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer lock.Close()

	conn, err := pgx.Connect(ctx, s.cluster.url(s.port, "postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", template).Scan(&there); err != nil || there {
		return err //nolint:wrapcheck // the caller says what it was for
	}
	unfinished := template + "_unfinished"
	for _, sql := range []string{"DROP DATABASE IF EXISTS " + unfinished + " WITH (FORCE)", "CREATE DATABASE " + unfinished + " TEMPLATE template0"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("make template: %w", err)
		}
	}
	if err := prepare(ctx, s.cluster.url(s.port, unfinished)); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, "ALTER DATABASE "+unfinished+" RENAME TO "+template); err != nil {
		return fmt.Errorf("finish template: %w", err)
	}
	return nil
}

func (s *testServer) exec(ctx context.Context, sql string) error {
	conn, err := pgx.Connect(ctx, s.cluster.url(s.port, "postgres"))
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	if _, err := conn.Exec(ctx, sql); err != nil {
		return fmt.Errorf("run %s: %w", sql, err)
	}
	return nil
}

// templateHash is the key and the versions of the modules that may have a part in
// what prepare makes.
func templateHash(key string) string {
	h := sha256.New()
	h.Write([]byte(key))
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range info.Deps {
			h.Write([]byte(m.Path + "@" + m.Version + "\n"))
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}
