package venue

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// The names of fields that a login is made of. A venue's hint says which of them
// it needs.
const (
	FieldKey        = "api_key"
	FieldSecret     = "api_secret"
	FieldPassphrase = "api_passphrase"
	FieldMemo       = "memo"
	FieldRegion     = "region"
)

// errSealed is what JSON gets of credentials: they are stored sealed, by
// whoever calls Reveal, or not at all.
var errSealed = errors.New("credentials are not written")

// Credentials are the named fields of one login. They print as their names,
// however they are printed: the values stand in a closure, where no formatter and
// no dump of memory by reflection finds them.
type Credentials struct {
	names []string
	value func(name string) string
}

// NewCredentials returns credentials of fields, which are copied. Space around a
// value, which comes from copying it off a page, is dropped; so are empty values.
func NewCredentials(fields map[string]string) Credentials {
	kept := make(map[string]string, len(fields))
	for name, value := range fields {
		if value = strings.TrimSpace(value); value != "" {
			kept[name] = value
		}
	}
	return Credentials{
		names: slices.Sorted(maps.Keys(kept)),
		value: func(name string) string { return kept[name] },
	}
}

// Names returns the names of the fields that are set.
func (c Credentials) Names() []string { return slices.Clone(c.names) }

// Get returns the value of a field, "" if it is not set.
func (c Credentials) Get(name string) string {
	if c.value == nil {
		return ""
	}
	return c.value(name)
}

// Reveal returns all fields with their values. It is for the one place that seals
// them.
func (c Credentials) Reveal() map[string]string {
	fields := make(map[string]string, len(c.names))
	for _, name := range c.names {
		fields[name] = c.Get(name)
	}
	return fields
}

// Digest names the key of a login at a venue without telling it: nonces and
// budgets of one key are counted under it, also when two accounts share a key.
func (c Credentials) Digest(venue string) string {
	sum := sha256.Sum256([]byte("tallyd venue key\n" + venue + "\n" + c.Get(FieldKey)))
	return hex.EncodeToString(sum[:12])
}

// String returns the names of the fields.
func (c Credentials) String() string { return "credentials(" + strings.Join(c.names, ", ") + ")" }

// Format writes the names of the fields, whatever the verb.
func (c Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// MarshalJSON refuses: what is stored is what Reveal returned, sealed.
func (c Credentials) MarshalJSON() ([]byte, error) { return nil, errSealed }

// MarshalText refuses as MarshalJSON does.
func (c Credentials) MarshalText() ([]byte, error) { return nil, errSealed }

// cleaned returns a text of others without the values of the credentials, short
// and printable: a venue, or a proxy before it, may repeat what it was sent.
func (c Credentials) cleaned(s string) string {
	for _, name := range c.names {
		if value := c.Get(name); len(value) >= 4 && name != FieldRegion {
			s = strings.ReplaceAll(s, value, "…")
		}
	}
	return plain(s)
}
