package chains

import (
	"encoding/hex"
	"fmt"
	"strings"
)

// Hash is a block or transaction hash in the order people read it: a hash of
// the bitcoin family is stored reversed against its wire form, one of an EVM
// chain as it is.
type Hash [32]byte

// IsZero reports whether h is the zero hash, which no block and no transaction
// has.
func (h Hash) IsZero() bool { return h == Hash{} }

// String returns h as 64 lower-case hex digits, without a prefix.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// Reversed returns the bytes of h in the opposite order, the wire form of the
// bitcoin family.
func (h Hash) Reversed() [32]byte {
	var r [32]byte
	for i, b := range h {
		r[31-i] = b
	}
	return r
}

// ParseHash reads 64 hex digits, with or without 0x before them.
func ParseHash(s string) (Hash, error) {
	var h Hash
	digits := strings.TrimPrefix(s, "0x")
	if len(digits) != 64 {
		return Hash{}, fmt.Errorf("parse hash: %d hex digits, want 64", len(digits))
	}
	if _, err := hex.Decode(h[:], []byte(digits)); err != nil {
		return Hash{}, fmt.Errorf("parse hash: %w", err)
	}
	return h, nil
}
