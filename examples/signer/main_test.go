package main

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"math/big"
	"path/filepath"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
)

func newTestSeed(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "seed.hex")
	require.NoError(t, run([]string{"new", path}, nil, io.Discard, io.Discard))
	require.Error(t, run([]string{"new", path}, nil, io.Discard, io.Discard), "a seed is never overwritten")
	return path
}

func signDraft(t *testing.T, seed string, d draft) (string, error) {
	t.Helper()
	text, err := json.Marshal(d)
	require.NoError(t, err)
	var out bytes.Buffer
	err = run([]string{"sign", "--seed", seed}, bytes.NewReader(text), &out, io.Discard)
	if err != nil {
		return "", err
	}
	var answer struct{ Signed string }
	require.NoError(t, json.Unmarshal(out.Bytes(), &answer))
	return answer.Signed, nil
}

func TestSignEIP1559(t *testing.T) {
	t.Parallel()
	seed := newTestSeed(t)
	master, err := readSeed(seed)
	require.NoError(t, err)
	to := common.Address{7}
	body, err := rlp.EncodeToBytes(unsigned{
		ChainID: big.NewInt(31337), Nonce: 3, Tip: big.NewInt(1), Most: big.NewInt(9), Gas: 21000, To: &to, Value: big.NewInt(5),
		Data: []byte{}, AccessList: types.AccessList{},
	})
	require.NoError(t, err)
	payload := "0x02" + hex.EncodeToString(body)
	signed, err := signDraft(t, seed, draft{Format: "eip1559", Payload: payload, Paths: []string{fingerprint(master) + "/44h/60h/0h/0/4"}})
	require.NoError(t, err)

	raw, err := hex.DecodeString(strings.TrimPrefix(signed, "0x"))
	require.NoError(t, err)
	var tx types.Transaction
	require.NoError(t, tx.UnmarshalBinary(raw))
	from, err := types.Sender(types.LatestSignerForChainID(big.NewInt(31337)), &tx)
	require.NoError(t, err)
	key, err := derive(master, 44+hardened, 60+hardened, hardened, 0, 4)
	require.NoError(t, err)
	public, err := key.ECPubKey()
	require.NoError(t, err)
	require.Equal(t, crypto.PubkeyToAddress(*public.ToECDSA()), from)

	_, err = signDraft(t, seed, draft{Format: "eip1559", Payload: payload, Paths: []string{"00000000/44h/60h/0h/0/4"}})
	require.ErrorContains(t, err, "of another key")
	_, err = signDraft(t, seed, draft{Format: "eip1559", Payload: payload + "00", Paths: []string{fingerprint(master) + "/44h/60h/0h/0/4"}})
	require.Error(t, err)
	_, err = signDraft(t, seed, draft{Format: "smoke signals"})
	require.ErrorContains(t, err, "smoke signals")
}

func TestSignPSBT(t *testing.T) {
	t.Parallel()
	seed := newTestSeed(t)
	master, err := readSeed(seed)
	require.NoError(t, err)
	path := []uint32{84 + hardened, 1 + hardened, hardened, 0, 2}
	key, err := derive(master, path...)
	require.NoError(t, err)
	public, err := key.ECPubKey()
	require.NoError(t, err)
	ours, err := address.NewAddressWitnessPubKeyHash(address.Hash160(public.SerializeCompressed()), &chaincfg.RegressionNetParams)
	require.NoError(t, err)
	script, err := txscript.PayToAddrScript(ours)
	require.NoError(t, err)
	packet, err := psbt.New([]*wire.OutPoint{{Index: 1}}, []*wire.TxOut{wire.NewTxOut(900, script)}, 2, 0, []uint32{0xfffffffd})
	require.NoError(t, err)
	name, err := hex.DecodeString(fingerprint(master))
	require.NoError(t, err)
	packet.Inputs[0].WitnessUtxo = wire.NewTxOut(1000, script)
	packet.Inputs[0].Bip32Derivation = []*psbt.Bip32Derivation{{
		PubKey: public.SerializeCompressed(), MasterKeyFingerprint: binary.LittleEndian.Uint32(name), Bip32Path: path,
	}}
	payload, err := packet.B64Encode()
	require.NoError(t, err)
	signed, err := signDraft(t, seed, draft{Format: "psbt", Payload: payload})
	require.NoError(t, err)

	done, err := psbt.NewFromRawBytes(strings.NewReader(signed), true)
	require.NoError(t, err)
	require.NoError(t, psbt.MaybeFinalizeAll(done))
	tx, err := psbt.Extract(done)
	require.NoError(t, err)
	spent := txscript.NewCannedPrevOutputFetcher(script, 1000)
	engine, err := txscript.NewEngine(script, tx, 0, txscript.StandardVerifyFlags, nil, txscript.NewTxSigHashes(tx, spent), 1000, spent)
	require.NoError(t, err)
	require.NoError(t, engine.Execute())

	other := newTestSeed(t)
	_, err = signDraft(t, other, draft{Format: "psbt", Payload: payload})
	require.ErrorContains(t, err, "another master key")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(nil, nil, io.Discard, io.Discard), "usage")
	require.ErrorContains(t, run([]string{"key", "doge", "--seed", newTestSeed(t)}, nil, io.Discard, io.Discard), "doge")
	require.Error(t, run([]string{"key", "btc", "--seed", filepath.Join(t.TempDir(), "none")}, nil, io.Discard, io.Discard))
}
