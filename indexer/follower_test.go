package indexer_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/chainstest"
	"tallyd/indexer"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// weightless is a fake chain without proof of work.
type weightless struct{ *chainstest.Fake }

func (w weightless) Head(ctx context.Context) (chains.BlockRef, error) {
	return bare(w.Fake.Head(ctx))
}

func (w weightless) Ref(ctx context.Context, hash chains.Hash) (chains.BlockRef, error) {
	return bare(w.Fake.Ref(ctx, hash))
}

func (w weightless) RefAt(ctx context.Context, height uint64) (chains.BlockRef, error) {
	return bare(w.Fake.RefAt(ctx, height))
}

func (w weightless) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	block, err := w.Fake.Block(ctx, hash)
	return lightBlock{block}, err
}

type lightBlock struct{ chains.Block }

func (b lightBlock) Ref() chains.BlockRef { ref, _ := bare(b.Block.Ref(), nil); return ref }

func bare(ref chains.BlockRef, err error) (chains.BlockRef, error) {
	ref.Work = chains.Work{}
	return ref, err
}

func TestFollowerStep(t *testing.T) {
	t.Parallel()
	start := func(n uint64) *uint64 { return &n }
	tests := []struct {
		name   string
		before string // the node when the ledger was made level with it
		node   string // the node now
		want   string // the ledger when there is nothing more to do
		steps  int    // steps that move it there, the block in which the fork is found included
		light  bool   // without proof of work
		rewind bool
		start  *uint64
	}{
		{name: "FirstBlocks", before: "", node: "abc", want: "abc", steps: 3, start: start(0)},
		{name: "FromAHeight", before: "", node: "abcde", want: "cde", steps: 3, start: start(2)},
		{name: "FromTheHead", before: "", node: "abcde", want: "e", steps: 1},
		{name: "AboveTheHead", before: "", node: "abc", want: "", steps: 0, start: start(7)},
		{name: "NothingNew", before: "abc", node: "abc", want: "abc", steps: 0, start: start(0)},
		{name: "CatchUp", before: "a", node: "abcdefghijklmnopq", want: "abcdefghijklmnopq", steps: 16, start: start(0)},
		{name: "TipReplaced", before: "abc", node: "abxy", want: "abxy", steps: 4, start: start(0)},
		{name: "DeepReorg", before: "abcd", node: "axyzw", want: "axyzw", steps: 8, start: start(0)},
		{name: "WholeChainReplaced", before: "cde", node: "zyxwv", want: "zyxwv", steps: 9, start: start(0)},
		{name: "SameWorkStays", before: "abc", node: "abx", want: "abc", steps: 0, start: start(0)},
		{name: "LessWorkStays", before: "abcde", node: "abx", want: "abcde", steps: 0, start: start(0)},
		{name: "LaggingNode", before: "abcde", node: "abc", want: "abcde", steps: 0, start: start(0)},
		{name: "LightSameHeightReplaced", before: "abc", node: "abx", want: "abx", steps: 3, start: start(0), light: true},
		{name: "LightShorterStays", before: "abcde", node: "abx", want: "abcde", steps: 0, start: start(0), light: true},
		{name: "LightLagging", before: "abcde", node: "abc", want: "abcde", steps: 0, start: start(0), light: true},
		{name: "RewindShorter", before: "abcde", node: "abc", want: "abc", steps: 3, start: start(0), rewind: true},
		{name: "RewindToAnother", before: "abcde", node: "abx", want: "abx", steps: 5, start: start(0), rewind: true},
		{name: "ReorgBelowTheStart", before: "abcde", node: "xbcdefg", want: "cdefg", steps: 9, start: start(2)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			node := chainstest.NewFake("btc", tt.before)
			var source chains.Source = node
			if tt.light {
				source = weightless{node}
			}
			ledger := &tape{}
			cfg := indexer.FollowConfig{Start: tt.start, Ahead: 4, Rewindable: tt.rewind}
			cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
			require.NoError(t, err)
			f := indexer.NewFollower(source, ledger, cfg, cursor, zerolog.Nop())
			defer f.Close()
			if tt.before != "" {
				settle(t, f)
			}
			node.Show(tt.node)
			require.Equal(t, tt.steps, settle(t, f))

			var got []chains.Hash
			for _, b := range ledger.blocks {
				got = append(got, b.Hash)
			}
			var want []chains.Hash
			for i := range len(tt.want) {
				height := len(tt.node) - len(tt.want) + i
				if tt.want == tt.before {
					height = i
				}
				letters := tt.node
				if tt.want == tt.before {
					letters = tt.before
				}
				ref, err := chainstest.NewFake("btc", letters).RefAt(t.Context(), uint64(height))
				require.NoError(t, err)
				want = append(want, ref.Hash)
			}
			require.Equal(t, want, got)
		})
	}
}

