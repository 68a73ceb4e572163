package store_test

import (
	"context"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/indexer"
	"tallyd/store"
)

// What is kept of a request can be looked for without carrying anything out, and
// without leaving a row.
func TestKept(t *testing.T) {
	t.Parallel()
	o := newOffice(t, store.Options{})
	ctx := t.Context()
	entry, asked := o.entry("k1"), once("a", "body")
	_, err := o.Kept(ctx, entry, *asked)
	require.ErrorIs(t, err, indexer.ErrNotFound)

	running, finish := make(chan struct{}), make(chan struct{})
	ended := make(chan error, 1)
	end := sync.OnceFunc(func() { close(finish) })
	defer end() // also where the test fails: the pool waits for its connections
	go func() {
		_, _, err := o.Write(ctx, entry, asked, func(context.Context) access.Answer {
			close(running)
			<-finish
			return refused(ctx)
		})
		ended <- err
	}()
	<-running
	_, err = o.Kept(ctx, entry, *asked)
	require.ErrorIs(t, err, access.ErrRunning)
	end()
	require.NoError(t, <-ended)
	_, err = o.Kept(ctx, entry, *asked)
	require.ErrorIs(t, err, indexer.ErrNotFound, "it came to nothing")

	answer, _, err := o.Write(ctx, entry, asked, o.add(t, "ann"))
	require.NoError(t, err)
	kept, err := o.Kept(ctx, entry, *asked)
	require.NoError(t, err)
	require.Equal(t, answer, kept)
	_, err = o.Kept(ctx, entry, *once("a", "another body"))
	require.ErrorIs(t, err, access.ErrOtherBody)
	_, err = o.Kept(ctx, o.entry("k2"), *asked)
	require.ErrorIs(t, err, indexer.ErrNotFound)
	require.Equal(t, []string{"ann"}, o.names(t, ctx))
	require.Len(t, o.audited(t, ctx), 2, "looking is not written down")
}
