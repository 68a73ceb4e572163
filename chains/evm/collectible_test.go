package evm

import (
	"bytes"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

// gallery is a chain with a collection of each standard.
type gallery struct {
	t              *testing.T
	node           *localnode.Ethereum
	seen           *devNode
	source         *Source
	single, many   string
	names          map[common.Address]string
	singles, manys common.Address
}

func newGallery(t *testing.T) *gallery {
	t.Helper()
	g := &gallery{t: t, node: localnode.TestAnvil(t)}
	var err error
	g.single, err = g.node.DeployCollectible(t.Context())
	require.NoError(t, err)
	g.many, err = g.node.DeployEditions(t.Context())
	require.NoError(t, err)
	g.seen = newDevNode(t, g.node.URL)
	g.source = open(t, spec(g.seen))
	g.singles, g.manys = common.HexToAddress(g.single), common.HexToAddress(g.many)
	g.names = map[common.Address]string{alice: "alice", bob: "bob", carol: "carol", g.singles: "single", g.manys: "many"}
	return g
}

// do mines one transaction and returns what its block does to bob and carol.
func (g *gallery) do(to, signature string, args ...any) (chains.Match, chains.BlockRef) {
	g.t.Helper()
	receipt, err := g.node.Transact(g.t.Context(), localnode.Transaction{To: to, Data: localnode.CallData(signature, args...)})
	require.NoError(g.t, err)
	require.Equal(g.t, "0x1", receipt.Status, signature)
	block, err := g.source.Block(g.t.Context(), chains.Hash(common.HexToHash(receipt.BlockHash)))
	require.NoError(g.t, err)
	match, err := block.Match(watching(bob, carol))
	require.NoError(g.t, err)
	return match, block.Ref()
}

// held returns what the contracts say, at a block, of everything that was touched.
func (g *gallery) held(at chains.BlockRef, m chains.Match) []string {
	g.t.Helper()
	snapshots, _, err := g.source.Balances(g.t.Context(), at, m.Touched)
	require.NoError(g.t, err)
	lines := []string{}
	for _, s := range snapshots {
		lines = append(lines, g.names[common.Address(s.Script)]+" "+assetName(s.Asset, g.names)+" "+s.Amount.String())
	}
	return lines
}

// TestNFTRules holds what counts as a movement of an NFT, and what its contract is
// then asked, against blocks that a node made. Bob and carol are watched.
func TestNFTRules(t *testing.T) {
	t.Parallel()
	g := newGallery(t)
	most := new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 256), big.NewInt(1))
	numbers := func(ns ...int64) (all []*big.Int) {
		for _, n := range ns {
			all = append(all, big.NewInt(n))
		}
		return all
	}
	words := func(ns ...int64) (b []byte) {
		for _, n := range ns {
			b = append(b, packNumber(int(n))...)
		}
		return b
	}
	nobody := common.Address{}.Hex()
	for _, tt := range []struct { //nolint:paralleltest // each goes on where the last one ended
		name      string
		to        string
		signature string
		args      []any
		legs      []string // source side amount asset whose peer
		held      []string // whose asset amount
	}{
		{
			name: "Mint", to: g.single, signature: "move(address,uint256)", args: []any{bob.Hex(), int64(7)},
			legs: []string{"log:0 in 1 erc721:single#7 bob -"}, held: []string{"bob erc721:single#7 1"},
		},
		{
			name: "Handover", to: g.single, signature: "move(address,uint256)", args: []any{carol.Hex(), int64(7)},
			legs: []string{"log:0 out 1 erc721:single#7 bob carol", "log:0 in 1 erc721:single#7 carol bob"},
			held: []string{"bob erc721:single#7 0", "carol erc721:single#7 1"},
		},
		{
			name: "LieOfAnOwner", to: g.single, signature: "lie(address,address,uint256)", args: []any{carol.Hex(), bob.Hex(), int64(7)},
			legs: []string{"log:0 out 1 erc721:single#7 carol bob", "log:0 in 1 erc721:single#7 bob carol"},
			held: []string{"carol erc721:single#7 1", "bob erc721:single#7 0"},
		},
		{
			name: "Burn", to: g.single, signature: "move(address,uint256)", args: []any{nobody, int64(7)},
			legs: []string{"log:0 out 1 erc721:single#7 carol -"}, held: []string{"carol erc721:single#7 0"},
		},
		{
			name: "MintedAgain", to: g.single, signature: "move(address,uint256)", args: []any{carol.Hex(), int64(7)},
			legs: []string{"log:0 in 1 erc721:single#7 carol -"}, held: []string{"carol erc721:single#7 1"},
		},
		{
			name: "GreatestID", to: g.single, signature: "move(address,uint256)", args: []any{bob.Hex(), most},
			legs: []string{"log:0 in 1 erc721:single#" + most.String() + " bob -"}, held: []string{"bob erc721:single#" + most.String() + " 1"},
		},
		{
			name: "Between Others", to: g.single, signature: "move(address,uint256)", args: []any{alice.Hex(), int64(8)},
			legs: []string{}, held: []string{},
		},
		{
			name: "NothingIndexed", to: g.single, signature: "plain(address,uint256)", args: []any{bob.Hex(), int64(9)},
			legs: []string{}, held: []string{},
		},
		{
			name: "Single", to: g.many, signature: "one(address,address,uint256,uint256)", args: []any{nobody, bob.Hex(), int64(3), most},
			legs: []string{"log:0 in " + most.String() + " erc1155:many#3 bob -"}, held: []string{"bob erc1155:many#3 " + most.String()},
		},
		{
			name: "SinglePart", to: g.many, signature: "one(address,address,uint256,uint256)", args: []any{bob.Hex(), carol.Hex(), int64(3), int64(5)},
			legs: []string{"log:0 out 5 erc1155:many#3 bob carol", "log:0 in 5 erc1155:many#3 carol bob"},
			held: []string{"bob erc1155:many#3 " + new(big.Int).Sub(most, big.NewInt(5)).String(), "carol erc1155:many#3 5"},
		},
		{
			name: "Zero", to: g.many, signature: "one(address,address,uint256,uint256)", args: []any{bob.Hex(), carol.Hex(), int64(3), int64(0)},
			legs: []string{}, held: []string{"bob erc1155:many#3 " + new(big.Int).Sub(most, big.NewInt(5)).String(), "carol erc1155:many#3 5"},
		},
		{
			name: "Batch", to: g.many, signature: "many(address,address,uint256[],uint256[])",
			args: []any{nobody, bob.Hex(), numbers(4, 5, 4), numbers(1, 2, 3)},
			legs: []string{
				"log:0/0 in 1 erc1155:many#4 bob -", "log:0/1 in 2 erc1155:many#5 bob -", "log:0/2 in 3 erc1155:many#4 bob -",
			},
			held: []string{"bob erc1155:many#4 4", "bob erc1155:many#5 2"},
		},
		{
			name: "EmptyBatch", to: g.many, signature: "many(address,address,uint256[],uint256[])",
			args: []any{nobody, bob.Hex(), numbers(), numbers()}, legs: []string{}, held: []string{},
		},
		{
			name: "BatchOfLies", to: g.many, signature: "raw(address,address,bytes)", args: []any{nobody, carol.Hex(), words(64, 128, 1, 6, 1, 9)},
			legs: []string{"log:0/0 in 9 erc1155:many#6 carol -"}, held: []string{"carol erc1155:many#6 0"},
		},
		{
			name: "BatchOfTwoLengths", to: g.many, signature: "raw(address,address,bytes)", args: []any{nobody, bob.Hex(), words(64, 128, 1, 6, 2, 9, 9)},
			legs: []string{}, held: []string{},
		},
		{
			name: "BatchBeyondItsEnd", to: g.many, signature: "raw(address,address,bytes)", args: []any{nobody, bob.Hex(), words(64, 128, 1, 6, 1<<40, 9)},
			legs: []string{}, held: []string{},
		},
		{
			name: "BatchOfNothing", to: g.many, signature: "raw(address,address,bytes)", args: []any{nobody, bob.Hex(), []byte{}},
			legs: []string{}, held: []string{},
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m, at := g.do(tt.to, tt.signature, tt.args...)
			require.Equal(t, tt.legs, legs(m, g.names))
			require.Equal(t, tt.held, g.held(at, chains.Match{Touched: besideNative(g.source, m)}))
		})
	}

	t.Run("NothingIndexedByOneKnownForIt", func(t *testing.T) { //nolint:paralleltest // as above
		g.source.rules.network.plain = g.singles
		m, at := g.do(g.single, "plain(address,uint256)", bob.Hex(), int64(10))
		require.Equal(t, []string{"log:0 in 1 erc721:single#10 bob -"}, legs(m, g.names))
		require.Equal(t, []string{"bob erc721:single#10 1"}, g.held(at, m))
	})
	t.Run("TakenWithoutAWord", func(t *testing.T) { //nolint:paralleltest // as above
		m, _ := g.do(g.single, "move(address,uint256)", bob.Hex(), int64(11))
		_, at := g.do(g.single, "seize(address,uint256)", carol.Hex(), int64(11))
		require.Equal(t, []string{"bob erc721:single#11 0"}, g.held(at, m))
	})
	t.Run("NoContractThere", func(t *testing.T) { //nolint:paralleltest // as above
		_, at := g.do(g.single, "move(address,uint256)", alice.Hex(), int64(12))
		gone := g.source.rules.nft(chains.ERC1155, carol, wordFromUint64(1))
		snapshots, _, err := g.source.Balances(t.Context(), at, []chains.Touch{{Script: bob[:], Asset: gone}})
		require.NoError(t, err)
		require.Len(t, snapshots, 1)
		require.True(t, snapshots[0].Amount.IsZero())
	})
}

