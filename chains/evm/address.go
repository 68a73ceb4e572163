package evm

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"
)

// errAddress says that a text is no address of an EVM network.
var errAddress = errors.New("not an address of this network")

// ParseAddress implements chains.Source. It takes 0x and 40 hexadecimal digits,
// all in one case or in the checksummed spelling of EIP-55, which is the
// canonical one.
func (s *Source) ParseAddress(address string) (script []byte, canonical string, err error) {
	return parseAddress(address)
}

// FormatAddress implements chains.Source: it returns the spelling of EIP-55, or
// "" for a script that has not 20 bytes.
func (s *Source) FormatAddress(script []byte) string {
	if len(script) != common.AddressLength {
		return ""
	}
	return common.Address(script).Hex()
}

func parseAddress(text string) (script []byte, canonical string, err error) {
	text = strings.TrimSpace(text)
	digits, found := strings.CutPrefix(text, "0x")
	if !found {
		digits, found = strings.CutPrefix(text, "0X")
	}
	switch {
	case text == "":
		return nil, "", fmt.Errorf("%w: it is empty", errAddress)
	case !found && looksLikeBitcoin(text):
		return nil, "", fmt.Errorf("%w: it looks like an address of a bitcoin-like network; an EVM address begins with 0x", errAddress)
	case !found && strings.Contains(text, "."):
		return nil, "", fmt.Errorf("%w: it looks like a name; give the address that the name stands for", errAddress)
	case !found:
		return nil, "", fmt.Errorf("%w: it does not begin with 0x", errAddress)
	case len(digits) == 64:
		return nil, "", fmt.Errorf("%w: 64 digits after 0x are a transaction hash or a key, an address has 40", errAddress)
	case len(digits) != 40:
		return nil, "", fmt.Errorf("%w: %d digits after 0x, an address has 40", errAddress, len(digits))
	}
	script, err = hex.DecodeString(digits)
	if err != nil {
		return nil, "", fmt.Errorf("%w: it holds a character that is no hexadecimal digit", errAddress)
	}
	canonical = common.Address(script).Hex()
	oneCase := digits == strings.ToLower(digits) || digits == strings.ToUpper(digits)
	if !oneCase && digits != canonical[2:] {
		return nil, "", fmt.Errorf("%w: its upper and lower case letters do not match its checksum, so it is probably mistyped", errAddress)
	}
	return script, canonical, nil
}

// looksLikeBitcoin tells a foreign address well enough to say so.
func looksLikeBitcoin(text string) bool {
	lower := strings.ToLower(text)
	for _, prefix := range []string{"bc1", "tb1", "bcrt1", "ltc1", "tltc1", "rltc1", "bitcoincash:", "sb1"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	return len(text) >= 26 && len(text) <= 35 && strings.ContainsRune("123mnLMDAX", rune(text[0]))
}
