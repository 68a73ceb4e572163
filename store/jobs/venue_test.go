package jobs_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/venuetest"
	"tallyd/indexer"
	"tallyd/store"
)

// Every venue is read whole: pages, windows with nothing in the middle, pages that
// overlap, behind either kind of pooler.
func TestVenuesAreReadWhole(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{pooler: store.PoolerTransaction})
	accounts, worlds := map[string]uuid.UUID{}, map[string]*venuetest.World{}
	for name := range venues() {
		worlds[name] = f.market.open(name, "key of "+name)
		populate(worlds[name], streamsOf(name), 130)
		worlds[name].Repeat(true)
		accounts[name] = f.connect(name, "key of "+name)
	}
	for name, account := range accounts {
		f.until(name+" is read", func() bool { return f.read(account) })
		f.whole(account, worlds[name])
		for _, h := range f.state(account).Histories {
			from, ok := h.From()
			require.True(t, ok)
			require.Empty(t, h.Covered.Gaps(venue.Range{From: h.Since.Add(time.Millisecond), To: time.Now().Add(-time.Minute)}), "%s %s from %s", name, h.Stream, from)
		}
	}
	require.Equal(t, []string{"account.synced", "account.synced", "account.synced"}, f.types(), "what lies in the past is no event")

	// HTX says what it is worth, and Kraken does not.
	totals := f.state(accounts["htx"]).Totals
	require.Len(t, totals, 1)
	require.Equal(t, "2", totals[0].Total.String())
	require.True(t, totals[0].Difference().IsZero())
	require.Empty(t, f.state(accounts["kraken"]).Totals)
}

// Faults that pass leave nothing behind: nothing is lost, nothing is there twice,
// and the account is level in the end.
func TestFaultsThatPass(t *testing.T) {
	t.Parallel()
	tooMany := func(header map[string]string) func(n int) (venuetest.Reply, bool) {
		return func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Status: http.StatusTooManyRequests, Header: header, Body: `{"code":429,"message":"too many requests"}`}, n == 2 || n == 9
		}
	}
	for name, fault := range map[string]func(n int) (venuetest.Reply, bool){
		"TooManyWithHeader": tooMany(map[string]string{"Retry-After": "1"}),
		"TooManyWithout":    tooMany(nil),
		"BannedForAMoment": func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Status: http.StatusTeapot, Header: map[string]string{"Retry-After": "1"}, Body: `{}`}, n == 4
		},
		"HalfABody": func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Status: http.StatusOK, Body: `{"status":"ok","data":[{"id":1`, Half: true}, n%4 == 1
		},
		"Garbage": func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Status: http.StatusOK, Body: `{"status":"ok","da`}, n > 3 && n < 9
		},
		"VanishedForAWhile": func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Err: venuetest.NoSuchHost("api.huobi.pro")}, n > 5 && n < 9
		},
		"Maintenance": func(n int) (venuetest.Reply, bool) {
			return venuetest.Reply{Status: http.StatusServiceUnavailable, Body: `{}`}, n > 5 && n < 9
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, fleetOptions{})
			world := f.market.open("htx", "k")
			populate(world, streamsOf("htx"), 30)
			account := f.connect("htx", "k")
			world.Break(fault)
			f.until("it is read", func() bool { return f.read(account) })
			f.whole(account, world)
			state := f.state(account)
			require.Empty(t, state.Reason)
			require.Equal(t, []string{"account.synced"}, f.types())
		})
	}
}

// A clock that is wrong is measured, and does not stop an account.
func TestClockSkew(t *testing.T) {
	t.Parallel()
	for _, skew := range []time.Duration{-17 * time.Minute, 17 * time.Minute} {
		t.Run(skew.String(), func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, fleetOptions{})
			world := f.market.open("htx", "k")
			populate(world, streamsOf("htx"), 5)
			world.Skew(skew)
			account := f.connect("htx", "k")
			f.until("it is read", func() bool { return f.read(account) })
			f.whole(account, world)
		})
	}
}

