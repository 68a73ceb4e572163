package main

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/btcsuite/btcd/psbt/v2"
	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/config"
)

// coinTeller pays from a pool of coins on a real node.
type coinTeller struct {
	*teller
	world  *bitcoinWorld
	friend *localnode.Wallet
	wallet map[string]any
}

// newCoinTeller has a wallet with 3 coins of 1 each.
func newCoinTeller(t *testing.T, node *localnode.Bitcoin, miner *localnode.Wallet) *coinTeller {
	t.Helper()
	_, err := node.Generate(t.Context(), 110)
	require.NoError(t, err)
	settings := bitcoinChain(node)
	settings.PollInterval = 50 * time.Millisecond
	settings.Deposits.Credit = config.Confirmed(2)
	w := &bitcoinWorld{stack: newStack(t, map[string]config.Chain{"btc": settings}), node: node, miner: miner}
	w.start()
	b := &coinTeller{world: w, teller: &teller{t: t, url: func() string { return w.url }, signer: newSigner(t)}}
	b.friend, err = localnode.NewWallet("friend", node.Params)
	require.NoError(t, err)
	b.must("PUT", "/v1/custody/keys/btc", map[string]any{"key": b.signer.key("btc")})
	b.must("POST", "/address-book", map[string]any{"network": "btc", "address": b.friend.Address(localnode.P2WPKH), "label": "friend"})
	asset := b.must("GET", "/assets", nil)["assets"].([]any)[0].(map[string]any)["id"].(string)
	b.wallet = b.open(asset)
	b.fund(100_000_000, 100_000_000, 100_000_000)
	b.awaitHolds(b.wallet, "3 0")
	return b
}

// fund pays the wallet's address, each amount a coin, and mines until it is credited.
func (b *coinTeller) fund(amounts ...int64) {
	b.t.Helper()
	source, ok := b.world.daemon.sources.Get("btc")
	require.True(b.t, ok)
	script, _, err := source.ParseAddress(b.wallet["depositAddress"].(string))
	require.NoError(b.t, err)
	for _, amount := range amounts {
		b.world.send(b.world.miner, localnode.Payment{}, script, amount)
	}
	b.world.generate(3)
}

// toFriend withdraws to the friend.
func (b *coinTeller) toFriend(amount string) string {
	b.t.Helper()
	return b.withdraw(b.wallet, b.friend.Address(localnode.P2WPKH), amount)
}

// received is what the friend has by the node's chain alone.
func (b *coinTeller) received() int64 {
	b.t.Helper()
	return oracle(b.t.Context(), b.t.(*testing.T), b.world.node, b.friend.Script(localnode.P2WPKH))[0]
}

// waits reports whether the node has a transaction in its mempool.
func (b *coinTeller) waits(tx any) bool {
	b.t.Helper()
	id, ok := tx.(string)
	ids, err := b.world.node.Mempool(b.t.Context())
	require.NoError(b.t, err)
	return ok && slices.Contains(ids, id)
}

// atNode waits until the node has what is broadcast of a withdrawal, and returns its
// hash.
func (b *coinTeller) atNode(id string) any {
	b.t.Helper()
	var tx any
	until(b.t, "the node has it", func() bool {
		tx = b.get(id)["txHash"]
		return b.waits(tx)
	})
	return tx
}

// TestBitcoinWithdrawals pays out of coins on a real node, signed by a program that
// has no line in common with the daemon.
func TestBitcoinWithdrawals(t *testing.T) {
	t.Parallel()
	node, miner := localnode.TestBitcoind(t)
	b := newCoinTeller(t, node, miner)
	for _, scenario := range []struct {
		name string
		run  func(b *coinTeller)
	}{
		{"Road", (*coinTeller).road},
		{"Bump", (*coinTeller).replaced},
		{"Race", (*coinTeller).race},
		{"Tampered", (*coinTeller).tampered},
		{"Reorg", (*coinTeller).reorganised},
		{"Cancel", (*coinTeller).cancelled},
		{"SpentElsewhere", (*coinTeller).spentElsewhere},
		{"DaemonAway", (*coinTeller).away},
	} {
		ok := t.Run(scenario.name, func(t *testing.T) {
			mine, teller, world, stack := *b, *b.teller, *b.world, *b.world.stack
			stack.t, teller.t, teller.signer = t, t, &signer{t: t, program: b.signer.program, seed: b.signer.seed}
			teller.url = func() string { return stack.url }
			mine.teller, mine.world, world.stack = &teller, &world, &stack
			scenario.run(&mine)
			addsUp(t, stack.daemon.store, scenario.name)
			b.world.url, b.world.daemon, b.world.stop = stack.url, stack.daemon, stack.stop
		})
		if !ok {
			return // what comes after would begin with what it has left
		}
	}
}

