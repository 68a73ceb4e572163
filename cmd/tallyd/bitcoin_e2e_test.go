package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
)

// bitcoinWorld is a real node, a daemon that follows it, and people who are paid.
type bitcoinWorld struct {
	*stack
	node     *localnode.Bitcoin
	miner    *localnode.Wallet
	people   []*localnode.Wallet
	accounts []account // of people, by each one's P2WPKH address
}

func newBitcoinWorld(t *testing.T, node *localnode.Bitcoin, miner *localnode.Wallet) *bitcoinWorld {
	t.Helper()
	w := &bitcoinWorld{stack: newStack(t, map[string]config.Chain{"btc": bitcoinChain(node)}), node: node, miner: miner}
	for _, name := range []string{"ann", "ben", "cleo"} {
		wallet, err := localnode.NewWallet(name, node.Params)
		require.NoError(t, err)
		w.people = append(w.people, wallet)
	}
	_, err := node.Generate(t.Context(), 110)
	require.NoError(t, err)
	return w
}

// bitcoinChain returns the settings of a chain that node serves.
func bitcoinChain(node *localnode.Bitcoin) config.Chain {
	c := config.DefaultChain(config.FamilyBitcoin)
	c.Network, c.Environment, c.StartHeight = "regtest", "test", config.StartAt(0)
	c.Upstreams = []config.Upstream{{
		URL: config.NewURL(node.URL), Websocket: config.NewURL(node.WebSocket),
		User: node.User, Password: config.NewSecret(node.Password), REST: node.WebSocket == "",
	}}
	return c
}

func (w *bitcoinWorld) connectAll() {
	for _, person := range w.people {
		w.accounts = append(w.accounts, w.connect("btc", person.Address(localnode.P2WPKH)))
	}
}

// pay sends an amount to each of some people.
func (w *bitcoinWorld) pay(amount int64, people ...int) *wire.MsgTx {
	w.t.Helper()
	return w.payFrom(w.miner, localnode.Payment{}, amount, people...)
}

func (w *bitcoinWorld) payFrom(from *localnode.Wallet, p localnode.Payment, amount int64, people ...int) *wire.MsgTx {
	w.t.Helper()
	for _, n := range people {
		p.To = append(p.To, wire.NewTxOut(amount, w.people[n].Script(localnode.P2WPKH)))
	}
	tx, err := from.Pay(w.t.Context(), w.node, p)
	require.NoError(w.t, err)
	return tx
}

func (w *bitcoinWorld) generate(n int) {
	w.t.Helper()
	_, err := w.node.Generate(w.t.Context(), n)
	require.NoError(w.t, err)
}

// replace mines a branch of n empty blocks that leaves the node's chain depth
// blocks below its tip, so that the node moves there if n > depth.
func (w *bitcoinWorld) replace(depth, n int, txs ...*wire.MsgTx) {
	w.t.Helper()
	ctx := w.t.Context()
	height, err := w.node.Height(ctx)
	require.NoError(w.t, err)
	fork, err := w.node.BlockHash(ctx, height-int32(depth))
	require.NoError(w.t, err)
	script := w.miner.Script(localnode.P2WPKH)
	if len(txs) > 0 {
		block, err := w.node.MineOn(ctx, fork, script, txs...)
		require.NoError(w.t, err)
		fork, n = block.BlockHash(), n-1
	}
	_, err = w.node.MineEmpty(ctx, fork, script, n)
	require.NoError(w.t, err)
}

// oracle replays the node's chain naively and returns what each script holds.
func oracle(ctx context.Context, t testing.TB, node *localnode.Bitcoin, scripts ...[]byte) []int64 {
	t.Helper()
	watched := map[string]int{}
	for i, script := range scripts {
		watched[string(script)] = i
	}
	sums := make([]int64, len(scripts))
	coins := map[wire.OutPoint]int{}
	values := map[wire.OutPoint]int64{}
	height, err := node.Height(ctx)
	require.NoError(t, err)
	for h := int32(0); h <= height; h++ {
		hash, err := node.BlockHash(ctx, h)
		require.NoError(t, err)
		block, err := node.Block(ctx, hash)
		require.NoError(t, err)
		for _, tx := range block.Transactions {
			for _, in := range tx.TxIn {
				if owner, ok := coins[in.PreviousOutPoint]; ok {
					sums[owner] -= values[in.PreviousOutPoint]
					delete(coins, in.PreviousOutPoint)
				}
			}
			for n, out := range tx.TxOut {
				if owner, ok := watched[string(out.PkScript)]; ok {
					point := wire.OutPoint{Hash: tx.TxHash(), Index: uint32(n)}
					coins[point], values[point] = owner, out.Value
					sums[owner] += out.Value
				}
			}
		}
	}
	return sums
}

