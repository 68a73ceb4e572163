package evm

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

func TestAnvilSmoke(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	s := open(t, spec(node))
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	require.Zero(t, head.Height)
	_, err = s.Block(t.Context(), head.Hash)
	require.NoError(t, err)

	token := node.deploy("Token", 0, "Tally", "TLY", 1_000_000)
	tx := node.send(alice, &token, 0, invoke("transfer(address,uint256)", bob, 5))
	b := blockOf(t, s, node, tx)
	m, err := b.Match(watching(alice, bob))
	require.NoError(t, err)
	names := map[common.Address]string{alice: "alice", bob: "bob", token: "token"}
	t.Log(legs(m, names), touches(m, names))
	snaps, err := s.Balances(t.Context(), b.Ref(), m.Touched)
	require.NoError(t, err)
	for _, snap := range snaps {
		t.Log(snap.Amount, snap.Asset, snap.Proof)
	}
	for _, c := range s.Probe(t.Context()) {
		t.Log(c)
	}
	asset, err := s.Token(t.Context(), chains.TokenID(s.Chain().ID, token.Hex()))
	require.NoError(t, err)
	t.Log(asset)
	t.Log(s.Health())
}
