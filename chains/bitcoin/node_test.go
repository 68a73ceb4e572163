package bitcoin_test

import (
	"context"
	"crypto/sha256"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/txscript/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
	"tallyd/chains/localnode"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// backends are the kinds of node every test of this package runs against.
var backends = []backend{
	{name: "Btcd", env: "TALLYD_BTCD", start: localnode.StartBtcd},
	{name: "Bitcoind", env: "TALLYD_BITCOIND", start: localnode.StartBitcoind},
}

type backend struct {
	name  string
	env   string // names the program
	start func(context.Context, localnode.BitcoinOptions) (*localnode.Bitcoin, error)
}

// onEach runs a test against a fresh node of each kind.
func onEach(t *testing.T, test func(t *testing.T, node *testNode)) {
	t.Helper()
	for _, b := range backends {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			test(t, startNode(t, b))
		})
	}
}

// testNode is a real node on regtest whose coins anybody may spend.
type testNode struct {
	*localnode.Bitcoin
	kind string
}

// startNode starts a node, or skips where there is none, unless TALLYD_REQUIRE=1
// says that there must be.
func startNode(t *testing.T, b backend) *testNode {
	t.Helper()
	bin := os.Getenv(b.env)
	if bin == "" {
		if os.Getenv("TALLYD_REQUIRE") == "1" {
			t.Fatalf("%s is not set, and TALLYD_REQUIRE=1 asks for it", b.env)
		}
		t.Skipf("%s is not set: make test sets it", b.env)
	}
	node, err := b.start(t.Context(), localnode.BitcoinOptions{
		Bin: bin, Dir: filepath.Join(t.TempDir(), "node"), Params: &chaincfg.RegressionNetParams,
		MiningAddress: "mrcNu71ztWjAQA6ww9kHiW3zBWSQidHXTQ",
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, node.Stop(context.WithoutCancel(t.Context()))) })
	return &testNode{Bitcoin: node, kind: b.name}
}

// spec is how a chain in front of the node is configured.
func (n *testNode) spec() chains.Spec {
	return chains.Spec{
		Slug: "btc", Family: chains.FamilyBitcoin, Network: "regtest", Environment: chains.Test,
		Upstreams: []chains.Upstream{{URL: n.URL, Websocket: n.WebSocket, User: n.User, Password: n.Password, REST: true}},
		Mempool:   true, Concurrency: 4, Batch: 50, Timeout: 10 * time.Second,
	}
}

// open opens a source that is closed with the test.
func open(t *testing.T, spec chains.Spec) *bitcoin.Source {
	t.Helper()
	source, err := bitcoin.Open(t.Context(), spec, zerolog.New(zerolog.NewTestWriter(t)))
	require.NoError(t, err)
	t.Cleanup(source.Close)
	return source.(*bitcoin.Source)
}

// anyone is a script that anybody can spend, another one for each tag: a sum that
// is not zero. It carries no data, which some nodes refuse to relay.
func anyone(t *testing.T, tag string) []byte {
	t.Helper()
	sum := sha256.Sum256([]byte(tag))
	script := []byte{txscript.OP_1}
	for _, b := range sum[:8] {
		script = append(script, txscript.OP_1+b%16, txscript.OP_ADD)
	}
	return script
}

// mature mines n coinbases to anybody, makes them spendable, and returns them.
func (n *testNode) mature(t *testing.T, count int) []coin {
	t.Helper()
	coins := make([]coin, count)
	for i := range coins {
		block, err := n.Mine(t.Context(), anyone(t, "miner"))
		require.NoError(t, err)
		coins[i] = coinOf(block.Transactions[0], 0)
	}
	n.mine(t, 100)
	return coins
}

func (n *testNode) mine(t *testing.T, count int) {
	t.Helper()
	_, err := n.Generate(t.Context(), count)
	require.NoError(t, err)
}

// coin is an output that anybody can spend.
type coin struct {
	at    wire.OutPoint
	value int64
}

func coinOf(tx *wire.MsgTx, vout uint32) coin {
	return coin{at: *wire.NewOutPoint(new(tx.TxHash()), vout), value: tx.TxOut[vout].Value}
}

// payInto spends a coin into scripts, in equal parts of what the fee leaves.
func payInto(from coin, fee int64, to ...[]byte) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	in := wire.NewTxIn(&from.at, nil, nil)
	in.Sequence = wire.MaxTxInSequenceNum - 2 // may be replaced
	tx.AddTxIn(in)
	for _, script := range to {
		tx.AddTxOut(wire.NewTxOut((from.value-fee)/int64(len(to)), script))
	}
	return tx
}

func (n *testNode) send(t *testing.T, tx *wire.MsgTx) chains.Hash {
	t.Helper()
	id, err := n.Send(t.Context(), tx)
	require.NoError(t, err)
	return hashOf(id)
}

func hashOf(hash chainhash.Hash) chains.Hash { return chains.Hash(chains.Hash(hash).Reversed()) }

func wireHash(hash chains.Hash) chainhash.Hash { return chainhash.Hash(hash.Reversed()) }

// reorg replaces the last depth blocks by depth+1 empty ones.
func (n *testNode) reorg(t *testing.T, depth int) {
	t.Helper()
	height, err := n.Height(t.Context())
	require.NoError(t, err)
	first, err := n.BlockHash(t.Context(), height-int32(depth)+1)
	require.NoError(t, err)
	fork, err := n.BlockHash(t.Context(), height-int32(depth))
	require.NoError(t, err)
	require.NoError(t, n.Invalidate(t.Context(), first))
	_, err = n.MineEmpty(t.Context(), fork, anyone(t, "other miner"), depth+1)
	require.NoError(t, err)
}

// eventually asks until ok, at most for 20 seconds.
func eventually(t *testing.T, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, 20*time.Second, 10*time.Millisecond)
}

var nop = zerolog.Nop()
