package main

import (
	_ "embed"
	"encoding/hex"
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
)

// weirdCode is the creation code of testdata/Weird.sol.
//
//go:embed testdata/Weird.hex
var weirdCode string

// The functions of Weird.
const (
	weirdTransfer = "a9059cbb"
	weirdTwice    = "a733e21d"
	weirdMint     = "40c10f19"
	weirdTaxed    = "dd6c6fea"
	weirdClaim    = "aad3ec96"
	weirdQuiet    = "17f60617"
	weirdBounce   = "c95a9497"
	weirdThing    = "9758f040"
	weirdWrap     = "bf376c7a"
	weirdRebase   = "012d4bc0"
	weirdThings   = "1552825b"
)

// Creation code that does something to an address, which stands where %s does,
// with the value it is sent.
const (
	destroysItself = "73%sff"                                 // and leaves it all to the address
	delegatesTo    = "600060006000600073%s5af400"             // a call that lends the value, and moves nothing
	callsCodeOf    = "60006000600060003473%s5af200"           // the same, the old way
	paysAndReverts = "60006000600060003473%s5af15060006000fd" // pays, and takes everything back
	neverOpens     = "6460006000fd6000526005601bf3"           // leaves code behind that refuses every call
)

// finalDepth is how deep a block must be to count as final in the matrix.
const finalDepth = 5

// ethereumMatrix is the matrix on an EVM node.
type ethereumMatrix struct {
	*custodian
	chain                *ethereumWorld // its node; nobody is connected
	door                 string         // an address in the pool whose code refuses to be paid
	coin                 chains.AssetID
	token, weird, silent chains.AssetID // listed
	wrapping             chains.AssetID // Weird too, listed as WETH
}

