package bitcoin

import (
	"bytes"
	"fmt"

	"github.com/btcsuite/btcd/address/v2"

	"tallyd/chains"
)

// spendable is a coin and how it is spent.
type spendable struct {
	chains.Coin

	value int64
	kind  kind
	key   *knownKey // nil where nobody told whose it is
}

// knownKey is the public key behind a script, and where it comes from.
type knownKey struct {
	point  []byte
	origin keyOrigin
}

// keySize returns the length of the key that signing shows.
func (s spendable) keySize() int {
	if s.key != nil && len(s.key.point) != 32 {
		return len(s.key.point)
	}
	return keySize
}

// redeem returns the script that a P2SH coin shows when it is spent, or nil.
func (s spendable) redeem() []byte {
	if s.kind != kindNested {
		return nil
	}
	return scriptWitness(0, address.Hash160(s.key.point))
}

// keyring finds the keys of scripts. A wallet is read once.
type keyring struct {
	params  Params
	wallets map[string]Descriptor
}

func newKeyring(params Params) *keyring {
	return &keyring{params: params, wallets: map[string]Descriptor{}}
}

// find returns the key at a path, and the kind of script it makes, which must be
// the script given.
func (k *keyring) find(script []byte, path *chains.KeyPath) (*knownKey, kind, error) {
	wallet, ok := k.wallets[path.Wallet]
	if !ok {
		var err error
		if wallet, err = ParseDescriptor(k.params, path.Wallet); err != nil {
			return nil, 0, err
		}
		k.wallets[path.Wallet] = wallet
	}
	derived, err := wallet.Script(path.Branch, path.Index)
	if err != nil {
		return nil, 0, err
	}
	if !bytes.Equal(derived, script) {
		return nil, 0, fmt.Errorf("the key at branch %d, index %d of its wallet makes another script than %x", path.Branch, path.Index, script)
	}
	if wallet.fixed != nil {
		return nil, kindOf(script), nil
	}
	point, err := wallet.key.derive(path.Branch, path.Index)
	if err != nil {
		return nil, 0, err
	}
	return &knownKey{point: point, origin: wallet.key.path(path.Branch, path.Index)}, wallet.wrap.kind(), nil
}

// kind returns how the scripts of a descriptor are spent.
func (w wrapper) kind() kind {
	switch w {
	case wrapPubKey:
		return kindPubKey
	case wrapPubKeyHash:
		return kindPubKeyHash
	case wrapWitness:
		return kindWitness
	case wrapNestedWitness:
		return kindNested
	case wrapTaproot:
		return kindTaproot
	}
	return kindUnknown
}

// spendable finds out how a coin is spent.
func (k *keyring) spendable(coin chains.Coin) (spendable, error) {
	value, err := units("the coin", coin.Amount)
	if err != nil {
		return spendable{}, fmt.Errorf("coin %s: %w", coin.Outpoint, err)
	}
	s := spendable{Coin: coin, value: value, kind: kindOf(coin.Script)}
	if coin.Key != nil {
		if s.key, s.kind, err = k.find(coin.Script, coin.Key); err != nil {
			return spendable{}, fmt.Errorf("coin %s: %w", coin.Outpoint, err)
		}
	}
	if s.kind == kindUnknown {
		return spendable{}, fmt.Errorf("coin %s: spend script %s: %w", coin.Outpoint, coin.Script, chains.ErrUnsupported)
	}
	return s, nil
}
