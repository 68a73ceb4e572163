package bitcoin_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// fakeNode answers as a Bitcoin Core of some age would, on a chain of nothing
// but the genesis block. Methods it was not given are unknown to it.
type fakeNode struct {
	url string

	mu      sync.Mutex
	answers map[string]func(params []json.RawMessage) (result any, code int)
	asked   map[string]int
}

const regtestGenesis = "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"

func newFakeNode(t *testing.T) *fakeNode {
	t.Helper()
	f := &fakeNode{answers: map[string]func([]json.RawMessage) (any, int){}, asked: map[string]int{}}
	var genesis bytes.Buffer
	require.NoError(t, chaincfg.RegressionNetParams.GenesisBlock.Serialize(&genesis))
	f.set("getblockhash", regtestGenesis)
	f.set("getbestblockhash", regtestGenesis)
	f.set("getblock", hex.EncodeToString(genesis.Bytes()))
	f.on("getblockheader", func(params []json.RawMessage) (any, int) {
		if string(params[1]) == "true" {
			return map[string]any{"height": 0}, 0
		}
		return hex.EncodeToString(genesis.Bytes()[:80]), 0
	})
	server := httptest.NewServer(http.HandlerFunc(f.serve))
	t.Cleanup(server.Close)
	f.url = server.URL
	return f
}

func (f *fakeNode) on(method string, answer func(params []json.RawMessage) (any, int)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answers[method] = answer
}

func (f *fakeNode) set(method string, result any) {
	f.on(method, func([]json.RawMessage) (any, int) { return result, 0 })
}

func (f *fakeNode) fail(method string, code int) {
	f.on(method, func([]json.RawMessage) (any, int) { return nil, code })
}

func (f *fakeNode) times(method string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.asked[method]
}

func (f *fakeNode) serve(w http.ResponseWriter, r *http.Request) {
	type call struct {
		ID     json.RawMessage   `json:"id"`
		Method string            `json:"method"`
		Params []json.RawMessage `json:"params"`
	}
	var body bytes.Buffer
	_, _ = body.ReadFrom(r.Body)
	var calls []call
	if json.Unmarshal(body.Bytes(), &calls) == nil {
		var answers []any
		for _, c := range calls {
			answers = append(answers, f.answer(c.ID, c.Method, c.Params))
		}
		_ = json.NewEncoder(w).Encode(answers)
		return
	}
	var c call
	if json.Unmarshal(body.Bytes(), &c) != nil {
		http.NotFound(w, r)
		return
	}
	_ = json.NewEncoder(w).Encode(f.answer(c.ID, c.Method, c.Params))
}

func (f *fakeNode) answer(id json.RawMessage, method string, params []json.RawMessage) map[string]any {
	f.mu.Lock()
	f.asked[method]++
	answer := f.answers[method]
	f.mu.Unlock()
	code := -32601
	var result any
	if answer != nil {
		result, code = answer(params)
	}
	if code != 0 {
		return map[string]any{"id": id, "result": nil, "error": map[string]any{"code": code, "message": "no"}}
	}
	return map[string]any{"id": id, "result": result, "error": nil}
}

func (f *fakeNode) spec() chains.Spec {
	return chains.Spec{Network: "regtest", Upstreams: []chains.Upstream{{URL: f.url, REST: true}}, Timeout: 5 * time.Second}
}

func TestBareNodeIsReadAllTheSame(t *testing.T) {
	t.Parallel()
	source := open(t, newFakeNode(t).spec())
	head, err := source.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, regtestGenesis, head.Hash.String())
	block, err := source.Block(t.Context(), head.Hash)
	require.NoError(t, err)
	require.Equal(t, head, block.Ref())
	_, _, err = source.ScanUnspent(t.Context(), nil)
	require.ErrorIs(t, err, chains.ErrUnsupported)
	_, err = source.Locate(t.Context(), nil, 0, 0)
	require.ErrorIs(t, err, chains.ErrUnsupported)
	for _, capability := range source.Probe(t.Context()) {
		if capability.Name != "reach" {
			require.False(t, capability.OK, capability.Name)
			continue
		}
		require.True(t, capability.OK)
	}
}

func TestMempoolWhileTheNodeLoadsIt(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	fake.set("getmempoolinfo", map[string]any{"loaded": false})
	fake.set("getrawmempool", []string{})
	view, err := open(t, fake.spec()).Mempool(t.Context(), chains.NewWatchTable(0, 0))
	require.NoError(t, err)
	require.False(t, view.Complete)
}

func TestMempoolTransactionThatVanishes(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	tx := chaincfg.RegressionNetParams.GenesisBlock.Transactions[0]
	var raw bytes.Buffer
	require.NoError(t, tx.Serialize(&raw))
	fake.set("getrawmempool", []string{tx.TxHash().String()})
	fake.fail("getrawtransaction", -5)
	source := open(t, fake.spec())
	watch := chains.NewWatchTable(1, 0)
	watch.AddScript(tx.TxOut[0].PkScript)
	view := look(t, source, watch)
	require.Len(t, view.Present, 1)
	require.Empty(t, view.New)
	fake.set("getrawtransaction", hex.EncodeToString(raw.Bytes()))
	require.Len(t, look(t, source, watch).New, 1, "it is asked for again")
	fake.fail("getrawtransaction", -1)
	require.Empty(t, look(t, source, watch).New, "it is not asked for a third time")
	require.Equal(t, 2, fake.times("getrawtransaction"))
}

