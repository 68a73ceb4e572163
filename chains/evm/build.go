package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"
	"strconv"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"tallyd/chains"
)

const (
	plainGas = 21_000 // of a transfer that runs no code

	selectorTransfer = "\xa9\x05\x9c\xbb" // transfer(address,uint256), EIP-20
)

// BuildTransfer implements chains.TransferBuilder by EIP-1559.
func (s *Source) BuildTransfer(ctx context.Context, order chains.TransferOrder) (chains.Draft, error) {
	draft, err := s.buildTransfer(ctx, order)
	if err != nil {
		return chains.Draft{}, fmt.Errorf("build a transfer: %w", err)
	}
	return draft, nil
}

func (s *Source) buildTransfer(ctx context.Context, order chains.TransferOrder) (chains.Draft, error) {
	t, err := s.transfer(order)
	if err != nil {
		return chains.Draft{}, err
	}
	if order.Replaces != nil {
		if t.rate, err = s.above(*order.Replaces, t); err != nil {
			return chains.Draft{}, err
		}
	}
	found, err := s.findOut(ctx, t)
	if err != nil {
		return chains.Draft{}, err
	}
	t.gas, t.extra = found.gas, found.extra
	if err := t.afford(found); err != nil {
		return chains.Draft{}, err
	}
	if found.refusal != "" {
		return chains.Draft{}, fmt.Errorf("%w: %s", chains.ErrReverts, found.refusal)
	}
	return s.draft(t, order.Ceiling)
}

// transfer is a transfer while it is built.
type transfer struct {
	from, to common.Address // to is who is paid
	key      *chains.KeyPath
	path     string
	nonce    uint64
	native   chains.AssetID
	asset    chains.AssetID
	contract common.Address // of a token
	amount   chains.Amount
	all      bool
	rate     chains.FeeRate
	gas      uint64
	extra    chains.Amount
}

func (t *transfer) isToken() bool { return t.asset != t.native }

// transfer checks an order.
func (s *Source) transfer(order chains.TransferOrder) (*transfer, error) {
	t := &transfer{
		key: order.Key, nonce: order.Nonce, native: s.chain.Native.ID, asset: order.Asset,
		amount: order.Amount, all: order.All, rate: order.Rate,
	}
	if len(order.From) != common.AddressLength || len(order.To) != common.AddressLength {
		return nil, errors.New("sender and recipient are not addresses of 20 bytes")
	}
	t.from, t.to = common.Address(order.From), common.Address(order.To)
	if t.isToken() {
		contract, _, err := parseAddress(order.Asset.Contract())
		if err != nil || order.Asset != chains.TokenID(s.chain.ID, order.Asset.Contract()) {
			return nil, fmt.Errorf("%s is no asset of %s", order.Asset, s.chain.ID)
		}
		t.contract = common.Address(contract)
	}
	switch {
	case t.to == (common.Address{}):
		return nil, errors.New("the recipient is the zero address, which nobody has")
	case t.isToken() && t.to == t.contract:
		return nil, errors.New("the recipient is the token's own contract")
	case t.all && t.to == t.from:
		return nil, errors.New("the recipient is the sender")
	case t.amount.Sign() < 0, t.amount.Big().BitLen() > 256:
		return nil, errors.New("the amount is no number of 256 bits")
	case t.amount.IsZero() && !t.all && (t.isToken() || t.to != t.from):
		return nil, errors.New("the amount is 0")
	}
	if err := checkRate(t.rate); err != nil {
		return nil, err
	}
	return t, s.find(t)
}

// checkRate checks that a rate can stand in a transaction.
func checkRate(rate chains.FeeRate) error {
	if rate.Tip.Sign() < 0 || rate.Max.Sign() <= 0 || rate.Tip.Cmp(rate.Max) > 0 || rate.Max.Big().BitLen() > 128 {
		return errors.New("the fee rate is no rate of this chain")
	}
	return nil
}

// find looks for the sender's key, if it was told, and its path.
func (s *Source) find(t *transfer) error {
	if t.key == nil {
		return nil
	}
	found, ok, err := s.ParseWallet(t.key.Wallet)
	if err != nil || !ok {
		return errors.Join(errors.New("the sender's wallet is no extended key"), err)
	}
	derived, err := found.Script(t.key.Branch, t.key.Index)
	if err != nil {
		return fmt.Errorf("derive the sender: %w", err)
	}
	if !bytes.Equal(derived, t.from[:]) {
		return fmt.Errorf("the key at index %d of its wallet is not that of %s", t.key.Index, t.from)
	}
	if w, isOurs := found.(*wallet); isOurs {
		t.path = w.path(t.key.Index)
	}
	return nil
}

// data returns what the transaction calls: transfer of a token, or nothing.
func (t *transfer) data() []byte {
	if !t.isToken() {
		return nil
	}
	amount := t.amount.Big().FillBytes(make([]byte, 32))
	return bytes.Join([][]byte{[]byte(selectorTransfer), make([]byte, 12), t.to[:], amount}, nil)
}

