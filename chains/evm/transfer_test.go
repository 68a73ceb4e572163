package evm

import (
	"crypto/ecdsa"
	"math/big"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
)

// ether is a ceiling that no transfer of these tests reaches, and much to have.
var ether = chains.NewAmount(1e18)

func gwei(most, tip int64) chains.FeeRate {
	return chains.FeeRate{Max: chains.NewAmount(most * 1e9), Tip: chains.NewAmount(tip * 1e9)}
}

// keyOf is the private key of one of the accounts a development node unlocks.
func keyOf(t testing.TB, index uint32) *ecdsa.PrivateKey {
	t.Helper()
	key, err := below(t, root(t, junk), 44+hardened, 60+hardened, hardened, 0, index).ECPrivKey()
	require.NoError(t, err)
	return key.ToECDSA()
}

// keyPath is where the operator's xpub has that key.
func keyPath(t testing.TB, index uint32) *chains.KeyPath {
	t.Helper()
	return &chains.KeyPath{Wallet: "[" + fingerprintOf(t, root(t, junk)) + "/44h/60h/0h]" + public(t, below(t, root(t, junk), 44+hardened, 60+hardened, hardened)) + "/0/*", Index: index}
}

// sign does what a signer outside does with a payload: it signs the hash of the
// text, and puts the signature behind the fields.
func sign(t testing.TB, draft chains.Draft, key *ecdsa.PrivateKey) string {
	t.Helper()
	payload := common.FromHex(draft.Payload)
	digest := crypto.Keccak256(payload)
	require.Equal(t, draft.Transfer.Digest, chains.Hex(digest))
	signature, err := crypto.Sign(digest, key)
	require.NoError(t, err)
	return signedWith(t, payload, signature)
}

func signedWith(t testing.TB, payload, signature []byte) string {
	t.Helper()
	tx := decodeUnsigned(t, payload)
	signed, err := types.NewTx(tx).WithSignature(types.NewLondonSigner(tx.ChainID), signature)
	require.NoError(t, err)
	return rawOf(t, signed)
}

func rawOf(t testing.TB, tx *types.Transaction) string {
	t.Helper()
	raw, err := tx.MarshalBinary()
	require.NoError(t, err)
	return hexBytes(raw)
}

// decodeUnsigned reads a payload as any library does that knows EIP-1559: as a
// transaction whose signature is cut off.
func decodeUnsigned(t testing.TB, payload []byte) *types.DynamicFeeTx {
	t.Helper()
	var fields struct {
		ChainID    *big.Int
		Nonce      uint64
		Tip, Max   *big.Int
		Gas        uint64
		To         common.Address
		Value      *big.Int
		Data       []byte
		AccessList types.AccessList
	}
	require.Equal(t, byte(types.DynamicFeeTxType), payload[0])
	require.NoError(t, rlp.DecodeBytes(payload[1:], &fields))
	return &types.DynamicFeeTx{
		ChainID: fields.ChainID, Nonce: fields.Nonce, GasTipCap: fields.Tip, GasFeeCap: fields.Max, Gas: fields.Gas,
		To: &fields.To, Value: fields.Value, Data: fields.Data, AccessList: fields.AccessList,
	}
}

