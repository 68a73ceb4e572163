package bitcoin_test

import (
	"bytes"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// most is a ceiling that no payment of these tests reaches.
var most = chains.NewAmount(1_000_000)

func satPerByte(n int64) chains.FeeRate { return chains.FeeRate{Max: chains.NewAmount(1000 * n)} }

// recipient is an address of somebody else.
func recipient(t testing.TB, source *bitcoin.Source) chains.Output {
	t.Helper()
	script, _, err := source.ParseAddress("bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080")
	require.NoError(t, err)
	return chains.Output{Script: script}
}

// TestPayment follows a payment from coins of every kind to its block: built,
// signed outside, checked, broadcast, seen, mined.
func TestPayment(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		source, alice := open(t, node.spec()), newSigner(t)
		var outs []chains.Output
		for function := range accounts {
			for index := range uint32(2) {
				outs = append(outs, worth(alice.output(source, function, chains.BranchReceive, index), 60_000))
			}
		}
		coins := node.fund(t, outs...)
		order := chains.PaymentOrder{
			Coins: coins, To: worth(recipient(t, source), 400_000), Change: alice.output(source, "wpkh", chains.BranchChange, 3),
			Rate: satPerByte(5), Ceiling: most, Tip: node.height(t),
		}
		draft, err := source.BuildPayment(t.Context(), order)
		require.NoError(t, err)
		again, err := source.BuildPayment(t.Context(), order)
		require.NoError(t, err)
		require.Equal(t, draft, again)
		require.Len(t, draft.Payment.Inputs, 7)
		require.Equal(t, uint32(order.Tip), draft.Payment.LockTime)
		for i, in := range draft.Payment.Inputs {
			require.Equal(t, wire.MaxTxInSequenceNum-2, in.Sequence)
			require.Regexp(t, `^[0-9a-f]{8}/(44|49|84|86)h/1h/0h/0/[01]$`, draft.Paths[i])
		}

		partly := alice.sign(draft.Payload)
		whole := alice.finalize(partly)
		signed, err := source.Check(draft, partly, most)
		require.NoError(t, err)
		for _, form := range []string{whole, alice.raw(whole), " " + whole + "\n"} {
			same, err := source.Check(draft, form, most)
			require.NoError(t, err)
			require.Equal(t, signed, same, "in whatever form it comes back")
		}
		require.LessOrEqual(t, virtualSize(t, signed.Raw), draft.Payment.VSize)
		require.GreaterOrEqual(t, virtualSize(t, signed.Raw), draft.Payment.VSize*98/100)

		_, err = source.Lookup(t.Context(), signed.ID)
		require.ErrorIs(t, err, chains.ErrNotFound)
		require.NoError(t, source.Broadcast(t.Context(), signed.Raw))
		require.NoError(t, source.Broadcast(t.Context(), signed.Raw), "once more is the same")
		seen, err := source.Lookup(t.Context(), signed.ID)
		require.NoError(t, err)
		require.False(t, seen.Mined)

		node.mine(t, 3)
		require.NoError(t, source.Broadcast(t.Context(), signed.Raw), "mined is as good")
		block, err := node.BlockHash(t.Context(), int32(node.height(t)-2))
		require.NoError(t, err)
		seen, err = source.Lookup(t.Context(), signed.ID)
		require.NoError(t, err)
		require.Equal(t, chains.Sighting{Mined: true, Block: hashOf(block), Height: node.height(t) - 2}, seen)
	})
}

func decodeTx(t *testing.T, raw []byte) *wire.MsgTx {
	t.Helper()
	tx := wire.NewMsgTx(0)
	require.NoError(t, tx.Deserialize(bytes.NewReader(raw)))
	return tx
}

func virtualSize(t *testing.T, raw []byte) int64 {
	t.Helper()
	tx := decodeTx(t, raw)
	return int64(tx.SerializeSizeStripped()*3+tx.SerializeSize()+3) / 4
}
