package bitcoin_test

import (
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/bitcoin"
)

// Account keys of the mnemonic "abandon … about", from BIP 44, 49, 84 and 86.
const (
	xpub44 = "xpub6BosfCnifzxcFwrSzQiqu2DBVTshkCXacvNsWGYJVVhhawA7d4R5WSWGFNbi8Aw6ZRc1brxMyWMzG3DSSSSoekkudhUd9yLb6qx39T9nMdj"
	upub49 = "upub5EFU65HtV5TeiSHmZZm7FUffBGy8UKeqp7vw43jYbvZPpoVsgU93oac7Wk3u6moKegAEWtGNF8DehrnHtv21XXEMYRUocHqguyjknFHYfgY"
	zpub84 = "zpub6rFR7y4Q2AijBEqTUquhVz398htDFrtymD9xYYfG1m4wAcvPhXNfE3EfH1r1ADqtfSdVCToUG868RvUUkgDKf31mGDtKsAYz2oz2AGutZYs"
	xpub86 = "xpub6BgBgsespWvERF3LHQu6CnqdvfEvtMcQjYrcRzx53QJjSxarj2afYWcLteoGVky7D3UKDP9QyrLprQ3VCECoY49yfdDEHGCtMMj92pReUsQ"
)

func TestDescriptorAddresses(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name, chain, descriptor string
		branch, index           uint32
		address                 string
	}{
		{"BIP44", "mainnet", xpub44, 0, 0, "1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA"},
		{"BIP49", "testnet3", upub49, 0, 0, "2Mww8dCYPUpKHofjgcXcBCEGmniw9CoaiD2"},
		{"BIP84", "mainnet", zpub84, 0, 0, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"},
		{"BIP84Second", "mainnet", zpub84, 0, 1, "bc1qnjg0jd8228aq7egyzacy8cys3knf9xvrerkf9g"},
		{"BIP84Change", "mainnet", zpub84, 1, 0, "bc1q8c6fshw2dlwun7ekn9qwf37cu2rn755upcp6el"},
		{"BIP86", "mainnet", "tr(" + xpub86 + "/<0;1>/*)", 0, 0, "bc1p5cyxnuxmeuwuvkwfem96lqzszd02n6xdcjrs20cac6yqjjwudpxqkedrcr"},
		{"BIP86Second", "mainnet", "tr([73c5da0a/86'/0'/0']" + xpub86 + "/0/*)", 0, 1, "bc1p4qhjn9zdvkux4e44uhx8tc55attvtyu358kutcqkudyccelu0was9fqzwh"},
		{"BIP86Change", "mainnet", "tr(" + xpub86 + "/1/0)", 0, 0, "bc1p3qkhfews2uk44qtvauqyr2ttdsw7svhkl9nkm9s9c3x4ax5h60wqwruhk7"},
		{"Address", "mainnet", "addr(BC1QCR8TE4KR609GCAWUTMRZA0J4XV80JY8Z306FYU)", 0, 0, "bc1qcr8te4kr609gcawutmrza0j4xv80jy8z306fyu"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			params := mustParams(t, c.chain)
			d, err := bitcoin.ParseDescriptor(params, c.descriptor)
			require.NoError(t, err)
			script, err := d.Script(c.branch, c.index)
			require.NoError(t, err)
			require.Equal(t, c.address, bitcoin.AddressFromScript(params, script))
			_, err = d.Script(uint32(d.Branches()), 0)
			require.Error(t, err)
			_, err = d.Script(0, 1<<31)
			require.Error(t, err)
		})
	}
}

func TestDescriptorScripts(t *testing.T) {
	t.Parallel()
	// BIP 380 to 386.
	for descriptor, want := range map[string]string{
		"raw(deadbeef)#89f8spxm": "deadbeef",
		"raw(DEADBEEF)":          "deadbeef",
		"pkh(02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5)":      "76a91406afd46bcdfd22ef94ac122aa11f241244a37ecc88ac",
		"wpkh(02f9308a019258c31049344f85f89d5229b531c845836f99b08601f113bce036f9)":     "00147dd65592d0ab2fe0d0257d571abf032cd9db93dc",
		"sh(wpkh(03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556))": "a914cc6ffbc0bf31af759451068f90ba7a0272b6b33287",
		"pk(03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd)":       "2103a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bdac",
		"tr(a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd)":         "512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11",
	} {
		d, err := bitcoin.ParseDescriptor(mustParams(t, "mainnet"), descriptor)
		require.NoError(t, err, descriptor)
		require.False(t, d.Ranged())
		require.Equal(t, 1, d.Branches())
		script, err := d.Script(0, 0)
		require.NoError(t, err, descriptor)
		require.Equal(t, want, hex.EncodeToString(script), descriptor)
		_, err = d.Script(0, 1)
		require.Error(t, err, descriptor)
	}
}

