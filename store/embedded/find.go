package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ErrNoPostgres means that this machine has no PostgreSQL we could run.
var ErrNoPostgres = errors.New("no PostgreSQL server found: install the package postgresql, or set TALLYD_PG_BIN to the folder that holds initdb and postgres")

// FindPostgres returns the folder of initdb and postgres: TALLYD_PG_BIN when env
// has it, else the first of PATH, the usual system folders, newest major version
// first, and the folders of others whose programs can be run by the user the
// server will run as. env is os.Getenv. It returns ErrNoPostgres when there is none, and another
// error when TALLYD_PG_BIN is set and unusable.
func FindPostgres(env func(string) string, others ...string) (string, error) {
	ctx := context.Background() // the limit is in asking a program for its version
	user, err := serverUser()
	if err != nil {
		return "", err
	}
	if bin := env("TALLYD_PG_BIN"); bin != "" {
		if _, err := majorVersion(ctx, bin, user); err != nil {
			return "", fmt.Errorf("TALLYD_PG_BIN=%s: %w", bin, err)
		}
		return bin, nil
	}
	for _, bin := range append(candidates(env("PATH")), others...) {
		if _, err := majorVersion(ctx, bin, user); err == nil {
			return bin, nil
		}
	}
	return "", ErrNoPostgres
}

func candidates(path string) []string {
	found := filepath.SplitList(path)
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // Red Hat
		"/usr/libexec/postgresql*",  // Alpine
		"/opt/postgresql*/bin",
		"/usr/local/pgsql/bin",
	} {
		folders, err := filepath.Glob(pattern)
		if err != nil {
			continue
		}
		slices.SortFunc(folders, func(a, b string) int { return digits(b) - digits(a) })
		found = append(found, folders...)
	}
	return found
}

// digits is the number within a path, 0 when there is none: of two majors the
// greater sorts first, also 9 and 18.
func digits(path string) int {
	n, err := strconv.Atoi(strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, path))
	if err != nil {
		return 0
	}
	return n
}

// majorVersion asks the programs in bin, as the user the server will run as.
func majorVersion(ctx context.Context, bin string, user *syscall.Credential) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	for _, name := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(bin, name)); err != nil || info.IsDir() {
			return "", fmt.Errorf("%s is not in this folder", name)
		}
	}
	out, err := asUser(ctx, user, filepath.Join(bin, "postgres"), "--version").Output()
	if err != nil {
		return "", fmt.Errorf("run postgres --version%s: %w", userName(user), err)
	}
	// "postgres (PostgreSQL) 15.18 (Debian …)", and "18beta1" before a release.
	_, version, _ := strings.Cut(string(out), "(PostgreSQL) ")
	end := strings.IndexFunc(version, func(r rune) bool { return r < '0' || r > '9' })
	if end < 1 {
		return "", fmt.Errorf("postgres --version answered %q", out)
	}
	return version[:end], nil
}
