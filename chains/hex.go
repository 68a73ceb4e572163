package chains

import (
	"encoding/hex"
	"fmt"
)

// Hex is a byte string that JSON shows as hex digits, without a prefix.
type Hex []byte

// MarshalText implements encoding.TextMarshaler.
func (h Hex) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *Hex) UnmarshalText(text []byte) error {
	b := make([]byte, hex.DecodedLen(len(text)))
	if _, err := hex.Decode(b, text); err != nil {
		return fmt.Errorf("read hex digits: %w", err)
	}
	*h = b
	return nil
}

// String returns the hex digits.
func (h Hex) String() string { return hex.EncodeToString(h) }