// settle steps until nothing moves and returns how many steps moved.
func settle(t *testing.T, f *indexer.Follower) int {
	t.Helper()
	for n := 0; ; n++ {
		require.Less(t, n, 1000, "the follower never settles")
		moved, err := f.Step(t.Context())
		require.NoError(t, err)
		if !moved {
			return n
		}
	}
}

func TestFollowerMatchesAgainWhenScriptsAreAdded(t *testing.T) {
	t.Parallel()
	node := chainstest.NewFake("btc", "a")
	node.Put('b', chainstest.Tx{Name: "pay", Pays: []chainstest.Pay{{Script: "late", Amount: 5}}})
	ledger := &tape{}
	zero := uint64(0)
	cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
	require.NoError(t, err)
	f := indexer.NewFollower(node, ledger, indexer.FollowConfig{Start: &zero}, cursor, zerolog.Nop())
	defer f.Close()
	settle(t, f)

	node.Show("ab")
	ledger.late = func() { ledger.scripts, ledger.version = []string{"late"}, 1 }
	settle(t, f)
	require.Len(t, ledger.applied, 2)
	require.Len(t, ledger.applied[1].Match.Transfers, 1, "the block was walked again for the script added meanwhile")
}

// Catching up, blocks that are at hand are appended together; near the head one by
// one. What one of them pays, another of the same batch spends.
func TestFollowerBatches(t *testing.T) {
	t.Parallel()
	pay := chainstest.Tx{Name: "pay", Pays: []chainstest.Pay{{Script: "ours", Amount: 5}}}
	const letters = "abcdefghijklmnopqrstuvwxyz"
	for n := range 25 {
		t.Run(letters[:n+1], func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				node := chainstest.NewFake("btc", "a")
				node.Put('c', pay)
				node.Put('d', chainstest.Tx{Name: "spend", Spends: []chains.Outpoint{pay.Out(0)}})
				ledger := &tape{scripts: []string{"ours"}}
				zero := uint64(0)
				cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
				require.NoError(t, err)
				cfg := indexer.FollowConfig{Start: &zero, Ahead: 4, Batch: 3}
				f := indexer.NewFollower(node, ledger, cfg, cursor, zerolog.Nop())
				defer f.Close()
				settle(t, f)
				node.Show(letters[:n+1])
				// A batch that finds scripts added begins again with all its blocks.
				ledger.late = func() { ledger.version++ }
				for moved := true; moved; {
					synctest.Wait() // what is read ahead is at hand
					moved, err = f.Step(t.Context())
					require.NoError(t, err)
				}
				ledger.holds(t, n, cfg)
			})
		})
	}
}

// holds checks a ledger of blocks 0 to n, of which the third pays and the fourth
// spends.
func (l *tape) holds(t *testing.T, n int, cfg indexer.FollowConfig) {
	t.Helper()
	require.Len(t, l.blocks, n+1)
	transfers, spends := 0, 0
	for i, step := range l.applied {
		require.Equal(t, uint64(i), step.Block.Height)
		transfers += len(step.Match.Transfers)
		spends += len(step.Match.Spends)
	}
	require.Equal(t, min(max(n-1, 0), 1), transfers)
	require.Equal(t, min(max(n-2, 0), 1), spends)
	last := -1
	for _, blocks := range l.batches {
		last += blocks
		if last > n-cfg.Ahead {
			require.Equal(t, 1, blocks, "near the head")
		}
	}
	if n > 2*cfg.Ahead {
		require.Greater(t, slices.Max(l.batches), 1)
	}
}

