package chains

import (
	"context"
	"errors"
)

// Outcomes a Source reports. Everything else is a fault of the node or of the
// way to it.
var (
	// ErrNotFound says that the node has no such block, or none yet.
	ErrNotFound = errors.New("not found")

	// ErrUnverified says that an answer failed verification. It was not
	// believed, and nothing of it may be stored.
	ErrUnverified = errors.New("answer failed verification")

	// ErrUnsupported says that no node of this chain can do what was asked.
	ErrUnsupported = errors.New("not supported by the node")
)

// Source reads one chain from its nodes.
//
// All methods are safe for concurrent use. A Source tries the other upstreams of
// its pool where that can help; when it returns an error, the indexer decides
// when to ask again.
type Source interface {
	// Chain returns what this chain is. It asks no node: it was learnt when
	// the Source was opened.
	Chain() Chain

	// Head returns the best block of the node now asked.
	Head(ctx context.Context) (BlockRef, error)

	// RefAt returns the block at height on the node's best chain, or
	// ErrNotFound if that chain is not so long.
	RefAt(ctx context.Context, height uint64) (BlockRef, error)

	// Ref returns the block with a hash, on any branch the node knows, or
	// ErrNotFound.
	Ref(ctx context.Context, hash Hash) (BlockRef, error)

	// Block fetches the block with a hash and verifies it, or returns
	// ErrNotFound, or ErrUnverified if no upstream gave an answer that holds.
	Block(ctx context.Context, hash Hash) (Block, error)

	// ParseAddress returns the script of an address in any spelling this
	// chain accepts, and the canonical spelling. The error says what is wrong
	// with it in words for the person who typed it.
	ParseAddress(address string) (script []byte, canonical string, err error)

	// FormatAddress returns the address of a script, or "" if it has none.
	FormatAddress(script []byte) string

	// Close ends what the Source started. It waits until that has ended.
	Close()
}

// HeadWaiter is a Source that can say when its head may have moved: by long
// poll or by subscription. Others are asked at the poll interval.
type HeadWaiter interface {
	// WaitHead returns nil when the head may no longer be known, at once if
	// it already is another, and the context's cause when that ends. It may
	// return too early, never for ever too late: callers add their own tick.
	WaitHead(ctx context.Context, known Hash) error
}

// FinalityReader is a Source whose nodes know finality tags.
type FinalityReader interface {
	// Finalized returns the newest block the node calls by tag ("finalized"
	// or "safe"), or ErrUnsupported where the tag means nothing.
	Finalized(ctx context.Context, tag string) (BlockRef, error)
}

// UnconfirmedTx is one transaction of the node's mempool, already matched.
type UnconfirmedTx struct {
	Tx     Hash
	Match  Match
	Inputs []Spend // every input, watched or not: what would conflict with it
}

// MempoolReader is a Source that can read unconfirmed transactions.
type MempoolReader interface {
	// Mempool compares the node's mempool with the one it last saw. It
	// returns the ids now present, and the match of each transaction that is
	// new since the last call with the same table and matches: each is
	// reported once per table, and again only if more of it matches, so the
	// caller keeps it until it is durable. A transaction that vanished while
	// it was being fetched is left out and asked for again next time. complete is false while the node is still
	// loading its mempool: absence then means nothing.
	Mempool(ctx context.Context, watch *WatchTable) (MempoolView, error)
}

// MempoolView is one look at a mempool.
type MempoolView struct {
	Present  map[Hash]struct{} // every transaction id in the mempool; read only
	New      []UnconfirmedTx   // matched ones first seen in this look
	Complete bool              // false while the node is still loading
}

// Unspent is one coin found by scanning the node's set of unspent outputs.
type Unspent struct {
	Outpoint Outpoint
	Script   []byte
	Amount   Amount
	Height   uint64
	Coinbase bool
}

// UnspentScanner is a Source whose nodes can list the unspent coins of scripts.
type UnspentScanner interface {
	// ScanUnspent returns all unspent coins of scripts as of one block, or
	// ErrUnsupported. One scan serves all scripts given.
	ScanUnspent(ctx context.Context, scripts [][]byte) ([]Unspent, BlockRef, error)
}

