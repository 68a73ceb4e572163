package chains

import (
	"strconv"
	"strings"
)

// Side says whether a transfer adds to its script's balance or takes from it.
type Side string

// The sides.
const (
	In  Side = "in"
	Out Side = "out"
)

// Outpoint names one output of one transaction.
type Outpoint struct {
	Tx   Hash
	Vout uint32
}

// Transfer is one leg: one asset into or out of one watched script.
//
// Its key is (chain, Tx, Source, Side). The block it stands in is an observation
// and not part of the key, since a reorg can move a transaction.
type Transfer struct {
	Tx       Hash
	TxIndex  uint32 // position in the block; 0 for an unconfirmed transaction
	Source   string // position in the transaction: see the Source functions
	Side     Side
	Asset    AssetID
	Amount   Amount // base units, never negative
	Script   []byte // scriptPubKey, or 20-byte address
	Peer     []byte // the other script or address, where one can be named; else nil
	Coinbase bool   // a reward of the bitcoin family, immature for Chain.Maturity blocks
}

// Spend is an input that spends a watched outpoint. The ledger turns it into an
// outgoing transfer with the amount of its own funding row, or, where the
// outpoint is one that a watched unconfirmed transaction spends too, into that
// transaction's replacement.
type Spend struct {
	Tx      Hash
	TxIndex uint32
	Vin     uint32
	Spent   Outpoint
}

// SourceVout is the source of output n, SourceVin of input n.
func SourceVout(n uint32) string { return "vout:" + strconv.FormatUint(uint64(n), 10) }

// SourceVin is the source of input n.
func SourceVin(n uint32) string { return "vin:" + strconv.FormatUint(uint64(n), 10) }

// The sources of an EVM transaction that have no position.
const (
	SourceValue = "value" // the value of the transaction itself
	SourceFee   = "fee"   // what its sender paid for gas
	SourceMint  = "mint"  // what a deposit from the chain below brings its sender, on the OP stack
)

// SourceLog is the source of the log at position n within its transaction. The
// position within the block is no source: it moves in a reorg.
func SourceLog(n int) string { return "log:" + strconv.Itoa(n) }

// SourceLogItem is the source of item k of the log at position n, for a log that
// moves more than one thing.
func SourceLogItem(n, k int) string { return SourceLog(n) + "/" + strconv.Itoa(k) }

// SourceCall is the source of the internal call at path, such as 0.2.1.
func SourceCall(path string) string { return "call:" + path }

// SourceWithdrawal is the source of the beacon chain withdrawal with an index.
func SourceWithdrawal(index uint64) string {
	return "withdrawal:" + strconv.FormatUint(index, 10)
}

// VoutOf returns the output a source names, and whether it names one.
func VoutOf(source string) (uint32, bool) {
	digits, ok := strings.CutPrefix(source, "vout:")
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 10, 32)
	return uint32(n), err == nil
}