// TestDescriptorVectors holds the public vectors of BIP 380 to 386 for descriptors of
// one key: those that derive list their first scripts.
func TestDescriptorVectors(t *testing.T) {
	t.Parallel()
	const (
		compressed   = "03a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd"
		uncompressed = "04a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd5b8dec5235a0fa8722476c7709c02559e3aa73aa03918ba2d492eea75abea235"
		multisig     = "5121" + compressed + "41" + uncompressed + "52ae"
	)
	for descriptor, scripts := range map[string][]string{
		// BIP 381.
		"pk(" + compressed + ")":                      {"21" + compressed + "ac"},
		"pk(" + uncompressed + ")":                    {"41" + uncompressed + "ac"},
		"pkh(" + uncompressed + ")":                   {"76a914b5bd079c4d57cc7fc28ecf8213a6b791625b818388ac"},
		"pkh([deadbeef/1/2'/3/4']" + compressed + ")": {"76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"},
		"pkh([deadbeef/1/2h/3/4h]" + compressed + ")": {"76a9149a1c78a507689f6f54b847ad1cef1e614ee23f1e88ac"},
		"pkh([bd16bee5/2147483647h]xpub69H7F5dQzmVd3vPuLKtcXJziMEQByuDidnX3YdwgtNsecY5HRGtAAQC5mXTt4dsv9RzyjgDjAQs9VGVV6ydYCHnprc9vvaA5YtqWyL6hyds/0)": {"76a914ebdc90806a9c4356c1c88e42216611e1cb4c1c1788ac"},
		"pk(xpub68NZiKmJWnxxS6aaHmn81bvJeTESw724CRDs6HbuccFQN9Ku14VQrADWgqbhhTHBaohPX4CjNLf9fq9MYo6oDaPPLPxSb7gwQN3ih19Zm4Y/0)":                        {"210379e45b3cf75f9c5f9befd8e9506fb962f6a9d185ac87001ec44a8d3df8d4a9e3ac"},
		// BIP 382.
		"wpkh(" + compressed + ")": {"00149a1c78a507689f6f54b847ad1cef1e614ee23f1e"},
		"wpkh([ffffffff/13']xpub69H7F5d8KSRgmmdJg2KhpAK8SR3DjMwAdkxj3ZuxV27CprR9LgpeyGmXUbC6wb7ERfvrnKZjXoUmmDznezpbZb7ap6r1D3tgFxHmwMkQTPH/1/2/*)": {
			"0014326b2249e3a25d5dc60935f044ee835d090ba859", "0014af0bd98abc2f2cae66e36896a39ffe2d32984fb7", "00141fa798efd1cbf95cebf912c031b8a4a6e9fb9f27",
		},
		// BIP 385.
		"raw(" + multisig + ")":                               {multisig},
		"raw(a9149a4d9901d6af519b2a23d4a2f51650fcba87ce7b87)": {"a9149a4d9901d6af519b2a23d4a2f51650fcba87ce7b87"},
		"addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j)":            {"a914eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee87"},
		// BIP 386.
		"tr(" + compressed[2:] + ")": {"512077aab6e066f8a7419c5ab714c12c67d25007ed55a43cadcacb4d7a970a093f11"},
	} {
		d, err := bitcoin.ParseDescriptor(mustParams(t, "mainnet"), descriptor)
		require.NoError(t, err, descriptor)
		for i, want := range scripts {
			script, err := d.Script(0, uint32(i))
			require.NoError(t, err, descriptor)
			require.Equal(t, want, hex.EncodeToString(script), descriptor)
		}
	}
	for _, key := range []string{ // BIP 380
		"0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600",
		uncompressed,
		"[deadbeef/0h/0h/0h]0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600",
		"[deadbeef/0'/0h/0']0260b2003c386519fc9eadf2b5cf124dd8eea4c4e68d5e154050a9346ea98ce600",
		xpub380, "[deadbeef/0h/1h/2h]" + xpub380, "[deadbeef/0h/1h/2h]" + xpub380 + "/3/4/5", "[deadbeef/0h/1h/2h]" + xpub380 + "/3/4/5/*",
	} {
		_, err := bitcoin.ParseDescriptor(mustParams(t, "mainnet"), "pkh("+key+")")
		require.NoError(t, err, key)
	}
	for _, descriptor := range []string{
		"pkh([deadbeef/0h/0h/0h/*]" + compressed + ")", "pkh([deadbeef/0h/0h/0h/]" + compressed + ")", "pkh([deadbef/0h/0h/0h]" + compressed + ")",
		"pkh([deadbeef/0h/0h/0h]" + xpub380 + "/3h/4h/5h/*)", "pkh(" + xpub380 + "/3h/4h/5h/*h)",
		"pk(pk(" + compressed + "))", "pkh(pk(" + compressed + "))", "sh(" + compressed + ")", "sh(sh(pkh(" + compressed + ")))",
		"wpkh(" + uncompressed + ")", "sh(wpkh(" + uncompressed + "))", "wsh(wpkh(" + compressed + "))", "wpkh(wsh(pkh(" + compressed + ")))",
		"raw(asdf)", "addr(asdf)", "sh(raw(deadbeef))", "wsh(raw(deadbeef))", "sh(addr(3PUNyaW7M55oKWJ3kDukwk9bsKvryra15j))",
		"tr(" + uncompressed + ")", "wsh(tr(" + compressed[2:] + "))", "sh(tr(" + compressed[2:] + "))",
	} {
		_, err := bitcoin.ParseDescriptor(mustParams(t, "mainnet"), descriptor)
		require.ErrorIs(t, err, bitcoin.ErrDescriptor, descriptor)
	}
}

