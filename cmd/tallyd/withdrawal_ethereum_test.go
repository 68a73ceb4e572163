package main

import (
	"encoding/hex"
	"fmt"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// fickleCode is the creation code of a token that adds what is transferred to
// whoever gets it and takes it from nobody, emits what it should, and refuses every
// transfer once it was called with anything else.
const fickleCode = "6080600c60003960806000f3" + // returns what follows
	"60003560e01c" + // the function
	"8063a9059cbb14602d57" + // transfer
	"806370a0823114602057" + // balanceOf
	"600160005500" + // anything else: from now on nothing moves
	"5b600435546000526020" + "6000f3" + // balanceOf: what is stored under the address
	"5b600054607a57" + // transfer: not if it refuses
	"602435600052" + "600435546024350160043555" + // adds to the recipient
	"60043533" + "7fddf252ad1be2c89b69c2b068fc378daa952ba7f163c4a11628f55a4df523b3ef" + "60206000a3" + // Transfer
	"600160005260206000f3" + // true
	"5b60006000fd"

// accountTeller pays from a treasury on a real node.
type accountTeller struct {
	*teller
	world         *ethereumWorld
	fickle        string
	coins, tokens map[string]any // wallets in one vault
	friend        string
}

// newAccountTeller has a treasury with 50 and 5000 fickle tokens, and a vault with a
// wallet of 10 and one of 1000.
func newAccountTeller(t *testing.T) *accountTeller {
	t.Helper()
	node := localnode.TestAnvil(t)
	w := &ethereumWorld{stack: &stack{t: t}, node: node}
	raw, err := hex.DecodeString(fickleCode)
	require.NoError(t, err)
	b := &accountTeller{world: w, friend: fmt.Sprintf("0x%040x", 0xfeed)}
	b.fickle = w.transact(localnode.Transaction{Data: raw}).ContractAddress
	settings := ethereumChain(t, node, b.fickle)
	settings.PollInterval = 50 * time.Millisecond
	settings.Finality.Depth = 5
	settings.Deposits.Credit = config.Confirmed(2)
	w.stack = newStack(t, map[string]config.Chain{"eth": settings})
	w.start()
	b.teller = &teller{t: t, url: func() string { return w.url }, signer: newSigner(t)}
	b.must("PUT", "/v1/custody/keys/eth", map[string]any{"key": b.signer.key("eth"), "treasuryAddress": b.signer.treasury()})
	b.must("POST", "/address-book", map[string]any{"network": "eth", "address": b.friend, "label": "friend"})
	b.coins = b.open("eip155:31337/slip44:60")
	b.tokens = b.must("POST", "/vaults/"+b.coins["vaultId"].(string)+"/wallets", map[string]any{"assetId": "eip155:31337/erc20:" + strings.ToLower(b.fickle)})
	deposit := b.coins["depositAddress"].(string)
	b.pay(b.signer.treasury(), 50)
	b.give(b.signer.treasury(), 5_000_000_000)
	b.pay(deposit, 10)
	b.give(deposit, 1_000_000_000)
	b.mine(2)
	b.awaitHolds(b.coins, "10 0")
	b.awaitHolds(b.tokens, "1000 0")
	return b
}

// pay sends whole coins.
func (b *accountTeller) pay(to string, ether int64) {
	b.t.Helper()
	b.world.transact(localnode.Transaction{To: to, Value: new(big.Int).Mul(big.NewInt(ether), big.NewInt(1e18))})
}

// give sends base units of the token.
func (b *accountTeller) give(to string, amount int64) {
	b.t.Helper()
	b.world.transact(localnode.Transaction{To: b.fickle, Data: localnode.TransferData(to, big.NewInt(amount))})
}

func (b *accountTeller) mine(n int) {
	b.t.Helper()
	require.NoError(b.t, b.world.node.Mine(b.t.Context(), n))
}

// autoMine says whether a transaction is mined as soon as the node has it.
func (b *accountTeller) autoMine(on bool) {
	b.t.Helper()
	require.NoError(b.t, b.world.node.AutoMine(b.t.Context(), on))
}

func (b *accountTeller) toFriend(wallet map[string]any, amount string) string {
	b.t.Helper()
	return b.withdraw(wallet, b.friend, amount)
}

// has is what an address has by the node.
func (b *accountTeller) has(address string) *big.Int {
	b.t.Helper()
	balance, err := b.world.node.Balance(b.t.Context(), address, "latest")
	require.NoError(b.t, err)
	return balance
}

// gained is what the friend has more than before.
func (b *accountTeller) gained(before *big.Int) string {
	b.t.Helper()
	return new(big.Int).Sub(b.has(b.friend), before).String()
}

// known reports whether the node has a transaction.
func (b *accountTeller) known(tx any) bool {
	b.t.Helper()
	var found *struct{ Hash string }
	require.NoError(b.t, b.world.node.Call(b.t.Context(), "eth_getTransactionByHash", &found, tx))
	return found != nil
}

// minedIn mines until a withdrawal stands in a block.
func (b *accountTeller) minedIn(id string) {
	b.t.Helper()
	until(b.t, "it is in a block", func() bool {
		b.mine(1)
		return b.get(id)["height"] != nil
	})
}

// complete mines until a withdrawal is.
func (b *accountTeller) complete(id string) map[string]any {
	b.t.Helper()
	b.minedIn(id)
	b.mine(1)
	return b.await(id, "Completed")
}

// TestEthereumWithdrawals pays from a treasury on a real node, signed by a program
// that has no line in common with the daemon.
func TestEthereumWithdrawals(t *testing.T) {
	t.Parallel()
	b := newAccountTeller(t)
	for _, scenario := range []struct {
		name string
		run  func(b *accountTeller)
	}{
		{"Road", (*accountTeller).road},
		{"Token", (*accountTeller).token},
		{"TokenThatReverts", (*accountTeller).reverts},
		{"Bump", (*accountTeller).replaced},
		{"CancelAndFill", (*accountTeller).filled},
		{"Race", (*accountTeller).race},
		{"Tampered", (*accountTeller).tampered},
		{"Sweep", (*accountTeller).sweep},
		{"Reorg", (*accountTeller).reorganised},
		{"TreasuryLow", (*accountTeller).low},
		{"NonceUsedElsewhere", (*accountTeller).usedElsewhere},
	} {
		ok := t.Run(scenario.name, func(t *testing.T) {
			mine, teller, world, stack := *b, *b.teller, *b.world, *b.world.stack
			stack.t, teller.t, teller.signer = t, t, &signer{t: t, program: b.signer.program, seed: b.signer.seed}
			world.stack, mine.teller, mine.world = &stack, &teller, &world
			scenario.run(&mine)
			addsUp(t, stack.daemon.store, scenario.name)
		})
		if !ok {
			return // what comes after would begin with what it has left
		}
	}
}

func (b *accountTeller) road() {
	before := b.has(b.friend)
	id := b.toFriend(b.coins, "1.5")
	require.Equal(b.t, "8.5 1.5", b.holds(b.coins))
	require.Equal(b.t, "eip1559", b.sign(id)["format"])
	b.await(id, "Confirming")
	done := b.complete(id)
	require.Equal(b.t, "8.5 0", b.holds(b.coins))
	require.Equal(b.t, "1500000000000000000", b.gained(before))
	var receipt struct{ GasUsed, EffectiveGasPrice string }
	require.NoError(b.t, b.world.node.Call(b.t.Context(), "eth_getTransactionReceipt", &receipt, done["txHash"]))
	gas, price := new(big.Int), new(big.Int)
	gas.SetString(receipt.GasUsed, 0)
	price.SetString(receipt.EffectiveGasPrice, 0)
	paid, ok := new(big.Rat).SetString(done["networkFee"].(string))
	require.True(b.t, ok)
	require.Equal(b.t, new(big.Rat).SetFrac(gas.Mul(gas, price), big.NewInt(1e18)).String(), paid.String(), "the fee is what the receipt says")
}

func (b *accountTeller) token() {
	id := b.toFriend(b.tokens, "12.5")
	b.sign(id)
	b.complete(id)
	require.Equal(b.t, "987.5 0", b.holds(b.tokens))
	got, err := b.world.node.TokenBalance(b.t.Context(), b.fickle, b.friend, "latest")
	require.NoError(b.t, err)
	require.Equal(b.t, "12500000", got.String())
}

// reverts: what would have succeeded when it was built fails when it is mined.
func (b *accountTeller) reverts() {
	id := b.toFriend(b.tokens, "100")
	signing := b.signing(id)
	require.Equal(b.t, "887.5 100", b.holds(b.tokens))
	b.world.transact(localnode.Transaction{To: b.fickle, Data: []byte{1}})
	b.must("POST", "/transactions/"+id+"/signing", b.signer.sign(signing))
	b.minedIn(id)
	b.mine(1)
	failed := b.await(id, "Failed", "reverted")
	require.Equal(b.t, "987.5 0", b.holds(b.tokens))
	require.NotNil(b.t, failed["networkFee"], "the tenant paid for it all the same")

	// The next one is not even built.
	id = b.toFriend(b.tokens, "5")
	b.await(id, "Failed", "reverts")
	require.Equal(b.t, "987.5 0", b.holds(b.tokens))
}

func (b *accountTeller) replaced() {
	b.autoMine(false)
	defer b.autoMine(true)
	id := b.toFriend(b.coins, "0.1")
	b.sign(id)
	old := b.await(id, "Confirming")["txHash"]
	b.must("POST", "/transactions/"+id+"/bump", nil)
	b.await(id, "Confirming", "replacement_unsigned")
	b.sign(id)
	var tx any
	until(b.t, "the node has the other one only", func() bool {
		tx = b.get(id)["txHash"]
		return tx != old && b.known(tx) && !b.known(old)
	})
	require.Equal(b.t, tx, b.complete(id)["txHash"])
}

// filled cancels the lowest of three nonces.
func (b *accountTeller) filled() {
	before := b.has(b.friend)
	var ids []string
	for range 3 {
		id := b.toFriend(b.coins, "0.25")
		b.signing(id)
		ids = append(ids, id)
	}
	lowest := b.get(ids[0])["nonce"]
	for _, id := range ids[1:] {
		b.sign(id)
	}
	require.Equal(b.t, "Cancelled", b.must("POST", "/transactions/"+ids[0]+"/cancel", nil)["status"])
	fills := b.must("GET", "/transactions?kind=NonceFill", nil)["transactions"].([]any)
	require.Len(b.t, fills, 1)
	fill := fills[0].(map[string]any)["id"].(string)
	b.mine(2)
	require.Nil(b.t, b.get(ids[2])["height"], "it waits behind the nonce")
	b.sign(fill)
	require.Equal(b.t, lowest, b.get(fill)["nonce"])
	for _, id := range append([]string{fill}, ids[1:]...) {
		b.complete(id)
	}
	require.Equal(b.t, "500000000000000000", b.gained(before))
}

func (b *accountTeller) race() {
	before := b.has(b.friend)
	ids := make([]string, 6)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			status, answer, err := b.try("POST", "/transactions/withdraw", fmt.Sprint("race-", i), order(b.coins, b.friend, "0.1"))
			if err == nil && status == 201 {
				ids[i] = answer["id"].(string)
			}
		})
	}
	wg.Wait()
	require.NotContains(b.t, ids, "")
	nonces := map[any]bool{}
	for _, id := range ids {
		b.sign(id)
		nonce := b.get(id)["nonce"]
		require.False(b.t, nonces[nonce], "a nonce twice")
		nonces[nonce] = true
	}
	for _, id := range ids {
		b.complete(id)
	}
	require.Equal(b.t, "600000000000000000", b.gained(before))
}

