package bitcoin

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/btcec/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
)

// hardened is the first index whose key only the private key derives (BIP 32).
const hardened = hdkeychain.HardenedKeyStart

var (
	errPrivateKey = errors.New("it holds a private key; give the public key, tallyd never takes a private one")
	errKey        = errors.New("its key is neither an extended public key nor a public key in hex")
)

// keyExpression is the key of a descriptor: a point, or extended keys with
// perhaps a row of keys below each.
type keyExpression struct {
	origin   keyOrigin
	extended []*hdkeychain.ExtendedKey // of each branch
	steps    [][]uint32                // of each branch, from the written key
	point    []byte                    // instead of extended keys
	ranged   bool                      // each branch is the parent of a row
	written  string                    // canonical
}

// derive returns the public key of a branch and an index, 33 bytes unless the
// descriptor itself holds another form.
func (k keyExpression) derive(branch, index uint32) ([]byte, error) {
	if k.point != nil {
		return k.point, nil
	}
	key := k.extended[branch]
	if k.ranged {
		child, err := key.Derive(index)
		if err != nil {
			return nil, fmt.Errorf("derive key: %w", err)
		}
		key = child
	}
	point, err := key.ECPubKey()
	if err != nil {
		return nil, errKey
	}
	return point.SerializeCompressed(), nil
}

// parseKey reads [origin]key/path of BIP 380.
func parseKey(params Params, s string) (keyExpression, error) {
	origin, rest, err := parseOrigin(s)
	if err != nil {
		return keyExpression{}, err
	}
	k := keyExpression{origin: origin}
	base, path, hasPath := strings.Cut(rest, "/")
	if isPrivate(base) {
		return keyExpression{}, errPrivateKey
	}
	if point, err := decodeHex(base); err == nil {
		if hasPath {
			return keyExpression{}, errors.New("a path follows a key that is not extended")
		}
		return parsePoint(k, point)
	}
	extended, err := parseExtendedKey(base)
	if err != nil {
		return keyExpression{}, err
	}
	known, err := spellingOf(params, extended)
	if err != nil {
		return keyExpression{}, err
	}
	if known.Script != "pkh" {
		return keyExpression{}, fmt.Errorf("inside of a descriptor an extended key is written as %s, not as %s",
			params.ExtendedKeys[0].Prefix, known.Prefix)
	}
	if extended, err = respell(params, extended); err != nil {
		return keyExpression{}, err
	}
	if err := k.extend(extended); err != nil {
		return keyExpression{}, err
	}
	if hasPath {
		err = k.parsePath(path)
	}
	return k, err
}

// extend makes an extended key the one written.
func (k *keyExpression) extend(key *hdkeychain.ExtendedKey) error {
	point, err := key.ECPubKey()
	if err != nil {
		return errKey
	}
	k.extended, k.steps = []*hdkeychain.ExtendedKey{key}, [][]uint32{nil}
	k.write(key.String(), point.SerializeCompressed())
	return nil
}

// write begins the canonical form.
func (k *keyExpression) write(key string, point []byte) {
	if !k.origin.told {
		copy(k.origin.fingerprint[:], address.Hash160(point))
		k.written = key
		return
	}
	k.written = "[" + k.origin.String() + "]" + key
}

func parsePoint(k keyExpression, point []byte) (keyExpression, error) {
	whole := point
	if len(point) == 32 { // the x coordinate alone, for tr()
		whole = append([]byte{2}, point...)
	}
	if _, err := btcec.ParsePubKey(whole); err != nil || len(point) == 65 && point[0] != 4 {
		return keyExpression{}, errKey
	}
	k.point = point
	k.write(hex.EncodeToString(point), whole)
	return k, nil
}

// parsePath reads what follows an extended key: steps, at most one of them a
// choice <0;1>, and perhaps a final *.
func (k *keyExpression) parsePath(path string) error {
	steps := strings.Split(path, "/")
	for i, step := range steps {
		if step == "*" && i == len(steps)-1 {
			k.ranged = true
			k.written += "/*"
			return nil
		}
		choices := []string{step}
		if strings.HasPrefix(step, "<") && strings.HasSuffix(step, ">") {
			choices = strings.Split(step[1:len(step)-1], ";")
			if len(k.extended) > 1 || len(choices) < 2 || len(choices) > maxBranches {
				return fmt.Errorf("its path may hold one choice of 2 to %d branches", maxBranches)
			}
		}
		if err := k.parseChoices(choices); err != nil {
			return err
		}
	}
	return nil
}

