package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"tallyd/chains"
	"tallyd/indexer"
)

// ErrOverlap says that what a key was rotated from is still good: rotating again
// would end it before its time.
var ErrOverlap = errors.New("the overlap of the last rotation has not ended")

// MaxPerMinute is the largest budget a key can have.
const MaxPerMinute = 10_000_000

// Request is what a new key is asked for with.
type Request struct {
	Realm         indexer.Realm
	Owner         string
	Name          string
	Kind          Kind // Bearer if ""
	Scopes        []string
	ExpiresAt     *time.Time     // nil for never
	Addresses     []netip.Prefix // from where it may be used; none means everywhere
	PerMinute     int            // 0 for the default of the surface
	UnsignedQuery bool
	CreatedBy     string
	MetaData      json.RawMessage
}

// NewKey makes a key. It returns the row to store and the text to show once: the
// key itself, or the secret of a signed one. Nobody can get the text again. An
// error says which part of the request breaks its rule.
func NewKey(pepper Pepper, request Request, now time.Time) (Key, string, error) {
	if request.Kind == "" {
		request.Kind = Bearer
	}
	if err := checkRequest(request, now); err != nil {
		return Key{}, "", err
	}
	key := Key{
		ID:            randomDigits(idDigits),
		Realm:         request.Realm,
		Owner:         request.Owner,
		Name:          request.Name,
		Kind:          request.Kind,
		Scopes:        slices.Clone(request.Scopes),
		CreatedAt:     now.UTC(),
		ExpiresAt:     request.ExpiresAt,
		Addresses:     slices.Clone(request.Addresses),
		PerMinute:     request.PerMinute,
		UnsignedQuery: request.UnsignedQuery,
		CreatedBy:     request.CreatedBy,
		MetaData:      request.MetaData,
		Version:       1,
	}
	text, err := key.renew(pepper)
	if err != nil {
		return Key{}, "", err
	}
	return key, text, nil
}

// Rotate gives a key a new text, which it returns to be shown once. The one before
// stays good for overlap; with none it ends now, and so does one that a rotation
// before had left good. Otherwise that one is waited for with ErrOverlap: at most
// two are good at a time, and none ends before the time it was promised.
func (k *Key) Rotate(pepper Pepper, overlap time.Duration, now time.Time) (string, error) {
	if overlap > 0 && k.OldUntil != nil && now.Before(*k.OldUntil) {
		return "", ErrOverlap
	}
	hash, secret := k.Hash, k.Secret
	text, err := k.renew(pepper)
	if err != nil {
		return "", err
	}
	k.OldHash, k.OldSecret, k.OldUntil = nil, nil, nil
	if overlap > 0 {
		until := now.Add(overlap).UTC()
		k.OldHash, k.OldSecret, k.OldUntil = hash, secret, &until
	}
	return text, nil
}

// renew draws a text for a key and keeps what is to be stored of it.
func (k *Key) renew(pepper Pepper) (string, error) {
	if len(pepper) < minPepperSize {
		return "", fmt.Errorf("pepper of %d bytes, want at least %d", len(pepper), minPepperSize)
	}
	text := k.Public() + "_" + randomDigits(secretDigits)
	text += checksum(text)
	if k.Kind == Signed {
		k.Secret = []byte(text)
	} else {
		k.Hash = pepper.Hash(text)
	}
	return text, nil
}

func checkRequest(request Request, now time.Time) error {
	if request.Realm.Environment != chains.Live && request.Realm.Environment != chains.Test {
		return errors.New("environment must be live or test")
	}
	if request.Realm.Tenant == "" {
		return errors.New("tenant is required")
	}
	if request.Kind != Bearer && request.Kind != Signed {
		return errors.New("kind must be bearer or signed")
	}
	if request.UnsignedQuery && request.Kind != Signed {
		return errors.New("only the signatures of a signed key can leave out the query")
	}
	if len(request.Scopes) == 0 {
		return errors.New("at least one scope is required, such as *:*")
	}
	for _, scope := range request.Scopes {
		if err := CheckScope(scope); err != nil {
			return err
		}
	}
	if request.PerMinute < 0 || request.PerMinute > MaxPerMinute {
		return fmt.Errorf("a budget is from 0 to %d requests per minute", MaxPerMinute)
	}
	for _, prefix := range request.Addresses {
		if prefix != prefix.Masked() || !prefix.IsValid() {
			return errors.New("addresses must be networks without host bits")
		}
	}
	if request.ExpiresAt != nil && !now.Before(*request.ExpiresAt) {
		return errors.New("expiry lies in the past")
	}
	return nil
}

// ParseAddresses reads networks such as 10.0.0.0/8, and single addresses. An error
// says which text is neither.
func ParseAddresses(texts []string) ([]netip.Prefix, error) {
	prefixes := make([]netip.Prefix, 0, len(texts))
	for _, text := range texts {
		if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
			address = address.Unmap()
			prefixes = append(prefixes, netip.PrefixFrom(address, address.BitLen()))
			continue
		}
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return nil, fmt.Errorf("%.60q is no network such as 10.0.0.0/8 and no address", text)
		}
		if prefix != prefix.Masked() {
			return nil, fmt.Errorf("%.60q has bits beyond its mask: write %s", text, prefix.Masked())
		}
		prefixes = append(prefixes, prefix)
	}
	return prefixes, nil
}
