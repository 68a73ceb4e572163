package evm

import (
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

// gethKey is the published key of geth's development account.
const gethKey = "b71c71a67e1177ad4e901695e1b4b9ee17ae16c6668d313eac2f96dbcda3f291"

// TestGeth verifies what geth makes of the newest forks, down to the header's
// hash, and holds legs and proven balances against each other.
func TestGeth(t *testing.T) {
	t.Parallel()
	node := newDevNode(t, localnode.TestGeth(t).URL)
	settings := spec(node)
	settings.Network = "1337"
	s := open(t, settings)
	key, err := crypto.HexToECDSA(gethKey)
	require.NoError(t, err)
	dev := crypto.PubkeyToAddress(key.PublicKey)
	signer := types.LatestSignerForChainID(big.NewInt(1337))
	nonce := uint64(0)
	send := func(to *common.Address, value int64, data []byte) common.Hash {
		tx, err := types.SignNewTx(key, signer, &types.DynamicFeeTx{
			ChainID: big.NewInt(1337), Nonce: nonce, GasTipCap: big.NewInt(1e9), GasFeeCap: big.NewInt(1e11), Gas: 3_000_000,
			To: to, Value: big.NewInt(value), Data: data,
		})
		require.NoError(t, err)
		raw, err := tx.MarshalBinary()
		require.NoError(t, err)
		nonce++
		hash := common.HexToHash(node.text("eth_sendRawTransaction", hexBytes(raw)))
		node.receipt(hash) // so that each has a block of its own
		return hash
	}
	token := common.HexToAddress(node.receipt(send(nil, 0, append(contractCode(t, "Token", "code"), pack("T", "T", 1000)...))).ContractAddress)
	payer := common.HexToAddress(node.receipt(send(nil, 0, contractCode(t, "Payer", "code"))).ContractAddress)
	names := map[common.Address]string{dev: "dev", bob: "bob", token: "token", payer: "payer"}
	for _, tt := range []struct {
		tx   common.Hash
		legs []string
	}{
		{send(&bob, 7, nil), []string{"value in 7 native bob dev"}},
		{send(&token, 0, invoke("transfer(address,uint256)", bob, 5)), []string{"log:0 in 5 token bob dev"}},
		{send(&token, 0, invoke("transfer(address,uint256)", bob, 5000)), []string{}},
		{send(&payer, 9, invoke("pay(address)", bob)), []string{"call:0 in 9 native bob payer"}},
		{send(&payer, 9, invoke("tryPay(address)", bob)), []string{}},
		{send(&payer, 9, invoke("give(address)", bob)), []string{"call:1.0 in 9 native bob "}},
	} {
		b := blockOf(t, s, node, tt.tx)
		m, err := b.Match(watching(bob))
		require.NoError(t, err)
		require.Equal(t, tt.legs, legs(m, names))
	}

	// A withdrawal of the beacon chain credits without a transaction.
	node.call("dev_addWithdrawal", map[string]string{"index": "0x1", "validatorIndex": "0x1", "address": bob.Hex(), "amount": "0x3"})
	node.receipt(send(&dev, 0, nil))
	head, err := s.Head(t.Context())
	require.NoError(t, err)
	withdrawn := false
	for height := uint64(0); height <= head.Height; height++ {
		ref, err := s.RefAt(t.Context(), height)
		require.NoError(t, err)
		b, err := s.Block(t.Context(), ref.Hash)
		require.NoError(t, err)
		m, err := b.Match(watching(bob))
		require.NoError(t, err)
		for _, l := range m.Transfers {
			withdrawn = withdrawn || l.Source == chains.SourceWithdrawal(1) && l.Amount.String() == "3000000000"
		}
	}
	require.True(t, withdrawn)
	snaps, _, err := s.Balances(t.Context(), head, []chains.Touch{
		{Script: bob[:], Asset: s.Chain().Native.ID}, {Script: bob[:], Asset: chains.TokenID(s.Chain().ID, token.Hex())},
	})
	require.NoError(t, err)
	require.Equal(t, "3000000025", snaps[0].Amount.String())
	require.Equal(t, chains.Proven, snaps[0].Proof)
	require.Equal(t, "5", snaps[1].Amount.String())
	for _, c := range s.Probe(t.Context()) {
		require.Equal(t, c.Name != "trace_block" && c.Name != "multicall3", c.OK, "%s: %s", c.Name, c.Detail)
	}
	_, err = s.RefAt(t.Context(), head.Height+1)
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, err = s.Block(t.Context(), chains.Hash{1})
	require.ErrorIs(t, err, chains.ErrNotFound)
	_, _, err = s.Balances(t.Context(), chains.BlockRef{Height: 1, Hash: chains.Hash{1}}, []chains.Touch{{Script: bob[:], Asset: s.Chain().Native.ID}})
	require.ErrorIs(t, err, chains.ErrNotFound)
}
