package evm

import (
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/trie"
	"github.com/holiman/uint256"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
)

// mainnet are the rules of a chain without exceptions.
func mainnet() *rules {
	return &rules{network: knownNetwork(1), chainID: "eip155:1", native: "eip155:1/slip44:60"}
}

// TestTransactionTypes compares encoding, hash and sender with go-ethereum's for
// every type it knows.
func TestTransactionTypes(t *testing.T) {
	t.Parallel()
	key, err := crypto.GenerateKey()
	require.NoError(t, err)
	from := crypto.PubkeyToAddress(key.PublicKey)
	access := types.AccessList{{Address: bob, StorageKeys: []common.Hash{{1}, {2}}}, {Address: carol}}
	auth, err := types.SignSetCode(key, types.SetCodeAuthorization{ChainID: *uint256.NewInt(1), Address: bob, Nonce: 7})
	require.NoError(t, err)
	wide := new(big.Int).Lsh(big.NewInt(1), 200)
	for name, data := range map[string]types.TxData{
		"Legacy":      &types.LegacyTx{Nonce: 1, GasPrice: big.NewInt(5), Gas: 21000, To: &bob, Value: wide, Data: []byte{0, 1}},
		"Creation":    &types.LegacyTx{Nonce: 200, GasPrice: big.NewInt(5), Gas: 21000, Value: big.NewInt(0)},
		"AccessList":  &types.AccessListTx{ChainID: big.NewInt(1), GasPrice: big.NewInt(5), Gas: 1, To: &bob, Value: wide, AccessList: access},
		"DynamicFee":  &types.DynamicFeeTx{ChainID: big.NewInt(1), GasTipCap: big.NewInt(2), GasFeeCap: big.NewInt(9), Gas: 1, Value: wide, AccessList: access},
		"Blob":        &types.BlobTx{ChainID: uint256.NewInt(1), GasFeeCap: uint256.NewInt(9), Gas: 1, To: bob, BlobFeeCap: uint256.NewInt(3), BlobHashes: []common.Hash{{1}}},
		"SetCode":     &types.SetCodeTx{ChainID: uint256.NewInt(1), GasFeeCap: uint256.NewInt(9), Gas: 1, To: bob, AccessList: access, AuthList: []types.SetCodeAuthorization{auth}},
		"NoReplay155": &types.LegacyTx{Nonce: 2, GasPrice: big.NewInt(5), Gas: 21000, To: &bob},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			signer := types.NewPragueSigner(big.NewInt(1))
			if name == "NoReplay155" {
				signer = types.HomesteadSigner{}
			}
			want, err := types.SignNewTx(key, signer, data)
			require.NoError(t, err)
			text, err := want.MarshalJSON()
			require.NoError(t, err)
			s := &scanner{text: text}
			var tx transaction
			decodeTx(s, &tx)
			require.NoError(t, s.err)
			encoded, err := want.MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, encoded, tx.encode(nil))
			require.Equal(t, want.Hash(), tx.hash)
			sender, err := tx.sender()
			require.NoError(t, err)
			require.Equal(t, from, sender)
			if want.To() == nil {
				tx.from = sender
				require.Equal(t, crypto.CreateAddress(from, want.Nonce()), tx.created(&receipt{}))
			}
		})
	}
}

// TestHeaderOfEveryFork compares the hash with go-ethereum's, from a header of
// the first days to one with everything.
func TestHeaderOfEveryFork(t *testing.T) {
	t.Parallel()
	h := &types.Header{Difficulty: big.NewInt(17), Number: big.NewInt(300), GasLimit: 5, Time: 9, Extra: []byte("x"), Root: common.Hash{1}}
	zero, one, hash := uint64(0), uint64(1), common.Hash{7}
	for i, add := range []func(){
		func() {},
		func() { h.BaseFee = big.NewInt(0) },
		func() { h.WithdrawalsHash = &hash },
		func() { h.BlobGasUsed = &zero },
		func() { h.ExcessBlobGas = &one },
		func() { h.ParentBeaconRoot = &hash },
		func() { h.RequestsHash = &hash },
		func() { h.BlockAccessListHash = &hash },
		func() { h.SlotNumber = &one },
		func() { h.RequestsHash, h.BlobGasUsed = nil, nil }, // a fork that left some out
	} {
		add()
		text, err := json.Marshal(h)
		require.NoError(t, err)
		got, err := decodeHeader(text)
		require.NoError(t, err, "fork %d", i)
		require.Equal(t, h.Hash(), got.hash)
		require.Equal(t, chains.BlockRef{Height: 300, Hash: chains.Hash(h.Hash()), Time: got.ref().Time}, got.ref())
	}
}

