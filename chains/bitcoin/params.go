package bitcoin

import (
	"bytes"
	"embed"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"tallyd/chains"
)

// Params are the constants of one chain of the bitcoin family. They come from a
// parameter file; a chain that is not built in is one more file.
type Params struct {
	Name        string             // of the file: mainnet, regtest, litecoin
	Symbol      string             // of the native coin
	Decimals    int                // of the native coin
	Environment chains.Environment //
	Mainnet     string             // name of the chain whose addresses developers paste here; "" for none
	Genesis     chains.Hash        //
	Reference   string             // of CAIP-2 in the namespace bip122, 32 hex digits
	CoinType    uint32             // SLIP-44
	Maturity    uint64             // blocks before a coinbase output can be spent

	PowLimit uint32 // easiest target allowed, in compact form
	PowHash  PowHash

	RelayFee int64 // least rate that nodes relay, in base units for 1000 virtual bytes; a replacement pays as much more
	DustFee  int64 // rate that makes an output dust when creating and spending it costs more than it holds; 0 where Dust alone counts
	Dust     int64 // least that any output holds

	PubKeyHash   []byte        // version bytes of P2PKH addresses; the first is the one written
	ScriptHash   []byte        // version bytes of P2SH addresses; the first is the one written
	Bech32       string        // human-readable part of BIP 173; "" without segregated witness
	CashAddr     string        // prefix of CashAddr, the form then written; "" elsewhere
	ExtendedKeys []ExtendedKey // known spellings of extended public keys; the first is the one written

	SegWit     bool   // transactions may carry a witness (BIP 144)
	MWEB       bool   // blocks may end in an extension block (LIP-0003)
	AuxPow     bool   // blocks may be merge-mined under a parent chain
	AuxChainID uint32 // this chain's number in the parent's merged mining tree
	CashTokens bool   // outputs may carry a token prefix before their script (CHIP-2022-02)
}

// PowHash names the hash that a chain's proof of work is made with.
type PowHash string

// The hashes of proof of work.
const (
	Sha256d PowHash = "sha256d"
	Scrypt  PowHash = "scrypt"
)

// ExtendedKey is one spelling of extended public keys (BIP 32, SLIP-132).
type ExtendedKey struct {
	Prefix  string // xpub
	Version uint32 // 0x0488b21e
	Script  string // what a bare key of this spelling means: pkh, sh(wpkh) or wpkh
}

//go:embed params/*.json
var paramFiles embed.FS

// ParamsByName returns the parameters of a built-in chain. An unknown name is an
// error that lists those there are.
func ParamsByName(name string) (Params, error) {
	names := ParamsNames()
	for _, known := range names {
		if known == name {
			file, err := paramFiles.ReadFile("params/" + name + ".json")
			if err != nil {
				return Params{}, fmt.Errorf("read parameters of %s: %w", name, err)
			}
			return ParseParams(file)
		}
	}
	return Params{}, fmt.Errorf("no bitcoin network is called %q; there are %s", name, strings.Join(names, ", "))
}

// ParamsNames returns the names of the built-in chains in alphabetical order.
func ParamsNames() []string {
	// The pattern is constant and well formed, so that Glob cannot fail.
	files, _ := fs.Glob(paramFiles, "params/*.json")
	names := make([]string, len(files))
	for i, file := range files {
		names[i] = strings.TrimSuffix(strings.TrimPrefix(file, "params/"), ".json")
	}
	return names
}

// paramFile is the form of a parameter file.
type paramFile struct {
	Name         string             `json:"name"`
	Symbol       string             `json:"symbol"`
	Decimals     int                `json:"decimals"`
	Environment  chains.Environment `json:"environment"`
	Mainnet      string             `json:"mainnet"`
	Genesis      string             `json:"genesis"`
	Reference    string             `json:"reference"`
	CoinType     uint32             `json:"coin_type"`
	Maturity     uint64             `json:"maturity"`
	PowLimit     string             `json:"pow_limit"`
	PowHash      PowHash            `json:"pow_hash"`
	RelayFee     int64              `json:"relay_fee"`
	DustFee      int64              `json:"dust_fee"`
	Dust         int64              `json:"dust"`
	PubKeyHash   []int              `json:"pubkey_hash"`
	ScriptHash   []int              `json:"script_hash"`
	Bech32       string             `json:"bech32"`
	CashAddr     string             `json:"cashaddr"`
	ExtendedKeys []extendedKeyFile  `json:"extended_keys"`
	SegWit       bool               `json:"segwit"`
	MWEB         bool               `json:"mweb"`
	AuxPow       bool               `json:"auxpow"`
	AuxChainID   uint32             `json:"aux_chain_id"`
	CashTokens   bool               `json:"cashtokens"`
}

