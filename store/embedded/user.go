package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"syscall"
)

// serverUser is who the server runs as: nil for ourselves, and for root, whom
// PostgreSQL refuses, the user postgres or nobody.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		// initdb looks the user up and says no more than "could not look up
		// effective user ID".
		if _, err := user.LookupId(strconv.Itoa(os.Geteuid())); err != nil {
			return nil, fmt.Errorf("PostgreSQL needs a user with an entry in /etc/passwd, and user id %d has none", os.Geteuid())
		}
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		found, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, errUID := strconv.ParseUint(found.Uid, 10, 32)
		gid, errGID := strconv.ParseUint(found.Gid, 10, 32)
		if err := errors.Join(errUID, errGID); err != nil {
			return nil, fmt.Errorf("user %s: %w", name, err)
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and this machine has neither a user postgres nor a user nobody")
}

func userName(c *syscall.Credential) string {
	if c == nil {
		return ""
	}
	found, err := user.LookupId(strconv.FormatUint(uint64(c.Uid), 10))
	if err != nil {
		return ""
	}
	return " as user " + found.Username
}

// asUser is a command that runs to its end, with our environment kept from it.
func asUser(ctx context.Context, user *syscall.Credential, path string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Dir = "/" // the folder we are in may be closed to the user
	cmd.Env = environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: user, Setpgid: true, Pdeathsig: syscall.SIGKILL}
	return cmd
}

func environment() []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC"}
}

// give makes the user the owner of a file, when there is another user.
func give(user *syscall.Credential, path string) error {
	if user == nil {
		return nil
	}
	if err := os.Chown(path, int(user.Uid), int(user.Gid)); err != nil {
		return fmt.Errorf("hand %s to the server's user: %w", path, err)
	}
	return nil
}
