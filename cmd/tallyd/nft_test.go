package main

import (
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
)

// museum is a real node with a collection of each standard, a server of strange
// metadata, and a daemon.
type museum struct {
	*ethereumWorld
	single, many string // contracts
	metadata     string // URL of the server
	gate         chan struct{}
}

func newMuseum(t *testing.T) *museum {
	t.Helper()
	node := localnode.TestAnvil(t)
	m := &museum{ethereumWorld: newEthereumWorld(t, node), gate: make(chan struct{})}
	var err error
	m.single, err = node.DeployCollectible(t.Context())
	require.NoError(t, err)
	m.many, err = node.DeployEditions(t.Context())
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(m.serve))
	t.Cleanup(server.Close)
	m.metadata = server.URL
	m.cfg.NFT = nearby()
	m.cfg.NFT.Timeout = time.Second
	return m
}

// serve is the server of metadata, with its faults.
func (m *museum) serve(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	switch name := strings.TrimPrefix(r.URL.Path, "/"); name {
	case "private":
		http.Redirect(w, r, "http://10.0.0.1/", http.StatusFound)
	case "html":
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<html>"))
	case "broken":
		_, _ = w.Write([]byte(`{"name":`))
	case "huge":
		for range 160 {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	case "drip":
		for r.Context().Err() == nil {
			_, _ = w.Write([]byte(" "))
			_ = http.NewResponseController(w).Flush()
			select {
			case <-r.Context().Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	case "hostile":
		_, _ = w.Write([]byte(`{"name":"\u0000\u202e` + strings.Repeat("N", 100_000) + "\xff" + `","image":"javascript:alert(1)","attributes":[{"trait_type":"\u0000","value":"\u0000v"}]}`))
	default:
		fmt.Fprintf(w, `{"name":"Piece %s","description":"d","image":"https://example.com/%s.png","attributes":[{"trait_type":"No","value":1}]}`, name, name)
	}
}

func (m *museum) do(to, signature string, args ...any) localnode.Receipt {
	m.t.Helper()
	receipt := m.transact(localnode.Transaction{To: to, Data: localnode.CallData(signature, args...)})
	require.Equal(m.t, "0x1", receipt.Status, signature)
	return receipt
}

// collector is a connection of an address for its NFTs.
type collector struct {
	*museum
	id, token string
}

func (m *museum) collect(token, wallet string) collector {
	m.t.Helper()
	status, answer := m.call("POST", "/v1/nft/eth/connect", "Authorization", "Bearer "+token, map[string]string{"wallet": wallet, "description": "mine"})
	require.Equal(m.t, http.StatusOK, status, answer)
	return collector{museum: m, id: answer["id"].(string), token: token}
}

// piece is what the test reads of one NFT.
type piece struct {
	Asset, Amount, Proof, Name, Image, Address, Standard string
	TokenID                                              string `json:"token_id"`
	Contract                                             struct{ Address string }
	Collection                                           struct{ Name, Symbol string }
	Attributes                                           []map[string]string
	MetadataState                                        struct {
		Status, Reason string
		AsOf           *string `json:"as_of"`
	} `json:"metadata_state"`
	Acquired *struct {
		Tx     string
		Height uint64
	}
	AsOf *struct{ Hash string } `json:"as_of"`
}

type wall struct {
	OwnedNfts  []piece
	TotalCount string
	BlockHash  string
	PageKey    string
	Complete   bool
	State      struct{ Status string }
}

// walls reads everything the user of a token has, by account.
func (m *museum) walls(token, query string) map[string]wall {
	m.t.Helper()
	status, answer := m.call("GET", "/v1/aggregate/nft_metadata"+query, "Authorization", "Bearer "+token, nil)
	require.Equal(m.t, http.StatusOK, status, answer)
	raw, err := json.Marshal(answer)
	require.NoError(m.t, err)
	var walls map[string]wall
	require.NoError(m.t, json.Unmarshal(raw, &walls))
	return walls
}

func (c collector) wall() wall {
	c.t.Helper()
	return c.walls(c.token, "?limit=200")[c.id]
}

// holds waits until the account holds exactly what is named, as contract#id×amount,
// and its metadata was looked at.
func (c collector) holds(what string, pieces ...string) []piece {
	c.t.Helper()
	slices.Sort(pieces)
	var shown []piece
	c.eventually(fmt.Sprintf("%s: %v", what, pieces), func() bool {
		w := c.wall()
		shown = w.OwnedNfts
		got := []string{}
		for _, p := range shown {
			if p.MetadataState.Status == "pending" || p.Proof == "logs" {
				return false
			}
			got = append(got, c.label(p))
		}
		slices.Sort(got)
		return slices.Equal(got, pieces) && w.TotalCount == strconv.Itoa(len(pieces))
	})
	return shown
}

func (m *museum) label(p piece) string {
	name := map[string]string{strings.ToLower(m.single): "single", strings.ToLower(m.many): "many"}[p.Contract.Address]
	return name + "#" + p.TokenID + "×" + p.Amount
}

// TestNFTs follows what an address collects, on a real node, from before it was
// connected on: what it gets, gives, what is burnt, minted again, lied about, and
// taken back by a reorg.
func TestNFTs(t *testing.T) {
	t.Parallel()
	m := newMuseum(t)
	me, other := m.people[0], m.people[1]
	first := m.do(m.single, "mint(address,uint256,uint256,string)", me, int64(1), int64(1), m.metadata+"/one")
	m.do(m.many, "point(string)", m.metadata+"/{id}")
	large := new(big.Int).Lsh(big.NewInt(1), 200)
	m.do(m.many, "many(address,address,uint256[],uint256[])", "0x0", me, []*big.Int{big.NewInt(10), big.NewInt(11)}, []*big.Int{large, big.NewInt(1)})
	m.start()

	status, hint := m.call("GET", "/v1/nft/eth/connect", "Authorization", "Bearer "+second(m.user()), nil)
	require.Equal(t, http.StatusOK, status, hint)
	require.Equal(t, map[string]any{"description": "Account description", "wallet": "Address"}, hint["fields"])
	_, token := m.user()
	mine := m.collect(token, me)
	shown := mine.holds("found in the past", "single#1×1", "many#10×"+large.String(), "many#11×1")
	one := shown[slices.IndexFunc(shown, func(p piece) bool { return p.Standard == "erc721" })]
	require.Equal(t, "eip155:31337/erc721:"+strings.ToLower(m.single)+"/1", one.Asset)
	require.Equal(t, "Piece one", one.Name)
	require.Equal(t, "https://example.com/one.png", one.Image)
	require.Equal(t, []map[string]string{{"trait_type": "No", "value": "1"}}, one.Attributes)
	require.Equal(t, "Collectible", one.Collection.Name)
	require.Equal(t, first.TransactionHash, one.Acquired.Tx)
	require.Equal(t, "asserted", one.Proof, "there is one node")
	require.Equal(t, "ready", one.MetadataState.Status)
	require.NotNil(t, one.MetadataState.AsOf)
	many := shown[slices.IndexFunc(shown, func(p piece) bool { return p.TokenID == "10" })]
	require.Equal(t, fmt.Sprintf("Piece %064x", 10), many.Name, "EIP-1155's way to write an id")
	m.eventually("the whole past was searched", func() bool { return mine.wall().Complete })

	// The same address for its balances: nothing is listed twice, no NFT is a
	// balance, and what shows NFTs has none.
	status, answer := m.call("POST", "/v1/nft/eth/connect", "Authorization", "Bearer "+token, map[string]string{"wallet": me})
	require.Equal(t, http.StatusBadRequest, status, answer)
	require.Equal(t, "wallet_connected", answer["code"])
	owner := m.connectFor(token, "eth", me)
	m.pay(0, 5)
	m.eventually("the balance is there", func() bool { return owner.balance().amounts["eip155:31337/slip44:60"] == "5" })
	for asset := range owner.balance().amounts {
		require.NotContains(t, asset, "/erc721:")
		require.NotContains(t, asset, "/erc1155:")
	}
	walls := m.walls(token, "")
	require.Len(t, walls, 2)
	require.Equal(t, "3", walls[mine.id].TotalCount)
	require.Equal(t, "0", walls[owner.id].TotalCount, "an address is listed with the account that was first")
	require.Equal(t, "3", m.walls(token, "?account-filter="+owner.id)[owner.id].TotalCount, "unless another is asked for")
	status, totals := m.call("GET", "/v1/aggregate/balance", "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusOK, status)
	require.Len(t, totals["balance"].(map[string]any)["accounts"], 1)
	for _, path := range []string{"/balance", "/transactions"} {
		status, _ = m.call("GET", "/v1/onchain/eth/account/"+mine.id+path, "Authorization", "Bearer "+token, nil)
		require.Equal(t, http.StatusNotFound, status, path)
	}

	// The life of pieces.
	m.do(m.single, "move(address,uint256)", other, int64(1))
	mine.holds("given away", "many#10×"+large.String(), "many#11×1")
	m.do(m.single, "lie(address,address,uint256)", other, me, int64(1))
	m.do(m.many, "one(address,address,uint256,uint256)", me, other, int64(11), int64(1))
	m.do(m.single, "move(address,uint256)", me, int64(2))
	mine.holds("lied about", "many#10×"+large.String(), "single#2×1")
	m.do(m.single, "move(address,uint256)", "0x0", int64(2))
	m.do(m.single, "move(address,uint256)", me, int64(3))
	mine.holds("burnt", "many#10×"+large.String(), "single#3×1")
	m.do(m.single, "move(address,uint256)", me, int64(2))
	mine.holds("minted again", "many#10×"+large.String(), "single#3×1", "single#2×1")
	require.NoError(t, m.node.Reorg(t.Context(), 1))
	mine.holds("taken back by a reorg", "many#10×"+large.String(), "single#3×1")
	require.NoError(t, m.node.Reorg(t.Context(), 3))
	mine.holds("taken back to before the burn", "many#10×"+large.String(), "single#2×1")

	// Events of the NFTs alone.
	status, feed := m.call("GET", "/v1/events?after=0&limit=500", "X-API-Key", testMaster, nil)
	require.Equal(t, http.StatusOK, status)
	told := map[string]int{}
	for _, e := range feed["events"].([]any) {
		event := e.(map[string]any)
		if event["account_id"] == mine.id && strings.HasPrefix(event["type"].(string), "transfer.") {
			told[event["type"].(string)]++
			require.Contains(t, event["data"].(map[string]any)["asset"], "/erc")
			require.NotContains(t, event["data"].(map[string]any)["asset"], "/erc20:")
		}
	}
	require.NotZero(t, told["transfer.confirmed"])
	require.NotZero(t, told["transfer.orphaned"])

	// Others see nothing of it, and what is disconnected is gone.
	_, stranger := m.user()
	require.Empty(t, m.walls(stranger, ""))
	status, _ = m.call("GET", "/v1/aggregate/nft_metadata?account-filter="+mine.id, "Authorization", "Bearer "+stranger, nil)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = m.call("DELETE", "/v1/nft/eth/account/"+mine.id, "Authorization", "Bearer "+stranger, nil)
	require.Equal(t, http.StatusNotFound, status)
	status, _ = m.call("DELETE", "/v1/nft/eth/account/"+owner.id, "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusNotFound, status, "that is no account for NFTs")
	status, _ = m.call("DELETE", "/v1/nft/eth/account/"+mine.id, "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, "2", m.walls(token, "")[owner.id].TotalCount)
}

func second(_, token string) string { return token }

// TestNFTMetadata points pieces at everything that metadata should not be: each has
// its reason, none keeps another from being read, and pages list them all.
func TestNFTMetadata(t *testing.T) {
	t.Parallel()
	m := newMuseum(t)
	m.start()
	_, token := m.user()
	mine := m.collect(token, m.people[0])
	reasons := []string{}
	for i, tt := range []struct{ path, reason string }{
		{"/private", "its server has an address that must not be asked"},
		{"/html", "its server sends text/html, not JSON"},
		{"/broken", "it is not a JSON object"},
		{"/huge", "it is longer than 1048576 bytes"},
		{"/drip", "its server takes too long"},
		{"/good", ""},
		{"/hostile", ""},
	} {
		m.do(m.single, "mint(address,uint256,uint256,string)", m.people[0], int64(i), int64(1), m.metadata+tt.path)
		reasons = append(reasons, tt.reason)
	}
	m.do(m.single, "mint(address,uint256,uint256,string)", m.people[0], int64(7), int64(1), "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi/7")
	m.do(m.single, "mint(address,uint256,uint256,string)", m.people[0], int64(8), int64(1), "\xff\xfe")
	m.do(m.single, "mint(address,uint256,uint256,string)", m.people[0], int64(9), int64(40), `data:,{"name":"here"}`)
	m.do(m.single, "call(string,string)", strings.Repeat("L", 2000), "\x00")
	reasons = append(reasons, "the metadata is on IPFS, and no gateway is configured", "the contract names no metadata")

	m.eventually("everything was looked at", func() bool {
		shown := mine.wall().OwnedNfts
		return len(shown) == 49 && !slices.ContainsFunc(shown, func(p piece) bool { return p.MetadataState.Status == "pending" || p.Proof == "logs" })
	})
	cursor, seen := "", map[string]piece{}
	for pages := 0; ; pages++ {
		wall := m.walls(token, "?limit=10&cursor="+cursor)[mine.id]
		require.Equal(t, "49", wall.TotalCount)
		for _, p := range wall.OwnedNfts {
			require.NotContains(t, seen, p.TokenID)
			seen[p.TokenID] = p
		}
		if cursor = wall.PageKey; cursor == "" {
			require.Equal(t, 4, pages)
			break
		}
		require.Len(t, wall.OwnedNfts, 10)
	}
	require.Len(t, seen, 49)
	for i, reason := range reasons {
		p := seen[strconv.Itoa(i)]
		require.Equal(t, reason, p.MetadataState.Reason, "piece %d", i)
		require.Equal(t, map[bool]string{true: "ready", false: "failed"}[reason == ""], p.MetadataState.Status)
	}
	require.Equal(t, "Piece good", seen["5"].Name)
	require.Len(t, seen["6"].Name, 512, "cut, and rid of what cannot be seen")
	require.Equal(t, strings.Repeat("N", 512), seen["6"].Name)
	require.Empty(t, seen["6"].Image)
	require.Equal(t, "here", seen["40"].Name)

	status, answer := m.call("GET", "/v1/aggregate/nft_metadata?cursor=AAAA", "Authorization", "Bearer "+token, nil)
	require.Equal(t, http.StatusBadRequest, status)
	require.Equal(t, "invalid_cursor", answer["code"])
	_, other := m.user()
	first := m.walls(token, "?limit=10")[mine.id].PageKey
	status, _ = m.call("GET", "/v1/aggregate/nft_metadata?cursor="+first, "Authorization", "Bearer "+other, nil)
	require.Equal(t, http.StatusBadRequest, status, "a place is its user's")
	for _, chain := range []string{"nope", "btc"} {
		status, _ = m.call("POST", "/v1/nft/"+chain+"/connect", "Authorization", "Bearer "+token, map[string]string{"wallet": m.people[0]})
		require.Equal(t, http.StatusNotFound, status, chain)
	}
}
