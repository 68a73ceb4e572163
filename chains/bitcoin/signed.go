package bitcoin

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/wire/v2"

	"tallyd/chains"
)

var (
	errMalformed = errors.New("it is neither a PSBT in base64 nor a transaction in hex")
	errPSBT      = errors.New("it is no PSBT of version 0")
)

// signedTx is what a signer handed in, read and not believed: a transaction, and
// beside it, if it was a PSBT, what was added to each input.
type signedTx struct {
	tx     *wire.MsgTx
	inputs []signedInput // nil of a raw transaction, which holds all itself
}

// signedInput is what a PSBT says to complete an input.
type signedInput struct {
	signatures map[string][]byte // by public key
	taproot    []byte            // signature of the key path
	script     []byte            // final
	witness    wire.TxWitness    // final
}

// readSigned reads a PSBT in base64 or hex, or a raw transaction in hex.
func (s *Source) readSigned(text string) (signedTx, error) {
	text = strings.TrimSpace(text)
	if len(text) > chains.MaxSigned {
		return signedTx{}, fmt.Errorf("it has %d characters, at most %d are read", len(text), chains.MaxSigned)
	}
	raw, err := hex.DecodeString(strings.TrimPrefix(text, "0x"))
	if err != nil {
		if raw, err = base64.StdEncoding.DecodeString(text); err != nil || !isPSBT(raw) {
			return signedTx{}, errMalformed
		}
	}
	if isPSBT(raw) {
		return s.readPSBT(raw)
	}
	var tx *wire.MsgTx
	err = s.walkers.with(func(w *Walker) (err error) {
		// Walked first, since it takes a count for what the bytes can hold.
		if _, err = w.MatchTx(raw, nil); err != nil {
			return errMalformed
		}
		tx, err = decodeWhole(raw)
		return err
	})
	return signedTx{tx: tx}, err
}

func decodeWhole(raw []byte) (*wire.MsgTx, error) {
	tx := wire.NewMsgTx(0)
	if err := tx.Deserialize(bytes.NewReader(raw)); err != nil {
		return nil, errMalformed
	}
	return tx, nil
}

// psbtMagic begins every PSBT.
const psbtMagic = "psbt\xff"

func isPSBT(raw []byte) bool { return bytes.HasPrefix(raw, []byte(psbtMagic)) }

// The keys of BIP 174 and BIP 371 that are read; the rest adds nothing to a
// transaction we have built.
const (
	psbtGlobalTx      = 0x00
	psbtGlobalVersion = 0xfb
	psbtInSignature   = 0x02
	psbtInScript      = 0x07
	psbtInWitness     = 0x08
	psbtInTaproot     = 0x13
)

// readPSBT reads the transaction and the signatures of a PSBT. It allocates for
// nothing that the bytes do not hold, where package psbt believes their counts.
func (s *Source) readPSBT(raw []byte) (signedTx, error) {
	r := &psbtReader{raw: raw, at: len(psbtMagic)}
	var signed signedTx
	for key, value, ok := r.pair(); ok; key, value, ok = r.pair() {
		switch {
		case len(key) != 1:
		case key[0] == psbtGlobalTx && signed.tx == nil:
			if signed.tx = s.readUnsigned(value); signed.tx == nil {
				return signedTx{}, errPSBT
			}
		case key[0] == psbtGlobalTx, key[0] == psbtGlobalVersion && !bytes.Equal(value, make([]byte, 4)):
			return signedTx{}, errPSBT
		}
	}
	if r.bad || signed.tx == nil {
		return signedTx{}, errPSBT
	}
	signed.inputs = make([]signedInput, len(signed.tx.TxIn))
	for i := range signed.inputs {
		signed.inputs[i].read(r)
	}
	for range signed.tx.TxOut {
		for _, _, ok := r.pair(); ok; _, _, ok = r.pair() {
			// What a PSBT says of an output is for the signer.
			continue
		}
	}
	if r.bad || r.at != len(raw) {
		return signedTx{}, errPSBT
	}
	return signed, nil
}

// readUnsigned reads the transaction of a PSBT, or returns nil.
func (s *Source) readUnsigned(raw []byte) *wire.MsgTx {
	tx := wire.NewMsgTx(0)
	err := s.walkers.with(func(w *Walker) error {
		if _, err := w.MatchTx(raw, nil); err != nil {
			return err
		}
		return tx.DeserializeNoWitness(bytes.NewReader(raw))
	})
	if err != nil {
		return nil
	}
	for _, in := range tx.TxIn {
		if len(in.SignatureScript) > 0 {
			return nil
		}
	}
	return tx
}

// read reads the pairs of one input. A key that comes twice makes the PSBT no one.
func (in *signedInput) read(r *psbtReader) {
	in.signatures = map[string][]byte{}
	for key, value, ok := r.pair(); ok; key, value, ok = r.pair() {
		switch {
		case key[0] == psbtInSignature:
			r.bad = r.bad || in.signatures[string(key[1:])] != nil
			in.signatures[string(key[1:])] = value
		case len(key) > 1:
		case key[0] == psbtInTaproot:
			r.bad = r.bad || in.taproot != nil
			in.taproot = value
		case key[0] == psbtInScript:
			r.bad = r.bad || in.script != nil
			in.script = value
		case key[0] == psbtInWitness:
			r.bad = r.bad || in.witness != nil
			in.witness = r.stack(value)
		}
	}
}

// psbtReader reads the maps of a PSBT one pair after the other.
type psbtReader struct {
	raw []byte
	at  int
	bad bool // the bytes are none
}

// pair returns the next pair of a map, and false at its end. A key is not empty.
func (r *psbtReader) pair() (key, value []byte, ok bool) {
	key = r.bytes()
	if r.bad || len(key) == 0 {
		return nil, nil, false
	}
	value = r.bytes()
	return key, value, !r.bad
}

// bytes returns the next string of bytes, which is not nil.
func (r *psbtReader) bytes() []byte {
	size, start, ok := compactSize(r.raw, r.at)
	if r.bad || !ok || size > uint64(len(r.raw)-start) {
		r.bad = true
		return nil
	}
	r.at = start + int(size)
	return r.raw[start:r.at:r.at]
}

// stack reads a witness as BIP 174 writes one into a value.
func (r *psbtReader) stack(value []byte) wire.TxWitness {
	count, at, err := readCount(value, 0, "the witness")
	inner := &psbtReader{raw: value, at: at, bad: err != nil}
	witness := wire.TxWitness{}
	for i := uint64(0); i < count && !inner.bad; i++ {
		witness = append(witness, inner.bytes())
	}
	r.bad = r.bad || inner.bad || inner.at != len(value)
	return witness
}
