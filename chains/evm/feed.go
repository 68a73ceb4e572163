package evm

import (
	"context"
	"fmt"
	"math/big"
	"time"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const (
	selectorLatestRound = "\xfe\xaf\x96\x8c" // latestRoundData(), of Chainlink's AggregatorV3Interface

	roundWords = 5 // round, answer, started, updated, the round it was answered in
)

var _ chains.FeedReader = (*Source)(nil)

// Feeds implements chains.FeedReader. All is read at the hash of one block, the
// node's newest.
func (s *Source) Feeds(ctx context.Context, contracts []string) (chains.BlockRef, []chains.FeedRound, error) {
	addresses := make([]common.Address, len(contracts))
	for i, contract := range contracts {
		address, _, err := parseAddress(contract)
		if err != nil {
			return chains.BlockRef{}, nil, fmt.Errorf("read feed %s: %w", contract, err)
		}
		addresses[i] = common.Address(address)
	}
	var at chains.BlockRef
	var rounds []chains.FeedRound
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) error {
		head, err := headerBy(ctx, u, "latest")
		if err != nil {
			return err
		}
		at = head.ref()
		rounds, err = feedsFrom(ctx, u, head.hash, addresses)
		return err
	})
	if err != nil {
		return chains.BlockRef{}, nil, fmt.Errorf("read %d feeds: %w", len(contracts), err)
	}
	for i := range rounds {
		rounds[i].Contract = contracts[i]
	}
	return at, rounds, nil
}

// feedsFrom asks one node for the rounds of feeds at a block.
func feedsFrom(ctx context.Context, u *rpc.Upstream, at common.Hash, contracts []common.Address) ([]chains.FeedRound, error) {
	var requests []rpc.Request
	for _, contract := range contracts {
		requests = append(requests,
			ethCall(contract, []byte(selectorLatestRound), atHash(at)), ethCall(contract, []byte(selectorDecimals), atHash(at)))
	}
	answers, err := u.Batch(ctx, requests)
	if err != nil {
		return nil, fmt.Errorf("call the contracts: %w", err)
	}
	rounds := make([]chains.FeedRound, len(contracts))
	for i := range rounds {
		round, decimals := answers[2*i], answers[2*i+1]
		for _, answer := range []rpc.Response{round, decimals} {
			if answer.Err == nil {
				continue
			}
			if err := callError(answer.Err); err != nil {
				return nil, fmt.Errorf("call the contract %s: %w", contracts[i], err)
			}
		}
		rounds[i] = feedRound(round, decimals)
	}
	return rounds, nil
}

// feedRound reads what a feed returned.
func feedRound(round, decimals rpc.Response) chains.FeedRound {
	if round.Err != nil || decimals.Err != nil {
		return chains.FeedRound{Err: "the contract is no feed, or refuses to answer"}
	}
	data, ok := returnedBytes(round.Result)
	if !ok || len(data) < 32*roundWords {
		return chains.FeedRound{Err: "the contract answers otherwise than a feed does"}
	}
	places, ok := answeredWord(decimals)
	if !ok {
		return chains.FeedRound{Err: "the contract has no decimals"}
	}
	count, small := places.uint64()
	if !small || count > maxTokenDecimals {
		return chains.FeedRound{Err: "the contract's decimals are beyond reason"}
	}
	at := func(i int) word { return word(data[32*i : 32*i+32]) }
	return chains.FeedRound{
		Answer: at(1).signed(), Decimals: int(count), //nolint:gosec // bounded above
		StartedAt: at(2).time(), UpdatedAt: at(3).time(),
	}
}

// signed returns w as a number in two's complement.
func (w word) signed() chains.Amount {
	if w[0]&0x80 == 0 {
		return w.amount()
	}
	return w.amount().Sub(chains.AmountFromBig(new(big.Int).Lsh(big.NewInt(1), 256)))
}

// time returns w as seconds since 1970; zero for 0, and for what is no time.
func (w word) time() time.Time {
	seconds, ok := w.uint64()
	if !ok || seconds == 0 || seconds > 1<<40 {
		return time.Time{}
	}
	return time.Unix(int64(seconds), 0).UTC() //nolint:gosec // bounded above
}