// TestTransfer follows a native and a token transfer from the order to the block.
func TestTransfer(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	token := node.deploy("Token", "Tether", "USDT", 1000)
	for i, order := range []chains.TransferOrder{
		{Asset: source.Chain().Native.ID, To: fresh(1).Bytes(), Amount: chains.NewAmount(12345)},
		{Asset: chains.TokenID(source.Chain().ID, token.Hex()), To: fresh(2).Bytes(), Amount: chains.NewAmount(77)},
	} {
		latest, pending, err := source.Nonces(t.Context(), alice[:])
		require.NoError(t, err)
		require.Equal(t, latest, pending)
		rate, err := source.EstimateFee(t.Context(), 1, gwei(100, 0).Max)
		require.NoError(t, err)
		require.False(t, rate.Capped)
		order.From, order.Key, order.Nonce, order.Rate, order.Ceiling = alice[:], keyPath(t, 0), latest, rate.FeeRate, ether
		draft, err := source.BuildTransfer(t.Context(), order)
		require.NoError(t, err)
		require.Regexp(t, `^[0-9a-f]{8}/44h/60h/0h/0/0$`, draft.Paths[0])
		if i == 0 {
			require.Equal(t, uint64(plainGas), draft.Transfer.Gas)
		}

		signed, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), ether)
		require.NoError(t, err)
		_, err = source.Lookup(t.Context(), signed.ID)
		require.ErrorIs(t, err, chains.ErrNotFound)
		require.NoError(t, source.Broadcast(t.Context(), signed.Raw))
		mined := node.receipt(common.Hash(signed.ID))
		require.Equal(t, "0x1", mined.Status)
		seen, err := source.Lookup(t.Context(), signed.ID)
		require.NoError(t, err)
		require.True(t, seen.Mined)
		require.Equal(t, common.HexToHash(mined.BlockHash), common.Hash(seen.Block))
		require.False(t, seen.Failed)
		require.NoError(t, source.Broadcast(t.Context(), signed.Raw), "mined is as good")

		head, err := source.Head(t.Context())
		require.NoError(t, err)
		balances, _, err := source.Balances(t.Context(), head, []chains.Touch{{Script: order.To, Asset: order.Asset}})
		require.NoError(t, err)
		require.Equal(t, order.Amount.String(), balances[0].Amount.String())
	}
}

// TestSweep empties a deposit address: its tokens once there is gas, which is topped
// up, and then all that is left of the native coin.
func TestSweep(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	token := node.deploy("Token", "Tether", "USDT", 1000)
	deposit, treasury := crypto.PubkeyToAddress(keyOf(t, 55).PublicKey), fresh(9)
	node.receipt(node.send(alice, &token, 0, invoke("transfer(address,uint256)", deposit, 1000)))
	sweep := chains.TransferOrder{
		From: deposit[:], To: treasury[:], Asset: chains.TokenID(source.Chain().ID, token.Hex()), All: true, Rate: gwei(10, 1), Ceiling: ether,
	}
	_, err := source.BuildTransfer(t.Context(), sweep)
	var short *chains.ShortageError
	require.ErrorAs(t, err, &short, "there is no gas")
	require.Equal(t, source.Chain().Native.ID, short.Asset)

	topUp := chains.TransferOrder{From: alice[:], To: deposit[:], Asset: short.Asset, Amount: short.Need.Sub(short.Have), Rate: gwei(10, 1), Ceiling: ether}
	topUp.Nonce, _, err = source.Nonces(t.Context(), alice[:])
	require.NoError(t, err)
	carryOut(t, source, node, topUp, 0)
	tokens := carryOut(t, source, node, sweep, 55)
	require.False(t, tokens.Transfer.All)
	require.Equal(t, "1000", balanceAt(t, source, treasury, sweep.Asset))
	require.Equal(t, "0", balanceAt(t, source, deposit, sweep.Asset))
	_, err = source.BuildTransfer(t.Context(), sweep)
	require.ErrorAs(t, err, &short, "there is nothing left")
	require.Equal(t, sweep.Asset, short.Asset)

	top, nonce, err := source.Nonces(t.Context(), deposit[:])
	require.NoError(t, err)
	require.Equal(t, top, nonce)
	node.call("anvil_setBalance", deposit.Hex(), "0x2386f26fc10000") // 0.01 ether
	rest := chains.TransferOrder{From: deposit[:], To: treasury[:], Asset: source.Chain().Native.ID, All: true, Nonce: nonce, Rate: gwei(10, 1), Ceiling: ether}
	draft := carryOut(t, source, node, rest, 55)
	require.True(t, draft.Transfer.All)
	require.Equal(t, "10000000000000000", draft.Transfer.Value.Add(draft.Fee).String(), "all of it")
	require.Equal(t, draft.Transfer.Value.String(), balanceAt(t, source, treasury, rest.Asset))
}

