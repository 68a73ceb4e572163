package bitcoin_test

import (
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
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

func TestEstimateFee(t *testing.T) {
	t.Parallel()
	number := func(text string) json.RawMessage { return json.RawMessage(text) }
	for name, tt := range map[string]struct {
		smart, plain, pool any // answers; nil for an unknown method
		want               int64
		basis              string
		capped             bool
	}{
		"Smart":       {smart: map[string]any{"feerate": number("0.00012345"), "blocks": 2}, want: 12_345, basis: "estimatesmartfee"},
		"NoOpinion":   {smart: map[string]any{"errors": []string{"Insufficient data"}, "blocks": 2}, plain: number("0.0002"), want: 20_000, basis: "estimatefee"},
		"Btcd":        {plain: number("1.5e-05"), want: 1500, basis: "estimatefee"},
		"BtcdQuiet":   {plain: number("0"), want: 1000, basis: "relay minimum"},
		"Dogecoin":    {smart: map[string]any{"feerate": number("-1")}, plain: number("-1"), want: 1000, basis: "relay minimum"},
		"Nothing":     {want: 1000, basis: "relay minimum"},
		"FullMempool": {pool: map[string]any{"mempoolminfee": number("0.00005000"), "minrelaytxfee": number("0.00001000")}, want: 5000, basis: "relay minimum"},
		"BelowRelay":  {smart: map[string]any{"feerate": number("0.00000100")}, want: 1000, basis: "estimatesmartfee"},
		"AboveLimit":  {smart: map[string]any{"feerate": number("21000000.0")}, want: 50_000, basis: "estimatesmartfee", capped: true},
		"Rubbish":     {smart: map[string]any{"feerate": "lots"}, plain: number("3e99999"), want: 1000, basis: "relay minimum"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fake := newFakeNode(t)
			for method, answer := range map[string]any{"estimatesmartfee": tt.smart, "estimatefee": tt.plain, "getmempoolinfo": tt.pool} {
				if answer != nil {
					fake.set(method, answer)
				}
			}
			got, err := open(t, fake.spec()).EstimateFee(t.Context(), 6, chains.NewAmount(50_000))
			if name == "Rubbish" {
				require.Error(t, err, "what is no number is a fault of the node")
				return
			}
			require.NoError(t, err)
			require.Equal(t, chains.NewAmount(tt.want).String(), got.Max.String())
			require.Equal(t, tt.basis, got.Basis)
			require.Equal(t, tt.capped, got.Capped)
		})
	}
	onEach(t, func(t *testing.T, node *testNode) {
		t.Helper()
		got, err := open(t, node.spec()).EstimateFee(t.Context(), 2, chains.NewAmount(50_000))
		require.NoError(t, err)
		require.Equal(t, "1000", got.Max.String(), "a quiet chain has no opinion")
		require.Equal(t, "relay minimum", got.Basis)
	})
}

// TestBuildPaymentRefuses lists the orders that are not met.
func TestBuildPaymentRefuses(t *testing.T) {
	t.Parallel()
	source, alice := offline(t), newSigner(t)
	good := func() chains.PaymentOrder {
		return chains.PaymentOrder{
			Coins: alice.funded(source, "wpkh", "tr"), To: worth(recipient(t, source), 50_000),
			Change: alice.output(source, "wpkh", chains.BranchChange, 0), Rate: satPerByte(2), Ceiling: most, Tip: 110,
		}
	}
	_, err := source.BuildPayment(t.Context(), good())
	require.NoError(t, err)
	both := func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(150_000) } // takes both coins
	for name, tt := range map[string]struct {
		change func(o *chains.PaymentOrder)
		is     error
		says   string
	}{
		"Dust":         {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(293) }, is: chains.ErrDust},
		"Zero":         {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.Amount{} }, is: chains.ErrDust},
		"Negative":     {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(-5) }, says: "no amount"},
		"Enormous":     {change: func(o *chains.PaymentOrder) { o.To.Amount = chains.NewAmount(1 << 62) }, says: "no amount"},
		"RateTooLow":   {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(999) }, is: chains.ErrFeeTooLow},
		"RateMad":      {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(1 << 60) }, says: "no rate"},
		"RateNegative": {change: func(o *chains.PaymentOrder) { o.Rate.Max = chains.NewAmount(-1) }, says: "no rate"},
		"Ceiling":      {change: func(o *chains.PaymentOrder) { o.Ceiling = chains.NewAmount(100) }, is: chains.ErrFeeTooHigh},
		"Twice":        {change: func(o *chains.PaymentOrder) { o.Coins[1].Outpoint = o.Coins[0].Outpoint }, says: "given twice"},
		"ForeignKey":   {change: func(o *chains.PaymentOrder) { both(o); o.Coins[0].Key.Index++ }, says: "another script"},
		"OtherKind":    {change: func(o *chains.PaymentOrder) { both(o); o.Coins[0].Key = o.Coins[1].Key }, says: "another script"},
		"ForeignChange": {change: func(o *chains.PaymentOrder) {
			o.Change.Key = alice.output(source, "tr", chains.BranchChange, 0).Key
		}, says: "another script"},
		"PrivateKey": {change: func(o *chains.PaymentOrder) { o.Coins[0].Key.Wallet = alice.secret("wpkh") }, says: "private key"},
		"ToChange":   {change: func(o *chains.PaymentOrder) { o.To.Script = o.Change.Script }, says: "the one for change"},
		"NoScript":   {change: func(o *chains.PaymentOrder) { o.To.Script = nil }, is: chains.ErrUnsupported},
		"Data":       {change: func(o *chains.PaymentOrder) { o.To.Script = chains.Hex("\x6a\x02hi") }, is: chains.ErrUnsupported},
		"Multisig": {change: func(o *chains.PaymentOrder) {
			o.Coins[0].Key, o.Coins[0].Script = nil, append(chains.Hex{0, 32}, make([]byte, 32)...)
		}, is: chains.ErrUnsupported},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			order := good()
			tt.change(&order)
			_, err := source.BuildPayment(t.Context(), order)
			require.Error(t, err)
			require.ErrorContains(t, err, tt.says)
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
			}
			require.NotContains(t, err.Error(), "prv")
		})
	}
	short := good()
	short.Coins[0].Coinbase, short.Coins[0].Height, short.To.Amount = true, 12, chains.NewAmount(150_000)
	_, err = source.BuildPayment(t.Context(), short)
	var shortage *chains.ShortageError
	require.ErrorAs(t, err, &shortage, "the coinbase at height 12 can be spent at 112")
	short.Tip = 111
	_, err = source.BuildPayment(t.Context(), short)
	require.NoError(t, err)
	cash, err := bitcoin.Open(t.Context(), chains.Spec{Network: "bitcoincash", Upstreams: []chains.Upstream{{URL: "http://127.0.0.1:1"}}}, nop)
	require.NoError(t, err)
	t.Cleanup(cash.Close)
	_, err = cash.(chains.CoinBuilder).BuildPayment(t.Context(), good())
	require.ErrorIs(t, err, chains.ErrUnsupported)
}