func newEthereumMatrix(t *testing.T) *ethereumMatrix {
	t.Helper()
	node := localnode.TestAnvil(t)
	e := &ethereumMatrix{chain: &ethereumWorld{stack: &stack{t: t}, node: node}, coin: "eip155:31337/slip44:60"}
	token, err := node.DeployToken(t.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(t, err)
	silent, err := node.DeploySilentToken(t.Context())
	require.NoError(t, err)
	e.chain.token = token
	weird := e.create(nil, strings.TrimSpace(weirdCode)).ContractAddress
	wrapping := e.create(nil, strings.TrimSpace(weirdCode)).ContractAddress
	e.door = e.create(nil, neverOpens).ContractAddress

	settings := ethereumChain(t, node, token)
	settings.PollInterval = 50 * time.Millisecond
	settings.Finality.Depth = finalDepth
	settings.Tokens = append(settings.Tokens,
		config.Token{Symbol: "WEIRD", Contract: weird, Decimals: 6, Slot: -1}, config.Token{Symbol: "SILENT", Contract: silent, Decimals: 6, Slot: -1},
		config.Token{Symbol: "WETH", Contract: wrapping, Decimals: 18, Slot: -1})
	settings.Deposits = config.Deposits{
		Credit: config.Confirmed(every), ReorgLimit: deep,
		Rules: []config.CreditRule{{Asset: token, From: "1000", Credit: config.Credit{Tag: config.CreditFinalized}}},
	}
	id := strings.TrimSuffix(string(e.coin), "/slip44:60")
	e.token, e.weird, e.silent = chains.TokenID(id, token), chains.TokenID(id, weird), chains.TokenID(id, silent)
	e.wrapping = chains.TokenID(id, wrapping)
	m := &matrix{stack: newStack(t, map[string]config.Chain{"eth": settings}), slug: "eth", witness: readings{node}}
	e.custodian = &custodian{t: t, matrix: m}
	pool := []indexer.WatchedScript{watched(t, e.door)}
	for n := range 60 {
		pool = append(pool, watched(t, fmt.Sprintf("0x%040x", 0xcafe0000+n)))
	}
	e.begin(pool)
	return e
}

func watched(t *testing.T, address string) indexer.WatchedScript {
	t.Helper()
	script, err := hex.DecodeString(strings.TrimPrefix(strings.ToLower(address), "0x"))
	require.NoError(t, err)
	return indexer.WatchedScript{Script: script, Address: address}
}

// readings are what the node says that addresses had at its blocks. Nothing leaves
// an address of the matrix that did not come in the same transaction.
type readings struct{ node *localnode.Ethereum }

func (r readings) best(t *testing.T) (hash string, height uint64) {
	t.Helper()
	var head struct {
		Hash   string
		Number string
	}
	require.NoError(t, r.node.Call(t.Context(), "eth_getBlockByNumber", &head, "latest", false))
	_, err := fmt.Sscanf(head.Number, "0x%x", &height)
	require.NoError(t, err)
	return head.Hash, height
}

// due is what the address had at the last block that is deep enough.
func (r readings) due(t *testing.T, p *purse, height uint64) chains.Amount {
	t.Helper()
	var had *big.Int
	var err error
	at := fmt.Sprintf("%#x", height+1-p.confirmations)
	if contract := p.Asset.ID.Contract(); contract != "" {
		had, err = r.node.TokenBalance(t.Context(), contract, p.Address, at)
	} else {
		had, err = r.node.Balance(t.Context(), p.Address, at)
	}
	require.NoError(t, err)
	due := chains.AmountFromBig(had).Sub(p.unsaid)
	if due.Sign() < 0 {
		return chains.Amount{} // what was not said has not been there for long enough
	}
	return due
}

// on runs a scenario that has the chain's node too.
func (e *ethereumMatrix) on(name string, run func(e *ethereumMatrix)) {
	e.scenario(name, func(c *custodian) {
		mine, world := *e, *e.chain
		world.stack = &stack{t: c.t}
		mine.custodian, mine.chain = c, &world
		run(&mine)
	})
}

// wallets opens a wallet for each asset, all in one vault.
func (e *ethereumMatrix) wallets(assets ...chains.AssetID) []*purse {
	e.t.Helper()
	opened := []*purse{e.open(assets[0])}
	for _, asset := range assets[1:] {
		opened = append(opened, e.openIn(opened[0].VaultID, asset))
		require.Equal(e.t, opened[0].Address, opened[len(opened)-1].Address)
	}
	return opened
}

// create runs creation code with a value, nil for none.
func (e *ethereumMatrix) create(value *big.Int, code string) localnode.Receipt {
	e.chain.t.Helper()
	raw, err := hex.DecodeString(code)
	require.NoError(e.chain.t, err)
	return e.chain.transact(localnode.Transaction{Value: value, Data: raw})
}

// code is creation code about an address.
func code(text, address string) string {
	return fmt.Sprintf(text, strings.TrimPrefix(strings.ToLower(address), "0x"))
}

// weirdData calls a function of Weird.
func weirdData(function, address string, amount int64) []byte {
	data := localnode.TransferData(address, big.NewInt(amount))
	selector, err := hex.DecodeString(function)
	if err != nil {
		panic(err)
	}
	copy(data, selector)
	return data
}

// doing calls a function of Weird.
func (e *ethereumMatrix) doing(function string, p *purse, amount int64) localnode.Transaction {
	return localnode.Transaction{To: e.weird.Contract(), Data: weirdData(function, p.Address, amount)}
}

// paying pays a wallet of its asset.
func (e *ethereumMatrix) paying(p *purse, amount int64) localnode.Transaction {
	if contract := p.Asset.ID.Contract(); contract != "" {
		return localnode.Transaction{To: contract, Data: localnode.TransferData(p.Address, big.NewInt(amount))}
	}
	return localnode.Transaction{To: p.Address, Value: big.NewInt(amount)}
}

// transact mines a transaction that must succeed.
func (e *ethereumMatrix) transact(tx localnode.Transaction) localnode.Receipt {
	e.t.Helper()
	receipt := e.chain.transact(tx)
	require.Equal(e.t, "0x1", receipt.Status)
	return receipt
}

// together mines transactions in one block.
func (e *ethereumMatrix) together(txs ...localnode.Transaction) (receipts []localnode.Receipt) {
	e.t.Helper()
	ctx := e.t.Context()
	require.NoError(e.t, e.chain.node.Call(ctx, "evm_setAutomine", nil, false))
	var hashes []string
	for _, tx := range txs {
		hash, err := e.chain.node.Send(ctx, tx)
		require.NoError(e.t, err)
		hashes = append(hashes, hash)
	}
	e.empty(1)
	require.NoError(e.t, e.chain.node.Call(ctx, "evm_setAutomine", nil, true))
	for _, hash := range hashes {
		receipt := e.receipt(hash)
		require.Equal(e.t, "0x1", receipt.Status)
		receipts = append(receipts, receipt)
	}
	require.Equal(e.t, receipts[0].BlockHash, receipts[len(receipts)-1].BlockHash)
	return receipts
}

// receipt waits for what became of a transaction.
func (e *ethereumMatrix) receipt(hash string) localnode.Receipt {
	e.t.Helper()
	var receipt *localnode.Receipt
	until(e.t, "the transaction is mined", func() bool {
		require.NoError(e.t, e.chain.node.Call(e.t.Context(), "eth_getTransactionReceipt", &receipt, hash))
		return receipt != nil
	})
	return *receipt
}

// empty mines blocks without transactions.
func (e *ethereumMatrix) empty(n int) {
	e.t.Helper()
	if n > 0 {
		require.NoError(e.t, e.chain.node.Mine(e.t.Context(), n))
	}
}

// raw returns a transaction as it was signed.
func (e *ethereumMatrix) raw(r localnode.Receipt) string {
	e.t.Helper()
	var raw string
	require.NoError(e.t, e.chain.node.Call(e.t.Context(), "debug_getRawTransaction", &raw, r.TransactionHash))
	return raw
}

// replace replaces the node's last blocks by as many others, of which the first
// has these transactions.
func (e *ethereumMatrix) replace(depth int, raws ...string) {
	e.t.Helper()
	pairs := [][]any{}
	for _, raw := range raws {
		pairs = append(pairs, []any{raw, 0})
	}
	require.NoError(e.t, e.chain.node.Call(e.t.Context(), "anvil_reorg", nil, depth, pairs))
}

// again mines transactions that were signed before in one block.
func (e *ethereumMatrix) again(raws ...string) {
	e.t.Helper()
	ctx := e.t.Context()
	require.NoError(e.t, e.chain.node.Call(ctx, "evm_setAutomine", nil, false))
	for _, raw := range raws {
		require.NoError(e.t, e.chain.node.Call(ctx, "eth_sendRawTransaction", nil, raw))
	}
	e.empty(1)
	require.NoError(e.t, e.chain.node.Call(ctx, "evm_setAutomine", nil, true))
}

// logs returns the positions in the block of the logs of a transaction.
func (e *ethereumMatrix) logs(r localnode.Receipt) (positions []string) {
	e.t.Helper()
	var receipt struct{ Logs []struct{ LogIndex string } }
	require.NoError(e.t, e.chain.node.Call(e.t.Context(), "eth_getTransactionReceipt", &receipt, r.TransactionHash))
	for _, log := range receipt.Logs {
		positions = append(positions, log.LogIndex)
	}
	return positions
}
