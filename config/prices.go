package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Prices says who is asked what assets are worth. Nobody is, unless it is said
// here: to ask tells somebody else that this daemon is there.
type Prices struct {
	// Exchanges are those whose public prices are read. A price that two agree on
	// is not marked thin, so that it takes two at least. Default none.
	Exchanges []PriceSource `yaml:"exchanges"`
	// CoinGecko is read with a key of the operator's.
	CoinGecko CoinGecko `yaml:"coingecko"`
	// Feeds are price feeds of Chainlink on chains that are followed. Default none.
	Feeds []Feed `yaml:"feeds"`
	// Sequencers tell of rollups whether somebody sequences them. Default none.
	Sequencers []Sequencer `yaml:"sequencers"`
	// Schedule is when all of these are read: an interval such as @every 5m, or
	// five fields as cron has them, in UTC. Default @every 5m.
	Schedule string `yaml:"schedule"`
	// ECB is the daily rates of the European Central Bank for money of states.
	ECB ECB `yaml:"ecb"`
	// SpreadPermille is how many thousandths a quote may be off the median of all
	// before it is refused. Default 20.
	SpreadPermille int `yaml:"spread_permille"`
	// StaleAfter is how long a price of exchanges stands. Default 20m.
	StaleAfter time.Duration `yaml:"stale_after"`
	// KeepDays is for how many days every price is kept; of the days before the
	// last one of each stays. Default 90.
	KeepDays int `yaml:"keep_days"`
	// Pairs are prices of further assets. Default none.
	Pairs []PricePair `yaml:"pairs"`
}

// PriceSource is one exchange.
type PriceSource struct {
	// Name is binance, bitstamp, coinbase, gemini, kraken or okx. Required.
	Name string `yaml:"name"`
	// Region is where it is asked: us for binance.us; eea or us for okx. Default:
	// its main place.
	Region string `yaml:"region"`
	// URL is asked in place of its own address: a proxy, or a mock. Default none.
	URL URL `yaml:"url"`
}

// CoinGecko is an aggregator that wants a key.
type CoinGecko struct {
	// APIKey is of the operator's account. Without it CoinGecko is not asked.
	APIKey Secret `yaml:"api_key"`
	// Plan is demo or pro, as the key is. Default demo.
	Plan string `yaml:"plan"`
	// URL is asked in place of its own address. Default none.
	URL URL `yaml:"url"`
}

// ECB is the European Central Bank.
type ECB struct {
	// Enabled reads its rates. Without them nothing is converted into money of
	// states but the dollar. Default false.
	Enabled bool `yaml:"enabled"`
	// Schedule is when they are read, as of Prices. They are published at about
	// four in the afternoon in Frankfurt, on working days. Default @every 1h.
	Schedule string `yaml:"schedule"`
	// URL is asked in place of its own address. Default none.
	URL URL `yaml:"url"`
}

// Feed is one contract that keeps a price.
type Feed struct {
	// Chain is the name of a chain of the family evm. Required.
	Chain string `yaml:"chain"`
	// Contract is 0x and 40 hexadecimal digits. Required.
	Contract string `yaml:"contract"`
	// Asset is the name of what it tells the price of, such as ETH, or the CAIP-19
	// id of it. Required.
	Asset string `yaml:"asset"`
	// In is the name of what the price is in. Default USD.
	In string `yaml:"in"`
	// Heartbeat is the longest time between two answers that the feed promises.
	// Default 1h.
	Heartbeat time.Duration `yaml:"heartbeat"`
}

// Sequencer is the contract that tells whether a rollup is sequenced.
type Sequencer struct {
	// Chain is the name of a chain that has feeds. Required.
	Chain string `yaml:"chain"`
	// Contract is 0x and 40 hexadecimal digits. Required.
	Contract string `yaml:"contract"`
}

// PricePair is what an asset is traded as at a source.
type PricePair struct {
	// Source is the name of an exchange, or coingecko. Required.
	Source string `yaml:"source"`
	// Pair is as the source writes it. Required.
	Pair string `yaml:"pair"`
	// Asset is the CAIP-19 id of an asset, or its name. Required.
	Asset string `yaml:"asset"`
	// In is the name of what the price is in. Default USD.
	In string `yaml:"in"`
}

