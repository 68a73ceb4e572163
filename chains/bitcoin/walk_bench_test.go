package bitcoin_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

// wireTestdata returns the files of wire's testdata that match a pattern, and
// skips the test where the module is not on this machine.
var wireDir = sync.OnceValues(func() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/btcsuite/btcd/wire/v2").Output()
	return filepath.Join(strings.TrimSpace(string(out)), "testdata"), err
})

func wireTestdata(tb testing.TB, pattern string) []string {
	tb.Helper()
	dir, err := wireDir()
	if err != nil {
		tb.Skipf("the module wire/v2 is not on this machine: %v", err)
	}
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	require.NoError(tb, err)
	if len(files) == 0 {
		tb.Skipf("wire/v2 has no testdata like %s", pattern)
	}
	return files
}

// realBlocks returns the blocks of mainnet that wire/v2 tests itself with.
func realBlocks(tb testing.TB) [][]byte {
	tb.Helper()
	var blocks [][]byte
	for _, file := range wireTestdata(tb, "block-*.blk") {
		blocks = append(blocks, readFile(tb, file))
	}
	return blocks
}

func mustParams(tb testing.TB, name string) bitcoin.Params {
	tb.Helper()
	params, err := bitcoin.ParamsByName(name)
	require.NoError(tb, err)
	return params
}

// fillTable returns a table of n scripts and n outpoints that no block holds.
func fillTable(n int) *chains.WatchTable {
	table := chains.NewWatchTable(n, n)
	script := make([]byte, 22)
	script[1] = 20
	var o chains.Outpoint
	for i := range uint64(n) {
		binary.LittleEndian.PutUint64(script[4:], i)
		table.AddScript(script)
		binary.LittleEndian.PutUint64(o.Tx[:], i)
		table.AddOutpoint(o)
	}
	return table
}

func decode(b *testing.B, raw []byte) {
	b.Helper()
	var block wire.MsgBlock
	if err := block.Deserialize(bytes.NewReader(raw)); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkWireDecode is what BenchmarkWalk is measured against.
func BenchmarkWireDecode(b *testing.B) {
	for i, raw := range realBlocks(b) {
		b.Run(fmt.Sprintf("block%d", i), func(b *testing.B) {
			b.SetBytes(int64(len(raw)))
			b.ReportAllocs()
			for b.Loop() {
				decode(b, raw)
			}
		})
	}
}

// BenchmarkWalk walks real blocks of which nothing is watched. Before each walk the
// caches are filled with other parts of the table, as they are when a new block
// comes. The metric x-wire is how many times less processor time a walk takes than
// wire/v2 takes to decode the same block in the same run, garbage collection
// included; cpu-ns is that time for one walk. Both are hardly disturbed by other
// programs on the machine, ns/op is.
func BenchmarkWalk(b *testing.B) {
	blocks := realBlocks(b)
	modes := []struct {
		name string
		walk func(*bitcoin.Walker, []byte, *chains.WatchTable) ([]bitcoin.Hit, error)
	}{
		{"match", (*bitcoin.Walker).Match},
		{"verify", (*bitcoin.Walker).Verify},
	}
	sizes := []struct {
		name string
		n    int
	}{{"10k", 10_000}, {"1M", 1_000_000}, {"10M", 10_000_000}}
	for _, mode := range modes {
		for _, size := range sizes {
			b.Run(mode.name+"/"+size.name, func(b *testing.B) {
				table := fillTable(size.n)
				for i, raw := range blocks {
					b.Run(fmt.Sprintf("block%d", i), func(b *testing.B) {
						walker := bitcoin.NewWalker(mustParams(b, "mainnet"))
						_, err := mode.walk(walker, raw, table)
						require.NoError(b, err)
						b.SetBytes(int64(len(raw)))
						b.ReportAllocs()
						var spent time.Duration
						for b.Loop() {
							b.StopTimer()
							cool(table)
							b.StartTimer()
							begin := processorTime(b)
							if hits, err := mode.walk(walker, raw, table); err != nil || len(hits) > 0 {
								b.Fatal(len(hits), err)
							}
							spent += processorTime(b) - begin
						}
						b.StopTimer()
						rounds := min(b.N, 200)
						begin := processorTime(b)
						for range rounds {
							decode(b, raw)
						}
						wireTime := float64(processorTime(b)-begin) / float64(rounds)
						walkTime := float64(spent) / float64(b.N)
						b.ReportMetric(wireTime/walkTime, "x-wire")
						b.ReportMetric(walkTime, "cpu-ns")
					})
				}
			})
		}
	}
}

// cool looks up strangers, which fills 5 MB of cache with other parts of a large
// table.
func cool(table *chains.WatchTable) {
	var strangers [4096]uint64
	var hits [4096]int
	for range 10 {
		for i := range strangers {
			strangers[i] = rand.Uint64()
		}
		table.ProbeScripts(strangers[:], hits[:0])
		table.ProbeOutpoints(strangers[:], hits[:0])
	}
}

// processorTime returns what this process has used of all processors.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
