package rpc_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// letters is a chain: each letter is a block, and a block is all letters up to it.
func letters(chain string, height uint64) chains.BlockRef {
	return chains.BlockRef{Height: height, Hash: sha256.Sum256([]byte(chain[:height+1]))}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	const silent, broken = "-", "!"
	tests := []struct {
		name   string
		chains []string // of the upstreams
		at     uint64   // the height of the split; 0 for none
		by     int      // the upstream that differs from the first that answers
		head   string   // the chain of the first that answers; "" for none
		agreed uint64
	}{
		{name: "One", chains: []string{"abc"}, agreed: math.MaxUint64},
		{name: "Same", chains: []string{"abc", "abc"}, head: "abc", agreed: 2},
		{name: "LastBlockAlone", chains: []string{"abc", "abx"}, head: "abc", agreed: 1},
		{name: "Three", chains: []string{"abcde", "abcd", "abcx"}, head: "abcde", agreed: 2},
		{name: "TwoBlocks", chains: []string{"abcd", "abxy"}, at: 2, by: 1, head: "abcd"},
		{name: "Behind", chains: []string{"abcde", "ab"}, head: "abcde"},
		{name: "FirstIsBehind", chains: []string{"ab", "abcde"}, head: "ab"},
		{name: "BehindOnAnother", chains: []string{"abcdefg", "axyz"}, at: 2, by: 1, head: "abcdefg"},
		{name: "FirstIsBehindOnAnother", chains: []string{"axyz", "abcdefg"}, at: 2, by: 1, head: "axyz"},
		{name: "AtItsBeginning", chains: []string{"abc", "a"}, head: "abc"},
		{name: "ThirdDiffers", chains: []string{"abcd", "abcd", "axyz"}, at: 2, by: 2, head: "abcd"},
		{name: "Broken", chains: []string{"abcd", broken}, head: "abcd"},
		{name: "FirstIsBroken", chains: []string{broken, "abcd", "abxy"}, at: 2, by: 2, head: "abcd"},
		{name: "Silent", chains: []string{"abcd", silent}, head: "abcd"},
		{name: "ThirdIsSilent", chains: []string{"abcd", "abxy", silent}, at: 2, by: 1, head: "abcd"},
		{name: "AllSilent", chains: []string{silent, silent}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				spec, of := chains.Spec{Slug: "x"}, map[string]string{}
				for i, chain := range tt.chains {
					url := fmt.Sprintf("http://node%d.example", i)
					spec.Upstreams = append(spec.Upstreams, chains.Upstream{URL: url})
					of[url] = chain
				}
				pool := rpc.New(spec, rpc.Options{Version: "2.0"}, zerolog.Nop())
				defer pool.Close()
				at := func(ctx context.Context, u *rpc.Upstream, height uint64) (chains.BlockRef, error) {
					switch chain := of[u.Name()]; {
					case chain == silent:
						<-ctx.Done()
						return chains.BlockRef{}, context.Cause(ctx)
					case chain == broken:
						return chains.BlockRef{}, errors.New("broken")
					case height >= uint64(len(chain)):
						return chains.BlockRef{}, chains.ErrNotFound
					default:
						return letters(chain, height), nil
					}
				}
				opinion := pool.Split(t.Context(), func(ctx context.Context, u *rpc.Upstream) (chains.BlockRef, error) {
					return at(ctx, u, uint64(len(of[u.Name()])-1))
				}, at)

				began := time.Now()
				again := pool.Split(t.Context(), func(ctx context.Context, u *rpc.Upstream) (chains.BlockRef, error) {
					return at(ctx, u, uint64(len(of[u.Name()])-1))
				}, at)
				require.Zero(t, time.Since(began), "who was too slow is waited for once")
				if !slices.Contains(tt.chains, silent) {
					require.Equal(t, opinion, again)
				}

				want := chains.BlockRef{}
				if tt.head != "" {
					want = letters(tt.head, uint64(len(tt.head)-1))
				}
				require.Equal(t, want, opinion.Head)
				require.Equal(t, tt.agreed, opinion.Agreed)
				split := opinion.Split
				if tt.at == 0 {
					require.Nil(t, split)
					return
				}
				other := fmt.Sprintf("http://node%d.example", tt.by)
				require.NotNil(t, split)
				require.Equal(t, tt.at, split.Height)
				require.Equal(t, other, split.Upstreams[1])
				require.Equal(t, letters(tt.head, tt.at).Hash, split.Hashes[0])
				require.Equal(t, letters(of[other], tt.at).Hash, split.Hashes[1])
				for _, health := range pool.Health() {
					require.Equal(t, of[health.Upstream] != broken && of[health.Upstream] != silent, health.OK)
					require.NotContains(t, health.Reason, "deadline", "silence here is no fault")
				}
			})
		})
	}
}
