package bitcoin_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// offline is a source in front of no node, which is all that building and checking
// with witness coins needs.
func offline(t testing.TB) *bitcoin.Source {
	t.Helper()
	source, err := bitcoin.Open(t.Context(), chains.Spec{Network: "regtest", Upstreams: []chains.Upstream{{URL: "http://127.0.0.1:1"}}}, nop)
	require.NoError(t, err)
	t.Cleanup(source.Close)
	return source.(*bitcoin.Source)
}

// funded are coins of a signer that no chain has.
func (s *signer) funded(source *bitcoin.Source, functions ...string) []chains.Coin {
	s.t.Helper()
	var coins []chains.Coin
	for i, function := range functions {
		out := s.output(source, function, chains.BranchReceive, uint32(i))
		coins = append(coins, chains.Coin{
			Outpoint: chains.Outpoint{Tx: chains.Hash{byte(i + 1)}, Vout: uint32(i)}, Amount: chains.NewAmount(100_000),
			Script: out.Script, Key: out.Key, Height: 5,
		})
	}
	return coins
}

// draft is a payment with change from coins of every kind with witness.
func (s *signer) draft(source *bitcoin.Source) chains.Draft {
	s.t.Helper()
	draft, err := source.BuildPayment(s.t.Context(), chains.PaymentOrder{
		Coins: s.funded(source, "wpkh", "tr", "sh(wpkh"), To: worth(recipient(s.t, source), 210_000),
		Change: s.output(source, "tr", chains.BranchChange, 0), Rate: satPerByte(2), Ceiling: most, Tip: 110,
	})
	require.NoError(s.t, err)
	require.Len(s.t, draft.Payment.Inputs, 3)
	require.Len(s.t, draft.Payment.Outputs, 2)
	return draft
}

// TestCheckRefuses has a signer sign something else than was built, one field at a
// time, each with signatures that hold.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	source := offline(t)
	for name, tt := range map[string]struct {
		change func(p *psbt.Packet) // before it is signed
		code   chains.MismatchCode
		field  string
	}{
		"Nothing":         {change: func(*psbt.Packet) {}},
		"Amount":          {change: func(p *psbt.Packet) { p.UnsignedTx.TxOut[1].Value++ }, code: chains.Differs, field: "outputs[1].amount"},
		"AmountOfChange":  {change: func(p *psbt.Packet) { p.UnsignedTx.TxOut[0].Value-- }, code: chains.Differs, field: "outputs[0].amount"},
		"Recipient":       {change: func(p *psbt.Packet) { p.UnsignedTx.TxOut[1].PkScript = []byte{txscript.OP_1} }, code: chains.Differs, field: "outputs[1].script"},
		"OneByte":         {change: func(p *psbt.Packet) { p.UnsignedTx.TxOut[0].PkScript[20] ^= 1 }, code: chains.Differs, field: "outputs[0].script"},
		"OutputAdded":     {change: addOutput, code: chains.Differs, field: "outputs"},
		"OutputDropped":   {change: dropOutput, code: chains.Differs, field: "outputs"},
		"OutputsSwapped":  {change: func(p *psbt.Packet) { slices.Reverse(p.UnsignedTx.TxOut) }, code: chains.Differs, field: "outputs[0].script"},
		"InputDropped":    {change: dropInput, code: chains.Differs, field: "inputs"},
		"OtherCoin":       {change: func(p *psbt.Packet) { p.UnsignedTx.TxIn[0].PreviousOutPoint.Index++ }, code: chains.Differs, field: "inputs[0].outpoint"},
		"OtherParent":     {change: func(p *psbt.Packet) { p.UnsignedTx.TxIn[2].PreviousOutPoint.Hash[0]++ }, code: chains.Differs, field: "inputs[2].outpoint"},
		"NotReplaceable":  {change: func(p *psbt.Packet) { p.UnsignedTx.TxIn[1].Sequence = wire.MaxTxInSequenceNum }, code: chains.Differs, field: "inputs[1].sequence"},
		"LockTime":        {change: func(p *psbt.Packet) { p.UnsignedTx.LockTime++ }, code: chains.Differs, field: "lock_time"},
		"Version":         {change: func(p *psbt.Packet) { p.UnsignedTx.Version = 1 }, code: chains.Differs, field: "version"},
		"OtherAmountRead": {change: func(p *psbt.Packet) { p.Inputs[0].WitnessUtxo.Value += 1 }, code: chains.BadSignature, field: "inputs[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			alice := newSigner(t)
			draft := alice.draft(source)
			packet := alice.packet(draft.Payload)
			tt.change(packet)
			altered, err := packet.B64Encode()
			require.NoError(t, err)
			signed := alice.sign(altered)
			whole := alice.finalize(signed)
			for _, form := range []string{signed, whole, alice.raw(whole)} {
				_, err = source.Check(draft, form, most)
				if tt.code == "" {
					require.NoError(t, err)
					continue
				}
				requireMismatch(t, err, tt.code, tt.field)
			}
		})
	}
}

