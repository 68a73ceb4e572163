package bitcoin_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/btcutil/v2/gcs"
	"github.com/btcsuite/btcd/btcutil/v2/gcs/builder"
	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// filterOf returns the basic filter of n made-up scripts, by btcd.
func filterOf(tb testing.TB, block chains.Hash, n int) (*gcs.Filter, []byte) {
	tb.Helper()
	wireHash := chainhash.Hash(block.Reversed())
	scripts := make([][]byte, n)
	for i := range scripts {
		scripts[i] = filterScript(i)
	}
	filter, err := gcs.BuildGCSFilter(builder.DefaultP, builder.DefaultM, builder.DeriveKey(&wireHash), scripts)
	require.NoError(tb, err)
	raw, err := filter.NBytes()
	require.NoError(tb, err)
	return filter, raw
}

func filterScript(i int) []byte {
	sum := sha256.Sum256(fmt.Append(nil, i))
	return append([]byte{0, 20}, sum[:20]...)
}

func TestFilterMatchesWhatBtcdPutIn(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 7, 300, 5000} {
		block := chains.Hash{byte(n), 31: 1}
		filter, raw := filterOf(t, block, n)
		wireHash := chainhash.Hash(block.Reversed())
		for i := range n {
			ok, err := bitcoin.MatchFilter(raw, block, [][]byte{filterScript(n + i), filterScript(i)})
			require.NoError(t, err)
			require.True(t, ok, "script %d of %d", i, n)
		}
		for i := n; i < n+2000; i++ {
			script := [][]byte{filterScript(i)}
			want, err := filter.MatchAny(builder.DeriveKey(&wireHash), script)
			require.NoError(t, err)
			got, err := bitcoin.MatchFilter(raw, block, script)
			require.NoError(t, err)
			require.Equal(t, want, got, "script %d, filter of %d", i, n)
		}
	}
}

func TestFilterOfARealBlock(t *testing.T) {
	t.Parallel()
	var block wire.MsgBlock
	require.NoError(t, block.Deserialize(bytes.NewReader(realBlocks(t)[0])))
	filter, err := builder.BuildBasicFilter(&block, nil)
	require.NoError(t, err)
	raw, err := filter.NBytes()
	require.NoError(t, err)
	for _, tx := range block.Transactions {
		for _, out := range tx.TxOut {
			if len(out.PkScript) == 0 || out.PkScript[0] == 0x6a {
				continue
			}
			ok, err := bitcoin.MatchFilter(raw, shown(block.BlockHash()), [][]byte{out.PkScript})
			require.NoError(t, err)
			require.True(t, ok)
		}
	}
}

func TestFilterOfTheGenesisBlock(t *testing.T) {
	t.Parallel()
	// The first vector of BIP 158 is of testnet.
	block := mustParams(t, "testnet3").Genesis
	script := chaincfg.TestNet3Params.GenesisBlock.Transactions[0].TxOut[0].PkScript
	ok, err := bitcoin.MatchFilter(unhex(t, "019dfca8"), block, [][]byte{script})
	require.NoError(t, err)
	require.True(t, ok)
}

func TestFilterRefusesWhatIsCutOff(t *testing.T) {
	t.Parallel()
	block := chains.Hash{1}
	_, raw := filterOf(t, block, 50)
	last := [][]byte{filterScript(1 << 20)}
	for n := range len(raw) - 3 {
		ok, err := bitcoin.MatchFilter(raw[:n], block, last)
		require.True(t, err != nil || !ok)
	}
	_, err := bitcoin.MatchFilter(nil, block, last)
	require.Error(t, err)
	_, err = bitcoin.MatchFilter(append([]byte{0xfe, 0xff, 0xff, 0xff, 0x7f}, make([]byte, 100)...), block, last)
	require.Error(t, err)
	ok, err := bitcoin.MatchFilter([]byte{0}, block, last)
	require.NoError(t, err)
	require.False(t, ok)
	ok, err = bitcoin.MatchFilter(raw, block, nil)
	require.NoError(t, err)
	require.False(t, ok)
}

// BenchmarkFilter looks for 100 scripts in a filter of 10,600, the size of a full
// block, and for comparison does the same with btcutil/gcs.
func BenchmarkFilter(b *testing.B) {
	block := chains.Hash{9}
	filter, raw := filterOf(b, block, 10_600)
	wireHash := chainhash.Hash(block.Reversed())
	var scripts [][]byte
	for i := range 100 {
		scripts = append(scripts, filterScript(1<<20+i))
	}
	b.Run("own", func(b *testing.B) {
		for b.Loop() {
			if ok, err := bitcoin.MatchFilter(raw, block, scripts); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("gcs", func(b *testing.B) {
		key := builder.DeriveKey(&wireHash)
		for b.Loop() {
			if ok, err := filter.MatchAny(key, scripts); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
}
