package bitcoin

import (
	"errors"
	"fmt"
	"strings"

	"github.com/btcsuite/btcd/address/v2/base58"
	"github.com/btcsuite/btcd/address/v2/bech32"
)

// ErrAddress says that a text is not an address of the chain. The error that
// wraps it says why, in words for the person who typed it.
var ErrAddress = errors.New("invalid address")

// maxAddress is longer than any address.
const maxAddress = 120

// spelling is the form of an address.
type spelling int

const (
	spelledBase58 spelling = iota
	spelledBech32
	spelledCash
)

// decoded is an address before it is known which chain it belongs to.
type decoded struct {
	spelling spelling
	prefix   string // of bech32 and CashAddr
	version  byte   // of base58, the witness program, or the CashAddr type
	payload  []byte
}

// ScriptFromAddress returns the script that an address pays to: P2PKH, P2SH, a
// witness program of BIP 173 or BIP 350, or CashAddr where the chain has it. With
// acceptMainnet the spellings of the chain's mainnet are accepted too. Every error
// wraps ErrAddress.
func ScriptFromAddress(params Params, s string, acceptMainnet bool) ([]byte, error) {
	a, err := decodeAddress(params, s)
	if err != nil {
		return nil, err
	}
	if script := a.script(params); script != nil {
		return script, nil
	}
	if acceptMainnet && params.Mainnet != "" {
		mainnet, err := ParamsByName(params.Mainnet)
		if err != nil {
			return nil, err
		}
		if script := a.script(mainnet); script != nil {
			return script, nil
		}
	}
	if owners := a.owners(); len(owners) > 0 {
		return nil, fmt.Errorf("%w: it is an address of %s, this chain is %s",
			ErrAddress, strings.Join(owners, " or "), params.Name)
	}
	return nil, fmt.Errorf("%w: it belongs to no known chain of the bitcoin family", ErrAddress)
}

// AddressFromScript returns the address of a script, or "" if it has none.
func AddressFromScript(params Params, script []byte) string {
	if hash := pubKeyHashOf(script); hash != nil {
		if params.CashAddr != "" {
			return encodeCashAddr(params.CashAddr, cashPubKeyHash, hash)
		}
		return base58.CheckEncode(hash, params.PubKeyHash[0])
	}
	if hash := scriptHashOf(script); hash != nil {
		switch {
		case params.CashAddr != "":
			return encodeCashAddr(params.CashAddr, cashScriptHash, hash)
		case len(hash) == 20:
			return base58.CheckEncode(hash, params.ScriptHash[0])
		}
		return ""
	}
	if version, program := witnessOf(script); program != nil && params.Bech32 != "" {
		return encodeWitness(params.Bech32, version, program)
	}
	return ""
}

func decodeAddress(params Params, s string) (decoded, error) {
	switch {
	case s == "":
		return decoded{}, fmt.Errorf("%w: it is empty", ErrAddress)
	case len(s) > maxAddress:
		return decoded{}, fmt.Errorf("%w: it has %d characters, more than any address", ErrAddress, len(s))
	case isEVMAddress(s):
		return decoded{}, fmt.Errorf("%w: it is an address of an EVM chain, this chain is %s", ErrAddress, params.Name)
	}
	lower := strings.ToLower(s)
	if at := strings.LastIndexByte(lower, '1'); at > 0 {
		// One glance suffices for this chain's own addresses, and no base58 of
		// mixed case costs a search through all chains.
		own := lower[:at] == params.Bech32
		if own || (s == lower || s == strings.ToUpper(s)) && isBech32Prefix(lower[:at]) {
			return decodeBech32(s)
		}
	}
	if strings.Contains(s, ":") {
		return decodeCashAddr("", s)
	}
	payload, version, err := base58.CheckDecode(s)
	if err == nil && len(payload) == 20 {
		return decoded{spelling: spelledBase58, version: version, payload: payload}, nil
	}
	if params.CashAddr != "" {
		if a, err := decodeCashAddr(params.CashAddr, s); err == nil {
			return a, nil
		}
	}
	switch {
	case errors.Is(err, base58.ErrChecksum):
		return decoded{}, fmt.Errorf("%w: its checksum is wrong", ErrAddress)
	case err == nil:
		return decoded{}, fmt.Errorf("%w: it holds %d bytes, want 20", ErrAddress, len(payload))
	}
	return decoded{}, fmt.Errorf("%w: it is neither base58 nor bech32", ErrAddress)
}

