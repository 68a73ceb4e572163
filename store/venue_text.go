package store

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// maxText bounds a text of a venue that is a part of a key: an index entry of
// Postgres holds no more than 2,700 bytes.
const maxText = 120

// kept returns a text of a venue as Postgres takes it: without the characters that
// it refuses, and short enough for an index. What is too long keeps its beginning
// and the digest of the whole, so that two stay two.
func kept(text string) string {
	text = plainText(text)
	if len(text) <= maxText {
		return text
	}
	sum := sha256.Sum256([]byte(text))
	return strings.ToValidUTF8(text[:maxText/2], "") + "…" + hex.EncodeToString(sum[:16])
}

// plainText returns words of a venue without the characters that Postgres refuses.
// They are bounded already.
func plainText(text string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", "\ufffd"), "\ufffd")
}

// document returns a value as jsonb takes it: a NUL, which JSON can write and
// Postgres cannot keep, becomes the sign of what cannot be shown.
func document(value any) (json.RawMessage, error) {
	text, err := json.Marshal(value)
	if err != nil {
		return nil, fmt.Errorf("write JSON: %w", err)
	}
	return bytes.ReplaceAll(text, []byte(`\u0000`), []byte(`\ufffd`)), nil
}

// moment returns a time of a venue as Postgres and JSON take it.
func moment(t time.Time) time.Time {
	const last = 9999
	switch year := t.UTC().Year(); {
	case year < 1:
		return time.Time{}
	case year > last:
		return time.Date(last, 12, 31, 0, 0, 0, 0, time.UTC)
	}
	return t.UTC().Truncate(time.Microsecond)
}

// orEmpty returns a list that JSON writes as one.
func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
