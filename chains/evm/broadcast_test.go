package evm

import (
	"encoding/json"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// TestBroadcastSaysWhy has anvil refuse transactions, each for another reason.
func TestBroadcastSaysWhy(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	order := &transfer{
		from: alice, to: fresh(1), native: source.Chain().Native.ID, asset: source.Chain().Native.ID,
		amount: chains.NewAmount(1), rate: gwei(10, 1), gas: plainGas,
	}
	var sent common.Hash
	broadcast := func(change func(t *transfer)) error {
		altered := *order
		change(&altered)
		draft, err := source.draft(&altered, ether.Mul(ether))
		require.NoError(t, err)
		signed, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), ether.Mul(ether))
		require.NoError(t, err)
		sent = common.Hash(signed.ID)
		return source.Broadcast(t.Context(), signed.Raw)
	}
	require.NoError(t, broadcast(func(*transfer) {}))
	node.receipt(sent)
	require.NoError(t, broadcast(func(*transfer) {}), "once more is the same")
	requireRefusal(t, broadcast(func(t *transfer) { t.to = fresh(2) }), chains.RefusedSpent)
	requireRefusal(t, broadcast(func(t *transfer) { t.nonce, t.amount = 1, ether.Mul(ether) }), chains.RefusedFunds)
	requireRefusal(t, broadcast(func(t *transfer) {
		t.nonce, t.rate = 1, chains.FeeRate{Max: chains.NewAmount(1), Tip: chains.NewAmount(1)}
	}), chains.RefusedFee)
	requireRefusal(t, broadcast(func(t *transfer) { t.nonce, t.gas = 1, 20_999 }), chains.RefusedInvalid)
	requireRefusal(t, source.Broadcast(t.Context(), []byte{2, 3}), chains.RefusedInvalid)
}