type extendedKeyFile struct {
	Prefix  string `json:"prefix"`
	Version string `json:"version"`
	Script  string `json:"script"`
}

// ParseParams reads a parameter file. Unknown keys and missing values are errors.
func ParseParams(file []byte) (Params, error) {
	var f paramFile
	decoder := json.NewDecoder(bytes.NewReader(file))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&f); err != nil {
		return Params{}, fmt.Errorf("parse chain parameters: %w", err)
	}
	p, err := f.params()
	if err != nil {
		return Params{}, fmt.Errorf("parse chain parameters of %q: %w", f.Name, err)
	}
	return p, nil
}

func (f paramFile) params() (Params, error) {
	p := Params{
		Name: f.Name, Symbol: f.Symbol, Decimals: f.Decimals, Environment: f.Environment, Mainnet: f.Mainnet,
		Reference: f.Reference, CoinType: f.CoinType, Maturity: f.Maturity, PowHash: f.PowHash,
		RelayFee: f.RelayFee, DustFee: f.DustFee, Dust: f.Dust,
		Bech32: f.Bech32, CashAddr: f.CashAddr,
		SegWit: f.SegWit, MWEB: f.MWEB, AuxPow: f.AuxPow, AuxChainID: f.AuxChainID, CashTokens: f.CashTokens,
	}
	var errs [4]error
	p.Genesis, errs[0] = chains.ParseHash(f.Genesis)
	p.PowLimit, errs[1] = parseHex32("pow_limit", f.PowLimit)
	p.PubKeyHash, errs[2] = versionBytes("pubkey_hash", f.PubKeyHash)
	p.ScriptHash, errs[3] = versionBytes("script_hash", f.ScriptHash)
	if err := errors.Join(errs[:]...); err != nil {
		return Params{}, err
	}
	for _, k := range f.ExtendedKeys {
		version, err := parseHex32("version of "+k.Prefix, k.Version)
		if err != nil {
			return Params{}, err
		}
		p.ExtendedKeys = append(p.ExtendedKeys, ExtendedKey{Prefix: k.Prefix, Version: version, Script: k.Script})
	}
	return p, p.check()
}

func (p Params) check() error {
	if _, err := hex.DecodeString(p.Reference); err != nil || len(p.Reference) != 32 {
		return errors.New("reference is not 32 hex digits")
	}
	switch {
	case p.Name == "":
		return errors.New("name is missing")
	case p.Symbol == "":
		return errors.New("symbol is missing")
	case p.Environment != chains.Live && p.Environment != chains.Test:
		return errors.New("environment is neither live nor test")
	case p.PowHash != Sha256d && p.PowHash != Scrypt:
		return errors.New("pow_hash is neither sha256d nor scrypt")
	case p.Maturity == 0:
		return errors.New("maturity is missing")
	case p.RelayFee <= 0:
		return errors.New("relay_fee is missing")
	case p.DustFee <= 0 && p.Dust <= 0:
		return errors.New("dust_fee and dust are missing")
	case len(p.ExtendedKeys) == 0:
		return errors.New("extended_keys are missing")
	}
	if _, ok := target(p.PowLimit); !ok {
		return errors.New("pow_limit is no target")
	}
	for _, k := range p.ExtendedKeys {
		if k.Script != "pkh" && k.Script != "sh(wpkh)" && k.Script != "wpkh" {
			return fmt.Errorf("script of %s is neither pkh, sh(wpkh) nor wpkh", k.Prefix)
		}
	}
	return nil
}

func parseHex32(what, s string) (uint32, error) {
	n, err := strconv.ParseUint(s, 16, 32)
	if err != nil || len(s) != 8 {
		return 0, fmt.Errorf("%s is not 8 hex digits", what)
	}
	return uint32(n), nil
}

func versionBytes(what string, versions []int) ([]byte, error) {
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s is missing", what)
	}
	b := make([]byte, len(versions))
	for i, v := range versions {
		if v < 0 || v > 255 {
			return nil, fmt.Errorf("%s: %d is not a byte", what, v)
		}
		b[i] = byte(v)
	}
	return b, nil
}

// CAIP2 returns the identifier of the chain, such as
// bip122:000000000019d6689c085ae165831e93.
func (p Params) CAIP2() string { return "bip122:" + p.Reference }
