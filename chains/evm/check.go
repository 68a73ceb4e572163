package evm

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

	"tallyd/chains"
)

// maxSigned bounds what a signer may hand in: a transfer takes less than 300 bytes.
const maxSigned = 4096

// Check implements chains.Checker: it compares a signed transaction with its draft,
// field by field, and recovers who signed it. A signature with a high s, by which
// the same transaction could have another hash, is none (EIP-2).
func (s *Source) Check(draft chains.Draft, signed string, ceiling chains.Amount) (chains.Signed, error) {
	want, err := s.transferOf(draft)
	if err != nil {
		return chains.Signed{}, fmt.Errorf("check a signed transaction: %w", err)
	}
	if draft.Fee.Cmp(ceiling) > 0 {
		return chains.Signed{}, &chains.MismatchError{Code: chains.FeeOverLimit, Field: "fee", Want: "at most " + ceiling.String(), Got: draft.Fee.String()}
	}
	tx, mismatch := readSigned(signed)
	if mismatch == nil {
		mismatch = compare(tx, want)
	}
	if mismatch == nil {
		mismatch = s.checkSigner(tx, common.Address(draft.Transfer.From))
	}
	if mismatch != nil {
		return chains.Signed{}, mismatch
	}
	raw, err := tx.MarshalBinary()
	if err != nil {
		return chains.Signed{}, fmt.Errorf("write a signed transaction: %w", err)
	}
	return chains.Signed{Raw: raw, ID: chains.Hash(tx.Hash())}, nil
}

// readSigned reads a raw transaction in hex.
func readSigned(text string) (*types.Transaction, *chains.MismatchError) {
	text = strings.TrimSpace(text)
	malformed := func(why string) *chains.MismatchError { return &chains.MismatchError{Code: chains.Malformed, Got: why} }
	digits, found := strings.CutPrefix(text, "0x")
	switch {
	case !found:
		return nil, malformed("it does not begin with 0x")
	case len(digits) > 2*maxSigned:
		return nil, malformed(fmt.Sprintf("it has %d bytes, at most %d are read", len(digits)/2, maxSigned))
	}
	raw, err := hex.DecodeString(digits)
	if err != nil {
		return nil, malformed("it is not hex")
	}
	tx := new(types.Transaction)
	if err := tx.UnmarshalBinary(raw); err != nil {
		return nil, malformed("it is no signed transaction")
	}
	return tx, nil
}

// compare returns the first field of a transaction that is not as it was built.
func compare(tx *types.Transaction, want *types.DynamicFeeTx) *chains.MismatchError {
	if tx.Type() != types.DynamicFeeTxType {
		return &chains.MismatchError{Code: chains.Differs, Field: "type", Want: "2", Got: strconv.Itoa(int(tx.Type()))}
	}
	to := "none"
	if tx.To() != nil {
		to = tx.To().Hex()
	}
	decimal := func(n uint64) string { return strconv.FormatUint(n, 10) }
	number := func(n *big.Int) string { return n.String() }
	for _, field := range []struct{ name, want, got string }{
		{"chain_id", number(want.ChainID), number(tx.ChainId())},
		{"nonce", decimal(want.Nonce), decimal(tx.Nonce())},
		{"to", want.To.Hex(), to},
		{"value", number(want.Value), number(tx.Value())},
		{"data", hexBytes(want.Data), hexBytes(tx.Data())},
		{"gas", decimal(want.Gas), decimal(tx.Gas())},
		{"max_fee", number(want.GasFeeCap), number(tx.GasFeeCap())},
		{"tip", number(want.GasTipCap), number(tx.GasTipCap())},
		{"access_list", "0", strconv.Itoa(len(tx.AccessList()))},
	} {
		if field.want != field.got {
			return &chains.MismatchError{Code: chains.Differs, Field: field.name, Want: field.want, Got: field.got}
		}
	}
	return nil
}

// checkSigner recovers who signed a transaction.
func (s *Source) checkSigner(tx *types.Transaction, want common.Address) *chains.MismatchError {
	v, r, ss := tx.RawSignatureValues()
	if v.Sign() == 0 && r.Sign() == 0 && ss.Sign() == 0 {
		return &chains.MismatchError{Code: chains.Unsigned, Field: "signature"}
	}
	from, err := types.Sender(types.NewLondonSigner(new(big.Int).SetUint64(s.id)), tx)
	if err != nil {
		return &chains.MismatchError{Code: chains.BadSignature, Field: "signature", Got: "a signature that does not hold"}
	}
	if !bytes.Equal(from[:], want[:]) {
		return &chains.MismatchError{Code: chains.WrongSigner, Field: "signature", Want: want.Hex(), Got: from.Hex()}
	}
	return nil
}
