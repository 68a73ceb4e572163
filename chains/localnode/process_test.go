package localnode

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

// TestMain also is the program the tests below kill: it starts a child in a
// folder, prints that it has and waits.
func TestMain(m *testing.M) {
	if child := os.Getenv("LOCALNODE_PROGRAM"); child != "" {
		if err := program(context.Background(), child, os.Args[1:]); err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	goleak.VerifyTestMain(m)
}

func program(ctx context.Context, child string, args []string) error {
	if child == "btcd" {
		b, err := startSimnet(ctx, args[0], args[1])
		if err != nil {
			return err
		}
		if _, err := b.Generate(ctx, 5); err != nil {
			return err
		}
		fmt.Println(b.process.Pid())
		<-b.Done()
		return nil
	}
	p, err := StartProcess(sleeper(args[0], "trap '' INT; "))
	if err != nil {
		return err
	}
	// Not before it ignores the signal that is to be ignored.
	if err := p.Await(ctx, func(context.Context) bool { return p.LogTail() == "ready" }); err != nil {
		return err
	}
	fmt.Println(p.Pid())
	<-p.Done()
	return nil
}

// killProgram runs program until it says which child it has, kills it with
// SIGKILL and returns the child.
func killProgram(t *testing.T, child string, args ...string) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), "LOCALNODE_PROGRAM="+child)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err)
	pid, err := strconv.Atoi(strings.TrimSpace(line))
	require.NoError(t, err, line)
	require.NoError(t, cmd.Process.Kill())
	_ = cmd.Wait()
	return pid
}

// sleeper is a program that runs for a minute unless it is ended.
func sleeper(dir, before string) Command {
	return Command{
		Path: "/bin/sh", Args: []string{"-c", before + "echo ready; while :; do sleep 0.05; done"}, Env: []string{"PATH=/usr/bin:/bin"},
		Log: filepath.Join(dir, "log"), PidFile: filepath.Join(dir, "pid"),
	}
}

func TestProcessStops(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := StartProcess(sleeper(dir, ""))
	require.NoError(t, err)
	require.NoError(t, p.Err())
	require.FileExists(t, filepath.Join(dir, "pid"))
	require.NoError(t, p.Stop(t.Context(), syscall.SIGINT, time.Minute))
	require.Error(t, p.Err())
	require.NoFileExists(t, filepath.Join(dir, "pid"))
	require.NoError(t, p.Stop(t.Context(), syscall.SIGINT, time.Minute))
}

func TestProcessIsKilledAfterGrace(t *testing.T) {
	t.Parallel()
	p, err := StartProcess(sleeper(t.TempDir(), "trap '' INT; "))
	require.NoError(t, err)
	require.NoError(t, p.Await(t.Context(), func(context.Context) bool { return p.LogTail() == "ready" }))
	require.NoError(t, p.Stop(t.Context(), syscall.SIGINT, 50*time.Millisecond))
	require.ErrorContains(t, p.Err(), "killed")

	p, err = StartProcess(sleeper(t.TempDir(), "trap '' INT; "))
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, p.Stop(ctx, syscall.SIGINT, time.Minute), context.Canceled)
	<-p.Done()
}

func TestAwaitSaysWhyAProgramEnded(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p, err := StartProcess(Command{Path: "/bin/sh", Args: []string{"-c", "echo no such chain; exit 3"}, Log: filepath.Join(dir, "log")})
	require.NoError(t, err)
	err = p.Await(t.Context(), func(context.Context) bool { return false })
	require.ErrorIs(t, err, ErrEnded)
	require.ErrorContains(t, err, "no such chain")
	require.ErrorContains(t, err, "exit status 3")

	_, err = StartProcess(Command{Path: "/nowhere/btcd", Log: filepath.Join(dir, "log")})
	require.ErrorContains(t, err, "/nowhere/btcd")
}

// The child of a killed program gets the death signal; this one ignores it, and
// is ended by the next run. A process that has its id by chance is not.
func TestEndLeftover(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	pid, pidFile := killProgram(t, "sleeper", dir), filepath.Join(dir, "pid")
	_, alive := identify(pid)
	require.True(t, alive)
	record, err := os.ReadFile(pidFile)
	require.NoError(t, err)
	require.NoError(t, EndLeftover(t.Context(), pidFile, syscall.SIGINT, 100*time.Millisecond))
	_, alive = identify(pid)
	require.False(t, alive)
	require.NoFileExists(t, pidFile)
	require.NoError(t, EndLeftover(t.Context(), pidFile, syscall.SIGINT, time.Second))

	// The same record, but for an id that somebody else has by now.
	stranger, err := StartProcess(sleeper(t.TempDir(), ""))
	require.NoError(t, err)
	fields := strings.Fields(string(record))
	fields[0] = strconv.Itoa(stranger.Pid())
	require.NoError(t, os.WriteFile(pidFile, []byte(strings.Join(fields, " ")), 0o600))
	require.NoError(t, EndLeftover(t.Context(), pidFile, syscall.SIGINT, time.Second))
	_, alive = identify(stranger.Pid())
	require.True(t, alive)
	require.NoError(t, stranger.Stop(t.Context(), syscall.SIGKILL, time.Second))
}

// The parent of a node is killed; the next start on the same folder, at once,
// takes its chain over, again and again.
func TestStartAfterKilledParent(t *testing.T) {
	t.Parallel()
	bin, dir := testProgram(t, "TALLYD_BTCD", "btcd"), t.TempDir()
	for range 5 {
		killProgram(t, "btcd", bin, dir)
	}
	b, err := startSimnet(t.Context(), bin, dir)
	require.NoError(t, err)
	endWithTest(t, b.node)
	height, err := b.Height(t.Context())
	require.NoError(t, err)
	require.EqualValues(t, 25, height)
}

func startSimnet(ctx context.Context, bin, dir string) (*Bitcoin, error) {
	w, err := NewWallet("miner", &chaincfg.SimNetParams)
	if err != nil {
		return nil, err
	}
	return StartBtcd(ctx, BitcoinOptions{Bin: bin, Dir: dir, Params: &chaincfg.SimNetParams, MiningAddress: w.Address(P2WPKH)})
}