// check waits until the daemon is level with the node, and compares every
// balance with the oracle.
func (w *bitcoinWorld) check(what string) {
	w.t.Helper()
	ctx := w.t.Context()
	var scripts [][]byte
	for _, person := range w.people {
		scripts = append(scripts, person.Script(localnode.P2WPKH))
	}
	tip, err := w.node.Tip(ctx)
	require.NoError(w.t, err)
	want := oracle(ctx, w.t, w.node, scripts...)
	for i, a := range w.accounts {
		var got held
		w.eventually(fmt.Sprintf("%s: account %d is level with the node", what, i), func() bool {
			got = a.balance()
			return got.level && got.asOf == tip.String()
		})
		require.Equal(w.t, strconv.FormatInt(want[i], 10), total(got.amounts), "%s: balance of account %d", what, i)
	}
}

// total is the one amount of an account that holds one asset at most.
func total(amounts map[string]string) string {
	for _, amount := range amounts {
		return amount
	}
	return "0"
}

// pendingIs waits until an account has an amount pending, "0" for none.
func (w *bitcoinWorld) pendingIs(what string, n int, want string) {
	w.t.Helper()
	w.eventually(fmt.Sprintf("%s: pending of account %d is %s", what, n, want), func() bool {
		return total(w.accounts[n].balance().pending) == want
	})
}

func TestBitcoinHistories(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB) (*localnode.Bitcoin, *localnode.Wallet){
		"btcd": localnode.TestBtcd, "bitcoind": localnode.TestBitcoind,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			node, miner := start(t)
			w := newBitcoinWorld(t, node, miner)
			w.pay(1_000_000, 0, 1) // before anybody is connected
			w.generate(1)
			w.start()
			w.connectAll()
			w.check("connected later")

			w.pay(20_000, 0, 1, 2)
			w.pendingIs("paid", 2, "20000")
			w.generate(1)
			w.pendingIs("mined", 2, "0")
			w.check("mined")

			spend := w.payFrom(w.people[0], localnode.Payment{}, 5_000, 1)
			w.payFrom(w.people[1], localnode.Payment{Inputs: w.people[1].CoinsOf(spend)}, 2_000, 2) // spends what is unconfirmed
			w.generate(1)
			w.check("a chain of payments in one block")

			w.replace(1, 2)
			w.check("reorg of depth 1: the payments wait again")
			w.pendingIs("they wait again", 2, "2000")
			w.generate(1)
			w.check("mined again at another height")

			w.swapped()
			w.replaced()
			w.foreign()
			w.deep(6)
			w.back()
			w.lagging()
			w.away()
			w.deep(100)
			if name == "bitcoind" {
				w.dropped()
				w.scan()
			}
		})
	}
}

// swapped mines two payments, and then another branch in which the same two stand
// in the opposite order.
func (w *bitcoinWorld) swapped() {
	w.t.Helper()
	first, second := w.pay(31_000, 0), w.pay(32_000, 1)
	_, err := w.node.Mine(w.t.Context(), w.miner.Script(localnode.P2WPKH), first, second)
	require.NoError(w.t, err)
	w.check("two payments in one order")
	w.replace(1, 2, second, first)
	w.check("the same two at other positions")
}

// replaced pays with a signal that it may be replaced, and replaces it by a
// payment to somebody else.
func (w *bitcoinWorld) replaced() {
	w.t.Helper()
	first := w.payFrom(w.miner, localnode.Payment{Replaceable: true}, 33_000, 2)
	w.pendingIs("to be replaced", 2, "33000")
	coins, err := w.miner.Coins(w.t.Context(), w.node)
	require.NoError(w.t, err)
	require.NotEmpty(w.t, coins)
	inputs := w.inputsOf(first)
	w.payFrom(w.miner, localnode.Payment{Inputs: inputs, Fee: 100_000, Replaceable: true}, 44_000, 0)
	w.pendingIs("replaced", 2, "0")
	w.pendingIs("the replacement", 0, "44000")
	require.Equal(w.t, "replaced", w.statusOf(2, first))
	w.generate(1)
	w.check("the replacement mined")
}

// dropped makes the node forget a payment that waits, and then hear of it again.
func (w *bitcoinWorld) dropped() {
	w.t.Helper()
	ctx := w.t.Context()
	tx := w.pay(34_000, 1)
	w.pendingIs("to be forgotten", 1, "34000")
	before := total(w.accounts[1].balance().amounts)
	require.NoError(w.t, w.node.ForgetMempool(ctx))
	w.pendingIs("forgotten", 1, "0")
	require.Equal(w.t, "dropped", w.statusOf(1, tx))
	require.Equal(w.t, before, total(w.accounts[1].balance().amounts))
	_, err := w.node.Send(ctx, tx)
	require.NoError(w.t, err)
	w.pendingIs("heard of again", 1, "34000")
	require.Equal(w.t, "pending", w.statusOf(1, tx))
	w.generate(1)
	w.check("mined after all")
	require.Equal(w.t, "confirmed", w.statusOf(1, tx))
}

// statusOf returns what an account's list says of a transaction.
func (w *bitcoinWorld) statusOf(n int, tx *wire.MsgTx) string {
	w.t.Helper()
	a := w.accounts[n]
	status, page := w.call("GET", "/v1/onchain/btc/account/"+a.id+"/transactions?limit=500", "Authorization", "Bearer "+a.token, nil)
	require.Equal(w.t, http.StatusOK, status, page)
	for _, one := range page["transactions"].([]any) {
		if listed := one.(map[string]any); listed["transaction_id"] == tx.TxHash().String() {
			return listed["status"].(string)
		}
	}
	return ""
}

