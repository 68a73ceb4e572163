package store_test

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The model of deposits on an EVM chain: logs that are true, that take a fee, that
// move nothing and that give back what they bring; balances that are read at once,
// later or not at all; reorgs of any depth that mine some of it again elsewhere. The
// chain's own books know what arrived.

// evmDepth is how deep a deposit is when it is credited.
const evmDepth = 2

// treasuryOf is the address of the model's treasury.
var treasuryOf = peerOf(7)

// deed is a transaction of the token: what it says and what it does to one address.
type deed struct {
	id      int
	address int
	in, out []int64 // what its logs say
	came    int64   // what the address has more, less than nothing if it pays
	own     bool    // the tenant's treasury sent it: it is no deposit
}

// arrived is what a deposit can be credited of it: what came and stayed.
func (d deed) arrived() int64 {
	if d.own {
		return 0
	}
	return max(0, d.came)
}

type evmBlock struct {
	ref   chains.BlockRef
	deeds []deed
}

type evmModel struct {
	tb      testing.TB
	t       *rapid.T
	e       *evmDesk
	wallets []custody.Wallet
	branch  []evmBlock
	pool    []deed // left the chain and may be mined again
	ids     int
}

// deed draws a transaction to or from an address.
func (m *evmModel) deed() deed {
	m.ids++
	d := deed{id: m.ids, address: rapid.IntRange(0, len(m.wallets)-1).Draw(m.t, "address")}
	amount := 10 * rapid.Int64Range(1, 20).Draw(m.t, "amount")
	switch rapid.SampledFrom([]string{"true", "true", "true", "taxed", "forged", "twice", "bounce", "rest", "pays", "own"}).Draw(m.t, "kind") {
	case "true":
		d.in, d.came = []int64{amount}, amount
	case "taxed":
		d.in, d.came = []int64{amount}, amount*9/10
	case "forged":
		d.in = []int64{amount}
	case "twice":
		d.in, d.came = []int64{amount, 10}, amount+10
	case "bounce":
		d.in, d.out = []int64{amount}, []int64{amount}
	case "rest":
		d.in, d.out, d.came = []int64{amount, 10}, []int64{10}, amount
	case "pays":
		d.out, d.came = []int64{amount}, -amount
	case "own":
		d.in, d.came, d.own = []int64{amount}, amount, true
	}
	return d
}

// has returns what an address has at the end of the branch.
func (m *evmModel) has(address int) (amount int64) {
	for _, b := range m.branch {
		for _, d := range b.deeds {
			if d.address == address {
				amount += d.came
			}
		}
	}
	return amount
}

// extend mines a block: some of what left before, some new, and nothing that an
// address cannot pay.
func (m *evmModel) extend() {
	var candidates, kept []deed
	for _, d := range m.pool {
		if rapid.Bool().Draw(m.t, "again") {
			candidates = append(candidates, d)
		} else {
			kept = append(kept, d)
		}
	}
	m.pool = kept
	for range rapid.IntRange(0, 3).Draw(m.t, "new") {
		candidates = append(candidates, m.deed())
	}
	m.mine(candidates)
}

func (m *evmModel) mine(candidates []deed) {
	parent := m.e.tip
	if len(m.branch) > 0 {
		parent = m.branch[len(m.branch)-1].ref
	}
	m.e.n++
	m.branch = append(m.branch, evmBlock{ref: block(parent, m.e.n)})
	last := &m.branch[len(m.branch)-1]
	for _, d := range candidates {
		if m.has(d.address)+d.came >= 0 {
			last.deeds = append(last.deeds, d)
		}
	}
	m.apply(*last)
}

// apply gives a block to the ledger, with the balances it touched or without.
func (m *evmModel) apply(b evmBlock) {
	step := indexer.Step{Lease: m.e.lease, Parent: b.ref.Parent, WatchVersion: m.e.version(m.tb), Block: b.ref}
	touched := map[int]bool{}
	for i, d := range b.deeds {
		n := 0
		leg := func(side chains.Side, amount int64) {
			one := m.e.log(d.id, d.address, m.e.token, amount)
			one.Source, one.Side, one.TxIndex = chains.SourceLog(n), side, uint32(i)
			if d.own {
				one.Peer = treasuryOf
			}
			step.Match.Transfers = append(step.Match.Transfers, one)
			n++
		}
		for _, amount := range d.in {
			leg(chains.In, amount)
		}
		for _, amount := range d.out {
			leg(chains.Out, amount)
		}
		touched[d.address] = true
	}
	for address := range m.wallets {
		switch {
		case !touched[address]:
		case rapid.IntRange(0, 2).Draw(m.t, "read") > 0:
			step.Snapshots = append(step.Snapshots, m.e.snapshots(b.ref, reading{address, m.e.token, m.has(address)})...)
		default:
			step.Stale = append(step.Stale, chains.Touch{Script: script(100 + address), Asset: m.e.token})
		}
	}
	_, err := m.e.Apply(m.tb.Context(), step)
	require.NoError(m.t, err)
	m.e.tip = b.ref
}

