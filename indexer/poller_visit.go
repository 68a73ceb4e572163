package indexer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains/venue"
)

// visit is one turn at one account.
type visit struct {
	p        *Poller
	stream   Stream
	history  bool // the turn is for the history too
	schedule VenueSchedule
	session  *venue.Session
	account  venue.Account
	codes    []string // sorted
	until    time.Time
	turn     Turn
	log      zerolog.Logger
}

func newVisit(p *Poller, stream Stream, history bool) *visit {
	return &visit{
		p: p, stream: stream, history: history, schedule: p.Schedule(stream.Venue), codes: stream.Codes, until: time.Now().Add(turnTime),
		turn: Turn{Lease: stream.Lease, BalancesDue: stream.BalancesDue, HistoryDue: stream.HistoryDue},
		log:  p.Log.With().Str("venue", stream.Venue).Stringer("account", stream.Lease.Account).Logger(),
	}
}

// run reads what is due. An error is one of the ledger, or the end of ctx; what the
// venue says stands in the turn.
func (v *visit) run(ctx context.Context) error {
	history := v.history && due(v.stream.HistoryDue)
	if !due(v.stream.BalancesDue) && !history {
		return nil
	}
	if fault := v.open(); fault != nil {
		v.blame(fault)
		return nil
	}
	if due(v.stream.BalancesDue) {
		if err := v.balances(ctx); err != nil {
			return err
		}
	}
	if v.turn.Fault != nil || !history {
		return nil //nolint:nilerr // it stands in the turn
	}
	if err := v.check(ctx); err != nil || v.turn.Fault != nil {
		return err
	}
	return v.histories(ctx)
}

// due reports whether a time has come.
func due(t time.Time) bool { return time.Until(t) <= dueEarly }

// open opens the login.
func (v *visit) open() *venue.Error {
	connector, ok := v.p.Venues[v.stream.Venue]
	if !ok {
		return venue.Say(venue.NotRead, "", "this daemon has no connector of that name")
	}
	if len(v.stream.Credentials.Names()) == 0 {
		fault := venue.Say(venue.NotRead, "", "the credentials cannot be opened with the keyset of this daemon")
		fault.Hint = "The operator can give the daemon the key that sealed them; else connect the login again."
		return fault
	}
	session, err := v.p.Open(connector, v.stream.Credentials)
	if err != nil {
		return venue.Say(venue.NotRead, "", err.Error())
	}
	v.session, v.account = session, session.Account()
	return nil
}

// blame ends the turn with a fault that stands in the way of the balances, or
// stops the account.
func (v *visit) blame(fault *venue.Error) {
	v.turn.Fault = fault
	v.turn.BalancesDue = v.p.again(fault, v.stream.Failures)
	// Where the balances cannot be read, neither can the histories.
	if v.turn.HistoryDue.Before(v.turn.BalancesDue) {
		v.turn.HistoryDue = v.turn.BalancesDue
	}
}

// balances reads all wallets and writes what changed.
func (v *visit) balances(ctx context.Context) error {
	read, err := v.account.Balances(ctx)
	if err == nil {
		err = v.readable(read)
	}
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		v.blame(v.p.faultOf(err, v.log))
		return nil
	}
	if err := v.sync(ctx, Syncing{Balances: &read}); err != nil {
		return err
	}
	// From here on a crash loses nothing: the reading is durable, and only when it
	// was checked last is written with the end of the turn.
	v.turn.SyncedAt, v.turn.BalancesDue = &read.At, v.schedule.Balances.Next(time.Now())
	for _, h := range read.Holdings {
		v.see(h.Code)
	}
	return v.value(ctx, read)
}

// value asks what the venue says it is worth, as often as histories are read.
func (v *visit) value(ctx context.Context, read venue.Balances) error {
	valuer, ok := v.account.(venue.Valuer)
	if !ok || v.stream.ValuedAt != nil && !due(v.schedule.History.Next(*v.stream.ValuedAt)) {
		return nil
	}
	worths, err := valuer.Value(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		// It is for comparing only; the balances stand without it.
		v.log.Debug().Err(err).Msg("total not read")
		return nil
	}
	valued := Valued{At: time.Now()}
	for _, worth := range worths {
		if worth.Total.Known() && exact(worth.Total) {
			valued.Totals = append(valued.Totals, VenueTotal{Worth: worth, Sum: v.sum(worth, read.Holdings), At: valued.At.UTC()})
		}
	}
	return v.sync(ctx, Syncing{Valued: &valued})
}

