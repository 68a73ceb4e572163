package bitcoin

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHasherAgreesWithTheStandardLibrary(t *testing.T) {
	t.Parallel()
	random := rand.NewChaCha8([32]byte{1})
	for _, paired := range []bool{false, hasSHA()} {
		h := &hasher{paired: paired}
		for _, count := range []int{0, 1, 2, 3, 7, 300} {
			messages := make([][]byte, count)
			for i := range messages {
				messages[i] = make([]byte, random.Uint64()%300)
				if i < 130 && count == 300 {
					messages[i] = make([]byte, i) // every way to end a block
				}
				_, _ = random.Read(messages[i])
			}
			got := make([]byte, 32*count)
			h.sum(got, messages)
			for i, m := range messages {
				require.Equal(t, doubleHash(m), [32]byte(got[32*i:]), "message %d of %d bytes", i, len(m))
			}
		}
	}
}

func TestMerkleRootMutation(t *testing.T) {
	t.Parallel()
	leaf := func(n byte) []byte { return append([]byte{n}, make([]byte, 31, 63)...) }
	tree := func(leaves ...byte) []byte {
		var b []byte
		for _, n := range leaves {
			b = append(b, leaf(n)...)
		}
		return b
	}
	h := newHasher()
	honest, mutated := h.merkleRoot(tree(1, 2, 3))
	require.False(t, mutated)
	forged, mutated := h.merkleRoot(tree(1, 2, 3, 3))
	require.Equal(t, honest, forged)
	require.True(t, mutated)
	honest, mutated = h.merkleRoot(tree(1, 2, 3, 4, 5, 6))
	require.False(t, mutated)
	forged, mutated = h.merkleRoot(tree(1, 2, 3, 4, 5, 6, 5, 6))
	require.Equal(t, honest, forged)
	require.True(t, mutated)
	single, mutated := h.merkleRoot(tree(9))
	require.Equal(t, leaf(9), single[:])
	require.False(t, mutated)
}
