package indexer_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
	"tallyd/indexer"
)

// shelf is the ledger of one account, in memory.
type shelf struct {
	stream indexer.Stream
	taken  error // what AcquireStream returns
	synced []indexer.Syncing
	turns  []indexer.Turn
	lost   bool
	fault  error // of Sync
}

func (s *shelf) DueStreams(context.Context, int) ([]indexer.DueStream, error) {
	return []indexer.DueStream{{Venue: "shop"}}, nil
}

func (s *shelf) AcquireStream(context.Context, uuid.UUID, uuid.UUID, time.Duration) (indexer.Stream, error) {
	return s.stream, s.taken
}

func (s *shelf) RenewStream(context.Context, indexer.StreamLease, time.Duration) error {
	if s.lost {
		return indexer.ErrStale
	}
	return nil
}

func (s *shelf) Sync(_ context.Context, read indexer.Syncing) (indexer.Synced, error) {
	s.synced = append(s.synced, read)
	return indexer.Synced{Events: 1}, s.fault
}

func (s *shelf) EndTurn(_ context.Context, turn indexer.Turn) (indexer.Synced, error) {
	s.turns = append(s.turns, turn)
	return indexer.Synced{}, nil
}

// shop is a venue that says what it is told to.
type shop struct {
	access    venue.Access
	refused   error // what Check returns
	checks    int
	balances  func(ctx context.Context) (venue.Balances, error)
	worths    []venue.Worth
	histories []venue.History
	page      func(q venue.Query) (venue.Page, error)
}

func (s *shop) Check(context.Context) (venue.Access, error) {
	s.checks++
	return s.access, s.refused
}
func (s *shop) Balances(ctx context.Context) (venue.Balances, error) { return s.balances(ctx) }
func (s *shop) Value(context.Context) ([]venue.Worth, error)         { return s.worths, nil }
func (s *shop) Histories() []venue.History                           { return s.histories }
func (s *shop) Page(_ context.Context, q venue.Query) (venue.Page, error) {
	return s.page(q)
}

// every is a schedule.
type every time.Duration

func (e every) Next(t time.Time) time.Time { return t.Add(time.Duration(e)) }

// visit has a turn at an account of which all is due.
func visit(t *testing.T, ledger *shelf, s *shop, history bool) {
	t.Helper()
	table, err := identity.Load()
	require.NoError(t, err)
	ledger.stream.Venue = "shop"
	if ledger.stream.CheckedAt.IsZero() {
		ledger.stream.CheckedAt = time.Now()
	}
	if ledger.stream.Credentials.Names() == nil {
		ledger.stream.Credentials = key("k", "")
	}
	v := venue.Venue{
		Name: "shop", Fields: []venue.Field{{Name: venue.FieldKey}}, Regions: []venue.Region{{Name: "main", Hosts: map[string]string{"": "https://example.com"}}},
		Dialect: func(venue.Credentials) (venue.Dialect, error) { return nil, nil }, //nolint:nilnil // nothing is ever signed
		Account: func(*venue.Session) venue.Account { return s },
	}
	p := indexer.Poller{
		Venues: map[string]venue.Venue{"shop": v}, Open: venue.NewTransport(venue.TransportOptions{}).Open, Streams: ledger, Assets: table, Wrote: func() {}, Log: zerolog.Nop(),
		Schedule: func(string) indexer.VenueSchedule {
			return indexer.VenueSchedule{Balances: every(time.Minute), History: every(time.Hour)}
		},
	}
	require.NoError(t, p.Visit(t.Context(), uuid.UUID{}, history))
}

func holds(code, total string) func(context.Context) (venue.Balances, error) {
	return func(context.Context) (venue.Balances, error) {
		d, err := venue.ParseDecimal(total)
		return venue.Balances{At: time.Now(), Holdings: []venue.Holding{venue.Owned(venue.Spot, code, d)}}, err
	}
}

// A turn for balances reads them, what the venue says they are worth, and nothing of
// the history.
func TestTurnForBalances(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var ledger shelf
		worths := []venue.Worth{{Code: "btc", Total: venue.NewDecimal(3, 0)}, {Code: "USD", Total: venue.NewDecimal(9, 0)}}
		visit(t, &ledger, &shop{balances: holds("BTC", "2"), worths: worths, histories: []venue.History{{Stream: venue.Ledger}}}, false)
		require.Len(t, ledger.synced, 2)
		totals := ledger.synced[1].Valued.Totals
		require.False(t, totals[1].Difference().Known(), "dollars are not compared with coins")
		turn := ledger.turns[0]
		require.Nil(t, turn.Fault)
		require.Equal(t, time.Now(), *turn.SyncedAt)
		require.Equal(t, time.Now().Add(time.Minute), turn.BalancesDue)
		require.False(t, turn.HistoryDue.After(time.Now()), "the history is due still")
	})
}

