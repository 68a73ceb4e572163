package evm

import (
	"context"
	"encoding/json"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/chainstest"
)

// The abilities a Source claims.
var (
	_ chains.Source         = (*Source)(nil)
	_ chains.HeadWaiter     = (*Source)(nil)
	_ chains.FinalityReader = (*Source)(nil)
	_ chains.BalanceReader  = (*Source)(nil)
	_ chains.TokenReader    = (*Source)(nil)
	_ chains.Prober         = (*Source)(nil)
	_ chains.HealthReporter = (*Source)(nil)
)

func TestOpen(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	// The same chain id, another block 0.
	other := startLiar(t, node, in("eth_getBlockByNumber", func(any) any {
		text, err := json.Marshal(&types.Header{Difficulty: big.NewInt(0), Number: big.NewInt(0), Extra: []byte("reset")})
		require.NoError(t, err)
		return json.RawMessage(text)
	}))
	dead := httptest.NewServer(http.NotFoundHandler())
	dead.Close()
	unreachable := newDevNode(t, dead.URL)

	s := open(t, spec(unreachable, node))
	require.Equal(t, "eip155:31337", s.Chain().ID)
	require.Equal(t, chains.Asset{ID: "eip155:31337/slip44:60", Symbol: "ETH", Name: "Ether", Decimals: 18, Listed: true}, s.Chain().Native)
	zero, err := s.RefAt(t.Context(), 0)
	require.NoError(t, err)
	require.Equal(t, zero.Hash, s.Chain().Genesis)
	require.False(t, s.Health()[0].OK)
	require.True(t, s.Health()[1].OK)

	_, err = Open(t.Context(), spec(unreachable), zerolog.Nop())
	require.ErrorContains(t, err, "no node can be used: "+dead.URL+": ")
	require.ErrorContains(t, err, "connection refused")

	wrong := spec(node)
	wrong.Network = "1"
	_, err = Open(t.Context(), wrong, zerolog.Nop())
	require.ErrorContains(t, err, "its chain id is 31337, wanted 1")
	wrong.Network = "mainnet"
	_, err = Open(t.Context(), wrong, zerolog.Nop())
	require.ErrorContains(t, err, "not a decimal chain id")
	wrong = spec(node)
	wrong.Tokens = []chains.Token{{Contract: "0x12"}}
	_, err = Open(t.Context(), wrong, zerolog.Nop())
	require.ErrorContains(t, err, "token 0x12: not an address")

	// A node that was reset is another chain, whatever its id.
	refused := open(t, spec(node, other))
	for _, c := range refused.Probe(t.Context()) {
		if c.Upstream == other.url {
			require.Equal(t, "reach", c.Name)
			require.False(t, c.OK)
			require.Contains(t, c.Detail, "its block 0 is")
		}
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = Open(ended, spec(node), zerolog.Nop())
	require.ErrorIs(t, err, context.Canceled)
}

func TestConformance(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	block := func(t *testing.T, tag string) *header {
		t.Helper()
		h, err := decodeHeader(node.call("eth_getBlockByNumber", tag, false))
		require.NoError(t, err)
		return h
	}
	mine := func(_ *testing.T, n int) {
		for i := range n {
			node.receipt(node.send(alice, &bob, uint64(i), nil)) //nolint:gosec // small numbers
		}
	}
	chainstest.SourceConformance(t, chainstest.Backend{
		Source: open(t, spec(node)),
		Mine:   mine,
		Reorg: func(t *testing.T, depth int) {
			t.Helper()
			node.call("anvil_reorg", depth, []any{})
			mine(t, 1)
		},
		Head: func(t *testing.T) (uint64, chains.Hash) {
			t.Helper()
			h := block(t, "latest")
			return h.number, chains.Hash(h.hash)
		},
		Hash: func(t *testing.T, height uint64) chains.Hash {
			t.Helper()
			return chains.Hash(block(t, hexNumber(height)).hash)
		},
	})
}

func TestNotFound(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	s := open(t, spec(node))
	_, err := s.RefAt(t.Context(), 5)
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, err = s.Ref(t.Context(), chains.Hash{1})
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, err = s.Block(t.Context(), chains.Hash{1})
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, _, err = s.Balances(t.Context(), chains.BlockRef{Hash: chains.Hash{1}, Height: 9}, []chains.Touch{{Script: bob[:], Asset: s.Chain().Native.ID}})
	require.ErrorIs(t, err, chains.ErrNotFound)
	require.True(t, s.Health()[0].OK, "an honest answer is no fault")
}

// TestOldBranchStaysReadable: after a reorg, the blocks of the branch that was
// left are gone from a node that forgets them, and the new ones verify.
func TestReorg(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	s := open(t, spec(node))
	for range 3 {
		node.receipt(node.send(alice, &bob, 1, nil))
	}
	before, err := s.Head(t.Context())
	require.NoError(t, err)
	node.call("anvil_reorg", 2, []any{})
	after, err := s.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, before.Height, after.Height)
	require.NotEqual(t, before.Hash, after.Hash)
	for hash := after.Hash; hash != s.Chain().Genesis; {
		b, err := s.Block(t.Context(), hash)
		require.NoError(t, err)
		ref, err := s.Ref(t.Context(), hash)
		require.NoError(t, err)
		require.Equal(t, ref, b.Ref())
		hash = ref.Parent
	}
	snaps, _, err := s.Balances(t.Context(), after, []chains.Touch{{Script: bob[:], Asset: s.Chain().Native.ID}})
	require.NoError(t, err)
	require.Equal(t, "10000000000000000000001", snaps[0].Amount.String())
	require.Equal(t, chains.Proven, snaps[0].Proof)
}

