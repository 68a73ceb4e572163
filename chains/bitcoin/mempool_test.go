package bitcoin_test

import (
	"context"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// look reads the mempool until it shows id, since a node takes a transaction in
// before it lists it, and returns that view.
func look(t *testing.T, source *bitcoin.Source, watch *chains.WatchTable) chains.MempoolView {
	t.Helper()
	view, err := source.Mempool(t.Context(), watch)
	require.NoError(t, err)
	require.True(t, view.Complete)
	return view
}

func ids(txs []chains.UnconfirmedTx) []chains.Hash {
	var found []chains.Hash
	for _, tx := range txs {
		found = append(found, tx.Tx)
	}
	return found
}

func TestMempoolPendingReplacedMined(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 3)
		alice := anyone(t, "alice")
		source := open(t, node.spec())
		watch := chains.NewWatchTable(8, 8)
		watch.AddScript(alice)
		require.Empty(t, look(t, source, watch).Present)

		payment := payInto(coins[0], 2000, anyone(t, "shop"), alice)
		paid := node.send(t, payment)
		foreign := node.send(t, payInto(coins[1], 2000, anyone(t, "shop")))
		view := look(t, source, watch)
		require.Equal(t, map[chains.Hash]struct{}{paid: {}, foreign: {}}, view.Present)
		require.Equal(t, []chains.UnconfirmedTx{{
			Tx: paid,
			Match: chains.Match{Transfers: []chains.Transfer{{
				Tx: paid, Source: "vout:1", Side: chains.In, Script: alice,
				Asset:  "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1",
				Amount: chains.NewAmount(payment.TxOut[1].Value),
			}}},
			Inputs: []chains.Spend{{Tx: paid, Spent: chains.Outpoint{
				Tx: hashOf(coins[0].at.Hash), Vout: coins[0].at.Index,
			}}},
		}}, view.New)
		require.Empty(t, look(t, source, watch).New, "a transaction is reported once")

		// The pending output is watched, then somebody spends it.
		watch.AddOutpoint(chains.Outpoint{Tx: paid, Vout: 1})
		require.Empty(t, look(t, source, watch).New, "a match that did not grow is not reported again")
		spender := node.send(t, payInto(coinOf(payment, 1), 2000, anyone(t, "shop")))
		view = look(t, source, watch)
		require.Equal(t, []chains.Hash{spender}, ids(view.New))
		require.Equal(t, []chains.Spend{{Tx: spender, Spent: chains.Outpoint{Tx: paid, Vout: 1}}}, view.New[0].Match.Spends)

		// A replacement that does not pay alice at all drops both.
		watch.AddOutpoint(chains.Outpoint{Tx: hashOf(coins[0].at.Hash), Vout: coins[0].at.Index})
		replacement := payInto(coins[0], 200_000, anyone(t, "thief"))
		replaced := node.send(t, replacement)
		view = look(t, source, watch)
		require.Equal(t, map[chains.Hash]struct{}{replaced: {}, foreign: {}}, view.Present)
		require.Equal(t, []chains.Hash{replaced}, ids(view.New))
		require.Len(t, view.New[0].Match.Spends, 1)

		_, err := node.Mine(t.Context(), anyone(t, "miner"), replacement)
		require.NoError(t, err)
		eventually(t, func() bool { return len(look(t, source, watch).Present) == 1 })
		require.Empty(t, look(t, source, watch).New)
	})
}

func TestMempoolSeenBeforeItWasWatched(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 2)
		alice, bob := anyone(t, "alice"), anyone(t, "bob")
		source := open(t, node.spec())
		watch := chains.NewWatchTable(8, 8)
		parent := payInto(coins[0], 2000, alice, anyone(t, "shop"))
		paid := node.send(t, parent)
		child := node.send(t, payInto(coinOf(parent, 0), 2000, bob))
		require.Empty(t, look(t, source, watch).New)

		watch.AddScript(alice)
		require.Equal(t, []chains.Hash{paid}, ids(look(t, source, watch).New))
		watch.AddOutpoint(chains.Outpoint{Tx: paid, Vout: 0})
		require.Equal(t, []chains.Hash{child}, ids(look(t, source, watch).New))
		watch.AddScript(bob)
		view := look(t, source, watch)
		require.Equal(t, []chains.Hash{child}, ids(view.New), "more of it matches than before")
		require.Len(t, view.New[0].Match.Transfers, 1)
		require.Len(t, view.New[0].Match.Spends, 1)

		// Another table is another reader.
		other := chains.NewWatchTable(8, 8)
		other.AddScript(alice)
		require.Equal(t, []chains.Hash{paid}, ids(look(t, source, other).New))
	})
}

