package main

import (
	"fmt"
	"math/big"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/indexer/custody"
)

func TestEthereumDeposits(t *testing.T) {
	t.Parallel()
	e := newEthereumMatrix(t)
	for _, f := range frauds() {
		e.on(f.name, f.run)
	}
	e.on("BackToTheFirstBranch", (*ethereumMatrix).back) // while the node's chain is short: it tells all its past states
	for _, depth := range []int{1, 2, 3, 6, 7, 64, 130} {
		e.on(fmt.Sprintf("Reorg%d", depth), func(e *ethereumMatrix) { e.reorg(depth) })
	}
	e.on("OtherLogIndex", (*ethereumMatrix).otherLogIndex)
	e.on("OtherNonceTaken", (*ethereumMatrix).nonceTaken)
	e.on("FailsOnOtherBranch", (*ethereumMatrix).failsOnOtherBranch)
	e.on("LargeWaitsForFinality", (*ethereumMatrix).finality)
	e.on("MovedOn", (*ethereumMatrix).movedOn)
	e.on("DeepReorgHalts", (*ethereumMatrix).deepReorgHalts)
	e.on("DaemonAway", (*ethereumMatrix).away)
}

// fraud is a transaction that says more than it does, or does more than it says.
type fraud struct {
	name     string
	asset    func(e *ethereumMatrix) chains.AssetID // of the wallet that is meant
	act      func(e *ethereumMatrix, p *purse)
	credited int64 // what of it the wallet gets
	claimed  bool  // there is a deposit of which nothing arrives
	unsaid   int64 // what reaches the address and no log or trace tells
}

func frauds() []fraud {
	coin := func(e *ethereumMatrix) chains.AssetID { return e.coin }
	token := func(e *ethereumMatrix) chains.AssetID { return e.token }
	weird := func(e *ethereumMatrix) chains.AssetID { return e.weird }
	silent := func(e *ethereumMatrix) chains.AssetID { return e.silent }
	does := func(function string) func(e *ethereumMatrix, p *purse) {
		return func(e *ethereumMatrix, p *purse) { e.transact(e.doing(function, p, 1_000)) }
	}
	creates := func(text, status string) func(e *ethereumMatrix, p *purse) {
		return func(e *ethereumMatrix, p *purse) {
			require.Equal(e.t, status, e.create(big.NewInt(1_000), code(text, p.Address)).Status)
		}
	}
	return []fraud{
		{name: "FailedTransaction", asset: coin, act: failedTransaction},
		{name: "FailedTransfer", asset: token, act: failedTransfer},
		{name: "FalseWithoutLog", asset: silent, act: falseWithoutLog},
		{name: "FakeTokenOfTheSameSymbol", asset: token, act: fakeToken},
		{name: "LogWithoutMove", asset: weird, act: does(weirdClaim), claimed: true},
		{name: "MoveWithoutLog", asset: weird, act: does(weirdQuiet), unsaid: 1_000},
		{name: "FeeOnTransfer", asset: weird, act: does(weirdTaxed), credited: 900},
		{name: "ZeroTransfer", asset: weird, act: func(e *ethereumMatrix, p *purse) { e.transact(e.doing(weirdTransfer, p, 0)) }},
		{name: "Minted", asset: weird, act: does(weirdMint), credited: 1_000},
		{name: "ThingOfTheSameTopic", asset: weird, act: does(weirdThing)},
		{name: "ThingsOfAnotherStandard", asset: weird, act: does(weirdThings)},
		{name: "WrappedWithoutTransfer", asset: func(e *ethereumMatrix) chains.AssetID { return e.wrapping }, act: wrapped, credited: 1_000},
		{name: "Rebase", asset: weird, act: rebased, credited: 1_000, unsaid: 500},
		{name: "ReturnedInTheSameTransaction", asset: weird, act: does(weirdBounce), claimed: true},
		{name: "RevertedInnerCall", asset: coin, act: revertedInnerCall},
		{name: "InnerCall", asset: coin, act: innerCall, credited: 500},
		{name: "PaidAndReverted", asset: coin, act: creates(paysAndReverts, "0x0")},
		{name: "DelegateCall", asset: coin, act: creates(delegatesTo, "0x1")},
		{name: "CallCode", asset: coin, act: creates(callsCodeOf, "0x1")},
		{name: "SelfDestruct", asset: coin, act: creates(destroysItself, "0x1"), credited: 1_000},
	}
}