func addOutput(p *psbt.Packet) {
	p.UnsignedTx.AddTxOut(wire.NewTxOut(1000, []byte{txscript.OP_1}))
	p.Outputs = append(p.Outputs, psbt.POutput{})
}

func dropOutput(p *psbt.Packet) {
	p.UnsignedTx.TxOut, p.Outputs = p.UnsignedTx.TxOut[:1], p.Outputs[:1]
}

func dropInput(p *psbt.Packet) {
	p.UnsignedTx.TxIn, p.Inputs = p.UnsignedTx.TxIn[:2], p.Inputs[:2]
}

func requireMismatch(t *testing.T, err error, code chains.MismatchCode, field string) {
	t.Helper()
	var mismatch *chains.MismatchError
	require.ErrorAs(t, err, &mismatch)
	require.Equal(t, code, mismatch.Code, mismatch)
	require.Equal(t, field, mismatch.Field)
}

// TestCheckSignatures has the right transaction signed wrongly.
func TestCheckSignatures(t *testing.T) {
	t.Parallel()
	source := offline(t)
	alice := newSigner(t)
	draft := alice.draft(source)
	wpkh, nested, taproot := 0, 2, 1
	for i, in := range draft.Payment.Inputs {
		require.Equal(t, chains.Hash{byte(i + 1)}, in.Outpoint.Tx)
	}
	for name, tt := range map[string]struct {
		change func(p *psbt.Packet) // after it is signed
		code   chains.MismatchCode
		input  string
	}{
		"Missing":        {change: func(p *psbt.Packet) { p.Inputs[nested].PartialSigs = nil }, code: chains.Unsigned, input: "inputs[2]"},
		"MissingTaproot": {change: func(p *psbt.Packet) { p.Inputs[taproot].TaprootKeySpendSig = nil }, code: chains.Unsigned, input: "inputs[1]"},
		"OfAnotherKey": {change: func(p *psbt.Packet) {
			p.Inputs[wpkh].PartialSigs[0] = p.Inputs[nested].PartialSigs[0]
		}, code: chains.Unsigned, input: "inputs[0]"},
		"OfAnotherInput": {change: func(p *psbt.Packet) {
			p.Inputs[wpkh].PartialSigs[0].Signature = p.Inputs[nested].PartialSigs[0].Signature
		}, code: chains.BadSignature, input: "inputs[0]"},
		"TaprootOfAnother": {change: func(p *psbt.Packet) {
			p.Inputs[taproot].TaprootKeySpendSig[5] ^= 1
		}, code: chains.BadSignature, input: "inputs[1]"},
		"TaprootNone": {change: func(p *psbt.Packet) {
			p.Inputs[taproot].TaprootKeySpendSig = append(p.Inputs[taproot].TaprootKeySpendSig, byte(txscript.SigHashNone))
		}, code: chains.BadSignature, input: "inputs[1]"},
		"FinalWithMore": {change: func(p *psbt.Packet) {
			finals(t, p)
			p.Inputs[taproot].FinalScriptWitness[0]++
			p.Inputs[taproot].FinalScriptWitness = append(p.Inputs[taproot].FinalScriptWitness, 1, 0x50)
		}, code: chains.BadSignature, input: "inputs[1]"},
		"FinalWithoutRedeem": {change: func(p *psbt.Packet) {
			finals(t, p)
			p.Inputs[nested].FinalScriptSig = nil
		}, code: chains.BadSignature, input: "inputs[2]"},
		"FinalEmpty": {change: func(p *psbt.Packet) {
			finals(t, p)
			p.Inputs[wpkh].FinalScriptWitness = []byte{0}
		}, code: chains.Unsigned, input: "inputs[0]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			packet := alice.packet(alice.sign(draft.Payload))
			tt.change(packet)
			text, err := packet.B64Encode()
			require.NoError(t, err)
			_, err = source.Check(draft, text, most)
			requireMismatch(t, err, tt.code, tt.input)
		})
	}
	for _, kind := range []txscript.SigHashType{txscript.SigHashNone, txscript.SigHashSingle, txscript.SigHashAll | txscript.SigHashAnyOneCanPay} {
		careless := newSigner(t)
		careless.hash = kind
		_, err := source.Check(draft, careless.sign(draft.Payload), most)
		requireMismatch(t, err, chains.BadSignature, "inputs[0]")
		require.ErrorContains(t, err, "whole transaction")
	}
	_, err := source.Check(draft, alice.sign(draft.Payload), draft.Fee.Sub(chains.NewAmount(1)))
	requireMismatch(t, err, chains.FeeOverLimit, "fee")
	_, err = source.Check(draft, draft.Payload, most)
	requireMismatch(t, err, chains.Unsigned, "inputs[0]")
}

