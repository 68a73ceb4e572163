package bitcoin_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/bitcoin"
)

func TestAddressRoundTrip(t *testing.T) {
	t.Parallel()
	cases := []struct{ chain, address, script string }{
		// BIP 173 and BIP 350.
		{"mainnet", "BC1QW508D6QEJXTDG4Y5R3ZARVARY0C5XW7KV8F3T4", "0014751e76e8199196d454941c45d1b3a323f1433bd6"},
		{"testnet3", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "00201863143c14c5166804bd19203356da136c985678cd4d27a1b8c6329604903262"},
		{"mainnet", "bc1pw508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kt5nd6y", "5128751e76e8199196d454941c45d1b3a323f1433bd6751e76e8199196d454941c45d1b3a323f1433bd6"},
		{"mainnet", "BC1SW50QGDZ25J", "6002751e"},
		{"mainnet", "bc1zw508d6qejxtdg4y5r3zarvaryvaxxpcs", "5210751e76e8199196d454941c45d1b3a323"},
		{"testnet4", "tb1pqqqqp399et2xygdj5xreqhjjvcmzhxw4aywxecjdzew6hylgvsesf3hn0c", "5120000000c4a5cad46221b2a187905e5266362b99d5e91c6ce24d165dab93e86433"},
		{"mainnet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqzk5jj0", "512079be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"},
		{"mainnet", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa", "76a91462e907b15cbf27d5425399ebf6f0fb50ebb88f1888ac"},
		{"mainnet", "3P14159f73E4gFr7JterCCQh9QjiTjiZrG", "a914e9c3dd0c07aac76179ebc76a6c78d4d67c6c160a87"},
		{"bitcoincash", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"},
		{"bitcoincash", "bitcoincash:ppm2qsznhks23z7629mms6s4cwef74vcwvn0h829pq", "a91476a04053bda0a88bda5177b86a15c3b29f55987387"},
	}
	for _, c := range cases {
		t.Run(c.address, func(t *testing.T) {
			t.Parallel()
			params := mustParams(t, c.chain)
			script, err := bitcoin.ScriptFromAddress(params, c.address, false)
			require.NoError(t, err)
			require.Equal(t, c.script, hex.EncodeToString(script))
			want := c.address
			if strings.HasPrefix(want, "BC1") {
				want = strings.ToLower(want)
			}
			require.Equal(t, want, bitcoin.AddressFromScript(params, script))
		})
	}
}

func TestAddressOtherSpellings(t *testing.T) {
	t.Parallel()
	script := "76a91476a04053bda0a88bda5177b86a15c3b29f55987388ac"
	bch := mustParams(t, "bitcoincash")
	for _, s := range []string{
		"1BpEi6DfDAUFd7GtittLSdBeYJvcoaVggu",
		"qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a",
		"QPM2QSZNHKS23Z7629MMS6S4CWEF74VCWVY22GDX6A",
	} {
		got, err := bitcoin.ScriptFromAddress(bch, s, false)
		require.NoError(t, err, s)
		require.Equal(t, script, hex.EncodeToString(got))
	}
}

func TestAddressRefused(t *testing.T) {
	t.Parallel()
	const mainnet = "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa"
	cases := []struct{ chain, address, reason string }{
		{"mainnet", "", "it is empty"},
		{"mainnet", strings.Repeat("1", 1_000_000), "1000000 characters"},
		{"mainnet", "0x52908400098527886E0F7030069857D2E4169EE7", "an address of an EVM chain"},
		{"mainnet", mainnet[:33] + "b", "checksum is wrong"},
		{"simnet", mainnet, "it is an address of bitcoincash or mainnet, this chain is simnet"},
		{"mainnet", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", "an address of signet or testnet3 or testnet4, this chain is mainnet"},
		{"mainnet", "hello world", "neither base58 nor bech32"},
		{"mainnet", "xpub6H1LXWLaKsWFhvm6RVpEL9P4KfRZSW7abD2ttkWP3SSQvnyA8FSVqNTEcYFgJS2UaFcxupHiYkro49S8yGasTvXEYBVPamhGW6cFJodrTHy", "it holds"},
		// Invalid ones of BIP 173 and BIP 350.
		{"mainnet", "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t5", "checksum is wrong"},
		{"mainnet", "tc1qw508d6qejxtdg4y5r3zarvary0c5xw7kg3g4ty", "neither"},
		{"mainnet", "BC13W508D6QEJXTDG4Y5R3ZARVARY0C5XW7KN40WF2", "above 16"},
		{"mainnet", "bc1rw5uspcuh", "another witness version"},
		{"mainnet", "bc10w508d6qejxtdg4y5r3zarvary0c5xw7kw508d6qejxtdg4y5r3zarvary0c5xw7kw5rljs90", "invalid address"},
		{"mainnet", "BC1QR508D6QEJXTDG4Y5R3ZARVARYV98GJ9P", "a program of 16 bytes"},
		{"testnet3", "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sL5k7", "not bech32"},
		{"mainnet", "bc1zw508d6qejxtdg4y5r3zarvaryvqyzf3du", "invalid address"},
		{"mainnet", "bc1gmk9yu", "missing"},
		{"mainnet", "bc1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vqh2y7hd", "another witness version"},
		{"mainnet", "bc1p38j9r5y49hruaue7wxjce0updqjuyyx0kh56v8s25huc6995vvpql3jow4", "not bech32"},
		{"mainnet", "bc1pw5dgrnzv", "a program of 1 bytes"},
		{"testnet3", "tb1p0xlxvlhemja6c4dqv22uapctqupfhlxm9h8z3k2e72q4k9hcz7vpggkg4j", "last bits"},
		{"bitcoincash", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6q", "checksum is wrong"},
		{"mainnet", "bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "an address of bitcoincash"},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			_, err := bitcoin.ScriptFromAddress(mustParams(t, c.chain), c.address, false)
			require.ErrorIs(t, err, bitcoin.ErrAddress)
			require.ErrorContains(t, err, c.reason)
		})
	}
}

func TestAddressOfMainnetWhereAccepted(t *testing.T) {
	t.Parallel()
	const address = "bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4"
	simnet := mustParams(t, "simnet")
	script, err := bitcoin.ScriptFromAddress(simnet, address, true)
	require.NoError(t, err)
	require.Equal(t, "sb1", bitcoin.AddressFromScript(simnet, script)[:3])
	_, err = bitcoin.ScriptFromAddress(simnet, "tb1qrp33g0q5c5txsp9arysrx4k6zdkfs4nce4xj0gdcccefvpysxf3q0sl5k7", true)
	require.ErrorContains(t, err, "this chain is simnet")
}

func TestAddressOfScriptsWithoutOne(t *testing.T) {
	t.Parallel()
	for _, script := range []string{"", "6a", "51", "0014", "0013" + strings.Repeat("00", 19), "6102aabb", "aa20" + strings.Repeat("00", 32) + "87"} {
		require.Empty(t, bitcoin.AddressFromScript(mustParams(t, "mainnet"), unhex(t, script)), script)
	}
}

// FuzzAddress checks that what is accepted is written back as an address of the
// same script.
func FuzzAddress(f *testing.F) {
	for _, s := range []string{
		"bc1qw508d6qejxtdg4y5r3zarvary0c5xw7kv8f3t4", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
		"bitcoincash:qpm2qsznhks23z7629mms6s4cwef74vcwvy22gdx6a", "0x52908400098527886E0F7030069857D2E4169EE7", "",
	} {
		f.Add(s)
	}
	chains := []bitcoin.Params{mustParams(f, "mainnet"), mustParams(f, "litecoin"), mustParams(f, "bitcoincash")}
	f.Fuzz(func(t *testing.T, s string) {
		for _, params := range chains {
			script, err := bitcoin.ScriptFromAddress(params, s, true)
			if err != nil {
				require.ErrorIs(t, err, bitcoin.ErrAddress)
				continue
			}
			again, err := bitcoin.ScriptFromAddress(params, bitcoin.AddressFromScript(params, script), false)
			require.NoError(t, err)
			require.Equal(t, script, again)
		}
	})
}