func TestScanAnswersThatAreRefused(t *testing.T) {
	t.Parallel()
	script := []byte{0x51}
	coin := func(change func(map[string]any)) map[string]any {
		c := map[string]any{
			"txid": regtestGenesis, "vout": 0, "scriptPubKey": "51", "amount": json.Number("0.00000001"), "height": 0,
		}
		change(c)
		return map[string]any{"success": true, "bestblock": regtestGenesis, "unspents": []any{c}}
	}
	for name, tt := range map[string]struct {
		answer any
		code   int
		want   error
	}{
		"Good":          {answer: coin(func(map[string]any) {})},
		"ForeignScript": {answer: coin(func(c map[string]any) { c["scriptPubKey"] = "52" }), want: chains.ErrUnverified},
		"Fraction":      {answer: coin(func(c map[string]any) { c["amount"] = json.Number("0.000000001") }), want: chains.ErrUnverified},
		"Exponent":      {answer: coin(func(c map[string]any) { c["amount"] = json.Number("1e-8") }), want: chains.ErrUnverified},
		"Negative":      {answer: coin(func(c map[string]any) { c["amount"] = json.Number("-1") }), want: chains.ErrUnverified},
		"AboveTheTip":   {answer: coin(func(c map[string]any) { c["height"] = 1 }), want: chains.ErrUnverified},
		"NoForm":        {answer: "x", want: chains.ErrUnverified},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeNode(t)
			fake.on("scantxoutset", func(params []json.RawMessage) (any, int) {
				if string(params[0]) == `"start"` {
					return tt.answer, tt.code
				}
				return nil, 0
			})
			coins, _, err := open(t, fake.spec()).ScanUnspent(t.Context(), [][]byte{script})
			if tt.want == nil {
				require.NoError(t, err)
				require.Equal(t, "1", coins[0].Amount.String())
				return
			}
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestScanOfABusyNodeIsNoLackOfIt(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	fake.on("scantxoutset", func(params []json.RawMessage) (any, int) {
		if string(params[0]) == `"start"` {
			return nil, -8
		}
		return nil, 0
	})
	_, _, err := open(t, fake.spec()).ScanUnspent(t.Context(), [][]byte{{0x51}})
	require.Error(t, err)
	require.NotErrorIs(t, err, chains.ErrUnsupported)
}

func TestFilterIndexThatIsStillBuilt(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	fake.set("getindexinfo", map[string]any{"basic block filter index": map[string]any{"synced": false, "best_block_height": 0}})
	fake.on("scanblocks", func(params []json.RawMessage) (any, int) {
		if string(params[0]) == `"start"` {
			return nil, -1
		}
		return nil, 0
	})
	_, err := open(t, fake.spec()).Locate(t.Context(), [][]byte{{0x51}}, 0, 0)
	require.ErrorIs(t, err, chains.ErrUnsupported)
}

func TestWaitHeadByLongPoll(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		help   string // what the node says of waitfornewblock
		params int    // what it then is given
	}{
		"Core29": {help: "waitfornewblock ( timeout \"current_tip\" )", params: 2},
		"Core21": {help: "waitfornewblock ( timeout )", params: 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeNode(t)
			fake.set("help", tt.help)
			got := make(chan int, 1)
			come := make(chan struct{})
			fake.on("waitfornewblock", func(params []json.RawMessage) (any, int) {
				got <- len(params)
				<-come
				return nil, 0
			})
			source := open(t, fake.spec())
			head, err := source.Head(t.Context())
			require.NoError(t, err)
			waited := make(chan error, 1)
			go func() { waited <- source.WaitHead(t.Context(), head.Hash) }()
			require.Equal(t, tt.params, <-got)
			fake.set("getbestblockhash", chains.Hash{1}.String())
			close(come)
			require.NoError(t, <-waited)
		})
	}
}

func TestWarmingUpIsAFaultThatPasses(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	fake.fail("getblockhash", -28)
	source := open(t, fake.spec())
	_, err := source.Head(t.Context())
	require.Error(t, err)
	require.False(t, source.Health()[0].OK)
	fake.set("getblockhash", regtestGenesis)
	eventually(t, func() bool {
		_, err := source.Head(t.Context())
		return err == nil
	})
	require.True(t, source.Health()[0].OK)
}

func TestHeadIsAnnouncedFasterThanATick(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		source := open(t, node.spec())
		fastest := time.Hour
		for range 5 {
			head, err := source.Head(t.Context())
			require.NoError(t, err)
			waited := make(chan error, 1)
			go func() { waited <- source.WaitHead(t.Context(), head.Hash) }()
			began := time.Now()
			node.mine(t, 1)
			require.NoError(t, <-waited)
			fastest = min(fastest, time.Since(began))
		}
		t.Logf("fastest of 5: %s", fastest)
		require.Less(t, fastest, 500*time.Millisecond, "asking every second takes a second")
	})
}
