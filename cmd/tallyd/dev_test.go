package main

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/store/synccache"
)

// TestDevChild is tallyd dev in a process of its own, for TestDev to end in every
// way there is.
func TestDevChild(t *testing.T) { //nolint:paralleltest // it is the only test of its process
	data := os.Getenv("TALLYD_DEV_CHILD")
	if data == "" {
		t.Skip("runs as the child of TestDev alone")
	}
	cmd := root(synccache.LogDriver)
	cmd.SetArgs([]string{"dev", "--data", data, "--listen", "127.0.0.1:0"})
	ctx, stop := signals(t.Context())
	defer stop()
	require.NoError(t, cmd.ExecuteContext(ctx))
}

// devProcess is one run of tallyd dev.
type devProcess struct {
	t     *testing.T
	data  string
	log   string // file with all it printed
	cmd   *exec.Cmd
	ended chan error
}

func startDev(t *testing.T, data string) *devProcess {
	t.Helper()
	require.NoError(t, removeIfThere(filepath.Join(data, devFileName)))
	p := &devProcess{t: t, data: data, log: filepath.Join(t.TempDir(), "output"), ended: make(chan error, 1)}
	output, err := os.Create(p.log)
	require.NoError(t, err)
	defer output.Close()
	p.cmd = exec.CommandContext(context.WithoutCancel(t.Context()), os.Args[0], "-test.run", "^TestDevChild$", "-test.v")
	p.cmd.Env = append(os.Environ(), "TALLYD_DEV_CHILD="+data)
	p.cmd.Stdout, p.cmd.Stderr = output, output
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT}
	require.NoError(t, p.cmd.Start())
	go func() { p.ended <- p.cmd.Wait() }()
	t.Cleanup(func() { p.end(syscall.SIGKILL) })
	require.Eventually(t, func() bool {
		select {
		case err := <-p.ended:
			p.ended <- err
			require.Fail(t, "tallyd dev ended", "%v\n%s", err, p.output())
		default:
		}
		_, err := os.Stat(filepath.Join(data, devFileName))
		return err == nil
	}, 2*patience, 50*time.Millisecond, "tallyd dev is ready")
	return p
}

func (p *devProcess) output() string {
	text, _ := os.ReadFile(p.log) // it was made at the start
	return string(text)
}

func removeIfThere(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// end sends a signal and waits for the process, and for all it started.
func (p *devProcess) end(signal syscall.Signal) {
	p.t.Helper()
	_ = p.cmd.Process.Signal(signal) // it may have ended already
	err := <-p.ended
	p.ended <- err
	require.Eventually(p.t, func() bool { return len(childrenOf(p.t, p.data)) == 0 }, patience, 20*time.Millisecond,
		"nothing is left that %s started", p.data)
}

// childrenOf returns the living processes that name a folder in their command
// line or work in it.
func childrenOf(t *testing.T, data string) []string {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	require.NoError(t, err)
	var found []string
	for _, entry := range entries {
		if _, err := strconv.Atoi(entry.Name()); err != nil {
			continue
		}
		line, _ := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline")) // it may just have ended
		cwd, _ := os.Readlink(filepath.Join("/proc", entry.Name(), "cwd"))
		if strings.Contains(string(line), data) || strings.HasPrefix(cwd, data) {
			found = append(found, string(line))
		}
	}
	return found
}

func (p *devProcess) file() devFile {
	p.t.Helper()
	file, err := readDevFile(p.data)
	require.NoError(p.t, err)
	return file
}

// stack returns the API of the run as the other tests use it.
func (p *devProcess) stack() *stack { return &stack{t: p.t, url: p.file().URL} }

func TestDev(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"TALLYD_BTCD", "TALLYD_ANVIL", "TALLYD_PG_BIN"} {
		if os.Getenv(variable) == "" && os.Getenv("TALLYD_REQUIRE") == "" {
			t.Skipf("%s is not set: run make test", variable)
		}
	}
	data := filepath.Join(t.TempDir(), "data")
	p := startDev(t, data)
	info, err := os.Stat(filepath.Join(data, devFileName))
	require.NoError(t, err)
	require.Equal(t, fs.FileMode(0o600), info.Mode().Perm())
	require.Contains(t, p.output(), "tallyd is ready: "+p.file().URL)

	p.quickstart()
	p.twin()
	s := p.stack()
	keys := p.file()
	status, user := s.call("POST", "/v1/users", "X-API-Key", keys.APIKey, map[string]string{"name": "kept"})
	require.Equal(t, 201, status, user)

	p.end(syscall.SIGINT)
	require.NoError(t, func() error { err := <-p.ended; p.ended <- err; return err }(), p.output())

	p = startDev(t, data)
	require.Equal(t, keys.APIKey, p.file().APIKey, "keys survive")
	s = p.stack()
	status, again := s.call("GET", "/v1/users/"+user["uuid"].(string), "X-API-Key", keys.APIKey, nil)
	require.Equal(t, 200, status, again)
	require.GreaterOrEqual(t, p.height("btc"), int64(311), "the chain survives")
	require.GreaterOrEqual(t, p.height("eth"), int64(1), "the chain survives")

	p.end(syscall.SIGKILL)
	p = startDev(t, data)
	p.level()
	p.quickstart()

	// Another genesis block is a new chain.
	p.end(syscall.SIGINT)
	require.NoError(t, os.RemoveAll(filepath.Join(data, "eth")))
	p = startDev(t, data)
	p.level()
	p.end(syscall.SIGINT)
}

