package evm

import (
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
)

// TestBumpTransfer replaces a transfer that waits, and fills the nonce of one that
// is cancelled with nothing.
func TestBumpTransfer(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	node.call("evm_setAutomine", false)
	broadcast := func(draft chains.Draft) (chains.Hash, error) {
		signed, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), ether)
		require.NoError(t, err)
		return signed.ID, source.Broadcast(t.Context(), signed.Raw)
	}
	order := chains.TransferOrder{
		From: alice[:], To: fresh(1).Bytes(), Asset: source.Chain().Native.ID, Amount: chains.NewAmount(5), Rate: gwei(10, 1), Ceiling: ether,
	}
	first, err := source.BuildTransfer(t.Context(), order)
	require.NoError(t, err)
	firstID, err := broadcast(first)
	require.NoError(t, err)
	_, err = broadcast(first)
	require.NoError(t, err, "once more is the same")
	latest, pending, err := source.Nonces(t.Context(), alice[:])
	require.NoError(t, err)
	require.Equal(t, latest+1, pending)

	order.Amount = chains.NewAmount(6)
	other, err := source.BuildTransfer(t.Context(), order)
	require.NoError(t, err)
	_, err = broadcast(other)
	requireRefusal(t, err, chains.RefusedFee)

	bumped, err := source.Bump(t.Context(), first, chains.Bump{Rate: gwei(1, 1), Ceiling: ether})
	require.NoError(t, err)
	require.Equal(t, chains.NewAmount(11e9).String(), bumped.Rate.Max.String())
	require.Equal(t, chains.NewAmount(11e8).String(), bumped.Rate.Tip.String())
	require.Equal(t, first.Transfer.Value, bumped.Transfer.Value)
	_, err = broadcast(bumped)
	require.NoError(t, err)
	_, err = source.Lookup(t.Context(), firstID)
	require.ErrorIs(t, err, chains.ErrNotFound, "replaced")

	cancel := order
	cancel.To, cancel.Amount, cancel.Rate, cancel.Replaces = alice[:], chains.Amount{}, gwei(1, 1), &bumped
	filler, err := source.BuildTransfer(t.Context(), cancel)
	require.NoError(t, err)
	require.Equal(t, uint64(plainGas), filler.Transfer.Gas)
	id, err := broadcast(filler)
	require.NoError(t, err)
	node.mine()
	require.Equal(t, "0x1", node.receipt(common.Hash(id)).Status)
	_, err = broadcast(bumped)
	requireRefusal(t, err, chains.RefusedSpent)

	_, err = source.Bump(t.Context(), first, chains.Bump{Rate: gwei(1000, 1), Ceiling: first.Fee})
	require.ErrorIs(t, err, chains.ErrFeeTooHigh)
	cancel.Nonce++
	_, err = source.BuildTransfer(t.Context(), cancel)
	require.ErrorContains(t, err, "another sender or nonce")
}

// TestBumpRaisesBothFees checks what nodes ask of a replacement over many rates, and
// that nothing else changes.
func TestBumpRaisesBothFees(t *testing.T) {
	t.Parallel()
	source, _ := drafted(t)
	rapid.Check(t, func(t *rapid.T) {
		rate := func(name string) chains.FeeRate {
			most := rapid.Int64Range(1, 1e15).Draw(t, name)
			return chains.FeeRate{Max: chains.NewAmount(most), Tip: chains.NewAmount(rapid.Int64Range(0, most).Draw(t, name+" tip"))}
		}
		order := &transfer{
			from: alice, to: bob, native: source.chain.Native.ID, asset: source.chain.Native.ID, all: rapid.Bool().Draw(t, "all"),
			amount: ether, nonce: rapid.Uint64().Draw(t, "nonce"), rate: rate("old"), gas: rapid.Uint64Range(plainGas, 1e6).Draw(t, "gas"),
		}
		ceiling := ether.Mul(ether)
		old, err := source.draft(order, ceiling)
		require.NoError(t, err)
		wanted := rate("wanted")
		bumped, err := source.Bump(t.Context(), old, chains.Bump{Rate: wanted, Ceiling: ceiling})
		have := old.Transfer.Value.Add(old.Fee)
		if err != nil {
			var short *chains.ShortageError
			require.ErrorAs(t, err, &short)
			require.True(t, order.all)
			require.True(t, short.Have.Equal(have))
			return
		}
		for _, fee := range [][3]chains.Amount{
			{old.Rate.Max, wanted.Max, bumped.Rate.Max},
			{old.Rate.Tip, wanted.Tip, bumped.Rate.Tip},
		} {
			require.GreaterOrEqual(t, fee[2].Mul(chains.NewAmount(10)).Cmp(fee[0].Mul(chains.NewAmount(11))), 0, "a tenth more")
			require.Positive(t, fee[2].Cmp(fee[0]), "nodes want more, be it of nothing")
			require.GreaterOrEqual(t, fee[2].Cmp(fee[1]), 0, "as wanted")
		}
		require.LessOrEqual(t, bumped.Rate.Tip.Cmp(bumped.Rate.Max), 0)
		if order.all {
			require.True(t, bumped.Transfer.Value.Add(bumped.Fee).Equal(have), "all is sent again")
		} else {
			require.True(t, bumped.Transfer.Value.Equal(old.Transfer.Value))
		}
		_, err = source.transferOf(bumped)
		require.NoError(t, err)
		same := bumped
		same.Rate, same.Fee, same.Payload = old.Rate, old.Fee, old.Payload
		details := *bumped.Transfer
		details.Digest, details.Value = old.Transfer.Digest, old.Transfer.Value
		same.Transfer = &details
		require.Equal(t, old, same)
	})
}
