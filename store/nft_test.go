package store_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// piece returns the id of one NFT of the bench's chain.
func (b *bench) piece(standard chains.Standard, contract, token string) chains.AssetID {
	return chains.NFT{Chain: b.chain.ID, Standard: standard, Contract: contract, Token: token}.ID()
}

// moved returns a block's match that moves an NFT to or from script 1.
func moved(tx int, side chains.Side, asset chains.AssetID, amount chains.Amount) chains.Match {
	return chains.Match{
		Transfers: []chains.Transfer{{Tx: hash('t', tx), Source: chains.SourceLog(0), Side: side, Asset: asset, Amount: amount, Script: script(1)}},
		Touched:   []chains.Touch{{Script: script(1), Asset: asset}},
	}
}

// pieces returns what the bench's user holds, as id×amount proof.
func (b *bench) pieces(t *testing.T, only *uuid.UUID) []string {
	t.Helper()
	list, next, err := b.NFTs(t.Context(), b.realm, indexer.NFTFilter{User: b.user, Account: only, Limit: 100})
	require.NoError(t, err)
	require.Nil(t, next)
	lines := []string{}
	for _, n := range list {
		id, ok := n.ID.NFT()
		require.True(t, ok)
		lines = append(lines, id.Token+"×"+n.Amount.String()+" "+string(n.Proof))
	}
	return lines
}

// TestNFTHoldings follows one NFT from its logs to what its contract says, and back
// by reorgs. It is no balance, and no token that has to be named.
func TestNFTHoldings(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, account, first := evm(t)
	most, err := chains.ParseAmount("115792089237316195423570985008687907853269984665640564039457584007913129639935")
	require.NoError(t, err)
	many := b.piece(chains.ERC1155, "0xaa", "7")
	single := b.piece(chains.ERC721, "0xbb", "1")

	second := b.apply(t, first, 2, moved(1, chains.In, many, most))
	require.Equal(t, []string{"7×" + most.String() + " "}, b.pieces(t, nil), "as its logs say")
	third := b.apply(t, second, 3, moved(2, chains.In, single, chains.NewAmount(1)))
	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Snapshots: []chains.Snapshot{
		{Script: script(1), Asset: many, Amount: chains.NewAmount(5), At: third, Proof: chains.Asserted},
		{Script: script(1), Asset: single, Amount: chains.NewAmount(1), At: third, Proof: chains.Confirmed},
	}})
	require.NoError(t, err)
	require.Equal(t, []string{"7×5 asserted", "1×1 confirmed"}, b.pieces(t, nil), "as their contracts say")
	list, _, err := b.NFTs(ctx, b.realm, indexer.NFTFilter{User: b.user, Limit: 1})
	require.NoError(t, err)
	require.Equal(t, hash('t', 1), list[0].Acquired.Tx)
	require.Equal(t, second.Height, list[0].Acquired.Height)
	require.Equal(t, third.Hash, list[0].AsOf.Hash)
	require.Equal(t, indexer.NFTPending, list[0].Status)

	known, err := b.KnownAssets(ctx, b.chain.Slug)
	require.NoError(t, err)
	require.Equal(t, []chains.AssetID{b.chain.Native.ID}, known)
	unnamed, err := b.UnnamedAssets(ctx, b.chain.Slug, 10)
	require.NoError(t, err)
	require.Empty(t, unnamed)
	b.open(t, third, 3)
	require.Equal(t, "3", b.native(t, account).Amount.String(), "one balance")
	amounts, _ := b.heldThen(t, account, third.Time)
	require.Equal(t, []string{"3"}, amounts, "and one past balance")

	past, err := b.AccountHistory(ctx, b.realm, b.user, []time.Time{third.Time})
	require.NoError(t, err)
	require.Len(t, past, 1)
	require.Len(t, past[0].Points[0].Balances, 1, "nor were they balances then")

	// Another account of the same user for the NFTs of the same address, and one
	// of another user.
	gallery := indexer.Account{ID: uuid.New(), Realm: b.realm, UserID: b.user, Chain: b.chain.Slug, Kind: indexer.KindNFT, Wallet: "0x1"}
	watched := []indexer.WatchedScript{{Script: script(1), Address: "0x1"}}
	require.NoError(t, b.CreateAccount(ctx, gallery, watched))
	again := gallery
	again.ID = uuid.New()
	require.ErrorIs(t, b.CreateAccount(ctx, again, watched), indexer.ErrExists)
	again.Kind = indexer.KindAddress
	require.NoError(t, b.CreateAccount(ctx, again, watched), "the address for its balances is another matter")
	holders, err := b.NFTHolders(ctx, b.realm, b.user, nil)
	require.NoError(t, err)
	require.Len(t, holders, 3)
	require.Equal(t, []int64{2, 0, 0}, []int64{holders[0].Held, holders[1].Held, holders[2].Held}, "the oldest has them")
	require.Equal(t, third.Hash, holders[0].Tip.Hash)
	holders, err = b.NFTHolders(ctx, b.realm, b.user, &gallery.ID)
	require.NoError(t, err)
	require.Equal(t, int64(2), holders[0].Held)
	require.Len(t, b.pieces(t, &gallery.ID), 2)
	balances, err := b.AccountBalances(ctx, b.realm, b.user)
	require.NoError(t, err)
	require.Len(t, balances, 2, "what shows NFTs has no balance")
	for _, other := range []indexer.Realm{{Tenant: b.realm.Tenant, Environment: chains.Live}, {Tenant: "default", Environment: b.realm.Environment}} {
		_, err = b.NFTHolders(ctx, other, b.user, &gallery.ID)
		require.ErrorIs(t, err, indexer.ErrNotFound)
		none, _, err := b.NFTs(ctx, other, indexer.NFTFilter{User: b.user, Limit: 10})
		require.NoError(t, err)
		require.Empty(t, none)
	}

	// A block with a native transfer and one of an NFT: the gallery hears of one.
	before := len(b.events(t))
	match := moved(3, chains.Out, single, chains.NewAmount(1))
	coin := match.Transfers[0]
	coin.Source, coin.Asset = chains.SourceValue, b.chain.Native.ID
	match.Transfers = append(match.Transfers, coin)
	fourth := b.apply(t, third, 4, match)
	heard := map[uuid.UUID]int{}
	for _, e := range b.events(t)[before:] {
		heard[*e.AccountID]++
	}
	require.Equal(t, map[uuid.UUID]int{account: 2, again.ID: 2, gallery.ID: 1}, heard)

	// Back to where only logs spoke, and to before they did.
	for _, tip := range []chains.BlockRef{fourth, third} {
		_, err = b.Revert(ctx, b.lease, tip)
		require.NoError(t, err)
	}
	require.Equal(t, []string{"7×" + most.String() + " "}, b.pieces(t, nil))
	_, err = b.Revert(ctx, b.lease, second)
	require.NoError(t, err)
	require.Empty(t, b.pieces(t, nil))
}

