package bitcoin

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcec/v2/schnorr"
	"github.com/btcsuite/btcd/txscript/v2"
)

// ErrDescriptor says that a text is not a descriptor this program watches. The
// error that wraps it says why, and never repeats any of the text, which may hold
// a private key.
var ErrDescriptor = errors.New("invalid descriptor")

// maxDescriptor bounds the work on a hostile text. A single-key descriptor has
// less than 300 characters.
const maxDescriptor = 1024

// maxBranches bounds the paths of one descriptor (BIP 389).
const maxBranches = 16

// wrapper is what a descriptor makes of its key.
type wrapper string

const (
	wrapPubKey        wrapper = "pk"
	wrapPubKeyHash    wrapper = "pkh"
	wrapWitness       wrapper = "wpkh"
	wrapNestedWitness wrapper = "sh(wpkh)"
	wrapTaproot       wrapper = "tr"
)

// Descriptor is a rule for scripts: an output descriptor of one key (BIP 380 to
// 386 and 389), or an extended public key alone. It derives public keys only.
//
// A Descriptor does not change and may be used concurrently.
type Descriptor struct {
	wrap  wrapper
	key   keyExpression // of all but fixed scripts
	fixed []byte        // script of addr() and raw()
	text  string        // canonical form without checksum
}

// ParseDescriptor reads pk, pkh, wpkh, sh(wpkh), tr with a single key, addr and
// raw, each with or without its checksum, and a bare extended public key. A bare
// xpub stands for pkh, ypub for sh(wpkh) and zpub for wpkh, each with the branches
// 0 (receive) and 1 (change). Every error wraps ErrDescriptor.
func ParseDescriptor(params Params, s string) (Descriptor, error) {
	d, err := parseDescriptor(params, strings.TrimSpace(s))
	if err != nil {
		return Descriptor{}, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	return d, nil
}

func parseDescriptor(params Params, s string) (Descriptor, error) {
	switch {
	case s == "":
		return Descriptor{}, errors.New("it is empty")
	case len(s) > maxDescriptor:
		return Descriptor{}, fmt.Errorf("it has %d characters, at most %d are read", len(s), maxDescriptor)
	}
	body, checksum, hasChecksum := strings.Cut(s, "#")
	if hasChecksum {
		want, err := descriptorChecksum(body)
		if err != nil {
			return Descriptor{}, err
		}
		if checksum != want {
			return Descriptor{}, errors.New("its checksum is wrong")
		}
	}
	if !strings.Contains(body, "(") {
		return parseBareKey(params, body)
	}
	name, inner, err := unwrap(body)
	if err != nil {
		return Descriptor{}, err
	}
	switch name {
	case "addr":
		script, err := ScriptFromAddress(params, inner, false)
		if err != nil {
			return Descriptor{}, err
		}
		return Descriptor{fixed: script, text: "addr(" + AddressFromScript(params, script) + ")"}, nil
	case "raw":
		return parseRaw(inner)
	case "sh":
		if name, inner, err = unwrap(inner); err != nil || name != "wpkh" {
			return Descriptor{}, errors.New("sh() is read around wpkh() only")
		}
		name = "sh(wpkh)"
	}
	return parseKeyed(params, wrapper(name), inner)
}

// unwrap splits name(inner).
func unwrap(s string) (name, inner string, err error) {
	name, rest, ok := strings.Cut(s, "(")
	if !ok || !strings.HasSuffix(rest, ")") {
		return "", "", errors.New("its parentheses do not match")
	}
	return name, rest[:len(rest)-1], nil
}

func parseRaw(inner string) (Descriptor, error) {
	script, err := decodeHex(inner)
	if err != nil || len(script) == 0 || len(script) > 10_000 {
		return Descriptor{}, errors.New("raw() wants a script in hex")
	}
	return Descriptor{fixed: script, text: "raw(" + strings.ToLower(inner) + ")"}, nil
}

func parseKeyed(params Params, wrap wrapper, expression string) (Descriptor, error) {
	switch wrap {
	case wrapPubKey, wrapPubKeyHash:
	case wrapWitness, wrapNestedWitness, wrapTaproot:
		if !params.SegWit {
			return Descriptor{}, fmt.Errorf("%s() needs segregated witness, which %s does not have", wrap, params.Name)
		}
	default:
		return Descriptor{}, errors.New("its function is not one of pk, pkh, wpkh, sh(wpkh), tr, addr, raw")
	}
	key, err := parseKey(params, expression)
	if err != nil {
		return Descriptor{}, err
	}
	if len(key.point) != 0 {
		if len(key.point) == 32 && wrap != wrapTaproot {
			return Descriptor{}, fmt.Errorf("%s() wants a key of 33 bytes, this one has 32", wrap)
		}
		if len(key.point) == 65 && wrap != wrapPubKey && wrap != wrapPubKeyHash {
			return Descriptor{}, fmt.Errorf("%s() wants a compressed key", wrap)
		}
	}
	return Descriptor{wrap: wrap, key: key, text: wrap.around(key.written)}, nil
}

func (w wrapper) around(key string) string {
	if w == wrapNestedWitness {
		return "sh(wpkh(" + key + "))"
	}
	return string(w) + "(" + key + ")"
}

// parseBareKey reads an extended public key alone.
func parseBareKey(params Params, s string) (Descriptor, error) {
	key, err := parseExtendedKey(s)
	if err != nil {
		return Descriptor{}, err
	}
	known, err := spellingOf(params, key)
	if err != nil {
		return Descriptor{}, err
	}
	if key, err = respell(params, key); err != nil {
		return Descriptor{}, err
	}
	var branches keyExpression
	if err := branches.extend(key); err != nil {
		return Descriptor{}, err
	}
	if err := branches.parsePath("<0;1>/*"); err != nil {
		return Descriptor{}, err
	}
	wrap := wrapper(known.Script)
	return Descriptor{wrap: wrap, key: branches, text: wrap.around(branches.written)}, nil
}

// Branches returns how many rows of scripts the descriptor has, by convention two
// (0 receives, 1 is change) or one.
func (d Descriptor) Branches() int { return max(len(d.key.extended), 1) }

// Ranged reports whether each branch is a row of scripts. Otherwise it has the one
// script with index 0.
func (d Descriptor) Ranged() bool { return d.key.ranged }

// String returns the descriptor in canonical form with its checksum. Two
// spellings of one descriptor have the same.
func (d Descriptor) String() string {
	sum, err := descriptorChecksum(d.text)
	if err != nil {
		// The text was read from the same characters.
		return d.text
	}
	return d.text + "#" + sum
}

// Script returns a script of the descriptor. An index from 2^31 on, one above 0
// where the descriptor is not ranged, or a branch it does not have is an error. So is,
// once in 2^127, an index that has no key: skip it.
func (d Descriptor) Script(branch, index uint32) ([]byte, error) {
	switch {
	case int(branch) >= d.Branches():
		return nil, fmt.Errorf("derive script: branch %d of %d", branch, d.Branches())
	case index != 0 && !d.Ranged(), index >= hardened:
		return nil, fmt.Errorf("derive script: index %d is outside of the descriptor", index)
	}
	if d.fixed != nil {
		return slices.Clone(d.fixed), nil
	}
	point, err := d.key.derive(branch, index)
	if err != nil {
		return nil, fmt.Errorf("derive script %d of branch %d: %w", index, branch, err)
	}
	return d.wrap.script(point)
}

func (w wrapper) script(point []byte) ([]byte, error) {
	switch w {
	case wrapPubKey:
		return scriptPubKey(point), nil
	case wrapPubKeyHash:
		return scriptPubKeyHash(address.Hash160(point)), nil
	case wrapWitness:
		return scriptWitness(0, address.Hash160(point)), nil
	case wrapNestedWitness:
		return scriptScriptHash(address.Hash160(scriptWitness(0, address.Hash160(point)))), nil
	case wrapTaproot:
		key, err := schnorr.ParsePubKey(point[len(point)-32:])
		if err != nil {
			return nil, errors.New("the key is no point of the curve")
		}
		return scriptWitness(1, schnorr.SerializePubKey(txscript.ComputeTaprootKeyNoScript(key))), nil
	}
	return nil, errors.New("the descriptor is empty")
}

// descriptorChecksum returns the eight characters of BIP 380.
func descriptorChecksum(s string) (string, error) {
	const inputs = `0123456789()[],'/*abcdefgh@:$%{}` + `IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~` + "ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
	c := uint64(1)
	step := func(value int) {
		generator := [5]uint64{0xf5dee51989, 0xa9fdca3312, 0x1bab10e32d, 0x3706b1677a, 0x644d626ffd}
		top := c >> 35
		c = c&0x7ffffffff<<5 ^ uint64(value)
		for i, g := range generator {
			if top>>i&1 == 1 {
				c ^= g
			}
		}
	}
	class, classes := 0, 0
	for i := range len(s) {
		at := strings.IndexByte(inputs, s[i])
		if at < 0 {
			return "", errors.New("character " + strconv.Itoa(i+1) + " cannot be in a descriptor")
		}
		step(at & 31)
		class = class*3 + at>>5
		if classes++; classes == 3 {
			step(class)
			class, classes = 0, 0
		}
	}
	if classes > 0 {
		step(class)
	}
	for range 8 {
		step(0)
	}
	c ^= 1
	sum := make([]byte, 8)
	for i := range sum {
		// The same 32 characters as in bech32.
		sum[i] = cashCharset[c>>(5*(7-i))&31]
	}
	return string(sum), nil
}
