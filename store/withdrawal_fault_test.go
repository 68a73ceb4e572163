package store_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
)

// countdown is a failpoint that fails once, at the nth time that its boundary is
// reached.
type countdown struct {
	mu   sync.Mutex
	name string
	left int
	hit  bool
}

func (c *countdown) arm(name string, nth int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.name, c.left, c.hit = name, nth, false
}

func (c *countdown) fail(name string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left == 0 || name != c.name {
		return nil
	}
	if c.left--; c.left == 0 {
		c.hit = true
		return errFault
	}
	return nil
}

// TestWithdrawalFaults lets every transaction of a withdrawal's road fail at each of
// its boundaries, and those of the one who carries it out the second and third time
// too: before the commit nothing is written, after it everything is and nobody was
// told. Whoever comes next goes on, and all ends as if nothing had been.
func TestWithdrawalFaults(t *testing.T) {
	t.Parallel()
	c := &countdown{}
	s := openStore(t, store.Options{Failpoint: c.fail})
	//nolint:paralleltest // one failpoint for all
	for verb, times := range map[string]int{
		"withdraw": 1, "accept": 1, "cancel": 1, "bump": 1, "move_within": 1, "decline": 1,
		"take_turn": 3, "put_draft": 3, "settle_withdrawal": 3,
	} {
		for _, boundary := range []string{store.BeforeBegin, store.BeforeCommit, store.AfterCommit} {
			hits := 0
			for nth := range times {
				t.Run(fmt.Sprintf("%s%s/%d", verb, boundary, nth+1), func(t *testing.T) {
					f := &faulty{till: tillIn(t, s, chains.FamilyBitcoin, depth(2)), e: evmTillIn(t, s, depth(1))}
					c.arm(verb+boundary, nth+1)
					f.history(t)
					if c.hit {
						hits++
					}
					c.arm("", 0)
					f.sound(t)
				})
			}
			require.Equal(t, times, hits, "%s%s is not reached", verb, boundary)
		}
	}
}

// faulty is a till whose calls are made again until they are done, as those of a
// caller are who heard of a fault.
type faulty struct {
	*till
	e *evmTill
}

// insist calls until it succeeds. done tells whether a call that failed was carried
// out all the same, as a kept answer tells the caller of a request.
func insist(t testing.TB, call func() error, done func() bool) {
	t.Helper()
	for range 3 {
		err := call()
		if err == nil {
			return
		}
		require.ErrorIs(t, err, errFault)
		if done != nil && done() {
			return
		}
	}
	require.Fail(t, "a fault that does not pass")
}

func (f *faulty) pays(t testing.TB, wallet custody.Wallet, amount int64) uuid.UUID {
	t.Helper()
	order := f.order(wallet, amount)
	insist(t, func() error { return second(f.Withdraw(t.Context(), order)) }, func() bool {
		_, err := f.Withdrawal(t.Context(), f.realm, order.ID)
		require.True(t, err == nil || errors.Is(err, indexer.ErrNotFound))
		return err == nil
	})
	return order.ID
}

func (f *faulty) accepts(t testing.TB, id uuid.UUID) custody.Draft {
	t.Helper()
	found := f.withdrawal(t, id)
	draft := found.ToSign()
	require.NotNil(t, draft, "%s %s", found.Status, found.Reason)
	insist(t, func() error { return second(f.Accept(t.Context(), f.realm, id, draft.N, sign(draft.Draft))) }, nil)
	return *draft
}

