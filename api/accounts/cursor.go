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
	cursorVersion = 1
	cursorBody    = 1 + 8 + len(chains.Hash{}) + len(uuid.UUID{})
	cursorMAC     = 16
)

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
func (c cursors) write(user uuid.UUID, at indexer.TransactionCursor) string {
	raw := make([]byte, 0, cursorBody+cursorMAC)
	raw = append(raw, cursorVersion)
	raw = binary.BigEndian.AppendUint64(raw, uint64(at.Time.UnixMicro()))
	raw = append(raw, at.Tx[:]...)
	raw = append(raw, at.Account[:]...)
	raw = append(raw, c.mac(user, raw)...)
	return base64.RawURLEncoding.EncodeToString(raw)
}

// read returns the place of a text that write returned for the same user, or a
// problem.
func (c cursors) read(user uuid.UUID, text string) (indexer.TransactionCursor, error) {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != cursorBody+cursorMAC || raw[0] != cursorVersion ||
		!hmac.Equal(raw[cursorBody:], c.mac(user, raw[:cursorBody])) {
		return indexer.TransactionCursor{}, problem.New(http.StatusBadRequest, problem.InvalidCursor, "cursor is not valid").
			Field("cursor", "not a page_cursor of an earlier answer")
	}
	at := indexer.TransactionCursor{Time: time.UnixMicro(int64(binary.BigEndian.Uint64(raw[1:]))).UTC()}
	copy(at.Tx[:], raw[9:])
	copy(at.Account[:], raw[9+len(at.Tx):])
	return at, nil
}

func (c cursors) mac(user uuid.UUID, body []byte) []byte {
	mac := hmac.New(sha256.New, c.key)
	mac.Write(user[:])
	mac.Write(body)
	return mac.Sum(nil)[:cursorMAC]
}
