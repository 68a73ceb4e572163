package bitcoin_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// tpub is the account key of BIP 84's test vectors, as a test network spells it.
const tpub = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"

func TestWalletTexts(t *testing.T) {
	t.Parallel()
	source := open(t, chains.Spec{Network: "regtest", Upstreams: []chains.Upstream{{URL: "http://127.0.0.1:1"}}})
	for name, tt := range map[string]struct {
		text     string
		ok       bool
		branches uint32
		fails    bool
	}{
		"Address":    {text: "mrcNu71ztWjAQA6ww9kHiW3zBWSQidHXTQ"},
		"Rubbish":    {text: "hello"},
		"Empty":      {text: ""},
		"Key":        {text: tpub, ok: true, branches: 2},
		"Descriptor": {text: " wpkh(" + tpub + "/<0;1>/*) ", ok: true, branches: 2},
		"OneBranch":  {text: "wpkh(" + tpub + "/0/*)", ok: true, branches: 1},
		"Misspelt":   {text: strings.Replace(tpub, "g", "h", 1), ok: true, fails: true},
		"Unknown":    {text: "multi(1,2)", ok: true, fails: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wallet, ok, err := source.ParseWallet(tt.text)
			require.Equal(t, tt.ok, ok)
			if tt.fails || !ok {
				require.Equal(t, tt.fails, err != nil)
				require.Nil(t, wallet)
				return
			}
			require.NoError(t, err)
			require.Equal(t, tt.branches, wallet.Branches())
			require.True(t, wallet.Ranged())
			again, _, err := source.ParseWallet(wallet.Canonical())
			require.NoError(t, err)
			for branch := range wallet.Branches() {
				script, err := wallet.Script(branch, 7)
				require.NoError(t, err)
				same, err := again.Script(branch, 7)
				require.NoError(t, err)
				require.Equal(t, script, same)
				back, _, err := source.ParseAddress(source.FormatAddress(script))
				require.NoError(t, err)
				require.Equal(t, script, back)
			}
			_, err = wallet.Script(wallet.Branches(), 0)
			require.Error(t, err)
		})
	}
}

func TestMainnetAddressesAreForDevelopmentOnly(t *testing.T) {
	t.Parallel()
	const mainnet = "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"
	spec := chains.Spec{Network: "regtest", Upstreams: []chains.Upstream{{URL: "http://127.0.0.1:1"}}}
	_, _, err := open(t, spec).ParseAddress(mainnet)
	require.ErrorContains(t, err, "mainnet")
	spec.MainnetAddresses = true
	_, canonical, err := open(t, spec).ParseAddress(" " + mainnet + "\n")
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(canonical, "bcrt1q"), "it is stored as this chain spells it")
}