// history is one that comes to every transaction.
func (f *faulty) history(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	wallet := f.fund(t, 500, 100)
	cancelled := f.pays(t, wallet, 90)
	f.again(t)
	insist(t, func() error { return second(f.Cancel(ctx, f.realm, cancelled)) }, nil)
	id := f.pays(t, wallet, 300)
	f.again(t)
	insist(t, func() error { return second(f.Bump(ctx, f.realm, id)) }, nil)
	f.again(t)
	old := f.accepts(t, id)
	require.Equal(t, 2, old.N)
	f.again(t)
	insist(t, func() error { return second(f.Bump(ctx, f.realm, id)) }, nil)
	f.again(t)
	replacement := f.accepts(t, id)
	f.again(t)
	waits := f.pays(t, wallet, 250)
	f.again(t)
	require.Equal(t, "Submitted pool_low", f.at(t, waits))
	f.mine(t, f.effect(replacement.Draft))
	f.again(t)
	f.mine(t)
	f.again(t)
	require.Equal(t, "Completed", f.at(t, id))
	require.Equal(t, "0 50 250", f.holds(t, wallet))
	f.unmine(t, 2)
	f.again(t)
	require.Equal(t, "Confirming", f.at(t, id))
	f.mine(t, f.effect(replacement.Draft))
	f.mine(t)
	f.again(t)
	require.Equal(t, "Completed", f.at(t, id))
	insist(t, func() error { return second(f.Cancel(ctx, f.realm, waits)) }, nil)
	require.Equal(t, "0 300 0", f.holds(t, wallet))
	require.Equal(t, "-300 -30 30", f.accounts(t))
	for _, raw := range f.node.told {
		require.True(t, raw == string(sign(old.Draft).Raw) || raw == string(sign(replacement.Draft).Raw), "only what was signed is broadcast")
	}
	require.Equal(t, string(sign(replacement.Draft).Raw), f.node.told[len(f.node.told)-1])
	require.Empty(t, f.untold(t), "every change of a withdrawal has one event")
	f.swept(t)
}

// swept is a sweep, and a nonce that is filled.
func (f *faulty) swept(t testing.TB) {
	t.Helper()
	ctx, e := t.Context(), f.e
	e.openIn(t, e.newVault(t), e.token)
	e.snapshot(t, 100, 5, 60)
	sweep := custody.InternalOrder{ID: uuid.New(), Realm: e.realm, Kind: custody.KindSweep, Chain: e.desk.chain.Slug, Script: script(100), Asset: e.token}
	insist(t, func() error { return second(e.MoveWithin(ctx, sweep)) }, func() bool {
		_, err := e.Withdrawal(ctx, e.realm, sweep.ID)
		return err == nil
	})
	topUp := sweep
	topUp.ID, topUp.Kind, topUp.Amount = uuid.New(), custody.KindGasTopUp, chains.NewAmount(15)
	insist(t, func() error { return second(e.MoveWithin(ctx, topUp)) }, func() bool {
		_, err := e.Withdrawal(ctx, e.realm, topUp.ID)
		return err == nil
	})
	e.again(t)
	coins := e.rich(t, e.desk.chain.Native.ID, 500)
	pays := &faulty{till: e.till}
	id := pays.pays(t, coins, 10)
	e.again(t)
	require.Equal(t, 1, e.nonce(t, id))
	insist(t, func() error { return second(e.Cancel(ctx, e.realm, topUp.ID)) }, nil)
	e.again(t)
	var fills int
	require.NoError(t, e.Pool().QueryRow(ctx, "SELECT count(*) FROM withdrawals WHERE replaces = $1 AND status = 'PendingSignature'", topUp.ID).Scan(&fills))
	require.Equal(t, 1, fills)
	require.Empty(t, e.untold(t))
	e.sound(t)
}

// untold returns the versions of transactions that have no event, or more than one.
func (w *till) untold(t testing.TB) []string {
	t.Helper()
	seen := map[string]int{}
	for _, event := range w.events(t) {
		if strings.HasPrefix(event.Type, "transaction.") {
			seen[fmt.Sprintf("%s %d", event.ResourceID, event.ResourceVersion)]++
		}
	}
	var faults []string
	rows, err := w.Pool().Query(t.Context(), "SELECT t.id::text, t.version FROM transactions AS t JOIN withdrawals AS w USING (id) WHERE w.tenant = $1", w.realm.Tenant)
	require.NoError(t, err)
	defer rows.Close()
	for rows.Next() {
		var id string
		var version int64
		require.NoError(t, rows.Scan(&id, &version))
		for v := int64(1); v <= version; v++ {
			if n := seen[fmt.Sprintf("%s %d", id, v)]; n != 1 {
				faults = append(faults, fmt.Sprintf("%s version %d: %d events", id, v, n))
			}
		}
	}
	require.NoError(t, rows.Err())
	return faults
}
