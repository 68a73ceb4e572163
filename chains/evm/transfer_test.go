package evm

import (
	"crypto/ecdsa"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

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
		balances, err := source.Balances(t.Context(), head, []chains.Touch{{Script: order.To, Asset: order.Asset}})
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
	balances, err := source.Balances(t.Context(), head, []chains.Touch{{Script: holder[:], Asset: asset}})
	require.NoError(t, err)
	return balances[0].Amount.String()
}

// TestBumpTransfer replaces a transfer that waits, and fills the nonce of one that
// is cancelled with nothing.
func TestBumpTransfer(t *testing.T) {
	t.Parallel()
	node := startAnvil(t)
	source := open(t, spec(node))
	node.call("evm_setAutomine", false)
	broadcast := func(draft chains.Draft) (chains.Hash, error) {
		signed, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), ether)
		require.NoError(t, err)
		return signed.ID, source.Broadcast(t.Context(), signed.Raw)
	}
	order := chains.TransferOrder{
		From: alice[:], To: fresh(1).Bytes(), Asset: source.Chain().Native.ID, Amount: chains.NewAmount(5), Rate: gwei(10, 1), Ceiling: ether,
	}
	first, err := source.BuildTransfer(t.Context(), order)
	require.NoError(t, err)
	firstID, err := broadcast(first)
	require.NoError(t, err)
	_, err = broadcast(first)
	require.NoError(t, err, "once more is the same")
	latest, pending, err := source.Nonces(t.Context(), alice[:])
	require.NoError(t, err)
	require.Equal(t, latest+1, pending)

	order.Amount = chains.NewAmount(6)
	other, err := source.BuildTransfer(t.Context(), order)
	require.NoError(t, err)
	_, err = broadcast(other)
	requireRefusal(t, err, chains.RefusedFee)

	bumped, err := source.Bump(t.Context(), first, chains.Bump{Rate: gwei(1, 1), Ceiling: ether})
	require.NoError(t, err)
	require.Equal(t, chains.NewAmount(11e9).String(), bumped.Rate.Max.String())
	require.Equal(t, chains.NewAmount(11e8).String(), bumped.Rate.Tip.String())
	require.Equal(t, first.Transfer.Value, bumped.Transfer.Value)
	_, err = broadcast(bumped)
	require.NoError(t, err)
	_, err = source.Lookup(t.Context(), firstID)
	require.ErrorIs(t, err, chains.ErrNotFound, "replaced")

	cancel := order
	cancel.To, cancel.Amount, cancel.Rate, cancel.Replaces = alice[:], chains.Amount{}, gwei(1, 1), &bumped
	filler, err := source.BuildTransfer(t.Context(), cancel)
	require.NoError(t, err)
	require.Equal(t, uint64(plainGas), filler.Transfer.Gas)
	id, err := broadcast(filler)
	require.NoError(t, err)
	node.mine()
	require.Equal(t, "0x1", node.receipt(common.Hash(id)).Status)
	_, err = broadcast(bumped)
	requireRefusal(t, err, chains.RefusedSpent)

	_, err = source.Bump(t.Context(), first, chains.Bump{Rate: gwei(1000, 1), Ceiling: first.Fee})
	require.ErrorIs(t, err, chains.ErrFeeTooHigh)
	cancel.Nonce++
	_, err = source.BuildTransfer(t.Context(), cancel)
	require.ErrorContains(t, err, "another sender or nonce")
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

// drafted is a transfer of a token that was built, without a node.
func drafted(t testing.TB) (*Source, chains.Draft) {
	t.Helper()
	source := &Source{id: 31337, chain: chains.Chain{ID: "eip155:31337", Native: chains.Asset{ID: "eip155:31337/slip44:60"}}}
	order, err := source.transfer(chains.TransferOrder{
		From: alice[:], To: bob[:], Asset: chains.TokenID("eip155:31337", carol.Hex()), Amount: chains.NewAmount(77), Nonce: 9, Rate: gwei(20, 2),
	})
	require.NoError(t, err)
	order.gas = 60_000
	draft, err := source.draft(order, ether)
	require.NoError(t, err)
	return source, draft
}

