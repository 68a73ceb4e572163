package evm

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"flag"
	"io"
	"os"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

var record = flag.Bool("record", false, "record testdata/*.json.gz from anvil")

// The recordings.
const (
	// transfersFile is a block of 100 transactions of one token transfer each,
	// and one transaction with 100 transfers.
	transfersFile = "testdata/transfers.json.gz"

	// smallFile is a block of two transactions, one with an internal call.
	smallFile = "testdata/small.json.gz"
)

// recorded is a block as a node sent it.
type recorded struct {
	Block, Receipts, Traces json.RawMessage
	Hash                    common.Hash
}

func load(tb testing.TB, file string) recorded {
	tb.Helper()
	packed, err := os.ReadFile(file)
	require.NoError(tb, err)
	zip, err := gzip.NewReader(bytes.NewReader(packed))
	require.NoError(tb, err)
	text, err := io.ReadAll(zip)
	require.NoError(tb, err)
	var r recorded
	require.NoError(tb, json.Unmarshal(text, &r))
	return r
}

func TestRecord(t *testing.T) {
	t.Parallel()
	if !*record {
		t.Skip("run with -record to record anew")
	}
	node := startAnvil(t)
	token := node.deploy("Token", "Tally", "TLY", 1_000_000)
	node.call("evm_setAutomine", false)
	var holders []common.Address
	for i := range 100 {
		holders = append(holders, fresh(i))
		node.send(alice, &token, 0, invoke("transfer(address,uint256)", fresh(i), i+1), "gas", hexNumber(100_000))
	}
	tx := node.send(bob, &token, 0, invoke("spread(address[],uint256)", holders, 0), "gas", hexNumber(9_000_000))
	node.mine()
	node.save(transfersFile, node.receipt(tx).BlockHash)
	payer := node.deployed(node.send(alice, nil, 0, contractCode(t, "Payer", "code")))
	node.send(alice, &token, 0, invoke("transfer(address,uint256)", bob, 1))
	tx = node.send(bob, &payer, 3, invoke("pay(address)", carol))
	node.mine()
	node.save(smallFile, node.receipt(tx).BlockHash)
}

// deployed mines a creation and returns the contract.
func (n *devNode) deployed(tx common.Hash) common.Address {
	n.t.Helper()
	n.mine()
	return common.HexToAddress(n.receipt(tx).ContractAddress)
}

// save records a block.
func (n *devNode) save(file, hash string) {
	n.t.Helper()
	text, err := json.Marshal(recorded{
		Hash:     common.HexToHash(hash),
		Block:    n.call("eth_getBlockByHash", hash, true),
		Receipts: n.call("eth_getBlockReceipts", hash),
		Traces:   n.call("debug_traceBlockByHash", hash, map[string]string{"tracer": "callTracer"}),
	})
	require.NoError(n.t, err)
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	_, err = zip.Write(text)
	require.NoError(n.t, err)
	require.NoError(n.t, zip.Close())
	require.NoError(n.t, os.WriteFile(file, out.Bytes(), 0o600))
}

func devRules() *rules {
	return &rules{network: knownNetwork(31337), chainID: "eip155:31337", native: "eip155:31337/slip44:60"}
}

// TestRecordedBlock verifies the recording, and finds in it what was put there.
func TestRecordedBlock(t *testing.T) {
	t.Parallel()
	r := load(t, transfersFile)
	b, err := readBlock(r.Hash, r.Block, r.Receipts, devRules())
	require.NoError(t, err)
	traces, err := decodeTraces(r.Traces)
	require.NoError(t, err)
	require.NoError(t, b.attach(traces))
	require.Len(t, b.txs, 101)
	holder := fresh(41)
	m, err := b.Match(watching(holder))
	require.NoError(t, err)
	require.Len(t, m.Transfers, 1)
	require.Equal(t, "42", m.Transfers[0].Amount.String())
	require.Len(t, m.Touched, 1)
	none, err := b.Match(watching(fresh(1000)))
	require.NoError(t, err)
	require.True(t, none.Empty())
}

// FuzzBlockJSON: no answer makes the decoder or the verification panic, and
// what is accepted is accepted again.
func FuzzBlockJSON(f *testing.F) {
	r := load(f, smallFile)
	f.Add([]byte(r.Block), []byte(r.Receipts), []byte(r.Traces))
	zora, err := os.ReadFile("testdata/zora-49513698.json")
	require.NoError(f, err)
	f.Add(zora, []byte(`[{"logs":[{"topics":["0x"],"data":"0x0"}]}]`), []byte(`[{"result":{"calls":[{"calls":[{"error":"x"}]}]}}]`))
	f.Add([]byte(`{"transactions":[{"accessList":[{"storageKeys":[null]}],"authorizationList":[{}],"type":"0x4"}]}`), []byte(`null`), []byte(`[`))
	f.Add([]byte(`{"number":1,"transactions":[{}],"withdrawals":[{"index":"\""}]}`), []byte(`[{}]`), []byte(`[{"result":null}]`))
	f.Fuzz(func(t *testing.T, block, receipts, traces []byte) {
		s := &scanner{text: block}
		_ = s.str()
		s = &scanner{text: block}
		s.skip()
		_, _ = decodeProof(block)
		list, _ := decodeTraces(traces)
		b, err := decodeBlock(block)
		if err != nil {
			return
		}
		got, err := readBlock(b.header.hash, block, receipts, devRules())
		if err != nil {
			return
		}
		require.NoError(t, got.verify(b.header.hash))
		_ = got.attach(list)
		_, err = got.Match(watching(alice, bob))
		require.NoError(t, err)
	})
}

func BenchmarkReceiptsDecode(b *testing.B) {
	r := load(b, transfersFile)
	b.SetBytes(int64(len(r.Receipts)))
	b.ReportAllocs()
	for b.Loop() {
		s := &scanner{text: r.Receipts}
		if len(decodeReceipts(s, 101)) != 101 || s.err != nil {
			b.Fatal(s.err)
		}
	}
	b.ReportMetric(200*float64(b.N)/b.Elapsed().Seconds(), "logs/s")
}

func BenchmarkBlockDecode(b *testing.B) {
	r := load(b, transfersFile)
	b.SetBytes(int64(len(r.Block)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := decodeBlock(r.Block); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerify measures what stands between two answers and a block that is
// believed: decoding, every root and every sender.
func BenchmarkVerify(b *testing.B) {
	r := load(b, transfersFile)
	b.SetBytes(int64(len(r.Block) + len(r.Receipts)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := readBlock(r.Hash, r.Block, r.Receipts, devRules()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(200*float64(b.N)/b.Elapsed().Seconds(), "logs/s")
}

// BenchmarkVerifyParts says where the time goes.
func BenchmarkVerifyParts(b *testing.B) {
	r := load(b, transfersFile)
	block, err := readBlock(r.Hash, r.Block, r.Receipts, devRules())
	require.NoError(b, err)
	for name, part := range map[string]func() error{
		"Bloom": block.verifyBloom, "Receipts": block.verifyReceipts,
		"Transactions": block.verifyTransactions, "Senders": block.verifySenders, "Header": block.verifyHeader,
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := part(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	r := load(b, transfersFile)
	block, err := readBlock(r.Hash, r.Block, r.Receipts, devRules())
	require.NoError(b, err)
	for name, watched := range map[string]int{"Miss": 0, "AllHolders": 100} {
		b.Run(name, func(b *testing.B) {
			table := chains.NewWatchTable(1000, 0)
			for i := range watched {
				a := fresh(i)
				table.AddScript(a[:])
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := block.Match(table); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
