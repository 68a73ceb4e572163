package evm

import (
	"context"
	"fmt"
	"math/big"
	"slices"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// fallbackTip is offered where a node has no opinion, in wei for a unit of gas.
const fallbackTip = 1_000_000_000

// EstimateFee implements chains.FeeEstimator: twice what the next block burns, which
// outlasts six full blocks, and the tip that the node thinks necessary.
func (s *Source) EstimateFee(ctx context.Context, _ int, ceiling chains.Amount) (chains.FeeEstimate, error) {
	var estimate chains.FeeEstimate
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		estimate, err = estimateFrom(ctx, u)
		return err
	})
	if err != nil {
		return chains.FeeEstimate{}, fmt.Errorf("estimate the fee: %w", err)
	}
	estimate.Capped = estimate.Base.Add(estimate.Tip).Cmp(ceiling) > 0
	estimate.Max = least(estimate.Base.Add(estimate.Base).Add(estimate.Tip), ceiling)
	estimate.Tip = least(estimate.Tip, estimate.Max)
	return estimate, nil
}

func least(a, b chains.Amount) chains.Amount {
	if a.Cmp(b) < 0 {
		return a
	}
	return b
}

// estimateFrom asks one node for the base fee and the tip.
func estimateFrom(ctx context.Context, u *rpc.Upstream) (estimate chains.FeeEstimate, err error) {
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "eth_feeHistory", Params: []any{"0x5", "latest", []int{50}}},
		{Method: "eth_maxPriorityFeePerGas"},
		{Method: "eth_getBlockByNumber", Params: []any{"latest", false}},
	})
	if err != nil {
		return chains.FeeEstimate{}, fmt.Errorf("ask for fees: %w", err)
	}
	if answers[2].Err != nil {
		return chains.FeeEstimate{}, fmt.Errorf("ask for the head: %w", absent(answers[2].Err))
	}
	head, err := decodeHeader(answers[2].Result)
	if err != nil {
		return chains.FeeEstimate{}, err
	}
	if !head.baseFee.set {
		return chains.FeeEstimate{}, fmt.Errorf("blocks without a base fee (EIP-1559): %w", chains.ErrUnsupported)
	}
	history, err := decodeFeeHistory(answers[0])
	if err != nil {
		return chains.FeeEstimate{}, err
	}
	// Without a history: the next block burns an eighth more at most.
	estimate.Base, estimate.Basis = portion(head.baseFee.v.amount(), 9, 8), "base fee of the head"
	if n := len(history.base); n > 0 {
		estimate.Base, estimate.Basis = history.base[n-1].amount(), "eth_feeHistory"
	}
	estimate.Tip = history.tip(answers[1])
	return estimate, nil
}

// portion returns n parts of an amount of which it has of, rounded up.
func portion(a chains.Amount, n, of int64) chains.Amount {
	product := a.Mul(chains.NewAmount(n)).Add(chains.NewAmount(of - 1))
	return chains.AmountFromBig(new(big.Int).Quo(product.Big(), big.NewInt(of)))
}

// feeHistory is what eth_feeHistory tells.
type feeHistory struct {
	base []word // of some blocks and the one after the last
	tips []word // the median tip of each block
}

// decodeFeeHistory reads an answer; a node without the method has no history.
func decodeFeeHistory(answer rpc.Response) (h feeHistory, err error) {
	silent := answer.Err != nil || isNull(answer.Result)
	if silent {
		return feeHistory{}, nil
	}
	s := &scanner{text: answer.Result}
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "baseFeePerGas":
			h.base = s.words()
		case "reward":
			if s.null() {
				continue
			}
			for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
				h.tips = append(h.tips, s.words()...)
			}
		default:
			s.skip()
		}
	}
	if s.err != nil {
		return feeHistory{}, unverified("structure", "fee history: %w", s.err)
	}
	return h, nil
}

// words reads a list of numbers.
func (s *scanner) words() (list []word) {
	if s.null() {
		return nil
	}
	for ok := s.open('[') && s.more(']'); ok; ok = s.more(']') {
		list = append(list, s.word())
	}
	return list
}

// tip returns what the node suggests, else the middle of what recent blocks took.
func (h feeHistory) tip(answer rpc.Response) chains.Amount {
	if answer.Err == nil && !isNull(answer.Result) {
		s := &scanner{text: answer.Result}
		if suggested := s.word(); s.err == nil {
			return suggested.amount()
		}
	}
	if len(h.tips) == 0 {
		return chains.NewAmount(fallbackTip)
	}
	tips := slices.SortedFunc(slices.Values(h.tips), func(a, b word) int { return slices.Compare(a[:], b[:]) })
	return tips[len(tips)/2].amount()
}
