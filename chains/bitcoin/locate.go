package bitcoin

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Locate names the blocks that may touch scripts, by the node's BIP 158 filters:
// scanblocks on Bitcoin Core, filters matched here on btcd. Every block it names
// is verified when it is fetched, but nothing proves that the filters leave none
// out: history found this way says so (chains.MethodFilters).
//
// A chain that does not reach to is chains.ErrNotFound. A node whose filters are
// not there, or not yet, is chains.ErrUnsupported.
func (s *Source) Locate(ctx context.Context, scripts [][]byte, from, to uint64) ([]chains.Hash, error) {
	hashes, err := ask(ctx, s, func(ctx context.Context, n node) ([]chains.Hash, error) {
		switch {
		case n.can.blocks:
			return s.scanBlocks(ctx, n, scripts, from, to)
		case n.can.filters:
			return n.matchFilters(ctx, scripts, from, to)
		}
		return nil, fmt.Errorf("compact filters at %s: %w", n.Name(), chains.ErrUnsupported)
	})
	if err != nil {
		return nil, fmt.Errorf("locate %d scripts between %d and %d: %w", len(scripts), from, to, err)
	}
	return hashes, nil
}

func (s *Source) scanBlocks(ctx context.Context, n node, scripts [][]byte, from, to uint64) ([]chains.Hash, error) {
	if _, err := n.hashAt(ctx, to); err != nil {
		return nil, err
	}
	result, err := s.runScan(ctx, n, "scanblocks", "start", rawDescriptors(scripts), from, to)
	if code := rpc.Code(err); code == codeMisc {
		// The index is still being built.
		return nil, fmt.Errorf("%w: %w", chains.ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	var answer struct {
		To        uint64   `json:"to_height"`
		Completed bool     `json:"completed"`
		Relevant  []string `json:"relevant_blocks"`
	}
	if err := json.Unmarshal(result, &answer); err != nil {
		return nil, n.lie("scanblocks", err)
	}
	if !answer.Completed || answer.To != to {
		return nil, fmt.Errorf("scanblocks of %s ended at %d before %d", n.Name(), answer.To, to)
	}
	refs := make([]chains.BlockRef, 0, len(answer.Relevant))
	for _, text := range answer.Relevant {
		hash, err := chains.ParseHash(text)
		if err != nil {
			return nil, n.lie("scanblocks", err)
		}
		ref, err := n.ref(ctx, hash)
		if err != nil {
			return nil, err
		}
		if ref.Height < from || ref.Height > to {
			return nil, n.lie("scanblocks", fmt.Errorf("block %s stands at %d", hash, ref.Height))
		}
		refs = append(refs, ref)
	}
	slices.SortFunc(refs, func(a, b chains.BlockRef) int { return cmp.Compare(a.Height, b.Height) })
	hashes := make([]chains.Hash, len(refs))
	for i, ref := range refs {
		hashes[i] = ref.Hash
	}
	return hashes, nil
}

// filterWindow is how many filters are read and matched at a time.
const filterWindow = 500

func (n node) matchFilters(ctx context.Context, scripts [][]byte, from, to uint64) ([]chains.Hash, error) {
	var found []chains.Hash
	for ; from <= to; from += filterWindow {
		last := min(from+filterWindow-1, to)
		matched, err := n.matchWindow(ctx, scripts, from, last)
		if err != nil {
			return nil, err
		}
		found = append(found, matched...)
	}
	return found, nil
}

func (n node) matchWindow(ctx context.Context, scripts [][]byte, from, to uint64) ([]chains.Hash, error) {
	requests := make([]rpc.Request, 0, to-from+1)
	for height := from; height <= to; height++ {
		requests = append(requests, rpc.Request{Method: "getblockhash", Params: []any{height}})
	}
	answers, err := n.Batch(ctx, requests)
	if err != nil {
		return nil, err
	}
	hashes := make([]chains.Hash, len(answers))
	for i, answer := range answers {
		if code := rpc.Code(answer.Err); code == codeBadParameter || code == codeMisc {
			return nil, fmt.Errorf("block %d: %w", from+uint64(i), chains.ErrNotFound)
		}
		var text string
		if answer.Err != nil {
			return nil, answer.Err
		}
		if err := json.Unmarshal(answer.Result, &text); err != nil {
			return nil, n.lie("getblockhash", err)
		}
		if hashes[i], err = chains.ParseHash(text); err != nil {
			return nil, n.lie("getblockhash", err)
		}
		requests[i] = rpc.Request{Method: "getcfilter", Params: []any{text, 0}}
	}
	if answers, err = n.Batch(ctx, requests); err != nil {
		return nil, err
	}
	var found []chains.Hash
	for i, answer := range answers {
		raw, err := hexResult(answer)
		if rpc.Code(err) != 0 {
			// The index is behind, or the block left the main chain.
			return nil, fmt.Errorf("%w: filter of block %s: %w", chains.ErrUnsupported, hashes[i], err)
		}
		if err != nil {
			return nil, n.lie("getcfilter", err)
		}
		hit, err := MatchFilter(raw, hashes[i], scripts)
		if err != nil {
			return nil, n.lie("getcfilter", err)
		}
		if hit {
			found = append(found, hashes[i])
		}
	}
	return found, nil
}
