package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// The reorg and double-spend matrix: every way in which a chain, or somebody on
// it, makes a deposit look like what it is not. Each is a scenario on a real
// node, with wallets of its own; those of one node run one after another, and
// after each everything that all of them have is checked.

// every is the confirmations that deposits of the matrix need, if no rule says
// otherwise; deep the blocks a reorg may take back before credits halt.
const (
	every = 3
	deep  = 6
)

// custodian is a daemon that follows one chain, and wallets of custody on it. Its
// fields are shared by all scenarios but t.
type custodian struct {
	t *testing.T
	*matrix
}

// matrix is what the scenarios on one node share.
type matrix struct {
	stack   *stack
	slug    string
	witness witness
	all     []*purse
}

// witness is the node itself, asked by none of the daemon's code.
type witness interface {
	// best returns the best block.
	best(t *testing.T) (hash string, height uint64)

	// due returns what the blocks of the best chain, of which height is the
	// last, let a purse's wallet be credited.
	due(t *testing.T, p *purse, height uint64) chains.Amount
}

// purse is a wallet of custody, and what a witness must know of it.
type purse struct {
	custody.Wallet

	confirmations uint64        // that its deposits need where no amount tells
	unsaid        chains.Amount // what it holds on the chain and is no deposit
}

func (c *custodian) ledger() *store.Store { return c.stack.daemon.store }

func (c *custodian) realm() indexer.Realm {
	return indexer.Realm{Tenant: "default", Environment: chains.Test}
}

// begin starts the daemon and gives it a pool of addresses.
func (c *custodian) begin(scripts []indexer.WatchedScript) {
	c.t.Helper()
	ctx := c.t.Context()
	c.stack.start()
	added, err := c.ledger().RegisterAddresses(ctx, c.realm(), c.slug, scripts)
	require.NoError(c.t, err)
	require.Equal(c.t, len(scripts), added)
	c.stack.daemon.searchNow(ctx, c.slug)
	until(c.t, "the past of the pool is searched", func() bool {
		left, err := c.ledger().SearchScripts(ctx, c.slug, 1)
		require.NoError(c.t, err)
		return len(left) == 0
	})
}

// scenario runs one subtest, and then checks everything. One that fails is the
// last: what comes after it would begin with what it has left.
func (c *custodian) scenario(name string, run func(c *custodian)) {
	if c.t.Failed() {
		return
	}
	c.t.Run(name, func(t *testing.T) {
		mine := &custodian{t: t, matrix: c.matrix}
		run(mine)
		mine.check()
	})
}

// open opens a wallet of an asset in a vault of its own, at an address that
// nobody had before.
func (c *custodian) open(asset chains.AssetID) *purse {
	c.t.Helper()
	vault := custody.Vault{ID: uuid.New(), Realm: c.realm(), Name: c.t.Name(), Metadata: json.RawMessage("{}"), CreatedAt: time.Now()}
	require.NoError(c.t, c.ledger().CreateVault(c.t.Context(), vault))
	return c.openIn(vault.ID, asset)
}

func (c *custodian) openIn(vault uuid.UUID, asset chains.AssetID) *purse {
	c.t.Helper()
	w := custody.Wallet{
		ID: uuid.New(), VaultID: vault, Realm: c.realm(), Asset: chains.Asset{ID: asset}, Label: c.t.Name(), CreatedAt: time.Now(),
	}
	w, err := c.ledger().CreateWallet(c.t.Context(), w, func(custody.Key, uint32) (indexer.WatchedScript, error) {
		return indexer.WatchedScript{}, errors.New("no key is registered")
	})
	require.NoError(c.t, err)
	p := &purse{Wallet: w, confirmations: every}
	c.all = append(c.all, p)
	return p
}

// deposits returns the deposits of a wallet, oldest first.
func (c *custodian) deposits(p *purse) []custody.Deposit {
	c.t.Helper()
	found, next, err := c.ledger().Deposits(c.t.Context(), c.realm(), custody.DepositFilter{Wallet: &p.ID, Limit: 100})
	require.NoError(c.t, err)
	require.Nil(c.t, next)
	slices.Reverse(found)
	return found
}

// await waits until the deposits of a wallet, oldest first, have these states.
func (c *custodian) await(p *purse, states ...custody.DepositState) []custody.Deposit {
	c.t.Helper()
	var found []custody.Deposit
	until(c.t, fmt.Sprintf("deposits %v", states), func() bool {
		found = c.deposits(p)
		return slices.EqualFunc(found, states, func(d custody.Deposit, s custody.DepositState) bool { return d.State == s })
	})
	return found
}