func (f fraud) run(e *ethereumMatrix) {
	p := e.open(f.asset(e))
	p.unsaid = units(f.unsaid)
	f.act(e, p)
	e.empty(every)
	e.level()
	switch {
	case f.credited > 0:
		e.only(p, custody.Credited)
	case f.claimed:
		require.Equal(e.t, custody.ReasonUnmoved, e.only(p, custody.Dropped).Reason)
	default:
		require.Empty(e.t, e.deposits(p))
	}
	e.is(p, f.credited, 0)

	// What follows is credited as if nothing had been.
	if p.Asset.ID == e.silent || p.Address == e.door {
		return // it cannot be paid
	}
	e.transact(e.paying(p, 77))
	e.empty(every - 1)
	until(e.t, "the honest payment is credited", func() bool { return e.holds(p) == fmt.Sprintf("%d 0", f.credited+77) })
}

// failedTransaction sends ether to an address whose code refuses it.
func failedTransaction(e *ethereumMatrix, p *purse) {
	require.Equal(e.t, e.door, p.Address, "the first of the pool")
	receipt := e.chain.transact(localnode.Transaction{To: p.Address, Value: big.NewInt(1_000)})
	require.Equal(e.t, "0x0", receipt.Status)
}

// wrapped pays by what WETH9 logs in place of a Transfer.
func wrapped(e *ethereumMatrix, p *purse) {
	tx := e.doing(weirdWrap, p, 0)
	tx.To, tx.Value = e.wrapping.Contract(), big.NewInt(1_000)
	e.transact(tx)
}

// rebased lets a balance grow that was paid in, without a payment.
func rebased(e *ethereumMatrix, p *purse) {
	e.transact(e.doing(weirdTransfer, p, 1_000))
	e.level()
	e.transact(e.doing(weirdRebase, p, 1_500))
}

// failedTransfer sends more of a token than there is.
func failedTransfer(e *ethereumMatrix, p *purse) {
	receipt := e.chain.transact(localnode.Transaction{To: e.token.Contract(), Data: localnode.TransferData(p.Address, big.NewInt(2e15))})
	require.Equal(e.t, "0x0", receipt.Status)
}

// falseWithoutLog calls a token that says no without failing.
func falseWithoutLog(e *ethereumMatrix, p *purse) {
	receipt := e.chain.transact(localnode.Transaction{To: e.silent.Contract(), Data: localnode.TransferData(p.Address, big.NewInt(1_000))})
	require.Equal(e.t, "0x1", receipt.Status)
	require.Empty(e.t, e.logs(receipt))
}

// fakeToken pays with a token that calls itself as a listed one does.
func fakeToken(e *ethereumMatrix, p *purse) {
	fake, err := e.chain.node.DeployToken(e.t.Context(), localnode.Token{Symbol: "TST", Decimals: 6, Supply: big.NewInt(1e15)})
	require.NoError(e.t, err)
	receipt := e.chain.transact(localnode.Transaction{To: fake, Data: localnode.TransferData(p.Address, big.NewInt(1_000))})
	require.Equal(e.t, "0x1", receipt.Status)
	require.Len(e.t, e.logs(receipt), 1)
}

// revertedInnerCall pays within a call that reverts, in a transaction that does
// not.
func revertedInnerCall(e *ethereumMatrix, p *purse) {
	e.payout(fmt.Sprintf("0x%040x", 0xbeef), p.Address)
}

// innerCall pays by a call that succeeds beside one that reverts.
func innerCall(e *ethereumMatrix, p *purse) {
	e.payout(p.Address, fmt.Sprintf("0x%040x", 0xbeef))
}

func (e *ethereumMatrix) payout(first, second string) {
	e.t.Helper()
	payout, err := e.chain.node.DeployPayout(e.t.Context())
	require.NoError(e.t, err)
	receipt := e.chain.transact(localnode.Transaction{To: payout, Value: big.NewInt(1_000), Data: localnode.PayFirstData(first, second)})
	require.Equal(e.t, "0x1", receipt.Status)
}

