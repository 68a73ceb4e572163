package api_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
)

// Blockmate's script runs unchanged but for its base URL and the token that it
// asks its reader to fill in.
func TestQuickstartScript(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../shared/seeds/blockmate-quickstart.txt")
	if err != nil {
		t.Skipf("the quickstart page is not beside this repository: %v", err)
	}
	if out, err := exec.CommandContext(t.Context(), "python3", "-c", "import requests").CombinedOutput(); err != nil {
		t.Skipf("python3 with requests is not installed: %s", out)
	}
	d := newDesk(t)
	d.ledger.set(func(f *fakeLedger) { f.pending = 2 })
	_, script, found := strings.Cut(string(page), "\nimport requests\n")
	require.True(t, found)
	script, _, found = strings.Cut(script, "\nIf you would like")
	require.True(t, found)
	script = "import requests\n" + strings.ReplaceAll(script, "https://api.blockmate.io", d.url)
	script = strings.Replace(script, "# Fill in your token\n", "my_project_token = '"+master+"'\n", 1)
	cmd := exec.CommandContext(t.Context(), "python3", "-c", script)
	cmd.Env = append(os.Environ(), "no_proxy=*", "NO_PROXY=*")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Contains(t, string(out), "=== Balance ===\n=== Transactions ===\n[]")
}

// The examples run as they stand against an API.
func TestExamples(t *testing.T) {
	t.Parallel()
	for name, interpreter := range map[string]string{"quickstart.py": "python3", "quickstart.sh": "bash"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := exec.LookPath(interpreter); err != nil {
				t.Skipf("%s is not installed", interpreter)
			}
			if _, err := exec.LookPath("curl"); err != nil && name == "quickstart.sh" {
				t.Skip("curl is not installed")
			}
			d := newDesk(t)
			d.ledger.set(func(f *fakeLedger) {
				f.pages = [][]indexer.Transaction{{{
					Chain: "btc", Tx: chains.Hash{1}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 1, Time: noon,
					Legs: []indexer.Leg{{Source: "vout:0", Side: chains.In, Asset: btc, Amount: chains.NewAmount(150_000_000), Address: "bc1q"}},
				}}}
			})
			dev := filepath.Join(t.TempDir(), "dev.json")
			content, err := json.MarshalIndent(map[string]any{"url": d.url, "master_key": "unused", "api_key": master}, "", "  ")
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(dev, content, 0o600))

			run := func(args ...string) (string, error) {
				cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"../examples/" + name}, args...)...)
				cmd.Env = append(os.Environ(), "TALLYD_DEV="+dev, "no_proxy=*", "NO_PROXY=*")
				out, err := cmd.CombinedOutput()
				return string(out), err
			}
			var args []string
			if interpreter == "python3" {
				args = []string{"--dev", dev}
			}
			out, err := run(args...)
			require.NoError(t, err, out)
			require.Contains(t, out, "1.5")
			require.Contains(t, out, "0100000000000000000000000000000000000000000000000000000000000000")

			// A key that opens nothing ends them with the reason.
			args = []string{d.url, "wrong"}
			if interpreter == "python3" {
				args = []string{"--url", d.url, "--key", "wrong"}
			}
			out, err = run(args...)
			require.Error(t, err)
			require.Contains(t, out, "401")
			require.Contains(t, out, "Unauthorized")
		})
	}
}

// The shell client signs as the gate wants it signed: a query, a body, and a target
// that curl would tidy up.
func TestSignedExample(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	d := newDesk(t)
	key, secret, err := access.NewKey(d.pepper, access.Request{Realm: live, Kind: access.Signed, Scopes: []string{"users:*", "events:read"}}, time.Now())
	require.NoError(t, err)
	d.keys.mu.Lock()
	d.keys.keys[key.ID] = key
	d.keys.mu.Unlock()
	run := func(secret string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), "../examples/signed.sh", append([]string{d.url + "/", key.Public()}, args...)...)
		cmd.Env = append(os.Environ(), "TALLYD_SECRET="+secret, "no_proxy=*", "NO_PROXY=*")
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{
		{"POST", "/v1/users", `{"name":"Zoë $HOME 'quoted'"}`},
		{"GET", "/v1/users"},
		{"GET", "/v1/events?after=0&limit=1000&x=%2F[a-b]"},
	} {
		out, err := run(secret, args...)
		require.NoError(t, err, out)
		require.NotContains(t, out, secret)
	}
	out, err := run(secret, "GET", "/v1/users")
	require.NoError(t, err, out)
	require.Contains(t, out, `"name":"Zoë $HOME 'quoted'"`)
	require.Contains(t, out, `"created_by":"`+key.ID+`"`)

	out, err = run(secret[:len(secret)-1], "GET", "/v1/users")
	require.Error(t, err)
	require.Contains(t, out, "401")
	require.Contains(t, out, "invalid_signature")
	out, err = run("", "GET", "/v1/users")
	require.Error(t, err)
	require.Contains(t, out, "usage")
}
