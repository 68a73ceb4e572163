package bitcoin_test

import (
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
	"tallyd/chains/chainstest"
)

func TestConformance(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		chainstest.SourceConformance(t, chainstest.Backend{
			Source: open(t, node.spec()),
			Mine:   node.mine,
			Reorg:  node.reorg,
			Head: func(t *testing.T) (uint64, chains.Hash) {
				t.Helper()
				height, err := node.Height(t.Context())
				require.NoError(t, err)
				tip, err := node.Tip(t.Context())
				require.NoError(t, err)
				return uint64(height), hashOf(tip)
			},
			Hash: func(t *testing.T, height uint64) chains.Hash {
				t.Helper()
				hash, err := node.BlockHash(t.Context(), int32(height))
				require.NoError(t, err)
				return hashOf(hash)
			},
		})
	})
}

// naive is a replay of decoded blocks with nothing shared with what it tests but
// the words: which outputs pay a script, and which inputs spend those.
type naive struct {
	scripts map[string]bool
	coins   map[wire.OutPoint]bool
}

func (n *naive) match(block *wire.MsgBlock) (match chains.Match) {
	for i, tx := range block.Transactions {
		for vin, in := range tx.TxIn {
			if n.coins[in.PreviousOutPoint] {
				match.Spends = append(match.Spends, chains.Spend{
					Tx: hashOf(tx.TxHash()), TxIndex: uint32(i), Vin: uint32(vin),
					Spent: chains.Outpoint{Tx: hashOf(in.PreviousOutPoint.Hash), Vout: in.PreviousOutPoint.Index},
				})
			}
		}
		for vout, out := range tx.TxOut {
			if n.scripts[string(out.PkScript)] {
				n.coins[coinOf(tx, uint32(vout)).at] = true
				match.Transfers = append(match.Transfers, chains.Transfer{
					Tx: hashOf(tx.TxHash()), TxIndex: uint32(i), Source: chains.SourceVout(uint32(vout)), Side: chains.In,
					Asset: "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1", Amount: chains.NewAmount(out.Value),
					Script: out.PkScript, Coinbase: i == 0,
				})
			}
		}
	}
	return match
}

func TestBlocksMatchAsANaiveReplay(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		miner, alice, bob := anyone(t, "miner"), anyone(t, "alice"), anyone(t, "bob")
		coins := node.mature(t, 3)
		first := payInto(coins[0], 1000, alice, bob, alice)
		second := payInto(coinOf(first, 0), 1000, bob) // in the block of what it spends
		_, err := node.Mine(t.Context(), miner, first, second, payInto(coins[1], 1000, anyone(t, "nobody")))
		require.NoError(t, err)
		_, err = node.Mine(t.Context(), alice, payInto(coinOf(first, 2), 1000, alice), payInto(coinOf(second, 0), 1000, miner))
		require.NoError(t, err)

		source := open(t, node.spec())
		watch := chains.NewWatchTable(8, 8)
		oracle := naive{scripts: map[string]bool{}, coins: map[wire.OutPoint]bool{}}
		for _, script := range [][]byte{miner, alice, bob} {
			watch.AddScript(script)
			oracle.scripts[string(script)] = true
		}
		head, err := source.Head(t.Context())
		require.NoError(t, err)
		spends := 0
		for height := range head.Height + 1 {
			ref, err := source.RefAt(t.Context(), height)
			require.NoError(t, err)
			block, err := source.Block(t.Context(), ref.Hash)
			require.NoError(t, err)
			got, err := block.Match(watch)
			require.NoError(t, err)
			decoded, err := node.Block(t.Context(), wireHash(ref.Hash))
			require.NoError(t, err)
			require.Equal(t, blockchain.CalcWork(decoded.Header.Bits), ref.Work.Big())
			want := oracle.match(decoded)
			require.Equal(t, want.Transfers, got.Transfers, "height %d", height)
			require.Equal(t, want.Spends, got.Spends, "height %d", height)
			for _, transfer := range got.Transfers {
				var vout uint32
				for i := range uint32(8) {
					if transfer.Source == chains.SourceVout(i) {
						vout = i
					}
				}
				watch.AddOutpoint(chains.Outpoint{Tx: transfer.Tx, Vout: vout})
			}
			spends += len(got.Spends)
		}
		require.Equal(t, 5, spends)
	})
}

func TestRefOfABranchThatWasLeft(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		node.mine(t, 8)
		tip, err := node.Tip(t.Context())
		require.NoError(t, err)
		node.reorg(t, 3)
		source := open(t, node.spec()) // it has never seen the tip
		ref, err := source.Ref(t.Context(), hashOf(tip))
		require.NoError(t, err)
		require.Equal(t, uint64(8), ref.Height)
		block, err := source.Block(t.Context(), hashOf(tip))
		require.NoError(t, err)
		require.Equal(t, ref, block.Ref())
	})
}

func TestProbeSaysWhatANodeCanDo(t *testing.T) {
	t.Parallel()
	want := map[string]map[string]bool{
		"Btcd": {
			"reach": true, "history": true, "version": true, "block.rest": false, "spenttxouts": false, "scantxoutset": false,
			"filters": true, "waitfornewblock": false, "mempool": true, "websocket": true,
		},
		"Bitcoind": {
			"reach": true, "history": true, "version": true, "block.rest": true, "spenttxouts": true, "scantxoutset": true,
			"filters": true, "waitfornewblock": true, "mempool": true, "websocket": false,
		},
	}
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		got := map[string]bool{}
		for _, capability := range open(t, node.spec()).Probe(t.Context()) {
			require.Equal(t, node.URL, capability.Upstream)
			require.NotContains(t, capability.Detail, node.Password)
			got[capability.Name] = capability.OK
		}
		require.Equal(t, want[node.kind], got)
	})
}

func TestOpenRefusesAnUnknownNetwork(t *testing.T) {
	t.Parallel()
	_, err := bitcoin.Open(t.Context(), chains.Spec{Network: "moon"}, nop)
	require.ErrorContains(t, err, `no bitcoin network is called "moon"`)
}