// tx returns the transaction.
func (t *transfer) tx(chainID uint64) *types.DynamicFeeTx {
	tx := &types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(chainID), Nonce: t.nonce,
		GasTipCap: t.rate.Tip.Big(), GasFeeCap: t.rate.Max.Big(), Gas: t.gas,
		To: &t.to, Value: t.amount.Big(), Data: t.data(),
	}
	if t.isToken() {
		tx.To, tx.Value = &t.contract, new(big.Int)
	}
	return tx
}

// fee returns the most that the transaction can cost.
func (t *transfer) fee() chains.Amount {
	return chains.AmountFromUint64(t.gas).Mul(t.rate.Max).Add(t.extra)
}

// afford checks what the sender has, and where all is sent sets the amount.
func (t *transfer) afford(found findings) error {
	fee, native := t.fee(), found.balance
	switch {
	case t.isToken():
		if t.all {
			t.amount = found.tokens
		}
		if found.tokens.Cmp(t.amount) < 0 || t.amount.IsZero() {
			return &chains.ShortageError{Asset: t.asset, Have: found.tokens, Need: larger(t.amount, 1)}
		}
		if native.Cmp(fee) < 0 {
			return &chains.ShortageError{Asset: t.native, Have: native, Need: fee}
		}
	case t.all:
		if native.Cmp(fee) <= 0 {
			return &chains.ShortageError{Asset: t.native, Have: native, Need: fee.Add(chains.NewAmount(1))}
		}
		t.amount = native.Sub(fee)
	case native.Cmp(t.amount.Add(fee)) < 0:
		return &chains.ShortageError{Asset: t.native, Have: native, Need: t.amount.Add(fee)}
	}
	return nil
}

func larger(a chains.Amount, b int64) chains.Amount {
	if other := chains.NewAmount(b); a.Cmp(other) < 0 {
		return other
	}
	return a
}

// draft writes down the transaction.
func (s *Source) draft(t *transfer, ceiling chains.Amount) (chains.Draft, error) {
	if fee := t.fee(); fee.Cmp(ceiling) > 0 {
		return chains.Draft{}, fmt.Errorf("%w: %s, where %s are the most", chains.ErrFeeTooHigh, fee, ceiling)
	}
	tx := t.tx(s.id)
	payload, err := unsigned(tx)
	if err != nil {
		return chains.Draft{}, err
	}
	return chains.Draft{
		Chain: s.chain.ID, Format: chains.FormatEIP1559, Payload: hexBytes(payload), Paths: []string{t.path},
		Fee: t.fee(), Rate: t.rate,
		Transfer: &chains.TransferDraft{
			ChainID: s.id, From: t.from[:], Key: t.key, Nonce: t.nonce, To: tx.To[:], Value: chains.AmountFromBig(tx.Value),
			Data: tx.Data, Gas: t.gas, Extra: t.extra, All: t.all && !t.isToken(), Digest: crypto.Keccak256(payload),
		},
	}, nil
}

// unsigned returns the text whose hash is signed.
func unsigned(tx *types.DynamicFeeTx) ([]byte, error) {
	fields, err := rlp.EncodeToBytes([]any{
		tx.ChainID, tx.Nonce, tx.GasTipCap, tx.GasFeeCap, tx.Gas, tx.To, tx.Value, tx.Data, tx.AccessList,
	})
	if err != nil {
		return nil, fmt.Errorf("write the transaction: %w", err)
	}
	return append([]byte{types.DynamicFeeTxType}, fields...), nil
}

// transferOf reads a draft of ours back, and checks that it agrees with itself.
func (s *Source) transferOf(draft chains.Draft) (*types.DynamicFeeTx, error) {
	d := draft.Transfer
	if draft.Chain != s.chain.ID || draft.Format != chains.FormatEIP1559 || d == nil || d.ChainID != s.id ||
		len(d.To) != common.AddressLength || len(d.From) != common.AddressLength {
		return nil, fmt.Errorf("the draft is none of %s", s.chain.ID)
	}
	to := common.Address(d.To)
	tx := &types.DynamicFeeTx{
		ChainID: new(big.Int).SetUint64(d.ChainID), Nonce: d.Nonce, GasTipCap: draft.Rate.Tip.Big(), GasFeeCap: draft.Rate.Max.Big(),
		Gas: d.Gas, To: &to, Value: d.Value.Big(), Data: d.Data,
	}
	payload, err := unsigned(tx)
	if err != nil {
		return nil, err
	}
	fee := chains.AmountFromUint64(d.Gas).Mul(draft.Rate.Max).Add(d.Extra)
	if !bytes.Equal(crypto.Keccak256(payload), d.Digest) || hexBytes(payload) != draft.Payload || !fee.Equal(draft.Fee) {
		return nil, errors.New("the draft does not agree with itself")
	}
	return tx, nil
}

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

// replacing returns a rate that is wanted, raised to a tenth above another.
func replacing(old, wanted chains.FeeRate) chains.FeeRate {
	for _, fee := range []struct {
		wanted *chains.Amount
		old    chains.Amount
	}{{&wanted.Max, old.Max}, {&wanted.Tip, old.Tip}} {
		if low := portion(fee.old, 11, 10); fee.wanted.Cmp(low) < 0 {
			*fee.wanted = low
		}
	}
	if wanted.Max.Cmp(wanted.Tip) < 0 {
		wanted.Max = wanted.Tip
	}
	return wanted
}
