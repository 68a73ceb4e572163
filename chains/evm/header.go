package evm

import (
	"fmt"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"tallyd/chains"
)

// header is a block header with every field that any fork of Ethereum hashes.
type header struct {
	hash common.Hash // as claimed; seal recomputes it

	parent, uncles, state, txRoot, receiptRoot, mix common.Hash

	miner                       common.Address
	bloom                       types.Bloom
	difficulty                  word
	number, gasLimit, gas, time uint64
	extra                       []byte
	nonce                       [8]byte

	// The fields that forks appended, in that order; the header ends with the
	// last one that is set.
	baseFee      optional[word]        // EIP-1559
	withdrawals  optional[common.Hash] // EIP-4895
	blobGas      optional[uint64]      // EIP-4844
	excessBlob   optional[uint64]      // EIP-4844
	beaconRoot   optional[common.Hash] // EIP-4788
	requests     optional[common.Hash] // EIP-7685
	accessListID optional[common.Hash] // EIP-7928
	slot         optional[uint64]      // EIP-7843
}

// optional is a value that may be absent.
type optional[T any] struct {
	v   T
	set bool
}

// some returns v, present unless the text had a null in its place.
func some[T any](s *scanner, read func() T) optional[T] {
	if s.null() {
		return optional[T]{}
	}
	return optional[T]{v: read(), set: true}
}

// member reads the value of one header field and reports false, having read
// nothing, for a name that is none.
func (h *header) member(s *scanner, name []byte) bool {
	switch string(name) {
	case "hash":
		h.hash = s.hash()
	case "parentHash":
		h.parent = s.hash()
	case "sha3Uncles":
		h.uncles = s.hash()
	case "miner":
		h.miner, _ = s.address()
	case "stateRoot":
		h.state = s.hash()
	case "transactionsRoot":
		h.txRoot = s.hash()
	case "receiptsRoot":
		h.receiptRoot = s.hash()
	case "logsBloom":
		s.fixed(h.bloom[:])
	case "difficulty":
		h.difficulty = s.word()
	case "number":
		h.number = s.number()
	case "gasLimit":
		h.gasLimit = s.number()
	case "gasUsed":
		h.gas = s.number()
	case "timestamp":
		h.time = s.number()
	case "extraData":
		h.extra = s.bytes()
	case "mixHash":
		h.mix = s.hash()
	case "nonce":
		s.fixed(h.nonce[:])
	default:
		return h.appended(s, name)
	}
	return true
}

// appended reads a field that a fork added to the end of the header.
func (h *header) appended(s *scanner, name []byte) bool {
	switch string(name) {
	case "baseFeePerGas":
		h.baseFee = some(s, s.word)
	case "withdrawalsRoot":
		h.withdrawals = some(s, s.hash)
	case "blobGasUsed":
		h.blobGas = some(s, s.number)
	case "excessBlobGas":
		h.excessBlob = some(s, s.number)
	case "parentBeaconBlockRoot":
		h.beaconRoot = some(s, s.hash)
	case "requestsHash":
		h.requests = some(s, s.hash)
	case "blockAccessListHash":
		h.accessListID = some(s, s.hash)
	case "slotNumber":
		h.slot = some(s, s.number)
	default:
		return false
	}
	return true
}

// seal recomputes the hash of the header.
func (h *header) seal() common.Hash {
	w := rlp.NewEncoderBuffer(nil)
	list := w.List()
	w.WriteBytes(h.parent[:])
	w.WriteBytes(h.uncles[:])
	w.WriteBytes(h.miner[:])
	w.WriteBytes(h.state[:])
	w.WriteBytes(h.txRoot[:])
	w.WriteBytes(h.receiptRoot[:])
	w.WriteBytes(h.bloom[:])
	w.WriteBytes(h.difficulty.bytes())
	for _, n := range []uint64{h.number, h.gasLimit, h.gas, h.time} {
		w.WriteUint64(n)
	}
	w.WriteBytes(h.extra)
	w.WriteBytes(h.mix[:])
	w.WriteBytes(h.nonce[:])
	tail := h.tail()
	for len(tail) > 0 && !tail[len(tail)-1].set {
		tail = tail[:len(tail)-1]
	}
	for _, field := range tail {
		w.WriteBytes(field.v)
	}
	w.ListEnd(list)
	sum := crypto.Keccak256Hash(w.ToBytes())
	_ = w.Flush() // gives the buffer back; there is no writer to fail
	return sum
}

// tail returns the appended fields in RLP form.
func (h *header) tail() []optional[[]byte] {
	number := func(n optional[uint64]) optional[[]byte] {
		v := wordFromUint64(n.v)
		return optional[[]byte]{v.bytes(), n.set}
	}
	hash := func(n optional[common.Hash]) optional[[]byte] {
		if !n.set {
			return optional[[]byte]{}
		}
		return optional[[]byte]{n.v[:], true}
	}
	return []optional[[]byte]{
		{h.baseFee.v.bytes(), h.baseFee.set},
		hash(h.withdrawals), number(h.blobGas), number(h.excessBlob), hash(h.beaconRoot),
		hash(h.requests), hash(h.accessListID), number(h.slot),
	}
}

// ref returns the place of the block.
func (h *header) ref() chains.BlockRef {
	return chains.BlockRef{
		Height: h.number,
		Hash:   chains.Hash(h.hash),
		Parent: chains.Hash(h.parent),
		Time:   time.Unix(int64(min(h.time, 1<<40)), 0).UTC(), //nolint:gosec // 2^40 s is far beyond any clock
	}
}

// decodeHeader reads the header out of a block object and checks its hash. It
// returns chains.ErrNotFound for null and chains.ErrUnverified if the hash does
// not belong to the fields.
func decodeHeader(text []byte) (*header, error) {
	s := &scanner{text: text}
	if s.null() {
		return nil, chains.ErrNotFound
	}
	h := &header{}
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		if name := s.key(); !h.member(s, name) {
			s.skip()
		}
	}
	if s.err != nil {
		return nil, unverified("structure", "%w", s.err)
	}
	if sum := h.seal(); sum != h.hash {
		return nil, unverified("header hash", "header of block %d hashes to %s, said to be %s", h.number, sum, h.hash)
	}
	return h, nil
}

// unverified returns chains.ErrUnverified with the name of the check that an
// answer failed.
func unverified(check, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %w", chains.ErrUnverified, check, fmt.Errorf(format, args...))
}
