package main

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer"
)

// large is an amount that needs more confirmations than others: largeEvery.
const (
	large      = 50_000_000
	largeEvery = 6
)

// bitcoinMatrix is the matrix on a node of the bitcoin family.
type bitcoinMatrix struct {
	*custodian
	chain   *bitcoinWorld // its node and its miner; nobody is connected
	scripts map[string][]byte
}

func newBitcoinMatrix(t *testing.T, edits ...func(*config.Config)) *bitcoinMatrix {
	t.Helper()
	node, miner := localnode.TestBitcoind(t)
	_, err := node.Generate(t.Context(), 110)
	require.NoError(t, err)
	settings := bitcoinChain(node)
	settings.PollInterval = 50 * time.Millisecond
	settings.Deposits = config.Deposits{
		Credit: config.Confirmed(every), ReorgLimit: deep, Rules: []config.CreditRule{{From: "0.5", Credit: config.Confirmed(largeEvery)}},
	}
	m := &matrix{stack: newStack(t, map[string]config.Chain{"btc": settings}), slug: "btc"}
	for _, edit := range edits {
		edit(&m.stack.cfg)
	}
	b := &bitcoinMatrix{
		custodian: &custodian{t: t, matrix: m}, scripts: map[string][]byte{},
		chain: &bitcoinWorld{stack: m.stack, node: node, miner: miner},
	}
	m.witness = unspent{node, b.scripts}
	var pool []indexer.WatchedScript
	for n := range 40 {
		one, err := localnode.NewWallet(fmt.Sprintf("customer %d", n), node.Params)
		require.NoError(t, err)
		script, address := one.Script(localnode.P2WPKH), one.Address(localnode.P2WPKH)
		pool = append(pool, indexer.WatchedScript{Script: script, Address: address})
		b.scripts[address] = script
	}
	b.begin(pool)
	return b
}

// unspent is the node's own set of unspent outputs. Nothing that reaches a wallet
// of the matrix is ever spent in a block.
type unspent struct {
	node    *localnode.Bitcoin
	scripts map[string][]byte
}

func (u unspent) best(t *testing.T) (hash string, height uint64) {
	t.Helper()
	var info struct {
		Hash   string `json:"bestblockhash"`
		Height uint64 `json:"blocks"`
	}
	require.NoError(t, u.node.Call(t.Context(), "getblockchaininfo", &info))
	return info.Hash, info.Height
}

func (u unspent) due(t *testing.T, p *purse, height uint64) chains.Amount {
	t.Helper()
	var found struct {
		Height   uint64
		Unspents []struct {
			Amount   json.Number
			Height   uint64
			Coinbase bool
		}
	}
	require.NoError(t, u.node.Call(t.Context(), "scantxoutset", &found, "start", []string{"addr(" + p.Address + ")"}))
	require.Equal(t, height, found.Height, "the node stands still")
	var due chains.Amount
	for _, out := range found.Unspents {
		amount, err := chains.ParseDecimal(out.Amount.String(), 8)
		require.NoError(t, err)
		needs := uint64(every)
		if amount.Cmp(units(large)) >= 0 {
			needs = largeEvery
		}
		if out.Coinbase {
			needs = 100
		}
		if height-out.Height+1 >= needs {
			due = due.Add(amount)
		}
	}
	return due
}

const bitcoinCoin chains.AssetID = "bip122:0f9188f13cb7b2c71f2a335e3a4fc328/slip44:1"

// on runs a scenario that has the chain's node too.
func (b *bitcoinMatrix) on(name string, run func(b *bitcoinMatrix)) {
	b.scenario(name, func(c *custodian) {
		world := *b.chain
		world.stack = &stack{t: c.t}
		run(&bitcoinMatrix{custodian: c, chain: &world, scripts: b.scripts})
	})
}

func (b *bitcoinMatrix) wallet() *purse { return b.open(bitcoinCoin) }

// to is an output that pays a wallet.
func (b *bitcoinMatrix) to(p *purse, amount int64) *wire.TxOut {
	return wire.NewTxOut(amount, b.scripts[p.Address])
}

// stranger is an output that pays nobody we know.
func (b *bitcoinMatrix) stranger(amount int64) *wire.TxOut {
	b.t.Helper()
	wallet, err := localnode.NewWallet("stranger", b.chain.node.Params)
	require.NoError(b.t, err)
	return wire.NewTxOut(amount, wallet.Script(localnode.P2TR))
}

// pay makes the miner pay, and tells the node.
func (b *bitcoinMatrix) pay(p localnode.Payment, to ...*wire.TxOut) *wire.MsgTx {
	b.t.Helper()
	p.To = to
	tx, err := b.chain.miner.Pay(b.t.Context(), b.chain.node, p)
	require.NoError(b.t, err)
	return tx
}

// conflict builds another payment of the coins of tx, and tells nobody.
func (b *bitcoinMatrix) conflict(tx *wire.MsgTx, to ...*wire.TxOut) *wire.MsgTx {
	b.t.Helper()
	other, err := b.chain.miner.Build(b.t.Context(), b.chain.node, localnode.Payment{
		To: to, Inputs: b.chain.inputsOf(tx), Fee: 100_000, Replaceable: true,
	})
	require.NoError(b.t, err)
	return other
}

// mine mines a block with exactly these transactions.
func (b *bitcoinMatrix) mine(txs ...*wire.MsgTx) {
	b.t.Helper()
	_, err := b.chain.node.Mine(b.t.Context(), b.chain.miner.Script(localnode.P2WPKH), txs...)
	require.NoError(b.t, err)
}

// empty mines blocks without transactions.
func (b *bitcoinMatrix) empty(n int) {
	b.t.Helper()
	_, err := b.chain.node.MineEmpty(b.t.Context(), b.tip(), b.chain.miner.Script(localnode.P2WPKH), n)
	require.NoError(b.t, err)
}

// below returns the block that stands so many below the best one.
func (b *bitcoinMatrix) below(depth int) chainhash.Hash {
	b.t.Helper()
	height, err := b.chain.node.Height(b.t.Context())
	require.NoError(b.t, err)
	hash, err := b.chain.node.BlockHash(b.t.Context(), height-int32(depth))
	require.NoError(b.t, err)
	return hash
}

// branch mines blocks on another one, each with the transactions given for it.
func (b *bitcoinMatrix) branch(on chainhash.Hash, blocks ...[]*wire.MsgTx) {
	b.t.Helper()
	for _, txs := range blocks {
		block, err := b.chain.node.MineOn(b.t.Context(), on, b.chain.miner.Script(localnode.P2WPKH), txs...)
		require.NoError(b.t, err)
		on = block.BlockHash()
	}
}

func (b *bitcoinMatrix) tip() chainhash.Hash {
	b.t.Helper()
	tip, err := b.chain.node.Tip(b.t.Context())
	require.NoError(b.t, err)
	return tip
}

// name returns how the ledger names a transaction.
func name(tx *wire.MsgTx) string { return tx.TxHash().String() }
