package bitcoin

import (
	"errors"
	"fmt"
	"math"

	"github.com/btcsuite/btcd/wire/v2"

	"tallyd/chains"
)

const (
	// maxWeight is the heaviest transaction that nodes relay.
	maxWeight = 400_000

	// maxMoney is the most that an output holds, on the chain with the most coins.
	maxMoney = 1e18

	// maxRate keeps the fee of the heaviest transaction a number of 64 bits.
	maxRate = 1e12

	// witnessScale is how many units of weight a byte outside of the witness has.
	witnessScale = 4
)

// The most bytes that signing puts into an input. A signature is in DER with a low
// s and the byte of its hash type.
const (
	maxECDSA   = 72
	maxSchnorr = 65
	keySize    = 33
)

// kind is a form of script of one key.
type kind int

const (
	kindUnknown kind = iota
	kindPubKey
	kindPubKeyHash
	kindWitness
	kindNested // P2WPKH in P2SH
	kindTaproot
)

// kindOf returns how a script is spent, as far as it says so itself.
func kindOf(script []byte) kind {
	version, program := witnessOf(script)
	switch {
	case version == 0 && len(program) == 20:
		return kindWitness
	case version == 1 && len(program) == 32:
		return kindTaproot
	case pubKeyHashOf(script) != nil:
		return kindPubKeyHash
	case pubKeyOf(script) != nil:
		return kindPubKey
	}
	return kindUnknown
}

// sizes returns the bytes of an input's own script once it is signed, and those of
// its witness, 0 for none.
func (k kind) sizes(key int) (script, witness int) {
	switch k {
	case kindPubKey:
		return 1 + maxECDSA, 0
	case kindPubKeyHash:
		return 1 + maxECDSA + 1 + key, 0
	case kindWitness:
		return 0, 1 + 1 + maxECDSA + 1 + keySize
	case kindNested:
		return 1 + 22, 1 + 1 + maxECDSA + 1 + keySize
	case kindTaproot:
		return 0, 1 + 1 + maxSchnorr
	case kindUnknown:
	}
	return 0, 0
}

// weigher sums the weight of a transaction once it is signed, at most.
type weigher struct {
	inputs, outputs int
	bytes           int64 // of inputs and outputs outside of the witness
	witness         int64 // of those inputs that have one
	segwit          bool
}

func (w *weigher) spend(s spendable) {
	script, witness := s.kind.sizes(s.size)
	w.inputs++
	w.bytes += int64(chains.OutpointSize + 4 + wire.VarIntSerializeSize(uint64(script)) + script)
	w.witness += int64(max(witness, 1)) // beside others an input without witness says so
	w.segwit = w.segwit || witness > 0
}

func (w *weigher) pay(script []byte) {
	w.outputs++
	w.bytes += outputSize(script)
}

func outputSize(script []byte) int64 {
	return int64(8 + wire.VarIntSerializeSize(uint64(len(script))) + len(script))
}

func (w *weigher) weight() int64 {
	counts := wire.VarIntSerializeSize(uint64(w.inputs)) + wire.VarIntSerializeSize(uint64(w.outputs))
	total := witnessScale * (4 + int64(counts) + w.bytes + 4)
	if w.segwit {
		total += 2 + w.witness
	}
	return total
}

// vsize returns virtual bytes, rounded up.
func (w *weigher) vsize() int64 { return ceilDiv(w.weight(), witnessScale) }

// fee returns what the transaction pays at a rate, rounded up.
func (w *weigher) fee(rate int64) int64 { return ceilDiv(w.vsize()*rate, 1000) }

func ceilDiv(a, b int64) int64 { return (a + b - 1) / b }

// dust returns the least that nodes relay in an output.
func (p Params) dust(script []byte) int64 {
	spend := int64(148) // the input that spends it: of a key hash
	if _, program := witnessOf(script); program != nil {
		spend = 67
	}
	return max(p.Dust, ceilDiv((outputSize(script)+spend)*p.DustFee, 1000))
}

// plus adds two numbers that are not negative, and stays at the most there is.
func plus(a, b int64) int64 {
	if a > math.MaxInt64-b {
		return math.MaxInt64
	}
	return a + b
}

// units returns an amount as the protocol holds it.
func units(what string, amount chains.Amount) (int64, error) {
	if amount.Sign() < 0 || amount.Cmp(chains.NewAmount(maxMoney)) > 0 {
		return 0, fmt.Errorf("%s is %s: no amount of this chain", what, amount)
	}
	return amount.Big().Int64(), nil
}

// rateOf returns a rate for arithmetic.
func rateOf(rate chains.FeeRate) (int64, error) {
	if rate.Max.Sign() < 0 || rate.Max.Cmp(chains.NewAmount(maxRate)) > 0 {
		return 0, errors.New("the fee rate is no rate of this chain")
	}
	return rate.Max.Big().Int64(), nil
}
