package evm

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// TestPrunedNodeCannotTraceOldBlocks asks a node that no longer has the state an
// old block began with: the block is taken without internal transfers, and a
// recent one is not.
func TestPrunedNodeCannotTraceOldBlocks(t *testing.T) {
	t.Parallel()
	g := newStage(t)
	tx := g.send(alice, &g.payer, 3, invoke("pay(address)", bob))
	hash := chains.Hash(common.HexToHash(g.receipt(tx).BlockHash))
	watch := watching(alice, bob)
	pruned := startLiar(t, g.devNode, in("debug_traceBlockByHash", func(any) any {
		return []any{map[string]any{"error": "Resource not found"}}
	}))
	source := open(t, spec(pruned))
	_, err := source.Block(t.Context(), hash)
	require.ErrorIs(t, err, chains.ErrNotFound)

	g.call("anvil_mine", "0x80")
	block, err := source.Block(t.Context(), hash)
	require.NoError(t, err)
	match, err := block.Match(watch)
	require.NoError(t, err)
	for _, leg := range match.Transfers {
		require.NotContains(t, leg.Source, "call:")
	}
	require.NotEmpty(t, match.Transfers, "what needs no trace is there")
	traced, err := g.source.Block(t.Context(), hash)
	require.NoError(t, err)
	whole, err := traced.Match(watch)
	require.NoError(t, err)
	require.Greater(t, len(whole.Transfers), len(match.Transfers), "the honest node shows the internal transfer too")
}