// reorg takes a payment of the coin and one of a token back with blocks of which
// theirs was the lowest, and mines them again.
func (e *ethereumMatrix) reorg(depth int) {
	w := e.wallets(e.coin, e.token)
	paid := e.together(e.paying(w[0], 10_000), e.paying(w[1], 20_000))
	raws := []string{e.raw(paid[0]), e.raw(paid[1])}
	e.empty(depth - 1)
	state, reason := custody.Confirming, ""
	if depth >= every {
		state, reason = custody.Credited, "a reorg took back"
	}
	coin, token := e.only(w[0], state), e.only(w[1], state)
	e.replace(depth)
	e.level()
	e.only(w[0], custody.Orphaned, coin)
	e.only(w[1], custody.Orphaned, token)
	e.is(w[0], 0, 0)
	e.is(w[1], 0, 0)
	if reason != "" {
		e.resume(reason)
	}
	e.again(raws...)
	e.only(w[0], custody.Confirming, coin)
	e.only(w[1], custody.Confirming, token)
	e.empty(every - 1)
	e.only(w[0], custody.Credited, coin)
	e.only(w[1], custody.Credited, token)
	e.is(w[0], 10_000, 0)
	e.is(w[1], 20_000, 0)
}

// otherLogIndex mines two logs of one transaction, and then on another branch the
// same transaction after one that logs too.
func (e *ethereumMatrix) otherLogIndex() {
	p, q := e.open(e.weird), e.open(e.weird)
	paid := e.transact(e.doing(weirdTwice, p, 300))
	e.empty(every - 1)
	found := e.await(p, custody.Credited, custody.Credited)
	require.Equal(e.t, []string{"0x0", "0x1"}, e.logs(paid))
	other := e.doing(weirdMint, q, 400)
	other.From = e.chain.node.Accounts[1]
	first := e.transact(other)
	e.level()

	e.replace(every+1, e.raw(first), e.raw(paid))
	require.Equal(e.t, []string{"0x1", "0x2"}, e.logs(paid))
	e.level()
	e.resume("a reorg took back 2 credited deposits")
	again := e.await(p, custody.Credited, custody.Credited)
	e.only(q, custody.Credited)
	for i := range found {
		require.Equal(e.t, found[i].ID, again[i].ID)
		require.NotEqual(e.t, found[i].Block.Hash, again[i].Block.Hash)
		require.Equal(e.t, 2, e.events("deposit.credited", found[i].ID.String()))
		require.Equal(e.t, 1, e.standing(found[i].ID))
	}
	e.is(p, 600, 0)
}

// nonceTaken lets the payer spend the payment's nonce otherwise on another branch.
func (e *ethereumMatrix) nonceTaken() {
	p := e.open(e.coin)
	paid := e.transact(e.paying(p, 10_000))
	raw := e.raw(paid)
	e.empty(every - 1)
	d := e.only(p, custody.Credited)
	e.replace(every)
	e.transact(localnode.Transaction{To: fmt.Sprintf("0x%040x", 0xbeef), Value: big.NewInt(10_000)})
	require.Error(e.t, e.chain.node.Call(e.t.Context(), "eth_sendRawTransaction", nil, raw))
	e.empty(every)
	e.level()
	e.only(p, custody.Orphaned, d)
	e.resume("a reorg took back")
	require.Equal(e.t, custody.ReasonReorg, e.only(p, custody.Dropped, d).Reason)
	e.is(p, 0, 0)
}

// failsOnOtherBranch mines a transfer again where its sender has nothing: the same
// transaction fails.
func (e *ethereumMatrix) failsOnOtherBranch() {
	p := e.open(e.token)
	sender := e.chain.node.Accounts[1]
	e.transact(localnode.Transaction{To: e.token.Contract(), Data: localnode.TransferData(sender, big.NewInt(700))})
	passing := e.paying(p, 700)
	passing.From = sender
	paid := e.transact(passing)
	e.empty(every - 1)
	d := e.only(p, custody.Credited)
	e.replace(every+1, e.raw(paid))
	require.Equal(e.t, "0x0", e.receipt(paid.TransactionHash).Status)
	e.level()
	e.resume("a reorg took back")
	e.only(p, custody.Orphaned, d)
	e.empty(every)
	e.only(p, custody.Dropped, d)
	e.is(p, 0, 0)
}

// finality pays an amount that a rule asks finality for, and one that is a unit
// below it.
func (e *ethereumMatrix) finality() {
	const most = 1_000_000_000
	p, q := e.open(e.token), e.open(e.token)
	p.confirmations = finalDepth + 1
	e.together(e.paying(p, most), e.paying(q, most-1))
	e.empty(finalDepth - 1)
	e.only(q, custody.Credited)
	e.level()
	e.is(p, 0, most)
	e.empty(1)
	e.only(p, custody.Credited)
	e.is(p, most, 0)
}

