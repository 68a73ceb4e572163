package localnode

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

const (
	startTime   = 60 * time.Second
	stopTime    = 30 * time.Second
	portRetries = 3
)

// node is a running program of ours with an RPC port.
type node struct {
	*client
	process *Process
	command Command
	stop    syscall.Signal
	ready   func(ctx context.Context) bool
}

// launch ends what a killed run left in the folder, starts the program and
// returns when it is ready.
func (n *node) launch(ctx context.Context) error {
	if err := EndLeftover(ctx, n.command.PidFile, n.stop, stopTime); err != nil {
		return err
	}
	process, err := StartProcess(n.command)
	if err != nil {
		return err
	}
	n.process = process
	waitCtx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("not ready within a minute"))
	defer cancel()
	if err := process.Await(waitCtx, n.ready); err != nil {
		stopErr := process.Stop(context.WithoutCancel(ctx), n.stop, stopTime)
		return errors.Join(fmt.Errorf("wait for %s: %w", filepath.Base(n.command.Path), err), stopErr)
	}
	return nil
}

// Done is closed when the node has ended, asked or not.
func (n *node) Done() <-chan struct{} { return n.process.Done() }

// Stop ends the node in good order. It may be called again.
func (n *node) Stop(ctx context.Context) error {
	n.close()
	return n.process.Stop(ctx, n.stop, stopTime)
}

// Kill ends the node as a crash would.
func (n *node) Kill(ctx context.Context) error {
	n.close()
	return n.process.Stop(ctx, syscall.SIGKILL, stopTime)
}

// Restart starts a stopped node again, on the same folder and ports.
func (n *node) Restart(ctx context.Context) error { return n.launch(ctx) }

// folder makes a node's folder and returns its absolute path.
func folder(dir string) (string, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", fmt.Errorf("make the node's folder: %w", err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return "", fmt.Errorf("make the node's folder: %w", err)
	}
	return abs, nil
}

// environment is what a node sees of ours: nothing. HOME keeps what it would
// write there inside its own folder.
func environment(home string) []string {
	return []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LC_ALL=C", "TZ=UTC", "HOME=" + home}
}

// withPorts calls start with n free ports, and again with others when the
// program ended at once: between our choice and its bind somebody else may have
// taken one.
func withPorts(ctx context.Context, n int, start func(addresses []string) error) error {
	var err error
	for range portRetries {
		var addresses []string
		if addresses, err = freeAddresses(ctx, n); err != nil {
			return err
		}
		if err = start(addresses); !errors.Is(err, ErrEnded) {
			return err
		}
	}
	return err
}

// freeAddresses are n addresses on 127.0.0.1 nobody listens on at the moment.
func freeAddresses(ctx context.Context, n int) ([]string, error) {
	var lc net.ListenConfig
	addresses := make([]string, 0, n)
	for range n {
		l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, fmt.Errorf("find a free port: %w", err)
		}
		// Closed together at the end, or the same port comes twice.
		defer l.Close()
		addresses = append(addresses, l.Addr().String())
	}
	return addresses, nil
}