// TestCheckRefuses has a signer sign something else than was built, one field at a
// time, each with a signature that holds.
func TestCheckRefuses(t *testing.T) {
	t.Parallel()
	source, draft := drafted(t)
	_, err := source.Check(draft, sign(t, draft, keyOf(t, 0)), draft.Fee)
	require.NoError(t, err)
	for field, change := range map[string]func(tx *types.DynamicFeeTx){
		"chain_id":    func(tx *types.DynamicFeeTx) { tx.ChainID = big.NewInt(1) },
		"nonce":       func(tx *types.DynamicFeeTx) { tx.Nonce++ },
		"to":          func(tx *types.DynamicFeeTx) { tx.To = &bob },
		"value":       func(tx *types.DynamicFeeTx) { tx.Value = big.NewInt(1) },
		"data":        func(tx *types.DynamicFeeTx) { tx.Data[67]++ },
		"gas":         func(tx *types.DynamicFeeTx) { tx.Gas++ },
		"max_fee":     func(tx *types.DynamicFeeTx) { tx.GasFeeCap = big.NewInt(21e9) },
		"tip":         func(tx *types.DynamicFeeTx) { tx.GasTipCap = big.NewInt(3e9) },
		"access_list": func(tx *types.DynamicFeeTx) { tx.AccessList = types.AccessList{{Address: bob}} },
	} {
		tx := decodeUnsigned(t, common.FromHex(draft.Payload))
		change(tx)
		signed, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(tx.ChainID), tx)
		require.NoError(t, err)
		_, err = source.Check(draft, rawOf(t, signed), ether)
		requireMismatch(t, err, chains.Differs, field)
	}
	creation := decodeUnsigned(t, common.FromHex(draft.Payload))
	creation.To = nil
	signed, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(creation.ChainID), creation)
	require.NoError(t, err)
	_, err = source.Check(draft, rawOf(t, signed), ether)
	requireMismatch(t, err, chains.Differs, "to")
	legacy, err := types.SignNewTx(keyOf(t, 0), types.NewLondonSigner(creation.ChainID), &types.LegacyTx{To: &carol, Gas: 60_000, Data: creation.Data, GasPrice: big.NewInt(20e9), Nonce: 9})
	require.NoError(t, err)
	_, err = source.Check(draft, rawOf(t, legacy), ether)
	requireMismatch(t, err, chains.Differs, "type")
}

// TestCheckSignature has the right transaction signed wrongly.
func TestCheckSignature(t *testing.T) {
	t.Parallel()
	source, draft := drafted(t)
	payload := common.FromHex(draft.Payload)
	good, err := crypto.Sign(crypto.Keccak256(payload), keyOf(t, 0))
	require.NoError(t, err)
	high := append([]byte{}, good...)
	new(big.Int).Sub(crypto.S256().Params().N, new(big.Int).SetBytes(good[32:64])).FillBytes(high[32:64])
	high[64] ^= 1
	for name, tt := range map[string]struct {
		text  string
		code  chains.MismatchCode
		field string
	}{
		"Good":         {text: signedWith(t, payload, good)},
		"Somebody":     {text: sign(t, draft, keyOf(t, 1)), code: chains.WrongSigner, field: "signature"},
		"HighS":        {text: signedWith(t, payload, high), code: chains.BadSignature, field: "signature"},
		"OtherParity":  {text: signedWith(t, payload, append(append([]byte{}, good[:64]...), good[64]^1)), code: chains.WrongSigner, field: "signature"},
		"None":         {text: rawOf(t, types.NewTx(decodeUnsigned(t, payload))), code: chains.Unsigned, field: "signature"},
		"Payload":      {text: draft.Payload, code: chains.Malformed},
		"Empty":        {text: "", code: chains.Malformed},
		"NoPrefix":     {text: strings.TrimPrefix(signedWith(t, payload, good), "0x"), code: chains.Malformed},
		"Longer":       {text: signedWith(t, payload, good) + "00", code: chains.Malformed},
		"Shorter":      {text: signedWith(t, payload, good)[:100], code: chains.Malformed},
		"Key":          {text: hexBytes(crypto.FromECDSA(keyOf(t, 0))), code: chains.Malformed},
		"Enormous":     {text: "0x" + strings.Repeat("00", 1<<20), code: chains.Malformed},
		"PSBT":         {text: "cHNidP8BAHUCAAAAASaBcTce3", code: chains.Malformed},
		"WithNewlines": {text: "\n " + signedWith(t, payload, good) + " \n"},
	} {
		_, err := source.Check(draft, tt.text, ether)
		if tt.code == "" {
			require.NoError(t, err, name)
			continue
		}
		requireMismatch(t, err, tt.code, tt.field)
		if len(tt.text) > 20 {
			require.NotContains(t, err.Error(), tt.text[2:20])
		}
	}
	_, err = source.Check(draft, sign(t, draft, keyOf(t, 0)), draft.Fee.Sub(chains.NewAmount(1)))
	requireMismatch(t, err, chains.FeeOverLimit, "fee")
}

func requireMismatch(t *testing.T, err error, code chains.MismatchCode, field string) {
	t.Helper()
	var mismatch *chains.MismatchError
	require.ErrorAs(t, err, &mismatch, field)
	require.Equal(t, code, mismatch.Code, mismatch)
	require.Equal(t, field, mismatch.Field)
}

