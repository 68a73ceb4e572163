package evm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Head implements chains.Source.
func (s *Source) Head(ctx context.Context) (chains.BlockRef, error) {
	h, err := s.tagged(ctx, "latest")
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("fetch the head: %w", err)
	}
	return h.ref(), nil
}

// Finalized implements chains.FinalityReader. It returns chains.ErrUnsupported
// where the operator has not said that the tags of this network mean something,
// and chains.ErrNotFound while no block is final yet.
func (s *Source) Finalized(ctx context.Context, tag string) (chains.BlockRef, error) {
	if !s.spec.FinalityTags || tag != "finalized" && tag != "safe" {
		return chains.BlockRef{}, fmt.Errorf("fetch the %s block: %w", tag, chains.ErrUnsupported)
	}
	h, err := s.tagged(ctx, tag)
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("fetch the %s block: %w", tag, err)
	}
	return h.ref(), nil
}

// RefAt implements chains.Source.
func (s *Source) RefAt(ctx context.Context, height uint64) (chains.BlockRef, error) {
	h, err := s.headerOf(ctx, func(ctx context.Context, u *rpc.Upstream) (*header, error) { return headerAt(ctx, u, height) })
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("fetch header %d: %w", height, err)
	}
	return h.ref(), nil
}

// Split implements chains.SplitFinder.
func (s *Source) Split(ctx context.Context) chains.Opinion {
	ref := func(h *header, err error) (chains.BlockRef, error) {
		if err != nil {
			return chains.BlockRef{}, err
		}
		return h.ref(), nil
	}
	return s.pool.Split(ctx,
		func(ctx context.Context, u *rpc.Upstream) (chains.BlockRef, error) {
			return ref(headerBy(ctx, u, "latest"))
		},
		func(ctx context.Context, u *rpc.Upstream, height uint64) (chains.BlockRef, error) {
			return ref(headerAt(ctx, u, height))
		})
}

// Ref implements chains.Source.
func (s *Source) Ref(ctx context.Context, hash chains.Hash) (chains.BlockRef, error) {
	h, err := s.headerOf(ctx, func(ctx context.Context, u *rpc.Upstream) (*header, error) {
		text, err := u.Call(ctx, "eth_getBlockByHash", common.Hash(hash).Hex(), false)
		if err != nil {
			return nil, absent(err)
		}
		return headerWith(text, common.Hash(hash))
	})
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("fetch header %s: %w", hash, err)
	}
	return h.ref(), nil
}

// tagged returns the header a node has by a tag.
func (s *Source) tagged(ctx context.Context, tag string) (*header, error) {
	return s.headerOf(ctx, func(ctx context.Context, u *rpc.Upstream) (*header, error) {
		return headerBy(ctx, u, tag)
	})
}

// headerBy asks one node for a header by number or tag.
func headerBy(ctx context.Context, u *rpc.Upstream, block string) (*header, error) {
	text, err := u.Call(ctx, "eth_getBlockByNumber", block, false)
	if err != nil {
		return nil, absent(err)
	}
	return decodeHeader(text)
}

// headerAt asks one node for the header at a height of its best chain.
func headerAt(ctx context.Context, u *rpc.Upstream, height uint64) (*header, error) {
	h, err := headerBy(ctx, u, hexNumber(height))
	if err == nil && h.number != height {
		return nil, unverified("structure", "asked for block %d, got %d", height, h.number)
	}
	return h, err
}

func (s *Source) headerOf(ctx context.Context, ask func(context.Context, *rpc.Upstream) (*header, error)) (h *header, err error) {
	err = s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) error {
		h, err = ask(ctx, u)
		return err
	})
	return h, err
}

// headerWith reads a header that must have a hash.
func headerWith(text []byte, hash common.Hash) (*header, error) {
	h, err := decodeHeader(text)
	if err != nil {
		return nil, err
	}
	if h.hash != hash {
		return nil, unverified("structure", "asked for block %s, got %s", hash, h.hash)
	}
	return h, nil
}

// Block implements chains.Source. Block, receipts and, where asked for, traces
// come from one node. One that cannot trace gives a block without internal
// calls, and so does one that no longer has the state an old block began with;
// one that fails to trace a recent block gives no block.
func (s *Source) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	var found *block
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		found, err = s.blockFrom(ctx, u, common.Hash(hash))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fetch block %s: %w", hash, err)
	}
	return found, nil
}

