package evm

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

// TestRestartedAnvil: what anvil loads from its state file must still verify,
// blocks and balances, at its head and before.
func TestRestartedAnvil(t *testing.T) {
	t.Parallel()
	bin := os.Getenv("TALLYD_ANVIL")
	if bin == "" {
		t.Skip("no anvil: set TALLYD_ANVIL")
	}
	dir := t.TempDir()
	anvil, err := localnode.StartAnvil(t.Context(), localnode.EthereumOptions{Bin: bin, Dir: dir, StateFile: filepath.Join(dir, "state")})
	require.NoError(t, err)
	node := newDevNode(t, anvil.URL)
	token := node.deploy("Token", "Tally", "TLY", 1_000_000)
	for range 3 {
		node.receipt(node.send(alice, &bob, 5, nil))
		node.receipt(node.send(alice, &token, 0, invoke("transfer(address,uint256)", bob, 5)))
	}
	require.NoError(t, anvil.Stop(t.Context()))
	require.NoError(t, anvil.Restart(t.Context()))
	t.Cleanup(func() { require.NoError(t, anvil.Stop(context.Background())) })
	v := &vault{devNode: node, token: token}
	s := open(t, v.spec(0, node))
	node.receipt(node.send(alice, &bob, 5, nil))
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(8), head.Height)
	for height := uint64(1); height <= head.Height; height++ {
		ref, err := s.RefAt(t.Context(), height)
		require.NoError(t, err)
		_, err = s.Block(t.Context(), ref.Hash)
		require.NoError(t, err)
		snaps, _, err := s.Balances(t.Context(), ref, []chains.Touch{
			{Script: bob[:], Asset: s.Chain().Native.ID}, {Script: bob[:], Asset: s.rules.token(token)},
		})
		require.NoError(t, err)
		native, tokens := proofs(snaps)
		require.Equal(t, map[chains.Proof]int{chains.Proven: 1}, native)
		require.Equal(t, map[chains.Proof]int{chains.Proven: 1}, tokens)
		for _, snap := range snaps {
			require.Equal(t, v.oracle(t, snap), snap.Amount.String())
		}
	}
}