// TestNFTPages reads many, page by page.
func TestNFTPages(t *testing.T) {
	t.Parallel()
	b, _, tip := evm(t)
	match := chains.Match{}
	for i := range 25 {
		one := moved(1, chains.In, b.piece(chains.ERC721, "0xaa", strconv.Itoa(i)), chains.NewAmount(1))
		one.Transfers[0].Source = chains.SourceLog(i)
		match.Transfers = append(match.Transfers, one.Transfers...)
	}
	b.apply(t, tip, 2, match)
	seen := map[chains.AssetID]bool{}
	filter := indexer.NFTFilter{User: b.user, Limit: 10}
	for pages := 1; ; pages++ {
		page, next, err := b.NFTs(t.Context(), b.realm, filter)
		require.NoError(t, err)
		for _, n := range page {
			require.False(t, seen[n.ID])
			seen[n.ID] = true
		}
		if next == nil {
			require.Equal(t, 3, pages)
			break
		}
		filter.After = *next
	}
	require.Len(t, seen, 25)
}

// TestNFTClaims hands out what is due, once each, and to every collection in turn.
func TestNFTClaims(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, _, tip := evm(t)
	match := chains.Match{}
	for i := range 30 {
		contract := "0xaa"
		if i >= 28 {
			contract = "0xbb"
		}
		one := moved(1, chains.In, b.piece(chains.ERC721, contract, strconv.Itoa(i)), chains.NewAmount(1))
		one.Transfers[0].Source = chains.SourceLog(i)
		match.Transfers = append(match.Transfers, one.Transfers...)
	}
	due, err := b.DueNFTs(ctx, b.chain.Slug)
	require.NoError(t, err)
	require.False(t, due)
	b.apply(t, tip, 2, match)
	due, err = b.DueNFTs(ctx, b.chain.Slug)
	require.NoError(t, err)
	require.True(t, due)

	claim := func(limit int) []indexer.DueNFT {
		t.Helper()
		claimed, err := b.ClaimNFTs(ctx, b.chain.Slug, limit, time.Hour)
		require.NoError(t, err)
		return claimed
	}
	taken := claim(4)
	require.Len(t, taken, 4)
	require.Equal(t, 2, countOf(taken, "0xbb"), "one of thousands keeps no other from its turn")
	rest := append(claim(20), claim(20)...)
	require.Len(t, rest, 26)
	require.Empty(t, claim(20))
	ids := map[chains.AssetID]bool{}
	for _, one := range append(slices.Clone(taken), rest...) {
		require.False(t, ids[one.ID])
		ids[one.ID] = true
	}

	// What a contract says is kept as it can be, and never makes a write fail.
	hostile := strings.Repeat("x", 1<<20) + "\x00\xff"
	require.NoError(t, b.DescribeNFT(ctx, taken[0].Row, indexer.NFTSaid{
		Claim:    chains.NFTClaim{URI: "data:," + hostile, Name: "\x00N" + hostile, Symbol: "\xff"},
		Document: chains.NFTDocument{Name: "\x00N\xff", Description: hostile, Image: hostile, ExternalURL: hostile, Attributes: []chains.NFTAttribute{{Trait: "\x00t", Value: hostile}}},
	}, -time.Second))
	require.NoError(t, b.FailNFT(ctx, taken[1].Row, indexer.NFTSaid{Claim: chains.NFTClaim{URI: hostile}}, hostile, -time.Second))
	list, _, err := b.NFTs(ctx, b.realm, indexer.NFTFilter{User: b.user, Limit: 100})
	require.NoError(t, err)
	of := func(id chains.AssetID) indexer.NFT {
		return list[slices.IndexFunc(list, func(n indexer.NFT) bool { return n.ID == id })]
	}
	described, failed := of(taken[0].ID), of(taken[1].ID)
	require.Equal(t, indexer.NFTReady, described.Status)
	require.Equal(t, "N", described.Document.Name)
	require.Equal(t, "data:", described.URI, "what stands in the contract is not kept twice")
	require.Equal(t, "t", described.Document.Attributes[0].Trait)
	require.Len(t, described.Document.Description, 8<<10)
	require.NotNil(t, described.ReadAt)
	require.Equal(t, indexer.NFTFailed, failed.Status)
	require.Len(t, failed.Reason, 256)
	require.Nil(t, failed.ReadAt)
	require.NotNil(t, failed.TriedAt)

	// Due again, with what was tried counted; what was read stays when a later look
	// fails.
	again := claim(20)
	require.Len(t, again, 2)
	for _, one := range again {
		require.Equal(t, map[bool]int{true: 0, false: 1}[one.ID == taken[0].ID], one.Attempts)
	}
	require.NoError(t, b.FailNFT(ctx, taken[0].Row, indexer.NFTSaid{}, "gone", time.Hour))
	list, _, err = b.NFTs(ctx, b.realm, indexer.NFTFilter{User: b.user, Limit: 100})
	require.NoError(t, err)
	described = of(taken[0].ID)
	require.Equal(t, []any{indexer.NFTFailed, "gone", "N"}, []any{described.Status, described.Reason, described.Document.Name})
	require.NotNil(t, described.ReadAt)
}