// tampered hands in what was signed of something else. 0.1 is 016345785d8a0000 in a
// payload.
func (b *accountTeller) tampered() {
	id := b.toFriend(b.coins, "0.1")
	signing := b.signing(id)
	signed := b.signer.sign(signing)["signed"].(string)
	changed := func(from, to string) string {
		payload := signing["payload"].(string)
		require.Equal(b.t, 1, strings.Count(payload, from), payload)
		return b.signer.sign(map[string]any{
			"format": "eip1559", "payload": strings.Replace(payload, from, to, 1), "paths": signing["paths"],
		})["signed"].(string)
	}
	for name, tt := range map[string]struct{ signed, field string }{
		"OtherKey":  {newSigner(b.t).sign(signing)["signed"].(string), "signed.signature"},
		"Unsigned":  {signing["payload"].(string), "signed"},
		"Amount":    {changed("88016345785d8a0000", "88016345785d8a0001"), "signed.value"},
		"Recipient": {changed("000000000000000000000000000000000000feed", "000000000000000000000000000000000000beef"), "signed.to"},
		"CutShort":  {signed[:len(signed)-2], "signed"},
		"NoPrefix":  {signed[2:], "signed"},
	} {
		status, answer := b.do("POST", "/transactions/"+id+"/signing", map[string]any{"signed": tt.signed})
		require.Equal(b.t, 400, status, "%s: %v", name, answer)
		require.Equal(b.t, "signed_refused", answer["code"], name)
		require.Contains(b.t, answer["errors"], tt.field, name)
	}
	require.Equal(b.t, "PendingSignature", b.get(id)["status"])
	b.must("POST", "/transactions/"+id+"/signing", map[string]any{"signed": signed})
	b.complete(id)
}

