package main

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/store/secret"
)

func TestKeyset(t *testing.T) {
	t.Parallel()
	text, err := tallyd(t, "secrets", "keyset")
	require.NoError(t, err)
	old, err := secret.Parse(text)
	require.NoError(t, err)
	sealed, err := old.Seal([]byte("kept"), nil)
	require.NoError(t, err)

	path := filepath.Join(t.TempDir(), "keyset.json")
	for _, step := range []string{"--add", "--promote", "--rotate"} {
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
		text, err = tallyd(t, "secrets", "keyset", step, "-c", settingsFile(t, fmt.Sprintf("secrets: {keyset_file: %q}", path)))
		require.NoError(t, err)
	}
	rotated, err := secret.Parse(text)
	require.NoError(t, err)
	plain, err := rotated.Open(sealed, nil)
	require.NoError(t, err)
	require.Equal(t, "kept", string(plain))
	sealed, err = rotated.Seal([]byte("new"), nil)
	require.NoError(t, err)
	_, err = old.Open(sealed, nil)
	require.Error(t, err, "the new key seals")
}
