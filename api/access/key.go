package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
	"regexp"
	"slices"
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
// key without asking anyone.
const (
	base62        = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	keyPrefix     = "tly"
	idDigits      = 12 // 71 bits: unguessable enough to never collide
	secretDigits  = 32 // 190 bits
	checkDigits   = 6  // CRC-32 (IEEE) of all before it
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
	LastUsedAt *time.Time // nil until the first use; behind by the flush interval
	RevokedAt  *time.Time // nil while it is good

	Kind          Kind
	Secret        []byte         // of a signed key, opened: what its requests are signed with
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

// Request is what a new key is asked for with.
type Request struct {
	Realm     indexer.Realm
	Owner     string
	Name      string
	Scopes    []string
	ExpiresAt *time.Time // nil for never
}

// NewKey makes a key. It returns the row to store and the text to show once;
// nobody can get the text again. An error says which part of the request breaks
// its rule.
func NewKey(pepper Pepper, request Request, now time.Time) (Key, string, error) {
	if len(pepper) < minPepperSize {
		return Key{}, "", fmt.Errorf("pepper of %d bytes, want at least %d", len(pepper), minPepperSize)
	}
	if err := checkRequest(request, now); err != nil {
		return Key{}, "", err
	}
	id := randomDigits(idDigits)
	text := strings.Join([]string{keyPrefix, string(request.Realm.Environment), id, randomDigits(secretDigits)}, "_")
	text += checksum(text)
	return Key{
		ID:        id,
		Realm:     request.Realm,
		Owner:     request.Owner,
		Name:      request.Name,
		Hash:      pepper.Hash(text),
		Scopes:    slices.Clone(request.Scopes),
		CreatedAt: now.UTC(),
		ExpiresAt: request.ExpiresAt,
	}, text, nil
}

func checkRequest(request Request, now time.Time) error {
	if request.Realm.Environment != chains.Live && request.Realm.Environment != chains.Test {
		return errors.New("environment must be live or test")
	}
	if request.Realm.Tenant == "" {
		return errors.New("tenant is required")
	}
	if len(request.Scopes) == 0 {
		return errors.New("at least one scope is required, such as *:*")
	}
	scope := regexp.MustCompile(`^(\*|[a-z][a-z-]*):(\*|read|write|delete)$`)
	for _, s := range request.Scopes {
		if !scope.MatchString(s) {
			return fmt.Errorf("scope %.40q is not resource:action with the action read, write, delete or *", s)
		}
	}
	if request.ExpiresAt != nil && !now.Before(*request.ExpiresAt) {
		return errors.New("expiry lies in the past")
	}
	return nil
}

// ParseKey returns environment and id of a key with the right form, or
// ErrKeyForm. It says nothing about whether the key exists.
func ParseKey(text string) (chains.Environment, string, error) {
	const size = len(keyPrefix) + 1 + 4 + 1 + idDigits + 1 + secretDigits + checkDigits
	if len(text) != size {
		return "", "", ErrKeyForm
	}
	body, check := text[:size-checkDigits], text[size-checkDigits:]
	parts := strings.Split(body, "_")
	if len(parts) != 4 || parts[0] != keyPrefix || len(parts[2]) != idDigits || checksum(body) != check {
		return "", "", ErrKeyForm
	}
	environment := chains.Environment(parts[1])
	if environment != chains.Live && environment != chains.Test {
		return "", "", ErrKeyForm
	}
	if strings.Trim(parts[2]+parts[3], base62) != "" {
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
