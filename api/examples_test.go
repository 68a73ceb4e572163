package api_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

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
			d.ledger.pages = [][]indexer.Transaction{{{
				Chain: "btc", Tx: chains.Hash{1}, Status: indexer.StatusConfirmed, Block: tip, Confirmations: 1, Time: noon,
				Legs: []indexer.Leg{{Source: "vout:0", Side: chains.In, Asset: btc, Amount: chains.NewAmount(150_000_000), Address: "bc1q"}},
			}}}
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
