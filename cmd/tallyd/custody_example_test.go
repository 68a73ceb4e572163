package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The typical integration of a custody backend runs as it stands against tallyd
// dev: deposits on both local chains, and withdrawals signed outside.
func TestCustodyExample(t *testing.T) {
	t.Parallel()
	for _, variable := range []string{"TALLYD_BTCD", "TALLYD_ANVIL", "TALLYD_PG_BIN"} {
		if os.Getenv(variable) == "" && os.Getenv("TALLYD_REQUIRE") == "" {
			t.Skipf("%s is not set: run make test", variable)
		}
	}
	if _, err := exec.LookPath("python3"); err != nil {
		require.Empty(t, os.Getenv("TALLYD_REQUIRE"), "python3 is not installed")
		t.Skip("python3 is not installed")
	}
	command := filepath.Join(t.TempDir(), "tallyd")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", command, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	p := startDev(t, filepath.Join(t.TempDir(), "data"))
	out, err = exec.CommandContext(t.Context(), "python3", "../../examples/custody.py", "--data", p.data, "--tallyd", command).CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, p.output())
	require.Contains(t, string(out), "events, each once and with a valid signature")
	p.end(syscall.SIGINT)
}
