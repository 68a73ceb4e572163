package bitcoin_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// proxy stands before a real node and spoils its answers while told to.
type proxy struct {
	*httptest.Server
	spoil atomic.Pointer[spoiler]
}

// spoiler changes an answer. The call is the body of a JSON-RPC request, or the
// path of another one.
type spoiler func(call string, answer []byte) []byte

func newProxy(t *testing.T, node *testNode) *proxy {
	t.Helper()
	p := &proxy{}
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		call, _ := io.ReadAll(r.Body)
		req, err := http.NewRequestWithContext(r.Context(), r.Method, node.URL+r.URL.Path, bytes.NewReader(call))
		if err != nil {
			return
		}
		req.Header = r.Header
		res, err := http.DefaultTransport.RoundTrip(req)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		answer, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if len(call) == 0 {
			call = []byte(r.URL.Path)
		}
		if spoil := p.spoil.Load(); spoil != nil {
			answer = (*spoil)(string(call), answer)
		}
		w.WriteHeader(res.StatusCode)
		_, _ = w.Write(answer)
	}))
	t.Cleanup(func() {
		p.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return p
}

// spec is the chain in front of the proxy alone.
func (p *proxy) spec(node *testNode) chains.Spec {
	spec := node.spec()
	spec.Upstreams[0].URL, spec.Upstreams[0].Websocket = p.URL, ""
	return spec
}

// onBlocks spoils raw blocks, by whichever road they come.
func onBlocks(f func(raw []byte) []byte) spoiler {
	return func(call string, answer []byte) []byte {
		if strings.HasPrefix(call, "/rest/block/") {
			return f(answer)
		}
		if !strings.Contains(call, `"getblock"`) {
			return answer
		}
		return onResult(answer, f)
	}
}

// onHeaders spoils raw headers.
func onHeaders(f func(raw []byte) []byte) spoiler {
	return func(call string, answer []byte) []byte {
		if !strings.Contains(call, `"getblockheader"`) {
			return answer
		}
		var answers []map[string]json.RawMessage
		if json.Unmarshal(answer, &answers) != nil || len(answers) == 0 {
			return answer
		}
		one, _ := json.Marshal(answers[0])
		_ = json.Unmarshal(onResult(one, f), &answers[0])
		all, _ := json.Marshal(answers)
		return all
	}
}

func onResult(answer []byte, f func(raw []byte) []byte) []byte {
	var doc map[string]json.RawMessage
	var text string
	if json.Unmarshal(answer, &doc) != nil || json.Unmarshal(doc["result"], &text) != nil {
		return answer
	}
	raw, err := hex.DecodeString(text)
	if err != nil {
		return answer
	}
	doc["result"], _ = json.Marshal(hex.EncodeToString(f(raw)))
	spoilt, _ := json.Marshal(doc)
	return spoilt
}

func flip(at int) func([]byte) []byte {
	return func(raw []byte) []byte {
		raw = bytes.Clone(raw)
		raw[(at+len(raw))%len(raw)] ^= 1
		return raw
	}
}

func TestNoLieIsBelieved(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 2)
		alice := anyone(t, "alice")
		mined, err := node.Mine(t.Context(), anyone(t, "miner"), payInto(coins[0], 1000, alice))
		require.NoError(t, err)
		var other bytes.Buffer
		foreign, err := node.Mine(t.Context(), anyone(t, "miner"), payInto(coins[1], 1000, alice))
		require.NoError(t, err)
		require.NoError(t, foreign.Serialize(&other))
		hash := hashOf(mined.BlockHash())
		p := newProxy(t, node)
		for name, spoil := range map[string]spoiler{
			"AnotherBlock":     onBlocks(func([]byte) []byte { return other.Bytes() }),
			"AnotherHeader":    onHeaders(func([]byte) []byte { return other.Bytes()[:80] }),
			"FlippedHeader":    onHeaders(flip(70)),
			"ShortHeader":      onHeaders(func(raw []byte) []byte { return raw[:79] }),
			"FlippedNonce":     onBlocks(flip(79)),
			"FlippedAmount":    onBlocks(flip(-30)),
			"FlippedLockTime":  onBlocks(flip(-1)),
			"Truncated":        onBlocks(func(raw []byte) []byte { return raw[:len(raw)-10] }),
			"OnlyCoinbase":     onBlocks(func(raw []byte) []byte { return append(bytes.Clone(raw[:80]), append([]byte{1}, raw[81:]...)...) }),
			"TrailingBytes":    onBlocks(func(raw []byte) []byte { return append(bytes.Clone(raw), 0) }),
			"Nothing":          onBlocks(func([]byte) []byte { return nil }),
			"HeightOfAnother":  heights("7"),
			"HeightOfGenesis":  heights("0"),
			"HeightIsNoNumber": heights(`"x"`),
			"NoHeight":         heights("null"),
		} {
			t.Run(name, func(t *testing.T) {
				p.spoil.Store(&spoil)
				alone := open(t, p.spec(node))
				if strings.HasPrefix(name, "HeightOfA") {
					_, err = alone.Ref(t.Context(), hashOf(mined.Header.PrevBlock))
					if err == nil { // one height alone cannot be checked, two can
						_, err = alone.RefAt(t.Context(), uint64(104))
					}
				} else {
					_, err = alone.Block(t.Context(), hash)
				}
				require.ErrorIs(t, err, chains.ErrUnverified)
				health := alone.Health()
				require.False(t, health[0].OK)
				require.Contains(t, health[0].Reason, "failed verification")

				// With an honest node beside it, nobody notices but the operator.
				spec := p.spec(node)
				spec.Upstreams = append(spec.Upstreams, node.spec().Upstreams[0])
				both := open(t, spec)
				if !strings.HasPrefix(name, "HeightOfA") {
					block, err := both.Block(t.Context(), hash)
					require.NoError(t, err)
					watch := chains.NewWatchTable(1, 1)
					watch.AddScript(alice)
					match, err := block.Match(watch)
					require.NoError(t, err)
					require.Len(t, match.Transfers, 1)
					require.False(t, both.Health()[0].OK)
					require.True(t, both.Health()[1].OK)
				}

				p.spoil.Store(nil)
				eventually(t, func() bool {
					_, err := alone.Block(t.Context(), hash)
					return err == nil
				})
				require.True(t, alone.Health()[0].OK)
			})
		}
	})
}

