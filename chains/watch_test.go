package chains_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

func scriptOf(n uint64) []byte {
	b := make([]byte, 22)
	b[1] = 20
	binary.LittleEndian.PutUint64(b[2:], n)
	return b
}

func outpointOf(n uint64) chains.Outpoint {
	var o chains.Outpoint
	binary.LittleEndian.PutUint64(o.Tx[:], n)
	o.Vout = uint32(n % 7)
	return o
}

func TestWatchTableHoldsWhatWasAdded(t *testing.T) {
	t.Parallel()
	const n = 50_000 // far above the expected numbers, so that both sets grow
	table := chains.NewWatchTable(0, 10)
	for i := range uint64(n) {
		table.AddScript(scriptOf(i))
		table.AddOutpoint(outpointOf(i))
		table.AddScript(scriptOf(i / 2))
	}
	scripts, outpoints := table.Len()
	require.Equal(t, n, scripts)
	require.Equal(t, n, outpoints)
	for i := range uint64(n) {
		require.True(t, table.HasScript(scriptOf(i)))
		require.True(t, table.HasOutpoint(outpointOf(i)))
		require.False(t, table.HasScript(scriptOf(i+n)))
		require.False(t, table.HasOutpoint(outpointOf(i+n)))
	}
}

func TestWatchTableIsExactOnTheVout(t *testing.T) {
	t.Parallel()
	table := chains.NewWatchTable(0, 0)
	o := chains.Outpoint{Tx: chains.Hash{1}, Vout: 3}
	table.AddOutpoint(o)
	require.True(t, table.HasOutpoint(o))
	o.Vout++
	require.False(t, table.HasOutpoint(o))
}

func TestWatchTableProbesByWireForm(t *testing.T) {
	t.Parallel()
	table := chains.NewWatchTable(0, 0)
	o := chains.Outpoint{Tx: chains.Hash{0xaa, 31: 0xbb}, Vout: 0x01020304}
	table.AddOutpoint(o)
	wire := make([]byte, chains.OutpointSize)
	wire[0], wire[31] = 0xbb, 0xaa
	copy(wire[32:], []byte{4, 3, 2, 1})
	require.Equal(t, []int{0}, table.ProbeOutpoints([]uint64{table.Fingerprint(wire)}, nil))
}

func TestWatchTableProbeAgreesWithHas(t *testing.T) {
	t.Parallel()
	const n = 40_000
	table := chains.NewWatchTable(n, 0)
	for i := range uint64(n) {
		table.AddScript(scriptOf(i * 3))
	}
	for _, size := range []int{0, 1, 63, 64, 65, 1000} {
		var fps []uint64
		var want []int
		for i := range size {
			script := scriptOf(rand.Uint64N(3 * n))
			fps = append(fps, table.Fingerprint(script))
			if table.HasScript(script) {
				want = append(want, i)
			}
		}
		require.Equal(t, want, table.ProbeScripts(fps, nil), "batch of %d", size)
	}
}

func TestWatchTableReadsWhileItGrows(t *testing.T) {
	t.Parallel()
	const n = 20_000
	table := chains.NewWatchTable(0, 0)
	var added atomic.Uint64
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for added.Load() < n {
				upTo := added.Load()
				if upTo == 0 {
					continue
				}
				i := rand.Uint64N(upTo)
				fps := []uint64{table.Fingerprint(scriptOf(i))}
				if !table.HasScript(scriptOf(i)) || !slices.Equal(table.ProbeScripts(fps, nil), []int{0}) {
					t.Errorf("script %d of %d vanished", i, upTo)
					return
				}
			}
		})
	}
	for i := range uint64(n) {
		table.AddScript(scriptOf(i))
		added.Store(i + 1)
	}
	readers.Wait()
}
