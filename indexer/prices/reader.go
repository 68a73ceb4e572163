package prices

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/price"
)

// sourceTime bounds how long one source is waited for.
const sourceTime = 45 * time.Second

// Reader reads a group of sources together and keeps the prices that come of it.
// Several processes may have the same Reader: each reading is one process' alone.
type Reader struct {
	Group   string        // in the claims: those of one group are read together
	Gap     time.Duration // the least time between two readings, whoever makes them
	Sources []Source
	Ledger  Ledger
	Rules   Rules
	Log     zerolog.Logger

	Now func() time.Time // time.Now if nil
}

// Read makes one reading, unless another process has made it. A source that fails is
// told and left out: what it said before stands, with its time. It is an error if
// none has answered.
func (r *Reader) Read(ctx context.Context) error {
	mine, err := r.Ledger.ClaimReading(ctx, r.Group, r.Gap)
	if err != nil {
		return fmt.Errorf("claim the reading of prices: %w", err)
	}
	if !mine {
		return nil
	}
	quotes, err := r.ask(ctx)
	if err != nil {
		return err
	}
	now := r.now()
	last, err := r.last(ctx, quotes, now)
	if err != nil {
		return err
	}
	prices, refusals := Settle(quotes, last, r.Rules, now)
	for _, refusal := range refusals {
		r.Log.Warn().Str("source", refusal.Quote.Source).Str("asset", string(refusal.Quote.Base)).
			Str("rate", refusal.Quote.Rate.String()).Str("reason", refusal.Why).Msg("quote refused")
	}
	// From here on a crash loses one reading, and the next one makes up for it.
	if err := r.Ledger.PutPrices(ctx, prices); err != nil {
		return fmt.Errorf("keep %d prices: %w", len(prices), err)
	}
	r.Log.Debug().Str("group", r.Group).Int("quotes", len(quotes)).Int("prices", len(prices)).Int("refused", len(refusals)).Msg("prices read")
	return nil
}

// ask asks all sources at once.
func (r *Reader) ask(ctx context.Context) ([]price.Quote, error) {
	answers, faults := make([][]price.Quote, len(r.Sources)), make([]error, len(r.Sources))
	var asking sync.WaitGroup
	for i, source := range r.Sources {
		asking.Go(func() {
			waiting, cancel := context.WithTimeout(ctx, sourceTime)
			defer cancel()
			answers[i], faults[i] = source.Quotes(waiting)
		})
	}
	asking.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	var quotes []price.Quote
	failed := 0
	for i, source := range r.Sources {
		if faults[i] != nil {
			failed++
			faults[i] = fmt.Errorf("%s: %w", source.Name(), faults[i])
			r.Log.Warn().Err(faults[i]).Str("source", source.Name()).Msg("source of prices not read")
			continue
		}
		quotes = append(quotes, answers[i]...)
	}
	if failed == len(r.Sources) {
		return nil, fmt.Errorf("no source of prices could be read: %w", errors.Join(faults...))
	}
	return quotes, nil
}

// last returns the dollar prices that stand for the assets of quotes.
func (r *Reader) last(ctx context.Context, quotes []price.Quote, now time.Time) (map[chains.AssetID]price.Price, error) {
	last := map[chains.AssetID]price.Price{}
	var wants []Want
	for _, q := range quotes {
		if _, asked := last[q.Base]; !asked {
			last[q.Base] = price.Price{}
			wants = append(wants, Want{Base: q.Base, In: price.USD, At: now, Reach: assetReach})
		}
	}
	found, err := r.Ledger.PricesAt(ctx, wants)
	if err != nil {
		return nil, fmt.Errorf("read the prices before: %w", err)
	}
	for i, p := range found {
		last[wants[i].Base] = p
	}
	return last, nil
}

func (r *Reader) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}