// What a venue says in place of balances is a state, and when it is asked again.
func TestTurnThatFails(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		balances func(context.Context) (venue.Balances, error)
		failures int
		reason   venue.Reason
		from, to time.Duration // when it is asked again
	}{
		"Refused":   {balances: says(&venue.Error{Reason: venue.KeyRefused}), reason: venue.KeyRefused, to: time.Hour},
		"Limited":   {balances: says(&venue.Error{Reason: venue.RateLimited, Until: time.Now()}), reason: venue.RateLimited, to: time.Hour},
		"Down":      {balances: says(&venue.Error{Reason: venue.Unreachable}), reason: venue.Unreachable, from: 15 * time.Second, to: 31 * time.Second},
		"DownAgain": {balances: says(&venue.Error{Reason: venue.Unreachable}), failures: 3, reason: venue.Unreachable, from: 2 * time.Minute, to: 5 * time.Minute},
		"DownLong":  {balances: says(&venue.Error{Reason: venue.Vanished}), failures: 900, reason: venue.Vanished, from: 30 * time.Minute, to: time.Hour + time.Second},
		"Ours":      {balances: says(errors.New("no database")), reason: venue.NotRead, to: time.Hour},
		"TooLong":   {balances: holds("X", strings.Repeat("9", 150)+"e100"), reason: venue.Unreadable, to: time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ledger := shelf{stream: indexer.Stream{Failures: test.failures}}
				visit(t, &ledger, &shop{balances: test.balances, histories: []venue.History{{Stream: venue.Ledger}}}, true)
				turn := ledger.turns[0]
				require.Equal(t, test.reason, turn.Fault.Reason)
				require.NotContains(t, turn.Fault.Detail, "database")
				require.Nil(t, turn.SyncedAt)
				require.Empty(t, ledger.synced, "no history is read either")
				require.GreaterOrEqual(t, time.Until(turn.BalancesDue), test.from)
				require.LessOrEqual(t, time.Until(turn.BalancesDue), test.to)
				require.False(t, turn.HistoryDue.Before(turn.BalancesDue))
			})
		})
	}
}

func says(err error) func(context.Context) (venue.Balances, error) {
	return func(context.Context) (venue.Balances, error) {
		if e, ok := errors.AsType[*venue.Error](err); ok && !e.Until.IsZero() {
			e.Until = time.Now().Add(40 * time.Minute)
		}
		return venue.Balances{}, err
	}
}

// One history that may not be read leaves the others alone; a limit ends the turn.
func TestHistoriesThatFail(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		since := time.Now().Add(-time.Hour)
		s := &shop{balances: holds("BTC", "1"), histories: []venue.History{
			{Stream: venue.Deposits, Since: since}, {Stream: venue.Ledger, Since: since}, {Stream: venue.Trades, Since: since}, {Stream: venue.Rewards, Since: since},
		}, page: func(q venue.Query) (venue.Page, error) {
			switch q.Stream {
			case venue.Deposits:
				return venue.Page{}, &venue.Error{Reason: venue.PermissionMissing}
			case venue.Trades:
				return venue.Page{}, &venue.Error{Reason: venue.RateLimited, Until: time.Now().Add(time.Minute)}
			case venue.Rewards:
				t.Error("the turn was over")
			default:
			}
			return venue.Page{}, nil
		}}
		var ledger shelf
		visit(t, &ledger, s, true)
		turn := ledger.turns[0]
		require.Nil(t, turn.Fault)
		require.Len(t, turn.Failed, 2)
		require.Equal(t, venue.Deposits, turn.Failed[0].Stream)
		require.GreaterOrEqual(t, time.Until(turn.Failed[0].Due), time.Hour)
		require.Equal(t, venue.Trades, turn.Failed[1].Stream)
		require.GreaterOrEqual(t, time.Until(turn.HistoryDue), time.Minute)
		require.LessOrEqual(t, time.Until(turn.HistoryDue), time.Minute+time.Second)
		require.True(t, ledger.synced[len(ledger.synced)-1].Reading.Done)

		// A key that is refused in the middle stops the account.
		s.page = func(venue.Query) (venue.Page, error) { return venue.Page{}, &venue.Error{Reason: venue.KeyExpired} }
		ledger = shelf{}
		visit(t, &ledger, s, true)
		require.Equal(t, venue.KeyExpired, ledger.turns[0].Fault.Reason)
		require.NotNil(t, ledger.turns[0].SyncedAt)
	})
}

