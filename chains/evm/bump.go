package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/ethereum/go-ethereum/crypto"

	"tallyd/chains"
)

// Bump implements chains.Bumper: the same transaction with both fees a tenth higher,
// as nodes ask for, or as high as wanted.
func (s *Source) Bump(_ context.Context, draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	bumped, err := s.bump(draft, bump)
	if err != nil {
		return chains.Draft{}, fmt.Errorf("build a replacement: %w", err)
	}
	return bumped, nil
}

func (s *Source) bump(draft chains.Draft, bump chains.Bump) (chains.Draft, error) {
	tx, err := s.transferOf(draft)
	if err != nil {
		return chains.Draft{}, err
	}
	bumped, details := draft, *draft.Transfer
	bumped.Rate = replacing(draft.Rate, bump.Rate)
	if err := checkRate(bumped.Rate); err != nil {
		return chains.Draft{}, err
	}
	bumped.Fee = chains.AmountFromUint64(details.Gas).Mul(bumped.Rate.Max).Add(details.Extra)
	if bumped.Fee.Cmp(bump.Ceiling) > 0 {
		return chains.Draft{}, fmt.Errorf("%w: %s, where %s are the most", chains.ErrFeeTooHigh, bumped.Fee, bump.Ceiling)
	}
	if details.All {
		have := details.Value.Add(draft.Fee)
		if have.Cmp(bumped.Fee) <= 0 {
			return chains.Draft{}, &chains.ShortageError{Asset: s.chain.Native.ID, Have: have, Need: bumped.Fee.Add(chains.NewAmount(1))}
		}
		details.Value = have.Sub(bumped.Fee)
	}
	tx.GasFeeCap, tx.GasTipCap, tx.Value = bumped.Rate.Max.Big(), bumped.Rate.Tip.Big(), details.Value.Big()
	payload, err := unsigned(tx)
	if err != nil {
		return chains.Draft{}, err
	}
	bumped.Payload, details.Digest = hexBytes(payload), crypto.Keccak256(payload)
	bumped.Transfer = &details
	return bumped, nil
}

// above returns the rate that replaces a draft of the same sender and nonce.
func (s *Source) above(old chains.Draft, t *transfer) (chains.FeeRate, error) {
	if _, err := s.transferOf(old); err != nil {
		return chains.FeeRate{}, err
	}
	if !bytes.Equal(old.Transfer.From, t.from[:]) || old.Transfer.Nonce != t.nonce {
		return chains.FeeRate{}, errors.New("what is to be replaced has another sender or nonce: " + strconv.FormatUint(old.Transfer.Nonce, 10))
	}
	return replacing(old.Rate, t.rate), nil
}

// replacing returns a rate that is wanted, raised to a tenth above another, and
// above it in any case.
func replacing(old, wanted chains.FeeRate) chains.FeeRate {
	for _, fee := range []struct {
		wanted *chains.Amount
		old    chains.Amount
	}{{&wanted.Max, old.Max}, {&wanted.Tip, old.Tip}} {
		low := portion(fee.old, 11, 10)
		if low.IsZero() {
			low = chains.NewAmount(1)
		}
		if fee.wanted.Cmp(low) < 0 {
			*fee.wanted = low
		}
	}
	if wanted.Max.Cmp(wanted.Tip) < 0 {
		wanted.Max = wanted.Tip
	}
	return wanted
}
