package evm

import (
	"encoding/hex"
	"errors"
	"strconv"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
)

// errHex says that a string is not the hexadecimal it should be.
var errHex = errors.New("malformed hexadecimal")

// word is a number of 256 bits, big-endian, as the EVM holds it.
type word [32]byte

// amount returns w as base units.
func (w word) amount() chains.Amount { return chains.AmountFromBytes(w.bytes()) }

// bytes returns w without leading zeros: the form RLP gives a number.
func (w *word) bytes() []byte {
	for i, b := range w {
		if b != 0 {
			return w[i:]
		}
	}
	return nil
}

// isZero reports whether w is 0.
func (w word) isZero() bool { return w == word{} }

// uint64 returns w if it fits.
func (w word) uint64() (n uint64, ok bool) {
	b := w.bytes()
	for _, c := range b {
		n = n<<8 | uint64(c)
	}
	return n, len(b) <= 8
}

// wordFromUint64 returns n as a word.
func wordFromUint64(n uint64) (w word) {
	for i := 31; n > 0; i, n = i-1, n>>8 {
		w[i] = byte(n)
	}
	return w
}

// scalarEnd are the bytes that end a number or a name.
const scalarEnd = " \t\n\r,:{}[]\""

// nibbles gives the value of each hexadecimal digit, and 0xff for the rest.
//
//nolint:gochecknoglobals // a constant table
var nibbles = func() (t [256]byte) {
	for i := range t {
		t[i] = 0xff
	}
	for i := range byte(10) {
		t['0'+i] = i
	}
	for i := range byte(6) {
		t['a'+i], t['A'+i] = 10+i, 10+i
	}
	return t
}()

// decodeHex writes the bytes of digits, two digits each, into dst, and reports
// false if one is no digit.
func decodeHex(dst, digits []byte) bool {
	var bad byte
	for i := range dst {
		hi, lo := nibbles[digits[2*i]], nibbles[digits[2*i+1]]
		bad |= hi | lo
		dst[i] = hi<<4 | lo&15
	}
	return bad&0xf0 == 0
}

// digits reads a string that begins with 0x and returns what follows. Null gives
// nil.
func (s *scanner) digits() []byte {
	t := s.str()
	if t == nil {
		return nil
	}
	if len(t) < 2 || t[0] != '0' || t[1]|0x20 != 'x' {
		s.fail("%w: no 0x", errHex)
		return nil
	}
	return t[2:]
}

// fixed fills dst with the bytes of a string of exactly that length, and reports
// false for null, which leaves dst alone.
func (s *scanner) fixed(dst []byte) bool {
	d := s.digits()
	if d == nil {
		return false
	}
	if len(d) != 2*len(dst) || !decodeHex(dst, d) {
		s.fail("%w: want %d bytes", errHex, len(dst))
		return false
	}
	return true
}

// hash reads 32 bytes.
func (s *scanner) hash() (h common.Hash) {
	s.fixed(h[:])
	return h
}

// address reads 20 bytes; ok is false for null.
func (s *scanner) address() (a common.Address, ok bool) {
	ok = s.fixed(a[:])
	return a, ok
}

// bytes reads a string of any number of bytes. Null and 0x give nil.
func (s *scanner) bytes() []byte {
	d := s.digits()
	if len(d) == 0 {
		return nil
	}
	b := s.room(len(d) / 2)
	if len(d)%2 != 0 || !decodeHex(b, d) {
		s.fail("%w: want bytes", errHex)
		return nil
	}
	return b
}

// word reads a number of at most 256 bits. Null is 0.
func (s *scanner) word() (w word) {
	d := s.digits()
	if len(d) > 64 {
		s.fail("%w: more than 256 bits", errHex)
		return word{}
	}
	i := 32
	for ; len(d) >= 2; d = d[:len(d)-2] {
		i--
		if !decodeHex(w[i:i+1], d[len(d)-2:]) {
			s.fail("%w: no number", errHex)
		}
	}
	if len(d) == 1 {
		if n := nibbles[d[0]]; n < 16 {
			w[i-1] = n
		} else {
			s.fail("%w: no number", errHex)
		}
	}
	return w
}

// number reads a number of at most 64 bits, as hexadecimal string or, as some
// nodes write a few of them, as a JSON number. Null is 0.
func (s *scanner) number() uint64 {
	if c := s.peek(); c >= '0' && c <= '9' {
		start := s.at
		s.skip()
		n, err := strconv.ParseUint(string(s.text[start:s.at]), 10, 64)
		if err != nil {
			s.fail("%w: no whole number", errJSON)
		}
		return n
	}
	n, ok := s.word().uint64()
	if !ok {
		s.fail("%w: more than 64 bits", errHex)
	}
	return n
}

// hexBytes writes b the way JSON-RPC takes it.
func hexBytes(b []byte) string { return "0x" + hex.EncodeToString(b) }

// hexNumber writes n the way JSON-RPC takes a quantity.
func hexNumber(n uint64) string { return "0x" + strconv.FormatUint(n, 16) }