// carryOut builds, signs, checks and broadcasts, and waits for the block.
func carryOut(t *testing.T, source *Source, node *devNode, order chains.TransferOrder, key uint32) chains.Draft {
	t.Helper()
	draft, err := source.BuildTransfer(t.Context(), order)
	require.NoError(t, err)
	signed, err := source.Check(draft, sign(t, draft, keyOf(t, key)), ether)
	require.NoError(t, err)
	require.NoError(t, source.Broadcast(t.Context(), signed.Raw))
	require.Equal(t, "0x1", node.receipt(common.Hash(signed.ID)).Status)
	return draft
}

func balanceAt(t *testing.T, source *Source, holder common.Address, asset chains.AssetID) string {
	t.Helper()
	head, err := source.Head(t.Context())
	require.NoError(t, err)
	balances, _, err := source.Balances(t.Context(), head, []chains.Touch{{Script: holder[:], Asset: asset}})
	require.NoError(t, err)
	return balances[0].Amount.String()
}

func requireRefusal(t *testing.T, err error, reason chains.RefusalReason) {
	t.Helper()
	var refusal *chains.RefusalError
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, reason, refusal.Reason, refusal)
}

// TestBuildTransferRefuses lists the orders that are not met.
func TestBuildTransferRefuses(t *testing.T) {
	t.Parallel()
	anvil := localnode.TestAnvil(t)
	node := newDevNode(t, anvil.URL)
	source := open(t, spec(node))
	token := node.deploy("Token", "Tether", "USDT", 1000)
	silent, err := anvil.DeploySilentToken(t.Context())
	require.NoError(t, err)
	native, tether := source.Chain().Native.ID, chains.TokenID(source.Chain().ID, token.Hex())
	for name, tt := range map[string]struct {
		change func(o *chains.TransferOrder)
		says   string
		is     error
		short  chains.AssetID
	}{
		"Zero":         {change: func(o *chains.TransferOrder) { o.Amount = chains.Amount{} }, says: "amount is 0"},
		"ZeroToken":    {change: func(o *chains.TransferOrder) { o.Amount, o.Asset, o.To = chains.Amount{}, tether, alice[:] }, says: "amount is 0"},
		"Negative":     {change: func(o *chains.TransferOrder) { o.Amount = chains.NewAmount(-1) }, says: "256 bits"},
		"TooLarge":     {change: func(o *chains.TransferOrder) { o.Amount = chains.AmountFromBig(new(big.Int).Lsh(big.NewInt(1), 256)) }, says: "256 bits"},
		"ToNobody":     {change: func(o *chains.TransferOrder) { o.To = make([]byte, 20) }, says: "zero address"},
		"ToContract":   {change: func(o *chains.TransferOrder) { o.Asset, o.To = tether, token[:] }, says: "own contract"},
		"SweepToSelf":  {change: func(o *chains.TransferOrder) { o.All, o.To = true, alice[:] }, says: "is the sender"},
		"ShortAddress": {change: func(o *chains.TransferOrder) { o.To = o.To[:19] }, says: "20 bytes"},
		"OtherChain":   {change: func(o *chains.TransferOrder) { o.Asset = "eip155:1/slip44:60" }, says: "no asset of"},
		"TipAboveMax":  {change: func(o *chains.TransferOrder) { o.Rate = gwei(1, 2) }, says: "no rate"},
		"NoRate":       {change: func(o *chains.TransferOrder) { o.Rate = chains.FeeRate{} }, says: "no rate"},
		"Ceiling":      {change: func(o *chains.TransferOrder) { o.Ceiling = chains.NewAmount(plainGas * 1e9) }, is: chains.ErrFeeTooHigh},
		"ForeignKey":   {change: func(o *chains.TransferOrder) { o.Key = keyPath(t, 1) }, says: "not that of"},
		"PrivateKey": {change: func(o *chains.TransferOrder) {
			o.Key = &chains.KeyPath{Wallet: below(t, root(t, junk), 44+hardened, 60+hardened, hardened).String()}
		}, says: "private key"},
		"TooLittle":       {change: func(o *chains.TransferOrder) { o.Amount = chains.AmountFromBig(new(big.Int).Lsh(big.NewInt(1), 90)) }, short: native},
		"TooFewTokens":    {change: func(o *chains.TransferOrder) { o.Asset, o.Amount = tether, chains.NewAmount(1001) }, short: tether},
		"NoGas":           {change: func(o *chains.TransferOrder) { o.From, o.Key = fresh(8).Bytes(), nil }, short: native},
		"NothingToSweep":  {change: func(o *chains.TransferOrder) { o.From, o.Key, o.All = fresh(8).Bytes(), nil, true }, short: native},
		"NoToken":         {change: func(o *chains.TransferOrder) { o.Asset = chains.TokenID(source.Chain().ID, fresh(7).Hex()) }, short: chains.TokenID(source.Chain().ID, fresh(7).Hex())},
		"ReturnsFalse":    {change: func(o *chains.TransferOrder) { o.Asset = chains.TokenID(source.Chain().ID, silent) }, is: chains.ErrReverts},
		"ContractRefuses": {change: func(o *chains.TransferOrder) { o.To = token[:] }, is: chains.ErrReverts},
	} {
		order := chains.TransferOrder{
			From: alice[:], Key: keyPath(t, 0), To: fresh(1).Bytes(), Asset: native, Amount: chains.NewAmount(5), Rate: gwei(10, 1), Ceiling: ether,
		}
		tt.change(&order)
		_, err := source.BuildTransfer(t.Context(), order)
		require.Error(t, err, name)
		require.ErrorContains(t, err, tt.says, name)
		require.NotContains(t, err.Error(), "xprv", name)
		if tt.is != nil {
			require.ErrorIs(t, err, tt.is, name)
		}
		if tt.short != "" {
			var short *chains.ShortageError
			require.ErrorAs(t, err, &short, name)
			require.Equal(t, tt.short, short.Asset, name)
			require.Negative(t, short.Have.Cmp(short.Need), name)
		}
	}
}

