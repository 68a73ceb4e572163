package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// lie is what a node says instead of the truth.
type lie struct {
	// result changes the result of one JSON-RPC call; nil changes none.
	result func(method string, params []any, result any) any

	// file changes what is served by REST; nil changes nothing.
	file func(path string, content []byte) []byte
}

// liar stands before a real node, and passes everything on until it is told to
// lie.
type liar struct {
	url  string
	node string
	lie  atomic.Pointer[lie] // nil is the truth
}

func newLiar(t *testing.T, node string) *liar {
	t.Helper()
	l := &liar{node: node}
	server := httptest.NewServer(l)
	t.Cleanup(server.Close)
	l.url = server.URL
	return l
}

// ServeHTTP asks the node, and twists what it says.
func (l *liar) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	asked, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	request, err := http.NewRequestWithContext(r.Context(), r.Method, l.node+r.URL.RequestURI(), bytes.NewReader(asked))
	if err != nil {
		return
	}
	for _, name := range []string{"Authorization", "Content-Type"} {
		request.Header[name] = r.Header[name]
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return
	}
	if lie := l.lie.Load(); lie != nil && response.StatusCode == http.StatusOK {
		switch {
		case r.Method == http.MethodGet && lie.file != nil:
			said = lie.file(r.URL.Path, said)
		case r.Method == http.MethodPost && lie.result != nil:
			said = twist(asked, said, lie.result)
		}
	}
	w.Header().Set("Content-Type", response.Header.Get("Content-Type"))
	w.WriteHeader(response.StatusCode)
	_, _ = w.Write(said) // whoever hung up does not hear it
}

// twist applies a lie to the answers of one call or of a batch. What is no
// answer it leaves as it is.
func twist(asked, said []byte, change func(method string, params []any, result any) any) []byte {
	type call struct {
		ID     json.RawMessage
		Method string
		Params []any
	}
	var calls []call
	var answers []map[string]json.RawMessage
	batch := len(asked) > 0 && asked[0] == '['
	if batch {
		if json.Unmarshal(asked, &calls) != nil || json.Unmarshal(said, &answers) != nil {
			return said
		}
	} else {
		calls, answers = make([]call, 1), make([]map[string]json.RawMessage, 1)
		if json.Unmarshal(asked, &calls[0]) != nil || json.Unmarshal(said, &answers[0]) != nil {
			return said
		}
	}
	for _, answer := range answers {
		for _, c := range calls {
			var result any
			if string(c.ID) != string(answer["id"]) || answer["result"] == nil || json.Unmarshal(answer["result"], &result) != nil {
				continue
			}
			answer["result"], _ = json.Marshal(change(c.Method, c.Params, result)) // it was JSON before
		}
	}
	var out []byte
	if batch {
		out, _ = json.Marshal(answers)
	} else {
		out, _ = json.Marshal(answers[0])
	}
	return out
}

// chain is what the operator sees of a chain.
func (s *stack) chain(slug string) (state, reason string) {
	s.t.Helper()
	status, answer := s.call("GET", "/v1/chains", "X-API-Key", testMaster, nil)
	require.Equal(s.t, http.StatusOK, status, answer)
	for _, one := range answer["chains"].([]any) {
		if chain := one.(map[string]any); chain["chain"] == slug {
			reason, _ = chain["reason"].(string)
			return chain["state"].(string), reason
		}
	}
	return "", ""
}

// told returns the kinds of the events of chains, in their order.
func (s *stack) told() []string {
	s.t.Helper()
	var kinds []string
	for after := json.Number("0"); ; {
		status, answer := s.call("GET", "/v1/events?limit=100&after="+after.String(), "X-API-Key", testMaster, nil)
		require.Equal(s.t, http.StatusOK, status, answer)
		events := answer["events"].([]any)
		if len(events) == 0 {
			return kinds
		}
		for _, one := range events {
			if kind := one.(map[string]any)["type"].(string); strings.HasPrefix(kind, "chain.") {
				kinds = append(kinds, kind)
			}
		}
		after = answer["next"].(json.Number)
	}
}

