package main

import (
	"net/http"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
)

// TestTakeOver kills the daemon that owns a chain, and holds the other one on the
// same database to every balance.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	node, miner := localnode.TestBitcoind(t)
	ann, err := localnode.NewWallet("ann", node.Params)
	require.NoError(t, err)
	w := &bitcoinWorld{stack: &stack{t: t}, node: node, miner: miner, people: []*localnode.Wallet{ann}}
	w.generate(110)
	w.pay(1_000_000, 0)
	w.generate(1)

	same := mortality{Database: migratedDatabase(t), Node: node.URL, User: node.User, Password: node.Password}
	begin := func() *mortal {
		m := &mortal{stack: &stack{t: t}, mortality: same}
		m.begin()
		t.Cleanup(func() { _ = m.in.Close() })
		m.await()
		return m
	}
	first := begin()
	first.levelAt(111)
	second := begin()
	second.levelAt(111) // what the first one wrote

	w.url = second.url
	_, token := w.user()
	w.eventually("the second has heard from its nodes", func() bool {
		status, _ := w.call("POST", "/v1/onchain/btc/connect", "Authorization", "Bearer "+token, map[string]string{"wallet": "no address"})
		return status != http.StatusServiceUnavailable
	})
	w.accounts = []account{w.connect("btc", ann.Address(localnode.P2WPKH))}
	w.exact("connected where the chain is not owned")
	w.pay(20_000, 0)
	w.generate(1)
	w.exact("paid while both live")

	require.NoError(t, first.command.Process.Kill())
	require.Error(t, first.command.Wait(), "killed")
	died := time.Now()
	w.pay(300, 0)
	w.generate(1)
	second.levelAt(113)
	taken := time.Since(died)
	t.Logf("taken over after %s", taken.Round(time.Millisecond))
	// A lease lasts 4 s and is asked for each second. The rest is for machines
	// that do other things too.
	require.Less(t, taken, 15*time.Second)
	w.exact("paid after the first died")

	third := begin()
	w.replace(2, 3)
	third.levelAt(114)
	w.exact("a reorg with a newcomer beside")
	second.end()
	w.generate(1)
	third.levelAt(115)
	w.url = third.url
	w.exact("the second stopped in good order")
	third.end()
}

// levelAt waits until the ledger is at a height.
func (m *mortal) levelAt(height int) {
	m.t.Helper()
	until(m.t, "the ledger at height "+strconv.Itoa(height), func() bool {
		status, answer := m.call("GET", "/v1/chains", "X-API-Key", testMaster, nil)
		require.Equal(m.t, 200, status, answer)
		for _, one := range answer["chains"].([]any) {
			if number, ok := one.(map[string]any)["height"].(interface{ String() string }); ok && number.String() == strconv.Itoa(height) {
				return true
			}
		}
		return false
	})
}

// exact waits until the balance is that of the node's chain at its tip.
func (w *bitcoinWorld) exact(what string) {
	w.t.Helper()
	truth := strconv.FormatInt(oracle(w.t.Context(), w.t, w.node, w.people[0].Script(localnode.P2WPKH))[0], 10)
	tip, err := w.node.Tip(w.t.Context())
	require.NoError(w.t, err)
	w.eventually(what, func() bool {
		got := w.accounts[0].balance()
		if got.asOf == tip.String() && got.state["last_sync"] != nil {
			require.Equal(w.t, truth, total(got.amounts), what)
			return true
		}
		return false
	})
}