// TestOptimismBlock verifies a real block of an OP-stack network, with the
// receipt that its header commits to.
func TestOptimismBlock(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("testdata/zora-49513698.json")
	require.NoError(t, err)
	h, err := decodeHeader(text)
	require.NoError(t, err)
	receipts := fmt.Sprintf(`[{"type":"0x7e","status":"0x1","cumulativeGasUsed":"0xb496","logs":[],"effectiveGasPrice":"0x0",
		"depositNonce":"0x2f38502","depositReceiptVersion":"0x1","blockHash":%q,
		"transactionHash":"0x51b00210c58f6525ca0d440ade536d128e28b0c8f327f3c8923613ef60e9674f"}]`, h.hash)
	b, err := readBlock(h.hash, text, []byte(receipts), &rules{})
	require.NoError(t, err)
	require.True(t, b.bound)
	_, err = readBlock(h.hash, text, []byte(strings.Replace(receipts, "0x2f38502", "0x2f38503", 1)), &rules{})
	require.ErrorIs(t, err, chains.ErrUnverified)
	_, err = readBlock(h.hash, []byte(strings.Replace(string(text), `"mint":"0x0"`, `"mint":"0x1"`, 1)), []byte(receipts), &rules{})
	require.ErrorIs(t, err, chains.ErrUnverified)
}

// TestOptimismDeposit: what is minted arrives even if the call fails; the value
// only if it does not.
func TestOptimismDeposit(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		status uint64
		legs   []string
	}{
		{1, []string{"mint in 9 native alice -", "value out 5 native alice bob", "value in 5 native bob alice"}},
		{0, []string{"mint in 9 native alice -"}},
	} {
		b := sealed(t, mainnet(), func(b *block) {
			tx := transaction{kind: typeDeposit, from: alice, to: bob, value: wordFromUint64(5), gas: 100, more: rareFields{mint: wordFromUint64(9)}}
			b.txs = []transaction{tx}
			b.receipts = []receipt{{kind: typeDeposit, status: optional[uint64]{tt.status, true}, cumGas: 50}}
		})
		require.NoError(t, b.verify(b.header.hash))
		m, err := b.Match(watching(alice, bob))
		require.NoError(t, err)
		names := map[common.Address]string{alice: "alice", bob: "bob"}
		require.Equal(t, tt.legs, legs(m, names))
		require.Equal(t, []string{"alice native", "bob native"}, touches(m, names))
	}
}

// TestWithdrawalsAndFeeRecipient: Gwei arrive without a transaction, tips
// without a leg.
func TestWithdrawalsAndFeeRecipient(t *testing.T) {
	t.Parallel()
	b := sealed(t, mainnet(), func(b *block) {
		b.header.miner = carol
		b.withdrawals = []withdrawal{{index: 4, validator: 2, address: bob, amount: 3}, {index: 5, address: alice, amount: 1}}
		root := types.DeriveSha(types.Withdrawals{
			{Index: 4, Validator: 2, Address: bob, Amount: 3}, {Index: 5, Address: alice, Amount: 1},
		}, trie.NewStackTrie(nil))
		b.header.withdrawals = optional[common.Hash]{root, true}
	})
	require.NoError(t, b.verify(b.header.hash))
	m, err := b.Match(watching(bob, carol))
	require.NoError(t, err)
	names := map[common.Address]string{bob: "bob", carol: "carol"}
	require.Equal(t, []string{"withdrawal:4 in 3000000000 native bob -"}, legs(m, names))
	require.Equal(t, []string{"bob native", "carol native"}, touches(m, names))
	require.Zero(t, m.Transfers[0].Tx)

	b.withdrawals[0].amount++
	require.ErrorContains(t, b.verify(b.header.hash), "withdrawals root")
}

