package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
)

// TestNFTSurface connects an address for its NFTs and reads them page by page, in
// Blockmate's shape and in ours.
func TestNFTSurface(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, bearer := d.user()
	ask := func(method, path, body string) answer { return d.call(method, path, body, "Authorization", bearer) }

	hint := ask(http.MethodGet, "/v1/nft/ethereum/connect", "")
	require.Equal(t, http.StatusOK, hint.StatusCode, "%s", hint.raw)
	require.Equal(t, "Address", hint.json(t, "fields", "wallet"))
	for _, chain := range []string{"btc", "dev", "nope"} {
		missing := ask(http.MethodGet, "/v1/nft/"+chain+"/connect", "")
		require.Equal(t, http.StatusNotFound, missing.StatusCode)
		require.JSONEq(t, `{"status":"not_found"}`, string(missing.raw))
		requireProblem(t, ask(http.MethodPost, "/v1/nft/"+chain+"/connect", `{"wallet":"w"}`), 404, "not_found")
	}
	requireProblem(t, ask(http.MethodPost, "/v1/nft/eth/connect", `{"wallet":"bad"}`), 400, "invalid_wallet")
	require.JSONEq(t, `{}`, string(ask(http.MethodGet, "/v1/aggregate/nft_metadata", "").raw))

	connected := ask(http.MethodPost, "/v1/nft/eth/connect", `{"wallet":"0xaa","description":"mine"}`)
	require.Equal(t, http.StatusOK, connected.StatusCode, "%s", connected.raw)
	require.Equal(t, "eth", connected.json(t, "name"))
	require.Equal(t, false, connected.json(t, "verified"))
	id := connected.json(t, "id").(string)
	requireProblem(t, ask(http.MethodPost, "/v1/nft/eth/connect", `{"wallet":"0xaa"}`), 400, "wallet_connected")
	listed := ask(http.MethodGet, "/v1/aggregate/accounts", "")
	require.Equal(t, "nft/eth/account/"+id, listed.json(t, 0, "url"))
	require.Equal(t, "nft", listed.json(t, 0, "kind"))
	transactions := ask(http.MethodGet, "/v1/aggregate/transactions", "")
	require.Empty(t, transactions.json(t, "accounts"), "it shows nothing but NFTs")
	for _, path := range []string{"/balance", "/transactions"} {
		requireProblem(t, ask(http.MethodGet, "/v1/onchain/eth/account/"+id+path, ""), 404, "not_found")
	}
	requireProblem(t, ask(http.MethodDelete, "/v1/onchain/eth/account/"+id, ""), 404, "not_found")

	large, err := chains.ParseAmount("115792089237316195423570985008687907853269984665640564039457584007913129639935")
	require.NoError(t, err)
	held := []indexer.NFT{{
		Chain: "eth", Address: "0xAA", ID: "eip155:1/erc1155:0xbb/7", Amount: large, Proof: chains.Asserted, AsOf: tip,
		Acquired:   &indexer.Acquisition{Tx: chains.Hash{1}, Height: 5, Time: noon},
		Collection: "Things", Symbol: "THG", URI: "https://example.com/7", Status: indexer.NFTReady, ReadAt: &noon, TriedAt: &noon,
		Document: chains.NFTDocument{
			Name: "<script>alert(1)</script>", Image: "https://example.com/7.png",
			Attributes: []chains.NFTAttribute{{Trait: "Size", Value: "12345678901234567890"}},
		},
	}}
	for i := range 4 {
		held = append(held, indexer.NFT{
			Chain: "eth", ID: chains.AssetID(fmt.Sprintf("eip155:1/erc721:0xcc/%d", i)), Amount: chains.NewAmount(1),
			Status: indexer.NFTFailed, Reason: "its server answers 404",
		})
	}
	d.ledger.set(func(f *fakeLedger) { f.nfts = held })
	first := ask(http.MethodGet, "/v1/aggregate/nft_metadata?limit=2", "")
	require.Equal(t, http.StatusOK, first.StatusCode, "%s", first.raw)
	require.Equal(t, "5", first.json(t, id, "totalCount"))
	require.Equal(t, "0x"+tip.Hash.String(), first.json(t, id, "blockHash"))
	require.Len(t, first.json(t, id, "ownedNfts"), 2)
	var walls map[string]struct{ OwnedNfts []json.RawMessage }
	require.NoError(t, json.Unmarshal(first.raw, &walls))
	require.JSONEq(t, `{
		"contract":{"address":"0xbb"},"id":{"tokenId":"7","tokenMetadata":{"tokenType":"ERC1155"}},
		"balance":"115792089237316195423570985008687907853269984665640564039457584007913129639935",
		"title":"<script>alert(1)</script>","tokenUri":{"raw":"https://example.com/7"},
		"metadata":{"name":"<script>alert(1)</script>","description":"","image":"https://example.com/7.png","external_url":"","attributes":[{"trait_type":"Size","value":"12345678901234567890"}]},
		"timeLastUpdated":"2026-11-22T12:00:00.123456+00:00","contractMetadata":{"name":"Things","symbol":"THG","tokenType":"ERC1155"},
		"chain":"eth","address":"0xAA","asset":"eip155:1/erc1155:0xbb/7","standard":"erc1155","token_id":"7",
		"amount":"115792089237316195423570985008687907853269984665640564039457584007913129639935",
		"as_of":{"height":`+strconv.FormatUint(tip.Height, 10)+`,"hash":"0x`+tip.Hash.String()+`","time":"2026-11-22T12:00:00.123456+00:00"},"proof":"asserted",
		"name":"<script>alert(1)</script>","description":"","image":"https://example.com/7.png","attributes":[{"trait_type":"Size","value":"12345678901234567890"}],
		"collection":{"name":"Things","symbol":"THG"},"metadata_state":{"status":"ready","as_of":"2026-11-22T12:00:00.123456+00:00","tried_at":"2026-11-22T12:00:00.123456+00:00"},
		"acquired":{"tx":"0x`+chains.Hash{1}.String()+`","height":5,"time":"2026-11-22T12:00:00.123456+00:00"}
	}`, string(walls[id].OwnedNfts[0]))
	require.Equal(t, "application/json", first.Header.Get("Content-Type"))
	require.Equal(t, "nosniff", first.Header.Get("X-Content-Type-Options"), "text is text")
	require.Equal(t, "logs", first.json(t, id, "ownedNfts", 1, "proof"))
	require.Nil(t, first.json(t, id, "ownedNfts", 1, "acquired"))
	require.Equal(t, "its server answers 404", first.json(t, id, "ownedNfts", 1, "error"))

	for _, tt := range []struct {
		history indexer.History
		whole   bool
	}{
		{indexer.History{Status: indexer.HistoryComplete}, true},
		{indexer.History{Status: indexer.HistoryComplete, FromHeight: 7}, false}, // bounded by the settings
		{indexer.History{Status: indexer.HistoryPartial}, false},
		{indexer.History{Status: indexer.HistoryNone}, false},
	} {
		d.ledger.set(func(f *fakeLedger) {
			b := f.held["eth"]
			b.State.History = tt.history
			f.held["eth"] = b
		})
		require.Equal(t, tt.whole, ask(http.MethodGet, "/v1/aggregate/nft_metadata", "").json(t, id, "complete"), tt)
	}

	key := first.json(t, id, "pageKey").(string)
	next := ask(http.MethodGet, "/v1/aggregate/nft_metadata?limit=200&account-filter="+id+"&cursor="+key, "")
	require.Len(t, next.json(t, id, "ownedNfts"), 3)
	require.NotContains(t, string(next.raw), "pageKey")

	_, other := d.user()
	requireProblem(t, d.call(http.MethodGet, "/v1/aggregate/nft_metadata?cursor="+key, "", "Authorization", other), 400, "invalid_cursor")
	for path, code := range map[string]string{
		"?cursor=" + key[:len(key)-1] + "A": "invalid_cursor", "?cursor=x": "invalid_cursor", "?limit=0": "invalid_input", "?limit=201": "invalid_input",
		"?account-filter=x": "invalid_input",
	} {
		requireProblem(t, ask(http.MethodGet, "/v1/aggregate/nft_metadata"+path, ""), 400, code)
	}
	requireProblem(t, d.call(http.MethodGet, "/v1/aggregate/nft_metadata?account-filter="+id, "", "Authorization", other), 404, "not_found")
	requireProblem(t, d.call(http.MethodDelete, "/v1/nft/eth/account/"+id, "", "Authorization", other), 404, "not_found")
	gone := ask(http.MethodDelete, "/v1/nft/eth/account/"+id, "")
	require.Equal(t, http.StatusOK, gone.StatusCode, "%s", gone.raw)
	require.JSONEq(t, `{"message":"OK"}`, string(gone.raw))
}
