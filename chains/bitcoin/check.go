package bitcoin

import (
	"bytes"
	"fmt"
	"strconv"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"

	"tallyd/chains"
)

// Check compares a signed transaction with the draft, input by input and output by
// output, and runs the script of every input. A signature counts only if it covers
// the whole transaction: others could be carried over into another one.
func (s *Source) Check(draft chains.Draft, signed string, ceiling chains.Amount) (chains.Signed, error) {
	payment, err := s.paymentOf(draft)
	if err != nil {
		return chains.Signed{}, fmt.Errorf("check a signed transaction: %w", err)
	}
	if draft.Fee.Cmp(ceiling) > 0 {
		return chains.Signed{}, &chains.MismatchError{Code: chains.FeeOverLimit, Field: "fee", Want: "at most " + ceiling.String(), Got: draft.Fee.String()}
	}
	given, err := s.readSigned(signed)
	if err != nil {
		return chains.Signed{}, &chains.MismatchError{Code: chains.Malformed, Got: err.Error()}
	}
	if mismatch := compare(given.tx, payment); mismatch != nil {
		return chains.Signed{}, mismatch
	}
	for i := range given.inputs {
		if mismatch := given.complete(i, payment.Inputs[i].Script); mismatch != nil {
			return chains.Signed{}, mismatch
		}
	}
	if mismatch := verifySignatures(given.tx, payment); mismatch != nil {
		return chains.Signed{}, mismatch
	}
	var raw bytes.Buffer
	if err := given.tx.Serialize(&raw); err != nil {
		return chains.Signed{}, fmt.Errorf("write a signed transaction: %w", err)
	}
	return chains.Signed{Raw: raw.Bytes(), ID: idOf(given.tx)}, nil
}

// compare returns the first field of a transaction that is not as it was built.
func compare(tx *wire.MsgTx, payment *chains.PaymentDraft) *chains.MismatchError {
	var fields fields
	fields.number("version", int64(payment.Version), int64(tx.Version))
	fields.number("lock_time", int64(payment.LockTime), int64(tx.LockTime))
	fields.number("inputs", int64(len(payment.Inputs)), int64(len(tx.TxIn)))
	fields.number("outputs", int64(len(payment.Outputs)), int64(len(tx.TxOut)))
	if fields.first != nil {
		return fields.first
	}
	for i, want := range payment.Inputs {
		in := tx.TxIn[i]
		got := chains.Outpoint{Tx: chains.Hash(chains.Hash(in.PreviousOutPoint.Hash).Reversed()), Vout: in.PreviousOutPoint.Index}
		name := "inputs[" + strconv.Itoa(i) + "]."
		fields.text(name+"outpoint", want.Outpoint.String(), got.String())
		fields.number(name+"sequence", int64(want.Sequence), int64(in.Sequence))
	}
	for i, want := range payment.Outputs {
		out := tx.TxOut[i]
		name := "outputs[" + strconv.Itoa(i) + "]."
		fields.text(name+"script", want.Script.String(), chains.Hex(out.PkScript).String())
		fields.text(name+"amount", want.Amount.String(), strconv.FormatInt(out.Value, 10))
	}
	return fields.first
}

// fields keeps the first field that differs.
type fields struct{ first *chains.MismatchError }

func (f *fields) number(name string, want, got int64) {
	f.text(name, strconv.FormatInt(want, 10), strconv.FormatInt(got, 10))
}

func (f *fields) text(name, want, got string) {
	if f.first == nil && want != got {
		f.first = &chains.MismatchError{Code: chains.Differs, Field: name, Want: want, Got: got}
	}
}

// complete puts what a PSBT holds for an input into the transaction: the final
// scripts, or those made of the signature for the key that script names.
func (g signedTx) complete(i int, script []byte) *chains.MismatchError {
	given, in := g.inputs[i], g.tx.TxIn[i]
	if given.script != nil || given.witness != nil {
		in.SignatureScript, in.Witness = given.script, given.witness
		return nil
	}
	if kindOf(script) == kindTaproot {
		if given.taproot == nil {
			return unsignedInput(i)
		}
		in.Witness = wire.TxWitness{given.taproot}
		return nil
	}
	for key, signature := range given.signatures {
		if spend := spendWith(script, signature, []byte(key)); spend != nil {
			in.SignatureScript, in.Witness = spend.SignatureScript, spend.Witness
			return nil
		}
	}
	return unsignedInput(i)
}

