package evm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"tallyd/chains"
)

// errWallet says that a text is not a key whose accounts are watched. The error that
// wraps it never repeats any of the text, which may hold a private key.
var errWallet = errors.New("invalid extended key")

// maxWallet bounds the work on a hostile text.
const maxWallet = 512

// wallet derives the accounts below one extended public key: BIP 44. It does not
// change and may be used concurrently.
type wallet struct {
	origin keyOrigin
	key    extendedKey // of the last written step
	steps  []uint32    // from the written key
	ranged bool
	text   string
}

// keyOrigin says where a key comes from: the fingerprint of a key and the steps from
// it. A key whose origin is not told is its own.
type keyOrigin struct {
	told        bool
	fingerprint [4]byte
	path        []uint32
}

// ParseWallet implements chains.Wallets. It reads an xpub with or without its origin,
// [d34db33f/44h/60h/0h]xpub…, and with or without the path below it, /0/* or /*. By
// itself the key of an account (m/44h/60h/0h) stands for its branch 0, and that of a
// branch for itself.
func (s *Source) ParseWallet(text string) (chains.Wallet, bool, error) {
	text = strings.TrimSpace(text)
	named := len(text) > 4 && (text[1:4] == "pub" || text[1:4] == "prv")
	if strings.HasPrefix(strings.ToLower(text), "0x") || len(text) < 100 && !named && !strings.HasPrefix(text, "[") {
		return nil, false, nil
	}
	w, err := s.parseWallet(text)
	if err != nil {
		return nil, true, fmt.Errorf("%w: %w", errWallet, err)
	}
	return w, true, nil
}

func (s *Source) parseWallet(text string) (*wallet, error) {
	if len(text) > maxWallet {
		return nil, fmt.Errorf("it has %d characters, at most %d are read", len(text), maxWallet)
	}
	w := &wallet{}
	rest, err := w.readOrigin(text)
	if err != nil {
		return nil, err
	}
	base, path, hasPath := strings.Cut(rest, "/")
	if w.key, err = parseExtendedKey(base); err != nil {
		return nil, err
	}
	if err := s.belongs(w); err != nil {
		return nil, err
	}
	if !hasPath {
		switch w.key.depth {
		case 3:
			path = "0/*"
		case 4:
			path = "*"
		default:
			return nil, errors.New("it is neither the key of an account nor of a branch: write the path to its addresses behind it, such as /0/*")
		}
	}
	if !w.origin.told {
		w.origin.fingerprint = w.key.fingerprint()
	}
	w.text = rest[:len(base)]
	if w.origin.told {
		w.text = "[" + w.origin.String() + "]" + w.text
	}
	return w, w.descend(path)
}

// readOrigin splits off [fingerprint/path].
func (w *wallet) readOrigin(text string) (rest string, err error) {
	if !strings.HasPrefix(text, "[") {
		return text, nil
	}
	inner, rest, ok := strings.Cut(text[1:], "]")
	if !ok {
		return "", errors.New("its key origin is not closed")
	}
	steps := strings.Split(inner, "/")
	fingerprint, err := hex.DecodeString(steps[0])
	if err != nil || len(fingerprint) != 4 {
		return "", errors.New("its key origin does not start with a fingerprint of 8 hex digits")
	}
	w.origin = keyOrigin{told: true, fingerprint: [4]byte(fingerprint)}
	for _, step := range steps[1:] {
		n, err := parseStep(step)
		if err != nil {
			return "", err
		}
		w.origin.path = append(w.origin.path, n)
	}
	return rest, nil
}

// belongs checks what the origin of a key says it is for.
func (s *Source) belongs(w *wallet) error {
	path := w.origin.path
	if !w.origin.told {
		return nil
	}
	if len(path) != w.key.depth {
		return fmt.Errorf("its key is %d steps below the root and its origin %d", w.key.depth, len(path))
	}
	if len(path) < 2 || !slices.Contains([]uint32{44 + hardened, 49 + hardened, 84 + hardened, 86 + hardened}, path[0]) {
		return nil // no path whose second step is a coin
	}
	mine := []uint32{60 + hardened, s.coinType() + hardened}
	if s.chain.Environment == chains.Test {
		mine = append(mine, 1+hardened)
	}
	if !slices.Contains(mine, path[1]) {
		return fmt.Errorf("its origin says it is a key for coin type %d, those of this network are for 60", path[1]&^hardened)
	}
	return nil
}

// coinType returns the native coin's number in SLIP-44.
func (s *Source) coinType() uint32 {
	if s.rules == nil || s.rules.network.slip44 == 0 {
		return 60
	}
	return uint32(s.rules.network.slip44) //nolint:gosec // a constant of ours
}

// descend goes down the steps written below the key.
func (w *wallet) descend(path string) error {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		w.text += "/" + step
		if step == "*" && i == len(steps)-1 {
			w.ranged = true
			return nil
		}
		n, err := parseStep(step)
		if err != nil {
			return err
		}
		if n >= hardened {
			return errors.New("its path is hardened below a public key; only the private key derives that")
		}
		if w.key, err = w.key.child(n); err != nil {
			return err
		}
		w.steps = append(w.steps, n)
	}
	return nil
}

func parseStep(text string) (uint32, error) {
	digits := strings.TrimRight(text, "'hH")
	n, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(text)-len(digits) > 1 || n >= hardened || strconv.FormatUint(n, 10) != digits {
		return 0, errors.New("a step of its path is not a number below 2^31")
	}
	if len(digits) < len(text) {
		n += hardened
	}
	return uint32(n), nil
}

// String returns the fingerprint and the steps, as signers show them.
func (o keyOrigin) String() string {
	var s strings.Builder
	s.WriteString(hex.EncodeToString(o.fingerprint[:]))
	for _, step := range o.path {
		s.WriteString("/" + strconv.FormatUint(uint64(step&^hardened), 10))
		if step >= hardened {
			s.WriteByte('h')
		}
	}
	return s.String()
}

// Canonical returns the key with its origin, if it was told, and its path.
func (w *wallet) Canonical() string { return w.text }

// Branches returns 1: accounts have no change.
func (w *wallet) Branches() uint32 { return 1 }

// Ranged reports whether there is a row of accounts.
func (w *wallet) Ranged() bool { return w.ranged }

// Script returns the address of an account.
func (w *wallet) Script(branch, index uint32) ([]byte, error) {
	switch {
	case branch > 0:
		return nil, fmt.Errorf("derive address: branch %d of 1", branch)
	case index > 0 && !w.ranged, index >= hardened:
		return nil, fmt.Errorf("derive address: index %d is outside of the path", index)
	}
	key := w.key
	if w.ranged {
		var err error
		if key, err = key.child(index); err != nil {
			return nil, fmt.Errorf("derive address %d: %w", index, err)
		}
	}
	address, err := key.address()
	if err != nil {
		return nil, fmt.Errorf("derive address %d: %w", index, err)
	}
	return address[:], nil
}

// path returns where the key of an account comes from.
func (w *wallet) path(index uint32) string {
	at := keyOrigin{fingerprint: w.origin.fingerprint, path: slices.Concat(w.origin.path, w.steps)}
	if w.ranged {
		at.path = append(at.path, index)
	}
	return at.String()
}
