package evm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"

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
