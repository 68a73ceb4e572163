package custody

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyd/chains"
	"tallyd/indexer"
)

const (
	// maxCoins is how many coins a draft is chosen from, the most valuable ones.
	maxCoins = 2000

	// What cannot be built now is tried again after buildFirst, then ever later
	// up to buildLast. What changes the pool or the treasury wakes it before.
	buildFirst = 5 * time.Second
	buildLast  = 2 * time.Minute
)

// Why no draft is built, beside what chains says.
var (
	errNoChange   = errors.New("no address for change")
	errCannot     = errors.New("the chain's transactions are not built here")
	errNoSender   = errors.New("nobody pays on this chain")
	errNoWallet   = errors.New("the key of the realm is no wallet of this chain")
	errNothingNew = errors.New("there is no draft to replace")
)

// build builds a draft and keeps it, or why there is none.
func (p *Payer) build(ctx context.Context, w Withdrawal) (Withdrawal, error) {
	built, err := p.draft(ctx, w)
	if err == nil {
		var kept Withdrawal
		kept, err = p.Payouts.PutDraft(ctx, w.Turn, built)
		if _, short := errors.AsType[*chains.ShortageError](err); !short {
			return kept, err //nolint:wrapcheck // the ledger says what it was doing
		}
	}
	if ctx.Err() != nil {
		return w, context.Cause(ctx)
	}
	why, known := p.decline(w, err)
	if !known {
		p.Log.Warn().Err(err).Stringer("withdrawal", w.ID).Msg("draft not built")
	}
	w, err = p.Payouts.Decline(ctx, w.Turn, why)
	if err != nil {
		return w, fmt.Errorf("keep why there is no draft: %w", err)
	}
	return w, nil
}

func (p *Payer) draft(ctx context.Context, w Withdrawal) (Built, error) {
	estimate, err := p.estimate(ctx, w)
	if err != nil {
		return Built{}, err
	}
	if w.Bump {
		return p.replacement(ctx, w, estimate.FeeRate)
	}
	return p.first(ctx, w, estimate.FeeRate)
}

func (p *Payer) estimate(ctx context.Context, w Withdrawal) (chains.FeeEstimate, error) {
	estimator, ok := p.Source.(chains.FeeEstimator)
	if !ok {
		return chains.FeeEstimate{}, errCannot
	}
	// A rate is for 1000 bytes, and a payment has a hundred at least: what is
	// cut off here is above the ceiling in any case.
	const sizes = 10
	most := w.Ceiling(p.Config.MaxFee).Mul(chains.NewAmount(sizes))
	return estimator.EstimateFee(ctx, p.Config.Blocks, most) //nolint:wrapcheck // the source says what it was doing
}

// first builds a draft that replaces none.
func (p *Payer) first(ctx context.Context, w Withdrawal, rate chains.FeeRate) (Built, error) {
	switch builder := p.Source.(type) {
	case chains.CoinBuilder:
		return p.payment(ctx, builder, w, rate)
	case chains.TransferBuilder:
		return p.transfer(ctx, builder, w, rate)
	}
	return Built{}, errCannot
}

// payment builds a transaction out of coins.
func (p *Payer) payment(ctx context.Context, builder chains.CoinBuilder, w Withdrawal, rate chains.FeeRate) (Built, error) {
	coins, tip, err := p.Coins.SpendableCoins(ctx, w.Realm, w.Chain, maxCoins)
	if err != nil {
		return Built{}, fmt.Errorf("read coins: %w", err)
	}
	change, output, err := p.change(ctx, w)
	if err != nil {
		return Built{}, err
	}
	draft, err := builder.BuildPayment(ctx, chains.PaymentOrder{
		Coins: coins, To: chains.Output{Script: w.Script, Amount: w.Amount}, Change: output,
		Rate: rate, Ceiling: w.Ceiling(p.Config.MaxFee), Tip: tip,
	})
	if err != nil {
		return Built{}, err //nolint:wrapcheck // the source says what it was doing
	}
	return Built{Draft: draft, Change: spentOn(draft, change), Amount: w.Amount}, nil
}

// spentOn returns the address for change, or nil if the draft does not pay it.
func spentOn(draft chains.Draft, change *ChangeAddress) *ChangeAddress {
	if change == nil {
		return nil
	}
	for _, output := range draft.Payment.Outputs {
		if output.Change && string(output.Script) == string(change.Script.Script) {
			return change
		}
	}
	return nil
}

// change returns where change goes: to the next address of the key's own branch for
// it, or, where no key is registered, to the treasury, which is no new address.
func (p *Payer) change(ctx context.Context, w Withdrawal) (*ChangeAddress, chains.Output, error) {
	from, err := p.Coins.NextChange(ctx, w.Realm, w.Chain)
	if err != nil {
		return nil, chains.Output{}, fmt.Errorf("read where change goes: %w", err)
	}
	if from.Key == nil {
		if from.Treasury == nil {
			return nil, chains.Output{}, errNoChange
		}
		return nil, chains.Output{Script: from.Treasury}, nil
	}
	parser, ok := p.Source.(chains.Wallets)
	if !ok {
		return nil, chains.Output{}, errNoWallet
	}
	wallet, ok, err := parser.ParseWallet(from.Key.Text)
	if err != nil || !ok {
		return nil, chains.Output{}, errors.Join(errNoWallet, err)
	}
	// A key without a branch for change has no second row of addresses; its own
	// is shared with deposits, which would give an index twice.
	if wallet.Branches() <= BranchChange || !wallet.Ranged() {
		if from.Treasury == nil {
			return nil, chains.Output{}, errNoChange
		}
		return nil, chains.Output{Script: from.Treasury}, nil
	}
	script, err := wallet.Script(BranchChange, from.Next)
	if err != nil {
		return nil, chains.Output{}, fmt.Errorf("derive address %d for change: %w", from.Next, err)
	}
	watched := indexer.WatchedScript{Script: script, Address: p.Source.FormatAddress(script), Branch: BranchChange, Index: from.Next}
	key := &chains.KeyPath{Wallet: wallet.Canonical(), Branch: BranchChange, Index: from.Next}
	return &ChangeAddress{Key: from.Key.ID, Branch: BranchChange, Index: from.Next, Script: watched}, chains.Output{Script: script, Key: key}, nil
}

