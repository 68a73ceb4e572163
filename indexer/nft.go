package indexer

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
)

// NFTStatus says what is known of the metadata of an NFT.
type NFTStatus string

// The statuses.
const (
	NFTPending NFTStatus = "pending" // nobody has looked yet
	NFTReady   NFTStatus = "ready"   // as of a time
	NFTFailed  NFTStatus = "failed"  // the last look failed; what an earlier one found is kept
)

// NFT is what one address holds of one NFT.
type NFT struct {
	Account  uuid.UUID
	Chain    string // slug
	Address  string // that holds it
	ID       chains.AssetID
	Amount   chains.Amount
	AsOf     chains.BlockRef // the contract said so at this block; zero Hash if only its logs do
	Proof    chains.Proof    // "" as long as only logs say so
	Acquired *Acquisition    // nil if no known transfer brought it

	Collection string // what the contract calls itself; "" for nothing
	Symbol     string
	URI        string // where the metadata is; "" while unknown, data: for metadata that stands in the contract
	Document   chains.NFTDocument
	Status     NFTStatus
	Reason     string     // why the last look failed; "" if it did not
	ReadAt     *time.Time // when Document was read; nil if it never was
	TriedAt    *time.Time // when it was last looked at; nil if it never was
}

// Acquisition is the transfer that brought an NFT last.
type Acquisition struct {
	Tx     chains.Hash
	Height uint64
	Time   time.Time
}

// NFTCursor is a place in a list of NFTs.
type NFTCursor struct {
	Script, Asset int64
}

// NFTFilter narrows a list of NFTs.
type NFTFilter struct {
	User    uuid.UUID
	Account *uuid.UUID // only this one; nil for all of the user
	After   NFTCursor  // zero for the first page
	Limit   int
}

// NFTHolder is an account with how many NFTs it holds.
type NFTHolder struct {
	Account Account
	State   AccountState
	Tip     chains.BlockRef // of the ledger; zero Hash while there is none
	Held    int64
}

// DueNFT is an NFT whose metadata is to be looked at.
type DueNFT struct {
	Row      int64 // of the ledger
	ID       chains.AssetID
	Attempts int // since the last success
}

// Gallery keeps the metadata of NFTs. It is nothing of the ledger's: no verb
// waits for it.
type Gallery interface {
	// DueNFTs reports whether NFTs of a chain are to be looked at.
	DueNFTs(ctx context.Context, chain string) (bool, error)

	// ClaimNFTs returns up to limit NFTs to look at now, or none. Nobody else
	// gets them before the claim has run out.
	ClaimNFTs(ctx context.Context, chain string, limit int, claim time.Duration) ([]DueNFT, error)

	// DescribeNFT keeps what an NFT is, to be looked at again after a time.
	DescribeNFT(ctx context.Context, row int64, said NFTSaid, again time.Duration) error

	// FailNFT keeps why that could not be learnt.
	FailNFT(ctx context.Context, row int64, said NFTSaid, reason string, again time.Duration) error
}

// NFTSaid is what was learnt of an NFT.
type NFTSaid struct {
	Claim    chains.NFTClaim
	Document chains.NFTDocument
}