// TestBtcdWithdrawal is the road on the other node.
func TestBtcdWithdrawal(t *testing.T) {
	t.Parallel()
	node, miner := localnode.TestBtcd(t)
	b := newCoinTeller(t, node, miner)
	b.road()
	addsUp(t, b.world.daemon.store, "btcd")
}

func (b *coinTeller) road() {
	before := b.received()
	require.Equal(b.t, "3 0", b.holds(b.wallet))
	estimate := b.must("GET", "/transactions/fee-estimate?sourceWalletId="+b.wallet["id"].(string), nil)
	require.Equal(b.t, "0.01", estimate["maxFee"])
	id := b.toFriend("1.5")
	require.Equal(b.t, "1.5 1.5", b.holds(b.wallet))
	signing := b.sign(id)
	require.Len(b.t, signing["paths"], 2)
	b.await(id, "Confirming")
	b.atNode(id)
	offered := b.get(id)["networkFee"]
	b.world.generate(1)
	until(b.t, "it is in a block", func() bool { return b.get(id)["height"] != nil })
	require.Equal(b.t, "1.5 1.5", b.holds(b.wallet))
	b.world.generate(1)
	done := b.await(id, "Completed")
	require.Equal(b.t, offered, done["networkFee"])
	require.Equal(b.t, "1.5 0", b.holds(b.wallet))
	require.Equal(b.t, before+150_000_000, b.received())
	funds := b.must("GET", "/v1/custody/funds/btc", nil)["assets"].([]any)[0].(map[string]any)
	require.Equal(b.t, "0", funds["committed"])
	list := b.must("GET", "/v1/deposits?walletId="+b.wallet["id"].(string), nil)
	require.Len(b.t, list["deposits"], 3, "change is no deposit")
}

func (b *coinTeller) replaced() {
	before := b.received()
	id := b.toFriend("0.1")
	first := decodePSBT(b.t, b.sign(id))
	old := b.atNode(id)
	b.await(id, "Confirming", "")
	b.must("POST", "/transactions/"+id+"/bump", nil)
	b.await(id, "Confirming", "replacement_unsigned")
	require.True(b.t, b.waits(old))
	second := b.sign(id)
	require.EqualValues(b.t, 2, second["draft"])
	require.Equal(b.t, first.UnsignedTx.TxIn[0].PreviousOutPoint, decodePSBT(b.t, second).UnsignedTx.TxIn[0].PreviousOutPoint)
	until(b.t, "the node has the other one", func() bool { return b.waits(b.get(id)["txHash"]) && !b.waits(old) })
	b.world.generate(2)
	done := b.await(id, "Completed")
	require.NotEqual(b.t, old, done["txHash"])
	require.Equal(b.t, before+10_000_000, b.received())
}

// race orders more than there are coins for, at once.
func (b *coinTeller) race() {
	before := b.received()
	b.fund(20_000_000, 20_000_000)
	b.awaitHolds(b.wallet, "1.8 0")
	var wg sync.WaitGroup
	ids := make([]string, 6)
	for i := range ids {
		wg.Go(func() {
			status, answer, err := b.try("POST", "/transactions/withdraw", "race-"+string(rune('a'+i)), order(b.wallet, b.friend.Address(localnode.P2WPKH), "0.1"))
			if err == nil && status == 201 {
				ids[i] = answer["id"].(string)
			}
		})
	}
	wg.Wait()
	require.NotContains(b.t, ids, "")
	spent := map[string]bool{}
	until(b.t, "each is signed", func() bool {
		ids = slices.DeleteFunc(ids, func(id string) bool {
			status, signing := b.do("GET", "/transactions/"+id+"/signing", nil)
			if status != 200 {
				return false // it waits for change
			}
			for _, in := range decodePSBT(b.t, signing).UnsignedTx.TxIn {
				require.False(b.t, spent[in.PreviousOutPoint.String()], "a coin in two transactions")
				spent[in.PreviousOutPoint.String()] = true
			}
			b.must("POST", "/transactions/"+id+"/signing", b.signer.sign(signing))
			b.atNode(id)
			return true
		})
		b.world.generate(1)
		return len(ids) == 0
	})
	b.world.generate(2)
	b.awaitHolds(b.wallet, "1.2 0")
	require.Equal(b.t, before+60_000_000, b.received())
}

func decodePSBT(t testing.TB, signing map[string]any) *psbt.Packet {
	t.Helper()
	packet, err := psbt.NewFromRawBytes(strings.NewReader(signing["payload"].(string)), true)
	require.NoError(t, err)
	return packet
}

// changed is what the signer makes of a draft that somebody changed.
func (b *coinTeller) changed(signing map[string]any, change func(packet *psbt.Packet)) map[string]any {
	b.t.Helper()
	packet := decodePSBT(b.t, signing)
	change(packet)
	text, err := packet.B64Encode()
	require.NoError(b.t, err)
	return b.signer.sign(map[string]any{"format": "psbt", "payload": text, "paths": signing["paths"]})
}