// TestCheckKnowsItsDraft refuses drafts that were changed where they are kept.
func TestCheckKnowsItsDraft(t *testing.T) {
	t.Parallel()
	source, good := drafted(t)
	signed := sign(t, good, keyOf(t, 0))
	for name, change := range map[string]func(d *chains.Draft){
		"Chain":   func(d *chains.Draft) { d.Chain = "eip155:1" },
		"Format":  func(d *chains.Draft) { d.Format = chains.FormatPSBT },
		"Nothing": func(d *chains.Draft) { d.Transfer = nil },
		"Fee":     func(d *chains.Draft) { d.Fee = chains.NewAmount(1) },
		"Rate":    func(d *chains.Draft) { d.Rate.Max = chains.NewAmount(1) },
		"To":      func(d *chains.Draft) { d.Transfer.To = bob[:] },
		"Short":   func(d *chains.Draft) { d.Transfer.To = nil },
		"Value":   func(d *chains.Draft) { d.Transfer.Value = chains.NewAmount(1) },
		"Payload": func(d *chains.Draft) { d.Payload = "0x02" },
		"Digest":  func(d *chains.Draft) { d.Transfer.Digest = chains.Hex{1} },
	} {
		draft := good
		details := *good.Transfer
		draft.Transfer = &details
		change(&draft)
		_, err := source.Check(draft, signed, ether)
		require.Error(t, err, name)
		var mismatch *chains.MismatchError
		require.NotErrorAs(t, err, &mismatch, "the signer has done nothing wrong")
		_, err = source.Bump(t.Context(), draft, chains.Bump{Rate: gwei(30, 3), Ceiling: ether})
		require.Error(t, err, name)
	}
	kept, err := json.Marshal(good)
	require.NoError(t, err)
	var read chains.Draft
	require.NoError(t, json.Unmarshal(kept, &read))
	_, err = source.Check(read, signed, ether)
	require.NoError(t, err, "a draft that was kept is as good")
}

// TestBumpRaisesBothFees checks what nodes ask of a replacement over many rates, and
// that nothing else changes.
func TestBumpRaisesBothFees(t *testing.T) {
	t.Parallel()
	source, _ := drafted(t)
	rapid.Check(t, func(t *rapid.T) {
		rate := func(name string) chains.FeeRate {
			most := rapid.Int64Range(1, 1e15).Draw(t, name)
			return chains.FeeRate{Max: chains.NewAmount(most), Tip: chains.NewAmount(rapid.Int64Range(0, most).Draw(t, name+" tip"))}
		}
		order := &transfer{
			from: alice, to: bob, native: source.chain.Native.ID, asset: source.chain.Native.ID, all: rapid.Bool().Draw(t, "all"),
			amount: ether, nonce: rapid.Uint64().Draw(t, "nonce"), rate: rate("old"), gas: rapid.Uint64Range(plainGas, 1e6).Draw(t, "gas"),
		}
		ceiling := ether.Mul(ether)
		old, err := source.draft(order, ceiling)
		require.NoError(t, err)
		wanted := rate("wanted")
		bumped, err := source.Bump(t.Context(), old, chains.Bump{Rate: wanted, Ceiling: ceiling})
		have := old.Transfer.Value.Add(old.Fee)
		if err != nil {
			var short *chains.ShortageError
			require.ErrorAs(t, err, &short)
			require.True(t, order.all)
			require.True(t, short.Have.Equal(have))
			return
		}
		for _, fee := range [][3]chains.Amount{
			{old.Rate.Max, wanted.Max, bumped.Rate.Max},
			{old.Rate.Tip, wanted.Tip, bumped.Rate.Tip},
		} {
			require.GreaterOrEqual(t, fee[2].Mul(chains.NewAmount(10)).Cmp(fee[0].Mul(chains.NewAmount(11))), 0, "a tenth more")
			require.GreaterOrEqual(t, fee[2].Cmp(fee[1]), 0, "as wanted")
		}
		require.LessOrEqual(t, bumped.Rate.Tip.Cmp(bumped.Rate.Max), 0)
		if order.all {
			require.True(t, bumped.Transfer.Value.Add(bumped.Fee).Equal(have), "all is sent again")
		} else {
			require.True(t, bumped.Transfer.Value.Equal(old.Transfer.Value))
		}
		_, err = source.transferOf(bumped)
		require.NoError(t, err)
		same := bumped
		same.Rate, same.Fee, same.Payload = old.Rate, old.Fee, old.Payload
		details := *bumped.Transfer
		details.Digest, details.Value = old.Transfer.Digest, old.Transfer.Value
		same.Transfer = &details
		require.Equal(t, old, same)
	})
}

// FuzzSigned checks that nothing handed in breaks the reader, and that whatever
// passes is what was built.
func FuzzSigned(f *testing.F) {
	source, draft := drafted(f)
	good := sign(f, draft, keyOf(f, 0))
	f.Add(common.FromHex(good))
	f.Add(common.FromHex(draft.Payload))
	f.Fuzz(func(t *testing.T, raw []byte) {
		checked, err := source.Check(draft, hexBytes(raw), ether)
		if err != nil {
			return
		}
		require.Equal(t, raw, checked.Raw)
		tx := new(types.Transaction)
		require.NoError(t, tx.UnmarshalBinary(raw))
		require.Equal(t, draft.Transfer.Digest, chains.Hex(types.NewLondonSigner(big.NewInt(31337)).Hash(tx).Bytes()))
	})
}
