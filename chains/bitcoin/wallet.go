package bitcoin

import (
	"strings"

	"tallyd/chains"
)

// ParseAddress returns the script of an address and the spelling this chain gives
// it. Where the chain is a development one and its Spec says so, spellings of the
// main network are accepted too.
func (s *Source) ParseAddress(address string) (script []byte, canonical string, err error) {
	script, err = ScriptFromAddress(s.params, strings.TrimSpace(address), s.mainnet)
	if err != nil {
		return nil, "", err
	}
	return script, AddressFromScript(s.params, script), nil
}

// FormatAddress returns the address of a script, or "" if it has none.
func (s *Source) FormatAddress(script []byte) string { return AddressFromScript(s.params, script) }

// longestAddress is longer than any address and shorter than any extended key.
const longestAddress = 100

// ParseWallet returns the derivation of an extended public key or a descriptor.
// ok is false for what should be read as an address.
func (s *Source) ParseWallet(text string) (w chains.Wallet, ok bool, err error) {
	text = strings.TrimSpace(text)
	if !strings.Contains(text, "(") && len(text) < longestAddress {
		return nil, false, nil
	}
	descriptor, err := ParseDescriptor(s.params, text)
	if err != nil {
		return nil, true, err
	}
	return wallet{descriptor}, true, nil
}

// wallet is a Descriptor in the words of package chains.
type wallet struct{ Descriptor }

// Canonical returns the descriptor with its checksum.
func (w wallet) Canonical() string { return w.String() }

// Branches returns how many chains of scripts there are.
func (w wallet) Branches() uint32 { return uint32(w.Descriptor.Branches()) } //nolint:gosec // one or two
