package evm

import (
	"bytes"
	"context"
	_ "embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

//go:embed testdata/contracts.json
var contractsJSON []byte

// The accounts that anvil unlocks first.
var (
	alice = common.HexToAddress("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266")
	bob   = common.HexToAddress("0x70997970C51812dc3A010C7d01b50e0d17dc79C8")
	carol = common.HexToAddress("0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC")
)

// devNode is a running anvil, or another node seen through the same calls.
type devNode struct {
	t       *testing.T
	url, ws string
	client  *http.Client
}

// startAnvil runs anvil for one test.
func startAnvil(t *testing.T) *devNode {
	t.Helper()
	anvil := localnode.TestAnvil(t)
	node := newDevNode(t, anvil.URL)
	node.ws = anvil.WebSocket
	return node
}

func newDevNode(t *testing.T, url string) *devNode {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{}}
	t.Cleanup(client.CloseIdleConnections)
	return &devNode{t: t, url: url, client: client}
}

// try makes one call.
func (n *devNode) try(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	if params == nil {
		params = []any{}
	}
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		return nil, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := n.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, err
	}
	var answer struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return nil, err
	}
	if answer.Error != nil {
		return nil, fmt.Errorf("%s: %s", method, answer.Error.Message)
	}
	return answer.Result, nil
}

// call makes one call that must succeed.
func (n *devNode) call(method string, params ...any) json.RawMessage {
	n.t.Helper()
	result, err := n.try(n.t.Context(), method, params...)
	require.NoError(n.t, err)
	return result
}

// text is call for a result that is a string.
func (n *devNode) text(method string, params ...any) string {
	n.t.Helper()
	var s string
	require.NoError(n.t, json.Unmarshal(n.call(method, params...), &s))
	return s
}

// send sends a transaction of an unlocked account and returns its hash. A gas
// limit is given, so that one that fails is mined too.
func (n *devNode) send(from common.Address, to *common.Address, value uint64, data []byte, more ...string) common.Hash {
	n.t.Helper()
	tx := map[string]string{"from": from.Hex(), "value": hexNumber(value), "data": hexBytes(data), "gas": hexNumber(3_000_000)}
	if to != nil {
		tx["to"] = to.Hex()
	}
	for i := 0; i < len(more); i += 2 {
		tx[more[i]] = more[i+1]
	}
	return common.HexToHash(n.text("eth_sendTransaction", tx))
}

// deploy creates a contract of testdata/contracts.sol.
func (n *devNode) deploy(name string, args ...any) common.Address {
	n.t.Helper()
	tx := n.send(alice, nil, 0, append(contractCode(n.t, name, "code"), pack(args...)...))
	receipt := n.receipt(tx)
	require.Equal(n.t, "0x1", receipt.Status, "deploy %s", name)
	return common.HexToAddress(receipt.ContractAddress)
}

// mined is where a transaction ended up.
type mined struct{ BlockHash, ContractAddress, Status string }

// receipt waits until a transaction is mined.
func (n *devNode) receipt(tx common.Hash) (r mined) {
	n.t.Helper()
	require.Eventually(n.t, func() bool {
		text, err := n.try(context.Background(), "eth_getTransactionReceipt", tx.Hex())
		return err == nil && json.Unmarshal(text, &r) == nil && r.BlockHash != ""
	}, 10*time.Second, 2*time.Millisecond, "transaction %s was not mined", tx)
	return r
}

// mine makes one block.
func (n *devNode) mine() { n.call("evm_mine") }

func contractCode(t *testing.T, name, part string) []byte {
	t.Helper()
	var all map[string]map[string]string
	require.NoError(t, json.Unmarshal(contractsJSON, &all))
	code, err := hex.DecodeString(all[name][part])
	require.NoError(t, err)
	require.NotEmpty(t, code)
	return code
}

// invoke is the call data of a function by its signature.
func invoke(signature string, args ...any) []byte {
	return append(crypto.Keccak256([]byte(signature))[:4], pack(args...)...)
}

