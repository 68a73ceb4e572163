package evm

import (
	"context"
	"fmt"
	"sync"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Probe implements chains.Prober: it asks every upstream, all at once, what it
// can do with its own newest block.
func (s *Source) Probe(ctx context.Context) []chains.Capability {
	upstreams := s.pool.Upstreams()
	found := make([][]chains.Capability, len(upstreams))
	var wait sync.WaitGroup
	for i, u := range upstreams {
		wait.Go(func() { found[i] = s.probe(ctx, u) })
	}
	wait.Wait()
	var all []chains.Capability
	for _, part := range found {
		all = append(all, part...)
	}
	return all
}

func (s *Source) probe(ctx context.Context, u *rpc.Upstream) []chains.Capability {
	one := func(name string, err error, detail string) chains.Capability {
		if err != nil {
			detail = err.Error()
		}
		return chains.Capability{Upstream: u.Name(), Name: name, OK: err == nil, Detail: detail}
	}
	if err := s.admit(ctx, u); err != nil {
		return []chains.Capability{one("reach", err, "")}
	}
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "web3_clientVersion"},
		{Method: "eth_getBlockByNumber", Params: []any{"latest", false}},
	})
	if err != nil {
		return []chains.Capability{one("reach", err, "")}
	}
	head, err := decodeHeader(answers[1].Result)
	if err != nil {
		return []chains.Capability{one("reach", fmt.Errorf("read the head: %w", err), "")}
	}
	version := &scanner{text: answers[0].Result}
	list := []chains.Capability{
		one("reach", nil, shown(version.str())),
		one("head", nil, fmt.Sprintf("height %d", head.number)),
	}
	checks := probeChecks(head.hash, s.spec.FinalityTags)
	requests := make([]rpc.Request, len(checks))
	for i, check := range checks {
		requests[i] = check.request
	}
	answers, err = u.Batch(ctx, requests)
	if err != nil {
		return append(list, one("reach", err, ""))
	}
	for i, check := range checks {
		err := answers[i].Err
		if err == nil && isNull(answers[i].Result) {
			err = chains.ErrNotFound
		}
		if err == nil && check.empty != "" && string(answers[i].Result) == check.empty {
			err = fmt.Errorf("%w: not deployed", chains.ErrUnsupported)
		}
		list = append(list, one(check.name, err, ""))
	}
	return list
}

// probeCheck is one request whose success shows an ability.
type probeCheck struct {
	name    string
	request rpc.Request
	empty   string // the result that means no
}

func probeChecks(head common.Hash, tags bool) []probeCheck {
	// The code of a contract that returns 1, put in the place of an empty
	// account for one call.
	override := map[string]any{multicall3.Hex(): map[string]string{"code": "0x60015f5260205ff3"}}
	override1 := rpc.Request{Method: "eth_call", Params: []any{map[string]string{"to": multicall3.Hex()}, "latest", override}}
	checks := []probeCheck{
		{name: "receipts", request: rpc.Request{Method: "eth_getBlockReceipts", Params: []any{head.Hex()}}},
		{name: "proof", request: rpc.Request{Method: "eth_getProof", Params: []any{multicall3.Hex(), []string{}, atHash(head)}}},
		{name: "trace", request: traceRequest(head)},
		{name: "trace_block", request: rpc.Request{Method: "trace_block", Params: []any{"latest"}}},
		{name: "override", request: override1, empty: `"0x"`},
		{name: "multicall3", request: rpc.Request{Method: "eth_getCode", Params: []any{multicall3.Hex(), "latest"}}, empty: `"0x"`},
	}
	if tags {
		for _, tag := range []string{"safe", "finalized"} {
			checks = append(checks, probeCheck{name: tag, request: rpc.Request{Method: "eth_getBlockByNumber", Params: []any{tag, false}}})
		}
	}
	return checks
}

// shown makes a node's name for itself safe to show.
func shown(text []byte) string {
	safe := make([]byte, 0, min(len(text), 80))
	for _, c := range text[:min(len(text), 80)] {
		if c >= ' ' && c <= '~' {
			safe = append(safe, c)
		}
	}
	return string(safe)
}
