package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The model of withdrawals is a chain of transactions that spend each other's
// outputs, and people who order, sign, cancel, replace, mine, steal and reorganise
// in any order, while the process dies at any boundary. A naive reader of the chain
// knows how each withdrawal must stand once it was looked at.

const payDepth = 2

// ptx is a transaction of the model.
type ptx struct {
	id     chains.Hash
	inputs []chains.Outpoint
	match  chains.Match
}

type payModel struct {
	*till
	t       *rapid.T
	tb      testing.TB
	fault   *countdown
	wallets []custody.Wallet
	ids     []uuid.UUID
	blocks  [][]ptx // of till.chain
	pool    []ptx   // what nodes would mine
	givenUp map[uuid.UUID]bool
	number  int

	completed map[uuid.UUID]chains.Hash // in which block
}

func (m *payModel) ctx() context.Context { return context.Background() }

func (m *payModel) next() int { m.number++; return m.number }

// mined returns the height that a transaction stands at.
func (m *payModel) mined(id chains.Hash) (uint64, bool) {
	for i, txs := range m.blocks {
		if slices.ContainsFunc(txs, func(tx ptx) bool { return tx.id == id }) {
			return m.chain[i].Height, true
		}
	}
	return 0, false
}

// spender returns what spends a coin in the chain.
func (m *payModel) spender(coin chains.Outpoint) (chains.Hash, bool) {
	for _, txs := range m.blocks {
		for _, tx := range txs {
			if slices.Contains(tx.inputs, coin) {
				return tx.id, true
			}
		}
	}
	return chains.Hash{}, false
}

// valid reports whether a transaction can be mined next.
func (m *payModel) valid(tx ptx) bool {
	for _, in := range tx.inputs {
		_, there := m.mined(in.Tx)
		if _, spent := m.spender(in); spent || !there {
			return false
		}
	}
	_, already := m.mined(tx.id)
	return !already
}

// judge is what the nodes of the model say of signed bytes.
func (m *payModel) judge(raw string) chains.RefusalReason {
	for _, id := range m.ids {
		for _, draft := range m.withdrawal(m.tb, id).Drafts {
			if draft.Signed == nil || string(draft.Signed.Raw) != raw {
				continue
			}
			tx := m.txOf(draft)
			if _, already := m.mined(tx.id); !already && !m.valid(tx) {
				return chains.RefusedSpent
			}
			m.pool = append(m.pool, tx)
			return ""
		}
	}
	return chains.RefusedInvalid
}

func (m *payModel) txOf(draft custody.Draft) ptx {
	tx := ptx{id: draft.Signed.ID, match: m.effect(draft.Draft)}
	for _, in := range draft.Draft.Payment.Inputs {
		tx.inputs = append(tx.inputs, in.Outpoint)
	}
	return tx
}

// append mines transactions in one block.
func (m *payModel) append(txs ...ptx) {
	matches := make([]chains.Match, 0, len(txs))
	for _, tx := range txs {
		matches = append(matches, tx.match)
	}
	m.n = m.next() + 100
	m.blocks = append(m.blocks, txs)
	m.mine(m.tb, matches...)
}

func (m *payModel) deposit() {
	i := rapid.IntRange(0, len(m.wallets)-1).Draw(m.t, "wallet")
	n := m.next()
	leg := m.to(1000+n, i, rapid.IntRange(20, 200).Draw(m.t, "amount"))
	m.append(ptx{id: hash('t', 1000+n), match: chains.Match{Transfers: []chains.Transfer{leg}}})
}

func (m *payModel) someone() (custody.Withdrawal, bool) {
	if len(m.ids) == 0 {
		return custody.Withdrawal{}, false
	}
	id := rapid.SampledFrom(m.ids).Draw(m.t, "withdrawal")
	return m.withdrawal(m.tb, id), true
}

// done accepts a fault, and the outcomes named.
func (m *payModel) done(err error, outcomes ...error) bool {
	if err == nil {
		return true
	}
	if !errors.Is(err, errFault) && !slices.ContainsFunc(outcomes, func(o error) bool { return errors.Is(err, o) }) {
		require.NoError(m.t, err)
	}
	return false
}

