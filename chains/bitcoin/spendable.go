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
	size  int       // of the key that signing shows
	key   *knownKey // nil before it is derived, and where nobody told whose it is
}

// knownKey is the public key behind a script, and where it comes from.
type knownKey struct {
	point  []byte
	origin keyOrigin
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

// wallet returns a wallet by its text.
func (k *keyring) wallet(text string) (Descriptor, error) {
	if wallet, ok := k.wallets[text]; ok {
		return wallet, nil
	}
	wallet, err := ParseDescriptor(k.params, text)
	if err == nil {
		k.wallets[text] = wallet
	}
	return wallet, err
}

// find returns the key at a path, and the kind of script it makes, which must be
// the script given. The key is nil if the wallet knows the script alone.
func (k *keyring) find(script []byte, path *chains.KeyPath) (*knownKey, kind, error) {
	wallet, err := k.wallet(path.Wallet)
	if err != nil {
		return nil, 0, err
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

// spendable finds out how a coin is spent. It derives no key: a pool has many coins
// and a transaction few.
func (k *keyring) spendable(coin chains.Coin) (spendable, error) {
	value, err := units("the coin", coin.Amount)
	if err != nil {
		return spendable{}, fmt.Errorf("coin %s: %w", coin.Outpoint, err)
	}
	s := spendable{Coin: coin, value: value, kind: kindOf(coin.Script), size: keySize}
	if coin.Key != nil {
		wallet, err := k.wallet(coin.Key.Wallet)
		if err != nil {
			return spendable{}, fmt.Errorf("coin %s: %w", coin.Outpoint, err)
		}
		if wallet.fixed == nil {
			s.kind = wallet.wrap.kind()
		}
		if len(wallet.key.point) > keySize {
			s.size = len(wallet.key.point) // not compressed
		}
	}
	if s.kind == kindUnknown {
		return spendable{}, fmt.Errorf("coin %s: spend script %s: %w", coin.Outpoint, coin.Script, chains.ErrUnsupported)
	}
	return s, nil
}

// derive finds the key of a coin that is to be spent.
func (k *keyring) derive(s *spendable) (err error) {
	if s.Key == nil {
		return nil
	}
	if s.key, s.kind, err = k.find(s.Script, s.Key); err != nil {
		return fmt.Errorf("coin %s: %w", s.Outpoint, err)
	}
	return nil
}
