package evm

import (
	"crypto/pbkdf2"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/hdkeychain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
)

// The mnemonics that everybody knows: that of BIP 39's test vectors, and that of
// development nodes.
const (
	abandon = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
	junk    = "test test test test test test test test test test test junk"
)

// root derives what BIP 39 and BIP 32 make of a mnemonic, by another library than
// the one tested.
func root(t testing.TB, mnemonic string) *hdkeychain.ExtendedKey {
	t.Helper()
	seed, err := pbkdf2.Key(sha512.New, mnemonic, []byte("mnemonic"), 2048, 64)
	require.NoError(t, err)
	key, err := hdkeychain.NewMaster(seed, &chaincfg.MainNetParams)
	require.NoError(t, err)
	return key
}

func below(t testing.TB, key *hdkeychain.ExtendedKey, steps ...uint32) *hdkeychain.ExtendedKey {
	t.Helper()
	for _, step := range steps {
		var err error
		key, err = key.Derive(step)
		require.NoError(t, err)
	}
	return key
}

func public(t testing.TB, key *hdkeychain.ExtendedKey) string {
	t.Helper()
	neutered, err := key.Neuter()
	require.NoError(t, err)
	return neutered.String()
}

func fingerprintOf(t testing.TB, key *hdkeychain.ExtendedKey) string {
	t.Helper()
	point, err := key.ECPubKey()
	require.NoError(t, err)
	name := extendedKey{point: [33]byte(point.SerializeCompressed())}.fingerprint()
	return hex.EncodeToString(name[:])
}

func walletSource(environment chains.Environment) *Source {
	return &Source{chain: chains.Chain{Environment: environment}}
}

// TestWalletVectors derives the published addresses of known mnemonics from the
// public key of the account, and of its branch, in every spelling.
func TestWalletVectors(t *testing.T) {
	t.Parallel()
	for mnemonic, addresses := range map[string][]string{
		abandon: {"0x9858EfFD232B4033E47d90003D41EC34EcaEda94", "0x6Fac4D18c912343BF86fa7049364Dd4E424Ab9C0"},
		junk: {
			"0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "0x70997970C51812dc3A010C7d01b50e0d17dc79C8", "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC",
			"0x90F79bf6EB2c4f870365E785982E1f101E93b906", "0x15d34AAf54267DB7D7c367839AAf71A00a2C6A65",
		},
	} {
		master := root(t, mnemonic)
		account := below(t, master, 44+hardened, 60+hardened, hardened)
		name := fingerprintOf(t, master)
		for text, canonical := range map[string]string{
			public(t, account):                                              public(t, account) + "/0/*",
			public(t, account) + "/0/*":                                     public(t, account) + "/0/*",
			public(t, below(t, account, 0)):                                 public(t, below(t, account, 0)) + "/*",
			"[" + name + "/44h/60h/0h]" + public(t, account):                "[" + name + "/44h/60h/0h]" + public(t, account) + "/0/*",
			" [" + name + "/44'/60H/0']" + public(t, account) + "/0/*\n":    "[" + name + "/44h/60h/0h]" + public(t, account) + "/0/*",
			"[" + name + "/44h/60h/0h/0]" + public(t, below(t, account, 0)): "[" + name + "/44h/60h/0h/0]" + public(t, below(t, account, 0)) + "/*",
		} {
			w, ok, err := walletSource(chains.Live).ParseWallet(text)
			require.True(t, ok, text)
			require.NoError(t, err, text)
			require.Equal(t, canonical, w.Canonical())
			require.Equal(t, uint32(1), w.Branches())
			require.True(t, w.Ranged())
			again, _, err := walletSource(chains.Live).ParseWallet(w.Canonical())
			require.NoError(t, err)
			for i, want := range addresses {
				script, err := w.Script(0, uint32(i))
				require.NoError(t, err)
				require.Equal(t, want, (&Source{}).FormatAddress(script))
				same, err := again.Script(0, uint32(i))
				require.NoError(t, err)
				require.Equal(t, script, same)
			}
			if strings.Contains(text, "[") {
				require.Equal(t, name+"/44h/60h/0h/0/3", w.(*wallet).path(3))
			}
		}
	}
	require.Equal(t, "73c5da0a", fingerprintOf(t, root(t, abandon)), "as BIP 84's and 86's examples name it")
}

