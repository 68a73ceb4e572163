package bitcoin

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
	"time"

	"golang.org/x/crypto/scrypt"

	"tallyd/chains"
)

// HeaderSize is the length of a block header in bytes.
const HeaderSize = 80

// ErrUnproven says that a block or header is well formed, and that its proof of
// work, its merkle root or its witness commitment does not hold. Another node
// may have the true one.
var ErrUnproven = errors.New("not proven")

// Header is the header of one block.
type Header struct {
	Hash       chains.Hash
	Parent     chains.Hash
	MerkleRoot chains.Hash
	Version    int32
	Time       uint32 // seconds since 1970, as the miner claims
	Bits       uint32 // the target in compact form
	Nonce      uint32
}

// ParseHeader reads the header at the start of a raw block. It proves nothing.
func ParseHeader(raw []byte) (Header, error) {
	if len(raw) < HeaderSize {
		return Header{}, &ParseError{Offset: len(raw), Reason: "the header runs past the end"}
	}
	return Header{
		Hash:       display(doubleHash(raw[:HeaderSize])),
		Parent:     display([32]byte(raw[4:36])),
		MerkleRoot: display([32]byte(raw[36:68])),
		Version:    int32(binary.LittleEndian.Uint32(raw)),
		Time:       binary.LittleEndian.Uint32(raw[68:]),
		Bits:       binary.LittleEndian.Uint32(raw[72:]),
		Nonce:      binary.LittleEndian.Uint32(raw[76:]),
	}, nil
}

// Ref returns the block of this header as one at height, which a header does not
// say.
func (h Header) Ref(height uint64) chains.BlockRef {
	return chains.BlockRef{
		Height: height,
		Hash:   h.Hash,
		Parent: h.Parent,
		Time:   time.Unix(int64(h.Time), 0).UTC(),
		Work:   Work(h.Bits),
	}
}

// VerifyHeader checks the proof of work of the header at the start of raw, which
// for a merge-mined block includes the proof that follows the header. The error
// wraps ErrUnproven when the proof does not hold.
func VerifyHeader(params Params, raw []byte) (Header, error) {
	header, err := ParseHeader(raw)
	if err != nil {
		return Header{}, err
	}
	return header, verifyWork(params, header, raw)
}

func verifyWork(params Params, header Header, raw []byte) error {
	limit, _ := target(params.PowLimit)
	goal, ok := target(header.Bits)
	if !ok || bytes.Compare(goal[:], limit[:]) > 0 {
		return fmt.Errorf("block %s claims the impossible target %08x: %w", header.Hash, header.Bits, ErrUnproven)
	}
	if params.AuxPow && hasAuxPow(header) {
		return verifyAuxPow(params, header, raw, goal)
	}
	return verifyTarget(params, header.Hash, raw[:HeaderSize], goal)
}

// verifyTarget checks that the proof-of-work hash of 80 header bytes, of which
// hash is the block hash, is at most goal.
func verifyTarget(params Params, hash chains.Hash, header []byte, goal [32]byte) error {
	pow := hash
	if params.PowHash == Scrypt {
		key, err := scrypt.Key(header, header, 1024, 1, 1, 32)
		if err != nil {
			return fmt.Errorf("hash header %s with scrypt: %w", hash, err)
		}
		pow = display([32]byte(key))
	}
	if bytes.Compare(pow[:], goal[:]) > 0 {
		return fmt.Errorf("header %s misses its target: %w", hash, ErrUnproven)
	}
	return nil
}

// target expands the compact form of a target to 32 bytes, big-endian. It reports
// false for one that is zero, negative or longer than that.
func target(compact uint32) (t [32]byte, ok bool) {
	size := int(compact >> 24)
	mantissa := compact & 0x007fffff
	if mantissa == 0 || compact&0x00800000 != 0 {
		return t, false
	}
	for i := range 3 {
		// Byte i of the mantissa stands at size-1-i from the right.
		digit := byte(mantissa >> (8 * (2 - i)))
		at := 32 - size + i
		switch {
		case at >= 0 && at < 32:
			t[at] = digit
		case at < 0 && digit != 0:
			return t, false
		}
	}
	return t, t != [32]byte{}
}

// Work returns how many hashes a target in compact form takes on average,
// 2^256/(target+1), and zero for an impossible one. Work does not say that
// anybody did it: see VerifyHeader.
func Work(compact uint32) chains.Work {
	t, ok := target(compact)
	if !ok {
		return chains.Work{}
	}
	divisor := new(big.Int).SetBytes(t[:])
	divisor.Add(divisor, big.NewInt(1))
	var work chains.Work
	new(big.Int).Div(new(big.Int).Lsh(big.NewInt(1), 256), divisor).FillBytes(work[:])
	return work
}
