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

var (
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 123456000, time.UTC)
	onChain = &indexer.TransactionCursor{Time: noon, Tx: chains.Hash{1, 2, 3}, Account: uuid.MustParse("497f6eca-6276-4993-bfeb-53cbbbba6f08")}
	atVenue = &indexer.VenueMovementCursor{Time: noon.Add(-time.Hour), ID: 7}
	places  = []place{
		{}, {onChain: onChain, atVenuesEnded: true}, {onChain: onChain, atVenues: atVenue}, {onChainEnded: true, atVenues: atVenue}, {atVenues: atVenue},
	}
)

func TestCursor(t *testing.T) {
	t.Parallel()
	user := uuid.New()
	c := newCursors([]byte("secret"))
	for _, at := range places {
		text := c.write(user, at)
		require.LessOrEqual(t, len(text), 200, "the most that a request may send")
		got, err := c.read(user, text)
		require.NoError(t, err)
		require.Equal(t, at, got)

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
		_, err = c.read(user, base64.RawURLEncoding.EncodeToString(raw[:len(raw)-1]))
		require.Error(t, err)
	}
}

func FuzzCursor(f *testing.F) {
	c := newCursors([]byte("secret"))
	user := uuid.MustParse("4301140e-d639-11ec-9120-00155d03ab64")
	for _, at := range places {
		f.Add(c.write(user, at))
	}
	f.Add("")
	f.Add("AQ")
	f.Fuzz(func(t *testing.T, text string) {
		if at, err := c.read(user, text); err == nil {
			require.Equal(t, text, c.write(user, at), "one place has one text")
		}
	})
}