// PriceExchanges returns the names that PriceSource may have.
func PriceExchanges() []string {
	return []string{"binance", "bitstamp", "coinbase", "gemini", "kraken", "okx"}
}

// Any reports whether anything is read at all.
func (p Prices) Any() bool { return p.Markets() || p.ECB.Enabled }

// Markets reports whether anything but the European Central Bank is read.
func (p Prices) Markets() bool {
	return len(p.Exchanges) > 0 || p.CoinGecko.APIKey.Reveal() != "" || len(p.Feeds) > 0
}

func (p *Prices) settle() {
	p.CoinGecko.Plan = cmp.Or(p.CoinGecko.Plan, "demo")
	p.Schedule = cmp.Or(p.Schedule, "@every 5m")
	p.ECB.Schedule = cmp.Or(p.ECB.Schedule, "@every 1h")
	p.SpreadPermille = cmp.Or(p.SpreadPermille, 20)
	p.StaleAfter = cmp.Or(p.StaleAfter, 20*time.Minute)
	p.KeepDays = cmp.Or(p.KeepDays, 90)
	for i := range p.Feeds {
		p.Feeds[i].In = cmp.Or(p.Feeds[i].In, "USD")
		p.Feeds[i].Heartbeat = cmp.Or(p.Feeds[i].Heartbeat, time.Hour)
	}
	for i := range p.Pairs {
		p.Pairs[i].In = cmp.Or(p.Pairs[i].In, "USD")
	}
}

// check reports what cannot work. Which assets have a name, and what a schedule
// means, only the daemon knows.
func (p Prices) check(ps problems, chains map[string]Chain) {
	for i, e := range p.Exchanges {
		key := "prices.exchanges." + strconv.Itoa(i)
		oneOf(ps, key+".name", e.Name, PriceExchanges()...)
		if slices.ContainsFunc(p.Exchanges[:i], func(o PriceSource) bool { return o.Name == e.Name }) {
			ps.add(key+".name", "stands in the list twice")
		}
		checkURL(ps, key+".url", e.URL, "https", "http")
	}
	oneOf(ps, "prices.coingecko.plan", p.CoinGecko.Plan, "demo", "pro")
	checkURL(ps, "prices.coingecko.url", p.CoinGecko.URL, "https", "http")
	checkURL(ps, "prices.ecb.url", p.ECB.URL, "https", "http")
	onChain := func(key, chain, contract string) {
		if c, known := chains[chain]; !known || c.Family != FamilyEVM {
			ps.add(key+".chain", "must be the name of a chain of the family evm")
		}
		if !contractPattern.MatchString(contract) {
			ps.add(key+".contract", "must be 0x and 40 hexadecimal digits")
		}
	}
	for i, f := range p.Feeds {
		key := "prices.feeds." + strconv.Itoa(i)
		onChain(key, f.Chain, f.Contract)
		required(ps, key+".asset", f.Asset)
		notNegative(ps, key+".heartbeat", f.Heartbeat)
	}
	for i, s := range p.Sequencers {
		key := "prices.sequencers." + strconv.Itoa(i)
		onChain(key, s.Chain, s.Contract)
		if !slices.ContainsFunc(p.Feeds, func(f Feed) bool { return f.Chain == s.Chain }) {
			ps.add(key+".chain", "must be a chain that has feeds")
		}
		if slices.ContainsFunc(p.Sequencers[:i], func(o Sequencer) bool { return o.Chain == s.Chain }) {
			ps.add(key+".chain", "stands in the list twice")
		}
	}
	for i, pair := range p.Pairs {
		key := "prices.pairs." + strconv.Itoa(i)
		oneOf(ps, key+".source", pair.Source, append(PriceExchanges(), "coingecko")...)
		required(ps, key+".pair", pair.Pair)
		required(ps, key+".asset", pair.Asset)
	}
	notNegative(ps, "prices.spread_permille", p.SpreadPermille)
	if p.SpreadPermille > 500 {
		ps.add("prices.spread_permille", "must be from 0 to 500")
	}
	notNegative(ps, "prices.stale_after", p.StaleAfter)
	notNegative(ps, "prices.keep_days", p.KeepDays)
}

func required(p problems, key, value string) {
	if strings.TrimSpace(value) == "" {
		p.add(key, "is required")
	}
}
