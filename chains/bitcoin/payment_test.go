package bitcoin_test

import (
	"bytes"
	"fmt"
	"testing"
	"time"

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

// TestPaymentWithoutWitness pays on a chain that has none, with the fees and the dust
// of that chain. The parents of its coins come from the node.
func TestPaymentWithoutWitness(t *testing.T) {
	t.Parallel()
	alice := newSigner(t)
	child := alice.key(44+1<<31, 3+1<<31, 1<<31, 0, 0)
	point, err := child.ECPubKey()
	require.NoError(t, err)
	wallet := fmt.Sprintf("pkh([%x/44h/3h/0h/0/0]%x)", alice.fingerprint(), point.SerializeCompressed())
	fake := newFakeNode(t)
	fake.set("getblockhash", "1a91e3dace36e2be3bf030a65679fe821aa1d6ef92e7c9902eb318182c355691")
	source := open(t, chains.Spec{Network: "dogecoin", Upstreams: []chains.Upstream{{URL: fake.url}}, Timeout: 5 * time.Second})
	parsed, _, err := source.ParseWallet(wallet)
	require.NoError(t, err)
	script, err := parsed.Script(0, 0)
	require.NoError(t, err)
	parent := wire.NewMsgTx(1)
	parent.AddTxIn(wire.NewTxIn(&wire.OutPoint{Index: 1}, []byte{1, 1}, nil))
	parent.AddTxOut(wire.NewTxOut(5e8, script))
	fake.set("getrawtransaction", hexOf(t, parent))
	order := chains.PaymentOrder{
		Coins: []chains.Coin{{
			Outpoint: chains.Outpoint{Tx: hashOf(parent.TxHash())}, Amount: chains.NewAmount(5e8), Script: script,
			Key: &chains.KeyPath{Wallet: parsed.Canonical()}, Height: 7,
		}},
		To:     chains.Output{Script: append([]byte{0x76, 0xa9, 20}, append(make([]byte, 20), 0x88, 0xac)...), Amount: chains.NewAmount(2e8)},
		Change: chains.Output{Script: append([]byte{0xa9, 20}, append(make([]byte, 20), 0x87)...)},
		Rate:   chains.FeeRate{Max: chains.NewAmount(1e6)}, Ceiling: chains.NewAmount(1e7), Tip: 1000,
	}
	draft, err := source.BuildPayment(t.Context(), order)
	require.NoError(t, err)
	signed, err := source.Check(draft, alice.sign(draft.Payload), order.Ceiling)
	require.NoError(t, err)
	require.LessOrEqual(t, virtualSize(t, signed.Raw), draft.Payment.VSize)
	require.False(t, decodeTx(t, signed.Raw).HasWitness())

	order.To.Amount = chains.NewAmount(999_999)
	_, err = source.BuildPayment(t.Context(), order)
	require.ErrorIs(t, err, chains.ErrDust)
	order.To.Amount, order.Rate.Max = chains.NewAmount(2e8), chains.NewAmount(999_999)
	_, err = source.BuildPayment(t.Context(), order)
	require.ErrorIs(t, err, chains.ErrFeeTooLow)
	order.Rate.Max, order.Coins[0].Amount = chains.NewAmount(1e6), chains.NewAmount(6e8)
	_, err = source.BuildPayment(t.Context(), order)
	require.ErrorContains(t, err, "is not what its transaction made")
	fake.fail("getrawtransaction", -5)
	_, err = source.BuildPayment(t.Context(), order)
	require.ErrorContains(t, err, "which made coin", "without its parent a signer could not know the amount")
}
