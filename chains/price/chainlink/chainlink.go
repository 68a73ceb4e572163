// Package chainlink reads the prices that Chainlink's feeds keep on a chain, through
// the operator's own node: no third party is asked, and whose node can be trusted
// for balances can be for these.
//
// A feed is believed while it is written: its contract promises to be, at least
// once in each heartbeat. On a rollup it goes on showing its last answer while
// nobody sequences transactions, so that a feed there names the contract which
// tells whether somebody does.
package chainlink

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyd/chains"
	"tallyd/chains/price"
)

const (
	// grace is how late a heartbeat may be: the transaction has to be mined.
	grace = 10 * time.Minute

	// settling is how long after a sequencer came back its feeds are not
	// believed: as long as what was waiting is carried out.
	settling = time.Hour

	// maxAhead is how far a chain's clock may be ahead of ours.
	maxAhead = 2 * time.Minute

	maxDecimals = 36
)

// Feed is one contract and what it tells the price of.
type Feed struct {
	Contract  string
	Base, In  chains.AssetID
	Heartbeat time.Duration
}

// Source reads the feeds of one chain. It is safe for concurrent use.
type Source struct {
	Chain     string // slug
	Feeds     []Feed
	Sequencer string // the contract that tells whether a rollup is sequenced; "" for none

	// Reader returns what reads the chain, false while none of its nodes has
	// answered.
	Reader func() (chains.FeedReader, bool)

	// Refused is told of a feed that is not believed, and why. It may be nil.
	Refused func(feed Feed, why string)

	Now func() time.Time // time.Now if nil
}

// Name returns what the source is called.
func (s *Source) Name() string { return "chainlink:" + s.Chain }

// Quotes returns the answers of the feeds that are believed.
func (s *Source) Quotes(ctx context.Context) ([]price.Quote, error) {
	reader, ready := s.Reader()
	if !ready {
		return nil, fmt.Errorf("chain %s is not open here", s.Chain)
	}
	contracts := make([]string, 0, len(s.Feeds)+1)
	for _, feed := range s.Feeds {
		contracts = append(contracts, feed.Contract)
	}
	if s.Sequencer != "" {
		contracts = append(contracts, s.Sequencer)
	}
	at, rounds, err := reader.Feeds(ctx, contracts)
	if err != nil {
		return nil, fmt.Errorf("read %d feeds of %s: %w", len(contracts), s.Chain, err)
	}
	if len(rounds) != len(contracts) {
		return nil, fmt.Errorf("read %d feeds of %s: %d answered", len(contracts), s.Chain, len(rounds))
	}
	now := s.now(at.Time)
	if s.Sequencer != "" {
		if err := sequenced(rounds[len(s.Feeds)], now); err != nil {
			return nil, fmt.Errorf("sequencer of %s: %w", s.Chain, err)
		}
	}
	var quotes []price.Quote
	for i, feed := range s.Feeds {
		q, err := s.quote(feed, rounds[i], now)
		if err != nil {
			if s.Refused != nil {
				s.Refused(feed, err.Error())
			}
			continue
		}
		quotes = append(quotes, q)
	}
	if len(quotes) == 0 {
		return nil, fmt.Errorf("none of %d feeds of %s is believed", len(s.Feeds), s.Chain)
	}
	return quotes, nil
}

// now returns the time that answers read at a block are judged at: ours, unless the
// chain's clock is ahead. A node that stands still does not make them younger.
func (s *Source) now(block time.Time) time.Time {
	now := time.Now()
	if s.Now != nil {
		now = s.Now()
	}
	if block.After(now) {
		return block
	}
	return now
}

// quote judges the answer of a feed.
func (s *Source) quote(feed Feed, round chains.FeedRound, now time.Time) (price.Quote, error) {
	switch {
	case round.Err != "":
		return price.Quote{}, errors.New(round.Err)
	case round.UpdatedAt.IsZero():
		return price.Quote{}, errors.New("its round has no answer")
	case round.Answer.Sign() <= 0:
		return price.Quote{}, fmt.Errorf("its answer is %.40s", round.Answer)
	case round.Decimals < 0 || round.Decimals > maxDecimals:
		return price.Quote{}, fmt.Errorf("its answer has %d decimals", round.Decimals)
	case round.UpdatedAt.After(now.Add(maxAhead)):
		return price.Quote{}, errors.New("its answer is of a time to come")
	}
	until := round.UpdatedAt.Add(feed.Heartbeat + grace)
	if now.After(until) {
		return price.Quote{}, fmt.Errorf("it was written at %s and not within its heartbeat since", round.UpdatedAt.UTC().Format(time.RFC3339))
	}
	rate, err := price.NewRate(round.Answer, round.Decimals)
	if err != nil {
		return price.Quote{}, err //nolint:wrapcheck // it says what is wrong with the number
	}
	return price.Quote{Base: feed.Base, In: feed.In, Rate: rate, Source: s.Name(), AsOf: round.UpdatedAt.UTC(), Until: until.UTC()}, nil
}

// sequenced returns an error unless the sequencer is up, and has been for long
// enough. Its feed says 0 for up and 1 for down, since StartedAt.
func sequenced(round chains.FeedRound, now time.Time) error {
	switch {
	case round.Err != "":
		return errors.New(round.Err)
	case !round.Answer.IsZero():
		return errors.New("it is down")
	case round.StartedAt.IsZero():
		return errors.New("nobody knows since when it is up")
	case now.Before(round.StartedAt.Add(settling)):
		return fmt.Errorf("it is up since %s only", round.StartedAt.UTC().Format(time.RFC3339))
	}
	return nil
}
