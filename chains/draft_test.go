package chains_test

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
)

// TestDraftSurvivesJSON checks that a draft read back is the draft that was kept:
// amounts beyond 2^64 and bytes of any kind among them.
func TestDraftSurvivesJSON(t *testing.T) {
	t.Parallel()
	amounts := rapid.Custom(func(t *rapid.T) chains.Amount {
		return chains.AmountFromBig(new(big.Int).SetBytes(rapid.SliceOfN(rapid.Byte(), 0, 32).Draw(t, "amount")))
	})
	scripts := rapid.Custom(func(t *rapid.T) chains.Hex { return rapid.SliceOfN(rapid.Byte(), 1, 40).Draw(t, "bytes") })
	rapid.Check(t, func(t *rapid.T) {
		key := &chains.KeyPath{Wallet: rapid.String().Draw(t, "wallet"), Branch: 1, Index: rapid.Uint32().Draw(t, "index")}
		draft := chains.Draft{
			Chain: "eip155:1", Format: chains.FormatPSBT, Payload: rapid.String().Draw(t, "payload"), Paths: []string{"d34db33f/0"},
			Fee: amounts.Draw(t, "fee"), Rate: chains.FeeRate{Max: amounts.Draw(t, "max"), Tip: amounts.Draw(t, "tip")},
			Payment: &chains.PaymentDraft{
				Version: 2, LockTime: rapid.Uint32().Draw(t, "lock"), VSize: rapid.Int64().Draw(t, "vsize"),
				Inputs: []chains.DraftInput{{Sequence: rapid.Uint32().Draw(t, "sequence"), Coin: chains.Coin{
					Outpoint: chains.Outpoint{Tx: chains.Hash(rapid.SliceOfN(rapid.Byte(), 32, 32).Draw(t, "tx")), Vout: rapid.Uint32().Draw(t, "vout")},
					Amount:   amounts.Draw(t, "coin"), Script: scripts.Draw(t, "script"), Key: key, Height: rapid.Uint64().Draw(t, "height"),
				}}},
				Outputs: []chains.DraftOutput{{Output: chains.Output{Script: scripts.Draw(t, "to"), Amount: amounts.Draw(t, "paid")}, Change: true}},
			},
			Transfer: &chains.TransferDraft{
				ChainID: rapid.Uint64().Draw(t, "chain"), From: scripts.Draw(t, "from"), To: scripts.Draw(t, "contract"),
				Nonce: rapid.Uint64().Draw(t, "nonce"), Value: amounts.Draw(t, "value"), Data: scripts.Draw(t, "data"), Gas: rapid.Uint64().Draw(t, "gas"),
			},
		}
		kept, err := json.Marshal(draft)
		require.NoError(t, err)
		var read chains.Draft
		require.NoError(t, json.Unmarshal(kept, &read))
		again, err := json.Marshal(read)
		require.NoError(t, err)
		require.JSONEq(t, string(kept), string(again))
		require.Equal(t, draft.Payment.Inputs[0].Outpoint, read.Payment.Inputs[0].Outpoint)
		require.Equal(t, draft.Payment.Inputs[0].Script, read.Payment.Inputs[0].Script)
		require.True(t, draft.Fee.Equal(read.Fee))
		require.True(t, draft.Transfer.Value.Equal(read.Transfer.Value))
	})
}

func TestOutpointAsText(t *testing.T) {
	t.Parallel()
	const genesis = "4a5e1e4baab89f3a32518a88c31bc87f618f76673e2cc77ab2127b7afdeda33b"
	var o chains.Outpoint
	require.NoError(t, o.UnmarshalText([]byte(genesis+":7")))
	require.Equal(t, genesis+":7", o.String())
	for _, text := range []string{"", genesis, genesis + ":", genesis + ":-1", genesis + ":4294967296", genesis + ":1:2", "4a:1"} {
		require.Error(t, o.UnmarshalText([]byte(text)), text)
	}
	var h chains.Hex
	require.NoError(t, h.UnmarshalText([]byte("00FF")))
	require.Equal(t, "00ff", h.String())
	for _, text := range []string{"0", "0x00", "zz"} {
		require.Error(t, h.UnmarshalText([]byte(text)), text)
	}
}
