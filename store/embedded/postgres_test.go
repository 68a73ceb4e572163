package embedded

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains/localnode"
)

// TestMain also is the program the tests below kill: "run DIR BIN" starts a
// server and waits for SIGINT, "join BIN" joins the shared test server.
func TestMain(m *testing.M) {
	if mode := os.Getenv("EMBEDDED_PROGRAM"); mode != "" {
		if err := program(mode, os.Args[1:]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func program(mode string, args []string) error {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt)
	defer cancel()
	if mode == "join" {
		s, err := joinTestServer(ctx, args[0])
		if err != nil {
			return err
		}
		fmt.Println("url", s.cluster.url(s.port, "postgres"))
		<-ctx.Done()
		return nil
	}
	p, err := Start(ctx, Options{Dir: args[0], Bin: args[1], Log: zerolog.Nop()})
	if err != nil {
		return err
	}
	fmt.Println("url", p.URL("postgres"))
	<-ctx.Done()
	return p.Stop(context.WithoutCancel(ctx))
}

// runProgram starts program and returns it with the URL it printed.
func runProgram(t *testing.T, mode string, args ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "EMBEDDED_PROGRAM="+mode)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	url, ok := strings.CutPrefix(strings.TrimSpace(line), "url ")
	require.True(t, ok, line)
	return cmd, url
}

// dataFolder is a test's data folder, with the outside cluster it may get removed
// in the end. Under root its parents are closed to the server's user.
func dataFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	t.Cleanup(func() {
		if target, err := os.Readlink(filepath.Join(dir, "pg")); err == nil {
			require.NoError(t, os.RemoveAll(filepath.Dir(target)))
		}
	})
	return dir
}

func start(t *testing.T, dir string) *Postgres {
	t.Helper()
	p, err := Start(t.Context(), Options{Dir: dir, Bin: TestPostgres(t), Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Stop(context.WithoutCancel(t.Context()))) })
	return p
}

func addRow(t *testing.T, url string) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	defer conn.Close(context.WithoutCancel(t.Context()))
	_, err = conn.Exec(t.Context(), "CREATE TABLE IF NOT EXISTS rows (n int); INSERT INTO rows VALUES (1)")
	require.NoError(t, err)
}

func TestStartKeepsData(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	first := start(t, dir)
	require.NoError(t, first.CreateDatabase(t.Context(), "tallyd"))
	require.NoError(t, first.CreateDatabase(t.Context(), "tallyd"))
	addRow(t, first.URL("tallyd"))

	_, err := Start(t.Context(), Options{Dir: dir, Bin: TestPostgres(t), Log: zerolog.Nop()})
	require.ErrorIs(t, err, ErrLocked)

	_, err = pgx.Connect(t.Context(), strings.Replace(first.URL("tallyd"), first.cluster.password, "wrong", 1))
	require.ErrorContains(t, err, "password")
	info, err := os.Stat(filepath.Join(dir, "pg.password"))
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())

	require.NoError(t, first.Stop(t.Context()))
	<-first.Done()
	require.Empty(t, holders(first.cluster.dir))

	second := start(t, dir)
	require.Equal(t, 1, queryInt(t, second.URL("tallyd"), "SELECT count(*) FROM rows"))
}

// Each round is killed while connected, and the next starts while the server of
// the last is still shutting down.
func TestStartAfterKill(t *testing.T) {
	t.Parallel()
	dir, bin := dataFolder(t), TestPostgres(t)
	for round := 1; round <= 5; round++ {
		cmd, url := runProgram(t, "run", dir, bin)
		addRow(t, url)
		require.Equal(t, round, queryInt(t, url, "SELECT count(*) FROM rows"))
		require.NoError(t, cmd.Process.Kill())
		_ = cmd.Wait()
	}
	// What the last round left ends by itself.
	cluster, err := filepath.EvalSymlinks(filepath.Join(dir, "pg"))
	require.NoError(t, err)
	require.Eventually(t, func() bool { return len(holders(cluster)) == 0 }, 10*time.Second, 10*time.Millisecond)
}

