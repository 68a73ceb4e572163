package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"net/http"
	"time"

	"github.com/google/uuid"

	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

const (
	cursorVersion = 2
	cursorHead    = 1 + 1 // version and flags
	cursorChain   = 8 + len(chains.Hash{}) + len(uuid.UUID{})
	cursorVenue   = 8 + 8
	cursorMAC     = 16
)

// What the flags of a cursor say.
const (
	onChainBegun byte = 1 << iota
	onChainEnded
	atVenuesBegun
	atVenuesEnded

	allFlags = onChainBegun | onChainEnded | atVenuesBegun | atVenuesEnded
)

// place is where a page of transactions begins: behind one of those on chains, and
// behind one of those at venues. A nil one is the beginning.
type place struct {
	onChain       *indexer.TransactionCursor
	onChainEnded  bool // there are no more of them
	atVenues      *indexer.VenueMovementCursor
	atVenuesEnded bool
}

// cursors writes and reads places in a list of transactions as opaque texts. A
// text is bound to the user it was handed out to, and is good for as long as
// the secret is.
type cursors struct{ key []byte }

// newCursors derives the key for cursors from a secret that serves other ends
// too.
func newCursors(secret []byte) cursors {
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("tallyd transaction cursor"))
	return cursors{key: mac.Sum(nil)}
}

// write returns the text of a place.
func (c cursors) write(user uuid.UUID, at place) string {
	raw := []byte{cursorVersion, 0}
	if at.onChainEnded {
		raw[1] |= onChainEnded
	}
	if at.atVenuesEnded {
		raw[1] |= atVenuesEnded
	}
	if at.onChain != nil {
		raw[1] |= onChainBegun
		raw = binary.BigEndian.AppendUint64(raw, uint64(at.onChain.Time.UnixMicro()))
		raw = append(raw, at.onChain.Tx[:]...)
		raw = append(raw, at.onChain.Account[:]...)
	}
	if at.atVenues != nil {
		raw[1] |= atVenuesBegun
		raw = binary.BigEndian.AppendUint64(raw, uint64(at.atVenues.Time.UnixMicro()))
		raw = binary.BigEndian.AppendUint64(raw, uint64(at.atVenues.ID))
	}
	raw = append(raw, c.mac(user, raw)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// read returns the place of a text that write returned for the same user, or a
// problem.
func (c cursors) read(user uuid.UUID, text string) (place, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) < cursorHead+cursorMAC || raw[0] != cursorVersion || raw[1]&^allFlags != 0 {
		return place{}, badCursor()
	}
	body, mac := raw[:len(raw)-cursorMAC], raw[len(raw)-cursorMAC:]
	at := place{onChainEnded: raw[1]&onChainEnded != 0, atVenuesEnded: raw[1]&atVenuesEnded != 0}
	size := cursorHead
	if raw[1]&onChainBegun != 0 {
		size += cursorChain
	}
	if raw[1]&atVenuesBegun != 0 {
		size += cursorVenue
	}
	if len(body) != size || !hmac.Equal(mac, c.mac(user, body)) {
		return place{}, badCursor()
	}
	rest := body[cursorHead:]
	if raw[1]&onChainBegun != 0 {
		at.onChain = &indexer.TransactionCursor{Time: microseconds(rest)}
		copy(at.onChain.Tx[:], rest[8:])
		copy(at.onChain.Account[:], rest[8+len(at.onChain.Tx):])
		rest = rest[cursorChain:]
	}
	if raw[1]&atVenuesBegun != 0 {
		at.atVenues = &indexer.VenueMovementCursor{Time: microseconds(rest), ID: int64(binary.BigEndian.Uint64(rest[8:]))}
	}
	return at, nil
}

func badCursor() error {
	return problem.New(http.StatusBadRequest, problem.InvalidCursor, "cursor is not valid").
		Field("cursor", "not a page_cursor of an earlier answer")
}

func microseconds(raw []byte) time.Time {
	return time.UnixMicro(int64(binary.BigEndian.Uint64(raw))).UTC()
}

const (
	nftCursorVersion = 0x81 // no cursor of transactions begins like it
	nftCursorBody    = 1 + 8 + 8
)

// writeNFT returns the text of a place in a list of NFTs.
func (c cursors) writeNFT(user uuid.UUID, at indexer.NFTCursor) string {
	raw := make([]byte, 0, nftCursorBody+cursorMAC)
	raw = append(raw, nftCursorVersion)
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Script))
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Asset))
	raw = append(raw, c.mac(user, raw)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// readNFT returns the place of a text that writeNFT returned for the same user, the
// first place for "", or a problem.
func (c cursors) readNFT(user uuid.UUID, text string) (indexer.NFTCursor, error) {
	if text == "" {
		return indexer.NFTCursor{}, nil
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != nftCursorBody+cursorMAC || raw[0] != nftCursorVersion ||
		!hmac.Equal(raw[nftCursorBody:], c.mac(user, raw[:nftCursorBody])) {
		return indexer.NFTCursor{}, problem.New(http.StatusBadRequest, problem.InvalidCursor, "cursor is not valid").
			Field("cursor", "not a pageKey of an earlier answer")
	}
	return indexer.NFTCursor{
		Script: int64(binary.BigEndian.Uint64(raw[1:])), Asset: int64(binary.BigEndian.Uint64(raw[9:])),
	}, nil
}

func (c cursors) mac(user uuid.UUID, body []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(user[:])
	mac.Write(body)
	return mac.Sum(nil)[:cursorMAC]
}
