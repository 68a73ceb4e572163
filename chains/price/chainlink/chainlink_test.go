package chainlink_test

import (
	"context"
	"errors"
	"math/big"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/chains"
	"tallyd/chains/evm"
	"tallyd/chains/localnode"
	"tallyd/chains/price"
	"tallyd/chains/price/chainlink"
)

const eth chains.AssetID = "eip155:1/slip44:60"

// oracle is a chain with feeds, and what reads it.
type oracle struct {
	t      *testing.T
	anvil  *localnode.Ethereum
	source chains.Source
}

func newOracle(t *testing.T) *oracle {
	t.Helper()
	anvil := localnode.TestAnvil(t)
	source, err := evm.Open(t.Context(), chains.Spec{
		Slug: "eth", Family: chains.FamilyEVM, Network: "31337", Environment: chains.Test, Timeout: 10 * time.Second,
		Upstreams: []chains.Upstream{{URL: anvil.URL}},
	}, zerolog.Nop())
	require.NoError(t, err)
	t.Cleanup(source.Close)
	return &oracle{t: t, anvil: anvil, source: source}
}

func (o *oracle) deploy(decimals uint8) string {
	o.t.Helper()
	feed, err := o.anvil.DeployFeed(o.t.Context(), decimals)
	require.NoError(o.t, err)
	return feed
}

func (o *oracle) set(feed string, answer *big.Int, started, updated time.Time) {
	o.t.Helper()
	receipt, err := o.anvil.Transact(o.t.Context(), localnode.Transaction{To: feed, Data: localnode.FeedData(answer, started, updated)})
	require.NoError(o.t, err)
	require.Equal(o.t, "0x1", receipt.Status)
}

// now is the time of the chain's newest block, or ours if that is later.
func (o *oracle) now() time.Time {
	o.t.Helper()
	head, err := o.source.Head(o.t.Context())
	require.NoError(o.t, err)
	if now := time.Now().Truncate(time.Second); now.After(head.Time) {
		return now
	}
	return head.Time
}

// feeds returns a source of feeds of ether, and what it refused.
func (o *oracle) feeds(contracts ...string) (*chainlink.Source, *[]string) {
	var refused []string
	s := &chainlink.Source{
		Chain:   "eth",
		Reader:  func() (chains.FeedReader, bool) { r, can := o.source.(chains.FeedReader); return r, can },
		Refused: func(_ chainlink.Feed, why string) { refused = append(refused, why) },
	}
	for _, contract := range contracts {
		s.Feeds = append(s.Feeds, chainlink.Feed{Contract: contract, Base: eth, In: price.USD, Heartbeat: time.Hour})
	}
	return s, &refused
}

// An answer is read from a real contract on a real node, digit by digit; what no
// heart beats for, and what no price can be, is refused.
func TestFeeds(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	feed, wide := o.deploy(8), o.deploy(18)
	token, err := o.anvil.DeployToken(t.Context(), localnode.Token{Symbol: "A", Decimals: 6, Supply: big.NewInt(1)})
	require.NoError(t, err)
	ask := func(contracts ...string) ([]price.Quote, []string, error) {
		t.Helper()
		s, refused := o.feeds(contracts...)
		quotes, err := s.Quotes(t.Context())
		return quotes, *refused, err
	}

	_, refused, err := ask(feed)
	require.ErrorContains(t, err, "none of 1 feeds")
	require.Equal(t, []string{"its round has no answer"}, refused)

	updated := o.now().Add(-50 * time.Minute)
	o.set(feed, big.NewInt(250_012_345_678), updated, updated)
	quotes, refused, err := ask(feed)
	require.NoError(t, err)
	require.Empty(t, refused)
	require.Equal(t, []price.Quote{{
		Base: eth, In: price.USD, Rate: quotes[0].Rate, Source: "chainlink:eth", AsOf: updated.UTC(), Until: updated.Add(70 * time.Minute).UTC(),
	}}, quotes)
	require.Equal(t, "2500.12345678", quotes[0].Rate.String())

	wei, _ := new(big.Int).SetString("2500123456789012345678", 10)
	o.set(wide, wei, updated, updated)
	quotes, _, err = ask(wide)
	require.NoError(t, err)
	require.Equal(t, "2500.123456789012345678", quotes[0].Rate.String())

	absurd := new(big.Int).Lsh(big.NewInt(1), 200)
	for _, tt := range []struct {
		name    string
		answer  *big.Int
		updated time.Time
		why     string
	}{
		{name: "Zero", answer: big.NewInt(0), updated: o.now(), why: "its answer is 0"},
		{name: "Negative", answer: big.NewInt(-250_012_345_678), updated: o.now(), why: "its answer is -250012345678"},
		{name: "AbsurdScale", answer: absurd, updated: o.now(), why: "not a rate"},
		{name: "Stale", answer: big.NewInt(1), updated: o.now().Add(-71 * time.Minute), why: "not within its heartbeat"},
		{name: "ToCome", answer: big.NewInt(1), updated: o.now().Add(time.Hour), why: "a time to come"},
	} {
		o.set(feed, tt.answer, tt.updated, tt.updated)
		quotes, refused, err = ask(feed, wide)
		require.NoError(t, err, tt.name)
		require.Len(t, quotes, 1, "%s: the other feed is believed", tt.name)
		require.Len(t, refused, 1, tt.name)
		require.Contains(t, refused[0], tt.why, tt.name)
	}

	// A contract of another kind, and no contract at all.
	quotes, refused, err = ask(token, "0x00000000000000000000000000000000000000aa", wide)
	require.NoError(t, err)
	require.Len(t, quotes, 1)
	require.Equal(t, []string{"the contract is no feed, or refuses to answer", "the contract answers otherwise than a feed does"}, refused)
	_, _, err = ask("nonsense")
	require.Error(t, err)
	odd := o.deploy(60)
	o.set(odd, big.NewInt(1), o.now(), o.now())
	_, refused, err = ask(odd)
	require.Error(t, err)
	require.Equal(t, []string{"its answer has 60 decimals"}, refused)
}

