package main

import (
	"fmt"
	"testing"

	"github.com/btcsuite/btcd/wire/v2"
	"github.com/stretchr/testify/require"

	"tallyd/chains/localnode"
	"tallyd/indexer/custody"
)

func TestBitcoinDeposits(t *testing.T) {
	t.Parallel()
	b := newBitcoinMatrix(t)
	for _, depth := range []int{1, 2, 3, 6, 7, 30, 120} {
		b.on(fmt.Sprintf("Reorg%d", depth), func(b *bitcoinMatrix) { b.reorg(depth) })
	}
	for _, d := range doubleSpends() {
		b.on("DoubleSpend"+d.name, d.run)
	}
	b.on("OtherPosition", (*bitcoinMatrix).otherPosition)
	b.on("TwoOutputs", (*bitcoinMatrix).twoOutputs)
	b.on("Malleated", (*bitcoinMatrix).malleated)
	b.on("ParentReplaced", (*bitcoinMatrix).parentReplaced)
	b.on("ParentReplacedOnOtherBranch", (*bitcoinMatrix).parentReplacedOnOtherBranch)
	b.on("PendingIsNoMoney", (*bitcoinMatrix).pending)
	b.on("LargeNeedsMore", (*bitcoinMatrix).largeNeedsMore)
	b.on("CoinbaseOrphaned", (*bitcoinMatrix).coinbaseOrphaned)
	b.on("CoinbaseImmature", (*bitcoinMatrix).coinbaseImmature)
	b.on("MovedOn", (*bitcoinMatrix).movedOn)
	b.on("DeepReorgHalts", (*bitcoinMatrix).deepReorgHalts)
	b.on("BackToTheFirstBranch", (*bitcoinMatrix).back)
	b.on("DaemonAway", (*bitcoinMatrix).away)
	b.on("ForgottenByTheNode", (*bitcoinMatrix).forgotten)
}

// reorg takes a deposit back with blocks of which it was the lowest, and mines it
// again.
func (b *bitcoinMatrix) reorg(depth int) {
	p := b.wallet()
	tx := b.pay(localnode.Payment{}, b.to(p, 10_000))
	b.mine(tx)
	b.empty(depth - 1)
	state, reason := custody.Confirming, ""
	if depth >= every {
		state, reason = custody.Credited, "a reorg took back"
	}
	d := b.only(p, state)
	b.chain.replace(depth, depth+1)
	b.level()
	b.only(p, custody.Detected, d)
	b.is(p, 0, 10_000)
	if reason != "" {
		b.resume(reason)
	}
	b.chain.generate(1)
	b.only(p, custody.Confirming, d)
	b.empty(every - 1)
	d = b.only(p, custody.Credited, d)
	require.Equal(b.t, name(tx), d.Tx.String())
	b.is(p, 10_000, 0)
}

// doubleSpend is a payment to a wallet, and another one of the same coins.
type doubleSpend struct {
	name   string
	blocks int  // that stand on the payment when the other comes; 0 while it waits
	secret bool // no mempool ever had the payment
	public bool // the node hears of the other before it is mined
	ours   bool // the other pays the same wallet the same
	want   []custody.DepositState
}

func doubleSpends() []doubleSpend {
	gone, again := []custody.DepositState{custody.Replaced}, []custody.DepositState{custody.Replaced, custody.Credited}
	return []doubleSpend{
		{name: "ByFee", blocks: 0, public: true, ours: false, want: gone},
		{name: "ByFeeToUs", blocks: 0, public: true, ours: true, want: again},
		{name: "MinedUnheard", blocks: 0, public: false, ours: false, want: gone},
		{name: "MinedUnheardToUs", blocks: 0, public: false, ours: true, want: again},
		{name: "Confirming", blocks: 1, public: false, ours: false, want: gone},
		{name: "Credited", blocks: 3, public: false, ours: false, want: gone},
		{name: "CreditedToUs", blocks: 3, public: false, ours: true, want: again},
		{name: "CreditedLongAgo", blocks: 20, public: false, ours: false, want: gone},
		// Nobody said what it spends, so nobody knows that it was spent: it is given up
		// when the other branch is as deep as it should have been.
		{name: "ConfirmingUnheard", blocks: 1, secret: true, public: false, ours: false, want: []custody.DepositState{custody.Dropped}},
		{name: "CreditedUnheard", blocks: 3, secret: true, public: false, ours: false, want: []custody.DepositState{custody.Dropped}},
		{name: "CreditedUnheardToUs", blocks: 3, secret: true, public: false, ours: true, want: []custody.DepositState{custody.Dropped, custody.Credited}},
	}
}

