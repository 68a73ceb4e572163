package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer/custody"
)

// hand gives one node the blocks that another one has above a height.
func hand(t *testing.T, from, to *localnode.Bitcoin, above int32) {
	t.Helper()
	height, err := from.Height(t.Context())
	require.NoError(t, err)
	for h := above + 1; h <= height; h++ {
		hash, err := from.BlockHash(t.Context(), h)
		require.NoError(t, err)
		var raw string
		require.NoError(t, from.Call(t.Context(), "getblock", &raw, hash.String(), 0))
		var refusal *string
		require.NoError(t, to.Call(t.Context(), "submitblock", &refusal, raw))
		require.True(t, refusal == nil || *refusal == "inconclusive" || *refusal == "duplicate", "block %d: %v", h, refusal)
	}
}

// Of two nodes that stand on different branches the first is followed, and nothing
// of either is credited until they agree.
func TestSplitNodes(t *testing.T) {
	t.Parallel()
	second, _ := localnode.TestBitcoind(t)
	var first *localnode.Bitcoin
	b := newBitcoinMatrix(t, func(cfg *config.Config) {
		chain := cfg.Chains["btc"]
		own := chain.Upstreams[0]
		own.URL, own.User, own.Password = config.NewURL(second.URL), second.User, config.NewSecret(second.Password)
		chain.Upstreams = append(chain.Upstreams, own)
		cfg.Chains["btc"] = chain
	})
	first = b.chain.node
	hand(t, first, second, 0)
	fork := func() int32 {
		height, err := first.Height(t.Context())
		require.NoError(t, err)
		return height
	}
	apart := func(n int) { // two nodes of regtest that generate mine the same blocks
		t.Helper()
		tip, err := second.Tip(t.Context())
		require.NoError(t, err)
		_, err = second.MineEmpty(t.Context(), tip, b.stranger(1).PkScript, n)
		require.NoError(t, err)
	}
	inDispute := func() {
		t.Helper()
		until(t, "the dispute is told", func() bool {
			state, reason := b.stack.chain("btc")
			return state == "degraded" && strings.Contains(reason, "different branches") &&
				strings.Contains(reason, first.URL) && strings.Contains(reason, second.URL)
		})
	}
	agreed := func() {
		t.Helper()
		until(t, "the chain is level again", func() bool { state, _ := b.stack.chain("btc"); return state == "level" })
	}
	told := func(c *custodian, times int) {
		t.Helper()
		for _, kind := range []string{"chain.degraded", "chain.recovered"} {
			until(c.t, kind, func() bool { return c.events(kind, "btc") >= times }) // it is numbered after it is written
			require.Equal(c.t, times, c.events(kind, "btc"), kind)
		}
	}

	b.scenario("FirstIsRight", func(c *custodian) {
		p, at := c.open(bitcoinCoin), fork()
		apart(2)
		b.chain.generate(2)
		inDispute()
		b.mine(b.pay(localnode.Payment{}, b.to(p, 40_000)))
		b.empty(every)
		c.level()
		c.only(p, custody.Confirming)
		c.is(p, 0, 40_000)
		hand(t, first, second, at)
		agreed()
		c.only(p, custody.Credited)
		c.is(p, 40_000, 0)
		told(c, 1)
	})
	b.scenario("SecondIsRight", func(c *custodian) {
		p, at := c.open(bitcoinCoin), fork()
		b.chain.generate(2)
		apart(every + 4)
		inDispute()
		b.mine(b.pay(localnode.Payment{}, b.to(p, 50_000)))
		b.empty(every - 1)
		c.level()
		d := c.only(p, custody.Confirming)
		hand(t, second, first, at)
		agreed()
		c.only(p, custody.Detected, d)
		require.Empty(t, c.halted(), "nothing was credited that a reorg could take back")
		b.chain.generate(1)
		b.empty(every - 1)
		hand(t, first, second, at)
		c.only(p, custody.Credited, d)
		told(c, 2)
	})
	b.scenario("WoundBackWhileTheDaemonStarts", func(c *custodian) {
		p, at := c.open(bitcoinCoin), fork()
		apart(3)
		b.chain.generate(2)
		inDispute()
		b.mine(b.pay(localnode.Payment{}, b.to(p, 60_000)))
		b.empty(every)
		c.level()
		b.stack.stop()
		other, err := second.BlockHash(t.Context(), at+1)
		require.NoError(t, err)
		require.NoError(t, second.Invalidate(t.Context(), other))
		b.stack.start()
		b.empty(1)
		c.level()
		c.only(p, custody.Confirming)
		inDispute()
		hand(t, first, second, at)
		agreed()
		c.only(p, custody.Credited)
		told(c, 3)
	})
}
