package indexer

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"tallyd/chains"
)

// A lease lasts leaseTime and is renewed every leaseRenew: a killed owner is
// followed by another one within seconds.
const (
	leaseTime  = 4 * time.Second
	leaseRenew = time.Second
)

// A chain in trouble is asked again after retryFirst, then ever later up to
// retryLast.
const (
	retryFirst = 250 * time.Millisecond
	retryLast  = 15 * time.Second
)

// ErrLeaseLost ends the work of a process that no longer owns its chain.
var ErrLeaseLost = errors.New("lease lost")

// Chain keeps one chain's ledger level for as long as this process may: any
// number of processes run the same Chain, and one at a time owns it.
type Chain struct {
	Source chains.Source
	Ports  Ports
	Config FollowConfig
	Owner  uuid.UUID // of this process
	State  SyncState
	Listed []chains.Asset
	Wrote  func() // called after a commit that wrote events; a hint
	Log    zerolog.Logger
}

// Run owns and follows the chain, or waits to, until ctx ends, and returns its
// cause. It returns ErrGenesis at once if the node serves another network than
// the ledger has.
func (c *Chain) Run(ctx context.Context) error {
	if err := c.register(ctx); err != nil {
		return err
	}
	slug := c.Source.Chain().Slug
	for {
		cursor, err := c.Ports.Acquire(ctx, slug, c.Owner, leaseTime)
		if err == nil {
			c.Log.Info().Int64("epoch", cursor.Lease.Epoch).Uint64("height", cursor.Tip.Height).Msg("lease taken")
			if reason := cursor.Dispute.Reason; reason != "" {
				c.Log.Error().Str("reason", reason).Msg("deposits are not credited until the nodes agree")
			}
			err = c.own(ctx, cursor)
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if !errors.Is(err, ErrLeased) {
			c.Log.Warn().Err(err).Msg("chain left")
		}
		if err := pause(ctx, leaseRenew); err != nil {
			return err
		}
	}
}

// register makes the chain known to the ledger. A development chain that was
// wiped begins again.
func (c *Chain) register(ctx context.Context) error {
	about := c.Source.Chain()
	err := c.Ports.Register(ctx, about, c.Listed)
	if errors.Is(err, ErrGenesis) && c.Config.Rewindable {
		if err := c.Ports.Rebase(ctx, about); err != nil {
			return fmt.Errorf("begin the chain again: %w", err)
		}
		c.Log.Warn().Stringer("genesis", about.Genesis).Msg("chain began again with another genesis block")
		err = c.Ports.Register(ctx, about, c.Listed)
	}
	if err != nil {
		return fmt.Errorf("register the chain: %w", err)
	}
	return nil
}

// own follows the chain while the lease holds.
func (c *Chain) own(ctx context.Context, cursor Cursor) error {
	owning, lose := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		c.renew(owning, cursor.Lease, lose)
	}()
	err := c.follow(owning, cursor)
	lose(nil)
	<-renewed
	// The lease is given back even while shutting down, so that the next
	// owner need not wait for it to run out.
	release, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if err := c.Ports.Release(release, cursor.Lease); err != nil {
		c.Log.Debug().Err(err).Msg("lease not given back")
	}
	return err
}

// renew keeps the lease until ctx ends, and ends the owner's work when it could
// not for as long as the lease lasts.
func (c *Chain) renew(ctx context.Context, lease Lease, lose context.CancelCauseFunc) {
	last := time.Now()
	for pause(ctx, leaseRenew) == nil {
		cursor, err := c.Ports.Acquire(ctx, lease.Chain, lease.Owner, leaseTime)
		switch {
		case err == nil && cursor.Lease.Epoch == lease.Epoch:
			last = time.Now()
		case err == nil || errors.Is(err, ErrLeased) || time.Since(last) > leaseTime:
			lose(ErrLeaseLost)
			return
		}
	}
}

// follow steps until ctx ends or the lease is lost. Faults of nodes are waited
// out: they end nothing.
func (c *Chain) follow(ctx context.Context, cursor Cursor) error {
	f := NewFollower(c.Source, c.Ports, c.Config, cursor, c.Log)
	defer f.Close()
	w := watcher{chain: c, follower: f, said: StatusChange{Head: cursor.Head}}
	if reader, ok := c.Source.(chains.MempoolReader); ok && c.Config.Mempool {
		w.mempool = NewMempool(reader, c.Ports)
	}
	retry := retryFirst
	for ctx.Err() == nil {
		moved, err := w.work(ctx)
		w.report(ctx, err)
		switch {
		case errors.Is(err, ErrStale):
			return err
		case err != nil && ctx.Err() == nil:
			c.Log.Warn().Err(err).Uint64("height", f.cursor.Tip.Height).Dur("retry_in", retry).Msg("step not done")
			if err := pause(ctx, retry/2+rand.N(retry)); err != nil { //nolint:gosec // jitter
				return err
			}
			retry = min(2*retry, retryLast)
		case moved:
			retry = retryFirst
		default:
			retry = retryFirst
			c.wait(ctx, f.cursor.Tip.Hash)
		}
	}
	return context.Cause(ctx)
}

// wait returns when the node's head may have moved, or after the poll interval.
func (c *Chain) wait(ctx context.Context, known chains.Hash) {
	interval := c.Config.Poll
	if c.Config.Mempool && c.Config.MempoolEvery > 0 {
		interval = min(interval, c.Config.MempoolEvery)
	}
	waiter, ok := c.Source.(chains.HeadWaiter)
	if !ok {
		_ = pause(ctx, interval) // the loop looks at ctx itself
		return
	}
	waiting, cancel := context.WithTimeout(ctx, interval)
	defer cancel()
	if err := waiter.WaitHead(waiting, known); err != nil && waiting.Err() == nil {
		c.Log.Debug().Err(err).Msg("head not waited for")
		_ = pause(waiting, interval)
	}
}

// pause waits for d or until ctx ends, and then returns its cause.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