// A Ctrl-C at the terminal goes to the whole group of the program.
func TestInterruptStopsCleanly(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	cmd, url := runProgram(t, "run", dir, TestPostgres(t))
	addRow(t, url)
	require.NoError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
	require.NoError(t, cmd.Wait())
	log, err := os.ReadFile(filepath.Join(dir, "pg.log"))
	require.NoError(t, err)
	require.Contains(t, string(log), "database system is shut down")
	require.Equal(t, 1, strings.Count(string(log), "received fast shutdown request"))
}

func TestStartRefusesOtherMajor(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	first := start(t, dir)
	require.NoError(t, first.Stop(t.Context()))
	version := filepath.Join(first.cluster.dir, "PG_VERSION")
	require.NoError(t, os.WriteFile(version, []byte("12\n"), 0o600))
	before, err := os.ReadDir(first.cluster.dir)
	require.NoError(t, err)

	_, err = Start(t.Context(), Options{Dir: dir, Bin: TestPostgres(t), Log: zerolog.Nop()})
	require.ErrorContains(t, err, "is of PostgreSQL 12 and")
	require.ErrorContains(t, err, "TALLYD_PG_BIN")
	after, err := os.ReadDir(first.cluster.dir)
	require.NoError(t, err)
	require.Len(t, after, len(before))
}

// A server without a parent, as one of a run whose death signal was lost.
func TestStartEndsLeftovers(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	first := start(t, dir)
	addRow(t, first.URL("postgres"))
	require.NoError(t, first.Stop(t.Context()))

	c := first.cluster
	orphan := exec.CommandContext(context.WithoutCancel(t.Context()), filepath.Join(c.bin, "postgres"), c.arguments(first.port)...)
	orphan.Dir, orphan.Env = "/", environment()
	orphan.SysProcAttr = &syscall.SysProcAttr{Credential: c.user, Setsid: true}
	require.NoError(t, orphan.Start())
	ended := make(chan error, 1)
	go func() { ended <- orphan.Wait() }()
	require.Eventually(t, c.ready, 20*time.Second, 10*time.Millisecond)

	second := start(t, dir)
	require.NoError(t, <-ended)
	require.Equal(t, 1, queryInt(t, second.URL("postgres"), "SELECT count(*) FROM rows"))
}

// After a reboot the id in postmaster.pid may belong to anything of the same user.
func TestStartWithReusedPid(t *testing.T) {
	t.Parallel()
	dir := dataFolder(t)
	first := start(t, dir)
	require.NoError(t, first.Stop(t.Context()))
	innocent := asUser(context.Background(), first.cluster.user, "/bin/sleep", "60")
	innocent.Dir = "/"
	require.NoError(t, innocent.Start())
	t.Cleanup(func() { _ = innocent.Process.Kill(); _ = innocent.Wait() })
	stale := filepath.Join(first.cluster.dir, "postmaster.pid")
	require.NoError(t, os.WriteFile(stale, []byte(strconv.Itoa(innocent.Process.Pid)+"\n"), 0o644))

	start(t, dir)
	require.NoError(t, innocent.Process.Signal(syscall.Signal(0)))
}

func TestStartSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := FindPostgres(func(name string) string { return map[string]string{"TALLYD_PG_BIN": "/nowhere"}[name] })
	require.ErrorContains(t, err, "TALLYD_PG_BIN=/nowhere")

	dir := dataFolder(t)
	_, err = Start(t.Context(), Options{Dir: dir, Bin: "/nowhere", Log: zerolog.Nop()})
	require.ErrorContains(t, err, "initdb is not in this folder")
	require.NoDirExists(t, filepath.Join(dir, "pg"))
}

