package main

import (
	"fmt"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
)

// A chain that nobody can follow says so, and follows again by itself: one whose nodes
// serve another network than the ledger has, and one whose nodes do not answer when
// the daemon starts. Its head is the last one that was seen.
func TestChainThatNobodyFollows(t *testing.T) {
	t.Parallel()
	node, _ := localnode.TestBitcoind(t)
	_, err := node.Generate(t.Context(), 3)
	require.NoError(t, err)
	s := newStack(t, map[string]config.Chain{"btc": bitcoinChain(node)})
	s.start()
	is := func(state, reason string) {
		t.Helper()
		s.eventually(state, func() bool {
			is, why := s.chain("btc")
			return is == state && (why == reason || reason == "*" && why != "")
		})
		out, err := tallyd(t, "status", "--url", s.url, "--key", testMaster)
		require.NoError(t, err)
		require.Regexp(t, `(?m)^btc +test +3 +3 +0 +`+state, out)
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/metrics", nil)
		require.NoError(t, err)
		response, err := http.DefaultClient.Do(request)
		require.NoError(t, err)
		defer response.Body.Close()
		metrics, err := io.ReadAll(response.Body)
		require.NoError(t, err)
		require.Contains(t, string(metrics), fmt.Sprintf("tallyd_chain_state{chain=%q,state=%q} 1\n", "btc", state))
		require.Contains(t, string(metrics), "tallyd_chain_credits_halted{chain=\"btc\"} 0\n")
	}
	is("level", "")
	s.user()
	var genesis chains.Hash
	require.NoError(t, s.daemon.store.Pool().QueryRow(t.Context(), `SELECT genesis FROM cursors`).Scan(&genesis))

	s.stop()
	ledger := func(genesis chains.Hash) {
		t.Helper()
		_, err := s.daemon.store.Pool().Exec(t.Context(), `UPDATE cursors SET genesis = $1`, genesis)
		require.NoError(t, err)
	}
	s.start()
	ledger(chains.Hash{1})
	s.stop()
	s.start()
	is("halted", "the nodes serve another network than the ledger's: their genesis block is "+genesis.String())
	_, open := s.daemon.sources.Get("btc")
	require.False(t, open, "nothing is asked of such nodes")
	ledger(genesis)
	is("level", "")

	s.stop()
	own := s.cfg.Chains["btc"].Upstreams[0].URL
	s.cfg.Chains["btc"].Upstreams[0].URL = config.NewURL("http://127.0.0.1:1")
	s.start()
	is("degraded", "*")
	s.stop()
	s.cfg.Chains["btc"].Upstreams[0].URL = own
	s.start()
	is("level", "")
}
