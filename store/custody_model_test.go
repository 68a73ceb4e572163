package store_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The model of custody is the model of the ledger with wallets in it: wallets are
// opened at any moment, some at addresses that were paid before, money moves
// between them, reorgs of any depth take back what was credited, and an operator
// resumes. A naive replay knows which outputs are deposits and how deep they are.

// custodyDepth is how deep a deposit is when it is credited, and from
// custodyLarge on how deep a large one.
const (
	custodyDepth      = 2
	custodyLarge      = 700
	custodyLargeDepth = 3
)

type custodyModel struct {
	*model
	desk    *desk
	wallets []custody.Wallet
	index   map[uuid.UUID]int           // of a wallet: the number of its script
	moved   map[uuid.UUID]chains.Amount // by transfers, in less out
	credits map[uuid.UUID]int64         // versions of what was credited when last looked
	top     uint64                      // highest tip of the ledger since then
	peak    uint64                      // highest tip of the ledger ever
	left    map[uuid.UUID]uint64        // of an orphaned deposit: peak when it was first seen so
	stood   map[uuid.UUID]uint64        // of a deposit: its block's height when last looked
	ours    map[string]int              // of a deposit: how many wallets there were when it was first seen
	steps   int
	whole   uint64 // the tip since which the past of all wallets is known
}

func custodyPolicy(native chains.AssetID) custody.Policy {
	policy := depth(custodyDepth)
	policy.Rules = []custody.Rule{{
		Asset: native, From: chains.NewAmount(custodyLarge), Threshold: custody.Threshold{Basis: custody.BasisDepth, Confirmations: custodyLargeDepth},
	}}
	return policy
}

// deriveModel derives the scripts that the model's transactions pay.
func deriveModel(_ custody.Key, index uint32) (indexer.WatchedScript, error) {
	return indexer.WatchedScript{Script: script(int(index)), Address: address(int(index)), Index: index}, nil
}

func (m *custodyModel) open() {
	if len(m.wallets) == modelScripts {
		return
	}
	w, err := m.desk.CreateWallet(m.ctx(), m.desk.wallet(m.vault(), m.b.chain.Native.ID), deriveModel)
	if errors.Is(err, errFault) {
		m.crash()
		m.reread()
		return
	}
	require.NoError(m.t, err)
	m.add(w)
}

func (m *custodyModel) vault() uuid.UUID {
	vault := custody.Vault{ID: uuid.New(), Realm: m.b.realm, Name: "v", Metadata: []byte("{}")}
	require.NoError(m.t, m.b.CreateVault(m.ctx(), vault))
	return vault.ID
}

func (m *custodyModel) add(w custody.Wallet) {
	m.index[w.ID] = len(m.wallets)
	m.wallets = append(m.wallets, w)
}

// reread finds a wallet whose opening committed although its caller heard of a
// fault.
func (m *custodyModel) reread() {
	vaults, _, err := m.b.Vaults(m.ctx(), m.b.realm, custody.VaultFilter{Limit: 1000})
	require.NoError(m.t, err)
	for _, v := range vaults {
		found, _, err := m.b.VaultWallets(m.ctx(), m.b.realm, v.ID, whole)
		require.NoError(m.t, err)
		for _, w := range found {
			if _, known := m.index[w.ID]; !known {
				m.add(w)
			}
		}
	}
}

// transfer moves money between two wallets, sometimes more than there is.
func (m *custodyModel) transfer() {
	if len(m.wallets) < 2 {
		return
	}
	from := rapid.SampledFrom(m.wallets).Draw(m.t, "from")
	to := rapid.SampledFrom(m.wallets).Draw(m.t, "to")
	amount := rapid.Int64Range(1, 600).Draw(m.t, "amount")
	id := uuid.New()
	before, err := m.b.Wallet(m.ctx(), m.b.realm, from.ID)
	require.NoError(m.t, err)
	_, err = m.b.Transfer(m.ctx(), custody.Order{ID: id, Realm: m.b.realm, Source: from.ID, Destination: to.ID, Amount: chains.NewAmount(amount)})
	if errors.Is(err, errFault) {
		// Whether it committed is what the ledger says.
		_, err = m.b.CustodyTransaction(m.ctx(), m.b.realm, id)
		if errors.Is(err, indexer.ErrNotFound) {
			return
		}
	}
	switch {
	case from.ID == to.ID:
		require.ErrorIs(m.t, err, custody.ErrSameWallet)
		return
	case before.Status == custody.WalletFrozen:
		require.ErrorIs(m.t, err, custody.ErrFrozen)
		return
	case before.Balance.Available.Cmp(chains.NewAmount(amount)) < 0:
		require.ErrorIs(m.t, err, custody.ErrInsufficient)
		return
	}
	require.NoError(m.t, err)
	m.moved[from.ID] = m.moved[from.ID].Sub(chains.NewAmount(amount))
	m.moved[to.ID] = m.moved[to.ID].Add(chains.NewAmount(amount))
}

