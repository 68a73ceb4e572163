package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/price"
	"tallyd/chains/price/chainlink"
	"tallyd/chains/price/ecb"
	"tallyd/chains/price/ticker"
	"tallyd/chains/venue"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/prices"
)

// Groups of sources that are read together.
const (
	marketGroup = "markets"
	moneyGroup  = "money"
)

// thinEvery is when old prices are forgotten.
const thinEvery = "17 3 * * *"

// priceTimeout bounds one question to the European Central Bank.
const priceTimeout = 30 * time.Second

// pricing is all that has to do with prices in one daemon.
type pricing struct {
	cfg   config.Prices
	names *price.Names
	pairs []ticker.Pair
	log   zerolog.Logger
}

// newPricing reads the tables and checks what only the daemon knows of the settings,
// before anything is opened.
func newPricing(cfg config.Prices, log zerolog.Logger) (*pricing, error) {
	p := &pricing{cfg: cfg, log: log}
	var err error
	if p.names, err = price.LoadNames(); err != nil {
		return nil, err //nolint:wrapcheck // it names the table
	}
	if p.pairs, err = ticker.LoadPairs(p.names); err != nil {
		return nil, err //nolint:wrapcheck // it names the table
	}
	for i, extra := range cfg.Pairs {
		pair := ticker.Pair{Source: extra.Source, Name: extra.Pair}
		if pair.Base, err = p.asset(extra.Asset); err != nil {
			return nil, fmt.Errorf("prices.pairs.%d.asset: %w", i, err)
		}
		if pair.In, err = p.asset(extra.In); err != nil {
			return nil, fmt.Errorf("prices.pairs.%d.in: %w", i, err)
		}
		// One that the table has too is the operator's to say.
		p.pairs = slices.DeleteFunc(p.pairs, func(known ticker.Pair) bool { return known.Source == pair.Source && known.Name == pair.Name })
		p.pairs = append(p.pairs, pair)
	}
	for key, spec := range map[string]string{"prices.schedule": cfg.Schedule, "prices.ecb.schedule": cfg.ECB.Schedule} {
		if _, err := indexer.Interval(spec, time.Now()); err != nil && cfg.Any() {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
	}
	// Opening a source asks nothing.
	if _, err := p.jobs(nil, p.transport(nil, nil), nil); err != nil {
		return nil, err
	}
	return p, nil
}

// asset reads the name or the id of an asset.
func (p *pricing) asset(text string) (chains.AssetID, error) {
	if asset, known := p.names.Asset(text); known {
		return asset, nil
	}
	if chain, rest, found := strings.Cut(text, "/"); found && strings.Contains(chain, ":") && strings.Contains(rest, ":") {
		return chains.AssetID(strings.ToLower(chain) + "/" + lowerContract(rest)), nil
	}
	return "", fmt.Errorf("%.80q is neither a name that stands in the table nor a CAIP-19 id", text)
}

// lowerContract writes the contract in the last part of an id as the ledger does.
func lowerContract(rest string) string {
	if contract, found := strings.CutPrefix(rest, "erc20:"); found {
		return "erc20:" + strings.ToLower(contract)
	}
	return rest
}

// jobs returns what is done at regular times.
func (p *pricing) jobs(ledger prices.Ledger, transport *venue.Transport, sources *indexer.Sources) ([]indexer.Job, error) {
	if !p.cfg.Any() {
		return nil, nil
	}
	regular := []indexer.Job{{
		Name: "thin prices", Spec: thinEvery,
		Run: func(ctx context.Context) error {
			return ledger.ThinPrices(ctx, time.Now().AddDate(0, 0, -p.cfg.KeepDays))
		},
	}}
	markets, err := p.markets(transport, sources)
	if err != nil {
		return nil, err
	}
	if len(markets) > 0 {
		job, err := p.reading(marketGroup, p.cfg.Schedule, ledger, markets)
		if err != nil {
			return nil, err
		}
		regular = append(regular, job)
	}
	if p.cfg.ECB.Enabled {
		bank, err := ecb.New(&http.Client{Timeout: priceTimeout}, p.cfg.ECB.URL.Reveal(), p.names)
		if err != nil {
			return nil, fmt.Errorf("prices.ecb.url: %w", err)
		}
		job, err := p.reading(moneyGroup, p.cfg.ECB.Schedule, ledger, []prices.Source{bank})
		if err != nil {
			return nil, err
		}
		regular = append(regular, job)
	}
	return regular, nil
}

// reading returns the job that reads sources together.
func (p *pricing) reading(group, schedule string, ledger prices.Ledger, sources []prices.Source) (indexer.Job, error) {
	every, err := indexer.Interval(schedule, time.Now())
	if err != nil {
		return indexer.Job{}, fmt.Errorf("schedule of %s: %w", group, err)
	}
	reader := &prices.Reader{
		// Daemons begin at different moments: what comes a little early is not yet
		// another turn.
		Group: group, Gap: every - every/4, Sources: sources, Ledger: ledger, Log: p.log,
		Rules: prices.Rules{Spread: int64(p.cfg.SpreadPermille), Fresh: p.cfg.StaleAfter},
	}
	return indexer.Job{Name: "read prices of " + group, Spec: schedule, Run: reader.Read, AtStart: true}, nil
}

// markets returns the sources that are read together: exchanges, the aggregator, and
// feeds on chains.
func (p *pricing) markets(transport *venue.Transport, sources *indexer.Sources) ([]prices.Source, error) {
	var asked []prices.Source
	open := func(name string, o ticker.Options) error {
		o.Pairs = p.pairs
		source, err := ticker.Open(transport, name, o)
		if err != nil {
			return fmt.Errorf("prices of %s: %w", name, err)
		}
		asked = append(asked, source)
		return nil
	}
	for _, e := range p.cfg.Exchanges {
		if err := open(e.Name, ticker.Options{Region: e.Region}); err != nil {
			return nil, err
		}
	}
	if key := p.cfg.CoinGecko.APIKey.Reveal(); key != "" {
		if err := open(ticker.CoinGecko, ticker.Options{Region: p.cfg.CoinGecko.Plan, Key: key}); err != nil {
			return nil, err
		}
	}
	feeds, err := p.feeds(sources)
	for _, feed := range feeds {
		asked = append(asked, feed)
	}
	return asked, err
}

// feeds returns a source for each chain that has feeds.
func (p *pricing) feeds(sources *indexer.Sources) ([]*chainlink.Source, error) {
	byChain := map[string]*chainlink.Source{}
	for i, f := range p.cfg.Feeds {
		feed := chainlink.Feed{Contract: f.Contract, Heartbeat: f.Heartbeat}
		var err error
		if feed.Base, err = p.asset(f.Asset); err != nil {
			return nil, fmt.Errorf("prices.feeds.%d.asset: %w", i, err)
		}
		if feed.In, err = p.asset(f.In); err != nil {
			return nil, fmt.Errorf("prices.feeds.%d.in: %w", i, err)
		}
		if byChain[f.Chain] == nil {
			byChain[f.Chain] = &chainlink.Source{
				Chain: f.Chain,
				Reader: func() (chains.FeedReader, bool) {
					source, open := sources.Get(f.Chain)
					reader, can := source.(chains.FeedReader)
					return reader, open && can
				},
				Refused: func(feed chainlink.Feed, why string) {
					p.log.Warn().Str("chain", f.Chain).Str("contract", feed.Contract).Str("asset", string(feed.Base)).
						Str("reason", why).Msg("feed refused")
				},
			}
		}
		byChain[f.Chain].Feeds = append(byChain[f.Chain].Feeds, feed)
	}
	for i, s := range p.cfg.Sequencers {
		if byChain[s.Chain] == nil {
			return nil, fmt.Errorf("prices.sequencers.%d.chain: %s has no feeds", i, s.Chain)
		}
		byChain[s.Chain].Sequencer = s.Contract
	}
	var feeds []*chainlink.Source
	for _, chain := range slices.Sorted(maps.Keys(byChain)) {
		feeds = append(feeds, byChain[chain])
	}
	return feeds, nil
}

// base returns what is asked in place of an exchange's own address, "" for that.
func (p *pricing) base(source string) string {
	if source == ticker.CoinGecko {
		return p.cfg.CoinGecko.URL.Reveal()
	}
	for _, e := range p.cfg.Exchanges {
		if e.Name == source {
			return e.URL.Reveal()
		}
	}
	return ""
}

// transport returns the road to exchanges. Its budgets are those of whoever reads
// accounts there: a venue that shuts one out shuts out both.
func (p *pricing) transport(budgets venue.Budgets, client *http.Client) *venue.Transport {
	return venue.NewTransport(venue.TransportOptions{
		HTTP: client, Budgets: budgets, UserAgent: "tallyd/" + version,
		Base: func(source, _, _ string) string { return p.base(source) },
	})
}
