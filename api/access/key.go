package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"hash/crc32"
	"net/netip"
	"strings"
	"time"

	"tallyd/chains"
	"tallyd/indexer"
)

// ErrKeyForm says that a text does not have the form of a key: its prefix, its
// parts or its checksum are wrong. No database needs to be asked about it.
var ErrKeyForm = errors.New("not an API key")

// The form of a key: tly_live_<id>_<secret><checksum>, or tly_test_ for test.
// The prefix and the checksum let scanners of source code recognise a leaked
// key without asking anyone. The secret that a signed key signs with has this form
// too; its public part, tly_live_<id>, is what the key is named by.
const (
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyPrefix     = "tly"
	idDigits      = 12 // 71 bits: unguessable enough to never collide
	secretDigits  = 32 // 190 bits
	checkDigits   = 6  // CRC-32 (IEEE) of all before it
	publicSize    = len(keyPrefix) + 1 + len("live") + 1 + idDigits
	minPepperSize = 16
)

// Key is an API key of a tenant as it is stored: its secret is not in it.
type Key struct {
	ID         string
	Realm      indexer.Realm
	Owner      string
	Name       string
	Hash       []byte   // HMAC-SHA256 of the whole key under the pepper; of a signed key nil
	Scopes     []string // resource:action, either of which may be *
	CreatedAt  time.Time
	ExpiresAt  *time.Time // nil for never
	LastUsedAt *time.Time // nil until the first use, which is written at once; behind by the flush interval
	RevokedAt  *time.Time // nil while it is good

	Kind          Kind
	Secret        []byte         // of a signed key, opened: the text its requests are signed with
	OldHash       []byte         // good until OldUntil; nil unless the key was rotated
	OldSecret     []byte         // good until OldUntil
	OldUntil      *time.Time     //
	UnsignedQuery bool           // its signatures leave out the query, as the custody seed's do
	Addresses     []netip.Prefix // from where it may be used; none means everywhere
	PerMinute     int            // its budget; 0 for the default of the surface
	CreatedBy     string         // id of the key that made it, or master
	MetaData      json.RawMessage
	Version       int64 // grows with every change but the last use
}

// Kind is how a key is used.
type Kind string

// The kinds of keys.
const (
	Bearer Kind = "bearer" // the key itself is sent
	Signed Kind = "signed" // each request is signed with its secret, which is never sent
)

// Public returns the public part of the key, tly_live_<id>: what a signed key is
// named by in X-API-Key. It opens nothing by itself.
func (k Key) Public() string {
	return strings.Join([]string{keyPrefix, string(k.Realm.Environment), k.ID}, "_")
}

// Good reports whether the key is neither revoked nor expired at now.
func (k Key) Good(now time.Time) bool {
	return k.RevokedAt == nil && (k.ExpiresAt == nil || now.Before(*k.ExpiresAt))
}

// Pepper is the server's secret that key hashes are made with: a copy of the
// database alone does not let anyone test guesses. Losing it voids every key.
type Pepper []byte

// Hash returns the keyed hash under which a key is stored.
func (p Pepper) Hash(text string) []byte {
	mac := hmac.New(sha256.New, p)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// ParseKey returns environment and id of a key with the right form, or
// ErrKeyForm. It says nothing about whether the key exists. The secret of a signed
// key has the same form.
func ParseKey(text string) (chains.Environment, string, error) {
	const size = publicSize + 1 + secretDigits + checkDigits
	if len(text) != size {
		return "", "", ErrKeyForm
	}
	body, check := text[:size-checkDigits], text[size-checkDigits:]
	if body[publicSize] != '_' || checksum(body) != check || strings.Trim(body[publicSize+1:], base62) != "" {
		return "", "", ErrKeyForm
	}
	return ParsePublic(body[:publicSize])
}

// ParsePublic returns environment and id of the public part of a key, or
// ErrKeyForm. It says nothing about whether the key exists.
func ParsePublic(text string) (chains.Environment, string, error) {
	parts := strings.Split(text, "_")
	if len(text) != publicSize || len(parts) != 3 || parts[0] != keyPrefix || len(parts[2]) != idDigits {
		return "", "", ErrKeyForm
	}
	environment := chains.Environment(parts[1])
	if environment != chains.Live && environment != chains.Test || strings.Trim(parts[2], base62) != "" {
		return "", "", ErrKeyForm
	}
	return environment, parts[2], nil
}

// checksum returns CRC-32 (IEEE) of text in base 62, most significant first.
func checksum(text string) string {
	sum := crc32.ChecksumIEEE([]byte(text))
	digits := make([]byte, checkDigits)
	for i := checkDigits - 1; i >= 0; i-- {
		digits[i] = base62[sum%62]
		sum /= 62
	}
	return string(digits)
}

// randomDigits returns n independent, uniform base-62 digits.
func randomDigits(n int) string {
	digits := make([]byte, 0, n)
	raw := make([]byte, 2*n)
	for len(digits) < n {
		// Read never fails: the runtime ends the process instead.
		_, _ = rand.Read(raw)
		for _, b := range raw {
			// 248 is the largest multiple of 62 below 256; the rest would favour
			// the first digits.
			if b < 248 && len(digits) < n {
				digits = append(digits, base62[b%62])
			}
		}
	}
	return string(digits)
}