// TestStaleInTurn lets tokens that answer nothing wait behind those that do, however
// many there are.
func TestStaleInTurn(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	b, _, tip := evm(t)
	var mute []chains.Touch
	for i := range 5 {
		mute = append(mute, chains.Touch{Script: script(1), Asset: b.piece(chains.ERC1155, "0xaa", strconv.Itoa(i))})
	}
	second := b.applyEVM(t, tip, 2, mute)
	third := b.applyEVM(t, second, 3, b.touch())
	stale := func() []chains.Touch {
		t.Helper()
		list, err := b.StaleBalances(ctx, b.chain.Slug, 5)
		require.NoError(t, err)
		return list
	}
	require.ElementsMatch(t, mute, stale())
	_, err := b.Amend(ctx, indexer.Amendment{Lease: b.lease, Unread: append(mute, mute[0], chains.Touch{Script: script(9), Asset: mute[0].Asset})})
	require.NoError(t, err)
	require.Equal(t, b.touch()[0], stale()[0], "it is its turn")
	_, err = b.Amend(ctx, indexer.Amendment{Lease: b.lease, Snapshots: b.snapshot(third, 1)})
	require.NoError(t, err)
	require.ElementsMatch(t, mute, stale(), "and they are asked again")
}

func countOf(due []indexer.DueNFT, contract string) (n int) {
	for _, one := range due {
		if strings.Contains(string(one.ID), contract) {
			n++
		}
	}
	return n
}

var _ indexer.Gallery = (*store.Store)(nil)
