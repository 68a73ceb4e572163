package main

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/txscript/v2"
)

// signPSBT signs every input of a PSBT (BIP 174) that pays to a witness public key
// hash of ours, and prints what the transaction pays.
func signPSBT(master *hdkeychain.ExtendedKey, payload string, log io.Writer) (string, error) {
	packet, err := psbt.NewFromRawBytes(strings.NewReader(payload), true)
	if err != nil {
		return "", fmt.Errorf("read the PSBT: %w", err)
	}
	spent := txscript.NewMultiPrevOutFetcher(nil)
	var fee int64
	for i := range packet.Inputs {
		if packet.Inputs[i].WitnessUtxo == nil {
			return "", fmt.Errorf("input %d: what it spends is not told", i)
		}
		spent.AddPrevOut(packet.UnsignedTx.TxIn[i].PreviousOutPoint, packet.Inputs[i].WitnessUtxo)
		fee += packet.Inputs[i].WitnessUtxo.Value
	}
	for i, out := range packet.UnsignedTx.TxOut {
		fmt.Fprintf(log, "output %d: %d satoshi to script %s\n", i, out.Value, hex.EncodeToString(out.PkScript))
		fee -= out.Value
	}
	fmt.Fprintf(log, "fee: %d satoshi\n", fee)
	hashes := txscript.NewTxSigHashes(packet.UnsignedTx, spent)
	for i := range packet.Inputs {
		if err := signInput(master, packet, i, hashes); err != nil {
			return "", fmt.Errorf("input %d: %w", i, err)
		}
	}
	text, err := packet.B64Encode()
	if err != nil {
		return "", fmt.Errorf("write the PSBT: %w", err)
	}
	return text, nil
}

func signInput(master *hdkeychain.ExtendedKey, packet *psbt.Packet, i int, hashes *txscript.TxSigHashes) error {
	in := &packet.Inputs[i]
	if len(in.Bip32Derivation) != 1 || !txscript.IsPayToWitnessPubKeyHash(in.WitnessUtxo.PkScript) {
		return errors.New("it does not spend a coin of one key")
	}
	from := in.Bip32Derivation[0]
	name := make([]byte, 4)
	binary.LittleEndian.PutUint32(name, from.MasterKeyFingerprint)
	if hex.EncodeToString(name) != fingerprint(master) {
		return fmt.Errorf("its key is below another master key, %x", name)
	}
	key, err := derive(master, from.Bip32Path...)
	if err != nil {
		return err
	}
	private, err := key.ECPrivKey()
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	signature, err := txscript.RawTxInWitnessSignature(packet.UnsignedTx, hashes, i, in.WitnessUtxo.Value, in.WitnessUtxo.PkScript, txscript.SigHashAll, private)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	in.PartialSigs = []*psbt.PartialSig{{PubKey: private.PubKey().SerializeCompressed(), Signature: signature}}
	return nil
}