// transfer builds an EVM transaction.
func (p *Payer) transfer(ctx context.Context, builder chains.TransferBuilder, w Withdrawal, rate chains.FeeRate) (Built, error) {
	if w.Sender == nil {
		return Built{}, errNoSender
	}
	reader, ok := p.Source.(chains.NonceReader)
	if !ok {
		return Built{}, errCannot
	}
	_, pending, err := reader.Nonces(ctx, w.Sender.Script)
	if err != nil {
		return Built{}, err //nolint:wrapcheck // the source says what it was doing
	}
	order := chains.TransferOrder{
		From: w.Sender.Script, Key: w.Sender.Key, Nonce: max(pending, w.Sender.Next), Asset: w.Asset.ID, To: w.Script,
		Amount: w.Amount, All: w.Kind == KindSweep, Rate: rate, Ceiling: w.Ceiling(p.Config.MaxFee), Replaces: w.Replaces,
	}
	if w.Nonce != nil {
		order.Nonce = *w.Nonce
	}
	if order.All {
		order.Amount = chains.Amount{}
	}
	draft, err := builder.BuildTransfer(ctx, order)
	if err != nil {
		return Built{}, err //nolint:wrapcheck // the source says what it was doing
	}
	return Built{Draft: draft, Sender: w.Sender.Script, Pending: pending, Amount: movedBy(draft, w)}, nil
}

// movedBy returns what a draft of EVM moves.
func movedBy(draft chains.Draft, w Withdrawal) chains.Amount {
	const amountAt = 4 + 32 // behind selector and recipient, in the call of a token
	switch d := draft.Transfer; {
	case w.Kind != KindSweep:
		return w.Amount
	case len(d.Data) > amountAt:
		return chains.AmountFromBytes(d.Data[amountAt:])
	default:
		return d.Value
	}
}

// replacement builds a draft with a higher fee in the place of the newest one.
func (p *Payer) replacement(ctx context.Context, w Withdrawal, rate chains.FeeRate) (Built, error) {
	bumper, ok := p.Source.(chains.Bumper)
	newest := w.Newest()
	switch {
	case !ok:
		return Built{}, errCannot
	case newest == nil:
		return Built{}, errNothingNew
	}
	bump := chains.Bump{Rate: rate, Ceiling: w.Ceiling(p.Config.MaxFee)}
	var change *ChangeAddress
	if newest.Draft.Payment != nil {
		coins, tip, err := p.Coins.SpendableCoins(ctx, w.Realm, w.Chain, maxCoins)
		if err != nil {
			return Built{}, fmt.Errorf("read coins: %w", err)
		}
		bump.Coins, bump.Tip = coins, tip
		if change, bump.Change, err = p.change(ctx, w); err != nil {
			return Built{}, err
		}
	}
	draft, err := bumper.Bump(ctx, newest.Draft, bump)
	if err != nil {
		return Built{}, err //nolint:wrapcheck // the source says what it was doing
	}
	built := Built{Draft: draft, Amount: w.Amount}
	if draft.Payment != nil {
		built.Change = spentOn(draft, change)
	} else {
		built.Sender, built.Amount = draft.Transfer.From, movedBy(draft, w)
	}
	return built, nil
}

// decline says why no draft was built, and reports false for a fault rather than
// an outcome.
func (p *Payer) decline(w Withdrawal, err error) (why Declined, known bool) {
	why.Retry = backoff(buildFirst, buildLast, w.Tries)
	ends := func(reason string) (Declined, bool) {
		// A replacement that is not built ends nothing, and a nonce has to be filled:
		// what is behind it waits.
		return Declined{Reason: reason, Failed: !w.Bump && w.Kind != KindNonceFill, Retry: why.Retry}, true
	}
	if short, ok := errors.AsType[*chains.ShortageError](err); ok {
		if w.Kind == KindSweep && short.Asset == w.Asset.ID {
			return ends(ReasonNothing)
		}
		why.Reason, why.Short = p.shortage(w), short
		return why, true
	}
	switch {
	case errors.Is(err, chains.ErrDust):
		return ends(ReasonDust)
	case errors.Is(err, chains.ErrReverts):
		return ends(ReasonReverts)
	case errors.Is(err, chains.ErrUnsupported), errors.Is(err, errCannot):
		return ends(ReasonUnsupported)
	case errors.Is(err, chains.ErrFeeTooHigh), errors.Is(err, chains.ErrFeeTooLow):
		// The rate is estimated, and cut off at the ceiling only.
		why.Reason = ReasonFeeHigh
	case errors.Is(err, errNoChange):
		why.Reason = ReasonNoChange
	case errors.Is(err, errNoSender):
		why.Reason = ReasonNoTreasury
	default:
		why.Reason = ReasonNode
		return why, false
	}
	return why, true
}

func (p *Payer) shortage(w Withdrawal) string {
	switch {
	case w.Kind == KindSweep:
		return ReasonGasLow
	case w.Sender != nil:
		return ReasonTreasuryLow
	}
	return ReasonPoolLow
}
