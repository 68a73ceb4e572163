package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"slices"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// keeper is a custody backend of a stack: it gives addresses to customers and
// watches what becomes of their payments.
type keeper struct{ *stack }

// ask makes a request with the master key and decodes the answer, if there is one.
func (c keeper) ask(method, path string, body any) (int, map[string]any) {
	c.t.Helper()
	var raw bytes.Buffer
	if body != nil {
		require.NoError(c.t, json.NewEncoder(&raw).Encode(body))
	}
	request, err := http.NewRequestWithContext(c.t.Context(), method, c.url+path, &raw)
	require.NoError(c.t, err)
	request.Header.Set("X-API-Key", testMaster)
	request.Header.Set("Idempotency-Key", uuid.NewString())
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(c.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(c.t, err)
	answer := map[string]any{}
	if len(text) > 0 {
		require.NoError(c.t, json.Unmarshal(text, &answer), "%s", text)
	}
	return response.StatusCode, answer
}

// must is ask for a request that succeeds.
func (c keeper) must(method, path string, body any) map[string]any {
	c.t.Helper()
	status, answer := c.ask(method, path, body)
	require.Less(c.t, status, 300, "%s %s: %v", method, path, answer)
	return answer
}

// asset returns the id of an enabled asset by its symbol.
func (c keeper) asset(symbol string) string {
	c.t.Helper()
	for _, one := range c.must("GET", "/assets", nil)["assets"].([]any) {
		if asset := one.(map[string]any); asset["symbol"] == symbol {
			return asset["id"].(string)
		}
	}
	require.Fail(c.t, "no asset "+symbol)
	return ""
}

// vault makes a vault and returns its id.
func (c keeper) vault() string {
	c.t.Helper()
	return c.must("POST", "/vaults", map[string]any{"name": "customer"})["id"].(string)
}

// open opens a wallet and returns its id and its address.
func (c keeper) open(vault, asset string) (id, address string) {
	c.t.Helper()
	w := c.must("POST", "/vaults/"+vault+"/wallets", map[string]any{"assetId": asset})
	return w["id"].(string), w["depositAddress"].(string)
}

// holds waits until a wallet has a pending and an available amount.
func (c keeper) holds(what, wallet, pending, available string) {
	c.t.Helper()
	var last map[string]any
	defer func() {
		if c.t.Failed() {
			c.t.Logf("%s: %v %v", what, last, c.states(wallet))
		}
	}()
	c.eventually(what, func() bool {
		last = c.must("GET", "/wallets/"+wallet+"/balance", nil)
		return last["pending"] == pending && last["available"] == available
	})
}

// states returns the states of a wallet's deposits, oldest first.
func (c keeper) states(wallet string) []string {
	c.t.Helper()
	var states []string
	for _, d := range c.deposits(wallet) {
		states = append(states, d["state"].(string))
	}
	return states
}

func (c keeper) deposits(wallet string) []map[string]any {
	c.t.Helper()
	var list []map[string]any
	for _, one := range c.must("GET", "/v1/deposits?limit=500&walletId="+wallet, nil)["deposits"].([]any) {
		list = append(list, one.(map[string]any))
	}
	slices.Reverse(list)
	return list
}

func (c keeper) becomes(what, wallet string, want ...string) {
	c.t.Helper()
	c.eventually(what, func() bool { return slices.Equal(want, c.states(wallet)) })
}

// resume waits for a chain to be halted, and lets it go on.
func (c keeper) resume(chain string) {
	c.t.Helper()
	c.eventually("credits are halted", func() bool {
		for _, one := range c.must("GET", "/v1/chains", nil)["chains"].([]any) {
			if status := one.(map[string]any); status["chain"] == chain {
				return status["halted"] != nil
			}
		}
		return false
	})
	c.must("POST", "/v1/chains/"+chain+"/resume", nil)
}

// sound asks the ledger whether it adds up.
func (c keeper) sound() {
	c.t.Helper()
	faults, err := c.daemon.store.LedgerFaults(c.t.Context(), "", 10)
	require.NoError(c.t, err)
	require.Empty(c.t, faults)
}

// scriptOf asks the node for the script of an address.
func (w *bitcoinWorld) scriptOf(address string) []byte {
	w.t.Helper()
	var valid struct {
		Script string `json:"scriptPubKey"`
	}
	require.NoError(w.t, w.node.Call(w.t.Context(), "validateaddress", &valid, address))
	script, err := hex.DecodeString(valid.Script)
	require.NoError(w.t, err)
	return script
}

// send pays a script.
func (w *bitcoinWorld) send(from *localnode.Wallet, p localnode.Payment, script []byte, amount int64) *wire.MsgTx {
	w.t.Helper()
	p.To = append(p.To, wire.NewTxOut(amount, script))
	tx, err := from.Pay(w.t.Context(), w.node, p)
	require.NoError(w.t, err)
	return tx
}

// TestCustodyOnBitcoin follows payments to derived addresses on a real node through
// everything that can become of them.
func TestCustodyOnBitcoin(t *testing.T) {
	t.Parallel()
	node, miner := localnode.TestBitcoind(t)
	w := newBitcoinWorld(t, node, miner)
	chain := w.cfg.Chains["btc"]
	chain.Deposits = config.Deposits{Credit: config.Confirmed(2), ReorgLimit: 200}
	w.cfg.Chains["btc"] = chain
	w.start()
	c := keeper{w.stack}
	const key = "tpubDC5FSnBiZDMmhiuCmWAYsLwgLYrrT9rAqvTySfuCCrgsWz8wxMXUS9Tb9iVMvcRbvFcAHGkMD5Kx8koh4GquNGNTfohfk7pgjhaPCdXpoba"
	status, problem := c.ask("PUT", "/v1/custody/keys/btc", map[string]any{"key": "pk(" + key + "/<0;1>/*)"})
	require.Equal(t, 400, status, problem)
	require.Contains(t, problem["errors"], "key", "its scripts have no address")
	c.must("PUT", "/v1/custody/keys/btc", map[string]any{"key": "wpkh(" + key + "/<0;1>/*)"})
	coin := c.asset("BTC")
	wallet, address := c.open(c.vault(), coin)
	house, _ := c.open(c.vault(), coin)
	var told struct{ Descriptor string }
	require.NoError(t, node.Call(t.Context(), "getdescriptorinfo", &told, "wpkh("+key+"/0/*)"))
	var derived []string
	require.NoError(t, node.Call(t.Context(), "deriveaddresses", &derived, told.Descriptor, []int{0, 0}))
	require.Equal(t, derived[0], address, "the node derives the same")
	script := w.scriptOf(address)

	w.send(miner, localnode.Payment{}, script, 50_000)
	c.holds("seen", wallet, "0.0005", "0")
	w.generate(1)
	c.becomes("mined", wallet, "confirming")
	w.generate(1)
	c.holds("deep enough", wallet, "0", "0.0005")
	first := c.deposits(wallet)[0]["id"]

	// Replaced by a payment to somebody else, which only its inputs tell.
	lost := w.send(miner, localnode.Payment{Replaceable: true}, script, 33_000)
	c.holds("to be replaced", wallet, "0.00033", "0.0005")
	w.send(miner, localnode.Payment{Inputs: w.inputsOf(lost), Fee: 100_000}, w.people[0].Script(localnode.P2WPKH), 20_000)
	c.becomes("replaced", wallet, "credited", "replaced")

	// Its parent, of which we know nothing, is replaced: the payment is gone with it.
	parent := w.payFrom(miner, localnode.Payment{Replaceable: true}, 40_000, 1)
	w.send(w.people[1], localnode.Payment{Inputs: w.people[1].CoinsOf(parent)}, script, 30_000)
	c.holds("a child", wallet, "0.0003", "0.0005")
	w.send(miner, localnode.Payment{Inputs: w.inputsOf(parent), Fee: 200_000}, w.people[0].Script(localnode.P2WPKH), 10_000)
	c.becomes("parent replaced", wallet, "credited", "replaced", "dropped")

	// A reorg takes the credit back; the payment waits, is mined again, and is the
	// same deposit. The node puts what its branch had back into its mempool.
	w.generate(1)
	for _, depth := range []int{3, 20, 120} {
		if depth > 3 {
			w.generate(depth - 3)
		}
		c.holds(fmt.Sprintf("before the reorg of depth %d", depth), wallet, "0", "0.0005")
		c.must("POST", "/transactions/transfer", map[string]any{"sourceWalletId": wallet, "destinationWalletId": house, "amount": "0.0002"})
		w.replace(depth, depth+1)
		c.holds(fmt.Sprintf("after the reorg of depth %d", depth), wallet, "0.0005", "-0.0002")
		status, refused := c.ask("POST", "/transactions/transfer", map[string]any{"sourceWalletId": wallet, "destinationWalletId": house, "amount": "0.0001"})
		require.Equal(t, http.StatusBadRequest, status)
		require.Equal(t, "wallet_frozen", refused["code"])
		w.generate(2)
		c.holds("halted", wallet, "0.0005", "-0.0002")
		c.resume("btc")
		c.holds("mined again", wallet, "0", "0.0003")
		require.Equal(t, first, c.deposits(wallet)[0]["id"])
		c.must("POST", "/transactions/transfer", map[string]any{"sourceWalletId": house, "destinationWalletId": wallet, "amount": "0.0002"})
		w.generate(1)
	}

	// A reward is credited when it can be spent. It is nobody's payment.
	_, err := node.Mine(t.Context(), script)
	require.NoError(t, err)
	w.generate(98)
	c.eventually("the reward is not spendable yet", func() bool {
		all := c.deposits(wallet)
		if len(all) < 4 {
			return false
		}
		last := all[3]
		return last["state"] == "confirming" && last["confirmations"].(float64) == 99
	})
	w.generate(1)
	c.becomes("the reward can be spent", wallet, "credited", "replaced", "dropped", "credited")
	c.sound()

	// A daemon that was away finds what happened meanwhile.
	w.stop()
	w.send(miner, localnode.Payment{}, script, 70_000)
	w.generate(2)
	w.start()
	c.becomes("after the daemon was away", wallet, "credited", "replaced", "dropped", "credited", "credited")
	c.sound()
}

// TestCustodyOnEthereum follows payments to leased addresses on a real node: those
// that are deposits, and those that only look so.
func TestCustodyOnEthereum(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	node := localnode.TestAnvil(t)
	w := newEthereumWorld(t, node)
	silent, err := node.DeploySilentToken(ctx)
	require.NoError(t, err)
	fake, err := node.DeployToken(ctx, localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(t, err)
	payout, err := node.DeployPayout(ctx)
	require.NoError(t, err)
	chain := w.cfg.Chains["eth"]
	chain.Tokens = append(chain.Tokens, config.Token{Symbol: "SILENT", Contract: silent, Decimals: 6, Slot: -1})
	chain.Deposits = config.Deposits{Credit: config.Confirmed(2), ReorgLimit: 200}
	w.cfg.Chains["eth"] = chain
	w.start()
	c := keeper{w.stack}
	c.must("POST", "/v1/custody/keys/eth/addresses", map[string]any{"addresses": w.people})
	c.must("PUT", "/v1/custody/keys/eth", map[string]any{"treasuryAddress": node.Accounts[5]})
	vault := c.vault()
	ether, address := c.open(vault, c.asset("ETH"))
	token, same := c.open(vault, c.asset("TST"))
	quiet, _ := c.open(vault, c.asset("SILENT"))
	require.Equal(t, address, same)
	other, otherAddress := c.open(c.vault(), c.asset("ETH"))
	gwei := func(n int64) *big.Int { return new(big.Int).Mul(big.NewInt(n), big.NewInt(1e9)) }

	w.transact(localnode.Transaction{To: address, Value: gwei(5)})
	w.transact(localnode.Transaction{To: w.token, Data: localnode.TransferData(address, big.NewInt(700))})
	require.NoError(t, node.Mine(ctx, 1))
	c.holds("ether", ether, "0", "0.000000005")
	c.holds("a token", token, "0", "0.0007")

	// What only looks like a deposit.
	w.transact(localnode.Transaction{To: fake, Data: localnode.TransferData(address, big.NewInt(900))})   // another contract of the same symbol
	w.transact(localnode.Transaction{To: silent, Data: localnode.TransferData(address, big.NewInt(900))}) // returns false
	failed := w.transact(localnode.Transaction{To: w.token, Data: localnode.TransferData(address, big.NewInt(1e18)), Value: nil})
	require.Equal(t, "0x0", failed.Status, "more than there is")
	w.transact(localnode.Transaction{From: node.Accounts[5], To: address, Value: gwei(3)}) // the treasury pays gas for a sweep
	// Of a payment by internal transfers one arrives, and the other is reverted.
	w.transact(localnode.Transaction{To: payout, Value: gwei(8), Data: localnode.PayFirstData(otherAddress, address)})
	require.NoError(t, node.Mine(ctx, 1))
	c.holds("an internal transfer", other, "0", "0.000000004")
	c.holds("nothing of the rest", ether, "0", "0.000000005")
	c.holds("no fake token", token, "0", "0.0007")
	require.Empty(t, c.deposits(quiet))
	require.Len(t, c.deposits(token), 1)
	require.Len(t, c.deposits(ether), 1)

	// Reorgs take credits back. anvil forgets what its branch had.
	for _, depth := range []int{2, 40} {
		w.transact(localnode.Transaction{To: otherAddress, Value: gwei(1)})
		require.NoError(t, node.Mine(ctx, depth-1))
		c.holds(fmt.Sprintf("before the reorg of depth %d", depth), other, "0", "0.000000005")
		require.NoError(t, node.Reorg(ctx, depth))
		c.holds(fmt.Sprintf("after the reorg of depth %d", depth), other, "0", "0.000000004")
		c.resume("eth")
	}
	c.holds("untouched", ether, "0", "0.000000005")
	c.sound()
}