func (m *custodyModel) resume() {
	m.climb()
	err := m.b.Resume(m.ctx(), m.b.chain.Slug)
	if errors.Is(err, errFault) {
		require.NoError(m.t, m.b.Resume(m.ctx(), m.b.chain.Slug))
		return
	}
	require.NoError(m.t, err)
}

// climb notes how high the ledger is now.
func (m *custodyModel) climb() {
	tip, err := m.b.Tip(m.ctx(), m.b.chain.Slug)
	require.NoError(m.t, err)
	m.top, m.peak = max(m.top, tip.Height), max(m.peak, tip.Height)
}

// paid is one output that a wallet's address got, as the replay sees it.
type paid struct {
	amount, height, due int // height -1 for the mempool
}

// replay returns the deposits of the script with a number: what pays it in a
// transaction that spends nothing that was ours when it was first seen.
func (m *custodyModel) replay(number int) map[string]paid {
	owner := map[chains.Outpoint]int{}
	found := map[string]paid{}
	note := func(tx mtx, height int) {
		for i, out := range tx.outputs {
			owner[chains.Outpoint{Tx: tx.hash(), Vout: uint32(i)}] = out.to
			key := fmt.Sprintf("%s %d", tx.hash(), i)
			ours, seen := m.ours[key]
			if !seen {
				ours = len(m.wallets)
			}
			own := slices.ContainsFunc(tx.inputs, func(in chains.Outpoint) bool {
				to, known := owner[in]
				return known && to < ours
			})
			if out.to != number || own || out.amount == 0 {
				continue
			}
			deep := custodyDepth
			if out.amount >= custodyLarge {
				deep = custodyLargeDepth
			}
			due := height + deep - 1
			if tx.coinbase {
				due = max(due, height+int(m.b.chain.Maturity)-1)
			}
			found[key] = paid{out.amount, height, due}
		}
	}
	for height, b := range m.branch {
		for _, tx := range b.txs {
			note(tx, height)
		}
	}
	for _, tx := range m.mempool {
		note(tx, -1)
	}
	return found
}

// keyOf returns the output that a deposit is, as the replay names it.
func keyOf(d custody.Deposit) string { return d.Tx.String() + " " + d.Source[len("vout:"):] }

// searched reports whether the past of all wallets is known: before that, the
// replay knows more than the ledger can.
func (m *custodyModel) searched() bool {
	scripts, err := m.b.SearchScripts(m.ctx(), m.b.chain.Slug, 1)
	require.NoError(m.t, err)
	return len(scripts) == 0
}

// checkCustody holds every wallet and deposit against the replay. What is told of
// them and the books it leaves to audit.
func (m *custodyModel) checkCustody() {
	var halted bool
	require.NoError(m.t, m.b.Pool().QueryRow(m.ctx(), `SELECT halted <> '' FROM cursors WHERE chain = $1`, m.b.chain.Slug).Scan(&halted))
	m.climb()
	complete := m.searched()
	if !complete {
		m.whole = 0
	} else if m.whole == 0 {
		m.whole = m.tip().Height
	}
	found := m.deposits()
	for _, d := range found {
		if _, seen := m.ours[keyOf(d)]; !seen {
			m.ours[keyOf(d)] = len(m.wallets)
		}
	}
	for _, w := range m.wallets {
		m.checkWallet(w, found, halted, complete)
	}
	m.checkTaken(found, halted)
	m.checkEnds(found, halted)
	m.top = 0
}

// auditEvery is how many steps of a history go by between two audits.
const auditEvery = 4

