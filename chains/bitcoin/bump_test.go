package bitcoin_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// TestBump replaces a payment that waits, three times: out of its change, out of
// what was left of it, and with another coin. Nodes take each.
func TestBump(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		source, alice := open(t, node.spec()), newSigner(t)
		coins := node.fund(t,
			worth(alice.output(source, "wpkh", chains.BranchReceive, 0), 100_000),
			worth(alice.output(source, "tr", chains.BranchReceive, 1), 70_000),
		)
		change := alice.output(source, "wpkh", chains.BranchChange, 0)
		draft, err := source.BuildPayment(t.Context(), chains.PaymentOrder{
			Coins: coins[:1], To: worth(recipient(t, source), 90_000), Change: change, Rate: satPerByte(2), Ceiling: most, Tip: node.height(t),
		})
		require.NoError(t, err)
		require.Len(t, draft.Payment.Outputs, 2)
		last := send(t, source, alice, draft)

		for i, bump := range []chains.Bump{
			{Rate: satPerByte(1)}, // less than now: the least that replaces it
			{Rate: satPerByte(70)},
			{Rate: satPerByte(80), Coins: coins[1:], Change: change},
		} {
			bump.Ceiling, bump.Tip = most, node.height(t)
			bumped, err := source.Bump(t.Context(), draft, bump)
			require.NoError(t, err, i)
			require.Positive(t, bumped.Fee.Cmp(draft.Fee))
			require.Positive(t, bumped.Rate.Max.Cmp(draft.Rate.Max))
			require.Equal(t, paid(draft), paid(bumped), "the same is paid to the same")
			require.Subset(t, outpoints(bumped), outpoints(draft), "so that only one can be mined")
			require.Equal(t, draft.Payment.LockTime, bumped.Payment.LockTime)
			next := send(t, source, alice, bumped)
			_, err = source.Lookup(t.Context(), last)
			require.ErrorIs(t, err, chains.ErrNotFound, "the node has dropped what was replaced")
			draft, last = bumped, next
		}
		require.Len(t, draft.Payment.Inputs, 2)
		require.Len(t, draft.Payment.Outputs, 2, "the new coin has brought change again")

		_, err = source.Bump(t.Context(), draft, chains.Bump{Rate: satPerByte(1000), Ceiling: most, Tip: node.height(t)})
		var short *chains.ShortageError
		require.ErrorAs(t, err, &short)
		_, err = source.Bump(t.Context(), draft, chains.Bump{Rate: satPerByte(90), Ceiling: draft.Fee, Tip: node.height(t)})
		require.ErrorIs(t, err, chains.ErrFeeTooHigh)
		node.mine(t, 1)
		seen, err := source.Lookup(t.Context(), last)
		require.NoError(t, err)
		require.True(t, seen.Mined)
	})
}

// TestBumpPaysForDescendants replaces a payment whose change was spent meanwhile.
func TestBumpPaysForDescendants(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		source, alice := open(t, node.spec()), newSigner(t)
		coins := node.fund(t, worth(alice.output(source, "wpkh", chains.BranchReceive, 0), 1_000_000))
		order := chains.PaymentOrder{
			Coins: coins, To: worth(recipient(t, source), 90_000), Change: alice.output(source, "wpkh", chains.BranchChange, 0),
			Rate: satPerByte(2), Ceiling: most, Tip: node.height(t),
		}
		parent, err := source.BuildPayment(t.Context(), order)
		require.NoError(t, err)
		id := send(t, source, alice, parent)
		for i, out := range parent.Payment.Outputs {
			if out.Change {
				order.Coins = []chains.Coin{{
					Outpoint: chains.Outpoint{Tx: id, Vout: uint32(i)}, Amount: out.Amount, Script: out.Script, Key: out.Key,
				}}
			}
		}
		order.Change, order.Rate = alice.output(source, "wpkh", chains.BranchChange, 1), satPerByte(50)
		child, err := source.BuildPayment(t.Context(), order)
		require.NoError(t, err, "change that is not confirmed is spent where nothing else is there")
		send(t, source, alice, child)

		bump := chains.Bump{Rate: satPerByte(5), Ceiling: most, Tip: order.Tip}
		small, err := source.Bump(t.Context(), parent, bump)
		require.NoError(t, err)
		signed, err := source.Check(small, alice.sign(small.Payload), most)
		require.NoError(t, err)
		requireRefusal(t, source.Broadcast(t.Context(), signed.Raw), chains.RefusedFee)

		bump.Evicted = child.Fee
		enough, err := source.Bump(t.Context(), parent, bump)
		require.NoError(t, err)
		require.Positive(t, enough.Fee.Cmp(parent.Fee.Add(child.Fee)))
		send(t, source, alice, enough)
	})
}

// TestBumpAddsConfirmedCoinsOnly keeps the rule of BIP 125 that a replacement brings
// no unconfirmed coins, which nodes would refuse.
func TestBumpAddsConfirmedCoinsOnly(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	coins := alice.funded(source, "wpkh", "tr")
	draft, err := source.BuildPayment(t.Context(), chains.PaymentOrder{
		Coins: coins[:1], To: worth(recipient(t, source), 99_000), Change: alice.output(source, "wpkh", chains.BranchChange, 0),
		Rate: satPerByte(2), Ceiling: most, Tip: 110,
	})
	require.NoError(t, err)
	more := coins[1]
	more.Height = 0
	bump := chains.Bump{Rate: satPerByte(50), Ceiling: most, Tip: 110, Coins: []chains.Coin{more}}
	_, err = source.Bump(t.Context(), draft, bump)
	var short *chains.ShortageError
	require.ErrorAs(t, err, &short)
	bump.Coins = coins // the draft's own among them
	bumped, err := source.Bump(t.Context(), draft, bump)
	require.NoError(t, err)
	require.ElementsMatch(t, []chains.Outpoint{coins[0].Outpoint, coins[1].Outpoint}, outpoints(bumped))
}

// send has a draft signed, checks and broadcasts it.
func send(t *testing.T, source interface {
	chains.Checker
	chains.Broadcaster
}, by *signer, draft chains.Draft,
) chains.Hash {
	t.Helper()
	signed, err := source.Check(draft, by.sign(draft.Payload), most)
	require.NoError(t, err)
	require.NoError(t, source.Broadcast(t.Context(), signed.Raw))
	_, err = source.Lookup(t.Context(), signed.ID)
	require.NoError(t, err)
	return signed.ID
}

func paid(draft chains.Draft) (out chains.Output) {
	for _, o := range draft.Payment.Outputs {
		if !o.Change {
			out = o.Output
		}
	}
	return out
}

func outpoints(draft chains.Draft) (list []chains.Outpoint) {
	for _, in := range draft.Payment.Inputs {
		list = append(list, in.Outpoint)
	}
	return list
}

func requireRefusal(t *testing.T, err error, reason chains.RefusalReason) {
	t.Helper()
	var refusal *chains.RefusalError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, reason, refusal.Reason, refusal)
}
