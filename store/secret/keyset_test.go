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

// Through every step of a rotation, daemons that are a step ahead or behind open
// what each other sealed.
func TestRotation(t *testing.T) {
	t.Parallel()
	_, text := newKeyset(t)
	steps := []string{text}
	for range 2 {
		added, err := secret.Add(steps[len(steps)-1])
		require.NoError(t, err)
		promoted, err := secret.Promote(added)
		require.NoError(t, err)
		_, err = secret.Promote(promoted)
		require.ErrorIs(t, err, secret.ErrPrimary)
		steps = append(steps, added, promoted)
	}
	parse := func(i int) *secret.Keyset {
		k, err := secret.Parse(steps[i])
		require.NoError(t, err)
		return k
	}
	for i := range steps {
		sealed, err := parse(i).Seal([]byte("hidden"), nil)
		require.NoError(t, err)
		for j := max(0, i-1); j < len(steps); j++ {
			plain, err := parse(j).Open(sealed, nil)
			require.NoError(t, err, "sealed at step %d, opened at step %d", i, j)
			require.Equal(t, "hidden", string(plain))
		}
		if i == 2 || i == 4 {
			_, err := parse(i-2).Open(sealed, nil)
			require.Error(t, err, "sealed with the new key")
		}
	}
	for _, bad := range []string{"", "{}", "hunter2"} {
		_, err := secret.Add(bad)
		require.ErrorIs(t, err, secret.ErrKeyset)
		_, err = secret.Promote(bad)
		require.ErrorIs(t, err, secret.ErrKeyset)
	}
}