func (m *payModel) orders() {
	wallet := rapid.SampledFrom(m.wallets).Draw(m.t, "wallet")
	order := m.order(wallet, int64(rapid.IntRange(1, 150).Draw(m.t, "amount")))
	m.done(second(m.Withdraw(m.ctx(), order)), custody.ErrInsufficient, custody.ErrFrozen)
	if _, err := m.Withdrawal(m.ctx(), m.realm, order.ID); err == nil {
		m.ids = append(m.ids, order.ID)
	}
}

func (m *payModel) signing() {
	w, ok := m.someone()
	if draft := w.ToSign(); ok && draft != nil {
		m.done(second(m.Accept(m.ctx(), m.realm, w.ID, draft.N, sign(draft.Draft))), custody.ErrFrozen, custody.ErrNotSignable)
	}
}

func (m *payModel) cancels() {
	if w, ok := m.someone(); ok {
		cancellable := w.Status.Cancellable() || w.Status == custody.Cancelled
		if m.done(second(m.Cancel(m.ctx(), m.realm, w.ID)), custody.ErrSigned, custody.ErrSettled) {
			require.True(m.t, cancellable, "%s", w.Status)
		}
	}
}

func (m *payModel) bumps() {
	if w, ok := m.someone(); ok {
		m.done(second(m.Bump(m.ctx(), m.realm, w.ID)), custody.ErrSettled)
	}
}

// steps lets somebody look at some withdrawals.
func (m *payModel) steps() {
	m.hurry(m.tb)
	for range rapid.IntRange(1, 6).Draw(m.t, "steps") {
		_, err := m.payer.Step(m.ctx())
		m.done(err)
	}
}

// mines mines some of what nodes were told.
func (m *payModel) mines() {
	var txs []ptx
	for range rapid.IntRange(0, 2).Draw(m.t, "txs") {
		valid := slices.DeleteFunc(slices.Clone(m.pool), func(tx ptx) bool {
			return !m.valid(tx) || slices.ContainsFunc(txs, func(other ptx) bool {
				return slices.ContainsFunc(tx.inputs, func(in chains.Outpoint) bool { return slices.Contains(other.inputs, in) })
			})
		})
		if len(valid) == 0 {
			break
		}
		txs = append(txs, rapid.SampledFrom(valid).Draw(m.t, "tx"))
	}
	m.append(txs...)
}

// hastens brings everything on its way a step on: what waits is built, signed, told
// to nodes and mined.
func (m *payModel) hastens() {
	m.fault.arm("", 0)
	m.again(m.tb)
	for _, id := range m.ids {
		w := m.withdrawal(m.tb, id)
		if draft := w.ToSign(); draft != nil {
			m.done(second(m.Accept(m.ctx(), m.realm, id, draft.N, sign(draft.Draft))), custody.ErrFrozen, custody.ErrNotSignable)
		}
	}
	m.again(m.tb)
	for _, tx := range m.pool {
		if m.valid(tx) {
			m.append(tx)
		}
	}
}

// steals spends a coin of a draft elsewhere.
func (m *payModel) steals() {
	w, ok := m.someone()
	if !ok || w.Newest() == nil {
		return
	}
	tx := ptx{id: hash('x', m.next()), inputs: []chains.Outpoint{rapid.SampledFrom(w.Newest().Draft.Payment.Inputs).Draw(m.t, "coin").Outpoint}}
	tx.match.Spends = []chains.Spend{{Tx: tx.id, Spent: tx.inputs[0]}}
	if m.valid(tx) {
		m.append(tx)
	}
}

func (m *payModel) reorgs() {
	depth := rapid.IntRange(0, min(4, len(m.chain))).Draw(m.t, "depth")
	for range depth {
		m.pool = append(m.pool, m.blocks[len(m.blocks)-1]...)
		m.blocks = m.blocks[:len(m.blocks)-1]
		m.unmine(m.tb, 1)
	}
}

// settled looks at everything until nothing changes, and compares.
func (m *payModel) settled() {
	m.fault.arm("", 0)
	m.again(m.tb)
	m.again(m.tb)
	for _, id := range m.ids {
		m.compare(m.withdrawal(m.tb, id))
	}
}