func unsignedInput(i int) *chains.MismatchError {
	return &chains.MismatchError{Code: chains.Unsigned, Field: "inputs[" + strconv.Itoa(i) + "]"}
}

// spendWith returns the scripts that spend a coin with the ECDSA signature of a
// key, or nil if the coin is not that key's.
func spendWith(script, signature, key []byte) *wire.TxIn {
	hash := address.Hash160(key)
	nested := scriptWitness(0, hash)
	switch {
	case bytes.Equal(script, nested):
		return &wire.TxIn{Witness: wire.TxWitness{signature, key}}
	case bytes.Equal(script, scriptScriptHash(address.Hash160(nested))):
		return &wire.TxIn{SignatureScript: push(nested), Witness: wire.TxWitness{signature, key}}
	case bytes.Equal(script, scriptPubKeyHash(hash)):
		return &wire.TxIn{SignatureScript: append(push(signature), push(key)...)}
	case bytes.Equal(script, scriptPubKey(key)):
		return &wire.TxIn{SignatureScript: push(signature)}
	}
	return nil
}

// push returns the script that pushes a signature, a key or a script: 1 to 75
// bytes.
func push(data []byte) []byte { return append([]byte{byte(len(data))}, data...) }

// verifySignatures returns the first input that is not spent as it must be.
func verifySignatures(tx *wire.MsgTx, payment *chains.PaymentDraft) *chains.MismatchError {
	spent := txscript.NewMultiPrevOutFetcher(nil)
	for i, in := range payment.Inputs {
		spent.AddPrevOut(tx.TxIn[i].PreviousOutPoint, wire.NewTxOut(in.Amount.Big().Int64(), in.Script))
	}
	hashes := txscript.NewTxSigHashes(tx, spent)
	for i, in := range payment.Inputs {
		field := "inputs[" + strconv.Itoa(i) + "]"
		if len(tx.TxIn[i].SignatureScript) == 0 && len(tx.TxIn[i].Witness) == 0 {
			return unsignedInput(i)
		}
		if why := covers(tx.TxIn[i], in.Script); why != "" {
			return &chains.MismatchError{Code: chains.BadSignature, Field: field, Got: why}
		}
		engine, err := txscript.NewEngine(in.Script, tx, i, txscript.StandardVerifyFlags, nil, hashes, in.Amount.Big().Int64(), spent)
		if err == nil {
			err = engine.Execute()
		}
		if err != nil {
			return &chains.MismatchError{Code: chains.BadSignature, Field: field, Got: "a signature that does not hold"}
		}
	}
	return nil
}

// covers returns why an input is not spent by one signature over the whole
// transaction, in the one form there is for its script, or "". Nobody then can
// change anything of it but the signature.
func covers(in *wire.TxIn, script []byte) string {
	const form = "another form than a signature of the one key"
	if kindOf(script) == kindTaproot {
		if len(in.SignatureScript) > 0 || len(in.Witness) != 1 {
			return form
		}
		return coversAll(in.Witness[0], 64)
	}
	signature := in.Witness
	var key []byte
	switch pushes := pushesOf(in.SignatureScript); {
	case len(in.Witness) == 2:
		key = in.Witness[1]
	case len(in.Witness) == 0 && len(pushes) == 2:
		signature, key = pushes[:1], pushes[1]
	case len(in.Witness) == 0 && len(pushes) == 1:
		signature, key = pushes, pubKeyOf(script)
	default:
		return form
	}
	want := spendWith(script, signature[0], key)
	if want == nil || !bytes.Equal(want.SignatureScript, in.SignatureScript) || len(want.Witness) != len(in.Witness) {
		return form
	}
	return coversAll(signature[0], 0)
}

// coversAll returns why a signature does not cover all inputs and outputs, or "".
// One of bare bytes without a hash type does.
func coversAll(signature []byte, bare int) string {
	if bare > 0 && len(signature) == bare {
		return ""
	}
	if len(signature) == 0 || txscript.SigHashType(signature[len(signature)-1]) != txscript.SigHashAll {
		return "a signature that does not cover the whole transaction"
	}
	return ""
}

// pushesOf returns what a script of plain pushes of 1 to 75 bytes pushes, or nil.
func pushesOf(script []byte) [][]byte {
	var list [][]byte
	for len(script) > 0 {
		size := int(script[0])
		if size == 0 || size > 75 || size >= len(script) {
			return nil
		}
		list = append(list, script[1:1+size])
		script = script[1+size:]
	}
	return list
}