// audit holds the ledger, the books and the events against each other. Nothing of
// it is ever removed, so that it finds later what was wrong before.
func (m *custodyModel) audit() {
	m.check()
	m.desk.soundIn(m.t)
	m.checkToldCustody()
}

func (m *custodyModel) deposits() []custody.Deposit {
	found, _, err := m.b.Deposits(m.ctx(), m.b.realm, custody.DepositFilter{Limit: 10_000})
	require.NoError(m.t, err)
	return found
}

// checkTaken asks of every credit that is not there any more that it halted the
// chain, and remembers those that are.
func (m *custodyModel) checkTaken(found []custody.Deposit, halted bool) {
	now := map[uuid.UUID]int64{}
	for _, d := range found {
		before, was := m.credits[d.ID]
		if was && d.Version != before && d.Reason != custody.ReasonInternal {
			require.True(m.t, halted, "deposit %s was taken back, and the chain is not halted", d.ID)
		}
		if d.State == custody.Credited {
			now[d.ID] = d.Version
		}
	}
	m.credits = now
}

// checkEnds holds that nothing stays orphaned for ever, and that nothing is given up
// before the branch that took its place is as deep as a credit must be.
func (m *custodyModel) checkEnds(found []custody.Deposit, halted bool) {
	now := map[uuid.UUID]uint64{}
	if m.whole == 0 {
		m.stood = map[uuid.UUID]uint64{} // the whole chain may have left, and be shorter now
	}
	for _, d := range found {
		deep := uint64(custodyDepth)
		if d.Amount.Cmp(chains.NewAmount(custodyLarge)) >= 0 {
			deep = custodyLargeDepth
		}
		peak, before := m.left[d.ID]
		switch {
		case d.State == custody.Orphaned && !before:
			now[d.ID] = m.peak
		case d.State == custody.Orphaned:
			now[d.ID] = peak
			late := m.tip().Height >= peak+deep && m.whole > 0 && m.tip().Height > m.whole
			require.False(m.t, late && !halted, "deposit %s left by %d and is orphaned at %d", d.ID, peak, m.tip().Height)
		case d.State == custody.Dropped && d.Reason == custody.ReasonReorg:
			stood, known := m.stood[d.ID]
			require.False(m.t, known && m.top < stood+deep, "deposit %s stood at %d and is given up at %d", d.ID, stood, m.top)
			delete(m.stood, d.ID)
		case !d.Block.Hash.IsZero():
			m.stood[d.ID] = d.Block.Height
		}
	}
	m.left = now
}

func (m *custodyModel) checkWallet(w custody.Wallet, found []custody.Deposit, halted, complete bool) {
	want := m.replay(m.index[w.ID])
	credited := chains.Amount{}
	alive := map[string]bool{}
	for _, d := range found {
		if d.WalletID != w.ID {
			continue
		}
		key := keyOf(d)
		p, there := want[key]
		if complete {
			require.Equal(m.t, there, d.State.Alive(), "deposit %s of %s is %s", d.ID, key, d.State)
		}
		if !d.State.Alive() || !there {
			// Until the past is searched an input may not be known as ours.
			require.False(m.t, complete && d.State.Alive())
			if d.State == custody.Credited {
				credited = credited.Add(d.Amount)
			}
			continue
		}
		alive[key] = true
		require.Equal(m.t, strconv.Itoa(p.amount), d.Amount.String())
		switch {
		case p.height < 0:
			require.Equal(m.t, custody.Detected, d.State)
		case d.State == custody.Credited:
			credited = credited.Add(d.Amount)
			if m.credits[d.ID] != d.Version {
				require.LessOrEqual(m.t, p.due, int(m.top), "deposit %s was credited too early", d.ID)
			}
		default:
			require.Equal(m.t, custody.Confirming, d.State)
			require.True(m.t, halted || p.due > int(m.tip().Height), "deposit %s is due at %d and not credited at %d", d.ID, p.due, m.tip().Height)
		}
	}
	if complete {
		require.Len(m.t, alive, len(want), "every payment is a deposit")
	}
	now, err := m.b.Wallet(m.ctx(), m.b.realm, w.ID)
	require.NoError(m.t, err)
	require.Equal(m.t, credited.Add(m.moved[w.ID]).String(), now.Balance.Available.String())
	require.Equal(m.t, custody.StatusOf(now.Balance.Available), now.Status)
}

