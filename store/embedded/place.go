package embedded

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// outside is where clusters stand whose data folder is closed to the server's
// user. Only root ever writes here.
const outside = "/var/lib/tallyd"

// settle is sweep, then place. Root does both under a lock, as the sweep of one
// data folder must not see the half-made place of another.
func settle(ctx context.Context, base string, user *syscall.Credential, outside string) (string, error) {
	// Where the folder cannot be made nothing is to be swept, and place says so
	// if it needs it.
	if user == nil || os.MkdirAll(outside, 0o711) != nil {
		return place(ctx, base, user, outside)
	}
	lock, err := lockFile(filepath.Join(outside, "lock"), syscall.LOCK_EX)
	if err != nil {
		return "", err
	}
	defer lock.Close()
	if err := sweep(outside); err != nil {
		return "", err
	}
	return place(ctx, base, user, outside)
}

// place returns the folder the cluster stands in: base/pg, or, when base is
// closed to the server's user (root's home, a temporary folder of root), a
// folder under outside with a link to it at base/pg.
func place(ctx context.Context, base string, user *syscall.Credential, outside string) (string, error) {
	link := filepath.Join(base, "pg")
	info, err := os.Lstat(link)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return "", fmt.Errorf("look for the cluster: %w", err)
	case info.Mode()&fs.ModeSymlink != 0:
		return claim(link)
	default:
		return link, nil
	}
	// Ask the kernel as that user: modes, ACLs and mounts alike.
	if user == nil || asUser(ctx, user, "/bin/sh", "-c", `cd "$0"`, base).Run() == nil {
		return link, nil
	}
	home := filepath.Join(outside, rand.Text()[:12])
	if err := os.MkdirAll(home, 0o711); err != nil {
		return "", fmt.Errorf("make a folder for the cluster outside %s: %w", base, err)
	}
	target := filepath.Join(home, "pg")
	// The note before the link: a folder without a note is never swept.
	if err := writeNote(home, base); err != nil {
		return "", err
	}
	if err := os.Symlink(target, link); err != nil {
		return "", fmt.Errorf("link the cluster into %s: %w", base, err)
	}
	return target, nil
}

// claim follows the link of a data folder to its cluster. A copied data folder
// leads to the original's cluster and is refused; a moved one takes it along.
func claim(link string) (string, error) {
	target, err := os.Readlink(link)
	if err != nil {
		return "", fmt.Errorf("follow link to the cluster: %w", err)
	}
	home, base := filepath.Dir(target), filepath.Dir(link)
	owner, _, err := readNote(home)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s leads to %s, which is gone; remove the link to begin anew", link, target)
	}
	if err != nil {
		return "", err
	}
	if owner == base {
		return target, nil
	}
	if theirs, err := os.Readlink(filepath.Join(owner, "pg")); err == nil && theirs == target {
		return "", fmt.Errorf("%s leads to the cluster of %s; a copied data folder needs a cluster of its own: remove the link", link, owner)
	}
	return target, writeNote(home, base)
}

// sweep removes the outside clusters whose data folder was deleted. A folder
// that lies on a disk which is not mounted at the moment is kept.
func sweep(outside string) error {
	homes, err := filepath.Glob(filepath.Join(outside, "*", "owner"))
	if err != nil {
		return fmt.Errorf("list clusters: %w", err)
	}
	for _, note := range homes {
		home := filepath.Dir(note)
		owner, disk, err := readNote(home)
		if err != nil {
			return err
		}
		_, err = os.Lstat(filepath.Join(owner, "pg"))
		if !errors.Is(err, fs.ErrNotExist) || diskOf(owner) != disk || len(holders(filepath.Join(home, "pg"))) > 0 {
			continue
		}
		// The note goes last: a sweep that is cut short is done again.
		entries, err := os.ReadDir(home)
		if err != nil {
			return fmt.Errorf("sweep %s: %w", home, err)
		}
		for _, e := range entries {
			if e.Name() != "owner" {
				err = errors.Join(err, os.RemoveAll(filepath.Join(home, e.Name())))
			}
		}
		if err = errors.Join(err, os.RemoveAll(home)); err != nil {
			return fmt.Errorf("sweep %s: %w", home, err)
		}
	}
	return nil
}

// writeNote records whose cluster stands in home: the data folder, and the disk
// it lies on.
func writeNote(home, base string) error {
	note := fmt.Sprintf("%s\n%d\n", base, diskOf(base))
	if err := os.WriteFile(filepath.Join(home, "owner"), []byte(note), 0o600); err != nil {
		return fmt.Errorf("note the owner of %s: %w", home, err)
	}
	return nil
}

func readNote(home string) (owner string, disk uint64, err error) {
	raw, err := os.ReadFile(filepath.Join(home, "owner"))
	if err != nil {
		return "", 0, fmt.Errorf("read the owner of %s: %w", home, err)
	}
	owner, rest, _ := strings.Cut(string(raw), "\n")
	disk, err = strconv.ParseUint(strings.TrimSpace(rest), 10, 64)
	if err != nil {
		return "", 0, fmt.Errorf("read the owner of %s: %w", home, err)
	}
	return owner, disk, nil
}

// diskOf is the device of path, or of what is left of its parents.
func diskOf(path string) uint64 {
	for {
		var stat syscall.Stat_t
		if err := syscall.Stat(path, &stat); err == nil {
			return stat.Dev
		}
		parent := filepath.Dir(path)
		if parent == path {
			return 0
		}
		path = parent
	}
}
