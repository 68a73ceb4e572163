package store_test

import (
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// BenchmarkApply appends blocks with a thousand transfers each.
func BenchmarkApply(b *testing.B) {
	s := newBench(b, openStore(b, store.Options{}), chains.FamilyBitcoin)
	s.connect(b, script(1), script(2))
	version := s.version(b)
	tip := chains.BlockRef{Height: 9}
	const perBlock = 1000
	n := 0
	for b.Loop() {
		n++
		var match chains.Match
		for i := range perBlock {
			match.Transfers = append(match.Transfers, s.pay(n*perBlock+i, 1+i%2, 5))
		}
		parent := tip.Hash
		tip = block(tip, n)
		_, err := s.Apply(b.Context(), indexer.Step{Lease: s.lease, Parent: parentOf(n, parent), WatchVersion: version, Block: tip, Match: match})
		require.NoError(b, err)
	}
	b.ReportMetric(float64(n*perBlock)/b.Elapsed().Seconds(), "transfers/s")
}

func parentOf(n int, parent chains.Hash) chains.Hash {
	if n == 1 {
		return chains.Hash{}
	}
	return parent
}

// BenchmarkAccountBalance reads one account's balance, from as many callers as
// there are processors.
func BenchmarkAccountBalance(b *testing.B) {
	s := newBench(b, openStore(b, store.Options{}), chains.FamilyBitcoin)
	accounts := make([]uuid.UUID, 200)
	for i := range accounts {
		accounts[i] = s.connect(b, []byte{9, byte(i)})
	}
	tip := s.apply(b, chains.BlockRef{Height: 9}, 1, chains.Match{})
	s.complete(b)
	var match chains.Match
	for i := range accounts {
		t := s.pay(i, 0, 5)
		t.Script = []byte{9, byte(i)}
		match.Transfers = append(match.Transfers, t)
	}
	s.apply(b, tip, 2, match)
	b.ResetTimer()
	begun := time.Now()
	b.SetParallelism(4)
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			_, err := s.AccountBalance(b.Context(), s.realm, accounts[i%len(accounts)])
			if err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/time.Since(begun).Seconds(), "reads/s")
}
