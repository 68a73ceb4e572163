package localnode

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// identity is what tells a process from a later one with the same id: the boot
// it lives in and the clock tick it was started at.
type identity struct {
	pid   int
	start string
	boot  string
}

// identify reads a process's identity, false when there is no such process or
// only its zombie: on machines where pid 1 reaps late, a dead orphan answers
// kill(pid, 0) for seconds.
func identify(pid int) (identity, bool) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return identity{}, false
	}
	// The name in parentheses may itself hold blanks and parentheses. proc(5):
	// what follows its end is field 3, the state; the start time is field 22.
	after := string(raw[strings.LastIndexByte(string(raw), ')')+1:])
	fields := strings.Fields(after)
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return identity{}, false
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return identity{}, false
	}
	return identity{pid: pid, start: fields[19], boot: strings.TrimSpace(string(boot))}, true
}

func (i identity) alive() bool {
	now, ok := identify(i.pid)
	return ok && now == i
}

func (p *Process) writePidFile() error {
	if p.pidFile == "" {
		return nil
	}
	id, ok := identify(p.pid)
	if !ok {
		return nil // it has ended already; Done says so
	}
	line := fmt.Sprintf("%d %s %s\n", id.pid, id.start, id.boot)
	if err := os.WriteFile(p.pidFile, []byte(line), 0o600); err != nil {
		return fmt.Errorf("record process %d: %w", p.pid, err)
	}
	return nil
}

func (p *Process) removePidFile() {
	if p.pidFile != "" {
		_ = os.Remove(p.pidFile)
	}
}

// EndLeftover ends the program that a killed run recorded in pidFile: by signal,
// and by SIGKILL after grace. A process that merely has the same id by now is
// left alone. It returns nil when nothing is left, also when there was nothing.
func EndLeftover(ctx context.Context, pidFile string, signal syscall.Signal, grace time.Duration) error {
	raw, err := os.ReadFile(pidFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read record of a former process: %w", err)
	}
	fields := strings.Fields(string(raw))
	if len(fields) == 3 {
		pid, err := strconv.Atoi(fields[0])
		old := identity{pid: pid, start: fields[1], boot: fields[2]}
		if err == nil && pid > 1 {
			if err := old.end(ctx, signal, grace); err != nil {
				return err
			}
		}
	}
	if err := os.Remove(pidFile); err != nil {
		return fmt.Errorf("remove record of a former process: %w", err)
	}
	return nil
}

func (i identity) end(ctx context.Context, signal syscall.Signal, grace time.Duration) error {
	for _, step := range []struct {
		signal syscall.Signal
		grace  time.Duration
	}{{signal, grace}, {syscall.SIGKILL, 5 * time.Second}} {
		if !i.alive() {
			return nil
		}
		_ = syscall.Kill(i.pid, step.signal)
		gone, err := Until(ctx, step.grace, func() bool { return !i.alive() })
		if err != nil || gone {
			return err
		}
	}
	return fmt.Errorf("process %d of a former run does not end", i.pid)
}

// Until calls done every 10 ms until it is true, and reports false when that
// took longer than patience. An error is the cause of ctx.
func Until(ctx context.Context, patience time.Duration, done func() bool) (bool, error) {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		if done() {
			return true, nil
		}
		select {
		case <-ctx.Done():
			return false, context.Cause(ctx)
		case <-deadline.C:
			return done(), nil
		case <-ticker.C:
		}
	}
}