// checkToldCustody holds the events against the rows: one for each version of each
// resource from the first to the last, each deposit event another state than the
// one before, each credit after a confirming.
func (m *custodyModel) checkToldCustody() {
	rows, err := m.b.Pool().Query(m.ctx(), `
SELECT split_part(e.type, '.', 1), split_part(e.type, '.', 2), e.resource_id, e.resource_version
FROM events AS e WHERE e.tenant = $1 AND e.account_id IS NULL AND e.type NOT LIKE 'chain.%' ORDER BY e.id`, m.b.realm.Tenant)
	require.NoError(m.t, err)
	defer rows.Close()
	last, state := map[string]int64{}, map[string]string{}
	for rows.Next() {
		var group, change, id string
		var version int64
		require.NoError(m.t, rows.Scan(&group, &change, &id, &version))
		if group == "balance" {
			group = "wallet"
		}
		require.Equal(m.t, last[group+id]+1, version, "%s.%s of %s", group, change, id)
		last[group+id] = version
		if group != "deposit" {
			continue
		}
		require.NotEqual(m.t, state[id], change)
		if change == string(custody.Credited) {
			require.Equal(m.t, string(custody.Confirming), state[id])
		}
		state[id] = change
	}
	require.NoError(m.t, rows.Err())
	for _, d := range m.deposits() {
		require.Equal(m.t, string(d.State), state[d.ID.String()])
		require.Equal(m.t, d.Version, last["deposit"+d.ID.String()])
	}
}

// soundIn is sound for a test that is one of many.
func (d *desk) soundIn(t require.TestingT) {
	faults, err := d.LedgerFaults(context.Background(), d.realm.Tenant, 10)
	require.NoError(t, err)
	require.Empty(t, faults)
}

// TestCustodyModel takes random histories: no wrong credit, every movement sums to
// zero, every balance can be derived, every state change is one event.
func TestCustodyModel(t *testing.T) {
	t.Parallel()
	var f fault
	s := sweeper{Store: openStore(t, store.Options{Failpoint: f.fail})}
	rapid.Check(t, func(rt *rapid.T) {
		f.arm("")
		m := &custodyModel{
			model: &model{t: rt, b: newBench(t, s.next(t), chains.FamilyBitcoin), fault: &f, accounts: map[uuid.UUID][]int{}, first: map[uuid.UUID]bool{}},
			index: map[uuid.UUID]int{}, moved: map[uuid.UUID]chains.Amount{},
			left: map[uuid.UUID]uint64{}, stood: map[uuid.UUID]uint64{}, ours: map[string]int{},
		}
		m.desk = &desk{m.b}
		require.NoError(rt, m.b.SetPolicy(m.ctx(), m.b.chain.Slug, custodyPolicy(m.b.chain.Native.ID)))
		require.NoError(rt, m.b.RegisterKey(m.ctx(), custody.Key{ID: uuid.New(), Realm: m.b.realm, Chain: m.b.chain.Slug, Text: "k"}, script(0)))
		for range modelFollowed + 1 {
			m.extend()
		}
		m.open()
		m.open()
		m.crash()
		as := func(action func()) func(*rapid.T) {
			return func(rt *rapid.T) {
				m.t = rt
				action()
			}
		}
		armed := func() string {
			verb := rapid.SampledFrom([]string{"apply", "revert", "amend", "fill", "create_wallet", "transfer", "resume"}).Draw(m.t, "verb")
			return verb + rapid.SampledFrom([]string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit}).Draw(m.t, "boundary")
		}
		rt.Repeat(map[string]func(*rapid.T){
			"mine":     as(m.extend),
			"mine on":  as(m.extend),
			"reorg":    as(m.reorg),
			"pay":      as(m.pay),
			"replace":  as(m.replace),
			"drop":     as(m.drop),
			"search":   as(func() { m.follow(); m.search() }),
			"open":     as(m.open),
			"transfer": as(m.transfer),
			"resume":   as(m.resume),
			"crash":    as(m.crash),
			"fault":    as(func() { f.arm(armed()) }),
			"": as(func() {
				m.follow()
				m.checkCustody()
				if m.steps++; m.steps%auditEvery == 0 {
					m.audit()
				}
			}),
		})
		m.t = rt
		m.audit()
	})
}