// only is await for one deposit that is a known one, or is not known yet.
func (c *custodian) only(p *purse, state custody.DepositState, known ...custody.Deposit) custody.Deposit {
	c.t.Helper()
	d := c.await(p, state)[0]
	for _, one := range known {
		require.Equal(c.t, one.ID, d.ID, "one deposit through all of it")
	}
	return d
}

// level waits until the ledger stands at the node's best block, and returns it.
func (c *custodian) level() (height uint64) {
	c.t.Helper()
	hash, height := c.witness.best(c.t)
	until(c.t, "the ledger is level with the node", func() bool {
		tip, err := c.ledger().Tip(c.t.Context(), c.slug)
		require.NoError(c.t, err)
		return tip.Hash.String() == strings.TrimPrefix(hash, "0x")
	})
	return height
}

// holds returns available and pending of a wallet in base units, and its status
// unless it is active.
func (c *custodian) holds(p *purse) string {
	c.t.Helper()
	w, err := c.ledger().Wallet(c.t.Context(), c.realm(), p.ID)
	require.NoError(c.t, err)
	text := w.Balance.Available.String() + " " + w.Balance.Pending.String()
	if w.Status != custody.WalletActive {
		text += " " + string(w.Status)
	}
	return text
}

// halted returns why credits are halted, "" if they are not.
func (c *custodian) halted() string {
	c.t.Helper()
	statuses, err := c.ledger().ChainStatuses(c.t.Context())
	require.NoError(c.t, err)
	require.Len(c.t, statuses, 1)
	return statuses[0].Halted
}

// resume lets credits go on that are halted for a reason.
func (c *custodian) resume(reason string) {
	c.t.Helper()
	require.Contains(c.t, c.halted(), reason)
	c.check()
	require.NoError(c.t, c.ledger().Resume(c.t.Context(), c.slug))
	require.Empty(c.t, c.halted())
}

// transfer moves money between two wallets, on no chain.
func (c *custodian) transfer(from, to *purse, amount chains.Amount) error {
	_, err := c.ledger().Transfer(c.t.Context(), custody.Order{ID: uuid.New(), Realm: c.realm(), Source: from.ID, Destination: to.ID, Amount: amount})
	return err
}

// check waits until the ledger is level with the node and derives everything anew:
// what is credited from the node's own words, balances from deposits and
// transfers, versions and states from events.
func (c *custodian) check() {
	c.t.Helper()
	height := c.level()
	for _, p := range c.all {
		due := c.witness.due(c.t, p, height)
		until(c.t, fmt.Sprintf("wallet of %s is credited what is due: %s", p.Label, due), func() bool {
			credited := c.derived(p)
			require.LessOrEqual(c.t, credited.Cmp(due), 0, "wallet of %s is credited %s of %s", p.Label, credited, due)
			return credited.Equal(due) || c.halted() != ""
		})
	}
	faults, err := c.ledger().LedgerFaults(c.t.Context(), "", 10)
	require.NoError(c.t, err)
	require.Empty(c.t, faults)
	c.told()
}

// derived returns what the deposits of a wallet credit it, after it has compared
// the wallet's balance with them and with its transfers. The chain may move on
// between two questions, so they are asked again until nothing has.
func (c *custodian) derived(p *purse) (credited chains.Amount) {
	c.t.Helper()
	until(c.t, "the wallet stands still", func() bool {
		before, err := c.ledger().Wallet(c.t.Context(), c.realm(), p.ID)
		require.NoError(c.t, err)
		var available, pending chains.Amount
		credited = chains.Amount{}
		for _, d := range c.deposits(p) {
			switch {
			case d.State == custody.Credited:
				require.NotNil(c.t, d.Received)
				require.Equal(c.t, 1, c.standing(d.ID), "credited once")
				credited = credited.Add(*d.Received)
			case d.State.Pending():
				pending = pending.Add(d.Amount)
			}
		}
		list, next, err := c.ledger().CustodyTransactions(c.t.Context(), c.realm(), custody.TransactionFilter{Wallet: &p.ID, Kinds: []custody.Kind{custody.KindTransfer}, Limit: 100})
		require.NoError(c.t, err)
		require.Nil(c.t, next)
		available = credited
		for _, tx := range list {
			if *tx.Source == p.ID {
				available = available.Sub(tx.Amount)
			} else {
				available = available.Add(tx.Amount)
			}
		}
		after, err := c.ledger().Wallet(c.t.Context(), c.realm(), p.ID)
		require.NoError(c.t, err)
		if before.Version != after.Version {
			return false
		}
		require.Equal(c.t, available.String(), after.Balance.Available.String(), "available of %s", p.Label)
		require.Equal(c.t, pending.String(), after.Balance.Pending.String(), "pending of %s", p.Label)
		require.True(c.t, after.Balance.Locked.IsZero())
		require.Equal(c.t, custody.StatusOf(available), after.Status)
		return true
	})
	return credited
}

