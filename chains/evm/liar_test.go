package evm

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// errNoMethod in place of a result makes the answer an error.
var errNoMethod = map[string]any{"code": -32601, "message": "the method does not exist"}

// lie changes the result of one call, and returns what is answered instead.
type lie func(method string, result any) any

// startLiar is a node that answers as another one does, but for a lie.
func startLiar(t *testing.T, behind *devNode, lie lie) *devNode {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		req, err := http.NewRequestWithContext(r.Context(), http.MethodPost, behind.url, bytes.NewReader(body))
		if err != nil {
			return
		}
		req.Header.Set("Content-Type", "application/json")
		res, err := behind.client.Do(req)
		if err != nil {
			return
		}
		defer res.Body.Close()
		answer, err := io.ReadAll(res.Body)
		if err != nil {
			return
		}
		_, _ = w.Write(twist(body, answer, lie))
	}))
	t.Cleanup(server.Close)
	return newDevNode(t, server.URL)
}

// twist applies a lie to every answer of one call or of a batch.
func twist(request, answer []byte, lie lie) []byte {
	type call struct {
		ID     json.Number
		Method string
	}
	var calls []call
	var answers []map[string]any
	batch := request[0] == '['
	if !batch {
		request, answer = []byte("["+string(request)+"]"), []byte("["+string(answer)+"]")
	}
	if json.Unmarshal(request, &calls) != nil || json.Unmarshal(answer, &answers) != nil {
		return nil
	}
	methods := map[string]string{}
	for _, c := range calls {
		methods[c.ID.String()] = c.Method
	}
	for _, a := range answers {
		id, _ := json.Marshal(a["id"])
		said := lie(methods[string(id)], a["result"])
		if a["error"] != nil && said == nil {
			continue
		}
		delete(a, "error")
		a["result"] = said
		if m, ok := said.(map[string]any); ok && m["message"] != nil {
			delete(a, "result")
			a["error"] = m
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

// in applies a change to the results of one method.
func in(method string, change func(result any) any) lie {
	return func(m string, result any) any {
		if m == method && result != nil {
			return change(result)
		}
		return result
	}
}

// set changes one member of an object.
func set(object any, name string, value any) any {
	object.(map[string]any)[name] = value
	return object
}

// at steps down into objects by name and arrays by position.
func at(v any, steps ...any) any {
	for _, step := range steps {
		switch step := step.(type) {
		case string:
			v = v.(map[string]any)[step]
		case int:
			v = v.([]any)[step]
		}
	}
	return v
}

// TestLiesAboutBlocks sets a lying node before an honest one. Alone, it must be
// caught by the check that the lie breaks; with the honest one behind it the
// block must be the true one.
func TestLiesAboutBlocks(t *testing.T) {
	t.Parallel()
	g := newStage(t)
	g.call("evm_setAutomine", false)
	g.send(alice, &bob, 7, nil)
	tx := g.send(alice, &g.token, 0, invoke("spread(address[],uint256)", []common.Address{bob, carol}, 5))
	g.send(alice, &g.payer, 3, invoke("pay(address)", bob))
	g.mine()
	g.call("evm_setAutomine", true)
	hash := chains.Hash(common.HexToHash(g.receipt(tx).BlockHash))
	other := g.call("eth_getBlockByNumber", "0x1", true)
	watch := watching(alice, bob, carol)
	honest, err := g.source.Block(t.Context(), hash)
	require.NoError(t, err)
	truth, err := honest.Match(watch)
	require.NoError(t, err)
	require.Len(t, truth.Transfers, 11)

	block := func(change func(any) any) lie { return in("eth_getBlockByHash", change) }
	receipts := func(change func(any) any) lie { return in("eth_getBlockReceipts", change) }
	traces := func(change func(any) any) lie { return in("debug_traceBlockByHash", change) }
	one, zero := "0x0000000000000000000000000000000000000000000000000000000000000001", common.Hash{}.Hex()
	for _, tt := range []struct {
		name   string
		lie    lie
		caught string // the check that finds it; "" for chains.ErrNotFound
	}{
		{"OmitsLog", receipts(func(r any) any { set(at(r, 1), "logs", at(r, 1, "logs").([]any)[:1]); return r }), "logs bloom"},
		{"OmitsAllLogs", receipts(func(r any) any { set(at(r, 1), "logs", []any{}); return r }), "logs bloom"},
		{"OmitsReceipt", receipts(func(r any) any { return r.([]any)[:2] }), "structure"},
		{"OmitsAllReceipts", receipts(func(any) any { return []any{} }), "structure"},
		{"SwapsReceipts", receipts(func(r any) any { l := r.([]any); l[0], l[1] = l[1], l[0]; return r }), "structure"},
		{"OtherBlock", block(func(any) any { var v any; _ = json.Unmarshal(other, &v); return v }), "structure"},
		{"OtherBlockUnderTheHash", block(func(b any) any {
			var v any
			_ = json.Unmarshal(other, &v)
			return set(v, "hash", at(b, "hash"))
		}), "structure"},
		{"EmptyBlockUnderTheHash", func(m string, r any) any {
			switch m {
			case "eth_getBlockByHash":
				set(r, "transactions", []any{})
				return set(r, "logsBloom", "0x"+string(bytes.Repeat([]byte("0"), 512)))
			case "eth_getBlockReceipts", "debug_traceBlockByHash":
				return []any{}
			}
			return r
		}, "receipts root"},
		{"FlipsAmountInLog", receipts(func(r any) any { set(at(r, 1, "logs", 0), "data", one); return r }), "receipts root"},
		{"ReversesTransfer", receipts(func(r any) any {
			topics := at(r, 1, "logs", 0, "topics").([]any)
			topics[1], topics[2] = topics[2], topics[1]
			return r
		}), "receipts root"},
		{"SaysItFailed", receipts(func(r any) any { set(at(r, 0), "status", "0x0"); return r }), "receipts root"},
		{"FlipsGasUsed", receipts(func(r any) any { set(at(r, 0), "cumulativeGasUsed", "0x5209"); return r }), "receipts root"},
		{"FlipsGasPrice", receipts(func(r any) any { set(at(r, 0), "effectiveGasPrice", "0x1"); return r }), "gas price"},
		{"FlipsValue", block(func(b any) any { set(at(b, "transactions", 0), "value", "0x8"); return b }), "transactions root"},
		{"FlipsTo", block(func(b any) any { set(at(b, "transactions", 0), "to", carol.Hex()); return b }), "transactions root"},
		{"FlipsFrom", block(func(b any) any { set(at(b, "transactions", 0), "from", carol.Hex()); return b }), "sender"},
		{"FlipsSignature", block(func(b any) any { set(at(b, "transactions", 0), "r", one); return b }), "transactions root"},
		{"ErasesSignature", block(func(b any) any {
			set(at(b, "transactions", 0), "from", carol.Hex())
			set(at(b, "transactions", 0), "s", zero)
			return set(set(b, "x", nil), "y", set(at(b, "transactions", 0), "r", zero))
		}), "transactions root"},
		{"UnknownType", func(m string, r any) any {
			switch m {
			case "eth_getBlockByHash":
				set(at(r, "transactions", 0), "type", "0x55")
			case "eth_getBlockReceipts":
				set(at(r, 0), "type", "0x55")
			}
			return r
		}, "receipts root"},
		{"FlipsTransactionHash", func(m string, r any) any {
			switch m {
			case "eth_getBlockByHash":
				set(at(r, "transactions", 0), "hash", one)
			case "eth_getBlockReceipts":
				set(at(r, 0), "transactionHash", one)
			}
			return r
		}, "transactions root"},
		{"AddsWithdrawal", block(func(b any) any {
			return set(b, "withdrawals", []any{map[string]any{"index": "0x0", "validatorIndex": "0x0", "address": bob.Hex(), "amount": "0x1"}})
		}), "withdrawals root"},
		{"FlipsParent", block(func(b any) any { return set(b, "parentHash", one) }), "header hash"},
		{"FlipsNumber", block(func(b any) any { return set(b, "number", "0x1") }), "header hash"},
		{"NoJSON", block(func(any) any { return "0x" }), "structure"},
		{"OmitsTrace", traces(func(r any) any { return r.([]any)[:2] }), "trace"},
		{"TracesAnother", traces(func(r any) any { l := r.([]any); l[0], l[2] = l[2], l[0]; return r }), "trace"},
		{"TraceSaysItFailed", traces(func(r any) any { set(at(r, 2, "result"), "error", "execution reverted"); return r }), "trace"},
		{"HasNoBlock", block(func(any) any { return nil }), ""},
		{"HasNoReceipts", receipts(func(any) any { return nil }), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			liar := startLiar(t, g.devNode, tt.lie)
			alone := open(t, spec(liar))
			_, err := alone.Block(t.Context(), hash)
			if tt.caught == "" {
				require.ErrorIs(t, err, chains.ErrNotFound)
			} else {
				require.ErrorIs(t, err, chains.ErrUnverified)
				require.ErrorContains(t, err, ": "+tt.caught+": ")
				require.False(t, alone.Health()[0].OK)
				require.Contains(t, alone.Health()[0].Reason, tt.caught)
			}
			both := open(t, spec(liar, g.devNode))
			b, err := both.Block(t.Context(), hash)
			require.NoError(t, err)
			m, err := b.Match(watch)
			require.NoError(t, err)
			require.Equal(t, legs(truth, g.names), legs(m, g.names))
		})
	}
}

// TestLiesAboutHeaders does the same for what only headers answer.
func TestLiesAboutHeaders(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	node.mine()
	node.mine()
	liar := startLiar(t, node, in("eth_getBlockByNumber", func(b any) any {
		if at(b, "number") != "0x0" {
			set(b, "timestamp", "0x1")
		}
		return b
	}))
	alone, both := open(t, spec(liar)), open(t, spec(liar, node))
	_, err := alone.Head(t.Context())
	require.ErrorIs(t, err, chains.ErrUnverified)
	head, err := both.Head(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(2), head.Height)

	other := startLiar(t, node, in("eth_getBlockByNumber", func(b any) any {
		if at(b, "number") == "0x2" {
			var v any
			_ = json.Unmarshal(node.call("eth_getBlockByNumber", "0x1", false), &v)
			return v
		}
		return b
	}))
	_, err = open(t, spec(other)).RefAt(t.Context(), 2)
	require.ErrorIs(t, err, chains.ErrUnverified)
	ref, err := open(t, spec(other, node)).RefAt(t.Context(), 2)
	require.NoError(t, err)
	require.Equal(t, head, ref)
}
