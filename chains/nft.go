package chains

import (
	"context"
	"strings"
	"time"
)

// Standard is what kind of collection an NFT belongs to.
type Standard string

// The standards.
const (
	ERC721  Standard = "erc721"  // each id has one owner
	ERC1155 Standard = "erc1155" // of each id anybody may hold any amount
)

// NFT names one id of a collection.
type NFT struct {
	Chain    string // CAIP-2
	Standard Standard
	Contract string // 0x… of 20 bytes, in lower case
	Token    string // the id within the collection, in decimal digits
}

// ID returns the asset an NFT is.
func (n NFT) ID() AssetID {
	return AssetID(n.Chain + "/" + string(n.Standard) + ":" + n.Contract + "/" + n.Token)
}

// NFT returns the NFT an asset is, and whether it is one.
func (id AssetID) NFT() (n NFT, ok bool) {
	chain, rest, found := strings.Cut(string(id), "/")
	standard, rest, named := strings.Cut(rest, ":")
	contract, token, numbered := strings.Cut(rest, "/")
	n = NFT{Chain: chain, Standard: Standard(standard), Contract: contract, Token: token}
	ok = found && named && numbered && token != "" && (n.Standard == ERC721 || n.Standard == ERC1155)
	return n, ok
}

// NFTClaim is what a contract says of one NFT. It is the contract's word: any
// length, any text, any truth.
type NFTClaim struct {
	URI    string // where the metadata is, {id} filled in; "" if it says nothing
	Name   string // of the collection, made safe to show; "" if it says nothing
	Symbol string
}

// NFTReader is a Source that can ask collections about their NFTs.
type NFTReader interface {
	// NFT asks the contract of an NFT about it, as of the node's newest block.
	// A contract that fails to answer leaves its part of the claim empty.
	NFT(ctx context.Context, id AssetID) (NFTClaim, error)
}

// NFTDocument is the metadata of one NFT, read and made safe to show: no control
// characters, bounded lengths, and never markup.
type NFTDocument struct {
	Name        string
	Description string
	Image       string // an http, https, ipfs or ar URL, or a data: URL of an image; "" if there is none that can be shown
	ExternalURL string
	Attributes  []NFTAttribute
}

// NFTAttribute is one trait of an NFT.
type NFTAttribute struct {
	Trait string `json:"trait_type"`
	Value string `json:"value"` // numbers as they were written
}

// DocumentError says why there is no metadata, in words that may be shown to
// anybody.
type DocumentError struct {
	Reason string
	Retry  time.Duration // when it may be worth asking again at the earliest; 0 for no wish
}

// Error implements error.
func (e *DocumentError) Error() string { return e.Reason }
