package main

import (
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/custody"
)

// safeDepth is how far below its head anvil's safe block stands.
const safeDepth = 32

// TestSafeDeposits credits what the node calls safe, one block sooner for nobody, and
// takes it back when the node thinks better of it.
func TestSafeDeposits(t *testing.T) {
	t.Parallel()
	node := localnode.TestAnvil(t)
	token, err := node.DeployToken(t.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(t, err)
	settings := ethereumChain(t, node, token)
	settings.PollInterval = 50 * time.Millisecond
	settings.Finality.Tag = "finalized"
	settings.Deposits = config.Deposits{Credit: config.Credit{Tag: config.CreditSafe}}
	m := &matrix{stack: newStack(t, map[string]config.Chain{"eth": settings}), slug: "eth", witness: readings{node}}
	e := &ethereumMatrix{
		custodian: &custodian{t: t, matrix: m}, coin: "eip155:31337/slip44:60",
		chain: &ethereumWorld{stack: m.stack, node: node, token: token},
	}
	e.token = chains.TokenID(strings.TrimSuffix(string(e.coin), "/slip44:60"), token)
	var pool []indexer.WatchedScript
	for n := range 2 {
		pool = append(pool, watched(t, fmt.Sprintf("0x%040x", 0xcafe0000+n)))
	}
	e.empty(2 * safeDepth)
	e.begin(pool)

	w := e.wallets(e.coin, e.token)
	for _, p := range w {
		p.confirmations = safeDepth + 1
	}
	paid := e.together(e.paying(w[0], 10_000), e.paying(w[1], 20_000))
	raws := []string{e.raw(paid[0]), e.raw(paid[1])}
	e.empty(safeDepth - 1)
	e.level()
	coin, token2 := e.only(w[0], custody.Confirming), e.only(w[1], custody.Confirming)
	require.Equal(t, custody.BasisSafe, coin.Due.Basis)
	e.empty(1)
	e.only(w[0], custody.Credited, coin)
	e.only(w[1], custody.Credited, token2)
	e.check()

	e.replace(safeDepth + 1)
	e.level()
	e.only(w[0], custody.Orphaned, coin)
	e.resume("a reorg took back")
	e.again(raws[0])
	e.empty(safeDepth)
	e.only(w[0], custody.Credited, coin)
	require.Equal(t, custody.ReasonReorg, e.only(w[1], custody.Dropped, token2).Reason)
	e.is(w[0], 10_000, 0)
	e.is(w[1], 0, 0)
	e.check()
}
