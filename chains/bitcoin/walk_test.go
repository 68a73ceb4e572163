package bitcoin_test

import (
	"bytes"
	"compress/bzip2"
	"encoding/hex"
	"io"
	"os"
	"testing"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/bitcoin"
)

func readFile(tb testing.TB, file string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(file)
	require.NoError(tb, err)
	return raw
}

func unhex(tb testing.TB, s string) []byte {
	tb.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(tb, err)
	return b
}

func serialize(tb testing.TB, thing interface{ Serialize(io.Writer) error }) []byte {
	tb.Helper()
	var buf bytes.Buffer
	require.NoError(tb, thing.Serialize(&buf))
	return buf.Bytes()
}

// expected is what a walker must report of a decoded block when everything in it
// is watched.
func expected(block *wire.MsgBlock) []bitcoin.Hit {
	var hits []bitcoin.Hit
	for i, tx := range block.Transactions {
		for n, in := range tx.TxIn {
			if i == 0 {
				break
			}
			hits = append(hits, bitcoin.Hit{Tx: i, Input: true, Index: uint32(n), Spent: outpoint(in.PreviousOutPoint)})
		}
		for n, out := range tx.TxOut {
			if len(out.PkScript) > 0 && out.PkScript[0] != 0x6a {
				hits = append(hits, bitcoin.Hit{Tx: i, Index: uint32(n), Value: uint64(out.Value), Script: out.PkScript})
			}
		}
	}
	return hits
}

func outpoint(o wire.OutPoint) chains.Outpoint {
	return chains.Outpoint{Tx: shown(o.Hash), Vout: o.Index}
}

func shown(h chainhash.Hash) chains.Hash { return chains.Hash(chains.Hash(h).Reversed()) }

// watchAll returns a table of everything in a block.
func watchAll(block *wire.MsgBlock) *chains.WatchTable {
	table := chains.NewWatchTable(0, 0)
	for _, tx := range block.Transactions {
		for _, in := range tx.TxIn {
			table.AddOutpoint(outpoint(in.PreviousOutPoint))
		}
		for _, out := range tx.TxOut {
			table.AddScript(out.PkScript)
		}
	}
	return table
}

// agree checks that the walker sees in a block what wire/v2 sees.
func agree(tb testing.TB, raw []byte, block *wire.MsgBlock) {
	tb.Helper()
	walker := bitcoin.NewWalker(mustParams(tb, "mainnet"))
	hits, err := walker.Match(raw, watchAll(block))
	require.NoError(tb, err)
	want := expected(block)
	require.Len(tb, hits, len(want))
	for i := range want {
		require.Equal(tb, want[i], hits[i])
	}
	require.Equal(tb, len(block.Transactions), walker.Len())
	for i, tx := range block.Transactions {
		require.Equal(tb, shown(tx.TxHash()), walker.TxID(i), "transaction %d", i)
	}
	require.Equal(tb, shown(block.BlockHash()), walker.Header().Hash)
}

func TestWalkerAgreesWithWireOnRealBlocks(t *testing.T) {
	t.Parallel()
	for _, raw := range realBlocks(t) {
		var block wire.MsgBlock
		require.NoError(t, block.Deserialize(bytes.NewReader(raw)))
		agree(t, raw, &block)
	}
}

func TestWalkerVerifiesRealBlocksWithoutAllocating(t *testing.T) {
	t.Parallel()
	for _, raw := range realBlocks(t) {
		walker := bitcoin.NewWalker(mustParams(t, "mainnet"))
		table := fillTable(1000)
		hits, err := walker.Verify(raw, table)
		require.NoError(t, err)
		require.Empty(t, hits)
		_, err = walker.Verify(raw, nil)
		require.NoError(t, err)
	}
}

