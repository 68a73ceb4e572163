package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"tallyd/chains/localnode"
)

// cluster is one data directory of PostgreSQL and what it takes to serve it.
type cluster struct {
	base     string              // the folder we were given: lock, password, log
	dir      string              // the data directory itself, without links
	bin      string              // the folder of initdb and postgres
	user     *syscall.Credential // nil unless we are root
	major    string              // of the programs in bin
	password string
}

// openCluster finds or makes the cluster of base. The caller holds base's lock.
func openCluster(ctx context.Context, base, bin string) (*cluster, error) {
	user, err := serverUser()
	if err != nil {
		return nil, err
	}
	major, err := majorVersion(ctx, bin, user)
	if err != nil {
		return nil, fmt.Errorf("PostgreSQL in %s: %w", bin, err)
	}
	c := &cluster{base: base, bin: bin, user: user, major: major}
	if c.dir, err = settle(ctx, base, user, outside); err != nil {
		return nil, err
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	return c, c.create(ctx)
}

// check refuses a cluster of another major version: PostgreSQL cannot read it,
// and it is the user's data.
func (c *cluster) check() error {
	raw, err := os.ReadFile(filepath.Join(c.dir, "PG_VERSION"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read the cluster's version: %w", err)
	}
	if have := strings.TrimSpace(string(raw)); have != c.major {
		return fmt.Errorf("the data in %s is of PostgreSQL %s and %s holds PostgreSQL %s: set TALLYD_PG_BIN to the folder of PostgreSQL %s, or use another data folder", c.base, have, c.bin, c.major, have)
	}
	return nil
}

// create runs initdb in a folder beside the cluster and renames it into place, so
// that a killed initdb leaves nothing half. It does nothing when the cluster is
// there.
func (c *cluster) create(ctx context.Context) error {
	secret := filepath.Join(c.base, "pg.password")
	if _, err := os.Stat(filepath.Join(c.dir, "PG_VERSION")); err == nil {
		raw, err := os.ReadFile(secret)
		if err != nil {
			return fmt.Errorf("read the cluster's password: %w", err)
		}
		c.password = string(raw)
		return nil
	}
	if _, err := os.Stat(c.dir); err == nil {
		return fmt.Errorf("%s is there and holds no PostgreSQL cluster", c.dir)
	}
	c.password = rand.Text()
	if err := os.WriteFile(secret, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("keep the cluster's password: %w", err)
	}
	made := c.dir + ".init"
	if err := c.initdb(ctx, made); err != nil {
		return err
	}
	if err := os.Rename(made, c.dir); err != nil {
		return fmt.Errorf("move the new cluster into place: %w", err)
	}
	return nil
}

func (c *cluster) initdb(ctx context.Context, dir string) error {
	if err := c.emptyFolder(dir); err != nil {
		return err
	}
	handed := dir + ".password" // initdb reads it as the server's user
	defer os.Remove(handed)
	if err := os.WriteFile(handed, []byte(c.password), 0o600); err != nil {
		return fmt.Errorf("hand initdb the password: %w", err)
	}
	if err := give(c.user, handed); err != nil {
		return err
	}
	out, err := asUser(ctx, c.user, filepath.Join(c.bin, "initdb"), "-D", dir, "-U", superuser,
		"-A", "scram-sha-256", "--pwfile="+handed, "--no-locale", "-E", "UTF8", "--no-sync").CombinedOutput()
	if err != nil {
		return fmt.Errorf("run initdb: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}

// emptyFolder makes dir, anew, as an empty folder of the server's user.
func (c *cluster) emptyFolder(dir string) error {
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove an unfinished cluster: %w", err)
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		return fmt.Errorf("make the cluster's folder: %w", err)
	}
	return give(c.user, dir)
}

// clear ends what a killed run left on the cluster and removes its postmaster.pid:
// postgres refuses to start while the id in it belongs to any process of its
// user. The caller holds the lock, so nothing found here is in use.
func (c *cluster) clear(ctx context.Context) error {
	pidFile := filepath.Join(c.dir, "postmaster.pid")
	for _, step := range []struct {
		signal syscall.Signal
		grace  time.Duration
	}{{syscall.SIGINT, 10 * time.Second}, {syscall.SIGQUIT, 6 * time.Second}, {syscall.SIGKILL, 3 * time.Second}} {
		postmaster := firstLine(pidFile)
		for _, pid := range holders(c.dir) {
			// Backends follow their postmaster; only at the end each is killed.
			if pid == postmaster || step.signal == syscall.SIGKILL {
				_ = syscall.Kill(pid, step.signal)
			}
		}
		gone, err := localnode.Until(ctx, step.grace, func() bool { return len(holders(c.dir)) == 0 })
		if err != nil {
			return fmt.Errorf("end the PostgreSQL of a former run: %w", err)
		}
		if gone {
			break
		}
	}
	if left := holders(c.dir); len(left) > 0 {
		return fmt.Errorf("the PostgreSQL processes %v of a former run do not end", left)
	}
	if err := os.Remove(pidFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove a former run's postmaster.pid: %w", err)
	}
	return nil
}

// holders are the PostgreSQL processes on a cluster: the postmaster and every
// backend have it as their working folder, zombies have none.
func holders(dir string) []int {
	folder, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil
	}
	return slices.Collect(func(yield func(int) bool) {
		for _, p := range processes {
			cwd, err := os.Readlink(p + "/cwd")
			if err != nil || cwd != folder {
				continue
			}
			// A shell somebody has open in there is none of ours.
			name, err := os.ReadFile(p + "/comm")
			if err != nil || strings.TrimSpace(string(name)) != "postgres" {
				continue
			}
			pid, err := strconv.Atoi(filepath.Base(p))
			if err == nil && !yield(pid) {
				return
			}
		}
	})
}

func firstLine(file string) int {
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0
	}
	line, _, _ := strings.Cut(string(raw), "\n")
	pid, err := strconv.Atoi(line)
	if err != nil {
		return 0
	}
	return pid
}

// arguments is the server's command line. Without a socket: the path of one may
// be too long, and its default folder is not ours to write.
func (c *cluster) arguments(port int, settings ...string) []string {
	args := []string{"-D", c.dir, "-p", strconv.Itoa(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="}
	for _, s := range settings {
		args = append(args, "-c", s)
	}
	return args
}

// ready reports whether the postmaster accepts connections, which it says in
// line 8 of its postmaster.pid.
func (c *cluster) ready() bool {
	raw, err := os.ReadFile(filepath.Join(c.dir, "postmaster.pid"))
	if err != nil {
		return false
	}
	lines := strings.Split(string(raw), "\n")
	return len(lines) > 7 && strings.TrimSpace(lines[7]) == "ready"
}

func (c *cluster) url(port int, database string) string {
	return fmt.Sprintf("postgres://%s:%s@127.0.0.1:%d/%s?sslmode=disable", superuser, c.password, port, database)
}

// freePort is a TCP port nobody listens on at the moment.
func freePort(ctx context.Context) (int, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	addr, ok := l.Addr().(*net.TCPAddr)
	if !ok {
		return 0, errors.New("find a free port: not a TCP address")
	}
	return addr.Port, nil
}
