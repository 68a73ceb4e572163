package secret_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/store/secret"
)

func newKeyset(t *testing.T) (*secret.Keyset, string) {
	t.Helper()
	text, err := secret.New()
	require.NoError(t, err)
	k, err := secret.Parse(text)
	require.NoError(t, err)
	return k, text
}

// What is sealed opens with the same keyset and the same owner, and with no other.
func TestSealing(t *testing.T) {
	t.Parallel()
	k, text := newKeyset(t)
	other, _ := newKeyset(t)
	sealed, err := k.Seal([]byte("hidden"), []byte("owner"))
	require.NoError(t, err)
	require.NotContains(t, string(sealed), "hidden")
	again, err := secret.Parse(text)
	require.NoError(t, err)
	plain, err := again.Open(sealed, []byte("owner"))
	require.NoError(t, err)
	require.Equal(t, "hidden", string(plain))

	_, err = k.Open(sealed, []byte("another"))
	require.Error(t, err)
	_, err = other.Open(sealed, []byte("owner"))
	require.Error(t, err)
	sealed[len(sealed)-1] ^= 1
	_, err = k.Open(sealed, []byte("owner"))
	require.Error(t, err)
}

func TestWhatIsNoKeyset(t *testing.T) {
	t.Parallel()
	_, text := newKeyset(t)
	for _, bad := range []string{"", "{}", "hunter2", strings.Replace(text, "AesGcmKey", "HmacKey", 1), text[:len(text)/2]} {
		_, err := secret.Parse(bad)
		require.ErrorIs(t, err, secret.ErrKeyset)
		require.NotContains(t, err.Error(), "hunter2")
	}
}