// member changes one member of an object.
func member(object any, name string, value any) any {
	if fields, ok := object.(map[string]any); ok {
		fields[name] = value
	}
	return object
}

// more is one more than a number in hexadecimal.
func more(number any) string {
	n, ok := new(big.Int).SetString(strings.TrimPrefix(fmt.Sprint(number), "0x"), 16)
	if !ok {
		return fmt.Sprint(number)
	}
	return fmt.Sprintf("%#x", n.Add(n, big.NewInt(1)))
}

// flipped changes one digit in the middle of a number in hexadecimal.
func flipped(text string) string {
	digits := []byte(text)
	middle := len(digits) / 2
	if digits[middle] == '0' {
		digits[middle] = '1'
	} else {
		digits[middle] = '0'
	}
	return string(digits)
}

// fault is a lie, and how it shows.
type fault struct {
	lie   func(w *liedWorld) lie
	state string // of the chain, while there is nobody else to ask
	check string // that finds it, within the reason
}

// honestly leaves a result as it is but for one method.
func honestly(method string, change func(result any) any) func(w *liedWorld) lie {
	return func(*liedWorld) lie {
		return lie{result: func(m string, _ []any, result any) any {
			if m == method && result != nil {
				return change(result)
			}
			return result
		}}
	}
}

func ethereumFaults() map[string]fault {
	return map[string]fault{
		"OmitsLog": {state: "degraded", check: "logs bloom", lie: honestly("eth_getBlockReceipts", func(receipts any) any {
			for _, receipt := range receipts.([]any) {
				member(receipt, "logs", []any{})
			}
			return receipts
		})},
		"OmitsReceipt": {state: "degraded", check: "structure", lie: honestly("eth_getBlockReceipts", func(receipts any) any {
			if all := receipts.([]any); len(all) > 0 {
				return all[1:]
			}
			return receipts
		})},
		"OmitsTransactions": {state: "degraded", check: "receipts root", lie: emptied},
		"AnotherBlock":      {state: "degraded", check: "structure", lie: another},
		"WrongBalance": {state: "degraded", check: "proof", lie: honestly("eth_getProof", func(proof any) any {
			fields := proof.(map[string]any)
			nodes := fields["accountProof"].([]any)
			nodes[len(nodes)-1] = flipped(nodes[len(nodes)-1].(string))
			return member(proof, "balance", more(fields["balance"]))
		})},
		"WrongTokenBalance": {state: "degraded", check: "proof", lie: honestly("eth_call", func(word any) any {
			return fmt.Sprintf("0x%064s", strings.TrimPrefix(more(word), "0x"))
		})},
		"Lags":  {state: "lagging", check: "behind", lie: older},
		"Nulls": {state: "syncing", lie: honestly("eth_getBlockReceipts", func(any) any { return nil })},
	}
}

// emptied serves every block with neither transactions nor receipts.
func emptied(*liedWorld) lie {
	return lie{result: func(method string, params []any, result any) any {
		switch method {
		case "eth_getBlockByHash":
			if len(params) == 2 && params[1] == true {
				member(result, "transactions", []any{})
				return member(result, "logsBloom", "0x"+strings.Repeat("0", 512))
			}
		case "eth_getBlockReceipts", "debug_traceBlockByHash":
			return []any{}
		}
		return result
	}}
}

// another serves block 1 for every block asked for by hash.
func another(w *liedWorld) lie {
	var first any
	require.NoError(w.t, w.node.Call(w.t.Context(), "eth_getBlockByNumber", &first, "0x1", true))
	return lie{result: func(method string, _ []any, result any) any {
		if method == "eth_getBlockByHash" {
			return first
		}
		return result
	}}
}