func TestWalkerDoesNotAllocateOnMisses(t *testing.T) { //nolint:paralleltest // AllocsPerRun counts what runs beside it
	for _, raw := range realBlocks(t) {
		walker := bitcoin.NewWalker(mustParams(t, "mainnet"))
		table := fillTable(1000)
		require.Zero(t, testing.AllocsPerRun(3, func() { _, _ = walker.Match(raw, table) }))
		require.Zero(t, testing.AllocsPerRun(3, func() { _, _ = walker.Verify(raw, table) }))
	}
}

func TestVerifyRefusesWhatTheHeaderDoesNotCommitTo(t *testing.T) {
	t.Parallel()
	raw := realBlocks(t)[1]
	var block wire.MsgBlock
	require.NoError(t, block.Deserialize(bytes.NewReader(raw)))
	change := map[string]func(*wire.MsgBlock){
		"nonce":     func(b *wire.MsgBlock) { b.Header.Nonce++ },
		"target":    func(b *wire.MsgBlock) { b.Header.Bits = 0x207fffff },
		"value":     func(b *wire.MsgBlock) { b.Transactions[7].TxOut[0].Value++ },
		"order":     func(b *wire.MsgBlock) { b.Transactions[4], b.Transactions[5] = b.Transactions[5], b.Transactions[4] },
		"omission":  func(b *wire.MsgBlock) { b.Transactions = b.Transactions[:len(b.Transactions)-1] },
		"coinbase":  func(b *wire.MsgBlock) { b.Transactions = b.Transactions[1:] },
		"witness":   func(b *wire.MsgBlock) { w := firstWitness(b).Witness; w[len(w)-1][0] ^= 1 },
		"reserved":  func(b *wire.MsgBlock) { b.Transactions[0].TxIn[0].Witness = nil },
		"repeating": func(b *wire.MsgBlock) { b.Transactions = append(b.Transactions, b.Transactions[len(b.Transactions)-1]) },
	}
	for name, spoil := range change {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var copied wire.MsgBlock
			require.NoError(t, copied.Deserialize(bytes.NewReader(raw)))
			spoil(&copied)
			_, err := bitcoin.NewWalker(mustParams(t, "mainnet")).Verify(serialize(t, &copied), nil)
			require.ErrorIs(t, err, bitcoin.ErrUnproven)
		})
	}
}

func firstWitness(b *wire.MsgBlock) *wire.TxIn {
	for _, tx := range b.Transactions[1:] {
		for _, in := range tx.TxIn {
			if len(in.Witness) > 0 {
				return in
			}
		}
	}
	return nil
}

// regtestBlock returns a block of transactions that commits to them, with work
// for the easiest target.
func regtestBlock(tb testing.TB, txs ...*wire.MsgTx) *wire.MsgBlock {
	tb.Helper()
	coinbase := wire.NewMsgTx(2)
	coinbase.AddTxIn(wire.NewTxIn(wire.NewOutPoint(&chainhash.Hash{}, 0xffffffff), []byte{1, 2}, nil))
	coinbase.AddTxOut(wire.NewTxOut(50e8, []byte{0x51}))
	block := &wire.MsgBlock{
		Header:       wire.BlockHeader{Version: 4, Bits: chaincfg.RegressionNetParams.PowLimitBits},
		Transactions: append([]*wire.MsgTx{coinbase}, txs...),
	}
	commit(tb, block)
	return block
}

// commit makes the header commit to the transactions and mines it.
func commit(tb testing.TB, block *wire.MsgBlock) {
	tb.Helper()
	leaves := make([]chainhash.Hash, len(block.Transactions))
	for i, tx := range block.Transactions {
		leaves[i] = tx.TxHash()
	}
	block.Header.MerkleRoot = naiveRoot(leaves)
	params := mustParams(tb, "regtest")
	for range 1000 {
		if _, err := bitcoin.VerifyHeader(params, serialize(tb, &block.Header)); err == nil {
			return
		}
		block.Header.Nonce++
	}
	require.FailNow(tb, "no nonce does the work")
}

