package chains

import (
	"math/big"
	"time"
)

// Work is a number of hashes expected for a proof of work, big-endian, as block
// headers of the bitcoin family claim it. It is zero on chains without one.
type Work [32]byte

// Big returns w as a number.
func (w Work) Big() *big.Int { return new(big.Int).SetBytes(w[:]) }

// BlockRef points at one block.
type BlockRef struct {
	Height uint64
	Hash   Hash
	Parent Hash // zero for block 0
	Time   time.Time
	Work   Work // of this block alone, checked against its header
}

// Block is one block that was fetched and verified. It stays valid until it is
// dropped, so that it can be matched again against a newer watch table.
//
// A Block is used by one goroutine at a time.
type Block interface {
	// Ref returns the place of the block.
	Ref() BlockRef

	// Match walks the block once and returns what touches a watched script
	// or outpoint. A hit is a fingerprint's: the ledger confirms it exactly
	// and drops what nobody watches. Nothing watched gives an empty Match.
	// What a hostile block holds never makes Match fail; an error means that
	// the block could not be read and the chain must stop.
	Match(watch *WatchTable) (Match, error)
}

// Match is what a block, or one unconfirmed transaction, does to watched
// scripts.
type Match struct {
	Transfers []Transfer
	Spends    []Spend // of outpoints that hit the table; on EVM chains always empty
	Touched   []Touch // balances that changed and must be read again; EVM only
}

// Empty reports whether the match holds nothing.
func (m Match) Empty() bool {
	return len(m.Transfers) == 0 && len(m.Spends) == 0 && len(m.Touched) == 0
}

// Touch is one balance that a block may have changed.
type Touch struct {
	Script []byte
	Asset  AssetID
}