func (k *keyExpression) parseChoices(choices []string) error {
	numbers := make([]uint32, len(choices))
	written := make([]string, len(choices))
	for i, choice := range choices {
		n, hard, err := parseStep(choice)
		if err != nil {
			return err
		}
		if hard {
			return errors.New("its path is hardened below a public key; only the private key derives that")
		}
		if slices.Contains(numbers[:i], n) {
			return errors.New("its path names a branch twice")
		}
		numbers[i], written[i] = n, strconv.FormatUint(uint64(n), 10)
	}
	var children []*hdkeychain.ExtendedKey
	var steps [][]uint32
	for i, parent := range k.extended {
		for _, n := range numbers {
			child, err := parent.Derive(n)
			if err != nil {
				return errors.New("its path has no key at one of its steps")
			}
			children = append(children, child)
			steps = append(steps, append(slices.Clone(k.steps[i]), n))
		}
	}
	k.extended, k.steps = children, steps
	if len(choices) == 1 {
		k.written += "/" + written[0]
	} else {
		k.written += "/<" + strings.Join(written, ";") + ">"
	}
	return nil
}

func parseStep(s string) (n uint32, hard bool, err error) {
	digits := strings.TrimRight(s, "'hH")
	hard = len(digits) == len(s)-1
	value, err := strconv.ParseUint(digits, 10, 32)
	if err != nil || len(s)-len(digits) > 1 || value >= hardened || strings.HasPrefix(digits, "+") {
		return 0, false, errors.New("a step of its path is not a number below 2^31")
	}
	return uint32(value), hard, nil
}

// parseExtendedKey reads an extended public key of any spelling.
func parseExtendedKey(s string) (*hdkeychain.ExtendedKey, error) {
	if isPrivate(s) {
		return nil, errPrivateKey
	}
	key, err := hdkeychain.NewKeyFromString(s)
	switch {
	case errors.Is(err, hdkeychain.ErrBadChecksum):
		return nil, errors.New("the checksum of its key is wrong")
	case err != nil:
		return nil, errKey
	case key.IsPrivate():
		return nil, errPrivateKey
	}
	// What the format calls a public key must be a point.
	if _, err := key.ECPubKey(); err != nil {
		return nil, errKey
	}
	if key.Depth() == 0 && (key.ParentFingerprint() != 0 || key.ChildIndex() != 0) {
		return nil, errKey
	}
	return key, nil
}

// isPrivate reports whether s is a private key, extended or in wallet import
// format, of whatever chain. Its checksum does not matter: nobody wants a mistyped
// private key repeated either.
func isPrivate(s string) bool {
	if len(s) > 4 && (s[1:4] == "prv" || s[1:4] == "tpv" || s[1:4] == "gpv") {
		return true
	}
	payload := base58.Decode(s)
	switch len(payload) {
	case 82:
		return payload[45] == 0
	case 37, 38:
		_, _, err := base58.CheckDecode(s)
		return err == nil
	}
	return false
}

// spellingOf returns the spelling of an extended key on a chain.
func spellingOf(params Params, key *hdkeychain.ExtendedKey) (ExtendedKey, error) {
	version := binary.BigEndian.Uint32(key.Version())
	at := func(p Params) int {
		return slices.IndexFunc(p.ExtendedKeys, func(k ExtendedKey) bool { return k.Version == version })
	}
	if i := at(params); i >= 0 {
		return params.ExtendedKeys[i], nil
	}
	for _, name := range ParamsNames() {
		if other, err := ParamsByName(name); err == nil {
			if i := at(other); i >= 0 {
				return ExtendedKey{}, fmt.Errorf("a key that starts with %s does not belong to this chain, %s",
					other.ExtendedKeys[i].Prefix, params.Name)
			}
		}
	}
	return ExtendedKey{}, errors.New("the version of its key is unknown")
}

// respell returns the same key in the spelling the chain writes.
func respell(params Params, key *hdkeychain.ExtendedKey) (*hdkeychain.ExtendedKey, error) {
	version := binary.BigEndian.AppendUint32(nil, params.ExtendedKeys[0].Version)
	again, err := key.CloneWithVersion(version)
	if err != nil {
		return nil, errKey
	}
	return again, nil
}

// decodeHex decodes hex digits of either case, and nothing else.
func decodeHex(s string) ([]byte, error) {
	b, err := hex.DecodeString(s)
	if err != nil {
		return nil, errors.New("it is not hex")
	}
	return b, nil
}
