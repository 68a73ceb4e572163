package embedded

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tallyd/chains/localnode"
)

// keeper runs a server for as long as anybody holds a shared lock on file 3, and
// holds file 4 locked meanwhile, which is how others see that it is there. The
// server itself must not inherit either.
const keeper = `
"$@" 3>&- 4>&- & server=$!
trap : INT TERM HUP
(flock -x 3 && kill -INT $server) 4>&- & watch=$!
wait $server
kill $watch 2>/dev/null
exit 0
`

// testServer is a server shared by the test processes of one user. It is no child
// that we wait for, so a test that looks for leaked goroutines finds none of it.
type testServer struct {
	cluster *cluster
	port    int
	users   *os.File // our shared lock: the server lives while anybody has one
}

// joinTestServer returns the running server of this user and these programs, or
// starts one. It ends when the last process that joined has closed users or
// ended, however it ended.
func joinTestServer(ctx context.Context, bin string) (*testServer, error) {
	base, err := testFolder(bin)
	if err != nil {
		return nil, err
	}
	// Blocks while a keeper is shutting its server down, which it does with the
	// exclusive lock in hand: what we join afterwards is not about to end.
	users, err := lockFile(filepath.Join(base, "users"), syscall.LOCK_SH)
	if err != nil {
		return nil, err
	}
	s := &testServer{users: users}
	if err := s.join(ctx, base, bin); err != nil {
		users.Close()
		return nil, err
	}
	return s, nil
}

func (s *testServer) join(ctx context.Context, base, bin string) error {
	gate, err := lockFile(filepath.Join(base, "gate"), syscall.LOCK_EX)
	if err != nil {
		return err
	}
	defer gate.Close()

	if err := forgetOtherBoot(base); err != nil {
		return err
	}
	if s.cluster, err = openCluster(ctx, base, bin); err != nil {
		return err
	}
	kept, err := lockFile(filepath.Join(base, "keeper"), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, ErrLocked) {
		raw, err := os.ReadFile(filepath.Join(base, "port"))
		if err != nil {
			return fmt.Errorf("read the test server's port: %w", err)
		}
		s.port, err = strconv.Atoi(string(raw))
		if err != nil {
			return fmt.Errorf("read the test server's port: %w", err)
		}
		return nil
	}
	if err != nil {
		return err
	}
	defer kept.Close() // the keeper has its own descriptor of the same lock
	return s.start(ctx, base, kept)
}

// start begins on a fresh copy of the cluster, so that the databases of killed
// tests never pile up.
func (s *testServer) start(ctx context.Context, base string, kept *os.File) error {
	locks, err := filepath.Glob(filepath.Join(base, "template_*.lock"))
	if err != nil {
		return fmt.Errorf("list templates: %w", err)
	}
	for _, lock := range locks {
		_ = os.Remove(lock) // of templates that went with the last copy
	}
	pristine := s.cluster.dir
	live := *s.cluster
	live.dir = pristine + ".live"
	if err := live.clear(ctx); err != nil {
		return err
	}
	if err := live.emptyFolder(live.dir); err != nil {
		return err
	}
	if out, err := asUser(ctx, live.user, "/bin/cp", "-a", pristine+"/.", live.dir).CombinedOutput(); err != nil {
		return fmt.Errorf("copy the cluster: %w: %s", err, out)
	}
	if s.port, err = freePort(ctx); err != nil {
		return err
	}
	if err := s.keep(&live, base, kept); err != nil {
		return err
	}
	ready, err := localnode.Until(ctx, startTime, live.ready)
	if err != nil {
		return fmt.Errorf("wait for the test server: %w", err)
	}
	if !ready {
		return fmt.Errorf("wait for the test server: not ready after %s, see %s", startTime, filepath.Join(base, "pg.log"))
	}
	if err := os.WriteFile(filepath.Join(base, "port"), []byte(strconv.Itoa(s.port)), 0o600); err != nil {
		return fmt.Errorf("note the test server's port: %w", err)
	}
	return nil
}

func (s *testServer) keep(live *cluster, base string, kept *os.File) error {
	log, err := os.OpenFile(filepath.Join(base, "pg.log"), os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open the test server's log: %w", err)
	}
	defer log.Close()
	// Not the file we hold: a lock belongs to the opening, not to the process.
	watched, err := os.OpenFile(filepath.Join(base, "users"), os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("open the list of users: %w", err)
	}
	defer watched.Close()

	args := append([]string{"sh", "-c", keeper, "keeper", filepath.Join(live.bin, "postgres")},
		live.arguments(s.port, "max_connections=400", "fsync=off", "synchronous_commit=off", "full_page_writes=off",
			"shared_buffers=256MB", "autovacuum_naptime=1h", "max_wal_size=4GB")...)
	cmd := &exec.Cmd{Path: "/bin/sh", Args: args, Dir: "/", Env: environment(), Stdout: log, Stderr: log, ExtraFiles: []*os.File{watched, kept}}
	// A session of its own: a Ctrl-C ends the tests, and their end ends the server.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Credential: live.user}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start the test server: %w", err)
	}
	if err := cmd.Process.Release(); err != nil {
		return fmt.Errorf("start the test server: %w", err)
	}
	return nil
}

// testFolder is where the shared server of this user and these programs lives.
func testFolder(bin string) (string, error) {
	sum := sha256.Sum256([]byte(bin))
	base := filepath.Join(os.TempDir(), fmt.Sprintf("tallyd-test-%d", os.Geteuid()), hex.EncodeToString(sum[:4]))
	if err := os.MkdirAll(base, 0o711); err != nil {
		return "", fmt.Errorf("make the test server's folder: %w", err)
	}
	// A folder in /tmp may have been made by anybody.
	info, err := os.Lstat(filepath.Dir(base))
	if err != nil {
		return "", fmt.Errorf("make the test server's folder: %w", err)
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || int(stat.Uid) != os.Geteuid() || !info.IsDir() {
		return "", fmt.Errorf("%s belongs to another user", filepath.Dir(base))
	}
	return base, nil
}

// forgetOtherBoot drops a cluster made before the machine last started: it was
// written without fsync and may be torn.
func forgetOtherBoot(base string) error {
	now, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return fmt.Errorf("read the machine's boot id: %w", err)
	}
	note := filepath.Join(base, "boot")
	before, err := os.ReadFile(note)
	if err == nil && strings.TrimSpace(string(before)) == strings.TrimSpace(string(now)) {
		return nil
	}
	if dir, err := filepath.EvalSymlinks(filepath.Join(base, "pg")); err == nil {
		if err := os.RemoveAll(dir); err != nil {
			return fmt.Errorf("drop a former boot's cluster: %w", err)
		}
	}
	if err := os.WriteFile(note, now, 0o600); err != nil {
		return fmt.Errorf("note the machine's boot id: %w", err)
	}
	return nil
}

// leaveTime is how long dropping a test's database may take.
const leaveTime = 30 * time.Second
