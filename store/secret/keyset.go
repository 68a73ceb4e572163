// Package secret seals what has to be read again, such as signing secrets: in the
// database it is worth nothing without the keyset. Only package store uses it.
package secret

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
	"github.com/tink-crypto/tink-go/v2/tink"
)

// ErrKeyset says that a text is no keyset that can be used. It shows none of it.
var ErrKeyset = errors.New("is no keyset of AEAD keys in JSON")

// Keyset seals with its primary key and opens with all its keys. It is safe for
// concurrent use.
type Keyset struct {
	aead    tink.AEAD
	primary []byte // what begins that which the primary key seals
}

// New returns the text of a new keyset with one key (AES-256-GCM).
func New() (string, error) {
	handle, err := keyset.NewHandle(aead.AES256GCMKeyTemplate())
	if err != nil {
		return "", fmt.Errorf("make keyset: %w", err)
	}
	return write(handle)
}

// Parse returns the keyset of a text, or ErrKeyset.
func Parse(text string) (*Keyset, error) {
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewBufferString(text)))
	if err != nil {
		return nil, ErrKeyset // the library's own error may show a part of it
	}
	primitive, err := aead.New(handle)
	if err != nil {
		return nil, ErrKeyset
	}
	primary, err := handle.Primary()
	if err != nil {
		return nil, ErrKeyset
	}
	// Of keys of the template above, all that is sealed begins with 1 and the key's
	// number: Tink's wire format.
	return &Keyset{aead: primitive, primary: binary.BigEndian.AppendUint32([]byte{1}, primary.KeyID())}, nil
}

// Seal returns plain sealed together with associated, which says whose it is and
// must be the same to open it.
func (k *Keyset) Seal(plain, associated []byte) ([]byte, error) {
	sealed, err := k.aead.Encrypt(plain, associated)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return sealed, nil
}

// Open returns what was sealed, or an error if it was changed, is another's, or
// was sealed with a key that is not in the keyset.
func (k *Keyset) Open(sealed, associated []byte) ([]byte, error) {
	plain, err := k.aead.Decrypt(sealed, associated)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	return plain, nil
}

// Old reports whether something was sealed with a key that is not the primary one:
// sealed anew, it outlives that key.
func (k *Keyset) Old(sealed []byte) bool { return !bytes.HasPrefix(sealed, k.primary) }