// TestTransactionsWithoutSignature: a development node may act for anyone.
func TestTransactionsWithoutSignature(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	node.call("anvil_autoImpersonateAccount", true)
	s := open(t, spec(node))
	stranger := fresh(1)
	node.receipt(node.send(alice, &stranger, 1e18, nil))
	node.call("evm_setAutomine", false)
	node.send(alice, &bob, 6, nil)
	tx := node.send(stranger, &bob, 5, nil)
	node.mine()
	m, err := blockOf(t, s, node, tx).Match(watching(bob))
	require.NoError(t, err)
	names := map[common.Address]string{alice: "alice", bob: "bob", stranger: "stranger"}
	require.ElementsMatch(t, []string{"value in 6 native bob alice", "value in 5 native bob stranger"}, legs(m, names))
}

func TestFinalized(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	_, err := open(t, spec(node)).Finalized(t.Context(), "finalized")
	require.ErrorIs(t, err, chains.ErrUnsupported)
	settings := spec(node)
	settings.FinalityTags = true
	s := open(t, settings)
	node.call("anvil_mine", hexNumber(70))
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	for _, tag := range []string{"finalized", "safe"} {
		ref, err := s.Finalized(t.Context(), tag)
		require.NoError(t, err)
		require.Less(t, ref.Height, head.Height)
	}
	_, err = s.Finalized(t.Context(), "latest")
	require.ErrorIs(t, err, chains.ErrUnsupported)
}

// TestWaitHead waits by subscription, and by nothing where there is none.
func TestWaitHead(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	s := open(t, spec(node))
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	// Blocks are made until one is announced: the subscription may not stand yet.
	woken := make(chan error, 1)
	go func() { woken <- s.WaitHead(ctx, s.Chain().Genesis) }()
	require.Eventually(t, func() bool {
		node.mine()
		select {
		case err := <-woken:
			return err == nil
		default:
			return false
		}
	}, 10*time.Second, 20*time.Millisecond)
	for range 3 {
		head, err := s.Head(ctx)
		require.NoError(t, err)
		go func() { woken <- s.WaitHead(ctx, head.Hash) }()
		node.mine()
		require.NoError(t, <-woken)
	}

	quiet := *node
	quiet.ws = ""
	silent := open(t, spec(&quiet))
	reason := context.DeadlineExceeded
	short, stop := context.WithTimeoutCause(t.Context(), 20*time.Millisecond, reason)
	defer stop()
	require.ErrorIs(t, silent.WaitHead(short, chains.Hash{}), reason)
}

// TestLaggingNode: one that does not have the block is passed over.
func TestLaggingNode(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	behind := startLiar(t, node, func(method string, result any) any {
		if strings.HasPrefix(method, "eth_getBlock") && result != nil && method != "eth_getBlockByNumber" {
			return nil
		}
		return result
	})
	tx := node.send(alice, &bob, 1, nil)
	hash := chains.Hash(common.HexToHash(node.receipt(tx).BlockHash))
	s := open(t, spec(behind, node))
	_, err := s.Block(t.Context(), hash)
	require.NoError(t, err)
	require.True(t, s.Health()[0].OK)
}

func TestNetworks(t *testing.T) {
	t.Parallel()
	for id, want := range map[uint64]string{
		1: "eip155:1/slip44:60 ETH", 10: "eip155:10/slip44:60 ETH", 56: "eip155:56/slip44:714 BNB",
		137: "eip155:137/slip44:966 POL", 8453: "eip155:8453/slip44:60 ETH", 424242: "eip155:424242/slip44:60 ETH",
	} {
		native := knownNetwork(id).chain(chains.Spec{}, id, common.Hash{}).Native
		require.Equal(t, want, string(native.ID)+" "+native.Symbol)
	}
}
