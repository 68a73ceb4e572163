package localnode

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// ErrEnded is what waiting for a program's readiness returns when the program
// ended instead.
var ErrEnded = errors.New("the program ended")

// Command says what to start and how.
type Command struct {
	// Path is the program's file. A wrapper must exec the program: the signal at
	// our death reaches only the process we started.
	Path string
	Args []string

	// Dir is the working folder; "" means "/". It must be open to User.
	Dir string

	// Env is the whole environment; nothing of ours is handed on.
	Env []string

	// Log is the file both outputs are appended to, created with mode 0600.
	Log string

	// PidFile, unless empty, records the process, so that EndLeftover of a later
	// run can find it.
	PidFile string

	// User runs the program as somebody else. Only root may; nil means ourselves.
	User *syscall.Credential

	// DeathSignal is what the kernel sends the program when we die, by whatever
	// means. Zero means SIGINT.
	DeathSignal syscall.Signal
}

// Process is a running program that dies with us. All methods are safe for
// concurrent use.
type Process struct {
	pid     int
	log     string
	pidFile string
	done    chan struct{}
	err     error // written before done is closed
}

// StartProcess starts a program in a process group of its own, so that a Ctrl-C
// at the terminal reaches only us and we decide in which order things stop.
// It returns when the program has been executed, which is not yet when it is
// ready. The caller must Stop it, or receive from Done.
func StartProcess(c Command) (*Process, error) {
	logFile, err := os.OpenFile(c.Log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", c.Path, err)
	}
	defer logFile.Close()

	cmd := c.exec()
	cmd.Stdout, cmd.Stderr = logFile, logFile

	p := &Process{log: c.Log, pidFile: c.PidFile, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		// The death signal follows the thread that started the child, not our
		// process: a thread the runtime retires would take the program with it.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()

		err := cmd.Start()
		if err == nil {
			p.pid = cmd.Process.Pid
			started <- nil
			p.err = cmd.Wait()
		} else {
			started <- err
		}
		close(p.done)
	}()
	if err := <-started; err != nil {
		return nil, fmt.Errorf("start %s: %w", c.Path, err)
	}
	if err := p.writePidFile(); err != nil {
		_ = syscall.Kill(-p.pid, syscall.SIGKILL)
		<-p.done
		return nil, err
	}
	return p, nil
}

// exec is the command in os/exec's words. It carries no context: a context's
// end would kill the program where Stop asks it to end.
func (c Command) exec() *exec.Cmd {
	cmd := &exec.Cmd{Path: c.Path, Args: append([]string{c.Path}, c.Args...), Dir: c.Dir, Env: c.Env}
	if cmd.Dir == "" {
		cmd.Dir = "/"
	}
	if cmd.Env == nil {
		cmd.Env = []string{}
	}
	signal := c.DeathSignal
	if signal == 0 {
		signal = syscall.SIGINT
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: signal, Credential: c.User}
	return cmd
}

// Pid is the program's process id.
func (p *Process) Pid() int { return p.pid }

// Done is closed when the program has ended and was waited for.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err says how the program ended, nil for exit status 0 and while it runs.
func (p *Process) Err() error {
	select {
	case <-p.done:
		return p.err
	default:
		return nil
	}
}

// Stop sends a signal, waits up to grace for the program to end, and kills its
// group after that. It returns nil once the program has ended, however it
// ended, and at once when it had ended before. When ctx ends first the program
// is killed right away and the cause of ctx is returned.
func (p *Process) Stop(ctx context.Context, signal syscall.Signal, grace time.Duration) error {
	select {
	case <-p.done:
		p.removePidFile()
		return nil
	default:
	}
	// The process is not waited for before done is closed, so its id is still its
	// own or that of its zombie.
	_ = syscall.Kill(p.pid, signal)

	timer := time.NewTimer(grace)
	defer timer.Stop()

	var cause error
	select {
	case <-p.done:
	case <-timer.C:
	case <-ctx.Done():
		cause = context.Cause(ctx)
	}
	// Also after an orderly end: what the program started itself may remain.
	_ = syscall.Kill(-p.pid, syscall.SIGKILL)
	<-p.done
	p.removePidFile()
	return cause
}

// Await calls ready every 10 ms until it is true. It returns ErrEnded with the
// last lines of the log when the program ends first, or the cause of ctx.
func (p *Process) Await(ctx context.Context, ready func(ctx context.Context) bool) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-p.done:
			return fmt.Errorf("%w (%w): %s", ErrEnded, p.exit(), p.LogTail())
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			if ready(ctx) {
				return nil
			}
		}
	}
}

func (p *Process) exit() error {
	if err := p.Err(); err != nil {
		return err
	}
	return errors.New("exit status 0")
}

// LogTail is the end of the program's log, at most five lines, "" when there is
// none.
func (p *Process) LogTail() string {
	raw, err := os.ReadFile(p.log)
	if err != nil {
		return ""
	}
	lines := strings.Split(string(bytes.TrimSpace(raw)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], " | ")
}