func (s doubleSpend) run(b *bitcoinMatrix) {
	p := b.wallet()
	first := s.first(b, p)
	to := b.stranger(20_000)
	if s.ours {
		to = b.to(p, 20_000)
	}
	other := b.conflict(first, to)
	switch {
	case s.public:
		_, err := b.chain.node.Send(b.t.Context(), other)
		require.NoError(b.t, err)
		b.await(p, s.pending()...)
		b.mine(other)
	case s.blocks == 0:
		b.mine(other)
	default:
		b.chain.replace(s.blocks, s.blocks+1, other)
	}
	b.empty(every - 1)
	if s.blocks >= every {
		b.level()
		b.resume("a reorg took back")
	}
	found := b.await(p, s.want...)
	require.Equal(b.t, name(first), found[0].Tx.String())
	if s.secret {
		require.Equal(b.t, custody.ReasonReorg, found[0].Reason)
	} else {
		require.Equal(b.t, name(other), found[0].ReplacedBy.String())
	}
	require.Equal(b.t, min(s.blocks/every, 1), b.events("deposit.credited", found[0].ID.String()))
	if s.ours {
		require.Equal(b.t, name(other), found[1].Tx.String())
		b.is(p, 20_000, 0)
		return
	}
	b.is(p, 0, 0)
}

// first makes the payment, and lets as many blocks stand on it as there are to be.
func (s doubleSpend) first(b *bitcoinMatrix, p *purse) *wire.MsgTx {
	payment := localnode.Payment{Replaceable: true, To: []*wire.TxOut{b.to(p, 20_000)}}
	tx, err := b.chain.miner.Build(b.t.Context(), b.chain.node, payment)
	require.NoError(b.t, err)
	if !s.secret {
		_, err := b.chain.node.Send(b.t.Context(), tx)
		require.NoError(b.t, err)
		b.only(p, custody.Detected)
	}
	if s.blocks > 0 {
		b.mine(tx)
		b.empty(s.blocks - 1)
		state := custody.Confirming
		if s.blocks >= every {
			state = custody.Credited
		}
		b.only(p, state)
	}
	return tx
}

// pending returns the states once the node has heard of the other.
func (s doubleSpend) pending() []custody.DepositState {
	if s.ours {
		return []custody.DepositState{custody.Replaced, custody.Detected}
	}
	return s.want
}

// otherPosition mines two payments, and then on another branch and one block
// later the same two in the opposite order.
func (b *bitcoinMatrix) otherPosition() {
	p, q := b.wallet(), b.wallet()
	first, second := b.pay(localnode.Payment{}, b.to(p, 31_000)), b.pay(localnode.Payment{}, b.to(q, 32_000))
	b.mine(first, second)
	b.empty(every - 1)
	d, e := b.only(p, custody.Credited), b.only(q, custody.Credited)
	height := d.Block.Height
	b.chain.replace(every, 1) // shorter than ours
	b.branch(b.below(every), nil, []*wire.MsgTx{second, first}, nil, nil)
	b.level()
	b.resume("a reorg took back")
	d, e = b.only(p, custody.Credited, d), b.only(q, custody.Credited, e)
	require.Equal(b.t, height+1, d.Block.Height)
	b.is(p, 31_000, 0)
	b.is(q, 32_000, 0)
	require.Equal(b.t, 2, b.events("deposit.credited", d.ID.String()))
	require.Equal(b.t, 1, b.standing(e.ID))
}

// twoOutputs pays a wallet twice in one transaction.
func (b *bitcoinMatrix) twoOutputs() {
	p := b.wallet()
	b.mine(b.pay(localnode.Payment{}, b.to(p, 7_000), b.to(p, 7_000)))
	b.empty(every - 1)
	found := b.await(p, custody.Credited, custody.Credited)
	require.NotEqual(b.t, found[0].Source, found[1].Source)
	b.is(p, 14_000, 0)
}

// malleated mines a payment under another id than it was announced by. The same
// signature spends the same coin.
func (b *bitcoinMatrix) malleated() {
	p := b.wallet()
	legacy := b.pay(localnode.Payment{Change: localnode.P2PKH})
	b.mine(legacy)
	tx := b.pay(localnode.Payment{Inputs: b.chain.miner.CoinsOf(legacy)[:1]}, b.to(p, 9_000))
	d := b.only(p, custody.Detected)
	twin := tx.Copy()
	const nop = 0x61
	twin.TxIn[0].SignatureScript = append([]byte{nop}, twin.TxIn[0].SignatureScript...)
	require.NotEqual(b.t, name(tx), name(twin))
	b.mine(twin)
	b.empty(every - 1)
	found := b.await(p, custody.Replaced, custody.Credited)
	require.Equal(b.t, d.ID, found[0].ID)
	require.Equal(b.t, name(twin), found[0].ReplacedBy.String())
	b.is(p, 9_000, 0)
}

