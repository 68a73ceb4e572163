package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// turnTime is how long others leave a withdrawal alone that a Payer asks nodes
	// about. One that dies leaves it to another after that; one that takes longer
	// may find that its turn has moved.
	turnTime = 15 * time.Second

	// payEvery is how often a Payer looks for work that nobody woke it for.
	payEvery = time.Second
)

// Payer carries out the withdrawals of one chain: it builds drafts for those that
// were ordered, broadcasts what came back signed until the chain has settled it,
// and follows it to its end.
//
// Any number of processes may run one for the same chain. Each withdrawal is
// looked at by one of them at a time; and should two believe it is their turn, the
// ledger takes what one of them found out.
type Payer struct {
	Source  chains.Source
	Payouts Payouts
	Coins   Coins
	Config  PayerConfig
	Wake    <-chan struct{} // there may be work; a hint. nil for never
	Log     zerolog.Logger
}

// PayerConfig is what an operator sets.
type PayerConfig struct {
	MaxFee chains.Amount // the most that one transaction may pay the network, in base units of the native coin
	Blocks int           // within how many blocks a transaction is to be mined
}

// Run works until ctx ends, and returns its cause. Faults of nodes and of the
// database are waited out.
func (p *Payer) Run(ctx context.Context) error {
	tick := time.NewTicker(payEvery)
	defer tick.Stop()
	for {
		moved, err := p.Step(ctx)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err != nil {
			p.Log.Warn().Err(err).Msg("withdrawal not looked at")
		} else if moved {
			continue
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-p.Wake:
		case <-tick.C:
		}
	}
}

// Step looks at one withdrawal, and reports whether there was one.
func (p *Payer) Step(ctx context.Context) (moved bool, err error) {
	w, err := p.Payouts.TakeTurn(ctx, p.Source.Chain().Slug, turnTime)
	if errors.Is(err, indexer.ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("take a turn: %w", err)
	}
	err = p.look(ctx, w)
	if errors.Is(err, indexer.ErrStale) {
		return true, nil // somebody else wrote: whoever comes next sees that
	}
	if err != nil {
		return true, fmt.Errorf("look at withdrawal %s: %w", w.ID, err)
	}
	return true, nil
}

// look does what is next for a withdrawal: what the ledger knows comes first, so
// that nothing is broadcast or built that is mined.
func (p *Payer) look(ctx context.Context, w Withdrawal) error {
	before := w.Status
	w, err := p.Payouts.Settle(ctx, w.Turn, Observation{})
	if err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	// What is signed goes on, and comes first: to find out what a replacement must
	// pay may take longer than the turn lasts, and may come to nothing.
	if w.ToSend() != nil {
		w, err = p.send(ctx, w)
	}
	if err == nil && w.ToBuild() {
		w, err = p.build(ctx, w)
	}
	if err == nil && w.Status != before {
		p.Log.Info().Stringer("withdrawal", w.ID).Str("kind", string(w.Kind)).Str("was", string(before)).Str("status", string(w.Status)).
			Str("reason", w.Reason).Msg("withdrawal moved")
	}
	return err
}

// backoff returns first, doubled for each try, and last at most.
func backoff(first, last time.Duration, tries int) time.Duration {
	const doublings = 16 // keeps the shift within 64 bits
	return min(first<<min(tries, doublings), last)
}