// sweep moves a customer's coin to the treasury, and tops the address up again.
func (b *accountTeller) sweep() {
	held, before := b.holds(b.coins), b.has(b.signer.treasury())
	sweepable := b.must("GET", "/v1/custody/funds/eth", nil)["sweepable"].([]any)[0].(map[string]any)
	require.Equal(b.t, "10", sweepable["amount"])
	sweep := map[string]any{"network": "eth", "address": sweepable["address"], "assetId": sweepable["assetId"]}
	id := b.must("POST", "/v1/custody/sweeps", sweep)["id"].(string)
	status, answer := b.do("POST", "/v1/custody/sweeps", sweep)
	require.Equal(b.t, 409, status, answer)
	require.Regexp(b.t, `^[0-9a-f]{8}/44h/60h/0h/0/0$`, b.sign(id)["paths"].([]any)[0])
	b.complete(id)
	gained := new(big.Int).Sub(b.has(b.signer.treasury()), before)
	require.Equal(b.t, 1, gained.Cmp(big.NewInt(9e18)), gained.String())
	left := b.has(sweepable["address"].(string))
	require.Equal(b.t, -1, left.Cmp(big.NewInt(1e16)), "what it set aside for the fee and did not need")
	require.Equal(b.t, held, b.holds(b.coins), "whose it is does not change")

	topUp := b.must("POST", "/v1/custody/gas-topups", map[string]any{"network": "eth", "address": sweepable["address"], "amount": "0.01"})
	b.sign(topUp["id"].(string))
	b.complete(topUp["id"].(string))
	b.mine(2)
	deposits := b.must("GET", "/v1/deposits?walletId="+b.coins["id"].(string), nil)["deposits"].([]any)
	require.Len(b.t, deposits, 1, "a top-up is no deposit")
	require.Equal(b.t, held, b.holds(b.coins))
}

