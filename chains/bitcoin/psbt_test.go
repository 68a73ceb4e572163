package bitcoin_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// TestCoreSignsOurPSBT has Bitcoin Core's relative read, sign and finalize what we
// build, from every kind of coin, by its descriptors and by its wallet.
func TestCoreSignsOurPSBT(t *testing.T) {
	t.Parallel()
	node := startNode(t, backends[1])
	source, alice := open(t, node.spec()), newSigner(t)
	var outs []chains.Output
	var secrets []map[string]any
	for _, function := range []string{"pkh", "sh(wpkh", "wpkh", "tr"} {
		outs = append(outs, worth(alice.output(source, function, chains.BranchReceive, 4), 50_000), worth(alice.output(source, function, chains.BranchChange, 2), 50_000))
		secrets = append(secrets, map[string]any{"desc": alice.secret(function), "range": 9})
	}
	coins := node.fund(t, outs...)
	draft, err := source.BuildPayment(t.Context(), chains.PaymentOrder{
		Coins: coins, To: worth(recipient(t, source), 380_000), Change: alice.output(source, "tr", chains.BranchChange, 0),
		Rate: satPerByte(3), Ceiling: most, Tip: node.height(t),
	})
	require.NoError(t, err)
	require.Len(t, draft.Payment.Inputs, len(coins))

	var analysed struct {
		Fee    json.Number
		Inputs []struct {
			HasUTXO bool `json:"has_utxo"`
			Next    string
		}
	}
	require.NoError(t, node.Call(t.Context(), "analyzepsbt", &analysed, draft.Payload))
	fee, err := chains.ParseDecimal(analysed.Fee.String(), 8)
	require.NoError(t, err)
	require.Equal(t, draft.Fee.String(), fee.String())
	for i, in := range analysed.Inputs {
		require.True(t, in.HasUTXO)
		if !strings.Contains(draft.Paths[i], "/86h/") { // of taproot Core cannot say what is missing
			require.Equal(t, "signer", in.Next, "nothing is missing but the signature")
		}
	}
	var decoded struct {
		Outputs []struct {
			Derivations []any `json:"taproot_bip32_derivs"`
		}
	}
	require.NoError(t, node.Call(t.Context(), "decodepsbt", &decoded, draft.Payload))
	for i, out := range draft.Payment.Outputs {
		require.Len(t, decoded.Outputs[i].Derivations, map[bool]int{true: 1}[out.Change], "a signer sees that change comes back")
	}

	var signed struct {
		PSBT     string
		Hex      string
		Complete bool
	}
	require.NoError(t, node.Call(t.Context(), "descriptorprocesspsbt", &signed, draft.Payload, secrets))
	require.True(t, signed.Complete)
	byDescriptor, err := source.Check(draft, signed.PSBT, most)
	require.NoError(t, err)
	same, err := source.Check(draft, signed.Hex, most)
	require.NoError(t, err)
	require.Equal(t, byDescriptor, same)

	// Partly: the wallet adds signatures and leaves it to us to finalize them.
	require.NoError(t, node.Call(t.Context(), "createwallet", nil, "signer", false, true))
	for _, secret := range secrets {
		var info struct{ Checksum string }
		require.NoError(t, node.Call(t.Context(), "getdescriptorinfo", &info, secret["desc"]))
		var imported []struct{ Success bool }
		require.NoError(t, node.Call(t.Context(), "importdescriptors", &imported, []map[string]any{{
			"desc": secret["desc"].(string) + "#" + info.Checksum, "timestamp": "now", "range": 9,
		}}))
		require.True(t, imported[0].Success)
	}
	require.NoError(t, node.Call(t.Context(), "walletprocesspsbt", &signed, draft.Payload, true, "ALL", true, false))
	byWallet, err := source.Check(draft, signed.PSBT, most)
	require.NoError(t, err)
	require.NotEmpty(t, byWallet.Raw)

	// And what others sign, the node finalizes to the same bytes as we do.
	partly := alice.sign(draft.Payload)
	ours, err := source.Check(draft, partly, most)
	require.NoError(t, err)
	require.NoError(t, node.Call(t.Context(), "finalizepsbt", &signed, partly))
	require.True(t, signed.Complete)
	require.Equal(t, signed.Hex, chains.Hex(ours.Raw).String())

	require.NoError(t, source.Broadcast(t.Context(), byDescriptor.Raw))
	node.mine(t, 1)
	seen, err := source.Lookup(t.Context(), byDescriptor.ID)
	require.NoError(t, err)
	require.True(t, seen.Mined)
}
