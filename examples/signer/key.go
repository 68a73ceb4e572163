package main

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"github.com/btcsuite/btcd/address/v2"
	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/ethereum/go-ethereum/crypto"
)

const hardened = hdkeychain.HardenedKeyStart

// publicKey returns what tallyd derives addresses from: of bitcoin a descriptor of
// the account m/84h/1h/0h (BIP 84), of Ethereum the extended public key of the
// account m/44h/60h/0h (BIP 44). Both say where below the master key they are.
func publicKey(master *hdkeychain.ExtendedKey, chain string) (string, error) {
	switch chain {
	case "btc":
		key, err := derive(master, 84+hardened, 1+hardened, hardened)
		if err != nil {
			return "", err
		}
		public, err := key.Neuter()
		if err != nil {
			return "", fmt.Errorf("drop the private half: %w", err)
		}
		return fmt.Sprintf("wpkh([%s/84h/1h/0h]%s/<0;1>/*)", fingerprint(master), public), nil
	case "eth":
		key, err := derive(master, 44+hardened, 60+hardened, hardened)
		if err != nil {
			return "", err
		}
		public, err := key.Neuter()
		if err != nil {
			return "", fmt.Errorf("drop the private half: %w", err)
		}
		// Wallets of Ethereum know the version bytes of the main network only.
		main, err := public.CloneWithVersion(chaincfg.MainNetParams.HDPublicKeyID[:])
		if err != nil {
			return "", fmt.Errorf("set the version: %w", err)
		}
		return fmt.Sprintf("[%s/44h/60h/0h]%s", fingerprint(master), main), nil
	}
	return "", fmt.Errorf("chain %q is not btc or eth", chain)
}

// treasuryPath returns the path of the treasury's key: on the branch that no deposit
// address is on.
func treasuryPath() []uint32 { return []uint32{44 + hardened, 60 + hardened, hardened, 1, 0} }

// treasury returns the address that pays withdrawals on EVM chains.
func treasury(master *hdkeychain.ExtendedKey) (string, error) {
	key, err := derive(master, treasuryPath()...)
	if err != nil {
		return "", err
	}
	public, err := key.ECPubKey()
	if err != nil {
		return "", fmt.Errorf("read the key: %w", err)
	}
	return crypto.PubkeyToAddress(*public.ToECDSA()).Hex(), nil
}

func derive(key *hdkeychain.ExtendedKey, steps ...uint32) (*hdkeychain.ExtendedKey, error) {
	for _, step := range steps {
		child, err := key.Derive(step)
		if err != nil {
			return nil, fmt.Errorf("derive a key: %w", err)
		}
		key = child
	}
	return key, nil
}

// fingerprint names the master key (BIP 32).
func fingerprint(master *hdkeychain.ExtendedKey) string {
	public, err := master.ECPubKey()
	if err != nil {
		return ""
	}
	return hex.EncodeToString(address.Hash160(public.SerializeCompressed())[:4])
}

// parsePath reads fingerprint/44h/60h/0h/0/7, and refuses one of another master
// key. Nobody but us knows the key of the treasury: it comes without a path.
func parsePath(master *hdkeychain.ExtendedKey, path string) ([]uint32, error) {
	if path == "" {
		return treasuryPath(), nil
	}
	parts := strings.Split(path, "/")
	if parts[0] != fingerprint(master) {
		return nil, fmt.Errorf("path %q is of another key than %s", path, fingerprint(master))
	}
	steps := make([]uint32, 0, len(parts)-1)
	for _, part := range parts[1:] {
		digits := strings.TrimRight(part, "h'")
		n, err := strconv.ParseUint(digits, 10, 31)
		if err != nil {
			return nil, fmt.Errorf("path %q: %q is no step", path, part)
		}
		step := uint32(n)
		if digits != part {
			step += hardened
		}
		steps = append(steps, step)
	}
	return steps, nil
}