// older has for its head the block before the one that was the head when it
// began, and knows nothing above.
func older(w *liedWorld) lie {
	height, err := w.node.Height(w.t.Context())
	require.NoError(w.t, err)
	var head any
	require.NoError(w.t, w.node.Call(w.t.Context(), "eth_getBlockByNumber", &head, fmt.Sprintf("%#x", height-1), false))
	return lie{result: func(method string, params []any, result any) any {
		block, _ := result.(map[string]any)
		number, _ := new(big.Int).SetString(strings.TrimPrefix(fmt.Sprint(block["number"]), "0x"), 16)
		switch {
		case method == "eth_blockNumber":
			return fmt.Sprintf("%#x", height-1)
		case method == "eth_getBlockByNumber" && len(params) > 0 && params[0] == "latest":
			return head
		case number != nil && number.Uint64() >= height:
			return nil
		}
		return result
	}}
}

// liedWorld is an ethereumWorld behind a liar.
type liedWorld struct {
	*ethereumWorld
	liar *liar
}

// newLiedWorld is level. Beside the liar the daemon may have honest upstreams.
func newLiedWorld(t *testing.T, honest bool) *liedWorld {
	t.Helper()
	node := localnode.TestAnvil(t)
	l := newLiar(t, node.URL)
	urls := []string{l.url}
	if honest {
		urls = append(urls, node.URL)
	}
	w := &liedWorld{ethereumWorld: newEthereumWorld(t, node, urls...), liar: l}
	w.cfg.Chains["eth"].Tokens[0].Slot = 0 // so that the token's balances are proven too
	w.pay(0, 1_000_000)
	w.give(1, 500)
	w.start()
	w.ready()
	w.connectAll()
	w.check("healthy")
	return w
}

// ready waits until the chain is open: before, nothing can be connected.
func (w *liedWorld) ready() {
	w.t.Helper()
	until(w.t, "the chain is level", func() bool {
		state, _ := w.chain("eth")
		return state == "level"
	})
}

// truthful compares everything the API says now with what the node says of the
// blocks that are named.
func (w *liedWorld) truthful() {
	w.t.Helper()
	compared := 0
	for i, a := range w.accounts {
		compared += w.ethereumWorld.truthful("while somebody lies", i, a.balance())
	}
	require.GreaterOrEqual(w.t, compared, 2, "balances of those who were paid first")
}

// business pays everybody.
func (w *liedWorld) business() {
	w.t.Helper()
	for n := range w.people {
		w.pay(n, 2_000+int64(n))
		w.give(n, 30+int64(n))
	}
}

// TestLyingNode lets the only node of a chain lie: no balance is wrong for the
// block it names, the chain says what is wrong, and recovers.
func TestLyingNode(t *testing.T) {
	t.Parallel()
	for name, fault := range ethereumFaults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLiedWorld(t, false)
			lie := fault.lie(w)
			w.liar.lie.Store(&lie)
			w.business()
			var state, reason string
			until(t, "the lie is found", func() bool {
				w.truthful()
				state, reason = w.chain("eth")
				return state == fault.state && strings.Contains(reason, fault.check)
			})
			w.business()
			for range 5 {
				w.truthful()
			}
			w.liar.lie.Store(nil)
			w.check("healed")
			w.truthful()
			w.ready()
			if fault.state == "degraded" {
				until(t, "its events are told", func() bool { return len(w.told()) >= 2 })
				kinds := w.told()
				require.Equal(t, "chain.degraded", kinds[0])
				require.Equal(t, "chain.recovered", kinds[len(kinds)-1])
				require.Zero(t, len(kinds)%2, "%v", kinds)
			} else {
				require.Empty(t, w.told())
			}
		})
	}
}

// TestLyingNodeBesideAnHonestOne has the liar first in the list: the chain stays
// level, exact, and says who lies.
func TestLyingNodeBesideAnHonestOne(t *testing.T) {
	t.Parallel()
	for name, fault := range ethereumFaults() {
		if fault.state == "lagging" {
			continue // that is no lie: the head of the first upstream that answers is followed
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newLiedWorld(t, true)
			lie := fault.lie(w)
			w.liar.lie.Store(&lie)
			// The reason stands until the liar is tried again and does not lie.
			until(t, "the reason names the liar", func() (named bool) {
				w.business()
				for range 10 {
					state, reason := w.chain("eth")
					require.NotEqual(t, "degraded", state)
					named = named || strings.Contains(reason, w.liar.url) && strings.Contains(reason, fault.check)
				}
				return named || fault.state != "degraded" // who says that he does not know is no liar
			})
			w.check("while one lies")
			w.truthful()
			require.Empty(t, w.told())
		})
	}
}

