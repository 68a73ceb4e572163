package main

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// ethereumWorld is a real node, a daemon that follows it, and people who are
// paid.
type ethereumWorld struct {
	*stack
	node     *localnode.Ethereum
	token    string
	people   []string
	accounts []account
}

func ethereumChain(t testing.TB, node *localnode.Ethereum, token string, urls ...string) config.Chain {
	t.Helper()
	var id string
	require.NoError(t, node.Call(t.Context(), "eth_chainId", &id))
	number, err := strconv.ParseUint(strings.TrimPrefix(id, "0x"), 16, 64)
	require.NoError(t, err)
	c := config.DefaultChain(config.FamilyEVM)
	c.Network, c.Environment, c.StartHeight = strconv.FormatUint(number, 10), "test", config.StartAt(0)
	c.Tokens = []config.Token{{Symbol: "TST", Contract: token, Decimals: 6, Slot: -1}}
	if len(urls) == 0 {
		urls = []string{node.URL}
	}
	for _, url := range urls {
		c.Upstreams = append(c.Upstreams, config.Upstream{URL: config.NewURL(url)})
	}
	return c
}

func newEthereumWorld(t *testing.T, node *localnode.Ethereum, urls ...string) *ethereumWorld {
	t.Helper()
	token, err := node.DeployToken(t.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(t, err)
	w := &ethereumWorld{node: node, token: token}
	w.stack = newStack(t, map[string]config.Chain{"eth": ethereumChain(t, node, token, urls...)})
	for n := range 3 {
		w.people = append(w.people, fmt.Sprintf("0x%040x", 0xbeef0000+n))
	}
	return w
}

func (w *ethereumWorld) connectAll() {
	for _, person := range w.people {
		w.accounts = append(w.accounts, w.connect("eth", person))
	}
}

func (w *ethereumWorld) transact(tx localnode.Transaction) localnode.Receipt {
	w.t.Helper()
	receipt, err := w.node.Transact(w.t.Context(), tx)
	require.NoError(w.t, err)
	return receipt
}

func (w *ethereumWorld) pay(n int, wei int64) {
	w.t.Helper()
	w.transact(localnode.Transaction{To: w.people[n], Value: big.NewInt(wei)})
}

func (w *ethereumWorld) give(n int, units int64) {
	w.t.Helper()
	w.transact(localnode.Transaction{To: w.token, Data: localnode.TransferData(w.people[n], big.NewInt(units))})
}

// check waits until the daemon is level with the node, and holds everything it
// says meanwhile to what the node says of the blocks that are named.
func (w *ethereumWorld) check(what string) {
	w.t.Helper()
	ctx := w.t.Context()
	var head struct {
		Hash string `json:"hash"`
	}
	require.NoError(w.t, w.node.Call(ctx, "eth_getBlockByNumber", &head, "latest", false))
	for i, a := range w.accounts {
		w.eventually(fmt.Sprintf("%s: account %d is level with the node", what, i), func() bool {
			got := a.balance()
			w.truthful(what, i, got)
			return got.level && got.asOf == head.Hash && w.agrees(i, got)
		})
	}
}

// agrees reports whether the amounts are those of the node's head. A balance that
// was not read yet after its block stands there as of an older one.
func (w *ethereumWorld) agrees(i int, got held) bool {
	w.t.Helper()
	native, token := w.held(i, map[string]any{"blockHash": got.asOf})
	shown := map[bool]string{true: "0", false: "0"}
	for asset, amount := range got.amounts {
		shown[isToken(asset)] = amount
	}
	return shown[false] == native && shown[true] == token
}

// held returns what the node says a person holds at a block, "" where it does not
// know the block any more.
func (w *ethereumWorld) held(i int, at any) (native, token string) {
	w.t.Helper()
	ask := func(method string, params ...any) string {
		var word string
		err := w.node.Call(w.t.Context(), method, &word, params...)
		if _, refused := errors.AsType[*localnode.RPCError](err); refused {
			return ""
		}
		require.NoError(w.t, err)
		n, ok := new(big.Int).SetString(strings.TrimPrefix(word, "0x"), 16)
		require.True(w.t, ok, word)
		return n.String()
	}
	data := fmt.Sprintf("0x70a08231%064s", strings.TrimPrefix(w.people[i], "0x")) // balanceOf(address)
	return ask("eth_getBalance", w.people[i], at), ask("eth_call", map[string]any{"to": w.token, "data": data}, at)
}

// isToken tells a token from a native asset.
func isToken(asset string) bool { return strings.Contains(asset, "/erc20:") }

// truthful holds each amount to the node's at the block it names. It returns how
// many it could compare: a block that the node has left tells nothing.
func (w *ethereumWorld) truthful(what string, i int, got held) (compared int) {
	w.t.Helper()
	for asset, amount := range got.amounts {
		native, token := w.held(i, map[string]any{"blockHash": got.at[asset]})
		want := native
		if isToken(asset) {
			want = token
		}
		if want == "" {
			continue
		}
		require.Equal(w.t, want, amount, "%s: %s of account %d at %s", what, asset, i, got.at[asset])
		compared++
	}
	return compared
}

func TestEthereumHistories(t *testing.T) {
	t.Parallel()
	node := localnode.TestAnvil(t)
	w := newEthereumWorld(t, node)
	w.pay(0, 1_000_000)
	w.give(0, 500)
	payout, err := node.DeployPayout(t.Context())
	require.NoError(t, err)
	w.start()
	w.connectAll()
	w.check("connected later")

	w.pay(1, 2_000_000)
	w.give(2, 700)
	w.check("paid")
	got := w.accounts[1].balance()
	require.Equal(t, "proven", got.proofs[nativeOf(got)])

	w.transact(localnode.Transaction{To: payout, Value: big.NewInt(9_000), Data: localnode.PayoutData(w.people...)})
	w.check("paid by internal transfers")
	w.transact(localnode.Transaction{To: payout, Value: big.NewInt(9_000), Data: localnode.PayFirstData(w.people[0], w.people[1])})
	w.check("an internal transfer that reverts gives nothing")

	for _, depth := range []int{1, 6, 100} {
		w.pay(0, 11_000)
		w.give(1, 13)
		require.NoError(t, node.Mine(t.Context(), depth))
		w.pay(2, 12_000)
		w.check(fmt.Sprintf("before the reorg of depth %d", depth))
		require.NoError(t, node.Reorg(t.Context(), depth+3))
		w.pay(0, 17_000)
		w.check(fmt.Sprintf("after the reorg of depth %d", depth))
	}

	w.swapped()
	w.foreign()
	w.back()
	w.lagging()

	w.stop()
	w.give(0, 21)
	require.NoError(t, node.Reorg(t.Context(), 2))
	w.give(2, 22)
	w.start()
	w.check("after a reorg while the daemon was down")
	w.history()
}

// TestBalanceBesideALongSearch connects an account while the past of another one
// is searched, which a node here takes as long over as it is let: its balance
// does not wait for that.
func TestBalanceBesideALongSearch(t *testing.T) {
	t.Parallel()
	node := localnode.TestAnvil(t)
	l := newLiar(t, node.URL)
	w := newEthereumWorld(t, node, l.url)
	chain := w.cfg.Chains["eth"]
	chain.FetchConcurrency = 32 // more than there are blocks to hold up
	w.cfg.Chains["eth"] = chain
	w.pay(0, 1_000)
	w.pay(1, 2_000)
	w.start()
	letGo, holding := make(chan struct{}), make(chan struct{}, 100)
	l.lie.Store(&lie{result: func(method string, _ []any, result any) any {
		if method == "eth_getBlockReceipts" {
			holding <- struct{}{}
			<-letGo
		}
		return result
	}})
	// Before the server closes, which waits for those that are held up.
	t.Cleanup(sync.OnceFunc(func() { close(letGo) }))
	first := w.connect("eth", w.people[0])
	<-holding
	second := w.connect("eth", w.people[1])
	w.eventually("the second one has its balance", func() bool { return second.balance().state["last_sync"] != nil })
	got := second.balance()
	require.Equal(t, "2000", got.amounts[nativeOf(got)])
	require.Equal(t, 1, w.truthful("beside a search", 1, got)-1, "native and token")
	require.NotEqual(t, "complete", first.balance().state["history"].(map[string]any)["status"], "the search goes on")
	require.Equal(t, "1000", first.balance().amounts[nativeOf(got)])
	l.lie.Store(nil)
}

// swapped mines two payments in one block, and then the same two in the opposite
// order: the log of the one stands at another place of its block.
func (w *ethereumWorld) swapped() {
	w.t.Helper()
	ctx := w.t.Context()
	w.transact(localnode.Transaction{To: w.token, Data: localnode.TransferData(w.node.Accounts[1], big.NewInt(1_000))})
	require.NoError(w.t, w.node.AutoMine(ctx, false))
	var raws []string
	for n, units := range []int64{31, 32} {
		hash, err := w.node.Send(ctx, localnode.Transaction{
			From: w.node.Accounts[n], To: w.token, Data: localnode.TransferData(w.people[n], big.NewInt(units)),
		})
		require.NoError(w.t, err)
		raw, err := w.node.Raw(ctx, hash)
		require.NoError(w.t, err)
		raws = append(raws, raw)
	}
	require.NoError(w.t, w.node.Mine(ctx, 1))
	require.NoError(w.t, w.node.AutoMine(ctx, true))
	first, err := w.node.Branch(ctx, 1)
	require.NoError(w.t, err)
	require.Len(w.t, first[0].Transactions, 2)
	w.check("two payments in one order")

	// anvil orders by what is paid; which came first does not matter.
	if raw, err := w.node.Raw(ctx, first[0].Transactions[0]); err == nil && raw == raws[0] {
		raws[0], raws[1] = raws[1], raws[0]
	}
	require.NoError(w.t, w.node.ReorgTo(ctx, 1, raws))
	second, err := w.node.Branch(ctx, 1)
	require.NoError(w.t, err)
	require.Equal(w.t, []string{first[0].Transactions[1], first[0].Transactions[0]}, second[0].Transactions)
	w.check("the same two at other positions")
}

// foreign mines a payment, and then another branch in which the sender has paid a
// stranger with the same nonce instead.
func (w *ethereumWorld) foreign() {
	w.t.Helper()
	ctx := w.t.Context()
	w.pay(2, 77_000)
	w.check("to be undone")
	require.NoError(w.t, w.node.Rollback(ctx, 1))
	w.transact(localnode.Transaction{To: "0x00000000000000000000000000000000dead0001", Value: big.NewInt(50_000)})
	require.NoError(w.t, w.node.Mine(ctx, 1))
	w.check("replaced by a foreign payment on another branch")
}

// back moves the node to another branch and then back to the first, whose blocks
// are the same again.
func (w *ethereumWorld) back() {
	w.t.Helper()
	ctx := w.t.Context()
	w.pay(0, 13_000)
	w.give(1, 14)
	w.pay(2, 15_000)
	w.check("the first branch")
	first, err := w.node.Branch(ctx, 3)
	require.NoError(w.t, err)
	require.NoError(w.t, w.node.Rollback(ctx, 3))
	w.give(0, 16)
	w.pay(1, 17_000)
	require.NoError(w.t, w.node.Mine(ctx, 2))
	w.check("the other branch")
	require.NoError(w.t, w.node.Rollback(ctx, 4))
	require.NoError(w.t, w.node.Replay(ctx, first))
	require.NoError(w.t, w.node.Mine(ctx, 2))
	w.check("back on the first branch")
}

// lagging makes the node forget its last blocks, and then be on a branch of its
// own that is shorter: it is behind, and nothing of ours is taken back.
func (w *ethereumWorld) lagging() {
	w.t.Helper()
	ctx := w.t.Context()
	w.pay(0, 18_000)
	w.give(1, 19)
	require.NoError(w.t, w.node.Mine(ctx, 1))
	w.check("before the node lags")
	before := []held{w.accounts[0].balance(), w.accounts[1].balance()}
	ours, err := w.node.Branch(ctx, 3)
	require.NoError(w.t, err)
	lags := func(what string) {
		w.t.Helper()
		w.eventually(what, func() bool { return w.accounts[0].balance().state["status"] == "lagging" })
		for i, was := range before {
			got := w.accounts[i].balance()
			require.Equal(w.t, was.amounts, got.amounts, what)
			require.Equal(w.t, was.asOf, got.asOf, what)
		}
	}
	require.NoError(w.t, w.node.Rollback(ctx, 2))
	lags("the node has lost two blocks")
	w.pay(2, 20_000)
	lags("the node is on a shorter branch")
	require.NoError(w.t, w.node.Rollback(ctx, 2))
	require.NoError(w.t, w.node.Replay(ctx, ours))
	w.check("the node is back")
}

// history compares the sum of all transfers the API lists with the balance: they
// explain it all where the whole past was read and every block traced.
func (w *ethereumWorld) history() {
	w.t.Helper()
	for i, a := range w.accounts {
		w.eventually(fmt.Sprintf("account %d has its whole history", i), func() bool {
			history := a.balance().state["history"].(map[string]any)
			return history["status"] == "complete"
		})
		sums := map[string]*big.Int{}
		cursor := ""
		for {
			status, page := w.call("GET", fmt.Sprintf("/v1/onchain/eth/account/%s/transactions?limit=3&cursor=%s", a.id, cursor), "Authorization", "Bearer "+a.token, nil)
			require.Equal(w.t, 200, status, page)
			for _, one := range page["transactions"].([]any) {
				tx := one.(map[string]any)
				if tx["status"] != "confirmed" {
					continue
				}
				w.add(sums, tx)
			}
			next, ok := page["page_cursor"].(string)
			if !ok || next == "" {
				break
			}
			cursor = next
		}
		for asset, amount := range a.balance().amounts {
			if sums[asset] == nil {
				sums[asset] = new(big.Int)
			}
			require.Equal(w.t, amount, sums[asset].String(), "account %d, %s", i, asset)
		}
	}
}

// add adds what a transaction did to an account to sums.
func (w *ethereumWorld) add(sums map[string]*big.Int, tx map[string]any) {
	w.t.Helper()
	for _, one := range tx["total"].([]any) {
		amount := one.(map[string]any)
		asset := amount["currency"].(string)
		units, ok := new(big.Int).SetString(fmt.Sprint(amount["base_units"]), 10)
		require.True(w.t, ok, "%v", amount)
		if sums[asset] == nil {
			sums[asset] = new(big.Int)
		}
		sums[asset].Add(sums[asset], units)
	}
}
