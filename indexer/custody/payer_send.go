package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyd/chains"
)

// What is not mined is broadcast again after sendFirst, then ever later up to
// sendLast: a node that was restarted has forgotten it.
const (
	sendFirst = 15 * time.Second
	sendLast  = 10 * time.Minute
)

// send makes a signed draft known, and keeps what nodes say of it.
func (p *Payer) send(ctx context.Context, w Withdrawal) (Withdrawal, error) {
	seen := Observation{Asked: true, Retry: backoff(sendFirst, sendLast, w.Tries)}
	switch {
	case w.ToBuild():
		seen.Retry = min(seen.Retry, backoff(buildFirst, buildLast, w.Tries)) // for the replacement
	case w.Lost != nil:
		seen.Retry = sendFirst // to be certain soon
	}
	broadcaster, ok := p.Source.(chains.Broadcaster)
	if !ok {
		return w, errCannot
	}
	err := p.tell(ctx, broadcaster, w)
	refusal, refused := errors.AsType[*chains.RefusalError](err)
	switch {
	case ctx.Err() != nil:
		return w, context.Cause(ctx)
	case err == nil:
		seen.Taken = true
	case refused:
		seen.Refused = refusal.Reason
		p.Log.Warn().Stringer("withdrawal", w.ID).Str("reason", string(refusal.Reason)).Str("detail", refusal.Detail).Msg("withdrawal refused")
	default:
		p.Log.Warn().Err(err).Stringer("withdrawal", w.ID).Msg("withdrawal not broadcast")
	}
	if err == nil || refused {
		if err := p.search(ctx, broadcaster, w, &seen); err != nil {
			p.Log.Warn().Err(err).Stringer("withdrawal", w.ID).Msg("withdrawal not looked up")
		}
	}
	w, err = p.Payouts.Settle(ctx, w.Turn, seen)
	if err != nil {
		return w, fmt.Errorf("keep what nodes said: %w", err)
	}
	return w, nil
}

// tell hands nodes the draft that they are to be told of. A replacement may have lost
// a coin that what it replaces does without: then they are told of that.
func (p *Payer) tell(ctx context.Context, broadcaster chains.Broadcaster, w Withdrawal) error {
	first := w.ToSend()
	err := broadcaster.Broadcast(ctx, first.Signed.Raw)
	refusal, refused := errors.AsType[*chains.RefusalError](err)
	if !refused || refusal.Reason != chains.RefusedSpent || w.Sender != nil {
		return err //nolint:wrapcheck // the source says what it was doing
	}
	for i := len(w.Drafts) - 1; i >= 0; i-- {
		older := &w.Drafts[i]
		if older.Signed == nil || older.N == first.N {
			continue
		}
		if broadcaster.Broadcast(ctx, older.Signed.Raw) == nil {
			return nil
		}
	}
	return err //nolint:wrapcheck // the source says what it was doing
}

// search looks at what the ledger cannot tell: of a transaction of the bitcoin
// family whether another one in the chain is the same; of EVM whether it is mined
// without a trace, or its nonce used.
func (p *Payer) search(ctx context.Context, broadcaster chains.Broadcaster, w Withdrawal, seen *Observation) error {
	var err error
	if w.Sender != nil {
		err = p.searchNonce(ctx, broadcaster, w, seen)
	} else {
		err = p.searchSpender(ctx, w, seen)
	}
	seen.Searched = err == nil
	return err
}

// searchNonce asks for each signed draft. That one of them was mined is seen by
// its transfers; a node is believed only where there are none.
func (p *Payer) searchNonce(ctx context.Context, broadcaster chains.Broadcaster, w Withdrawal, seen *Observation) error {
	for _, draft := range w.Drafts {
		if draft.Signed == nil {
			continue
		}
		sighting, err := broadcaster.Lookup(ctx, draft.Signed.ID)
		switch {
		case errors.Is(err, chains.ErrNotFound):
		case err != nil:
			return err //nolint:wrapcheck // the source says what it was doing
		case sighting.Mined:
			seen.Seen = &Seen{Draft: draft.N, Sighting: sighting}
			return nil
		}
	}
	reader, ok := p.Source.(chains.NonceReader)
	if !ok || !seen.used() || w.Nonce == nil {
		return nil
	}
	latest, _, err := reader.Nonces(ctx, w.Sender.Script)
	if err != nil {
		return err //nolint:wrapcheck // the source says what it was doing
	}
	if latest <= *w.Nonce {
		return nil
	}
	// The block that used it is at this head or below.
	head, err := p.Source.Head(ctx)
	if err != nil {
		return err //nolint:wrapcheck // the source says what it was doing
	}
	seen.UsedAt = &head.Height
	return nil
}

// searchSpender reads the block of a transaction that spends the coins of a signed
// draft: one that pays the same to the same is the draft itself.
func (p *Payer) searchSpender(ctx context.Context, w Withdrawal, seen *Observation) error {
	if w.Spender == nil {
		return nil
	}
	block, err := p.Source.Block(ctx, w.Spender.Block)
	if err != nil {
		return fmt.Errorf("fetch block %d: %w", w.Spender.Height, err)
	}
	watch := chains.NewWatchTable(1, 0)
	watch.AddScript(w.Script)
	match, err := block.Match(watch)
	if err != nil {
		return fmt.Errorf("read block %d: %w", w.Spender.Height, err)
	}
	for _, t := range match.Transfers {
		if t.Tx == w.Spender.Tx && t.Side == chains.In && string(t.Script) == string(w.Script) && t.Amount.Equal(w.Amount) {
			seen.Adopt = w.Spender
			return nil
		}
	}
	return nil
}