func finals(t *testing.T, p *psbt.Packet) {
	t.Helper()
	require.NoError(t, psbt.MaybeFinalizeAll(p))
}

// TestCheckRefusesRubbish hands in what is no signed transaction. Nothing of it,
// which might be a key, stands in the error.
func TestCheckRefusesRubbish(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	draft := alice.draft(source)
	signed := alice.sign(draft.Payload)
	raw, err := base64.StdEncoding.DecodeString(signed)
	require.NoError(t, err)
	for name, text := range map[string]string{
		"Empty":     "",
		"Words":     "please",
		"Key":       alice.key(84 + hdkeychain.HardenedKeyStart).String(),
		"HexKey":    strings.Repeat("ab", 32),
		"Truncated": signed[:len(signed)/8*4],
		"Longer":    base64.StdEncoding.EncodeToString(append(slices.Clone(raw), 0)),
		"Long":      strings.Repeat("00", 9<<20),
		"HexOdd":    "020",
		"NotPSBT":   base64.StdEncoding.EncodeToString([]byte("hello")),
		// The counts are larger than the bytes.
		"ManyInputs":  "02000000ffffffffff" + strings.Repeat("ff", 4),
		"ManyWitness": base64.StdEncoding.EncodeToString([]byte("psbt\xff\x01\x00\xfe\xff\xff\xff\xff")),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := source.Check(draft, text, most)
			requireMismatch(t, err, chains.Malformed, "")
			if len(text) > 10 {
				require.NotContains(t, err.Error(), text[:10])
			}
		})
	}
	whole, err := source.Check(draft, hex.EncodeToString(raw), most)
	require.NoError(t, err, "a PSBT in hex is read too")
	require.NotEmpty(t, whole.Raw)
}

// TestCheckKnowsItsDraft refuses drafts that were changed where they are kept, and
// those of other chains.
func TestCheckKnowsItsDraft(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	signed := alice.sign(alice.draft(source).Payload)
	for name, change := range map[string]func(d *chains.Draft){
		"Chain":   func(d *chains.Draft) { d.Chain = "bip122:000000000019d6689c085ae165831e93" },
		"Format":  func(d *chains.Draft) { d.Format = chains.FormatEIP1559 },
		"Nothing": func(d *chains.Draft) { d.Payment = nil },
		"Fee":     func(d *chains.Draft) { d.Fee = d.Fee.Add(chains.NewAmount(1)) },
		"Coin":    func(d *chains.Draft) { d.Payment.Inputs[0].Amount = chains.NewAmount(-1) },
	} {
		draft := alice.draft(source)
		change(&draft)
		_, err := source.Check(draft, signed, most)
		require.Error(t, err, name)
		var mismatch *chains.MismatchError
		require.NotErrorAs(t, err, &mismatch, "the signer has done nothing wrong")
	}
	draft := alice.draft(source)
	kept, err := json.Marshal(draft)
	require.NoError(t, err)
	var read chains.Draft
	require.NoError(t, json.Unmarshal(kept, &read))
	_, err = source.Check(read, signed, most)
	require.NoError(t, err, "a draft that was kept is as good")
	require.NotContains(t, string(kept), "prv")
}

// FuzzSigned checks that nothing handed in breaks the reader, and that whatever
// passes is what was built.
func FuzzSigned(f *testing.F) {
	source := offline(f)
	alice := newSigner(f)
	draft := alice.draft(source)
	signed := alice.sign(draft.Payload)
	whole := alice.finalize(signed)
	good, err := source.Check(draft, signed, most)
	require.NoError(f, err)
	for _, text := range []string{draft.Payload, signed, whole} {
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Add(good.Raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		checked, err := source.Check(draft, hex.EncodeToString(raw), most)
		if err == nil {
			require.Equal(t, good.ID, checked.ID)
		}
		if !strings.HasPrefix(string(raw), "psbt\xff") {
			return
		}
		inBase64, err64 := source.Check(draft, base64.StdEncoding.EncodeToString(raw), most)
		require.Equal(t, err, err64)
		require.Equal(t, checked, inBase64)
	})
}
