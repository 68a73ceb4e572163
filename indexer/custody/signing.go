package custody

import (
	"context"
	"fmt"

	"tallyd/chains"
)

// What an ordinary payment takes, for an estimate: one coin and change with witness
// keys, and what a plain transfer and one of a token burn.
const (
	ordinaryVBytes   = 141
	ordinaryGas      = 21_000
	ordinaryTokenGas = 65_000
)

// Fee is what a payment would cost now.
type Fee struct {
	chains.FeeEstimate

	Ordinary chains.Amount // what an ordinary one pays, in base units of the native coin
	Ceiling  chains.Amount // the most that one may pay
}

// Check returns what a signer made of a draft, or a *chains.MismatchError that says
// how it differs, or ErrClosed. It asks no node.
func (d Desk) Check(w Withdrawal, draft chains.Draft, signed string) (chains.Signed, error) {
	source, err := d.source(w.Chain)
	if err != nil {
		return chains.Signed{}, err
	}
	checker, ok := source.(chains.Checker)
	if !ok {
		return chains.Signed{}, fmt.Errorf("chain %s: %w", w.Chain, chains.ErrUnsupported)
	}
	return checker.Check(draft, signed, w.Ceiling(d.Payers[w.Chain].MaxFee)) //nolint:wrapcheck // it says what differs
}

// EstimateFee returns what a payment of an asset would cost now, or ErrClosed, or
// chains.ErrUnsupported. It asks a node.
func (d Desk) EstimateFee(ctx context.Context, chain string, asset chains.AssetID) (Fee, error) {
	source, err := d.source(chain)
	if err != nil {
		return Fee{}, err
	}
	estimator, ok := source.(chains.FeeEstimator)
	if !ok {
		return Fee{}, fmt.Errorf("chain %s: %w", chain, chains.ErrUnsupported)
	}
	cfg := d.Payers[chain]
	estimate, err := estimator.EstimateFee(ctx, max(cfg.Blocks, 1), cfg.MaxFee)
	if err != nil {
		return Fee{}, fmt.Errorf("estimate the fee on %s: %w", chain, err)
	}
	fee := Fee{FeeEstimate: estimate, Ceiling: cfg.MaxFee}
	switch {
	case source.Chain().Family == chains.FamilyBitcoin:
		fee.Ordinary = perThousand(estimate.Max, ordinaryVBytes)
	case asset == source.Chain().Native.ID:
		fee.Ordinary = estimate.Max.Mul(chains.NewAmount(ordinaryGas))
	default:
		fee.Ordinary = estimate.Max.Mul(chains.NewAmount(ordinaryTokenGas))
	}
	return fee, nil
}

// perThousand returns what so many virtual bytes cost, rounded up.
func perThousand(rate chains.Amount, vbytes int64) chains.Amount {
	const thousand = 1000
	n := rate.Mul(chains.NewAmount(vbytes)).Add(chains.NewAmount(thousand - 1)).Big()
	return chains.AmountFromBig(n.Div(n, chains.NewAmount(thousand).Big()))
}