// check asks once a day what the login may do and how the account stands. A key that
// was given more rights than reading stops the account, as if it were connected
// now; that it can be told to nobody just then is no fault of the account.
func (v *visit) check(ctx context.Context) error {
	if time.Since(v.stream.CheckedAt) < checkEvery {
		return nil
	}
	access, err := v.account.Check(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if fault := v.p.faultOf(err, v.log); fault.Reason.Stops() {
			v.blame(fault)
		}
		return nil // it is asked again with the next history
	}
	if err := access.Accept(true); err != nil {
		fault := venue.Say(venue.KeyTooStrong, "", err.Error())
		fault.Hint = "Take every right but reading from the key and resume the account, or replace its credentials."
		v.blame(fault)
		return nil
	}
	return v.sync(ctx, Syncing{Checked: &Checked{At: time.Now(), Warnings: warningsOf(access)}})
}

// sum returns what the holdings that a total is about add up to, unknown if some
// are of another asset: then it takes prices to compare.
func (v *visit) sum(worth venue.Worth, holdings []venue.Holding) venue.Decimal {
	asset := v.p.Assets.Identify(v.stream.Venue, worth.Code).Asset
	sum := venue.NewDecimal(0, 0)
	for _, h := range holdings {
		if worth.Wallet != "" && h.Wallet != worth.Wallet {
			continue
		}
		if v.p.Assets.Identify(v.stream.Venue, h.Code).Asset != asset {
			return venue.Decimal{}
		}
		sum = sum.Add(h.Total)
	}
	return sum
}

// sync writes what was read and tells of its events.
func (v *visit) sync(ctx context.Context, syncing Syncing) error {
	syncing.Lease = v.stream.Lease
	synced, err := v.p.Streams.Sync(ctx, syncing)
	if err != nil {
		return fmt.Errorf("sync account %s: %w", v.stream.Lease.Account, err)
	}
	v.tell(synced)
	return nil
}

func (v *visit) tell(synced Synced) {
	if synced.Events > 0 {
		v.p.Wrote()
	}
	if synced.Holdings > 0 || synced.Movements > 0 {
		v.log.Debug().Int("holdings", synced.Holdings).Int("movements", synced.Movements).Int("events", synced.Events).Msg("account synced")
	}
}

// end writes how the turn ended and gives the account up, also when ctx has ended:
// then it is as due as it was, and another process goes on.
func (v *visit) end(ctx context.Context, err error) error {
	const grace = 5 * time.Second
	ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	synced, ended := v.p.Streams.EndTurn(ending, v.turn)
	switch {
	case errors.Is(ended, ErrStale):
		ended = nil // disconnected, or replaced, meanwhile
	case ended != nil:
		ended = fmt.Errorf("end the turn at account %s: %w", v.stream.Lease.Account, ended)
	default:
		v.tell(synced)
		if fault := v.turn.Fault; fault != nil {
			v.log.Info().Str("reason", string(fault.Reason)).Bool("stopped", fault.Reason.Stops()).Time("again", v.turn.BalancesDue).Msg("account not read")
		}
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return errors.Join(err, ended)
}

// see adds a code to those that the account was seen with.
func (v *visit) see(code string) {
	if place, found := slices.BinarySearch(v.codes, code); !found {
		v.codes = slices.Insert(slices.Clone(v.codes), place, code)
	}
}

// readable returns an error for numbers that the ledger could not read back.
func (v *visit) readable(read venue.Balances) error {
	for _, h := range read.Holdings {
		for _, d := range []venue.Decimal{h.Available, h.Locked, h.Borrowed, h.Total} {
			if !exact(d) {
				return venue.Misread("the balance of %.20q has more digits than can be kept", h.Code)
			}
		}
	}
	return nil
}

// exact reports whether a number can be written and read back.
func exact(d venue.Decimal) bool {
	_, err := venue.ParseDecimal(d.String())
	return err == nil
}