func TestMempoolOfAReorg(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 1)
		alice := anyone(t, "alice")
		source := open(t, node.spec())
		watch := chains.NewWatchTable(8, 8)
		watch.AddScript(alice)
		block, err := node.Mine(t.Context(), anyone(t, "miner"), payInto(coins[0], 2000, alice))
		require.NoError(t, err)
		require.Empty(t, look(t, source, watch).Present)
		require.NoError(t, node.Invalidate(t.Context(), block.BlockHash()))
		back := hashOf(block.Transactions[1].TxHash())
		var seen []chains.Hash
		eventually(t, func() bool {
			seen = append(seen, ids(look(t, source, watch).New)...)
			return len(seen) > 0
		})
		require.Equal(t, []chains.Hash{back}, seen, "what the reorg gave back is pending again")
	})
}

func TestScanUnspent(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 2)
		alice, bob := anyone(t, "alice"), anyone(t, "bob")
		payment := payInto(coins[0], 999, alice, bob, alice)
		_, err := node.Mine(t.Context(), alice, payment, payInto(coinOf(payment, 2), 1000, anyone(t, "shop")))
		require.NoError(t, err)
		source := open(t, node.spec())
		head, err := source.Head(t.Context())
		require.NoError(t, err)
		found, at, err := source.ScanUnspent(t.Context(), [][]byte{alice, bob, anyone(t, "nobody")})
		if node.kind == "Btcd" {
			require.ErrorIs(t, err, chains.ErrUnsupported)
			return
		}
		require.NoError(t, err)
		require.Equal(t, head, at)
		id := hashOf(payment.TxHash())
		require.Len(t, found, 3)
		var coinbases int
		for _, coin := range found {
			require.Equal(t, head.Height, coin.Height)
			if coin.Coinbase {
				coinbases++
				require.Equal(t, "5000000000", coin.Amount.String())
				continue
			}
			require.Equal(t, id, coin.Outpoint.Tx)
			require.Less(t, coin.Outpoint.Vout, uint32(2))
			require.Equal(t, chains.NewAmount(payment.TxOut[coin.Outpoint.Vout].Value), coin.Amount)
			require.Equal(t, payment.TxOut[coin.Outpoint.Vout].PkScript, coin.Script)
		}
		require.Equal(t, 1, coinbases)

		// A caller who leaves ends its scan: the next one is served.
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, _, err = source.ScanUnspent(ctx, [][]byte{alice})
		require.ErrorIs(t, err, context.Canceled)
		_, _, err = source.ScanUnspent(t.Context(), [][]byte{alice})
		require.NoError(t, err)
	})
}

func TestLocate(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 3)
		alice := anyone(t, "alice")
		payment := payInto(coins[0], 1000, alice)
		var touched []chains.Hash
		for _, txs := range [][]*wire.MsgTx{
			{payment}, {payInto(coins[1], 1000, anyone(t, "shop"))}, {payInto(coinOf(payment, 0), 1000, anyone(t, "shop"))},
		} {
			block, err := node.Mine(t.Context(), anyone(t, "miner"), txs...)
			require.NoError(t, err)
			touched = append(touched, hashOf(block.BlockHash()))
		}
		node.mine(t, 5)
		source := open(t, node.spec())
		head, err := source.Head(t.Context())
		require.NoError(t, err)
		var located []chains.Hash
		eventually(t, func() bool { // bitcoind builds its index behind the chain
			located, err = source.Locate(t.Context(), [][]byte{alice, anyone(t, "nobody")}, 0, head.Height)
			return err == nil
		})
		require.Equal(t, []chains.Hash{touched[0], touched[2]}, located, "the payment, and its spend")
		located, err = source.Locate(t.Context(), [][]byte{alice}, head.Height-5, head.Height)
		require.NoError(t, err)
		require.Equal(t, []chains.Hash{touched[2]}, located)
		_, err = source.Locate(t.Context(), [][]byte{alice}, 0, head.Height+1)
		require.ErrorIs(t, err, chains.ErrNotFound)
	})
}
