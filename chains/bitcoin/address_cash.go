package bitcoin

import (
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/bech32"
)

// Types of CashAddr. The token-aware ones, two higher, pay to the same scripts.
const (
	cashPubKeyHash = 0
	cashScriptHash = 1
	cashTokenAware = 2
)

const cashCharset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"

// decodeCashAddr reads an address of the CashAddr specification. A missing prefix
// is taken to be the given one.
func decodeCashAddr(prefix, s string) (decoded, error) {
	if s != strings.ToLower(s) && s != strings.ToUpper(s) {
		return decoded{}, fmt.Errorf("%w: it mixes upper and lower case", ErrAddress)
	}
	s = strings.ToLower(s)
	if before, after, ok := strings.Cut(s, ":"); ok {
		prefix, s = before, after
	}
	data := make([]byte, len(s))
	for i := range s {
		digit := strings.IndexByte(cashCharset, s[i])
		if digit < 0 {
			return decoded{}, fmt.Errorf("%w: it is not CashAddr", ErrAddress)
		}
		data[i] = byte(digit)
	}
	if len(data) < 8 || cashChecksum(prefix, data) != 0 {
		return decoded{}, fmt.Errorf("%w: its checksum is wrong", ErrAddress)
	}
	payload, err := bech32.ConvertBits(data[:len(data)-8], 5, 8, false)
	if err != nil || len(payload) == 0 {
		return decoded{}, fmt.Errorf("%w: its last bits are not zero", ErrAddress)
	}
	kind, hash := payload[0]>>3, payload[1:]
	if kind >= cashTokenAware {
		kind -= cashTokenAware
	}
	known := payload[0] == payload[0]&0x1f && kind <= cashScriptHash
	// Only hashes of 20 bytes (size 0) and, for scripts, of 32 (size 3) are in use.
	short := payload[0]&7 == 0 && len(hash) == 20
	long := payload[0]&7 == 3 && len(hash) == 32 && kind == cashScriptHash
	if !known || !short && !long {
		return decoded{}, fmt.Errorf("%w: it is of an unknown kind", ErrAddress)
	}
	return decoded{spelling: spelledCash, prefix: prefix, version: kind, payload: hash}, nil
}

func encodeCashAddr(prefix string, kind byte, hash []byte) string {
	size := byte(0)
	if len(hash) == 32 {
		size = 3
	}
	data, err := bech32.ConvertBits(append([]byte{kind<<3 | size}, hash...), 8, 5, true)
	if err != nil {
		return ""
	}
	sum := cashChecksum(prefix, append(append([]byte{}, data...), make([]byte, 8)...))
	var b strings.Builder
	b.WriteString(prefix + ":")
	for _, digit := range data {
		b.WriteByte(cashCharset[digit])
	}
	for i := range 8 {
		b.WriteByte(cashCharset[sum>>(5*(7-i))&31])
	}
	return b.String()
}

// cashChecksum is the BCH code of CashAddr over prefix and data, zero where data
// ends in the right checksum.
func cashChecksum(prefix string, data []byte) uint64 {
	generator := [5]uint64{0x98f2bc8e61, 0x79b76d99e2, 0xf33e5fb3c4, 0xae2eabe2a8, 0x1e4f43e470}
	c := uint64(1)
	step := func(digit byte) {
		top := c >> 35
		c = c&0x07ffffffff<<5 ^ uint64(digit)
		for i, g := range generator {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	for i := range len(prefix) {
		step(prefix[i] & 31)
	}
	step(0)
	for _, digit := range data {
		step(digit)
	}
	return c ^ 1
}