// height returns the ledger's height of a chain.
func (p *devProcess) height(chain string) int64 {
	p.t.Helper()
	for _, one := range p.chains() {
		if one["chain"] == chain {
			height, err := one["height"].(json.Number).Int64()
			require.NoError(p.t, err)
			return height
		}
	}
	require.Fail(p.t, "no such chain", chain)
	return 0
}

func (p *devProcess) chains() []map[string]any {
	p.t.Helper()
	status, answer := p.stack().call("GET", "/v1/chains", "X-API-Key", p.file().MasterKey, nil)
	require.Equal(p.t, 200, status, answer)
	var all []map[string]any
	for _, one := range answer["chains"].([]any) {
		all = append(all, one.(map[string]any))
	}
	return all
}

// level waits until both chains are level.
func (p *devProcess) level() {
	p.t.Helper()
	require.Eventually(p.t, func() bool {
		for _, one := range p.chains() {
			if one["state"] != "level" && one["state"] != "syncing" || one["lag"] != json.Number("0") {
				return false
			}
		}
		return true
	}, patience, 50*time.Millisecond, "both chains are level")
}

// quickstart runs the script of Blockmate's quickstart as it stands in the seed,
// with another base URL and a token.
func (p *devProcess) quickstart() {
	p.t.Helper()
	const seed = "../../../shared/seeds/blockmate-quickstart.txt"
	text, err := os.ReadFile(seed)
	if errors.Is(err, fs.ErrNotExist) {
		p.t.Logf("the quickstart's text is not here: its twin in examples is run alone")
		return
	}
	require.NoError(p.t, err)
	_, script, found := strings.Cut(string(text), "import requests\n")
	require.True(p.t, found)
	const end = "print(json.dumps(transactions[\"transactions\"], indent=4))\n"
	script, _, found = strings.Cut(script, end)
	require.True(p.t, found)
	script = strings.ReplaceAll("import requests\n"+script+end, "https://api.blockmate.io", p.file().URL)
	script = strings.Replace(script, "# Fill in your token\n", "my_project_token = "+strconv.Quote(p.file().APIKey)+"\n", 1)
	out := p.python("-c", script)
	require.Contains(p.t, out, "=== Balance ===")
	_, transactions, found := strings.Cut(out, "=== Transactions ===\n")
	require.True(p.t, found, out)
	var list []map[string]any
	require.NoError(p.t, json.Unmarshal([]byte(transactions), &list))
	require.NotEmpty(p.t, list, "the address was paid")
}

// twin runs our own quickstart.
func (p *devProcess) twin() {
	p.t.Helper()
	out := p.python("../../examples/quickstart.py", "--dev", filepath.Join(p.data, devFileName))
	require.Contains(p.t, out, "BTC")
}

// python runs a program with testdata/python before the installed modules: it has
// a stand-in for the one module the seed's script imports.
func (p *devProcess) python(args ...string) string {
	p.t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		require.Empty(p.t, os.Getenv("TALLYD_REQUIRE"), "python3 is not installed")
		p.t.Skip("python3 is not installed")
	}
	cmd := exec.CommandContext(p.t.Context(), python, args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH=testdata/python")
	out, err := cmd.CombinedOutput()
	require.NoError(p.t, err, "%s", out)
	return string(out)
}