func (m *payModel) compare(w custody.Withdrawal) {
	tip := m.tip().Height
	for _, draft := range w.Drafts {
		if draft.Signed == nil {
			continue
		}
		if height, mined := m.mined(draft.Signed.ID); mined {
			want := custody.OnChain
			if tip-height+1 >= payDepth || m.completed[w.ID] == w.Mined.Block {
				want = custody.Completed
			}
			require.Equal(m.t, want, w.Status, "%s: draft %d is mined at %d, the tip is %d", w.ID, draft.N, height, tip)
			require.Equal(m.t, draft.N, w.Mined.Draft)
			return
		}
	}
	require.Nil(m.t, w.Mined)
	require.NotEqual(m.t, custody.Completed, w.Status)
	if w.NewestSigned() != nil {
		require.Contains(m.t, []custody.Status{custody.Broadcasting, custody.OnChain, custody.Failed}, w.Status)
	}
	if w.NewestSigned() == nil && w.Status.Open() {
		require.Contains(m.t, []custody.Status{custody.Submitted, custody.PendingSignature}, w.Status)
	}
}

// gone reports whether no draft of a withdrawal can be mined.
func (m *payModel) gone(w custody.Withdrawal) bool {
	return !slices.ContainsFunc(w.Drafts, func(draft custody.Draft) bool { return draft.Signed != nil && m.valid(m.txOf(draft)) })
}

// check re-derives what must hold at any moment.
func (m *payModel) check() {
	m.sound(m.tb)
	left := chains.Amount{}
	for _, id := range m.ids {
		w := m.withdrawal(m.tb, id)
		if w.Status == custody.Completed {
			left = left.Add(w.Amount)
			m.completed[id] = w.Mined.Block // and stays so as long as that stands
		}
		if w.Status == custody.Failed && !m.givenUp[id] {
			require.True(m.t, m.gone(w), "%s: a draft can still be mined", id)
		}
		// A reorg does not bring back what was given up, unless it is mined.
		m.givenUp[id] = w.Status == custody.Failed
	}
	credited, held := chains.Amount{}, chains.Amount{}
	for _, wallet := range m.wallets {
		w, err := m.Wallet(m.ctx(), m.realm, wallet.ID)
		require.NoError(m.t, err)
		held = held.Add(w.Balance.Credited())
		for _, d := range m.depositsOf(m.tb, wallet) {
			if d.State == custody.Credited {
				credited = credited.Add(d.Amount)
			}
		}
	}
	require.Equal(m.t, credited.Sub(left).String(), held.String(), "what came, less what left, is what wallets have")
}

func TestPayModel(t *testing.T) {
	t.Parallel()
	fault := &countdown{}
	s := openStore(t, store.Options{Failpoint: fault.fail})
	rapid.Check(t, func(rt *rapid.T) {
		fault.arm("", 0)
		m := &payModel{till: tillIn(t, s, chains.FamilyBitcoin, depth(payDepth)), t: rt, tb: t, fault: fault, givenUp: map[uuid.UUID]bool{}, completed: map[uuid.UUID]chains.Hash{}}
		m.node.judge = m.judge
		for range 3 {
			m.wallets = append(m.wallets, m.open(t))
		}
		rt.Repeat(map[string]func(*rapid.T){
			"deposit": func(t *rapid.T) { m.t = t; m.deposit() },
			"order":   func(t *rapid.T) { m.t = t; m.orders() },
			"sign":    func(t *rapid.T) { m.t = t; m.signing() },
			"hasten":  func(t *rapid.T) { m.t = t; m.hastens() },
			"cancel":  func(t *rapid.T) { m.t = t; m.cancels() },
			"bump":    func(t *rapid.T) { m.t = t; m.bumps() },
			"steps":   func(t *rapid.T) { m.t = t; m.steps() },
			"steps2":  func(t *rapid.T) { m.t = t; m.steps() },
			"mine":    func(t *rapid.T) { m.t = t; m.mines() },
			"steal":   func(t *rapid.T) { m.t = t; m.steals() },
			"reorg":   func(t *rapid.T) { m.t = t; m.reorgs() },
			"settle":  func(t *rapid.T) { m.t = t; m.settled() },
			"fault": func(t *rapid.T) {
				verb := rapid.SampledFrom([]string{"withdraw", "take_turn", "put_draft", "decline", "accept", "cancel", "bump", "settle_withdrawal"}).Draw(t, "verb")
				fault.arm(verb+rapid.SampledFrom([]string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit}).Draw(t, "boundary"), 1)
			},
			"": func(t *rapid.T) { m.t = t; m.check() },
		})
		m.settled()
		m.check()
	})
}
