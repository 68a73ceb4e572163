package evm

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"math/big"
	"strings"

	"github.com/decred/dcrd/dcrec/secp256k1/v4"
	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"golang.org/x/crypto/ripemd160" //nolint:staticcheck // BIP 32 names keys by it
)

// hardened is the first index whose key only the private key derives (BIP 32).
const hardened = 1 << 31

var (
	errPrivateKey = errors.New("it holds a private key; give the public key, tallyd never takes a private one")
	errKey        = errors.New("it is no extended public key")
	errKeySum     = errors.New("the checksum of its key is wrong")
)

// The versions of serialized keys that have a name (BIP 32, SLIP-132). EVM wallets
// write the first on every network.
const (
	versionXpub = 0x0488b21e
	versionTpub = 0x043587cf
)

// extendedKey is a public key that others are derived from: BIP 32.
type extendedKey struct {
	point [33]byte
	code  [32]byte
	depth int
}

// parseExtendedKey reads an xpub. No error repeats any of it.
func parseExtendedKey(text string) (extendedKey, error) {
	if len(text) > 4 && text[1:4] == "prv" {
		return extendedKey{}, errPrivateKey
	}
	raw, err := decodeBase58(text)
	if err != nil {
		return extendedKey{}, err
	}
	const size = 78
	switch {
	case len(raw) == size+4 && raw[45] == 0, len(raw) == 37, len(raw) == 38:
		return extendedKey{}, errPrivateKey // extended, or in wallet import format
	case len(raw) != size+4:
		return extendedKey{}, errKey
	}
	payload := raw[:size]
	first := sha256.Sum256(payload)
	if sum := sha256.Sum256(first[:]); !bytes.Equal(sum[:4], raw[size:]) {
		return extendedKey{}, errKeySum
	}
	switch version := binary.BigEndian.Uint32(payload); version {
	case versionXpub:
	case versionTpub:
		return extendedKey{}, errors.New("a key that starts with tpub is one of a bitcoin test network; EVM keys start with xpub on every network")
	default:
		return extendedKey{}, errors.New("its version is one of another chain; EVM keys start with xpub")
	}
	key := extendedKey{depth: int(payload[4]), code: [32]byte(payload[13:45]), point: [33]byte(payload[45:])}
	if _, err := secp256k1.ParsePubKey(key.point[:]); err != nil {
		return extendedKey{}, errKey
	}
	if key.depth == 0 && !bytes.Equal(payload[5:13], make([]byte, 8)) {
		return extendedKey{}, errKey // a root that says it has a parent
	}
	return key, nil
}

// decodeBase58 reads digits of base 58 with the checksum still behind.
func decodeBase58(text string) ([]byte, error) {
	const digits = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
	if len(text) > 120 {
		return nil, errKey
	}
	n, base := new(big.Int), big.NewInt(int64(len(digits)))
	for i := range len(text) {
		digit := strings.IndexByte(digits, text[i])
		if digit < 0 {
			return nil, errKey
		}
		n.Add(n.Mul(n, base), big.NewInt(int64(digit)))
	}
	zeros := len(text) - len(strings.TrimLeft(text, digits[:1]))
	return append(make([]byte, zeros), n.Bytes()...), nil
}

// child derives the public key at an index that is not hardened. Once in 2^127 an
// index has none.
func (k extendedKey) child(index uint32) (extendedKey, error) {
	mac := hmac.New(sha512.New, k.code[:])
	mac.Write(k.point[:])
	mac.Write(binary.BigEndian.AppendUint32(nil, index))
	sum := mac.Sum(nil)

	parent, err := secp256k1.ParsePubKey(k.point[:])
	if err != nil {
		return extendedKey{}, errKey
	}
	var step secp256k1.ModNScalar
	if overflow := step.SetByteSlice(sum[:32]); overflow || index >= hardened {
		return extendedKey{}, errors.New("there is no key at this index")
	}
	var from, by, to secp256k1.JacobianPoint
	parent.AsJacobian(&from)
	secp256k1.ScalarBaseMultNonConst(&step, &by)
	secp256k1.AddNonConst(&from, &by, &to)
	if to.Z.IsZero() {
		return extendedKey{}, errors.New("there is no key at this index")
	}
	to.ToAffine()
	point := secp256k1.NewPublicKey(&to.X, &to.Y).SerializeCompressed()
	return extendedKey{point: [33]byte(point), code: [32]byte(sum[32:]), depth: k.depth + 1}, nil
}

// address returns the account that the key signs for.
func (k extendedKey) address() (common.Address, error) {
	key, err := crypto.DecompressPubkey(k.point[:])
	if err != nil {
		return common.Address{}, errKey
	}
	return crypto.PubkeyToAddress(*key), nil
}

// fingerprint returns the first bytes of the key's hash, by which BIP 32 names it.
func (k extendedKey) fingerprint() [4]byte {
	inner := sha256.Sum256(k.point[:])
	hash := ripemd160.New()
	hash.Write(inner[:])
	return [4]byte(hash.Sum(nil))
}
