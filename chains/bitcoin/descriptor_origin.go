package bitcoin

import (
	"encoding/hex"
	"errors"
	"slices"
	"strconv"
	"strings"
)

// keyOrigin says where a key comes from: the fingerprint of a key and the steps
// from it. A key whose origin is not told is its own.
type keyOrigin struct {
	told        bool
	fingerprint [4]byte
	path        []uint32
}

// path returns where the key of a branch and an index comes from.
func (k keyExpression) path(branch, index uint32) keyOrigin {
	at := keyOrigin{told: k.origin.told, fingerprint: k.origin.fingerprint, path: slices.Clone(k.origin.path)}
	if k.point == nil {
		at.path = append(at.path, k.steps[branch]...)
	}
	if k.ranged {
		at.path = append(at.path, index)
	}
	return at
}

// String returns the fingerprint and the steps, as signers show them.
func (o keyOrigin) String() string {
	var s strings.Builder
	s.WriteString(hex.EncodeToString(o.fingerprint[:]))
	for _, step := range o.path {
		s.WriteByte('/')
		s.WriteString(writtenStep(step))
	}
	return s.String()
}

func writtenStep(step uint32) string {
	if step >= hardened {
		return strconv.FormatUint(uint64(step-hardened), 10) + "h"
	}
	return strconv.FormatUint(uint64(step), 10)
}

// parseOrigin splits off [fingerprint/path], which says where a key comes from and
// does not change what it derives.
func parseOrigin(s string) (origin keyOrigin, rest string, err error) {
	if !strings.HasPrefix(s, "[") {
		return keyOrigin{}, s, nil
	}
	inner, rest, ok := strings.Cut(s[1:], "]")
	if !ok {
		return keyOrigin{}, "", errors.New("its key origin is not closed")
	}
	steps := strings.Split(inner, "/")
	fingerprint, err := hex.DecodeString(steps[0])
	if err != nil || len(fingerprint) != 4 {
		return keyOrigin{}, "", errors.New("its key origin does not start with a fingerprint of 8 hex digits")
	}
	origin = keyOrigin{told: true, fingerprint: [4]byte(fingerprint)}
	for _, step := range steps[1:] {
		n, hard, err := parseStep(step)
		if err != nil {
			return keyOrigin{}, "", err
		}
		if hard {
			n += hardened
		}
		origin.path = append(origin.path, n)
	}
	return origin, rest, nil
}