// Faults that last are a state that the user can read, and what was read stands.
func TestFaultsThatLast(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reply  venuetest.Reply
		reason venue.Reason
		waits  time.Duration // at least, until it is asked again
	}{
		"Cloudflare": {reply: venuetest.CloudflarePage(), reason: venue.Blocked, waits: 20 * time.Second},
		"Banned":     {reply: venuetest.Reply{Status: http.StatusTeapot, Body: `{}`}, reason: venue.Banned, waits: time.Minute},
		"Vanished":   {reply: venuetest.Reply{Err: venuetest.NoSuchHost("api.huobi.pro")}, reason: venue.Vanished},
		"Broken":     {reply: venuetest.Reply{Status: http.StatusOK, Body: `{"status":`, Half: true}, reason: venue.Unreachable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFleet(t, fleetOptions{})
			world := f.market.open("htx", "k")
			world.Hold(venuetest.Held{Code: "btc", Available: "3", Locked: "0"})
			account := f.connect("htx", "k")
			f.until("it is read", func() bool { return f.read(account) })
			world.Break(func(int) (venuetest.Reply, bool) { return test.reply, true })
			f.until("it is degraded", func() bool { return f.state(account).Status == indexer.StateDegraded })
			state := f.state(account)
			require.Equal(t, test.reason, state.Reason)
			require.NotEmpty(t, state.Detail)
			require.NotNil(t, state.RetryAt)
			require.Greater(t, time.Until(*state.RetryAt), test.waits-10*time.Second)
			require.NotNil(t, state.LastSync)
			balance, err := f.VenueBalance(t.Context(), f.realm, account)
			require.NoError(t, err)
			require.Equal(t, "3", balance.Holdings[0].Total.String())
			require.Equal(t, []string{"account.synced"}, f.types(), "the account did not stop")
		})
	}
}

// A key that is revoked while a history is read stops its account and no other, in
// a state that says what to do, and goes on where it was with another key.
func TestKeyRevokedInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	world, other := f.market.open("kraken", "k"), f.market.open("kraken", "other")
	populate(world, streamsOf("kraken"), 330)
	account := f.connect("kraken", "k")
	world.Break(func(n int) (venuetest.Reply, bool) {
		return venuetest.Reply{Status: http.StatusOK, Body: `{"error":["EAPI:Invalid key"]}`}, n >= 4
	})
	f.until("it stops", func() bool { return f.state(account).Status == indexer.StateStopped })
	state := f.state(account)
	require.Equal(t, venue.KeyRefused, state.Reason)
	require.NotEmpty(t, state.Hint+state.Detail+state.Code)
	require.Nil(t, state.RetryAt)
	require.Equal(t, []string{"account.synced", "account.stopped"}, f.types())
	covered := state.Histories[0].Covered

	asked := len(world.Asked())
	bystander := f.connect("kraken", "other")
	f.until("the other is read", func() bool { return f.read(bystander) })
	f.whole(bystander, other)
	require.Len(t, world.Asked(), asked, "a stopped account was asked")

	world.Break(nil)
	_, err := f.conns.Replace(t.Context(), f.realm, account, credentials("kraken", "k"), true)
	require.NoError(t, err)
	f.until("it is read", func() bool { return f.read(account) })
	f.whole(account, world)
	for _, r := range covered {
		require.Empty(t, f.state(account).Histories[0].Covered.Gaps(r))
	}
	require.Contains(t, f.types(), "account.recovered")
}

// A deposit is seen while it is pending, settles, and is taken back: one row, an
// event for each, and the balance follows.
func TestDepositIsTakenBack(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	world := f.market.open("htx", "k")
	const digits = "123456789012345678901234567890.123456789012345678901234567891"
	world.Hold(venuetest.Held{Code: "btc", Available: digits, Locked: "0"})
	account := f.connect("htx", "k")
	f.until("it is read", func() bool { return f.read(account) })
	total := func() string {
		balance, err := f.VenueBalance(t.Context(), f.realm, account)
		require.NoError(t, err)
		return balance.Holdings[0].Total.String()
	}
	require.Equal(t, digits, total())

	row := venuetest.Row{ID: "77", At: time.Now().UTC().Truncate(time.Second), Code: "btc", Amount: digits, TxHash: fmt.Sprintf("%064x", 7), Pending: true}
	status := func() venue.Status { return f.movements(account)["deposits 77"].Status }
	world.Happen(venue.Deposits, row)
	f.until("it is pending", func() bool { return status() == venue.Pending })
	row.Pending = false
	world.Happen(venue.Deposits, row)
	world.Hold(venuetest.Held{Code: "btc", Available: venuetest.Plus(digits, digits), Locked: "0"})
	f.until("it is settled", func() bool { return status() == venue.Settled && total() == venuetest.Plus(digits, digits) })
	require.Equal(t, digits, f.movements(account)["deposits 77"].Legs[0].Amount.String())
	row.Reversed = true
	world.Happen(venue.Deposits, row)
	world.Hold(venuetest.Held{Code: "btc", Available: digits, Locked: "0"})
	f.until("it is taken back", func() bool { return status() == venue.Reversed && total() == digits })
	types := f.types()
	require.Equal(t, []string{"venue_deposit.pending", "venue_deposit.settled", "venue_deposit.reversed"},
		slices.DeleteFunc(slices.Clone(types), func(s string) bool { return !strings.HasPrefix(s, "venue_") }))
	require.Equal(t, 2, strings.Count(strings.Join(types, " "), "balance.updated"))
}