// TestNativeLogs: the logs of EIP-7708, and of a contract that stands for the
// native coin, are no token's.
func TestNativeLogs(t *testing.T) {
	t.Parallel()
	r := mainnet()
	r.network.alias = common.HexToAddress("0x1010")
	b := sealed(t, r, func(b *block) {
		b.txs = []transaction{{kind: typeDeposit, from: carol, to: carol}}
		b.receipts = []receipt{{kind: typeDeposit, status: optional[uint64]{1, true}}}
		for _, address := range []common.Address{systemLog, r.network.alias, common.HexToAddress("0x77")} {
			l := eventLog{address: address, n: 3, data: packNumber(8), index: uint64(len(b.receipts[0].logs))}
			l.topics = [4]common.Hash{topicTransfer, common.BytesToHash(alice[:]), common.BytesToHash(bob[:])}
			b.receipts[0].logs = append(b.receipts[0].logs, l)
		}
	})
	require.NoError(t, b.verify(b.header.hash))
	m, err := b.Match(watching(bob))
	require.NoError(t, err)
	names := map[common.Address]string{bob: "bob", alice: "alice", common.HexToAddress("0x77"): "token"}
	require.Equal(t, []string{"log:2 in 8 token bob alice"}, legs(m, names))
	require.Equal(t, []string{"bob native", "bob token"}, touches(m, names))
}

// TestUnknownTransactionType: the receipts still verify, and give token legs; no
// native leg comes from transactions that nothing binds to the header.
func TestUnknownTransactionType(t *testing.T) {
	t.Parallel()
	b := sealed(t, mainnet(), func(b *block) {
		b.txs = []transaction{{kind: 0x6a, hash: common.Hash{1}, from: alice, to: bob, value: wordFromUint64(5)}}
		l := eventLog{address: carol, n: 3, data: packNumber(8)}
		l.topics = [4]common.Hash{topicTransfer, common.BytesToHash(alice[:]), common.BytesToHash(bob[:])}
		b.receipts = []receipt{{kind: 0x6a, tx: common.Hash{1}, status: optional[uint64]{1, true}, logs: []eventLog{l}}}
	})
	require.NoError(t, b.verify(b.header.hash))
	require.False(t, b.bound)
	m, err := b.Match(watching(bob))
	require.NoError(t, err)
	names := map[common.Address]string{bob: "bob", alice: "alice", carol: "token"}
	require.Equal(t, []string{"log:0 in 8 token bob alice"}, legs(m, names))
	require.Equal(t, []string{"bob native", "bob token"}, touches(m, names))
}

// TestPolygonStateSync: what the consensus adds outside of the roots is not
// believed, but what it names is read again.
func TestPolygonStateSync(t *testing.T) {
	t.Parallel()
	l := eventLog{address: carol, n: 3, data: packNumber(8)}
	l.topics = [4]common.Hash{topicTransfer, {}, common.BytesToHash(bob[:])}
	b := sealed(t, &rules{network: knownNetwork(137), chainID: "eip155:137", native: "native"}, func(*block) {})
	b.txs = []transaction{{hash: common.Hash{9}}}
	l.block, l.tx = b.header.hash, common.Hash{9}
	b.receipts = []receipt{{tx: common.Hash{9}, block: b.header.hash, status: optional[uint64]{1, true}, logs: []eventLog{l}}}
	require.NoError(t, b.verify(b.header.hash))
	m, err := b.Match(watching(bob))
	require.NoError(t, err)
	require.Empty(t, m.Transfers)
	require.Equal(t, []string{"bob token"}, touches(m, map[common.Address]string{bob: "bob", carol: "token"}))
}

// sealed makes a block whose header commits to what fill puts into it.
func sealed(t *testing.T, r *rules, fill func(*block)) *block {
	t.Helper()
	b := &block{rules: r, header: header{number: 5}}
	fill(b)
	list := encodedList{}
	for i := range b.txs {
		if b.txs[i].encodable() {
			start := len(list.text)
			list.text = b.txs[i].encode(list.text)
			list.ends = append(list.ends, len(list.text))
			b.txs[i].hash = crypto.Keccak256Hash(list.text[start:])
			b.receipts[i].tx = b.txs[i].hash
		}
		b.receipts[i].computeBloom()
		for k, bits := range b.receipts[i].bloom {
			b.header.bloom[k] |= bits
		}
	}
	b.header.txRoot = deriveRoot(list)
	b.header.receiptRoot = deriveRoot(receiptList(b.receipts))
	b.header.hash = b.header.seal()
	for i := range b.receipts {
		b.receipts[i].block, b.receipts[i].bloom = b.header.hash, types.Bloom{}
		for k := range b.receipts[i].logs {
			b.receipts[i].logs[k].block, b.receipts[i].logs[k].tx = b.header.hash, b.receipts[i].tx
		}
	}
	return b
}