func naiveRoot(leaves []chainhash.Hash) chainhash.Hash {
	if len(leaves) == 1 {
		return leaves[0]
	}
	var parents []chainhash.Hash
	for i := 0; i < len(leaves); i += 2 {
		left, right := leaves[i], leaves[min(i+1, len(leaves)-1)]
		parents = append(parents, chainhash.DoubleHashH(append(left[:], right[:]...)))
	}
	return naiveRoot(parents)
}

func pay(value int64, script []byte, from wire.OutPoint) *wire.MsgTx {
	tx := wire.NewMsgTx(2)
	tx.AddTxIn(wire.NewTxIn(&from, []byte{0x51}, nil))
	tx.AddTxOut(wire.NewTxOut(value, script))
	return tx
}

func TestWalkerSeesASpendWithinTheBlock(t *testing.T) {
	t.Parallel()
	ours := []byte{0x00, 0x14, 19: 7, 21: 9}
	foreign := []byte{0x51}
	fund := pay(1000, ours, wire.OutPoint{Hash: chainhash.Hash{1}})
	spend := pay(900, foreign, wire.OutPoint{Hash: fund.TxHash(), Index: 0})
	other := pay(800, foreign, wire.OutPoint{Hash: fund.TxHash(), Index: 1})
	fundHit := bitcoin.Hit{Tx: 1, Value: 1000, Script: ours}
	spendHit := bitcoin.Hit{Tx: 2, Input: true, Spent: outpoint(spend.TxIn[0].PreviousOutPoint)}

	table := chains.NewWatchTable(0, 0)
	table.AddScript(ours)
	walker := bitcoin.NewWalker(mustParams(t, "regtest"))
	hits, err := walker.Verify(serialize(t, regtestBlock(t, fund, spend, other)), table)
	require.NoError(t, err)
	require.Equal(t, []bitcoin.Hit{fundHit, spendHit}, hits)
	require.Equal(t, shown(fund.TxHash()), walker.TxID(1))
	require.Equal(t, serialize(t, fund), walker.Tx(1))

	// In another block the own outpoint is forgotten.
	hits, err = walker.Match(serialize(t, regtestBlock(t, spend)), table)
	require.NoError(t, err)
	require.Empty(t, hits)

	// Ordered by id, the spend may come first.
	hits, err = walker.Match(serialize(t, regtestBlock(t, spend, fund)), table)
	require.NoError(t, err)
	fundHit.Tx, spendHit.Tx = 2, 1
	require.Equal(t, []bitcoin.Hit{spendHit, fundHit}, hits)

	// Watched outpoints are seen as well, and once only.
	table.AddOutpoint(spendHit.Spent)
	hits, err = walker.Match(serialize(t, regtestBlock(t, fund, spend)), table)
	require.NoError(t, err)
	require.Len(t, hits, 2)
}

func TestWalkerMatchesOneTransaction(t *testing.T) {
	t.Parallel()
	ours := []byte{0x00, 0x14, 21: 1}
	tx := pay(5, ours, wire.OutPoint{Hash: chainhash.Hash{9}, Index: 4})
	tx.TxIn[0].Witness = wire.TxWitness{{1, 2, 3}}
	table := chains.NewWatchTable(0, 0)
	table.AddScript(ours)
	table.AddOutpoint(outpoint(tx.TxIn[0].PreviousOutPoint))
	walker := bitcoin.NewWalker(mustParams(t, "mainnet"))
	raw := serialize(t, tx)
	hits, err := walker.MatchTx(raw, table)
	require.NoError(t, err)
	require.Len(t, hits, 2)
	require.Equal(t, shown(tx.TxHash()), walker.TxID(0))
	_, err = walker.MatchTx(append(raw, 0), table)
	require.ErrorContains(t, err, "bytes follow the transaction")
}

