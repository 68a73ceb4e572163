package main

import (
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tallyd/store/embedded"
)

func TestMigrate(t *testing.T) {
	t.Parallel()
	url := embedded.TestDatabase(t)
	path := settingsFile(t, databasePart(url))
	const several = 3
	said := make([]string, several)
	var group errgroup.Group
	for i := range several {
		group.Go(func() error {
			out, err := tallyd(t, "migrate", "-c", path)
			said[i] = out
			return err
		})
	}
	require.NoError(t, group.Wait())
	worked := 0
	for _, out := range said {
		if regexp.MustCompile(`^migrations applied: [1-9]\d*\n$`).MatchString(out) {
			worked++
			continue
		}
		require.Equal(t, "nothing to do: the schema is this version's\n", out)
	}
	require.Equal(t, 1, worked, "one applied all: %q", said)
	before := tables(t, url)
	require.NotZero(t, before)

	out, err := tallyd(t, "migrate", "-c", path)
	require.NoError(t, err)
	require.Equal(t, "nothing to do: the schema is this version's\n", out)
	require.Equal(t, before, tables(t, url))
}
