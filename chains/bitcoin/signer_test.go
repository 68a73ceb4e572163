package bitcoin_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// signer is somebody outside who holds the keys, and knows of a transaction only
// what its PSBT says.
type signer struct {
	t      testing.TB
	master *hdkeychain.ExtendedKey
	hash   txscript.SigHashType // of ECDSA signatures; 0 for all
}

// accounts are the descriptors of a signer by their function, and where their
// account is.
var accounts = map[string][]uint32{
	"pkh": {44}, "sh(wpkh": {49}, "wpkh": {84}, "tr": {86},
}

func newSigner(t testing.TB) *signer {
	t.Helper()
	master, err := hdkeychain.NewMaster([]byte("a seed of 32 bytes for tests only"), &chaincfg.RegressionNetParams)
	require.NoError(t, err)
	return &signer{t: t, master: master}
}

// key derives the private key at a path.
func (s *signer) key(path ...uint32) *hdkeychain.ExtendedKey {
	s.t.Helper()
	key := s.master
	for _, step := range path {
		var err error
		key, err = key.Derive(step)
		require.NoError(s.t, err)
	}
	return key
}

func (s *signer) account(function string) *hdkeychain.ExtendedKey {
	return s.key(accounts[function][0]+hdkeychain.HardenedKeyStart, 1+hdkeychain.HardenedKeyStart, hdkeychain.HardenedKeyStart)
}

func (s *signer) fingerprint() []byte {
	s.t.Helper()
	public, err := s.master.ECPubKey()
	require.NoError(s.t, err)
	return address.Hash160(public.SerializeCompressed())[:4]
}

// descriptor is what the operator registers: public keys.
func (s *signer) descriptor(function string) string {
	s.t.Helper()
	public, err := s.account(function).Neuter()
	require.NoError(s.t, err)
	return s.write(function, public)
}

// secret is the descriptor with the private key, which a node's wallet signs with.
func (s *signer) secret(function string) string { return s.write(function, s.account(function)) }

func (s *signer) write(function string, key *hdkeychain.ExtendedKey) string {
	return fmt.Sprintf("%s([%x/%dh/1h/0h]%s/<0;1>/*)%s", function, s.fingerprint(), accounts[function][0], key, strings.Repeat(")", strings.Count(function, "(")))
}

// sign adds a signature to every input it has the key of.
func (s *signer) sign(payload string) string {
	s.t.Helper()
	packet := s.packet(payload)
	spent := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range packet.Inputs {
		at := packet.UnsignedTx.TxIn[i].PreviousOutPoint
		out := in.WitnessUtxo
		if out == nil {
			require.Equal(s.t, at.Hash, in.NonWitnessUtxo.TxHash())
			out = in.NonWitnessUtxo.TxOut[at.Index]
		} else if in.NonWitnessUtxo != nil {
			require.Equal(s.t, out, in.NonWitnessUtxo.TxOut[at.Index])
		}
		spent.AddPrevOut(at, out)
	}
	hashes := txscript.NewTxSigHashes(packet.UnsignedTx, spent)
	for i := range packet.Inputs {
		s.signInput(packet, i, spent.FetchPrevOutput(packet.UnsignedTx.TxIn[i].PreviousOutPoint), hashes)
	}
	text, err := packet.B64Encode()
	require.NoError(s.t, err)
	return text
}

