package chainstest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tallyd/chains"
)

// Backend is one Source in front of one real node, and a hand on that node, so
// that what the Source says can be compared with what is so.
type Backend struct {
	Source chains.Source

	// Mine appends n blocks to the node's best chain.
	Mine func(t *testing.T, n int)

	// Reorg replaces the last depth blocks by depth+1 other ones.
	Reorg func(t *testing.T, depth int)

	// Head is the node's best block as the node itself says.
	Head func(t *testing.T) (height uint64, hash chains.Hash)

	// Hash is the hash at a height of the node's best chain as the node itself
	// says.
	Hash func(t *testing.T, height uint64) chains.Hash
}

// patience bounds what a test waits for. A healthy node takes milliseconds.
const patience = 30 * time.Second

// SourceConformance is what every adapter's Source passes against each kind of
// node. It mines and reorganises, so that its parts run one after the other.
func SourceConformance(t *testing.T, b Backend) {
	t.Helper()
	b.Mine(t, 12)
	for _, part := range []struct {
		name string
		test func(*testing.T, Backend)
	}{
		{"Chain", chainIsKnown},
		{"Refs", refsAgree},
		{"Blocks", blocksAgree},
		{"NotFound", absenceIsNotFound},
		{"ManyAtOnce", manyMayAsk},
		{"Cancelled", endOfContextIsItsCause},
		{"WaitHead", headIsWaitedFor},
		{"Reorg", reorgIsSeen},
		{"Addresses", rubbishIsNoAddress},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, b) })
	}
}

func chainIsKnown(t *testing.T, b Backend) {
	t.Helper()
	chain := b.Source.Chain()
	require.NotEmpty(t, chain.ID)
	require.Equal(t, b.Hash(t, 0), chain.Genesis)
	require.Contains(t, string(chain.Native.ID), chain.ID+"/slip44:")
	require.Positive(t, chain.Native.Decimals)
}

func refsAgree(t *testing.T, b Backend) {
	t.Helper()
	height, hash := b.Head(t)
	head, err := b.Source.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, height, head.Height)
	require.Equal(t, hash, head.Hash)
	var parent chains.Hash
	for h := range height + 1 {
		at, err := b.Source.RefAt(t.Context(), h)
		require.NoError(t, err)
		require.Equal(t, h, at.Height)
		require.Equal(t, b.Hash(t, h), at.Hash)
		require.Equal(t, parent, at.Parent)
		require.False(t, at.Time.IsZero())
		by, err := b.Source.Ref(t.Context(), at.Hash)
		require.NoError(t, err)
		require.Equal(t, at, by)
		parent = at.Hash
	}
	require.Equal(t, hash, parent)
}

func blocksAgree(t *testing.T, b Backend) {
	t.Helper()
	height, _ := b.Head(t)
	nothing := chains.NewWatchTable(0, 0)
	for h := range height + 1 {
		ref, err := b.Source.RefAt(t.Context(), h)
		require.NoError(t, err)
		block, err := b.Source.Block(t.Context(), ref.Hash)
		require.NoError(t, err)
		require.Equal(t, ref, block.Ref())
		match, err := block.Match(nothing)
		require.NoError(t, err)
		require.True(t, match.Empty(), "nothing is watched")
	}
}

func absenceIsNotFound(t *testing.T, b Backend) {
	t.Helper()
	height, _ := b.Head(t)
	_, err := b.Source.RefAt(t.Context(), height+1)
	require.ErrorIs(t, err, chains.ErrNotFound)
	unknown := chains.Hash{31: 0x77}
	_, err = b.Source.Ref(t.Context(), unknown)
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, err = b.Source.Block(t.Context(), unknown)
	require.ErrorIs(t, err, chains.ErrNotFound)
	if health, ok := b.Source.(chains.HealthReporter); ok {
		for _, upstream := range health.Health() {
			require.True(t, upstream.OK, "an absent block is nobody's fault: %s", upstream.Reason)
		}
	}
}

func manyMayAsk(t *testing.T, b Backend) {
	t.Helper()
	height, _ := b.Head(t)
	group, ctx := errgroup.WithContext(t.Context())
	for h := range height + 1 {
		group.Go(func() error {
			ref, err := b.Source.RefAt(ctx, h)
			if err != nil {
				return fmt.Errorf("at height %d: %w", h, err)
			}
			block, err := b.Source.Block(ctx, ref.Hash)
			if err != nil {
				return fmt.Errorf("at height %d: %w", h, err)
			}
			if _, err = block.Match(chains.NewWatchTable(0, 0)); err != nil {
				return fmt.Errorf("at height %d: %w", h, err)
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
}

func endOfContextIsItsCause(t *testing.T, b Backend) {
	t.Helper()
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(stopped)
	_, err := b.Source.Head(ctx)
	require.ErrorIs(t, err, stopped)
	_, err = b.Source.Block(ctx, b.Source.Chain().Genesis)
	require.ErrorIs(t, err, stopped)
	_, err = b.Source.Head(t.Context())
	require.NoError(t, err, "the end of one caller's context hurts nobody else")
}

func headIsWaitedFor(t *testing.T, b Backend) {
	t.Helper()
	waiter, ok := b.Source.(chains.HeadWaiter)
	if !ok {
		t.Skip("this source waits for no head")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	require.NoError(t, waiter.WaitHead(ctx, chains.Hash{31: 1}), "another head is known at once")

	_, known := b.Head(t)
	waited := make(chan error, 1)
	go func() { waited <- untilMoved(ctx, waiter, b.Source, known) }()
	b.Mine(t, 1)
	require.NoError(t, <-waited)

	_, known = b.Head(t)
	stopped := errors.New("stopped")
	ended, stop := context.WithCancelCause(t.Context())
	go func() { waited <- untilMoved(ended, waiter, b.Source, known) }()
	stop(stopped)
	require.ErrorIs(t, <-waited, stopped)
}

// untilMoved waits as a follower does: WaitHead may return too early.
func untilMoved(ctx context.Context, waiter chains.HeadWaiter, source chains.Source, known chains.Hash) error {
	for {
		if err := waiter.WaitHead(ctx, known); err != nil {
			return fmt.Errorf("wait: %w", err)
		}
		head, err := source.Head(ctx)
		if err != nil {
			return fmt.Errorf("look: %w", err)
		}
		if head.Hash != known {
			return nil
		}
	}
}

func reorgIsSeen(t *testing.T, b Backend) {
	t.Helper()
	const depth = 6
	height, old := b.Head(t)
	b.Reorg(t, depth)
	head, err := b.Source.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, height+1, head.Height)
	// Back along the parents: the branch is whole, and leaves the old one at the
	// fork.
	for head.Height > height-depth {
		require.Equal(t, b.Hash(t, head.Height), head.Hash)
		head, err = b.Source.Ref(t.Context(), head.Parent)
		require.NoError(t, err)
	}
	gone, err := b.Source.Ref(t.Context(), old)
	if err != nil {
		require.ErrorIs(t, err, chains.ErrNotFound)
		return
	}
	require.Equal(t, old, gone.Hash, "a node may still know the branch that was left")
	require.Equal(t, height, gone.Height)
}

func rubbishIsNoAddress(t *testing.T, b Backend) {
	t.Helper()
	for _, text := range []string{"", " ", "hello", "0x", "\x00\xff", "bc1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq"} {
		_, _, err := b.Source.ParseAddress(text)
		require.Error(t, err, "%q", text)
	}
	require.Empty(t, b.Source.FormatAddress([]byte{1, 2, 3}))
}
