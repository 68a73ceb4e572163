package accounts

import (
	"encoding/base64"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

var place = indexer.TransactionCursor{
	Time: time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC), Tx: chains.Hash{1, 2, 3}, Account: uuid.MustParse("497f6eca-6276-4993-bfeb-53cbbbba6f08"),
}

func TestCursor(t *testing.T) {
	t.Parallel()
	user := uuid.New()
	c := newCursors([]byte("secret"))
	text := c.write(user, place)
	got, err := c.read(user, text)
	require.NoError(t, err)
	require.Equal(t, place, got)

	_, err = c.read(uuid.New(), text)
	require.Error(t, err, "another user's")
	_, err = newCursors([]byte("other")).read(user, text)
	require.Error(t, err, "another secret's")
	raw, err := base64.RawURLEncoding.DecodeString(text)
	require.NoError(t, err)
	for i := range raw {
		raw[i] ^= 1
		_, err = c.read(user, base64.RawURLEncoding.EncodeToString(raw))
		require.Error(t, err, "byte %d was changed", i)
		raw[i] ^= 1
	}
}

func FuzzCursor(f *testing.F) {
	c := newCursors([]byte("secret"))
	user := uuid.MustParse("4301140e-d639-11ec-9120-00155d03ab64")
	f.Add(c.write(user, place))
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := c.read(user, text); err == nil {
			require.Equal(t, text, c.write(user, at), "one place has one text")
		}
	})
}
