package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
)

// Opening reads the first balances of accounts on an EVM chain. It waits for no
// search: the one under way may read the past of another account for days.
//
// Any number of processes may run one for the same chain: what two read side by
// side is true twice.
type Opening struct {
	Source chains.Source
	Ports  Ports
	Every  time.Duration   // between looks when nobody calls
	Wake   <-chan struct{} // a hint that an account was connected; may be nil
	Wrote  func()          // called after a commit that wrote events; a hint
	Log    zerolog.Logger
}

// Run opens until ctx ends, and returns its cause. On a chain whose balances are
// not read but summed it only waits.
func (o Opening) Run(ctx context.Context) error {
	if _, reads := o.Source.(chains.BalanceReader); !reads {
		<-ctx.Done()
		return context.Cause(ctx)
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	for {
		if err := o.step(ctx); err != nil && ctx.Err() == nil {
			o.Log.Warn().Err(err).Msg("balances not opened")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-o.Wake:
		}
	}
}

// step reads what has no balance yet.
func (o Opening) step(ctx context.Context) error {
	const batch = 500
	slug := o.Source.Chain().Slug
	for {
		scripts, err := o.Ports.UnopenedScripts(ctx, slug, batch)
		if err != nil {
			return fmt.Errorf("list scripts without a balance: %w", err)
		}
		if len(scripts) == 0 {
			return nil
		}
		p := pass{Search: &Search{Source: o.Source, Ports: o.Ports, Log: o.Log}, chain: slug, scripts: scripts}
		err = p.openBalances(ctx)
		if errors.Is(err, ErrNotCanonical) || errors.Is(err, ErrStale) {
			// The chain moved under us: the follower sorts it out within moments,
			// and calls.
			return nil
		}
		if err != nil {
			return err
		}
		if o.Wrote != nil {
			o.Wrote()
		}
		o.Log.Debug().Int("scripts", len(scripts)).Msg("balances opened")
		if len(scripts) < batch {
			return nil
		}
	}
}
