package evm

import (
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// drafted is a transfer of a token that was built, without a node.
func drafted(t testing.TB) (*Source, chains.Draft) {
	t.Helper()
	source := &Source{id: 31337, chain: chains.Chain{ID: "eip155:31337", Native: chains.Asset{ID: "eip155:31337/slip44:60"}}}
	order, err := source.transfer(chains.TransferOrder{
		From: alice[:], To: bob[:], Asset: chains.TokenID("eip155:31337", carol.Hex()), Amount: chains.NewAmount(77), Nonce: 9, Rate: gwei(20, 2),
	})
	require.NoError(t, err)
	order.gas = 60_000
	draft, err := source.draft(order, ether)
	require.NoError(t, err)
	return source, draft
}

// TestCheckRefuses has a signer sign something else than was built, one field at a
// time, each with a signature that holds.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	source, draft := drafted(t)
	_, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), draft.Fee)
	require.NoError(t, err)
	for field, change := range map[string]func(tx *types.DynamicFeeTx){
		"chain_id":    func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(1) },
		"nonce":       func(tx *types.DynamicFeeTx) { tx.Nonce++ },
		"to":          func(tx *types.DynamicFeeTx) { tx.To = &bob },
		"value":       func(tx *types.DynamicFeeTx) { tx.Value = big.NewInt(1) },
		"data":        func(tx *types.DynamicFeeTx) { tx.Data[67]++ },
		"gas":         func(tx *types.DynamicFeeTx) { tx.Gas++ },
		"max_fee":     func(tx *types.DynamicFeeTx) { tx.GasFeeCap = big.NewInt(21e9) },
		"tip":         func(tx *types.DynamicFeeTx) { tx.GasTipCap = big.NewInt(3e9) },
		"access_list": func(tx *types.DynamicFeeTx) { tx.AccessList = types.AccessList{{Address: bob}} },
	} {
		tx := decodeUnsigned(t, common.FromHex(draft.Payload))
		change(tx)
		signed, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(tx.ChainID), tx)
		require.NoError(t, err)
		_, err = source.Check(draft, rawOf(t, signed), ether)
		requireMismatch(t, err, chains.Differs, field)
	}
	creation := decodeUnsigned(t, common.FromHex(draft.Payload))
	creation.To = nil
	signed, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(creation.ChainID), creation)
	require.NoError(t, err)
	_, err = source.Check(draft, rawOf(t, signed), ether)
	requireMismatch(t, err, chains.Differs, "to")
	legacy, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(creation.ChainID), &types.LegacyTx{To: &carol, Gas: 60_000, Data: creation.Data, GasPrice: big.NewInt(20e9), Nonce: 9})
	require.NoError(t, err)
	_, err = source.Check(draft, rawOf(t, legacy), ether)
	requireMismatch(t, err, chains.Differs, "type")
}

// TestCheckSignature has the right transaction signed wrongly.
func TestCheckSignature(t *testing.T) {
	t.Parallel()
	source, draft := drafted(t)
	payload := common.FromHex(draft.Payload)
	good, err := crypto.Sign(crypto.Keccak256(payload), keyOf(t, 0))
	require.NoError(t, err)
	high := append([]byte{}, good...)
	new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(good[32:64])).FillBytes(high[32:64])
	high[64] ^= 1
	for name, tt := range map[string]struct {
		text  string
		code  chains.MismatchCode
		field string
	}{
		"Good":         {text: signedWith(t, payload, good)},
		"Somebody":     {text: sign(t, draft, keyOf(t, 1)), code: chains.WrongSigner, field: "signature"},
		"HighS":        {text: signedWith(t, payload, high), code: chains.BadSignature, field: "signature"},
		"OtherParity":  {text: signedWith(t, payload, append(append([]byte{}, good[:64]...), good[64]^1)), code: chains.WrongSigner, field: "signature"},
		"None":         {text: rawOf(t, types.NewTx(decodeUnsigned(t, payload))), code: chains.Unsigned, field: "signature"},
		"Payload":      {text: draft.Payload, code: chains.Malformed},
		"Empty":        {text: "", code: chains.Malformed},
		"NoPrefix":     {text: strings.TrimPrefix(signedWith(t, payload, good), "0x"), code: chains.Malformed},
		"Longer":       {text: signedWith(t, payload, good) + "00", code: chains.Malformed},
		"Shorter":      {text: signedWith(t, payload, good)[:100], code: chains.Malformed},
		"Key":          {text: hexBytes(crypto.FromECDSA(keyOf(t, 0))), code: chains.Malformed},
		"Enormous":     {text: "0x" + strings.Repeat("00", 1<<20), code: chains.Malformed},
		"PSBT":         {text: "cHNidP8BAHUCAAAAASaBcTce3", code: chains.Malformed},
		"WithNewlines": {text: "\n " + signedWith(t, payload, good) + " \n"},
	} {
		_, err := source.Check(draft, tt.text, ether)
		if tt.code == "" {
			require.NoError(t, err, name)
			continue
		}
		requireMismatch(t, err, tt.code, tt.field)
		if len(tt.text) > 20 {
			require.NotContains(t, err.Error(), tt.text[2:20])
		}
	}
	_, err = source.Check(draft, sign(t, draft, keyOf(t, 0)), draft.Fee.Sub(chains.NewAmount(1)))
	requireMismatch(t, err, chains.FeeOverLimit, "fee")
}