// follows are the states from which a deposit can come to another; "" is none.
var follows = map[custody.DepositState][]custody.DepositState{
	custody.Detected:   {"", custody.Orphaned, custody.Replaced, custody.Dropped},
	custody.Confirming: {"", custody.Detected, custody.Credited, custody.Orphaned, custody.Replaced, custody.Dropped},
	custody.Credited:   {custody.Confirming},
	custody.Orphaned:   {custody.Confirming, custody.Credited},
	custody.Replaced:   {custody.Detected, custody.Confirming, custody.Credited, custody.Orphaned, custody.Dropped},
	custody.Dropped:    {custody.Detected, custody.Confirming, custody.Orphaned, custody.Replaced},
}

// told holds the numbered events against what they tell of: one for each change
// of each wallet, deposit and transaction, in their order, of states that follow
// one another, and the last one of the state that is.
func (c *custodian) told() {
	c.t.Helper()
	want := c.counts()
	var last map[string]int64
	until(c.t, "every change is told", func() bool {
		events, err := c.ledger().EventsAfter(c.t.Context(), c.realm(), 0, 1_000_000)
		require.NoError(c.t, err)
		asDocumented(c.t, events)
		last = map[string]int64{}
		states := map[string]custody.DepositState{}
		number := int64(0)
		for _, e := range events {
			require.Greater(c.t, e.Seq, number)
			number = e.Seq
			group, change, _ := strings.Cut(e.Type, ".")
			if group == "balance" {
				group = "wallet"
			}
			key := group + " " + e.ResourceID
			if _, counted := want[key]; !counted {
				continue
			}
			require.Equal(c.t, last[key]+1, e.ResourceVersion, "%s of %s", e.Type, key)
			last[key] = e.ResourceVersion
			if group == "deposit" {
				next := custody.DepositState(change)
				require.Contains(c.t, follows[next], states[key], "%s is %s", key, next)
				states[key] = next
			}
		}
		for key, state := range states {
			if last[key] == want[key].version {
				require.Equal(c.t, want[key].state, state, key)
			}
		}
		return maps.EqualFunc(last, want, func(v int64, w count) bool { return v == w.version })
	})
}

// count is how often something changed, and what it is now.
type count struct {
	version int64
	state   custody.DepositState // of a deposit
}

func (c *custodian) counts() map[string]count {
	c.t.Helper()
	counts := map[string]count{}
	for _, p := range c.all {
		w, err := c.ledger().Wallet(c.t.Context(), c.realm(), p.ID)
		require.NoError(c.t, err)
		counts["wallet "+p.ID.String()] = count{version: w.Version}
		for _, d := range c.deposits(p) {
			counts["deposit "+d.ID.String()] = count{d.Version, d.State}
		}
		list, next, err := c.ledger().CustodyTransactions(c.t.Context(), c.realm(), custody.TransactionFilter{Wallet: &p.ID, Limit: 100})
		require.NoError(c.t, err)
		require.Nil(c.t, next)
		for _, tx := range list {
			counts["transaction "+tx.ID.String()] = count{version: tx.Version}
		}
	}
	return counts
}

// events returns how many events of a type tell of a resource, once all are
// numbered.
func (c *custodian) events(kind, resource string) int {
	c.t.Helper()
	c.told()
	events, err := c.ledger().EventsAfter(c.t.Context(), c.realm(), 0, 1_000_000)
	require.NoError(c.t, err)
	n := 0
	for _, e := range events {
		if e.Type == kind && e.ResourceID == resource {
			n++
		}
	}
	return n
}

// standing returns how many journals credit a deposit and were not taken back.
func (c *custodian) standing(deposit uuid.UUID) (n int) {
	c.t.Helper()
	const query = `SELECT count(*) FILTER (WHERE kind = 'deposit') - count(*) FILTER (WHERE kind = 'reversal') FROM journals WHERE reference = $1`
	require.NoError(c.t, c.ledger().Pool().QueryRow(c.t.Context(), query, deposit).Scan(&n))
	return n
}

// units returns an amount that a test names in base units.
func units(n int64) chains.Amount { return chains.NewAmount(n) }

// is compares what a wallet holds with available and pending.
func (c *custodian) is(p *purse, available, pending int64, status ...string) {
	c.t.Helper()
	want := strings.Join(append([]string{strconv.FormatInt(available, 10), strconv.FormatInt(pending, 10)}, status...), " ")
	require.Equal(c.t, want, c.holds(p))
}