func (s *Source) blockFrom(ctx context.Context, u *rpc.Upstream, hash common.Hash) (*block, error) {
	var requests []rpc.Request
	// Block 0 has no transactions, and geth answers a trace of it by an error.
	if s.spec.Trace && hash != common.Hash(s.chain.Genesis) && !s.ability(u).noTrace {
		requests = append(requests, traceRequest(hash))
	}
	b, answers, err := s.untraced(ctx, u, hash, requests...)
	if err != nil || len(answers) == 0 {
		return b, err
	}
	if err := s.trace(u, b, answers[0]); err != nil {
		if errors.Is(err, chains.ErrNotFound) && s.tooOld(ctx, u, b.header.number) {
			s.log.Debug().Err(err).Uint64("height", b.header.number).Msg("block too old to be traced, internal transfers stay unseen")
			return b, nil
		}
		return nil, err
	}
	return b, nil
}

// untraced returns a verified block without traces, and the answers to what else is
// asked with it.
func (s *Source) untraced(ctx context.Context, u *rpc.Upstream, hash common.Hash, more ...rpc.Request) (*block, []rpc.Response, error) {
	requests := append([]rpc.Request{
		{Method: "eth_getBlockByHash", Params: []any{hash.Hex(), true}},
		{Method: "eth_getBlockReceipts", Params: []any{hash.Hex()}},
	}, more...)
	answers, err := u.Batch(ctx, requests)
	if err != nil {
		return nil, nil, fmt.Errorf("ask for block and receipts: %w", err)
	}
	for i, answer := range answers[:2] {
		if answer.Err != nil {
			return nil, nil, fmt.Errorf("%s: %w", requests[i].Method, absent(answer.Err))
		}
	}
	b, err := readBlock(hash, answers[0].Result, answers[1].Result, s.rules)
	return b, answers[2:], err
}

// traceDepth is how many blocks below its head a node that prunes surely still
// has the state of: geth keeps 128.
const traceDepth = 100

// tooOld reports whether a node may be excused from tracing a block. What it does
// not show then is found by reading the balances at the tip.
func (s *Source) tooOld(ctx context.Context, u *rpc.Upstream, height uint64) bool {
	head, err := headerBy(ctx, u, "latest")
	return err == nil && height+traceDepth < head.number
}

func traceRequest(hash common.Hash) rpc.Request {
	return rpc.Request{
		Method: "debug_traceBlockByHash",
		Params: []any{hash.Hex(), map[string]string{"tracer": "callTracer"}},
	}
}

// trace adds the traces a node answered to a verified block.
func (s *Source) trace(u *rpc.Upstream, b *block, answer rpc.Response) error {
	if answer.Err != nil {
		if !isMissingMethod(answer.Err) {
			return fmt.Errorf("trace block %d: %w", b.header.number, absent(answer.Err))
		}
		s.learn(u, func(a *ability) { a.noTrace = true })
		s.log.Warn().Str("upstream", u.Name()).Msg("node cannot trace, internal transfers stay unseen")
		return nil
	}
	traces, err := decodeTraces(answer.Result)
	if err != nil {
		return err
	}
	return b.attach(traces)
}

// absent gives chains.ErrNotFound for the errors by which nodes say that they do
// not have a block, or no longer its state. There is no code for it: the words
// are those of geth, reth, Erigon, Nethermind, Besu and anvil.
func absent(err error) error {
	if rpc.Code(err) == 0 {
		return err
	}
	text := strings.ToLower(err.Error())
	for _, words := range []string{
		"header not found", "block not found", "unknown block", "resource not found", "header for hash not found",
		"missing trie node", "state is not available", "state not available", "historical state",
		"state is pruned", "pruned", "required data unavailable", "no state available", "blockoutofrange", "block is out of range",
		"distance to target block exceeds", "world state unavailable", "world state is not available",
	} {
		if strings.Contains(text, words) {
			return fmt.Errorf("%w: %w", chains.ErrNotFound, err)
		}
	}
	return err
}

// isMissingMethod reports whether a node says that it does not have a method.
func isMissingMethod(err error) bool {
	code := rpc.Code(err)
	if code == 0 {
		return false
	}
	text := strings.ToLower(err.Error())
	return code == -32601 || code == -32004 ||
		strings.Contains(text, "does not exist") && strings.Contains(text, "method") ||
		strings.Contains(text, "method not") || strings.Contains(text, "not whitelisted")
}

// isNull reports whether a result says "nothing".
func isNull(result json.RawMessage) bool { return string(result) == "null" }