func TestFollowerTellsALostLease(t *testing.T) {
	t.Parallel()
	node := chainstest.NewFake("btc", "abc")
	ledger := &tape{stale: true}
	zero := uint64(0)
	cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
	require.NoError(t, err)
	f := indexer.NewFollower(node, ledger, indexer.FollowConfig{Start: &zero}, cursor, zerolog.Nop())
	defer f.Close()
	_, err = f.Step(t.Context())
	require.ErrorIs(t, err, indexer.ErrStale)
	require.Empty(t, ledger.blocks)
}

func TestFollowerTellsANodeFault(t *testing.T) {
	t.Parallel()
	node := chainstest.NewFake("btc", "abc")
	ledger := &tape{}
	zero := uint64(0)
	cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
	require.NoError(t, err)
	f := indexer.NewFollower(node, ledger, indexer.FollowConfig{Start: &zero, Ahead: 4}, cursor, zerolog.Nop())
	defer f.Close()
	settle(t, f)

	node.Show("abcdef")
	fault := errors.New("connection refused")
	node.Fail(fault)
	_, err = f.Step(t.Context())
	require.ErrorIs(t, err, fault)
	node.Fail(nil)
	require.Equal(t, 3, settle(t, f))
}

// divided is a node that has another beside it.
type divided struct {
	*chainstest.Fake
	split  *chains.Split
	agreed uint64
}

func (d *divided) Split(ctx context.Context) chains.Opinion {
	head, err := d.Head(ctx)
	if err != nil {
		return chains.Opinion{}
	}
	return chains.Opinion{Head: head, Split: d.split, Agreed: d.agreed}
}

// The ledger hears that nodes disagree before it gets another block, and how high, and
// so that they agree again. Whoever follows after a restart goes on where it was.
func TestFollowerTellsOfASplit(t *testing.T) {
	t.Parallel()
	node := &divided{Fake: chainstest.NewFake("btc", "ab"), agreed: 1}
	ledger := &tape{}
	zero := uint64(0)
	open := func() *indexer.Follower {
		cursor, err := ledger.Acquire(t.Context(), "btc", uuid.New(), 0)
		require.NoError(t, err)
		f := indexer.NewFollower(node, ledger, indexer.FollowConfig{Start: &zero}, cursor, zerolog.Nop())
		t.Cleanup(f.Close)
		return f
	}
	f := open()
	settle(t, f)
	require.Empty(t, ledger.said)

	node.split = &chains.Split{Height: 2}
	node.Show("abcd")
	settle(t, f)
	require.Equal(t, []said{{2, 2}}, ledger.said)
	require.Len(t, ledger.blocks, 4, "the branch is followed all the same")

	node.split = &chains.Split{Height: 3}
	settle(t, f)
	node.split = &chains.Split{Height: 1}
	settle(t, f)
	require.Equal(t, []said{{2, 2}, {3, 4}}, ledger.said)
	reason := ledger.dispute.Reason
	require.NotEmpty(t, reason)
	node.split = nil
	for _, node.agreed = range []uint64{0, 2} {
		for _, f = range []*indexer.Follower{f, open()} {
			settle(t, f)
			require.Equal(t, indexer.Dispute{Reason: reason, Height: 3}, ledger.dispute, "one that is silent does not agree, and neither does one that has not come so far")
		}
	}
	node.agreed = 4
	node.Show("axyzw")
	settle(t, f)
	require.Equal(t, []said{{2, 2}, {3, 4}, {0, 1}}, ledger.said, "not before the branch that was left is")
	require.Len(t, ledger.blocks, 5)
	require.Zero(t, ledger.dispute)

	// A dispute that the last owner left ends, also if the head is never reached.
	ledger.dispute = indexer.Dispute{Reason: "left", Height: 3}
	settle(t, open())
	require.Equal(t, said{0, 5}, ledger.said[len(ledger.said)-1])
}