// On a rollup nothing is believed while nobody sequences it, nor for an hour after.
func TestSequencer(t *testing.T) {
	t.Parallel()
	o := newOracle(t)
	feed, sequencer := o.deploy(8), o.deploy(0)
	o.set(feed, big.NewInt(250_000_000_000), o.now(), o.now())
	s, _ := o.feeds(feed)
	s.Sequencer = sequencer
	for _, tt := range []struct {
		answer  int64
		started time.Time
		says    string
	}{
		{answer: 0, started: time.Unix(0, 0), says: "nobody knows since when"},
		{answer: 1, started: o.now().Add(-5 * time.Hour), says: "it is down"},
		{answer: 0, started: o.now().Add(-59 * time.Minute), says: "up since"},
		{answer: 0, started: o.now().Add(-2 * time.Hour)},
	} {
		o.set(sequencer, big.NewInt(tt.answer), tt.started, tt.started)
		quotes, err := s.Quotes(t.Context())
		if tt.says != "" {
			require.ErrorContains(t, err, tt.says)
			continue
		}
		require.NoError(t, err)
		require.Len(t, quotes, 1)
	}
}

// still is a node that stands still: its last block is old, and so is its feed.
type still struct{ at time.Time }

func (s still) Feeds(context.Context, []string) (chains.BlockRef, []chains.FeedRound, error) {
	return chains.BlockRef{Time: s.at}, []chains.FeedRound{{Answer: chains.NewAmount(1), UpdatedAt: s.at.Add(-time.Minute)}}, nil
}

// gone is a node that does not answer, or with fewer rounds than were asked for.
type gone struct{ err error }

func (g gone) Feeds(context.Context, []string) (chains.BlockRef, []chains.FeedRound, error) {
	return chains.BlockRef{}, nil, g.err
}

func TestNodes(t *testing.T) {
	t.Parallel()
	var reader chains.FeedReader
	noon := time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)
	s := &chainlink.Source{
		Chain: "eth", Feeds: []chainlink.Feed{{Base: eth, In: price.USD, Heartbeat: time.Hour}},
		Reader: func() (chains.FeedReader, bool) { return reader, reader != nil }, Now: func() time.Time { return noon },
	}
	_, err := s.Quotes(t.Context())
	require.ErrorContains(t, err, "is not open here")
	reader = still{at: noon.Add(-2 * time.Hour)}
	_, err = s.Quotes(t.Context())
	require.Error(t, err, "an old block makes no old answer young")
	reader = still{at: noon}
	quotes, err := s.Quotes(t.Context())
	require.NoError(t, err)
	require.Len(t, quotes, 1)
	fault := errors.New("no node can be used")
	reader = gone{err: fault}
	_, err = s.Quotes(t.Context())
	require.ErrorIs(t, err, fault)
	reader = gone{}
	_, err = s.Quotes(t.Context())
	require.Error(t, err)
}