// tampered hands in what was signed of something else.
func (b *coinTeller) tampered() {
	id := b.toFriend("0.2")
	signing := b.signing(id)
	for field, change := range map[string]func(tx *wire.MsgTx){
		"outputs[0].amount":  func(tx *wire.MsgTx) { tx.TxOut[0].Value-- },
		"outputs[1].script":  func(tx *wire.MsgTx) { tx.TxOut[1].PkScript = b.world.miner.Script(localnode.P2WPKH) },
		"lock_time":          func(tx *wire.MsgTx) { tx.LockTime++ },
		"inputs[0].sequence": func(tx *wire.MsgTx) { tx.TxIn[0].Sequence = wire.MaxTxInSequenceNum },
	} {
		status, answer := b.do("POST", "/transactions/"+id+"/signing", b.changed(signing, func(packet *psbt.Packet) { change(packet.UnsignedTx) }))
		require.Equal(b.t, 400, status, "%s: %v", field, answer)
		require.Equal(b.t, "signed_refused", answer["code"], field)
		require.Contains(b.t, answer["errors"], "signed."+field)
	}
	status, answer := b.do("POST", "/transactions/"+id+"/signing", map[string]any{"signed": signing["payload"]})
	require.Equal(b.t, 400, status)
	require.Contains(b.t, answer["errors"], "signed.inputs[0]", "it is not signed")
	require.Equal(b.t, "PendingSignature", b.get(id)["status"])
	b.sign(id)
	b.atNode(id)
	b.world.generate(2)
	b.await(id, "Completed")
}

// reorganised takes a completed withdrawal back, and it is mined again.
func (b *coinTeller) reorganised() {
	before := b.received()
	id := b.toFriend("0.05")
	b.sign(id)
	tx := b.atNode(id)
	b.world.generate(2)
	b.await(id, "Completed")
	held := b.holds(b.wallet)
	b.world.replace(2, 3)
	b.await(id, "Confirming")
	require.NotEqual(b.t, held, b.holds(b.wallet))
	require.Equal(b.t, before, b.received())
	require.Equal(b.t, tx, b.atNode(id))
	b.world.generate(2)
	require.Equal(b.t, tx, b.await(id, "Completed")["txHash"])
	b.awaitHolds(b.wallet, held)
	require.Equal(b.t, before+5_000_000, b.received())
}

// cancelled frees the coins it had.
func (b *coinTeller) cancelled() {
	held := b.holds(b.wallet)
	id := b.toFriend("0.3")
	signing := b.signing(id)
	signed := b.signer.sign(signing)
	require.Equal(b.t, "Cancelled", b.must("POST", "/transactions/"+id+"/cancel", nil)["status"])
	require.Equal(b.t, held, b.holds(b.wallet))
	status, answer := b.do("POST", "/transactions/"+id+"/signing", signed)
	require.Equal(b.t, 409, status, answer)
	require.Equal(b.t, "nothing_to_sign", answer["code"])
	id = b.toFriend("0.3")
	again := decodePSBT(b.t, b.signing(id)).UnsignedTx
	require.Equal(b.t, decodePSBT(b.t, signing).UnsignedTx.TxIn[0].PreviousOutPoint, again.TxIn[0].PreviousOutPoint)
	b.must("POST", "/transactions/"+id+"/cancel", nil)
}

// spentElsewhere: somebody with the keys spends the coins to a stranger.
func (b *coinTeller) spentElsewhere() {
	held := b.holds(b.wallet)
	id := b.toFriend("0.01")
	signing := b.sign(id)
	b.atNode(id)
	signed := b.changed(signing, func(packet *psbt.Packet) {
		packet.UnsignedTx.TxOut, packet.Outputs = packet.UnsignedTx.TxOut[:1], packet.Outputs[:1]
		packet.UnsignedTx.TxOut[0].PkScript = b.world.miner.Script(localnode.P2WPKH)
	})
	theft, err := psbt.NewFromRawBytes(strings.NewReader(signed["signed"].(string)), true)
	require.NoError(b.t, err)
	require.NoError(b.t, psbt.MaybeFinalizeAll(theft))
	raw, err := psbt.Extract(theft)
	require.NoError(b.t, err)
	_, err = b.world.node.Mine(b.t.Context(), b.world.miner.Script(localnode.P2WPKH), raw)
	require.NoError(b.t, err)
	b.world.generate(2)
	b.await(id, "Failed", "conflict")
	b.awaitHolds(b.wallet, held)
}

// away stops the daemon when the bytes were just accepted, and another one carries
// on.
func (b *coinTeller) away() {
	before := b.received()
	id := b.toFriend("0.02")
	b.sign(id)
	b.world.stop()
	b.world.start()
	b.atNode(id)
	b.world.generate(2)
	b.await(id, "Completed")
	require.Equal(b.t, before+2_000_000, b.received())
}
