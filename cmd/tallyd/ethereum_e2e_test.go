package main

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
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

func ethereumChain(t *testing.T, node *localnode.Ethereum, token string, urls ...string) config.Chain {
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

// check waits until the daemon is level with the node, and compares every
// balance with what the node says of the block the balance names.
func (w *ethereumWorld) check(what string) {
	w.t.Helper()
	ctx := w.t.Context()
	var head struct {
		Hash string `json:"hash"`
	}
	require.NoError(w.t, w.node.Call(ctx, "eth_getBlockByNumber", &head, "latest", false))
	for i, a := range w.accounts {
		var got held
		w.eventually(fmt.Sprintf("%s: account %d is level with the node", what, i), func() bool {
			got = a.balance()
			return got.level && got.asOf == head.Hash && w.agrees(i, got)
		})
	}
}

// agrees reports whether the amounts are those of the node now. A balance that
// lags behind its block is read again by the daemon within moments.
func (w *ethereumWorld) agrees(i int, got held) bool {
	w.t.Helper()
	native, err := w.node.Balance(w.t.Context(), w.people[i], "latest")
	require.NoError(w.t, err)
	token, err := w.node.TokenBalance(w.t.Context(), w.token, w.people[i], "latest")
	require.NoError(w.t, err)
	shown := map[bool]string{true: "0", false: "0"}
	for asset, amount := range got.amounts {
		shown[strings.Contains(asset, "/erc20:")] = amount
	}
	return shown[false] == native.String() && shown[true] == token.String()
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
	require.Equal(t, "proven", got.proofs[w.nativeAsset(got)])

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

	w.stop()
	w.give(0, 21)
	require.NoError(t, node.Reorg(t.Context(), 2))
	w.give(2, 22)
	w.start()
	w.check("after a reorg while the daemon was down")
	w.history()
}

// nativeAsset returns the asset of a balance that is no token.
func (w *ethereumWorld) nativeAsset(h held) string {
	for asset := range h.amounts {
		if !strings.Contains(asset, "/erc20:") {
			return asset
		}
	}
	return ""
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