func (b *accountTeller) reorganised() {
	before := b.has(b.friend)
	id := b.toFriend(b.coins, "0.5")
	b.sign(id)
	done := b.complete(id)
	held := b.holds(b.coins)
	height, err := b.world.node.Height(b.t.Context())
	require.NoError(b.t, err)
	b.autoMine(false)
	require.NoError(b.t, b.world.node.Reorg(b.t.Context(), int(height)-int(done["height"].(float64))+1))
	b.mine(1)
	b.await(id, "Confirming")
	require.NotEqual(b.t, held, b.holds(b.coins))
	require.Equal(b.t, "0", b.gained(before))
	until(b.t, "the node has it again", func() bool { return b.known(done["txHash"]) })
	b.autoMine(true)
	require.Equal(b.t, done["txHash"], b.complete(id)["txHash"])
	require.Equal(b.t, held, b.holds(b.coins))
	require.Equal(b.t, "500000000000000000", b.gained(before))
}

// low asks for more than the treasury has, though the wallet has it.
func (b *accountTeller) low() {
	b.pay(b.coins["depositAddress"].(string), 500)
	b.mine(2)
	until(b.t, "the deposit is credited", func() bool { return strings.HasPrefix(b.holds(b.coins), "50") })
	id := b.toFriend(b.coins, "400")
	require.Contains(b.t, b.await(id, "Submitted", "treasury_low")["shortage"], "eip155:31337/slip44:60")
	b.pay(b.signer.treasury(), 400)
	b.mine(1)
	b.sign(id)
	b.complete(id)
}

// usedElsewhere: the treasury's key signs another transaction with the nonce.
func (b *accountTeller) usedElsewhere() {
	treasury, held := b.signer.treasury(), b.holds(b.coins)
	id := b.toFriend(b.coins, "0.3")
	signing := b.signing(id)
	require.NoError(b.t, b.world.node.Call(b.t.Context(), "anvil_impersonateAccount", nil, treasury))
	b.world.transact(localnode.Transaction{From: treasury, To: fmt.Sprintf("0x%040x", 0xbad), Value: big.NewInt(1)})
	b.must("POST", "/transactions/"+id+"/signing", b.signer.sign(signing))
	b.await(id, "Broadcasting", "refused_spent")
	b.mine(20)
	b.await(id, "Failed", "conflict")
	b.awaitHolds(b.coins, held)
}