func (s *signer) signInput(packet *psbt.Packet, i int, out *wire.TxOut, hashes *txscript.TxSigHashes) {
	s.t.Helper()
	in, tx := &packet.Inputs[i], packet.UnsignedTx
	var err error
	if len(in.TaprootBip32Derivation) > 0 {
		in.TaprootKeySpendSig, err = txscript.RawTxInTaprootSignature(tx, hashes, i, out.Value, out.PkScript, nil, txscript.SigHashDefault,
			s.at(in.TaprootBip32Derivation[0].MasterKeyFingerprint, in.TaprootBip32Derivation[0].Bip32Path))
		require.NoError(s.t, err)
		return
	}
	require.Len(s.t, in.Bip32Derivation, 1)
	key := s.at(in.Bip32Derivation[0].MasterKeyFingerprint, in.Bip32Derivation[0].Bip32Path)
	require.Equal(s.t, in.Bip32Derivation[0].PubKey, key.PubKey().SerializeCompressed())
	script, kind := out.PkScript, s.hash
	if kind == 0 {
		kind = txscript.SigHashAll
	}
	if in.RedeemScript != nil {
		script = in.RedeemScript
	}
	var signature []byte
	if in.WitnessUtxo != nil {
		signature, err = txscript.RawTxInWitnessSignature(tx, hashes, i, out.Value, script, kind, key)
	} else {
		signature, err = txscript.RawTxInSignature(tx, i, script, kind, key)
	}
	require.NoError(s.t, err)
	in.PartialSigs = []*psbt.PartialSig{{PubKey: key.PubKey().SerializeCompressed(), Signature: signature}}
}

// at is the private key at a path from the key with a fingerprint.
func (s *signer) at(fingerprint uint32, path []uint32) *btcec.PrivateKey {
	s.t.Helper()
	require.Equal(s.t, binary.LittleEndian.Uint32(s.fingerprint()), fingerprint)
	key, err := s.key(path...).ECPrivKey()
	require.NoError(s.t, err)
	return key
}

// packet reads a PSBT with the library that lnd and others use.
func (s *signer) packet(payload string) *psbt.Packet {
	s.t.Helper()
	packet, err := psbt.NewFromRawBytes(strings.NewReader(payload), true)
	require.NoError(s.t, err)
	return packet
}

// finalize completes a signed PSBT.
func (s *signer) finalize(payload string) string {
	s.t.Helper()
	packet := s.packet(payload)
	require.NoError(s.t, psbt.MaybeFinalizeAll(packet))
	text, err := packet.B64Encode()
	require.NoError(s.t, err)
	return text
}

// raw is the whole transaction of a finalized PSBT.
func (s *signer) raw(payload string) string {
	s.t.Helper()
	tx, err := psbt.Extract(s.packet(payload))
	require.NoError(s.t, err)
	return hexOf(s.t, tx)
}

func hexOf(t testing.TB, tx *wire.MsgTx) string {
	t.Helper()
	var raw bytes.Buffer
	require.NoError(t, tx.Serialize(&raw))
	return hex.EncodeToString(raw.Bytes())
}

// output is a script of a signer's wallet.
func (s *signer) output(source *bitcoin.Source, function string, branch, index uint32) chains.Output {
	s.t.Helper()
	wallet, ok, err := source.ParseWallet(s.descriptor(function))
	require.NoError(s.t, err)
	require.True(s.t, ok)
	script, err := wallet.Script(branch, index)
	require.NoError(s.t, err)
	return chains.Output{Script: script, Key: &chains.KeyPath{Wallet: wallet.Canonical(), Branch: branch, Index: index}}
}

// fund mines a payment to each output and returns the coins.
func (n *testNode) fund(t *testing.T, to ...chains.Output) []chains.Coin {
	t.Helper()
	from := n.mature(t, 1)[0]
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&from.at, nil, nil))
	rest := from.value - 10_000
	for _, out := range to {
		tx.AddTxOut(wire.NewTxOut(out.Amount.Big().Int64(), out.Script))
		rest -= out.Amount.Big().Int64()
	}
	tx.AddTxOut(wire.NewTxOut(rest, anyone(t, "rest")))
	n.send(t, tx)
	n.mine(t, 1)
	height := n.height(t)
	coins := make([]chains.Coin, len(to))
	for i, out := range to {
		coins[i] = chains.Coin{
			Outpoint: chains.Outpoint{Tx: hashOf(tx.TxHash()), Vout: uint32(i)},
			Amount:   out.Amount, Script: out.Script, Key: out.Key, Height: height,
		}
	}
	return coins
}

func (n *testNode) height(t *testing.T) uint64 {
	t.Helper()
	height, err := n.Height(t.Context())
	require.NoError(t, err)
	return uint64(height)
}

func worth(out chains.Output, amount int64) chains.Output {
	out.Amount = chains.NewAmount(amount)
	return out
}
