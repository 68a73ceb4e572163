package evm

import (
	"bytes"
	"errors"
	"fmt"
	"math/big"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/core/types"
	"github.com/ethereum/go-ethereum/crypto"
	"github.com/ethereum/go-ethereum/rlp"

	"tallyd/chains"
)

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
