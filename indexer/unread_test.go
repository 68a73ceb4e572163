package indexer_test

import (
	"context"
	"testing"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/chainstest"
	"tallyd/indexer"
)

// reader is a fake chain whose every block touches three balances: one is read,
// one is a contract without balances, and of one nothing is learnt.
type reader struct{ *chainstest.Fake }

var held, none, disputed = touch("held"), touch("none"), touch("disputed")

func touch(asset chains.AssetID) chains.Touch {
	return chains.Touch{Script: []byte("ours"), Asset: asset}
}

func (r reader) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	block, err := r.Fake.Block(ctx, hash)
	return touching{block}, err
}

func (r reader) Balances(_ context.Context, at chains.BlockRef, _ []chains.Touch) ([]chains.Snapshot, []chains.Touch, error) {
	return []chains.Snapshot{{Script: held.Script, Asset: held.Asset, At: at}}, []chains.Touch{disputed}, nil
}

type touching struct{ chains.Block }

func (b touching) Match(watch *chains.WatchTable) (chains.Match, error) {
	match, err := b.Block.Match(watch)
	match.Touched = []chains.Touch{held, none, disputed}
	return match, err
}

// amends notes what is amended, and has one balance that is stale.
type amends struct {
	tape
	amended []indexer.Amendment
}

func (a *amends) StaleBalances(context.Context, string, int) ([]chains.Touch, error) {
	return []chains.Touch{held, disputed}, nil
}

func (a *amends) Amend(_ context.Context, amendment indexer.Amendment) (indexer.Applied, error) {
	a.amended = append(a.amended, amendment)
	return indexer.Applied{}, nil
}

// TestFollowerKeepsTheUnreadStale writes what was read at a block and asks again
// only for that of which nothing was learnt, behind the others.
func TestFollowerKeepsTheUnreadStale(t *testing.T) {
	t.Parallel()
	node := reader{chainstest.NewFake("eth", "a")}
	ledger := &amends{}
	zero := uint64(0)
	cursor, err := ledger.Acquire(t.Context(), "eth", uuid.New(), 0)
	require.NoError(t, err)
	f := indexer.NewFollower(node, ledger, indexer.FollowConfig{Start: &zero, StateDepth: 8}, cursor, zerolog.Nop())
	defer f.Close()
	settle(t, f)
	require.Len(t, ledger.applied, 1)
	step := ledger.applied[0]
	require.Len(t, step.Snapshots, 1)
	require.Equal(t, held.Asset, step.Snapshots[0].Asset)
	require.Equal(t, []chains.Touch{disputed}, step.Stale)

	ledger.amended = nil
	read, err := f.Refresh(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, read)
	require.Len(t, ledger.amended, 1)
	require.Len(t, ledger.amended[0].Snapshots, 1)
	require.Equal(t, []chains.Touch{disputed}, ledger.amended[0].Unread)
}