func requireMismatch(t *testing.T, err error, code chains.MismatchCode, field string) {
	t.Helper()
	var mismatch *chains.MismatchError
	require.ErrorAs(t, err, &mismatch, field)
	require.Equal(t, code, mismatch.Code, mismatch)
	require.Equal(t, field, mismatch.Field)
}

// TestCheckKnowsItsDraft refuses drafts that were changed where they are kept.
func TestCheckKnowsItsDraft(t *testing.T) {
	t.Parallel()
	source, good := drafted(t)
	signed := sign(t, good, keyOf(t, 0))
	for name, change := range map[string]func(d *chains.Draft){
		"Chain":   func(d *chains.Draft) { d.Chain = "eip155:1" },
		"Format":  func(d *chains.Draft) { d.Format = chains.FormatPSBT },
		"Nothing": func(d *chains.Draft) { d.Transfer = nil },
		"Fee":     func(d *chains.Draft) { d.Fee = chains.NewAmount(1) },
		"Rate":    func(d *chains.Draft) { d.Rate.Max = chains.NewAmount(1) },
		"To":      func(d *chains.Draft) { d.Transfer.To = bob[:] },
		"Short":   func(d *chains.Draft) { d.Transfer.To = nil },
		"Value":   func(d *chains.Draft) { d.Transfer.Value = chains.NewAmount(1) },
		"Payload": func(d *chains.Draft) { d.Payload = "0x02" },
		"Digest":  func(d *chains.Draft) { d.Transfer.Digest = chains.Hex{1} },
	} {
		draft := good
		details := *good.Transfer
		draft.Transfer = &details
		change(&draft)
		_, err := source.Check(draft, signed, ether)
		require.Error(t, err, name)
		var mismatch *chains.MismatchError
		require.NotErrorAs(t, err, &mismatch, "the signer has done nothing wrong")
		_, err = source.Bump(t.Context(), draft, chains.Bump{Rate: gwei(30, 3), Ceiling: ether})
		require.Error(t, err, name)
	}
	kept, err := json.Marshal(good)
	require.NoError(t, err)
	var read chains.Draft
	require.NoError(t, json.Unmarshal(kept, &read))
	_, err = source.Check(read, signed, ether)
	require.NoError(t, err, "a draft that was kept is as good")
}

// FuzzSigned checks that nothing handed in breaks the reader, and that whatever
// passes is what was built.
func FuzzSigned(f *testing.F) {
	source, draft := drafted(f)
	good := sign(f, draft, keyOf(f, 0))
	f.Add(common.FromHex(good))
	f.Add(common.FromHex(draft.Payload))
	f.Fuzz(func(t *testing.T, raw []byte) {
		checked, err := source.Check(draft, hexBytes(raw), ether)
		if err != nil {
			return
		}
		require.Equal(t, raw, checked.Raw)
		tx := new(types.Transaction)
		require.NoError(t, tx.UnmarshalBinary(raw))
		require.Equal(t, draft.Transfer.Digest, chains.Hex(types.NewLondonSigner(big.NewInt(31337)).Hash(tx).Bytes()))
	})
}