// inputsOf returns the coins a transaction of the miner spends.
func (w *bitcoinWorld) inputsOf(tx *wire.MsgTx) []localnode.Coin {
	w.t.Helper()
	var coins []localnode.Coin
	for _, in := range tx.TxIn {
		var raw string
		require.NoError(w.t, w.node.Call(w.t.Context(), "getrawtransaction", &raw, in.PreviousOutPoint.Hash.String(), 0))
		decoded, err := hex.DecodeString(raw)
		require.NoError(w.t, err)
		var from wire.MsgTx
		require.NoError(w.t, from.Deserialize(strings.NewReader(string(decoded))))
		for _, coin := range w.miner.CoinsOf(&from) {
			if coin.OutPoint == in.PreviousOutPoint {
				coins = append(coins, coin)
			}
		}
	}
	require.Len(w.t, coins, len(tx.TxIn))
	return coins
}

// foreign mines a payment, and then another branch in which a payment of the same
// coins to a stranger stands instead.
func (w *bitcoinWorld) foreign() {
	w.t.Helper()
	ctx := w.t.Context()
	ours := w.pay(77_000, 0, 2)
	w.pendingIs("what it spends is known", 0, "77000")
	inputs := w.inputsOf(ours)
	w.generate(1)
	w.check("to be undone")
	stranger, err := localnode.NewWallet("stranger", w.node.Params)
	require.NoError(w.t, err)
	theirs, err := w.miner.Build(ctx, w.node, localnode.Payment{
		To: []*wire.TxOut{wire.NewTxOut(50_000, stranger.Script(localnode.P2PKH))}, Inputs: inputs, Fee: 200_000,
	})
	require.NoError(w.t, err)
	w.replace(1, 2, theirs)
	w.check("replaced by a foreign payment on another branch")
	require.Equal(w.t, "replaced", w.statusOf(0, ours))
}

// deep replaces depth blocks that hold payments.
func (w *bitcoinWorld) deep(depth int) {
	w.t.Helper()
	w.pay(11_000, 0, 1)
	w.generate(depth / 2)
	w.pay(12_000, 1, 2)
	w.generate(depth - depth/2)
	w.check(fmt.Sprintf("before the reorg of depth %d", depth))
	w.replace(depth, depth+1)
	w.check(fmt.Sprintf("after the reorg of depth %d", depth))
	w.generate(1)
	w.check(fmt.Sprintf("mined again after the reorg of depth %d", depth))
}

// back moves the node to another branch and then back to the first.
func (w *bitcoinWorld) back() {
	w.t.Helper()
	ctx := w.t.Context()
	w.pay(13_000, 2)
	w.generate(2)
	w.check("the first branch")
	first, err := w.node.Tip(ctx)
	require.NoError(w.t, err)
	w.replace(2, 3)
	w.check("the other branch")
	_, err = w.node.MineEmpty(ctx, first, w.miner.Script(localnode.P2WPKH), 2)
	require.NoError(w.t, err)
	w.check("back on the first branch")
}

// lagging makes the node forget its last blocks: it is behind, and nothing of
// ours is taken back.
func (w *bitcoinWorld) lagging() {
	w.t.Helper()
	ctx := w.t.Context()
	w.pay(14_000, 1)
	w.generate(2)
	w.check("before the node lags")
	before := w.accounts[1].balance()
	height, err := w.node.Height(ctx)
	require.NoError(w.t, err)
	hash, err := w.node.BlockHash(ctx, height-1)
	require.NoError(w.t, err)
	require.NoError(w.t, w.node.Invalidate(ctx, hash))
	w.eventually("the chain is seen to lag", func() bool {
		return w.accounts[1].balance().state["status"] == "lagging"
	})
	require.Equal(w.t, before.amounts, w.accounts[1].balance().amounts)
	require.NoError(w.t, w.node.Reconsider(ctx, hash))
	w.check("the node is back")
}

// away stops the daemon, reorganises meanwhile, and starts it again.
func (w *bitcoinWorld) away() {
	w.t.Helper()
	w.pay(15_000, 0)
	w.generate(3)
	w.check("before the daemon stops")
	w.stop()
	w.replace(3, 5)
	w.pay(16_000, 2)
	w.generate(1)
	w.start()
	w.check("after a reorg while the daemon was down")
}

// scan compares with the node's own set of unspent outputs.
func (w *bitcoinWorld) scan() {
	w.t.Helper()
	for i, person := range w.people {
		var found struct {
			Total json.Number `json:"total_amount"`
		}
		address := "addr(" + person.Address(localnode.P2WPKH) + ")"
		require.NoError(w.t, w.node.Call(w.t.Context(), "scantxoutset", &found, "start", []string{address}))
		want, err := chains.ParseDecimal(found.Total.String(), 8)
		require.NoError(w.t, err)
		require.Equal(w.t, want.String(), total(w.accounts[i].balance().amounts))
	}
}
