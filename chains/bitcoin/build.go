package bitcoin

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"tallyd/chains"
)

const (
	// txVersion is what nodes relay and BIP 68 wants.
	txVersion = 2

	// sequence signals that the transaction may be replaced (BIP 125), and
	// lets its lock time count.
	sequence = 0xfffffffd
)

// BuildPayment chooses coins, confirmed ones alone if they suffice, and builds a
// transaction with the inputs and outputs in the order of BIP 69. Its lock time is
// the best block, so that nobody gains by mining that block again with it.
func (s *Source) BuildPayment(ctx context.Context, order chains.PaymentOrder) (chains.Draft, error) {
	draft, err := s.buildPayment(ctx, order)
	if err != nil {
		return chains.Draft{}, fmt.Errorf("build a payment: %w", err)
	}
	return draft, nil
}

func (s *Source) buildPayment(ctx context.Context, order chains.PaymentOrder) (chains.Draft, error) {
	if err := s.builds(); err != nil {
		return chains.Draft{}, err
	}
	keys := newKeyring(s.params)
	want, err := s.wanted(keys, order.To, order.Change, order.Rate)
	if err != nil {
		return chains.Draft{}, err
	}
	if order.Ceiling.Cmp(chains.NewAmount(maxMoney)) < 0 {
		want.ceiling = order.Ceiling.Big().Int64()
	}
	coins, err := s.spendables(keys, order.Coins, order.Tip)
	if err != nil {
		return chains.Draft{}, err
	}
	confirmed := slices.DeleteFunc(slices.Clone(coins), func(coin spendable) bool { return coin.Height == 0 })
	picked, err := want.choose(confirmed)
	if _, short := errors.AsType[*chains.ShortageError](err); short && len(confirmed) < len(coins) {
		picked, err = want.choose(coins)
	}
	if err != nil {
		return chains.Draft{}, err
	}
	return s.draft(ctx, keys, picked, order, lockTime(order.Tip))
}

// lockTime returns the height as a lock time; above those that are heights there
// is none.
func lockTime(tip uint64) uint32 {
	const firstTime = 500_000_000
	if tip >= firstTime {
		return 0
	}
	return uint32(tip)
}

// builds reports whether transactions of this chain are built: not where a
// signature is over something else than on the other chains, and no PSBT says it.
func (s *Source) builds() error {
	if s.params.CashAddr != "" {
		return fmt.Errorf("a transaction of %s: %w", s.params.Name, chains.ErrUnsupported)
	}
	return nil
}

// wanted checks an order.
func (s *Source) wanted(keys *keyring, to, change chains.Output, rate chains.FeeRate) (wanted, error) {
	w := wanted{asset: s.chain.Native.ID, to: to.Script, change: change.Script, params: s.params}
	var err error
	if w.amount, err = units("the amount", to.Amount); err != nil {
		return wanted{}, err
	}
	if w.rate, err = rateOf(rate); err != nil {
		return wanted{}, err
	}
	for _, script := range [][]byte{w.to, w.change} {
		if AddressFromScript(s.params, script) == "" && pubKeyOf(script) == nil {
			return wanted{}, fmt.Errorf("script %x has no address: %w", script, chains.ErrUnsupported)
		}
	}
	if bytes.Equal(w.to, w.change) {
		return wanted{}, errors.New("the recipient's script is the one for change")
	}
	for _, output := range []chains.Output{to, change} {
		if output.Key != nil {
			if _, _, err := keys.find(output.Script, output.Key); err != nil {
				return wanted{}, err
			}
		}
	}
	if least := s.params.dust(w.to); w.amount < least {
		return wanted{}, fmt.Errorf("%w: %d, where %d are the least", chains.ErrDust, w.amount, least)
	}
	if w.rate < s.params.RelayFee {
		return wanted{}, fmt.Errorf("%w: %d, where %d are the least", chains.ErrFeeTooLow, w.rate, s.params.RelayFee)
	}
	return w, nil
}

// spendables returns the coins that a block after tip may hold spent, and whose
// signature has a known size: one that has not must not stop the others.
func (s *Source) spendables(keys *keyring, coins []chains.Coin, tip uint64) ([]spendable, error) {
	list := make([]spendable, 0, len(coins))
	seen := make(map[chains.Outpoint]bool, len(coins))
	for _, coin := range coins {
		if seen[coin.Outpoint] {
			return nil, fmt.Errorf("coin %s is given twice", coin.Outpoint)
		}
		seen[coin.Outpoint] = true
		if coin.Coinbase && (coin.Height == 0 || coin.Height+s.params.Maturity > tip+1) {
			continue
		}
		spend, err := keys.spendable(coin)
		if errors.Is(err, chains.ErrUnsupported) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, spend)
	}
	return list, nil
}

// draft writes down a transaction that spends coins.
func (s *Source) draft(ctx context.Context, keys *keyring, picked chosen, order chains.PaymentOrder, lock uint32) (chains.Draft, error) {
	if chains.NewAmount(picked.fee).Cmp(order.Ceiling) > 0 {
		return chains.Draft{}, fmt.Errorf("%w: %d, where %s are the most", chains.ErrFeeTooHigh, picked.fee, order.Ceiling)
	}
	payment := &chains.PaymentDraft{Version: txVersion, LockTime: lock, VSize: picked.vsize}
	slices.SortFunc(picked.coins, func(a, b spendable) int { return compareOutpoints(a.Outpoint, b.Outpoint) })
	draft := chains.Draft{
		Chain: s.chain.ID, Format: chains.FormatPSBT, Fee: chains.NewAmount(picked.fee), Rate: chains.FeeRate{Max: order.Rate.Max}, Payment: payment,
	}
	for i := range picked.coins {
		coin := &picked.coins[i]
		if err := keys.derive(coin); err != nil {
			return chains.Draft{}, err
		}
		payment.Inputs = append(payment.Inputs, chains.DraftInput{Coin: coin.Coin, Sequence: sequence})
		path := ""
		if coin.key != nil {
			path = coin.key.origin.String()
		}
		draft.Paths = append(draft.Paths, path)
	}
	payment.Outputs = []chains.DraftOutput{{Output: order.To}}
	if picked.change > 0 {
		change := order.Change
		change.Amount = chains.NewAmount(picked.change)
		payment.Outputs = append(payment.Outputs, chains.DraftOutput{Output: change, Change: true})
	}
	slices.SortFunc(payment.Outputs, func(a, b chains.DraftOutput) int {
		return cmp.Or(a.Amount.Cmp(b.Amount), bytes.Compare(a.Script, b.Script))
	})
	var err error
	draft.Payload, err = s.packet(ctx, keys, payment, picked.coins)
	return draft, err
}
