package indexer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"tallyd/chains/venue"
	"tallyd/chains/venue/identity"
)

const (
	// streamTime is how long an account stays with an owner that died. One that
	// lives renews its lease four times in it.
	streamTime = 30 * time.Second

	// turnTime bounds how long histories are read in one turn: then others have
	// theirs, and the account goes on where it was.
	turnTime = 20 * time.Second

	// checkEvery is how often the venue is asked what a login may do.
	checkEvery = 24 * time.Hour

	// lookMost is how many accounts one look enqueues.
	lookMost = 1000

	// dueEarly is what the clocks of the database and of this process may differ
	// by: what the one calls due is not sent away by the other.
	dueEarly = 2 * time.Second

	venueRetry     = 30 * time.Second
	venueRetryMost = time.Hour
	maxDoublings   = 16
)

// VenueSchedule says when a venue is read.
type VenueSchedule struct {
	Balances Schedule
	History  Schedule
}

// Poller reads accounts at venues: balances first, histories after, one account at
// a time by one process, each turn bounded. It keeps nothing between turns, so that
// any number of processes share any number of accounts.
type Poller struct {
	Venues   map[string]venue.Venue
	Open     OpenVenue
	Streams  Streams
	Schedule func(name string) VenueSchedule
	Assets   *identity.Table

	// Enqueue asks for turns at accounts. Asking again while one waits changes
	// nothing.
	Enqueue func(ctx context.Context, due []DueStream) error

	Wrote func()        // events were written
	Retry time.Duration // first wait after a reading that failed; 0 is 30 s
	Lease time.Duration // how long an account stays with an owner that died; 0 is 30 s
	Log   zerolog.Logger
}

// Job returns the look at what is due, to be run by RunJobs.
func (p *Poller) Job() Job { return Job{Name: "venues", Spec: "@every 1s", Run: p.Look} }

// Look asks for turns at the accounts of which something is due.
func (p *Poller) Look(ctx context.Context) error {
	due, err := p.Streams.DueStreams(ctx, lookMost)
	if err != nil {
		return fmt.Errorf("look what is due: %w", err)
	}
	if len(due) == 0 {
		return nil
	}
	return p.Enqueue(ctx, due)
}

// errStreamLost ends a turn whose account another process has taken over, or whose
// user has disconnected it.
var errStreamLost = errors.New("stream lost")

// Visit has a turn at an account: it reads the balances if they are due, and in a
// turn for its history that too, which takes its time. That the venue says no is no
// error but a state of the account; an error is one of the ledger, and the account
// is visited again. An account that is gone, stopped or another's is left alone.
func (p *Poller) Visit(ctx context.Context, account uuid.UUID, history bool) error {
	stream, err := p.Streams.AcquireStream(ctx, account, uuid.New(), p.lease())
	switch {
	case errors.Is(err, ErrLeased), errors.Is(err, ErrNotFound), errors.Is(err, ErrStopped):
		return nil
	case err != nil:
		return fmt.Errorf("take account %s: %w", account, err)
	}
	t := newVisit(p, stream, history)
	reading, lose := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		p.renew(reading, stream.Lease, lose)
	}()
	err = t.run(reading)
	lost := errors.Is(context.Cause(reading), errStreamLost)
	lose(nil)
	<-renewed
	if lost || errors.Is(err, ErrStale) {
		t.log.Debug().Msg("account lost to another")
		return nil
	}
	return t.end(ctx, err)
}

// renew keeps the lease until ctx ends, and ends the turn when it is lost.
func (p *Poller) renew(ctx context.Context, lease StreamLease, lose context.CancelCauseFunc) {
	tick := time.NewTicker(p.lease() / renewals)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		err := p.Streams.RenewStream(ctx, lease, p.lease())
		switch {
		case err == nil:
			last = time.Now()
		case errors.Is(err, ErrStale), time.Since(last) > p.lease():
			lose(errStreamLost)
			return
		}
	}
}

// renewals is how often a lease is renewed while it lasts.
const renewals = 4

func (p *Poller) lease() time.Duration { return cmp.Or(p.Lease, streamTime) }

// wait returns how long to wait after so many failures, a part of it by chance so
// that not all come back at once.
func (p *Poller) wait(failures int) time.Duration {
	wait := min(cmp.Or(p.Retry, venueRetry)<<min(failures, maxDoublings), venueRetryMost)
	return wait/2 + rand.N(wait/2+1)
}

// again returns when to ask again after a fault.
func (p *Poller) again(fault *venue.Error, failures int) time.Time {
	if fault.Reason.Waits() && !fault.Until.IsZero() {
		return fault.Until.Add(rand.N(time.Second))
	}
	return time.Now().Add(p.wait(failures))
}

// faultOf returns what a venue said in err. What no venue said is told to the log,
// and to the user that it is not the venue.
func (p *Poller) faultOf(err error, log zerolog.Logger) *venue.Error {
	if fault, ok := errors.AsType[*venue.Error](err); ok {
		return fault
	}
	if errors.Is(err, venue.ErrCut) {
		return venue.Say(venue.NotRead, "", venue.ErrCut.Error())
	}
	log.Warn().Err(err).Msg("account not read")
	return venue.Say(venue.NotRead, "", "this daemon could not read it, and its log says why")
}
