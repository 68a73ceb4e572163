package bitcoin_test

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/blockchain"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// header returns the 80 bytes of a header; hashes as people read them.
func header(tb testing.TB, version uint32, merkle string, time, bits, nonce uint32) []byte {
	tb.Helper()
	raw := binary.LittleEndian.AppendUint32(nil, version)
	for _, s := range []string{none, merkle} {
		h := unhex(tb, s)
		slices.Reverse(h)
		raw = append(raw, h...)
	}
	for _, n := range []uint32{time, bits, nonce} {
		raw = binary.LittleEndian.AppendUint32(raw, n)
	}
	return raw
}

const none = "0000000000000000000000000000000000000000000000000000000000000000"

// The genesis headers of the chains that btcd does not know, from their
// chainparams.cpp. Their work is by scrypt.
func TestVerifyHeaderOfScryptChains(t *testing.T) {
	t.Parallel()
	cases := map[string][]byte{
		"litecoin":         header(t, 1, "97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9", 1317972665, 0x1e0ffff0, 2084524493),
		"litecoin-regtest": header(t, 1, "97ddfbbae6be97fd6cdf3e7ca13232a3afff2353e29badfab7f73011edd4ced9", 1296688602, 0x207fffff, 0),
		"dogecoin":         header(t, 1, "5b2a3f53f605d62c53e62932dac6925e3d74afa5a4b459745c36d42d0ed26a69", 1386325540, 0x1e0ffff0, 99943),
	}
	for name, raw := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			params := mustParams(t, name)
			h, err := bitcoin.VerifyHeader(params, raw)
			require.NoError(t, err)
			require.Equal(t, params.Genesis, h.Hash)
			raw = bytes.Clone(raw)
			raw[76] ^= 0xff
			if name != "litecoin-regtest" { // of whose nonces every second does
				_, err = bitcoin.VerifyHeader(params, raw)
				require.ErrorIs(t, err, bitcoin.ErrUnproven)
			}
		})
	}
}

func TestParamsAgreeWithBtcd(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]chaincfg.Params{
		"mainnet": chaincfg.MainNetParams, "testnet3": chaincfg.TestNet3Params, "testnet4": chaincfg.TestNet4Params,
		"signet": chaincfg.SigNetParams, "regtest": chaincfg.RegressionNetParams, "simnet": chaincfg.SimNetParams,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := mustParams(t, name)
			require.Equal(t, shown(*want.GenesisHash), got.Genesis)
			require.Equal(t, want.GenesisHash.String()[:32], got.Reference)
			require.Equal(t, []byte{want.PubKeyHashAddrID}, got.PubKeyHash)
			require.Equal(t, []byte{want.ScriptHashAddrID}, got.ScriptHash)
			require.Equal(t, want.Bech32HRPSegwit, got.Bech32)
			require.Equal(t, want.PowLimitBits, got.PowLimit)
			require.Equal(t, uint64(want.CoinbaseMaturity), got.Maturity)
			require.Equal(t, binary.BigEndian.Uint32(want.HDPublicKeyID[:]), got.ExtendedKeys[0].Version)
			h, err := bitcoin.VerifyHeader(got, serialize(t, want.GenesisBlock))
			require.NoError(t, err)
			require.Equal(t, got.Genesis, h.Hash)
		})
	}
}

func TestEveryParameterFileIsComplete(t *testing.T) {
	t.Parallel()
	names := bitcoin.ParamsNames()
	require.Len(t, names, 10)
	for _, name := range names {
		params := mustParams(t, name)
		require.Equal(t, name, params.Name)
		require.Contains(t, params.CAIP2(), "bip122:")
		if params.Mainnet != "" {
			require.Equal(t, chains.Live, mustParams(t, params.Mainnet).Environment)
			require.Equal(t, chains.Test, params.Environment)
		}
	}
	_, err := bitcoin.ParamsByName("../secret")
	require.ErrorContains(t, err, "no bitcoin network is called")
	_, err = bitcoin.ParseParams([]byte(`{"name":"x","genesys":""}`))
	require.ErrorContains(t, err, "genesys")
	_, err = bitcoin.ParseParams([]byte(`{"name":"x"}`))
	require.ErrorContains(t, err, "parse chain parameters of \"x\"")
}