// movedOn takes a credit back after the wallet has passed it on: the wallet owes,
// and is frozen until the payment is mined again.
func (e *ethereumMatrix) movedOn() {
	p, q := e.open(e.token), e.open(e.token)
	raw := e.raw(e.transact(e.paying(p, 50_000)))
	e.empty(every - 1)
	d := e.only(p, custody.Credited)
	require.NoError(e.t, e.transfer(p, q, units(30_000)))
	e.replace(every)
	e.only(p, custody.Orphaned, d)
	e.is(p, -30_000, 0, "Frozen")
	e.is(q, 30_000, 0)
	require.ErrorIs(e.t, e.transfer(p, q, units(1)), custody.ErrFrozen)
	require.Equal(e.t, 1, e.events("wallet.status.updated", p.ID.String()))
	e.resume("a reorg took back")
	e.again(raw)
	e.empty(every - 1)
	e.only(p, custody.Credited, d)
	e.is(p, 20_000, 0)
	require.Equal(e.t, 2, e.events("wallet.status.updated", p.ID.String()))
}

// deepReorgHalts takes back more blocks than the policy lets a reorg, none of them
// with a deposit.
func (e *ethereumMatrix) deepReorgHalts() {
	p := e.open(e.coin)
	for range 2 { // so that blocks without them are others
		e.transact(localnode.Transaction{To: fmt.Sprintf("0x%040x", 0xbeef), Value: big.NewInt(1)})
	}
	e.empty(deep - 1)
	e.level()
	e.replace(deep)
	e.level()
	require.Empty(e.t, e.halted(), "as deep as it may be")
	e.replace(deep + 1)
	e.level()
	e.transact(e.paying(p, 60_000))
	e.empty(every)
	e.level()
	e.only(p, custody.Confirming)
	e.is(p, 0, 60_000)
	e.resume(fmt.Sprintf("more than %d blocks", deep))
	e.is(p, 60_000, 0)
}

// back moves the node to a branch without the payment, and then back to the first.
func (e *ethereumMatrix) back() {
	w := e.wallets(e.coin, e.token)
	e.together(e.paying(w[0], 70_000), e.paying(w[1], 71_000))
	e.empty(every)
	coin, token := e.only(w[0], custody.Credited), e.only(w[1], custody.Credited)
	var first string
	require.NoError(e.t, e.chain.node.Call(e.t.Context(), "anvil_dumpState", &first, true))
	e.replace(every + 1)
	e.only(w[0], custody.Orphaned, coin)
	e.level()
	e.resume("a reorg took back")
	require.NoError(e.t, e.chain.node.Call(e.t.Context(), "anvil_loadState", nil, first))
	for i, known := range []custody.Deposit{coin, token} {
		now := e.only(w[i], custody.Credited, known)
		require.Equal(e.t, known.Block.Hash, now.Block.Hash)
	}
	e.is(w[0], 70_000, 0)
	e.is(w[1], 71_000, 0)
}

// away reorganises while no daemon looks: one deposit is gone, one moves to another
// log index, one is new.
func (e *ethereumMatrix) away() {
	p, q, r := e.open(e.coin), e.open(e.weird), e.open(e.weird)
	minting := e.doing(weirdMint, q, 81_000)
	minting.From = e.chain.node.Accounts[1]
	paid := e.together(e.paying(p, 80_000), minting)
	e.empty(every - 1)
	d, moved := e.only(p, custody.Credited), e.only(q, custody.Credited)
	e.stack.stop()
	raw := e.raw(paid[1])
	e.replace(every)
	minting = e.doing(weirdMint, r, 82_000)
	minting.From = e.chain.node.Accounts[2]
	late, err := e.chain.node.Send(e.t.Context(), minting)
	require.NoError(e.t, err)
	require.Equal(e.t, "0x1", e.receipt(late).Status)
	e.again(raw)
	e.empty(every)
	e.stack.start()
	e.level()
	e.only(p, custody.Orphaned, d)
	e.resume("a reorg took back")
	e.only(p, custody.Dropped, d)
	e.only(q, custody.Credited, moved)
	e.only(r, custody.Credited)
	e.is(p, 0, 0)
	e.is(q, 81_000, 0)
	e.is(r, 82_000, 0)
}