// heir is a payment to a wallet of coins that are not confirmed themselves, and
// those coins' own transaction. Neither the parent nor who replaces it is ours.
func (b *bitcoinMatrix) heir(p *purse) (parent, child *wire.MsgTx) {
	parent = b.pay(localnode.Payment{Replaceable: true}, b.stranger(5_000))
	return parent, b.pay(localnode.Payment{Inputs: b.chain.miner.CoinsOf(parent)}, b.to(p, 41_000))
}

func (b *bitcoinMatrix) parentReplaced() {
	p := b.wallet()
	parent, _ := b.heir(p)
	d := b.only(p, custody.Detected)
	other := b.conflict(parent, b.stranger(5_000))
	_, err := b.chain.node.Send(b.t.Context(), other)
	require.NoError(b.t, err)
	b.only(p, custody.Dropped, d)
	b.mine(other)
	b.empty(every)
	b.only(p, custody.Dropped, d)
	b.is(p, 0, 0)
}

func (b *bitcoinMatrix) parentReplacedOnOtherBranch() {
	p := b.wallet()
	parent, child := b.heir(p)
	b.only(p, custody.Detected)
	b.mine(parent, child)
	b.empty(every - 1)
	d := b.only(p, custody.Credited)
	b.chain.replace(every, every+1, b.conflict(parent, b.stranger(5_000)))
	b.level()
	b.resume("a reorg took back")
	b.empty(every)
	b.level()
	b.only(p, custody.Dropped, d)
	b.is(p, 0, 0)
}

// pending tries to move what was seen, and what is in a block and not deep enough.
func (b *bitcoinMatrix) pending() {
	p, q := b.wallet(), b.wallet()
	refused := func(state custody.DepositState) {
		b.only(p, state)
		require.ErrorIs(b.t, b.transfer(p, q, units(1)), custody.ErrInsufficient)
		b.is(p, 0, 33_000)
	}
	tx := b.pay(localnode.Payment{}, b.to(p, 33_000))
	refused(custody.Detected)
	b.mine(tx)
	refused(custody.Confirming)
	b.empty(every - 2)
	b.level()
	refused(custody.Confirming)
	b.empty(1)
	b.only(p, custody.Credited)
	require.NoError(b.t, b.transfer(p, q, units(33_000)))
	b.is(p, 0, 0)
	b.is(q, 33_000, 0)
}

// largeNeedsMore pays an amount that a rule asks more confirmations for, and one
// that is a satoshi below it.
func (b *bitcoinMatrix) largeNeedsMore() {
	p, q := b.wallet(), b.wallet()
	b.mine(b.pay(localnode.Payment{}, b.to(p, large), b.to(q, large-1)))
	b.empty(every - 1)
	b.only(q, custody.Credited)
	b.level()
	b.is(p, 0, large)
	b.empty(largeEvery - every - 1)
	b.level()
	b.is(p, 0, large)
	b.empty(1)
	b.only(p, custody.Credited)
}

// reward mines a block whose reward goes to a wallet, and returns the amount.
func (b *bitcoinMatrix) reward(p *purse) int64 {
	block, err := b.chain.node.Mine(b.t.Context(), b.scripts[p.Address])
	require.NoError(b.t, err)
	return block.Transactions[0].TxOut[0].Value
}

// coinbaseOrphaned takes a reward back: there is nothing that could mine it again.
func (b *bitcoinMatrix) coinbaseOrphaned() {
	p := b.wallet()
	b.reward(p)
	b.empty(every)
	d := b.only(p, custody.Confirming)
	b.chain.replace(every+1, every+2)
	b.only(p, custody.Orphaned, d)
	b.empty(largeEvery)
	b.only(p, custody.Dropped, d)
	b.is(p, 0, 0)
}

// coinbaseImmature credits a reward when it can be spent, and not when others are.
func (b *bitcoinMatrix) coinbaseImmature() {
	p := b.wallet()
	amount := b.reward(p)
	b.empty(98)
	b.level()
	b.only(p, custody.Confirming)
	b.is(p, 0, amount)
	b.check()
	b.empty(1)
	d := b.only(p, custody.Credited)
	require.EqualValues(b.t, 100, d.Confirmations())
	b.is(p, amount, 0)
}