func TestWorkAgreesWithBtcd(t *testing.T) {
	t.Parallel()
	for _, bits := range []uint32{0x1d00ffff, 0x207fffff, 0x1e0377ae, 0x17034219, 0x03123456, 0x01120000, 0x21000001} {
		require.Zero(t, blockchain.CalcWork(bits).Cmp(bitcoin.Work(bits).Big()), "%08x", bits)
	}
	for _, bits := range []uint32{0, 0x1d000000, 0x1d800001, 0x23000001, 0xff123456, 0x01000012} {
		require.Zero(t, bitcoin.Work(bits).Big().Sign(), "%08x", bits)
	}
}

// mergeMined returns a header and a proof that a parent block did its work.
func mergeMined(tb testing.TB, params bitcoin.Params, spoil func(script []byte)) []byte {
	tb.Helper()
	own := header(tb, params.AuxChainID<<16|1<<8|4, none, 0, 0x207fffff, 0)
	parsed, err := bitcoin.ParseHeader(own)
	require.NoError(tb, err)
	script := append([]byte{1, 2}, "\xfa\xbemm"...)
	script = append(script, parsed.Hash[:]...)
	script = append(script, 1, 0, 0, 0, 9, 9, 9, 9)
	spoil(script)
	coinbase := pay(1, []byte{0x51}, *wireNull())
	coinbase.TxIn[0].SignatureScript = script
	id := coinbase.TxHash()
	raw := append(append([]byte{}, own...), serialize(tb, coinbase)...)
	raw = append(raw, make([]byte, 32)...)  // the parent's hash
	raw = append(raw, make([]byte, 1+4)...) // no step from the coinbase to the root
	raw = append(raw, make([]byte, 1+4)...) // no other chain in the tree
	parent := header(tb, 2, shown(id).String(), 0, 0x207fffff, 0)
	plain := params
	plain.AuxPow = false
	for nonce := range uint32(1000) {
		binary.LittleEndian.PutUint32(parent[76:], nonce)
		if _, err := bitcoin.VerifyHeader(plain, parent); err == nil {
			return append(raw, parent...)
		}
	}
	require.FailNow(tb, "no nonce does the work")
	return nil
}

func TestVerifyMergeMinedHeader(t *testing.T) {
	t.Parallel()
	params := mustParams(t, "dogecoin")
	params.PowLimit = 0x207fffff
	raw := mergeMined(t, params, func([]byte) {})
	_, err := bitcoin.VerifyHeader(params, raw)
	require.NoError(t, err)

	var parse *bitcoin.ParseError
	for n := range raw {
		_, err := bitcoin.VerifyHeader(params, raw[:n])
		require.ErrorAs(t, err, &parse)
	}
	spoilt := map[string]struct {
		spoil  func(script []byte)
		reason string
	}{
		"AnotherBlock": {func(s []byte) { s[10] ^= 1 }, "does not commit"},
		"NotTagged":    {func(s []byte) { s[2] = 0xfb }, ""},
		"TreeSize":     {func(s []byte) { s[38] = 2 }, "size of the tree"},
	}
	for name, c := range spoilt {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := bitcoin.VerifyHeader(params, mergeMined(t, params, c.spoil))
			if c.reason == "" { // allowed near the start of the script
				require.NoError(t, err)
				return
			}
			require.ErrorIs(t, err, bitcoin.ErrUnproven)
			require.ErrorContains(t, err, c.reason)
		})
	}
	other := params
	other.AuxChainID = 7
	_, err = bitcoin.VerifyHeader(other, raw)
	require.ErrorContains(t, err, "another chain")
}

func TestWalkerReadsMergeMinedBlocks(t *testing.T) {
	t.Parallel()
	params := mustParams(t, "dogecoin")
	params.PowLimit = 0x207fffff
	raw := mergeMined(t, params, func([]byte) {})
	tx := pay(5, []byte{0x51}, *wireNull())
	raw = append(append(raw, 1), serialize(t, tx)...)
	table := chains.NewWatchTable(0, 0)
	table.AddScript([]byte{0x51})
	walker := bitcoin.NewWalker(params)
	hits, err := walker.Match(raw, table)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Equal(t, shown(tx.TxHash()), walker.TxID(0))
}