func TestWalkerHasNoPolicyLimits(t *testing.T) {
	t.Parallel()
	// Block 761249 of mainnet holds an input with 500,003 witness items; others
	// hold items of 11,000 bytes and more.
	tx := pay(5, []byte{0x51}, wire.OutPoint{Hash: chainhash.Hash{9}})
	tx.TxIn[0].Witness = make(wire.TxWitness, 500_003)
	tx.TxIn[0].Witness[0] = make([]byte, 11_000)
	tx.TxIn[0].Witness[1] = make([]byte, 3_000_000)
	walker := bitcoin.NewWalker(mustParams(t, "regtest"))
	_, err := walker.Match(serialize(t, regtestBlock(t, tx)), nil)
	require.NoError(t, err)
	require.Equal(t, shown(tx.TxHash()), walker.TxID(1))
}

func TestWalkerReadsWiresMegaTransaction(t *testing.T) {
	t.Parallel()
	raw, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(readFile(t, wireTestdata(t, "megatx.bin.bz2")[0]))))
	require.NoError(t, err)
	var tx wire.MsgTx
	require.NoError(t, tx.Deserialize(bytes.NewReader(raw)))
	walker := bitcoin.NewWalker(mustParams(t, "mainnet"))
	_, err = walker.MatchTx(raw, nil)
	require.NoError(t, err)
	require.Equal(t, shown(tx.TxHash()), walker.TxID(0))
}

func TestWalkerRefusesEveryTruncation(t *testing.T) {
	t.Parallel()
	tx := pay(5, []byte{0x51}, wire.OutPoint{Hash: chainhash.Hash{9}})
	tx.TxIn[0].Witness = wire.TxWitness{{1, 2, 3}}
	raw := serialize(t, regtestBlock(t, tx))
	walker := bitcoin.NewWalker(mustParams(t, "regtest"))
	for n := range raw {
		_, err := walker.Match(raw[:n], nil)
		var parse *bitcoin.ParseError
		require.ErrorAs(t, err, &parse, "cut at %d", n)
		require.LessOrEqual(t, parse.Offset, n)
	}
	_, err := walker.Match(append(raw, 0), nil)
	require.ErrorContains(t, err, "bytes follow the last transaction")
}

func TestWalkerReadsExtensionBlocks(t *testing.T) {
	t.Parallel()
	hogEx := pay(77, []byte{0x59, 0x20, 33: 1}, wire.OutPoint{Hash: chainhash.Hash{3}})
	block := serialize(t, regtestBlock(t, hogEx))
	plain := serialize(t, hogEx)
	// The HogEx in its own serialization: marker and flag 8 after the version,
	// an empty extension before the lock time; then the extension block.
	extended := append(append(append(append([]byte{}, plain[:4]...), 0, 8), plain[4:len(plain)-4]...), 0)
	extended = append(extended, plain[len(plain)-4:]...)
	raw := append(append(append([]byte{}, block[:len(block)-len(plain)]...), extended...), 1, 0xde, 0xad)

	table := chains.NewWatchTable(0, 0)
	table.AddScript(hogEx.TxOut[0].PkScript)
	walker := bitcoin.NewWalker(mustParams(t, "litecoin-regtest"))
	hits, err := walker.Match(raw, table)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Equal(t, shown(hogEx.TxHash()), walker.TxID(1))

	_, err = bitcoin.NewWalker(mustParams(t, "regtest")).Match(raw, table)
	require.ErrorContains(t, err, "flag of the transaction is unknown")

	// In the mempool the extension data of a transaction is of any length.
	loose := append(append(append([]byte{}, extended[:len(extended)-5]...), 1, 2, 3, 4, 5), plain[len(plain)-4:]...)
	hits, err = walker.MatchTx(loose, table)
	require.NoError(t, err)
	require.Len(t, hits, 1)
	require.Equal(t, shown(hogEx.TxHash()), walker.TxID(0))
}