// The ledger dies at every commit boundary, again and again, and in the end is what
// the venue says: nothing lost, nothing twice, each event once.
func TestDiesAtEveryBoundary(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	hits, killed := map[string]int{}, map[string]int{}
	fault := errors.New("fault")
	f := newFleet(t, fleetOptions{lease: time.Second, failpoint: func(name string) error {
		mu.Lock()
		defer mu.Unlock()
		verb, _, _ := strings.Cut(name, ".")
		if verb != "sync" && verb != "end_turn" {
			return nil
		}
		hits[name]++
		if killed[name] < 4 && hits[name]%3 == 1 {
			killed[name]++
			return fault
		}
		return nil
	}})
	world := f.market.open("kraken", "k")
	populate(world, streamsOf("kraken"), 230)
	account := f.connect("kraken", "k")
	f.until("it is read", func() bool { return f.read(account) })
	f.whole(account, world)
	require.Len(t, killed, 6)
	require.Equal(t, []string{"account.synced"}, f.types())
}

// Daemons share accounts: each is read by one at a time, and a daemon that is told
// to stop in the middle leaves its accounts to the others at once.
func TestDaemonsShareAccounts(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{daemons: 3})
	worlds := map[uuid.UUID]*venuetest.World{}
	for i := range 12 {
		name := []string{"kraken", "htx"}[i%2]
		key := fmt.Sprint("k", i)
		world := f.market.open(name, key)
		populate(world, streamsOf(name), 120)
		worlds[f.connect(name, key)] = world
	}
	for account, world := range worlds {
		f.until("an account is read", func() bool { return f.read(account) })
		f.whole(account, world)
	}
	require.Zero(t, f.market.beside, "two daemons read one account at once")
	require.Len(t, f.types(), len(worlds))
}

// A visit that is cut short in the middle of a history loses its place to nobody:
// what it wrote stands, and the next one goes on from there.
func TestShutdownInTheMiddle(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	world := f.market.open("htx", "k")
	populate(world, streamsOf("htx"), 130)
	account := f.connect("htx", "k")
	var before venue.Ranges
	for range 3 {
		f.until("it goes on", func() bool {
			state := f.state(account)
			return f.read(account) || len(state.Histories) > 0 && len(state.Histories[0].Covered) > 0
		})
		// Whoever reads it now loses it, as to a process that took it over.
		require.NoError(t, f.ResumeVenueAccount(t.Context(), f.realm, account))
		state := f.state(account)
		for _, r := range before {
			require.Empty(t, state.Histories[0].Covered.Gaps(r), "what was covered is no more")
		}
		before = state.Histories[0].Covered
	}
	f.until("it is read", func() bool { return f.read(account) })
	f.whole(account, world)
}

// A disconnected account is asked no more, also by whoever reads it just then.
func TestDisconnect(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{})
	world := f.market.open("htx", "k")
	populate(world, streamsOf("htx"), 30)
	account := f.connect("htx", "k")
	f.until("it is being read", func() bool { return len(f.state(account).Histories) > 0 })
	require.NoError(t, f.conns.Disconnect(t.Context(), f.realm, account))
	require.ErrorIs(t, f.conns.Disconnect(t.Context(), f.realm, account), indexer.ErrNotFound)
	ended := len(world.Asked())
	another := f.connect("htx", "k")
	f.until("it is read anew", func() bool { return f.read(another) })
	require.Greater(t, len(world.Asked()), ended)
	f.whole(another, world)
	_, err := f.VenueAccount(context.WithoutCancel(t.Context()), f.realm, account)
	require.ErrorIs(t, err, indexer.ErrNotFound)
}

// However long histories take, and however many, a balance does not wait for them.
func TestBalancesDoNotWaitForHistories(t *testing.T) {
	t.Parallel()
	f := newFleet(t, fleetOptions{workers: 1})
	open, waiting := make(chan struct{}), make(chan struct{}, 1)
	f.market.gate = func(r *http.Request) {
		if !strings.Contains(r.URL.Path, "deposit") {
			return
		}
		select {
		case waiting <- struct{}{}:
		default:
		}
		select {
		case <-open:
		case <-r.Context().Done():
		}
	}
	f.market.open("htx", "slow")
	slow := f.connect("htx", "slow")
	f.until("a history is being read", func() bool { return len(waiting) > 0 })
	f.market.open("htx", "k")
	account := f.connect("htx", "k")
	f.until("the other is level", func() bool { return f.state(account).Status == indexer.StateLevel })
	require.Empty(t, f.state(slow).Histories)
	close(open)
	f.until("both are read", func() bool { return f.read(slow) && f.read(account) })
}