// read reads balances at the tip.
func (m *evmModel) read(all bool) {
	var readings []reading
	for address := range m.wallets {
		if all || rapid.Bool().Draw(m.t, "read") {
			readings = append(readings, reading{address, m.e.token, m.has(address)})
		}
	}
	m.e.amend(m.tb, indexer.Amendment{Snapshots: m.e.snapshots(m.e.tip, readings...)})
}

// reorg takes blocks off, and mines at least as many others.
func (m *evmModel) reorg() {
	depth := rapid.IntRange(1, min(len(m.branch)-1, 6)).Draw(m.t, "depth")
	for range depth {
		last := m.branch[len(m.branch)-1]
		m.branch = m.branch[:len(m.branch)-1]
		_, err := m.e.Revert(m.tb.Context(), m.e.lease, last.ref)
		require.NoError(m.t, err)
		m.pool = append(m.pool, last.deeds...)
	}
	m.check()
	m.e.tip = m.branch[len(m.branch)-1].ref
	for range depth {
		m.extend()
	}
}

// check holds that no wallet is credited more than what arrived at its address and
// stands in the chain.
func (m *evmModel) check() {
	for address, w := range m.wallets {
		arrived, stands := int64(0), map[chains.Hash]bool{}
		for _, b := range m.branch {
			for _, d := range b.deeds {
				if d.address == address {
					arrived += d.arrived()
					stands[hash('t', d.id)] = true
				}
			}
		}
		credited := chains.Amount{}
		for _, d := range m.deposits(w) {
			if d.State == custody.Credited {
				require.True(m.t, stands[d.Tx], "credited from a block of the chain")
				credited = credited.Add(*d.Received)
			}
		}
		require.LessOrEqual(m.t, credited.Cmp(chains.NewAmount(arrived)), 0, "address %d is credited %s of %d", address, credited, arrived)
		now, err := m.e.Wallet(m.tb.Context(), m.e.realm, w.ID)
		require.NoError(m.t, err)
		require.Equal(m.t, credited.String(), now.Balance.Available.String())
	}
}

func (m *evmModel) deposits(w custody.Wallet) []custody.Deposit {
	found, _, err := m.e.Deposits(m.tb.Context(), m.e.realm, custody.DepositFilter{Wallet: &w.ID, Limit: 10_000})
	require.NoError(m.t, err)
	return found
}

// settle lets everything come to its end: everything is read, deep enough, and an
// operator resumes. Then each wallet has what arrived, and no deposit waits.
func (m *evmModel) settle() {
	m.read(true)
	require.NoError(m.t, m.e.Resume(m.tb.Context(), m.e.chain.Slug))
	for range evmDepth + 1 {
		m.mine(nil)
	}
	m.check()
	m.e.soundIn(m.t)
	for address, w := range m.wallets {
		arrived := int64(0)
		for _, b := range m.branch {
			for _, d := range b.deeds {
				if d.address == address {
					arrived += d.arrived()
				}
			}
		}
		credited := chains.Amount{}
		for _, d := range m.deposits(w) {
			switch d.State {
			case custody.Credited:
				credited = credited.Add(*d.Received)
			case custody.Dropped:
			default:
				require.Fail(m.t, "a deposit never ends", "%s is %s", d.ID, d.State)
			}
		}
		require.Equal(m.t, chains.NewAmount(arrived).String(), credited.String(), "address %d", address)
	}
}

// TestEVMDepositModel takes random histories of a token that lies: no wrong credit,
// nothing that arrived is missing in the end, and no deposit waits for ever.
func TestEVMDepositModel(t *testing.T) {
	t.Parallel()
	s := sweeper{Store: openStore(t, store.Options{})}
	rapid.Check(t, func(rt *rapid.T) {
		d, tip := deskIn(t, s.next(t), chains.FamilyEVM, depth(evmDepth))
		e := &evmDesk{desk: d, token: chains.AssetID(d.chain.ID + "/erc20:0x01"), tip: tip, n: 1}
		e.list(t, e.token)
		require.NoError(t, e.SetTreasury(t.Context(), e.realm, e.chain.Slug, indexer.WatchedScript{Script: treasuryOf, Address: "0x7"}))
		m := &evmModel{tb: t, t: rt, e: e}
		for range 2 {
			m.wallets = append(m.wallets, e.openIn(t, e.newVault(t), e.token))
		}
		e.opened(t, reading{0, e.token, 0}, reading{1, e.token, 0})
		e.complete(t)
		m.mine(nil)
		as := func(action func()) func(*rapid.T) {
			return func(rt *rapid.T) {
				m.t = rt
				action()
			}
		}
		rt.Repeat(map[string]func(*rapid.T){
			"mine":    as(m.extend),
			"mine on": as(m.extend),
			"read":    as(func() { m.read(false) }),
			"reorg": as(func() {
				if len(m.branch) > 1 {
					m.reorg()
				}
			}),
			"resume": as(func() { require.NoError(m.t, e.Resume(t.Context(), e.chain.Slug)) }),
			"":       as(m.check),
		})
		m.t = rt
		m.settle()
	})
}