// The programs of root's cache cannot be run by the server's user.
func TestFindPostgresSkipsClosedFolders(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	open := TestPostgres(t)
	closed := t.TempDir() // below a folder of mode 0700
	for _, name := range []string{"initdb", "postgres"} {
		require.NoError(t, os.Symlink(filepath.Join(open, name), filepath.Join(closed, name)))
	}
	found, err := FindPostgres(func(name string) string { return map[string]string{"PATH": closed + ":" + open}[name] })
	require.NoError(t, err)
	require.Equal(t, open, found)
}

func TestOutsideCluster(t *testing.T) {
	t.Parallel()
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	user, err := serverUser()
	require.NoError(t, err)
	root := t.TempDir()
	base, other, outside := filepath.Join(root, "base"), filepath.Join(root, "other"), filepath.Join(root, "outside")
	require.NoError(t, os.Mkdir(base, 0o700))

	dir, err := place(t.Context(), base, user, outside)
	require.NoError(t, err)
	require.Equal(t, outside, filepath.Dir(filepath.Dir(dir)))
	require.NoError(t, os.Mkdir(dir, 0o700))
	again, err := place(t.Context(), base, user, outside)
	require.NoError(t, err)
	require.Equal(t, dir, again)
	require.NoError(t, sweep(outside))
	require.DirExists(t, dir)

	// A copy of the data folder does not get at the original's cluster.
	require.NoError(t, exec.CommandContext(t.Context(), "cp", "-a", base, other).Run())
	_, err = place(t.Context(), other, user, outside)
	require.ErrorContains(t, err, "needs a cluster of its own")

	// A moved one takes it along.
	require.NoError(t, os.RemoveAll(other))
	require.NoError(t, os.Rename(base, other))
	moved, err := place(t.Context(), other, user, outside)
	require.NoError(t, err)
	require.Equal(t, dir, moved)
	require.NoError(t, sweep(outside))
	require.DirExists(t, dir)

	require.NoError(t, os.RemoveAll(other))
	require.NoError(t, sweep(outside))
	require.NoDirExists(t, filepath.Dir(dir))
}

// The server of the tests lives as long as any of the processes that joined it,
// also when each of them is killed.
func TestTestServerEndsWithItsUsers(t *testing.T) {
	t.Parallel()
	bin := filepath.Join(t.TempDir(), "bin") // other programs, another server
	if os.Geteuid() == 0 {
		bin = filepath.Join(openFolder(t), "bin")
	}
	require.NoError(t, os.Symlink(TestPostgres(t), bin))
	base, err := testFolder(bin)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(base)) })

	first, url := runProgram(t, "join", bin)
	second, same := runProgram(t, "join", bin)
	require.Equal(t, url, same)
	require.NoError(t, first.Process.Kill())
	_ = first.Wait()
	require.Equal(t, 1, queryInt(t, url, "SELECT 1"))
	require.NoError(t, second.Process.Kill())
	_ = second.Wait()

	// At once: it waits for the old server's end and starts another.
	third, other := runProgram(t, "join", bin)
	require.Equal(t, 1, queryInt(t, other, "SELECT 1"))
	require.NotEqual(t, url, other)
	require.NoError(t, third.Process.Kill())
	_ = third.Wait()
	require.Eventually(t, func() bool {
		kept, err := lockFile(filepath.Join(base, "keeper"), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			return false
		}
		return kept.Close() == nil
	}, 20*time.Second, 10*time.Millisecond)
	gone, err := localnode.Until(t.Context(), 10*time.Second, func() bool { return !listens(t.Context(), other) })
	require.NoError(t, err)
	require.True(t, gone)
}

// openFolder is a temporary folder that other users may enter.
func openFolder(t *testing.T) string {
	t.Helper()
	dir := filepath.Join("/tmp", fmt.Sprintf("tallyd-open-%d", os.Getpid()))
	require.NoError(t, os.MkdirAll(dir, 0o755))
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}

func listens(ctx context.Context, url string) bool {
	config, err := pgx.ParseConfig(url)
	if err != nil {
		return false
	}
	dialer := net.Dialer{Timeout: time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", fmt.Sprintf("%s:%d", config.Host, config.Port))
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}