// pack encodes arguments by the contract ABI.
func pack(args ...any) []byte {
	var head, tail []byte
	for _, arg := range args {
		switch v := arg.(type) {
		case common.Address:
			head = append(head, common.LeftPadBytes(v[:], 32)...)
		case bool:
			w := word{}
			if v {
				w[31] = 1
			}
			head = append(head, w[:]...)
		case int:
			w := wordFromUint64(uint64(v)) //nolint:gosec // small numbers of tests
			head = append(head, w[:]...)
		case word:
			head = append(head, v[:]...)
		case string:
			head = append(head, packNumber(len(args)*32+len(tail))...)
			tail = append(tail, packNumber(len(v))...)
			tail = append(tail, common.RightPadBytes([]byte(v), (len(v)+31)/32*32)...)
		case []common.Address:
			head = append(head, packNumber(len(args)*32+len(tail))...)
			tail = append(tail, packNumber(len(v))...)
			for _, a := range v {
				tail = append(tail, common.LeftPadBytes(a[:], 32)...)
			}
		default:
			panic(fmt.Sprintf("cannot pack %T", arg))
		}
	}
	return append(head, tail...)
}

func packNumber(n int) []byte {
	w := wordFromUint64(uint64(n)) //nolint:gosec // small numbers of tests
	return w[:]
}

// spec is how a chain on some nodes is opened in tests.
func spec(nodes ...*devNode) chains.Spec {
	s := chains.Spec{
		Slug: "eth", Family: chains.FamilyEVM, Network: "31337", Environment: chains.Test,
		Timeout: 10 * time.Second, Trace: true,
	}
	for _, n := range nodes {
		s.Upstreams = append(s.Upstreams, chains.Upstream{URL: n.url, Websocket: n.ws})
	}
	return s
}

// open opens a source that is closed with the test.
func open(t *testing.T, s chains.Spec) *Source {
	t.Helper()
	source, err := Open(t.Context(), s, zerolog.New(zerolog.NewTestWriter(t)))
	require.NoError(t, err)
	t.Cleanup(source.Close)
	return source.(*Source)
}

// watching returns a table that watches addresses.
func watching(addresses ...common.Address) *chains.WatchTable {
	table := chains.NewWatchTable(len(addresses), 0)
	for _, a := range addresses {
		table.AddScript(a[:])
	}
	return table
}

// fresh is an address nobody has used, told apart by a number.
func fresh(n int) common.Address {
	return common.BytesToAddress(crypto.Keccak256([]byte(fmt.Sprintf("fresh %d", n))))
}

// blockOf returns the block a transaction is in.
func blockOf(t *testing.T, s *Source, n *devNode, tx common.Hash) chains.Block {
	t.Helper()
	b, err := s.Block(t.Context(), chains.Hash(common.HexToHash(n.receipt(tx).BlockHash)))
	require.NoError(t, err)
	return b
}

// legs writes transfers one a line, to be compared with what is expected:
// source, side, amount, the last part of the asset's id, and whose.
func legs(m chains.Match, names map[common.Address]string) []string {
	lines := []string{}
	for _, l := range m.Transfers {
		asset := assetName(l.Asset, names)
		peer := "-"
		if l.Peer != nil {
			peer = names[common.Address(l.Peer)]
		}
		lines = append(lines, strings.Join([]string{l.Source, string(l.Side), l.Amount.String(), asset, names[common.Address(l.Script)], peer}, " "))
	}
	return lines
}

// touches writes what is touched: whose, and the last part of the asset's id.
func touches(m chains.Match, names map[common.Address]string) []string {
	lines := []string{}
	for _, touch := range m.Touched {
		lines = append(lines, names[common.Address(touch.Script)]+" "+assetName(touch.Asset, names))
	}
	return lines
}

// assetName writes an asset: by the name of its contract, an NFT with its standard
// and id.
func assetName(id chains.AssetID, names map[common.Address]string) string {
	if n, ok := id.NFT(); ok {
		return string(n.Standard) + ":" + names[common.HexToAddress(n.Contract)] + "#" + n.Token
	}
	if contract := id.Contract(); contract != "" {
		return names[common.HexToAddress(contract)]
	}
	return "native"
}
