package bitcoin

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"testing"

	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/stretchr/testify/require"
)

//go:embed testdata/psbt.json
var psbtJSON []byte

type vectors struct {
	Valid   []string
	Invalid map[string]string
}

// psbtVectors are the vectors of BIP 174 and BIP 371 that concern what is read of a
// PSBT.
func psbtVectors(t testing.TB) (v vectors) {
	t.Helper()
	require.NoError(t, json.Unmarshal(psbtJSON, &v))
	return v
}

func TestPSBTVectors(t *testing.T) {
	t.Parallel()
	params, err := ParamsByName("regtest")
	require.NoError(t, err)
	source := &Source{params: params, walkers: newWalkers(params)}
	for i, text := range psbtVectors(t).Valid {
		signed, err := source.readSigned(text)
		require.NoError(t, err, i)
		require.NotNil(t, signed.inputs, i)
	}
	for name, text := range psbtVectors(t).Invalid {
		_, err := source.readSigned(text)
		require.Error(t, err, name)
	}
}

// FuzzPSBT compares our reader with package psbt: a PSBT that both read has the
// same transaction and the same signatures for both.
func FuzzPSBT(f *testing.F) {
	params, err := ParamsByName("regtest")
	require.NoError(f, err)
	source := &Source{params: params, walkers: newWalkers(params)}
	for _, text := range psbtVectors(f).Valid {
		raw, err := base64.StdEncoding.DecodeString(text)
		require.NoError(f, err)
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if !isPSBT(raw) {
			return
		}
		ours, err := source.readPSBT(raw)
		if err != nil {
			return
		}
		// Only now: what ours has read makes theirs allocate no more than it is.
		theirs, err := psbt.NewFromRawBytes(bytes.NewReader(raw), false)
		if err != nil {
			return
		}
		require.Equal(t, theirs.UnsignedTx.TxHash(), ours.tx.TxHash())
		require.Len(t, ours.inputs, len(theirs.Inputs))
		for i, want := range theirs.Inputs {
			got := ours.inputs[i]
			require.Len(t, got.signatures, len(want.PartialSigs))
			for _, signature := range want.PartialSigs {
				require.Equal(t, signature.Signature, got.signatures[string(signature.PubKey)])
			}
			require.Equal(t, want.TaprootKeySpendSig, got.taproot)
			require.Equal(t, want.FinalScriptSig, got.script)
			if want.FinalScriptWitness == nil {
				require.Nil(t, got.witness)
				continue
			}
			var witness bytes.Buffer
			require.NoError(t, psbt.WriteTxWitness(&witness, got.witness))
			require.Equal(t, want.FinalScriptWitness, witness.Bytes())
		}
	})
}
