package evm

import (
	"errors"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// TestCallErrors tells a contract's failure from a node's, by what nodes say.
func TestCallErrors(t *testing.T) {
	t.Parallel()
	other := errors.New("connection reset")
	for _, tt := range []struct {
		err   error
		token bool  // it is the contract's own doing
		is    error // what else it is
	}{
		{err: &rpc.Error{Code: 3, Message: "execution reverted: missing trie node"}, token: true},
		{err: &rpc.Error{Code: -32000, Message: "execution reverted: header not found"}, token: true},
		{err: &rpc.Error{Code: -32015, Message: "VM execution error."}, token: true},
		{err: &rpc.Error{Code: -32000, Message: "out of gas"}, token: true},
		{err: &rpc.Error{Code: -32000, Message: "invalid opcode: INVALID"}, token: true},
		{err: &rpc.Error{Code: -32000, Message: "missing trie node 1234 (path ) state 0x12 is not available"}, is: chains.ErrNotFound},
		{err: &rpc.Error{Code: -32000, Message: "header for hash not found"}, is: chains.ErrNotFound},
		{err: &rpc.Error{Code: -32001, Message: "Resource not found"}, is: chains.ErrNotFound},
		{err: other, is: other},
	} {
		err := callError(tt.err)
		if tt.token {
			require.NoError(t, err, "%s", tt.err)
		} else {
			require.ErrorIs(t, err, tt.is)
		}
	}
	busy := &rpc.Error{Code: -32005, Message: "limit exceeded"}
	require.Equal(t, busy, callError(busy))
	require.True(t, isMissingMethod(&rpc.Error{Code: -32601, Message: "the method eth_getProof does not exist/is not available"}))
	require.False(t, isMissingMethod(other))
}

// TestAggregated reads what Multicall3 returns, and what it never would.
func TestAggregated(t *testing.T) {
	t.Parallel()
	number := func(ns ...int) (b []byte) {
		for _, n := range ns {
			b = append(b, packNumber(n)...)
		}
		return b
	}
	whole := number(32, 2, 64, 192, 1, 64, 32, 7, 0, 64, 0)
	results, ok := aggregated(whole, 2)
	require.True(t, ok)
	require.Equal(t, [][]byte{packNumber(7), nil}, results)
	for cut := range whole {
		_, ok := aggregated(whole[:cut], 2)
		require.False(t, ok, "cut at %d", cut)
	}
	huge := append(number(32), common.MaxHash.Bytes()...)
	for _, bad := range [][]byte{nil, huge, number(1 << 30), number(32, 2, 1<<30, 64), number(32, 2, 64, 192, 1, 64, 1<<30)} {
		_, ok := aggregated(bad, 2)
		require.False(t, ok)
	}
}

// TestFee adds up what a sender pays on each kind of network.
func TestFee(t *testing.T) {
	t.Parallel()
	number := wordFromUint64
	dynamic := transaction{kind: typeDynamicFee, maxFee: number(10), maxTip: number(2)}
	blob := dynamic
	blob.kind, blob.more.blobs = typeBlob, make([]common.Hash, 2)
	for _, tt := range []struct {
		name    string
		tx      transaction
		receipt receipt
		network network
		want    string
	}{
		{"TipOnTop", dynamic, receipt{gas: 100}, network{priced: true}, "900"},
		{"Capped", transaction{kind: typeDynamicFee, maxFee: number(8), maxTip: number(2)}, receipt{gas: 100}, network{priced: true}, "800"},
		{"Legacy", transaction{gasPrice: number(9)}, receipt{gas: 100}, network{priced: true}, "900"},
		{"Blobs", blob, receipt{gas: 100, blobFee: number(3)}, network{priced: true}, "787332"},
		{"RollupOnAnotherChain", dynamic, receipt{gas: 100, l1Fee: number(5)}, network{priced: true}, "905"},
		{"PricedByItsOwnRules", dynamic, receipt{gas: 100, price: optional[word]{number(7), true}}, network{}, "700"},
		{"Deposit", transaction{kind: typeDeposit}, receipt{gas: 100}, network{priced: true}, "0"},
	} {
		m := &matching{block: &block{rules: &rules{network: tt.network}}}
		m.header.baseFee = optional[word]{number(7), true}
		require.Equal(t, tt.want, m.fee(&tt.tx, &tt.receipt).String(), tt.name)
	}
}