// Method names how history was searched.
type Method string

// The methods, from the cheapest to the dearest for the node.
const (
	MethodFilters Method = "filters" // BIP158 filters: scanblocks, or getcfilter and our own match
	MethodRaw     Method = "raw"     // every block was read and walked
)

// BlockLocator is a Source that can tell which blocks may touch scripts without
// sending every block.
type BlockLocator interface {
	// Locate returns, in ascending order, the hashes of all blocks between the
	// heights from and to (both included) that may touch one of scripts,
	// false hits among them, or ErrUnsupported where the node has no filters.
	Locate(ctx context.Context, scripts [][]byte, from, to uint64) ([]Hash, error)
}

// Proof says why a balance is believed.
type Proof string

// The levels, strongest first.
const (
	Proven    Proof = "proven"    // by a Merkle proof against the state root of a verified header, or summed from verified blocks
	Derived   Proof = "derived"   // a proven one plus verified logs
	Confirmed Proof = "confirmed" // two upstreams of different operators gave the same answer
	Asserted  Proof = "asserted"  // one node said so
)

// Snapshot is one balance read at one block.
type Snapshot struct {
	Script []byte
	Asset  AssetID
	Amount Amount
	At     BlockRef
	Proof  Proof
}

// BalanceReader is a Source whose nodes know the state of an account. Chains of
// the bitcoin family have no such thing: there a balance is a sum of transfers.
type BalanceReader interface {
	// Balances reads each touched balance at the block with a hash, and gives
	// each its proof level. It returns ErrNotFound when the node no longer,
	// or not yet, has the state of that block.
	//
	// Unread are those of touched of which nothing could be learnt by the doing
	// of their contract: they are to be asked again. What is in neither has no
	// balance there.
	Balances(ctx context.Context, at BlockRef, touched []Touch) (read []Snapshot, unread []Touch, err error)
}

// TokenReader is a Source that can read what a token calls itself.
type TokenReader interface {
	// Token returns the asset with symbol and decimals as its contract says,
	// made safe to show. Decimals is -1 and Symbol "" where it says nothing.
	Token(ctx context.Context, id AssetID) (Asset, error)
}

// Wallets is a Source that understands more than one address in a wallet
// text: extended public keys, and in the bitcoin family output descriptors.
type Wallets interface {
	// ParseWallet returns the derivation of a text that is an extended public
	// key or a descriptor. ok is false if it is none of them and should be
	// read as an address. The error of a malformed one never repeats a key,
	// and a private one is refused.
	ParseWallet(text string) (w Wallet, ok bool, err error)
}

// Wallet derives the scripts of one extended public key or descriptor.
type Wallet interface {
	// Canonical returns the one spelling of it, which ParseWallet reads: a
	// descriptor with its checksum, or on EVM the key with origin and path.
	Canonical() string

	// Branches returns how many chains of scripts there are (BranchReceive and
	// BranchChange make two; EVM has no change). A wallet without a range has
	// one, and one script.
	Branches() uint32

	// Ranged reports whether a branch goes on: false means index 0 only.
	Ranged() bool

	// Script returns the script of one index of one branch.
	Script(branch, index uint32) ([]byte, error)
}

// CapabilityReach is the name of the first capability of every upstream: that it
// answers, for the right network.
const CapabilityReach = "reach"

// Capability is one thing a node was asked about at start.
type Capability struct {
	Upstream string // URL without credentials
	Name     string // block.rest, spenttxouts, receipts, proof, trace, …
	OK       bool
	Detail   string // version, height, or why not; never a secret
}

// Prober is a Source that can say what each of its nodes can do.
type Prober interface {
	// Probe asks every upstream. A node that cannot be reached is a
	// CapabilityReach that is not OK, not an error.
	Probe(ctx context.Context) []Capability
}

// UpstreamHealth is what the pool knows of one node now.
type UpstreamHealth struct {
	Upstream string // URL without credentials
	OK       bool
	Reason   string // why not OK: the last fault in words; never a secret
}

// HealthReporter is a Source that can say how its upstreams are.
type HealthReporter interface {
	// Health returns the state of each upstream without asking it.
	Health() []UpstreamHealth
}
