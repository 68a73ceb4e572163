package bitcoin_test

import (
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// TestBroadcastSaysWhy has real nodes refuse transactions, each for another reason.
func TestBroadcastSaysWhy(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		source := open(t, node.spec())
		coins := node.mature(t, 3)
		broadcast := func(tx *wire.MsgTx) error {
			raw, err := hex.DecodeString(hexOf(t, tx))
			require.NoError(t, err)
			return source.Broadcast(t.Context(), raw)
		}
		waiting := payInto(coins[0], 1000, anyone(t, "a"))
		require.NoError(t, broadcast(waiting))
		conflict := payInto(coins[0], 1000, anyone(t, "b"))
		requireRefusal(t, broadcast(conflict), chains.RefusedFee) // it may replace, and pays no more
		spent := payInto(coins[1], 1000, anyone(t, "a"))
		node.send(t, spent)
		node.mine(t, 1)
		requireRefusal(t, broadcast(payInto(coins[1], 2000, anyone(t, "b"))), chains.RefusedSpent)
		require.NoError(t, broadcast(spent), "mined, and its outputs are unspent")
		unknown := payInto(coin{at: wire.OutPoint{Hash: wireHash(chains.Hash{1})}, value: 10_000}, 1000, anyone(t, "a"))
		requireRefusal(t, broadcast(unknown), chains.RefusedSpent)
		if node.kind == "Bitcoind" { // btcd, told to relay what is not standard, looks at neither
			requireRefusal(t, broadcast(payInto(coins[2], 1, anyone(t, "a"))), chains.RefusedFee)
			early := payInto(coins[2], 1000, anyone(t, "a"))
			early.LockTime = uint32(node.height(t)) + 1
			requireRefusal(t, broadcast(early), chains.RefusedEarly)
		}
		block, err := node.Mine(t.Context(), anyone(t, "miner"))
		require.NoError(t, err)
		requireRefusal(t, broadcast(payInto(coinOf(block.Transactions[0], 0), 1000, anyone(t, "a"))), chains.RefusedEarly)
		generous := payInto(coins[2], 0, anyone(t, "a"))
		generous.TxOut[0].Value = coins[2].value + 1
		requireRefusal(t, broadcast(generous), chains.RefusedInvalid)
	})
}

// TestBroadcastTellsEveryNode has nodes of several minds take one transaction.
func TestBroadcastTellsEveryNode(t *testing.T) {
	t.Parallel()
	tx := payInto(coin{at: wire.OutPoint{Hash: wireHash(chains.Hash{1})}, value: 10_000}, 1000, anyone(t, "a"))
	raw, err := hex.DecodeString(hexOf(t, tx))
	require.NoError(t, err)
	id := hashOf(tx.TxHash()).String()
	says := func(code int) func(*fakeNode) {
		return func(f *fakeNode) { f.fail("sendrawtransaction", code) }
	}
	takes := func(f *fakeNode) { f.set("sendrawtransaction", id) }
	lies := func(f *fakeNode) { f.set("sendrawtransaction", regtestGenesis) }
	has := func(f *fakeNode) {
		f.fail("sendrawtransaction", -25)
		f.set("getrawtransaction", map[string]any{"txid": id, "confirmations": 0})
	}
	for name, tt := range map[string]struct {
		nodes  []func(*fakeNode)
		reason chains.RefusalReason // "" for none
		open   bool                 // the outcome is
	}{
		"All":                   {nodes: []func(*fakeNode){takes, takes}},
		"Second":                {nodes: []func(*fakeNode){says(-26), takes}},
		"First":                 {nodes: []func(*fakeNode){takes, says(-26)}},
		"KnownToOne":            {nodes: []func(*fakeNode){says(-26), has}},
		"InChain":               {nodes: []func(*fakeNode){says(-27)}},
		"RefusedByAll":          {nodes: []func(*fakeNode){says(-26), says(-26)}, reason: chains.RefusedOther},
		"RefusedAndUnavailable": {nodes: []func(*fakeNode){says(-26), says(-28)}, open: true},
		"Lie":                   {nodes: []func(*fakeNode){lies}, open: true},
		"LieAndTaken":           {nodes: []func(*fakeNode){lies, takes}},
		"LieAndRefused":         {nodes: []func(*fakeNode){lies, says(-26)}, open: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			spec := chains.Spec{Network: "regtest", Timeout: 5 * time.Second}
			var fakes []*fakeNode
			for _, behave := range tt.nodes {
				fake := newFakeNode(t)
				behave(fake)
				fakes = append(fakes, fake)
				spec.Upstreams = append(spec.Upstreams, chains.Upstream{URL: fake.url})
			}
			err := open(t, spec).Broadcast(t.Context(), raw)
			for _, fake := range fakes {
				require.Equal(t, 1, fake.times("sendrawtransaction"), "every node is told, and once")
			}
			var refusal *chains.RefusalError
			switch {
			case tt.reason != "":
				requireRefusal(t, err, tt.reason)
			case tt.open:
				require.Error(t, err)
				require.NotErrorAs(t, err, &refusal)
			default:
				require.NoError(t, err)
			}
		})
	}
}

// TestBroadcastThatIsNotAnswered leaves open what became of the transaction.
func TestBroadcastThatIsNotAnswered(t *testing.T) {
	t.Parallel()
	fake := newFakeNode(t)
	behind := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-behind: // admitted: from now on it is silent
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		default:
			fake.serve(w, r)
		}
	}))
	t.Cleanup(server.Close)
	source := open(t, chains.Spec{Network: "regtest", Upstreams: []chains.Upstream{{URL: server.URL}}, Timeout: time.Second})
	close(behind)
	tx := payInto(coin{value: 10_000}, 1000, anyone(t, "a"))
	raw, err := hex.DecodeString(hexOf(t, tx))
	require.NoError(t, err)
	err = source.Broadcast(t.Context(), raw)
	require.Error(t, err)
	var refusal *chains.RefusalError
	require.NotErrorAs(t, err, &refusal)
	require.Error(t, source.Broadcast(t.Context(), raw[:20]), "what is no transaction is not sent")
}

// TestLookupDoesNotBelieve checks what contradicts itself.
func TestLookupDoesNotBelieve(t *testing.T) {
	t.Parallel()
	for name, answers := range map[string]map[string]any{
		"AnotherTransaction": {"getrawtransaction": map[string]any{"txid": regtestGenesis, "confirmations": 0}},
		"NoBlock":            {"getrawtransaction": map[string]any{"txid": chains.Hash{1}.String(), "confirmations": 2, "blockhash": "x"}},
		"TooManyBlocks":      {"gettxout": map[string]any{"bestblock": regtestGenesis, "confirmations": 5}},
		"NotAnObject":        {"getrawtransaction": 7},
	} {
		fake := newFakeNode(t)
		for method, answer := range answers {
			fake.set(method, answer)
		}
		_, err := open(t, fake.spec()).Lookup(t.Context(), chains.Hash{1})
		require.ErrorIs(t, err, chains.ErrUnverified, name)
	}
	fake := newFakeNode(t)
	fake.set("gettxout", nil)
	_, err := open(t, fake.spec()).Lookup(t.Context(), chains.Hash{1})
	require.ErrorIs(t, err, chains.ErrNotFound)
}