func isEVMAddress(s string) bool {
	return len(s) == 42 && (strings.HasPrefix(s, "0x") || strings.HasPrefix(s, "0X"))
}

func isBech32Prefix(prefix string) bool {
	for _, name := range ParamsNames() {
		if params, err := ParamsByName(name); err == nil && params.Bech32 == prefix {
			return true
		}
	}
	return false
}

// decodeBech32 reads a witness program by BIP 173 or, from version 1 on, BIP 350.
func decodeBech32(s string) (decoded, error) {
	prefix, data, checksum, err := bech32.DecodeGeneric(s)
	if err != nil {
		if _, ok := errors.AsType[bech32.ErrInvalidChecksum](err); ok {
			return decoded{}, fmt.Errorf("%w: its checksum is wrong", ErrAddress)
		}
		return decoded{}, fmt.Errorf("%w: it is not bech32", ErrAddress)
	}
	if len(data) == 0 || data[0] > 16 {
		return decoded{}, fmt.Errorf("%w: its witness version is above 16 or missing", ErrAddress)
	}
	version := data[0]
	if (version == 0) != (checksum == bech32.Version0) {
		return decoded{}, fmt.Errorf("%w: its checksum is of another witness version (bech32 and bech32m)", ErrAddress)
	}
	program, err := bech32.ConvertBits(data[1:], 5, 8, false)
	if err != nil {
		return decoded{}, fmt.Errorf("%w: its last bits are not zero", ErrAddress)
	}
	if len(program) < 2 || len(program) > 40 || version == 0 && len(program) != 20 && len(program) != 32 {
		return decoded{}, fmt.Errorf("%w: a program of %d bytes is not possible in witness version %d",
			ErrAddress, len(program), version)
	}
	return decoded{spelling: spelledBech32, prefix: prefix, version: version, payload: program}, nil
}

func encodeWitness(prefix string, version byte, program []byte) string {
	data, err := bech32.ConvertBits(program, 8, 5, true)
	if err != nil {
		return ""
	}
	data = append([]byte{version}, data...)
	encode := bech32.EncodeM
	if version == 0 {
		if len(program) != 20 && len(program) != 32 {
			return ""
		}
		encode = bech32.Encode
	}
	s, err := encode(prefix, data)
	if err != nil {
		return ""
	}
	return s
}

// script returns the script of the address on a chain, or nil if it is not one of
// that chain.
func (a decoded) script(params Params) []byte {
	switch a.spelling {
	case spelledBase58:
		switch {
		case strings.IndexByte(string(params.PubKeyHash), a.version) >= 0:
			return scriptPubKeyHash(a.payload)
		case strings.IndexByte(string(params.ScriptHash), a.version) >= 0:
			return scriptScriptHash(a.payload)
		}
	case spelledBech32:
		if a.prefix == params.Bech32 {
			return scriptWitness(a.version, a.payload)
		}
	case spelledCash:
		if a.prefix != params.CashAddr {
			return nil
		}
		if a.version == cashPubKeyHash {
			return scriptPubKeyHash(a.payload)
		}
		return scriptScriptHash(a.payload)
	}
	return nil
}

// owners returns the names of the known chains that the address is one of.
func (a decoded) owners() []string {
	var owners []string
	for _, name := range ParamsNames() {
		if params, err := ParamsByName(name); err == nil && a.script(params) != nil {
			owners = append(owners, name)
		}
	}
	return owners
}
