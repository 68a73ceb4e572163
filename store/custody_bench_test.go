package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// BenchmarkApplyCustody appends blocks: empty ones and ones with a thousand
// transfers to accounts, on a chain without and with addresses of custody, and at
// last ones with a thousand deposits, of which each is credited a block later.
func BenchmarkApplyCustody(b *testing.B) {
	const perBlock = 1000
	for _, bench := range []struct {
		name      string
		custody   bool
		transfers int
		to        int
	}{
		{"Empty/NoCustody", false, 0, 0},
		{"Empty/Custody", true, 0, 0},
		{"Accounts/NoCustody", false, perBlock, 1},
		{"Accounts/Custody", true, perBlock, 1},
		{"Deposits/Custody", true, perBlock, 100},
	} {
		b.Run(bench.name, func(b *testing.B) {
			d, tip := newDesk(b, store.Options{}, chains.FamilyBitcoin, depth(2))
			d.connect(b, script(1))
			if bench.custody {
				d.open(b)
			}
			version := d.version(b)
			n := 1
			for b.Loop() {
				n++
				var match chains.Match
				for i := range bench.transfers {
					match.Transfers = append(match.Transfers, d.pay(n*perBlock+i, bench.to, 5))
				}
				parent := tip.Hash
				tip = block(tip, n)
				_, err := d.Apply(b.Context(), indexer.Step{Lease: d.lease, Parent: parent, WatchVersion: version, Block: tip, Match: match})
				require.NoError(b, err)
			}
		})
	}
}
