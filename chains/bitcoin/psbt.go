package bitcoin

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"

	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"tallyd/chains"
)

// unsigned returns the transaction of a draft.
func unsigned(payment *chains.PaymentDraft) *wire.MsgTx {
	tx := wire.NewMsgTx(payment.Version)
	tx.LockTime = payment.LockTime
	for _, in := range payment.Inputs {
		tx.AddTxIn(&wire.TxIn{PreviousOutPoint: outPoint(in.Outpoint), Sequence: in.Sequence})
	}
	for _, out := range payment.Outputs {
		tx.AddTxOut(wire.NewTxOut(out.Amount.Big().Int64(), out.Script))
	}
	return tx
}

func outPoint(at chains.Outpoint) wire.OutPoint {
	return wire.OutPoint{Hash: chainhash.Hash(at.Tx.Reversed()), Index: at.Vout}
}

// packet writes a draft as a signer takes it: BIP 174 and BIP 371 in base64, with
// the coin each input spends and the keys of inputs and outputs that are known.
func (s *Source) packet(ctx context.Context, keys *keyring, payment *chains.PaymentDraft, coins []spendable) (string, error) {
	packet, err := psbt.NewFromUnsignedTx(unsigned(payment))
	if err != nil {
		return "", fmt.Errorf("write the transaction: %w", err)
	}
	parents, err := s.parents(ctx, coins)
	if err != nil {
		return "", err
	}
	for i, coin := range coins {
		packet.Inputs[i] = coin.input(parents[coin.Outpoint.Tx])
	}
	for i, out := range payment.Outputs {
		if out.Key == nil {
			continue
		}
		key, kind, err := keys.find(out.Script, out.Key)
		if err != nil {
			return "", fmt.Errorf("output %d: %w", i, err)
		}
		if key != nil {
			packet.Outputs[i] = key.output(kind)
		}
	}
	text, err := packet.B64Encode()
	if err != nil {
		return "", fmt.Errorf("write the transaction: %w", err)
	}
	return text, nil
}

// input says of an input what its signer has to know. A parent proves what the
// coin holds; for coins without witness it is required.
func (s spendable) input(parent *wire.MsgTx) psbt.PInput {
	in := psbt.PInput{NonWitnessUtxo: parent, RedeemScript: s.redeem()}
	if _, witness := s.kind.sizes(keySize); witness > 0 {
		in.WitnessUtxo = wire.NewTxOut(s.value, s.Script)
	}
	if s.key == nil {
		return in
	}
	if s.kind == kindTaproot {
		in.TaprootInternalKey = s.key.xOnly()
		in.TaprootBip32Derivation = s.key.taproot()
		return in
	}
	in.Bip32Derivation = s.key.derivation()
	return in
}

// output says of an output of our own which key it pays, so that a signer can see
// that it comes back.
func (k *knownKey) output(kind kind) psbt.POutput {
	var out psbt.POutput
	switch kind {
	case kindTaproot:
		out.TaprootInternalKey = k.xOnly()
		out.TaprootBip32Derivation = k.taproot()
		return out
	case kindNested:
		out.RedeemScript = spendable{kind: kind, key: k}.redeem()
	case kindUnknown, kindPubKey, kindPubKeyHash, kindWitness:
	}
	out.Bip32Derivation = k.derivation()
	return out
}

func (k *knownKey) derivation() []*psbt.Bip32Derivation {
	return []*psbt.Bip32Derivation{{PubKey: k.point, MasterKeyFingerprint: k.origin.number(), Bip32Path: k.origin.path}}
}

func (k *knownKey) taproot() []*psbt.TaprootBip32Derivation {
	return []*psbt.TaprootBip32Derivation{{XOnlyPubKey: k.xOnly(), MasterKeyFingerprint: k.origin.number(), Bip32Path: k.origin.path}}
}

// xOnly returns the key as BIP 340 writes it.
func (k *knownKey) xOnly() []byte { return k.point[len(k.point)-schnorr.PubKeyBytesLen:] }

// number returns the fingerprint as package psbt holds it.
func (o keyOrigin) number() uint32 { return binary.LittleEndian.Uint32(o.fingerprint[:]) }

// holds reports whether an output of a transaction is a coin.
func holds(parent *wire.MsgTx, coin spendable) bool {
	if uint64(coin.Outpoint.Vout) >= uint64(len(parent.TxOut)) {
		return false
	}
	out := parent.TxOut[coin.Outpoint.Vout]
	return out.Value == coin.value && bytes.Equal(out.PkScript, coin.Script)
}