// Of the same deposit in two histories one is shown.
func TestShown(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const day = 24 * time.Hour
		since := time.Now().Add(-1000 * day)
		one := func(kind venue.Kind, code string, age time.Duration) venue.Movement {
			return venue.Movement{ID: string(kind) + code + age.String(), Kind: kind, Time: time.Now().Add(-age), Legs: []venue.Leg{{Code: code, Amount: venue.NewDecimal(1, 0)}}}
		}
		rows := []venue.Movement{
			one(venue.Deposit, "BTC", day), one(venue.Deposit, "EUR", day), one(venue.Withdrawal, "BTC", day), one(venue.Withdrawal, "BTC", 900*day),
			one(venue.Trade, "BTC", day), one(venue.Entry, "BTC", day),
		}
		s := &shop{balances: holds("BTC", "1"), histories: []venue.History{
			{Stream: venue.Transactions, Since: since}, {Stream: venue.Deposits, Since: since}, {Stream: venue.Withdrawals, Since: since, Depth: 500 * day},
		}, page: func(venue.Query) (venue.Page, error) { return venue.Page{Movements: rows}, nil }}
		var ledger shelf
		visit(t, &ledger, s, true)
		shown := map[venue.Stream][]bool{}
		for _, read := range ledger.synced {
			if read.Reading != nil {
				shown[read.Reading.Stream] = read.Reading.Shown
			}
		}
		require.Equal(t, []bool{false, true, false, true, true, true}, shown[venue.Transactions])
		require.Equal(t, []bool{true, true, false, true, true, true}, shown[venue.Deposits])
	})
}

// A turn leaves alone what is another's, and ends when its lease is lost.
func TestTurnThatIsLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, outcome := range []error{indexer.ErrLeased, indexer.ErrNotFound, indexer.ErrStopped} {
			ledger := shelf{taken: outcome}
			visit(t, &ledger, &shop{}, true)
			require.Empty(t, ledger.turns)
		}
		ledger := shelf{lost: true}
		visit(t, &ledger, &shop{balances: func(ctx context.Context) (venue.Balances, error) {
			<-ctx.Done()
			return venue.Balances{}, context.Cause(ctx)
		}}, true)
		require.Empty(t, ledger.turns)
		ledger = shelf{fault: indexer.ErrStale}
		visit(t, &ledger, &shop{balances: holds("A", "1")}, true)
		require.Empty(t, ledger.turns)
	})
}

func TestLoginThatCannotBeOpened(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ledger := shelf{stream: indexer.Stream{Credentials: venue.NewCredentials(map[string]string{"other": "x"})}}
		visit(t, &ledger, &shop{}, true)
		require.Equal(t, venue.NotRead, ledger.turns[0].Fault.Reason)
		require.Contains(t, ledger.turns[0].Fault.Detail, "other")
	})
}

func TestSchedule(t *testing.T) {
	t.Parallel()
	schedule, err := indexer.ParseSchedule("30 4 * * *")
	require.NoError(t, err)
	require.Equal(t, "2026-01-02T04:30:00Z", schedule.Next(time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)).UTC().Format(time.RFC3339))
	schedule, err = indexer.ParseSchedule("@every 90s")
	require.NoError(t, err)
	require.Equal(t, 90*time.Second, schedule.Next(time.Unix(0, 0)).Sub(time.Unix(0, 0)))
	_, err = indexer.ParseSchedule("often")
	require.Error(t, err)
}

// Once a day the venue is asked what the login may do. What it says is written down,
// and a key that was given more than reading stops the account.
func TestLoginIsCheckedDaily(t *testing.T) {
	t.Parallel()
	closing := venue.Access{Verdict: venue.ReadOnly, State: venue.State{Status: venue.AccountClosing, Detail: "until June"}}
	for _, tt := range []struct {
		name    string
		age     time.Duration
		access  venue.Access
		refused error
		checks  int
		reason  venue.Reason
		warns   []string
	}{
		{name: "Today", age: 23 * time.Hour, access: closing},
		{name: "Yesterday", age: 24 * time.Hour, access: closing, checks: 1, warns: []string{"The venue says that the account is closing: until June"}},
		{name: "Unspoken", age: 48 * time.Hour, access: venue.Access{}, checks: 1, warns: []string{}},
		{name: "TooStrong", age: 24 * time.Hour, access: venue.Access{Verdict: venue.TooStrong, Excess: []string{"trade"}}, checks: 1, reason: venue.KeyTooStrong},
		{name: "Revoked", age: 24 * time.Hour, refused: venue.Say(venue.KeyRefused, "401", "no such key"), checks: 1, reason: venue.KeyRefused},
		{name: "Down", age: 24 * time.Hour, refused: venue.Say(venue.Maintenance, "", ""), checks: 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				ledger := shelf{stream: indexer.Stream{CheckedAt: time.Now().Add(-tt.age)}}
				s := &shop{balances: holds("BTC", "2"), access: tt.access, refused: tt.refused}
				visit(t, &ledger, s, false)
				require.Zero(t, s.checks, "balances do not wait for it")
				visit(t, &ledger, s, true)
				require.Equal(t, tt.checks, s.checks)
				turn := ledger.turns[1]
				if tt.reason != "" {
					require.Equal(t, tt.reason, turn.Fault.Reason)
					require.True(t, turn.Fault.Reason.Stops())
					return
				}
				require.Nil(t, turn.Fault)
				var warns []string
				for _, sync := range ledger.synced {
					if sync.Checked != nil {
						require.Equal(t, time.Now(), sync.Checked.At)
						warns = sync.Checked.Warnings
					}
				}
				require.Equal(t, tt.warns, warns)
			})
		})
	}
}