// besideNative drops native balances from what a block touched.
func besideNative(s *Source, m chains.Match) (touched []chains.Touch) {
	for _, touch := range m.Touched {
		if touch.Asset != s.chain.Native.ID {
			touched = append(touched, touch)
		}
	}
	return touched
}

// TestNFTClaims asks contracts what they say of an NFT and of themselves.
func TestNFTClaims(t *testing.T) {
	t.Parallel()
	g := newGallery(t)
	single := g.source.rules.nft(chains.ERC721, g.singles, wordFromUint64(7))
	many := g.source.rules.nft(chains.ERC1155, g.manys, wordFromUint64(0x4cce0))
	ask := func(id chains.AssetID) chains.NFTClaim {
		claim, err := g.source.NFT(t.Context(), id)
		require.NoError(t, err)
		return claim
	}
	require.Equal(t, chains.NFTClaim{Name: "Collectible", Symbol: "CLT"}, ask(single), "it points nowhere")

	g.do(g.single, "point(uint256,string)", int64(7), "https://example.com/{id}.json")
	require.Equal(t, "https://example.com/{id}.json", ask(single).URI, "only ERC-1155 fills in ids")
	g.do(g.many, "point(string)", "https://token-cdn-domain/{id}.json")
	require.Equal(t, chains.NFTClaim{
		URI: "https://token-cdn-domain/000000000000000000000000000000000000000000000000000000000004cce0.json",
	}, ask(many), "as EIP-1155 says; it has no name")
	g.do(g.many, "point(string)", `data:application/json,{"name":"{id}"}`)
	require.Equal(t, `data:application/json,{"name":"{id}"}`, ask(many).URI, "what stands in the contract is no place")

	// Names that must not be shown.
	g.do(g.single, "call(string,string)", "\xff\xfe", "evil\u202e")
	require.Equal(t, chains.NFTClaim{URI: "https://example.com/{id}.json"}, ask(single))
	g.do(g.single, "point(uint256,string)", int64(7), "\xff\x00")
	require.Empty(t, ask(single).URI)
	require.Empty(t, ask(g.source.rules.nft(chains.ERC721, carol, word{})), "there is no contract")
	for _, id := range []chains.AssetID{
		"eip155:31337/erc721:0x00/1", "eip155:1/erc721:" + chains.AssetID(g.single) + "/1", g.source.chain.Native.ID,
		"eip155:31337/erc721:" + chains.AssetID(bytes.ToLower([]byte(g.single))) + "/01",
	} {
		_, err := g.source.NFT(t.Context(), id)
		require.ErrorContains(t, err, "not an NFT of eip155:31337", id)
	}
}

// TestBatchOf cuts and bends the data of a batch at every place: it is read whole
// or not at all.
func TestBatchOf(t *testing.T) {
	t.Parallel()
	var whole []byte
	for _, n := range []int{64, 160, 2, 7, 8, 2, 70, 80} {
		whole = append(whole, packNumber(n)...)
	}
	ids, values, ok := batchOf(whole)
	require.True(t, ok)
	require.Equal(t, append(packNumber(7), packNumber(8)...), ids)
	require.Equal(t, append(packNumber(70), packNumber(80)...), values)
	for cut := range whole {
		_, _, ok := batchOf(whole[:cut])
		require.False(t, ok, "cut at %d", cut)
	}
	for at := range 5 {
		bent := bytes.Clone(whole)
		copy(bent[32*at:], common.MaxHash[:])
		_, _, ok := batchOf(bent)
		require.Equal(t, at == 3 || at == 4, ok, "word %d: ids may be anything", at)
	}
}
