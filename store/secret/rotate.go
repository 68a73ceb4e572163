package secret

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"
	"github.com/tink-crypto/tink-go/v2/keyset"
)

// ErrPrimary says that the newest key of a keyset seals already.
var ErrPrimary = errors.New("its newest key seals already: add another one first")

// Add returns a keyset with one key more, which opens and does not seal yet. Once
// every daemon has the keyset, Promote lets the key seal.
func Add(text string) (string, error) {
	return edit(text, func(m *keyset.Manager, _ *keyset.Handle) error {
		if _, err := m.Add(aead.AES256GCMKeyTemplate()); err != nil {
			return fmt.Errorf("add a key: %w", err)
		}
		return nil
	})
}

// Promote returns a keyset whose newest key seals. The others still open. It
// returns ErrPrimary if that key seals already.
func Promote(text string) (string, error) {
	return edit(text, func(m *keyset.Manager, handle *keyset.Handle) error {
		newest, err := handle.Entry(handle.Len() - 1)
		if err != nil {
			return fmt.Errorf("find its newest key: %w", err)
		}
		if newest.IsPrimary() {
			return ErrPrimary
		}
		if err := m.SetPrimary(newest.KeyID()); err != nil {
			return fmt.Errorf("let its newest key seal: %w", err)
		}
		return nil
	})
}

// edit changes the keyset of a text, or returns ErrKeyset.
func edit(text string, change func(*keyset.Manager, *keyset.Handle) error) (string, error) {
	if _, err := Parse(text); err != nil {
		return "", err
	}
	handle, err := insecurecleartextkeyset.Read(keyset.NewJSONReader(bytes.NewBufferString(text)))
	if err != nil {
		return "", ErrKeyset // the library's own error may show a part of it
	}
	manager := keyset.NewManagerFromHandle(handle)
	if err := change(manager, handle); err != nil {
		return "", err
	}
	changed, err := manager.Handle()
	if err != nil {
		return "", fmt.Errorf("make keyset: %w", err)
	}
	return write(changed)
}

// write returns the text of a keyset.
func write(handle *keyset.Handle) (string, error) {
	var text bytes.Buffer
	if err := insecurecleartextkeyset.Write(handle, keyset.NewJSONWriter(&text)); err != nil {
		return "", fmt.Errorf("write keyset: %w", err)
	}
	return text.String(), nil
}