// bitcoinFaults are lies of a bitcoin node about its blocks.
func bitcoinFaults(t *testing.T) map[string]fault {
	t.Helper()
	var genesis bytes.Buffer
	require.NoError(t, chaincfg.RegressionNetParams.GenesisBlock.Serialize(&genesis))
	blocks := func(change func(block []byte) []byte) func(*liedWorld) lie {
		return func(*liedWorld) lie {
			return lie{
				file: func(path string, content []byte) []byte {
					if strings.HasPrefix(path, "/rest/block/") {
						return change(bytes.Clone(content))
					}
					return content
				},
			}
		}
	}
	return map[string]fault{
		"FlipsByte": {state: "degraded", check: "merkle", lie: blocks(func(block []byte) []byte {
			block[len(block)-1] ^= 1 // of the last transaction's lock time
			return block
		})},
		"FlipsWitness": {state: "degraded", check: "witnesses", lie: blocks(func(block []byte) []byte {
			block[len(block)-10] ^= 1
			return block
		})},
		"AnotherBlock": {state: "degraded", check: "the answer is block", lie: blocks(func([]byte) []byte { return genesis.Bytes() })},
		"CutsBlock":    {state: "degraded", check: "answer failed verification", lie: blocks(func(block []byte) []byte { return block[:len(block)-3] })},
	}
}

// TestLyingBitcoinNode does the same for a node of the bitcoin family.
func TestLyingBitcoinNode(t *testing.T) {
	t.Parallel()
	for name, fault := range bitcoinFaults(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			lyingBitcoin(t, fault, false)
		})
	}
	t.Run("BesideAnHonestOne", func(t *testing.T) {
		t.Parallel()
		lyingBitcoin(t, bitcoinFaults(t)["FlipsByte"], true)
	})
}

func lyingBitcoin(t *testing.T, fault fault, honest bool) {
	t.Helper()
	node, miner := localnode.TestBitcoind(t)
	w := newBitcoinWorld(t, node, miner)
	l := newLiar(t, node.URL)
	chain := w.cfg.Chains["btc"]
	truth := chain.Upstreams[0]
	chain.Upstreams[0].URL = config.NewURL(l.url)
	if honest {
		chain.Upstreams = append(chain.Upstreams, truth)
		w.cfg.Chains["btc"] = chain
	}
	w.pay(1_000_000, 0, 1)
	w.generate(1)
	w.start()
	until(t, "the chain is level", func() bool {
		state, _ := w.chain("btc")
		return state == "level"
	})
	w.connectAll()
	w.check("healthy")
	before := w.accounts[0].balance()

	lie := fault.lie(nil)
	l.lie.Store(&lie)
	w.pay(20_000, 0, 1, 2)
	w.generate(1)
	if honest {
		until(t, "the reason names the liar", func() (named bool) {
			w.generate(1)
			for range 10 {
				state, reason := w.chain("btc")
				require.NotEqual(t, "degraded", state)
				named = named || strings.Contains(reason, l.url) && strings.Contains(reason, fault.check)
			}
			return named
		})
		w.check("while one lies")
		require.Empty(t, w.told())
		return
	}
	var reason string
	until(t, "the lie is found", func() bool {
		var state string
		got := w.accounts[0].balance()
		require.Equal(t, before.asOf, got.asOf)
		require.Equal(t, before.amounts, got.amounts)
		state, reason = w.chain("btc")
		return state == fault.state
	})
	require.Contains(t, reason, fault.check)
	l.lie.Store(nil)
	w.check("healed")
	until(t, "its events are told", func() bool { return len(w.told()) >= 2 })
	require.Equal(t, []string{"chain.degraded", "chain.recovered"}, w.told())
}
