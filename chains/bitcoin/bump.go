package bitcoin

import (
	"context"
	"errors"
	"fmt"

	"tallyd/chains"
)

// Bump builds the replacement of a draft by the rules that nodes take one by (BIP
// 125, and what has become of it): it spends all the coins of the draft and new
// ones only if they are confirmed, pays more than everything it evicts together,
// at a higher rate, and pays for its own relay. The change pays for it, then more
// coins.
func (s *Source) Bump(ctx context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	bumped, err := s.bump(ctx, draft, bump)
	if err != nil {
		return chains.Draft{}, fmt.Errorf("build a replacement: %w", err)
	}
	return bumped, nil
}

func (s *Source) bump(ctx context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	old, err := s.paymentOf(draft)
	if err != nil {
		return chains.Draft{}, err
	}
	order := chains.PaymentOrder{Change: bump.Change, Ceiling: bump.Ceiling, Tip: bump.Tip}
	for _, out := range old.Outputs {
		if out.Change {
			order.Change = out.Output
		} else {
			order.To = out.Output
		}
	}
	rate, evicted, err := s.replaced(draft, bump)
	if err != nil {
		return chains.Draft{}, err
	}
	order.Rate = chains.FeeRate{Max: chains.NewAmount(rate)}
	keys := newKeyring(s.params)
	want, err := s.wanted(keys, order.To, order.Change, order.Rate)
	if err != nil {
		return chains.Draft{}, err
	}
	want.evicted = evicted
	coins := make([]spendable, len(old.Inputs))
	for i, in := range old.Inputs {
		if coins[i], err = keys.spendable(in.Coin); err != nil {
			return chains.Draft{}, err
		}
	}
	others, err := s.spendables(keys, moreCoins(old, bump.Coins), bump.Tip)
	if err != nil {
		return chains.Draft{}, err
	}
	picked, err := want.replace(coins, candidates(others, want.rate))
	if err != nil {
		return chains.Draft{}, err
	}
	return s.draft(ctx, keys, picked, order, old.LockTime)
}

// paymentOf returns what a draft of ours says.
func (s *Source) paymentOf(draft chains.Draft) (*chains.PaymentDraft, error) {
	if draft.Chain != s.chain.ID || draft.Format != chains.FormatPSBT || draft.Payment == nil {
		return nil, fmt.Errorf("the draft is none of %s", s.chain.ID)
	}
	rest := draft.Fee.Neg()
	for _, in := range draft.Payment.Inputs {
		if _, err := units("an input of the draft", in.Amount); err != nil {
			return nil, err
		}
		rest = rest.Add(in.Amount)
	}
	for _, out := range draft.Payment.Outputs {
		if _, err := units("an output of the draft", out.Amount); err != nil {
			return nil, err
		}
		rest = rest.Sub(out.Amount)
	}
	if !rest.IsZero() {
		return nil, errors.New("the draft does not add up")
	}
	return draft.Payment, nil
}

// moreCoins returns those coins that a replacement may spend in addition.
func moreCoins(old *chains.PaymentDraft, coins []chains.Coin) []chains.Coin {
	spent := make(map[chains.Outpoint]bool, len(old.Inputs))
	for _, in := range old.Inputs {
		spent[in.Outpoint] = true
	}
	var more []chains.Coin
	for _, coin := range coins {
		if coin.Height > 0 && !spent[coin.Outpoint] {
			more = append(more, coin)
		}
	}
	return more
}

// replaced returns the rate a replacement has to pay at least, and the fees of
// what it evicts.
func (s *Source) replaced(draft chains.Draft, bump chains.Bump) (rate, evicted int64, err error) {
	if rate, err = rateOf(bump.Rate); err != nil {
		return 0, 0, err
	}
	own, err := units("the fee of the draft", draft.Fee)
	if err != nil {
		return 0, 0, err
	}
	if evicted, err = units("the fee of what is evicted", draft.Fee.Add(bump.Evicted)); err != nil {
		return 0, 0, err
	}
	// Signatures may have come out shorter than was reckoned, and the rate of
	// what is replaced higher by less than two percent.
	paid := ceilDiv(ceilDiv(own*1000, max(draft.Payment.VSize, 1))*102, 100)
	return max(rate, paid+s.params.RelayFee), evicted, nil
}

// replace chooses coins for a replacement: the old ones, and of others the most
// valuable until they suffice.
func (w wanted) replace(coins []spendable, others []candidate) (chosen, error) {
	picked := w.settle(coins, true)
	for _, next := range others {
		if picked.fee >= picked.due {
			break
		}
		more := w.settle(append(picked.coins, next.spendable), true)
		if !more.fits() {
			break
		}
		picked = more
	}
	if picked.fee < picked.due {
		return chosen{}, w.shortage(picked)
	}
	return picked, nil
}