// TestRollupCharge keeps back what a rollup of the OP stack says it may charge.
func TestRollupCharge(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	node.call("anvil_setCode", gasOracle.Hex(), "0x61303960005260206000f3") // returns 12345
	node.call("anvil_setBalance", bob.Hex(), "0x2386f26fc10000")
	draft, err := source.BuildTransfer(t.Context(), chains.TransferOrder{
		From: bob[:], To: fresh(1).Bytes(), Asset: source.Chain().Native.ID, All: true, Rate: gwei(10, 1), Ceiling: ether,
	})
	require.NoError(t, err)
	require.Equal(t, "24690", draft.Transfer.Extra.String())
	require.Equal(t, chains.NewAmount(plainGas*10e9+24690).String(), draft.Fee.String())
	require.Equal(t, "10000000000000000", draft.Transfer.Value.Add(draft.Fee).String())
}

// TestTransferOutOfTime has a node give a simulation up for its own sake: that is no word
// on the transfer, which would end a withdrawal.
func TestTransferOutOfTime(t *testing.T) {
	t.Parallel()
	anvil := startAnvil(t)
	for _, method := range []string{"eth_estimateGas", "eth_call"} {
		node := startLiar(t, anvil, func(asked string, result any) any {
			if asked == method {
				return map[string]any{"code": -32000, "message": "execution aborted (timeout = 5s)"}
			}
			return result
		})
		source := open(t, spec(node))
		_, err := source.BuildTransfer(t.Context(), chains.TransferOrder{
			From: alice[:], To: fresh(1).Bytes(), Asset: source.Chain().Native.ID, Amount: chains.NewAmount(5), Rate: gwei(10, 1), Ceiling: ether,
		})
		require.Error(t, err, method)
		require.NotErrorIs(t, err, chains.ErrReverts, method)
	}
}
