package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"tallyd/chains/localnode"
)

// Redis is a Redis inside our own process. It keeps everything in memory and
// forgets it with the process, as the truth is in Postgres.
type Redis struct{ server *miniredis.Miniredis }

// StartRedis returns a Redis listening on a free port of 127.0.0.1.
func StartRedis() (*Redis, error) {
	server := miniredis.NewMiniRedis()
	if err := server.StartAddr("127.0.0.1:0"); err != nil {
		return nil, fmt.Errorf("start Redis: %w", err)
	}
	return &Redis{server: server}, nil
}

// URL is the connection string.
func (r *Redis) URL() string { return "redis://" + r.server.Addr() + "/0" }

// Run moves the clock of expiring keys, which does not run by itself in there,
// until ctx ends, and returns the cause of ctx.
func (r *Redis) Run(ctx context.Context) error {
	const tick = 100 * time.Millisecond
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	before := time.Now()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case now := <-ticker.C:
			r.server.FastForward(now.Sub(before))
			before = now
		}
	}
}

// Stop disconnects every client and forgets everything.
func (r *Redis) Stop() { r.server.Close() }

// TestRedis returns the connection string of a Redis that is the test's own: a
// redis-server when TALLYD_REDIS_SERVER or PATH has one, else an in-process one,
// whose keys expire only in tests that do not wait for it. With TALLYD_REQUIRE=1
// a missing redis-server fails the test.
func TestRedis(t testing.TB) string {
	t.Helper()
	path := environmentOf("TALLYD_REDIS_SERVER")
	if path == "" {
		path, _ = exec.LookPath("redis-server")
	}
	if path == "" {
		if environmentOf("TALLYD_REQUIRE") == "1" {
			t.Fatal("needs redis-server: install it, or set TALLYD_REDIS_SERVER")
		}
		server := miniredis.RunT(t)
		return "redis://" + server.Addr() + "/0"
	}
	port, err := freePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	process, err := localnode.StartProcess(localnode.Command{
		Path: path,
		Args: []string{"--bind", "127.0.0.1", "--port", strconv.Itoa(port), "--save", "", "--appendonly", "no", "--dir", dir},
		Dir:  dir,
		Env:  environment(),
		Log:  filepath.Join(dir, "redis.log"),
	})
	if err != nil {
		t.Fatalf("start redis-server: %v", err)
	}
	t.Cleanup(func() {
		if err := process.Stop(context.WithoutCancel(t.Context()), syscall.SIGTERM, stopTime); err != nil {
			t.Errorf("stop redis-server: %v", err)
		}
	})
	address := net.JoinHostPort("127.0.0.1", strconv.Itoa(port))
	ctx, cancel := context.WithTimeoutCause(t.Context(), startTime, errors.New("not ready within a minute"))
	defer cancel()
	if err := process.Await(ctx, func(ctx context.Context) bool { return pings(ctx, address) }); err != nil {
		t.Fatalf("wait for redis-server: %v", err)
	}
	return "redis://" + address + "/0"
}

// pings reports whether a Redis answers at address.
func pings(ctx context.Context, address string) bool {
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return false
	}
	defer conn.Close()
	answer := make([]byte, len("+PONG\r\n"))
	if err := conn.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return false
	}
	if _, err := conn.Write([]byte("PING\r\n")); err != nil {
		return false
	}
	n, err := conn.Read(answer)
	return err == nil && string(answer[:n]) == "+PONG\r\n"
}