// xpub380 is the extended key of BIP 380's vectors.
const xpub380 = "xpub6ERApfZwUNrhLCkDtcHTcxd75RbzS1ed54G1LkBUHQVHQKqhMkhgbmJbZRkrgZw4koxb5JaHWkY4ALHY2grBGRjaDMzQLcgJvLJuZZvRcEL"

func TestDescriptorCanonicalForm(t *testing.T) {
	t.Parallel()
	mainnet := mustParams(t, "mainnet")
	for s, want := range map[string]string{
		"raw(deadbeef)": "raw(deadbeef)#89f8spxm",
		xpub44:          "pkh(" + xpub44 + "/<0;1>/*)",
		"pkh([D34DB33F/44'/0H/0h]" + xpub44 + "/1/*)": "pkh([d34db33f/44h/0h/0h]" + xpub44 + "/1/*)",
		"addr(1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA)":    "addr(1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA)",
	} {
		d, err := bitcoin.ParseDescriptor(mainnet, " "+s+"\n")
		require.NoError(t, err, s)
		require.True(t, strings.HasPrefix(d.String(), want), "%s is not %s", d, want)
		again, err := bitcoin.ParseDescriptor(mainnet, d.String())
		require.NoError(t, err, d.String())
		require.Equal(t, d.String(), again.String())
	}
	bare, err := bitcoin.ParseDescriptor(mainnet, zpub84)
	require.NoError(t, err)
	require.True(t, bare.Ranged())
	require.Equal(t, 2, bare.Branches())
	require.Regexp(t, `^wpkh\(xpub[^/]+/<0;1>/\*\)#.{8}$`, bare.String())
	three, err := bitcoin.ParseDescriptor(mainnet, "wpkh("+xpub44+"/7/<0;1;5>/8/*)")
	require.NoError(t, err)
	require.Equal(t, 3, three.Branches())
}

