package store

import "errors"

// ErrNoKeyset says that the store was opened without a keyset, and so can keep no
// secret that has to be read again.
var ErrNoKeyset = errors.New("there is no keyset to seal secrets with: set secrets.keyset")

func (s *Store) seal(plain, associated []byte) ([]byte, error) {
	if s.secrets == nil {
		return nil, ErrNoKeyset
	}
	return s.secrets.Seal(plain, associated) //nolint:wrapcheck // the caller says what it was
}

func (s *Store) open(sealed, associated []byte) ([]byte, error) {
	if s.secrets == nil {
		return nil, ErrNoKeyset
	}
	return s.secrets.Open(sealed, associated) //nolint:wrapcheck // the caller says what it was
}