// movedOn takes a credit back after the wallet has passed it on: the wallet owes,
// and is frozen until it no longer does.
func (b *bitcoinMatrix) movedOn() {
	p, q := b.wallet(), b.wallet()
	tx := b.pay(localnode.Payment{}, b.to(p, 50_000))
	b.mine(tx)
	b.empty(every - 1)
	d := b.only(p, custody.Credited)
	require.NoError(b.t, b.transfer(p, q, units(50_000)))
	b.is(q, 50_000, 0)

	b.chain.replace(every, every+1)
	b.only(p, custody.Detected, d)
	b.is(p, -50_000, 50_000, "Frozen")
	b.is(q, 50_000, 0)
	require.ErrorIs(b.t, b.transfer(p, q, units(1)), custody.ErrFrozen)
	b.check()
	require.Equal(b.t, 1, b.events("wallet.status.updated", p.ID.String()))
	b.resume("a reorg took back")
	b.chain.generate(every)
	b.only(p, custody.Credited, d)
	b.is(p, 0, 0)
	b.check()
	require.Equal(b.t, 2, b.events("wallet.status.updated", p.ID.String()))

	b.chain.replace(every, every+1, b.conflict(tx, b.stranger(50_000)))
	b.only(p, custody.Replaced, d)
	b.is(p, -50_000, 0, "Frozen")
	b.resume("a reorg took back")
	require.NoError(b.t, b.transfer(q, p, units(50_000)))
	b.is(p, 0, 0)
	b.is(q, 0, 0)
}

// deepReorgHalts takes back more blocks than the policy lets a reorg, none of them
// with a deposit. What comes afterwards is followed, and credited once an operator
// says so.
func (b *bitcoinMatrix) deepReorgHalts() {
	p := b.wallet()
	b.empty(deep + 1)
	b.level()
	b.chain.replace(deep, deep+1)
	b.level()
	require.Empty(b.t, b.halted(), "as deep as it may be")
	b.chain.replace(deep+1, deep+2)
	b.level()
	require.Contains(b.t, b.halted(), fmt.Sprintf("more than %d blocks", deep))
	b.mine(b.pay(localnode.Payment{}, b.to(p, 60_000)))
	b.empty(every)
	b.level()
	b.only(p, custody.Confirming)
	b.is(p, 0, 60_000)
	b.resume("more than")
	b.is(p, 60_000, 0)
}

// back moves the node to a branch on which the deposit's coins went elsewhere, and
// then back to the first.
func (b *bitcoinMatrix) back() {
	p := b.wallet()
	tx := b.pay(localnode.Payment{}, b.to(p, 70_000))
	b.only(p, custody.Detected)
	b.mine(tx)
	b.empty(every - 1)
	d := b.only(p, custody.Credited)
	first := b.tip()
	b.chain.replace(every, every+1, b.conflict(tx, b.stranger(70_000)))
	b.only(p, custody.Replaced, d)
	b.level()
	b.resume("a reorg took back")
	_, err := b.chain.node.MineEmpty(b.t.Context(), first, b.chain.miner.Script(localnode.P2WPKH), 2)
	require.NoError(b.t, err)
	now := b.only(p, custody.Credited, d)
	require.Equal(b.t, d.Block.Hash, now.Block.Hash)
	require.Nil(b.t, now.ReplacedBy)
	b.is(p, 70_000, 0)
}

// away reorganises while no daemon looks: one deposit is replaced, one moves, one
// is new.
func (b *bitcoinMatrix) away() {
	p, q, r := b.wallet(), b.wallet(), b.wallet()
	first, second := b.pay(localnode.Payment{}, b.to(p, 80_000)), b.pay(localnode.Payment{}, b.to(q, 81_000))
	b.only(p, custody.Detected)
	b.mine(first, second)
	b.empty(every - 1)
	d, e := b.only(p, custody.Credited), b.only(q, custody.Credited)
	b.stack.stop()
	third := b.pay(localnode.Payment{}, b.to(r, 82_000))
	b.chain.replace(every, every+2, b.conflict(first, b.stranger(80_000)), second, third)
	b.stack.start()
	b.level()
	b.only(p, custody.Replaced, d)
	b.resume("a reorg took back")
	b.only(q, custody.Credited, e)
	b.only(r, custody.Credited)
	b.is(p, 0, 0)
	b.is(q, 81_000, 0)
	b.is(r, 82_000, 0)
}

// forgotten makes the node lose its mempool, and hear of the payment again.
func (b *bitcoinMatrix) forgotten() {
	ctx := b.t.Context()
	p := b.wallet()
	tx := b.pay(localnode.Payment{}, b.to(p, 90_000))
	d := b.only(p, custody.Detected)
	require.NoError(b.t, b.chain.node.Kill(ctx))
	require.NoError(b.t, b.chain.node.Restart(ctx))
	b.only(p, custody.Dropped, d)
	b.is(p, 0, 0)
	_, err := b.chain.node.Send(ctx, tx)
	require.NoError(b.t, err)
	b.only(p, custody.Detected, d)
	b.chain.generate(every)
	b.only(p, custody.Credited, d)
	b.is(p, 90_000, 0)
}