// heights has a node say that every block stands at one height.
func heights(height string) spoiler {
	return func(call string, answer []byte) []byte {
		if !strings.Contains(call, `"getblockheader"`) {
			return answer
		}
		var answers []map[string]json.RawMessage
		var header map[string]json.RawMessage
		if json.Unmarshal(answer, &answers) != nil || json.Unmarshal(answers[1]["result"], &header) != nil {
			return answer
		}
		header["height"] = json.RawMessage(height)
		answers[1]["result"], _ = json.Marshal(header)
		spoilt, _ := json.Marshal(answers)
		return spoilt
	}
}

func TestForeignMempoolTransactionIsALie(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		coins := node.mature(t, 1)
		alice := anyone(t, "alice")
		paid := node.send(t, payInto(coins[0], 1000, alice))
		p := newProxy(t, node)
		source := open(t, p.spec(node))
		watch := chains.NewWatchTable(1, 1)
		watch.AddScript(alice)
		spoil := spoiler(func(call string, answer []byte) []byte {
			var answers []map[string]json.RawMessage
			if !strings.Contains(call, `"getrawtransaction"`) || json.Unmarshal(answer, &answers) != nil {
				return answer
			}
			one, _ := json.Marshal(answers[0])
			_ = json.Unmarshal(onResult(one, flip(-1)), &answers[0])
			spoilt, _ := json.Marshal(answers)
			return spoilt
		})
		p.spoil.Store(&spoil)
		_, err := source.Mempool(t.Context(), watch)
		require.ErrorIs(t, err, chains.ErrUnverified)
		p.spoil.Store(nil)
		eventually(t, func() bool {
			view, err := source.Mempool(t.Context(), watch)
			return err == nil && len(view.New) == 1 && view.New[0].Tx == paid
		})
	})
}

func TestWrongNetworkIsRefused(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		spec := node.spec()
		spec.Network = "testnet3"
		source := open(t, spec)
		require.Equal(t, "bip122:000000000933ea01ad0ee984209779ba", source.Chain().ID)
		_, err := source.Head(t.Context())
		require.ErrorContains(t, err, "serves another network: its block 0 is 0f9188f1")
		require.False(t, source.Health()[0].OK)
		capabilities := source.Probe(t.Context())
		require.Len(t, capabilities, 1)
		require.Equal(t, "reach", capabilities[0].Name)
		require.False(t, capabilities[0].OK)
		require.Contains(t, capabilities[0].Detail, "another network")
	})
}

func TestWrongPasswordIsSaid(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		spec := node.spec()
		spec.Upstreams[0].Password = "not the password"
		source := open(t, spec)
		_, err := source.Head(t.Context())
		require.ErrorContains(t, err, "refused the user name or password")
		require.NotContains(t, err.Error(), "not the password")
		require.Contains(t, source.Health()[0].Reason, "refused the user name or password")
	})
}

func TestNodeDownAndBack(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		require.NoError(t, node.Stop(t.Context()))
		source := open(t, node.spec()) // opens all the same
		require.Equal(t, chains.AssetID("bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1"), source.Chain().Native.ID)
		_, err := source.Head(t.Context())
		require.Error(t, err)
		require.False(t, source.Health()[0].OK)

		require.NoError(t, node.Restart(t.Context()))
		eventually(t, func() bool {
			_, err := source.Head(t.Context())
			return err == nil
		})
		require.True(t, source.Health()[0].OK)
		node.mine(t, 3)
		head, err := source.Head(t.Context())
		require.NoError(t, err)
		require.Equal(t, uint64(3), head.Height)

		// It dies while it is waited for, comes back, and is waited for again.
		waited := make(chan error, 1)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		go func() { waited <- source.WaitHead(ctx, head.Hash) }()
		require.NoError(t, node.Kill(t.Context()))
		t.Logf("the wait ended with %v: an error or nil, both are true", <-waited)
		require.NoError(t, node.Restart(t.Context()))
		eventually(t, func() bool {
			_, err := source.Head(t.Context())
			return err == nil
		})
	})
}
