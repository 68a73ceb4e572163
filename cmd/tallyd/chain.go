package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/all"
	"tallyd/config"
	"tallyd/indexer"
)

// What no operator has asked to set yet.
const (
	mempoolEvery = time.Second
	sweepEvery   = 10 * time.Minute
	stateDepth   = 16    // blocks below the head whose state every node has
	searchChunk  = 2_000 // heights after which a search saves its progress
	searchBatch  = 1_000 // scripts searched in one pass
	applyBatch   = 32    // blocks appended in one transaction while catching up
)

// specOf returns what an adapter needs to know of a configured chain.
func specOf(slug string, c config.Chain) chains.Spec {
	spec := chains.Spec{
		Slug:             slug,
		Family:           chains.Family(c.Family),
		Network:          c.Network,
		Environment:      chains.Environment(c.Environment),
		Mempool:          c.Mempool,
		MainnetAddresses: c.AcceptMainnetAddresses,
		Trace:            c.Trace == "auto",
		FinalityTags:     c.Finality.Tag != "",
		Concurrency:      c.FetchConcurrency,
		Batch:            c.BatchSize,
		Timeout:          c.Timeout,
	}
	for _, u := range c.Upstreams {
		spec.Upstreams = append(spec.Upstreams, chains.Upstream{
			URL: u.URL.Reveal(), Websocket: u.Websocket.Reveal(), User: u.User, Password: u.Password.Reveal(),
			REST: u.REST, Budget: u.Budget,
		})
	}
	for _, t := range c.Tokens {
		spec.Tokens = append(spec.Tokens, chains.Token{Contract: t.Contract, Symbol: t.Symbol, Decimals: t.Decimals, Slot: t.Slot})
	}
	return spec
}

// openChain opens the nodes of a configured chain.
func openChain(ctx context.Context, slug string, c config.Chain, log zerolog.Logger) (chains.Source, error) {
	open, ok := all.Families()[chains.Family(c.Family)]
	if !ok {
		return nil, fmt.Errorf("chain %s: family %q is not built in", slug, c.Family)
	}
	source, err := open(ctx, specOf(slug, c), log)
	if err != nil {
		return nil, fmt.Errorf("open chain %s: %w", slug, err)
	}
	return source, nil
}

// listed returns the tokens the operator names, as assets of a chain.
func listed(chain chains.Chain, c config.Chain) []chains.Asset {
	assets := make([]chains.Asset, 0, len(c.Tokens))
	for _, t := range c.Tokens {
		assets = append(assets, chains.Asset{
			ID: chains.TokenID(chain.ID, t.Contract), Symbol: t.Symbol, Name: t.Symbol, Decimals: t.Decimals, Listed: true,
		})
	}
	return assets
}

func followConfig(c config.Chain) indexer.FollowConfig {
	cfg := indexer.FollowConfig{
		Poll:         c.PollInterval,
		Ahead:        2 * c.FetchConcurrency,
		Batch:        applyBatch,
		Gap:          uint32(c.GapLimit), //nolint:gosec // checked when loaded
		FinalDepth:   c.Finality.Depth,
		FinalTag:     c.Finality.Tag,
		Safe:         readsSafe(c),
		Mempool:      c.Mempool,
		Rewindable:   c.AllowGenesisChange,
		StateDepth:   stateDepth,
		SweepEvery:   sweepEvery,
		MempoolEvery: mempoolEvery,
	}
	if height, fixed := c.StartHeight.Height(); fixed {
		cfg.Start = &height
	}
	return cfg
}

func searchConfig(c config.Chain) indexer.SearchConfig {
	return indexer.SearchConfig{
		Ahead:  2 * c.FetchConcurrency,
		Chunk:  searchChunk,
		Gap:    uint32(c.GapLimit),      //nolint:gosec // checked when loaded
		Blocks: uint64(c.HistoryBlocks), //nolint:gosec // checked when loaded
		Batch:  searchBatch,
	}
}

// readsSafe reports whether deposits of a chain wait for the block that its nodes
// call safe.
func readsSafe(c config.Chain) bool {
	if c.Deposits.Credit.Tag == config.CreditSafe {
		return true
	}
	return slices.ContainsFunc(c.Deposits.Rules, func(r config.CreditRule) bool { return r.Credit.Tag == config.CreditSafe })
}