func TestDescriptorRefused(t *testing.T) {
	t.Parallel()
	const (
		xprv = "xprv9s21ZrQH143K3QTDL4LXw2F7HEK3wJUD2nW2nRk4stbPy6cq3jPPqjiChkVvvNKmPGJxWUtg6LnF5kejMRNNU3TGtRBeJgk33yuGBxrMPHi"
		wif  = "5KYZdUEo39z3FPrtuX2QbbwGnNP5zTd7yyr2SC1j299sBCnWjss"
		wif2 = "L4rK1yDtCWekvXuE6oXD9jCYfFNV2cWRpVuPLBcCU2z8TrisoyY1"
		key  = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5"
		long = "04a34b99f22c790c4e36b2b3c2c35a36db06226e41c692fc82b8b56ac1c540c5bd5b8dec5235a0fa8722476c7709c02559e3aa73aa03918ba2d492eea75abea235"
	)
	cases := []struct{ chain, descriptor, reason string }{
		{"mainnet", "", "it is empty"},
		{"mainnet", strings.Repeat("(", 100_000), "100000 characters"},
		{"mainnet", xprv, "private key"},
		{"mainnet", xprv[:80], "private key"},
		{"mainnet", wif, "private key"},
		{"mainnet", wif2, "private key"},
		{"mainnet", "pkh(" + xprv + "/0/*)", "private key"},
		{"mainnet", "wpkh([d34db33f/44']" + wif2 + ")", "private key"},
		{"mainnet", "tr(" + xprv + ")#89f8spxm", "checksum"},
		{"mainnet", "wsh(pk(" + key + "))", "not one of"},
		{"mainnet", "sh(pk(" + key + "))", "around wpkh() only"},
		{"mainnet", "multi(1," + key + ")", "not one of"},
		{"mainnet", "pkh(" + key, "parentheses"},
		{"mainnet", "pkh(" + key + "/0)", "not extended"},
		{"mainnet", "wpkh(" + long + ")", "compressed"},
		{"mainnet", "pkh(" + key[2:] + ")", "has 32"},
		{"mainnet", "pkh(03" + strings.Repeat("ff", 32) + ")", "neither"},
		{"mainnet", "pkh(" + xpub44 + "/0'/*)", "hardened"},
		{"mainnet", "pkh(" + xpub44 + "/*h)", "not a number"},
		{"mainnet", "pkh(" + xpub44 + "/*/0)", "not a number"},
		{"mainnet", "pkh(" + xpub44 + "/2147483648)", "not a number"},
		{"mainnet", "pkh(" + xpub44 + "/<0;0>/*)", "twice"},
		{"mainnet", "pkh(" + xpub44 + "/<0>/*)", "one choice"},
		{"mainnet", "pkh(" + xpub44 + "/<0;1>/<2;3>/*)", "one choice"},
		{"mainnet", "pkh([d34db33f/44h" + xpub44 + ")", "not closed"},
		{"mainnet", "pkh([xyz]" + xpub44 + ")", "fingerprint"},
		{"mainnet", "wpkh(" + zpub84 + "/0/*)", "written as xpub, not as zpub"},
		{"mainnet", xpub44[:110] + "x", "checksum of its key"},
		{"mainnet", upub49, "starts with upub does not belong"},
		{"dogecoin", "wpkh(" + xpub44 + "/0/*)", "segregated witness"},
		{"mainnet", "raw()", "in hex"},
		{"mainnet", "addr(0x52908400098527886E0F7030069857D2E4169EE7)", "EVM"},
		// BIP 380.
		{"mainnet", "raw(deadbeef)#", "checksum"},
		{"mainnet", "raw(deadbeef)#89f8spxmx", "checksum"},
		{"mainnet", "raw(deadbeef)#89f8spx", "checksum"},
		{"mainnet", "raw(deedbeef)#89f8spxm", "checksum"},
		{"mainnet", "raw(deadbeef)##9f8spxm", "checksum"},
		{"mainnet", "raw(Ü)#00000000", "character 5"},
		// BIP 32: a public version on private data, a point that is none, a zero
		// depth with a parent.
		{"mainnet", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6LBpB85b3D2yc8sfvZU521AAwdZafEz7mnzBBsz4wKY5fTtTQBm", "private key"},
		{"mainnet", "xpub661MyMwAqRbcEYS8w7XLSVeEsBXy79zSzH1J8vCdxAZningWLdN3zgtU6Q5JXayek4PRsn35jii4veMimro1xefsM58PgBMrvdYre8QyULY", "neither"},
		{"mainnet", "xpub661no6RGEX3uJkY4bNnPcw4URcQTrSibUZ4NqJEw5eBkv7ovTwgiT91XX27VbEXGENhYRCf7hyEbWrR3FewATdCEebj6znwMfQkhRYHRLpJ", "neither"},
	}
	for _, c := range cases {
		t.Run(c.reason, func(t *testing.T) {
			t.Parallel()
			_, err := bitcoin.ParseDescriptor(mustParams(t, c.chain), c.descriptor)
			require.ErrorIs(t, err, bitcoin.ErrDescriptor)
			require.ErrorContains(t, err, c.reason)
			for _, secret := range []string{xprv[:12], wif[:12], wif2[:12]} {
				require.NotContains(t, err.Error(), secret)
			}
		})
	}
}

// FuzzDescriptor checks that what is accepted has a canonical form that means the
// same, and that no error repeats a text that could be a key.
func FuzzDescriptor(f *testing.F) {
	for _, s := range []string{
		xpub44, zpub84, "raw(deadbeef)#89f8spxm", "tr([73c5da0a/86'/0'/0']" + xpub86 + "/<0;1>/*)",
		"sh(wpkh(03fff97bd5755eeea420453a14355235d382f6472f8568a18b2f057a1460297556))",
		"addr(1LqBGSKuX5yYUonjxT5qGfpUsXKYYWeabA)",
	} {
		f.Add(s)
	}
	params := mustParams(f, "mainnet")
	f.Fuzz(func(t *testing.T, s string) {
		d, err := bitcoin.ParseDescriptor(params, s)
		if err != nil {
			require.ErrorIs(t, err, bitcoin.ErrDescriptor)
			if len(s) > 40 {
				require.NotContains(t, err.Error(), s)
			}
			return
		}
		again, err := bitcoin.ParseDescriptor(params, d.String())
		require.NoError(t, err)
		require.Equal(t, d.String(), again.String())
		for branch := range uint32(d.Branches()) {
			script, err := d.Script(branch, 0)
			require.NoError(t, err)
			same, err := again.Script(branch, 0)
			require.NoError(t, err)
			require.Equal(t, script, same)
		}
	})
}
