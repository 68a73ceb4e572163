package evm

import (
	"errors"
	"fmt"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
)

// errUnsigned says that a transaction carries no signature at all.
var errUnsigned = errors.New("no signature")

// sender returns who signed the transaction. A deposit of the OP stack has its
// sender in what is hashed instead.
func (tx *transaction) sender() (common.Address, error) {
	if tx.kind == typeDeposit {
		return tx.from, nil
	}
	if tx.r.isZero() && tx.s.isZero() {
		return common.Address{}, errUnsigned
	}
	parity, chainID, err := tx.recoveryID()
	if err != nil {
		return common.Address{}, err
	}
	var signature [65]byte
	copy(signature[:32], tx.r[:])
	copy(signature[32:64], tx.s[:])
	signature[64] = parity
	digest := tx.signedHash(chainID)
	key, err := crypto.Ecrecover(digest[:], signature[:])
	if err != nil {
		return common.Address{}, fmt.Errorf("recover the sender: %w", err)
	}
	return common.BytesToAddress(crypto.Keccak256(key[1:])[12:]), nil
}

// recoveryID returns the parity of the signature, and for a legacy transaction
// the chain id it was signed for (EIP-155), or nil if for none.
func (tx *transaction) recoveryID() (parity byte, chainID []byte, err error) {
	v := tx.yParity()
	if tx.kind == typeLegacy {
		v = tx.v
	}
	n, fits := v.uint64()
	switch {
	case !fits:
	case tx.kind != typeLegacy && n <= 1:
		return byte(n), nil, nil
	case tx.kind == typeLegacy && (n == 27 || n == 28):
		return byte(n - 27), nil, nil
	case tx.kind == typeLegacy && n >= 35:
		id := wordFromUint64((n - 35) / 2)
		return byte((n - 35) % 2), id.bytes(), nil
	}
	return 0, nil, fmt.Errorf("recover the sender: signature with v %x", v.bytes())
}

// signedHash returns what was signed.
func (tx *transaction) signedHash(chainID []byte) common.Hash {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	tx.fields(w)
	if chainID != nil {
		w.WriteBytes(chainID)
		w.WriteBytes(nil)
		w.WriteBytes(nil)
	}
	w.ListEnd(list)
	text := make([]byte, 0, 256)
	if tx.kind != typeLegacy {
		text = append(text, byte(tx.kind))
	}
	text = w.AppendToBytes(text)
	_ = w.Flush() // gives the buffer back; there is no writer to fail
	return crypto.Keccak256Hash(text)
}

// created returns the address of the contract that a transaction without a to
// creates. A deposit of the OP stack counts its nonce in the receipt.
func (tx *transaction) created(r *receipt) common.Address {
	nonce := tx.nonce
	if tx.kind == typeDeposit {
		nonce = r.depositNonce.v
	}
	return crypto.CreateAddress(tx.from, nonce)
}