// TestWalletAsAnotherLibrary derives random keys as btcd does.
func TestWalletAsAnotherLibrary(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		key, err := hdkeychain.NewMaster(rapid.SliceOfN(rapid.Byte(), 16, 64).Draw(t, "seed"), &chaincfg.MainNetParams)
		require.NoError(t, err)
		steps := rapid.SliceOfN(rapid.Uint32Range(0, hardened-1), 1, 4).Draw(t, "steps")
		neutered, err := key.Neuter()
		require.NoError(t, err)
		var path strings.Builder
		for _, step := range steps {
			fmt.Fprintf(&path, "/%d", step)
			key, err = key.Derive(step)
			require.NoError(t, err)
		}
		secret, err := key.ECPrivKey()
		require.NoError(t, err)
		w, ok, err := walletSource(chains.Live).ParseWallet(neutered.String() + path.String())
		require.NoError(t, err)
		require.True(t, ok)
		require.False(t, w.Ranged())
		script, err := w.Script(0, 0)
		require.NoError(t, err)
		require.Equal(t, crypto.PubkeyToAddress(*secret.PubKey().ToECDSA()).Bytes(), script)
	})
}

func TestWalletRefused(t *testing.T) {
	t.Parallel()
	master := root(t, abandon)
	account := below(t, master, 44+hardened, 60+hardened, hardened)
	xpub, xprv, name := public(t, account), account.String(), fingerprintOf(t, master)
	const (
		wif  = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1"
		tpub = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"
		zpub = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
	)
	for text, says := range map[string]string{
		xprv:                               "private key",
		xprv[:60]:                          "private key",
		"[" + name + "/44h/60h/0h]" + xprv: "private key",
		"[" + name + "]" + wif:             "private key",
		tpub:                               "starts with tpub",
		zpub:                               "of another chain",
		xpub[:50] + "x" + xpub[51:]:        "checksum",
		xpub + "/0h/*":                     "hardened",
		xpub + "/*h":                       "not a number",
		xpub + "/*/0":                      "not a number",
		xpub + "/00/*":                     "not a number",
		xpub + "/+1/*":                     "not a number",
		xpub + "/":                         "not a number",
		xpub + "/2147483648":               "not a number",
		public(t, master):                  "neither the key of an account",
		public(t, below(t, account, 0, 0)): "neither the key of an account",
		"[" + name + "/44h/60h]" + xpub:    "3 steps below the root and its origin 2",
		"[" + name + "/44h/0h/0h]" + xpub:  "coin type 0",
		"[" + name + "/84h/0h/0h]" + xpub:  "coin type 0",
		"[" + name + "/44h/1h/0h]" + xpub:  "coin type 1",
		"[" + name + "/44h/60h/0h" + xpub:  "not closed",
		"[xyz/44h/60h/0h]" + xpub:          "fingerprint",
		"pkh(" + xpub + ")":                "no extended public key",
		strings.Repeat("[", 100_000):       "100000 characters",
		// BIP 32's invalid keys: a private version, private data, a point that is
		// none, a root with a parent, an unknown version.
		"xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm": "private key",
		"xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY": "no extended public key",
		"xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ": "no extended public key",
	} {
		w, ok, err := walletSource(chains.Live).ParseWallet(text)
		require.True(t, ok, text)
		require.ErrorIs(t, err, errWallet, text)
		require.ErrorContains(t, err, says, text)
		require.Nil(t, w)
		for _, secret := range []string{xprv[4:20], wif[:12], xpub[4:20]} {
			require.NotContains(t, err.Error(), secret)
		}
	}
	_, _, err := walletSource(chains.Test).ParseWallet("[" + name + "/44h/1h/0h]" + xpub)
	require.NoError(t, err, "coin type 1 stands for all test networks")
	for _, text := range []string{"", "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266", "hello", "0x" + strings.Repeat("ab", 32), strings.Repeat("ab", 32), wif} {
		_, ok, err := walletSource(chains.Live).ParseWallet(text)
		require.NoError(t, err)
		require.False(t, ok, text)
	}
	w, _, err := walletSource(chains.Live).ParseWallet(xpub)
	require.NoError(t, err)
	_, err = w.Script(1, 0)
	require.Error(t, err)
	_, err = w.Script(0, hardened)
	require.Error(t, err)
}

// FuzzWallet checks that what is accepted has a canonical form that means the same,
// and that no error repeats a text that could be a key.
func FuzzWallet(f *testing.F) {
	account := public(f, below(f, root(f, abandon), 44+hardened, 60+hardened, hardened))
	for _, text := range []string{account, account + "/0/*", "[73c5da0a/44h/60h/0h]" + account + "/1/2/*", account[:60]} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		w, ok, err := walletSource(chains.Live).ParseWallet(text)
		if err != nil {
			require.ErrorIs(t, err, errWallet)
			if len(text) > 40 {
				require.NotContains(t, err.Error(), text)
			}
			return
		}
		if !ok {
			return
		}
		again, ok, err := walletSource(chains.Live).ParseWallet(w.Canonical())
		require.NoError(t, err)
		require.True(t, ok)
		require.Equal(t, w.Canonical(), again.Canonical())
		script, err := w.Script(0, 0)
		require.NoError(t, err)
		same, err := again.Script(0, 0)
		require.NoError(t, err)
		require.Equal(t, script, same)
	})
}
