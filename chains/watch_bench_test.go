package chains_test

import (
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"

	"tallyd/chains"
)

// BenchmarkWatchProbe looks up 4096 unwatched scripts, hashed beforehand.
func BenchmarkWatchProbe(b *testing.B) {
	for _, n := range []int{10_000, 1_000_000, 10_000_000} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			table := chains.NewWatchTable(n, 0)
			for i := range uint64(n) {
				table.AddScript(scriptOf(i))
			}
			fps := make([]uint64, 4096)
			hits := make([]int, 0, len(fps))
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				for i := range fps {
					fps[i] = max(rand.Uint64(), 1)
				}
				b.StartTimer()
				hits = table.ProbeScripts(fps, hits[:0])
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(fps)), "ns/probe")
		})
	}
}

// BenchmarkWatchMemory fills a table with ten million scripts and as many
// outpoints, and reports what the heap grew by.
func BenchmarkWatchMemory(b *testing.B) {
	const n = 10_000_000
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		table := chains.NewWatchTable(n, n)
		for i := range uint64(n) {
			table.AddScript(scriptOf(i))
			table.AddOutpoint(outpointOf(i))
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/1e6, "MB")
		runtime.KeepAlive(table)
	}
}