// TestBroadcastTellsEveryNode has nodes of several minds take one transaction.
func TestBroadcastTellsEveryNode(t *testing.T) {
	t.Parallel()
	anvil := startAnvil(t)
	says := func(code int, words string) lie {
		return func(method string, result any) any {
			switch method {
			case "eth_sendRawTransaction":
				return map[string]any{"code": code, "message": words}
			case "eth_getTransactionByHash":
				return nil
			}
			return result
		}
	}
	honest := func(_ string, result any) any { return result }
	wrong := in("eth_sendRawTransaction", func(any) any { return common.Hash{1}.Hex() })
	for i, tt := range []struct {
		name   string
		nodes  []lie
		reason chains.RefusalReason
		open   bool // the outcome is
	}{
		{name: "One", nodes: []lie{honest}},
		{name: "Second", nodes: []lie{says(-32000, "nonce too low"), honest}},
		{name: "Known", nodes: []lie{says(-32000, "already known")}},
		{name: "Refused", nodes: []lie{says(-32000, "nonce too low"), says(-32000, "insufficient funds for gas * price + value")}, reason: chains.RefusedFunds},
		{name: "Strange", nodes: []lie{says(-32000, "computer says no")}, reason: chains.RefusedOther},
		{name: "Internal", nodes: []lie{says(-32603, "internal error")}, open: true},
		{name: "Limited", nodes: []lie{says(-32005, "limit exceeded"), says(-32000, "nonce too low")}, open: true},
		{name: "AnotherHash", nodes: []lie{wrong}, open: true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var nodes []*devNode
			for _, behave := range tt.nodes {
				nodes = append(nodes, startLiar(t, anvil, behave))
			}
			source := open(t, spec(nodes...))
			draft, err := source.draft(&transfer{
				from: bob, to: fresh(i), native: source.Chain().Native.ID, asset: source.Chain().Native.ID,
				amount: chains.NewAmount(1), rate: gwei(10, 1), gas: plainGas, nonce: uint64(i),
			}, ether)
			require.NoError(t, err)
			signed, err := source.Check(draft, sign(t, draft, keyOf(t, 1)), ether)
			require.NoError(t, err)
			err = source.Broadcast(t.Context(), signed.Raw)
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

// TestRefusals holds the words of nodes that are not started here.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for words, want := range map[string]chains.RefusalReason{
		"already known":                                                          "",                  // geth
		"AlreadyKnown":                                                           "",                  // Nethermind
		"Known transaction":                                                      "",                  // Besu
		"transaction already imported":                                           "",                  // anvil
		"nonce too low: address 0x1, tx: 1 state: 2":                             chains.RefusedSpent, // geth
		"OldNonce, Current nonce: 5":                                             chains.RefusedSpent, // Nethermind
		"replacement transaction underpriced":                                    chains.RefusedFee,   // geth
		"Transaction price of replacement is underpriced":                        chains.RefusedFee,
		"transaction underpriced: gas tip cap 1, minimum needed 1000000":         chains.RefusedFee,
		"max fee per gas less than block base fee: address 0x1, maxFeePerGas: 1": chains.RefusedFee,
		"FeeTooLow, MaxFeePerGas too low":                                        chains.RefusedFee,
		"insufficient funds for gas * price + value: balance 0":                  chains.RefusedFunds,
		"Upfront cost exceeds account balance":                                   chains.RefusedFunds,
		"txpool is full":                                                         chains.RefusedEarly,
		"intrinsic gas too low: gas 1":                                           chains.RefusedInvalid,
		"invalid sender":                                                         chains.RefusedInvalid,
		"exceeds block gas limit":                                                chains.RefusedInvalid,
		"invalid chain id for signer: have 1":                                    chains.RefusedInvalid,
		"transaction type not supported":                                         chains.RefusedInvalid,
		"rlp: input list has too many elements":                                  chains.RefusedInvalid,
		"something that nobody has thought of":                                   chains.RefusedOther,
	} {
		got, refused := refusalOf(&rpc.Error{Code: -32000, Message: words})
		require.True(t, refused, words)
		require.Equal(t, want, got, words)
	}
	_, refused := refusalOf(&rpc.Error{Code: -32603, Message: "internal error"})
	require.False(t, refused)
}

// TestNoncesAreTheHighest takes no nonce back because a node lags.
func TestNoncesAreTheHighest(t *testing.T) {
	t.Parallel()
	anvil := startAnvil(t)
	anvil.receipt(anvil.send(alice, &bob, 1, nil))
	anvil.receipt(anvil.send(alice, &bob, 1, nil))
	lagging := startLiar(t, anvil, in("eth_getTransactionCount", func(any) any { return "0x1" }))
	broken := startLiar(t, anvil, in("eth_getTransactionCount", func(any) any { return "two" }))
	source := open(t, spec(lagging, broken, anvil, lagging, lagging, lagging))
	latest, pending, err := source.Nonces(t.Context(), alice[:])
	require.NoError(t, err)
	require.Equal(t, uint64(2), latest)
	require.Equal(t, uint64(2), pending)
	_, _, err = source.Nonces(t.Context(), alice[:5])
	require.Error(t, err)
	_, _, err = open(t, spec(broken)).Nonces(t.Context(), alice[:])
	require.ErrorIs(t, err, chains.ErrUnverified)
}

// TestLookupDoesNotBelieve checks what contradicts itself, and tells of failure.
func TestLookupDoesNotBelieve(t *testing.T) {
	t.Parallel()
	anvil := startAnvil(t)
	token := anvil.deploy("Token", "Tally", "TLY", 0)
	failed := anvil.send(alice, &token, 0, invoke("transfer(address,uint256)", bob, 5))
	require.Equal(t, "0x0", anvil.receipt(failed).Status)
	seen, err := open(t, spec(anvil)).Lookup(t.Context(), chains.Hash(failed))
	require.NoError(t, err)
	require.True(t, seen.Mined)
	require.True(t, seen.Failed)
	for method, name := range map[string]string{"eth_getTransactionByHash": "hash", "eth_getTransactionReceipt": "transactionHash"} {
		liar := startLiar(t, anvil, in(method, func(result any) any { return set(result, name, common.Hash{1}.Hex()) }))
		_, err := open(t, spec(liar)).Lookup(t.Context(), chains.Hash(failed))
		require.ErrorIs(t, err, chains.ErrUnverified, method)
	}

	// A node that calls the failed one carried out, or the other way, is overruled by
	// the block, and one that names a block without it is not believed.
	done := anvil.send(alice, &bob, 1, nil)
	block := anvil.receipt(done).BlockHash
	for id, status := range map[common.Hash]string{failed: "0x1", done: "0x0"} {
		liar := startLiar(t, anvil, in("eth_getTransactionReceipt", func(result any) any { return set(result, "status", status) }))
		seen, err := open(t, spec(liar)).Lookup(t.Context(), chains.Hash(id))
		require.NoError(t, err)
		require.Equal(t, id == failed, seen.Failed)
	}
	elsewhere := startLiar(t, anvil, in("eth_getTransactionReceipt", func(result any) any { return set(result, "blockHash", block) }))
	_, err = open(t, spec(elsewhere)).Lookup(t.Context(), chains.Hash(failed))
	require.ErrorIs(t, err, chains.ErrUnverified)
	seen, err = open(t, spec(elsewhere, anvil)).Lookup(t.Context(), chains.Hash(failed))
	require.NoError(t, err, "another one tells the truth")
	require.True(t, seen.Failed)

	waits := startLiar(t, anvil, in("eth_getTransactionReceipt", func(any) any { return nil }))
	seen, err = open(t, spec(waits)).Lookup(t.Context(), chains.Hash(failed))
	require.NoError(t, err)
	require.False(t, seen.Mined)
}

func TestEstimateFee(t *testing.T) {
	t.Parallel()
	anvil := startAnvil(t)
	history := map[string]any{"baseFeePerGas": []string{"0x1", "0x64"}, "reward": [][]string{{"0x7"}, {"0x9"}, {"0x5"}}}
	// A header commits to its base fee, so that nobody can lie about it: this one
	// is from before there was any.
	old, err := json.Marshal(&types.Header{Number: new(big.Int), Difficulty: big.NewInt(1), UncleHash: types.EmptyUncleHash})
	require.NoError(t, err)
	var before any
	require.NoError(t, json.Unmarshal(old, &before))
	silent := in("eth_feeHistory", func(any) any { return errNoMethod })
	suggests := func(tip any) lie { return in("eth_maxPriorityFeePerGas", func(any) any { return tip }) }
	tells := in("eth_feeHistory", func(any) any { return history })
	for name, tt := range map[string]struct {
		lies      []lie
		ceiling   int64
		most, tip string
		basis     string
		capped    bool
		is        error
	}{
		"History":      {lies: []lie{tells, suggests("0x3")}, ceiling: 1000, most: "203", tip: "3", basis: "eth_feeHistory"},
		"TipOfHistory": {lies: []lie{tells, suggests(errNoMethod)}, ceiling: 1000, most: "207", tip: "7", basis: "eth_feeHistory"},
		"NoHistory":    {lies: []lie{silent, suggests("0x3")}, ceiling: 1e10, most: "2250000003", tip: "3", basis: "base fee of the head"},
		"NoTip":        {lies: []lie{silent, suggests(errNoMethod)}, ceiling: 1e10, most: "3250000000", tip: "1000000000", basis: "base fee of the head"},
		"Headroom":     {lies: []lie{tells, suggests("0x3")}, ceiling: 103, most: "103", tip: "3", basis: "eth_feeHistory"},
		"Capped":       {lies: []lie{tells, suggests("0x3")}, ceiling: 102, most: "102", tip: "3", basis: "eth_feeHistory", capped: true},
		"MadTip":       {lies: []lie{tells, suggests("0xde0b6b3a7640000")}, ceiling: 500, most: "500", tip: "500", basis: "eth_feeHistory", capped: true},
		"NoBaseFee":    {lies: []lie{in("eth_getBlockByNumber", func(any) any { return before })}, ceiling: 500, is: chains.ErrUnsupported},
		"Rubbish":      {lies: []lie{in("eth_feeHistory", func(any) any { return map[string]any{"baseFeePerGas": []string{"lots"}} })}, ceiling: 500, is: chains.ErrUnverified},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node := startLiar(t, anvil, func(method string, result any) any {
				for _, lie := range tt.lies {
					result = lie(method, result)
				}
				return result
			})
			got, err := open(t, spec(node)).EstimateFee(t.Context(), 1, chains.NewAmount(tt.ceiling))
			if tt.is != nil {
				require.ErrorIs(t, err, tt.is)
				return
			}
			require.NoError(t, err)
			require.Equal(t, []string{tt.most, tt.tip, tt.basis}, []string{got.Max.String(), got.Tip.String(), got.Basis})
			require.Equal(t, tt.capped, got.Capped)
		})
	}
}