func TestWalkerStripsTokenPrefixes(t *testing.T) {
	t.Parallel()
	script := append([]byte{0x76, 0xa9, 0x14, 22: 5}, 0x88, 0xac)
	category := bytes.Repeat([]byte{0xcc}, 32)
	prefix := func(tail ...byte) []byte {
		return append(append(append([]byte{0xef}, category...), tail...), script...)
	}
	cases := map[string]struct {
		script   []byte
		stripped bool
	}{
		"Plain":             {script, true},
		"Amount":            {prefix(0x10, 0x05), true},
		"LongAmount":        {prefix(0x10, 0xfd, 0x00, 0x01), true},
		"NFT":               {prefix(0x20), true},
		"MintingNFT":        {prefix(0x22), true},
		"Commitment":        {prefix(0x60, 0x02, 0xaa, 0xbb), true},
		"CommitmentAmount":  {prefix(0x71, 0x01, 0xaa, 0x01), true},
		"NothingInIt":       {prefix(0x00), false},
		"Reserved":          {prefix(0x90, 0x01), false},
		"ZeroAmount":        {prefix(0x10, 0x00), false},
		"CommitmentNoNFT":   {prefix(0x50, 0x01, 0xaa, 0x01), false},
		"EmptyCommitment":   {prefix(0x60, 0x00), false},
		"UnknownCapability": {prefix(0x23), false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			table := chains.NewWatchTable(0, 0)
			table.AddScript(script)
			walker := bitcoin.NewWalker(mustParams(t, "bitcoincash"))
			hits, err := walker.MatchTx(serialize(t, pay(5, c.script, wire.OutPoint{Index: 1})), table)
			require.NoError(t, err)
			if c.stripped {
				require.Equal(t, []bitcoin.Hit{{Value: 5, Script: script}}, hits)
			} else {
				require.Empty(t, hits)
			}
		})
	}
}

// FuzzWalk checks that the walker sees what wire/v2 sees wherever wire/v2 reads a
// block at all, and that no input makes it panic for any chain.
func FuzzWalk(f *testing.F) {
	f.Add(serialize(f, regtestBlock(f)))
	f.Add(serialize(f, chaincfg.MainNetParams.GenesisBlock))
	witness := pay(5, []byte{0x51}, wire.OutPoint{Hash: chainhash.Hash{9}})
	witness.TxIn[0].Witness = wire.TxWitness{{1, 2, 3}}
	f.Add(serialize(f, regtestBlock(f, witness, pay(1, nil, wire.OutPoint{}))))
	for _, raw := range realBlocks(f) {
		// A few transactions of each: whole blocks only slow mutation down.
		var block wire.MsgBlock
		require.NoError(f, block.Deserialize(bytes.NewReader(raw)))
		f.Add(serialize(f, &wire.MsgBlock{Header: block.Header, Transactions: block.Transactions[:5]}))
	}
	var others []bitcoin.Params
	for _, name := range bitcoin.ParamsNames() {
		if params := mustParams(f, name); params.PowHash == bitcoin.Sha256d || params.AuxPow {
			others = append(others, params)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		for _, params := range others {
			walker := bitcoin.NewWalker(params)
			_, _ = walker.Verify(raw, nil)
			_, _ = walker.MatchTx(raw, chains.NewWatchTable(0, 0))
		}
		var block wire.MsgBlock
		reader := bytes.NewReader(raw)
		if block.Deserialize(reader) != nil || !valid(&block) {
			_, _ = bitcoin.NewWalker(others[0]).Match(raw, nil)
			return
		}
		agree(t, raw[:len(raw)-reader.Len()], &block)
	})
}

// valid reports whether a block has what wire/v2 does not ask for and every node
// does: a transaction, and an input in each.
func valid(block *wire.MsgBlock) bool {
	for _, tx := range block.Transactions {
		if len(tx.TxIn) == 0 {
			return false
		}
	}
	return len(block.Transactions) > 0
}

func wireNull() *wire.OutPoint { return wire.NewOutPoint(&chainhash.Hash{}, 0xffffffff) }
