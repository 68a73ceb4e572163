package evm

import (
	"context"
	"fmt"

	"github.com/ethereum/go-ethereum/common"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// gasOracle is the contract by which rollups of the OP stack say what they charge
// for the chain below. On other networks nothing stands there.
//
//nolint:gochecknoglobals // a constant that Go has no literal for
var gasOracle = common.HexToAddress("0x420000000000000000000000000000000000000F")

const (
	selectorGetL1Fee = "\x49\x94\x8e\x0e" // getL1Fee(bytes)

	// mostGas is more than any block has, and keeps sums within 64 bits.
	mostGas = 1 << 40
)

// findings are what a node says at its head before a transfer is built.
type findings struct {
	balance chains.Amount // of the native coin
	tokens  chains.Amount // of the token
	gas     uint64        // with a margin; that of a plain transfer if it was not asked for
	extra   chains.Amount // what a rollup may charge beside gas
	refusal string        // why the transfer would fail; "" if it would not
}

// findOut asks what the sender has, what gas a transfer takes, and whether it would
// succeed, all from one node.
func (s *Source) findOut(ctx context.Context, t *transfer) (findings, error) {
	var found findings
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		found, err = holdings(ctx, u, t)
		if err != nil || !t.covered(found) {
			return err
		}
		return s.simulate(ctx, u, *t, &found)
	})
	if err != nil {
		return findings{}, fmt.Errorf("ask for balances and gas: %w", err)
	}
	return found, nil
}

// holdings asks a node what the sender has.
func holdings(ctx context.Context, u *rpc.Upstream, t *transfer) (findings, error) {
	requests := []rpc.Request{{Method: "eth_getBalance", Params: []any{t.from.Hex(), "latest"}}}
	if t.isToken() {
		requests = append(requests, ethCall(t.contract, balanceOf(t.from), "latest"))
	}
	answers, err := u.Batch(ctx, requests)
	if err != nil {
		return findings{}, fmt.Errorf("ask for balances: %w", err)
	}
	found := findings{gas: plainGas}
	if answers[0].Err != nil {
		return findings{}, fmt.Errorf("ask for the balance: %w", absent(answers[0].Err))
	}
	balance := &scanner{text: answers[0].Result}
	if found.balance = balance.word().amount(); balance.err != nil {
		return findings{}, unverified("structure", "%w", balance.err)
	}
	if !t.isToken() {
		return found, nil
	}
	if answers[1].Err != nil {
		if err := callError(answers[1].Err); err != nil {
			return findings{}, fmt.Errorf("ask for the balance of %s: %w", t.asset, err)
		}
	}
	// A contract without balances is one without ours.
	tokens, _ := answeredWord(answers[1])
	found.tokens = tokens.amount()
	return found, nil
}

// covered reports whether the sender has what is to be sent, the fee aside.
func (t *transfer) covered(found findings) bool {
	have := found.balance
	if t.isToken() {
		have = found.tokens
	}
	if t.all {
		return have.Sign() > 0
	}
	return have.Cmp(t.amount) >= 0
}

// simulate has a node carry out the transfer at its head.
func (s *Source) simulate(ctx context.Context, u *rpc.Upstream, t transfer, found *findings) error {
	if t.all {
		t.amount = chains.NewAmount(1) // all of it, less a fee that is not known yet
		if t.isToken() {
			t.amount = found.tokens
		}
	}
	t.gas = mostGas
	tx := t.tx(s.id)
	text, err := unsigned(tx)
	if err != nil {
		return err
	}
	call := map[string]string{"from": t.from.Hex(), "to": tx.To.Hex(), "value": "0x" + tx.Value.Text(16), "data": hexBytes(tx.Data)}
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "eth_estimateGas", Params: []any{call}},
		{Method: "eth_call", Params: []any{call, "latest"}},
		ethCall(gasOracle, append([]byte(selectorGetL1Fee), packBytes(text)...), "latest"),
	})
	if err != nil {
		return fmt.Errorf("simulate the transfer: %w", err)
	}
	for _, answer := range answers[:2] {
		if answer.Err != nil {
			if err := callError(answer.Err); err != nil {
				return fmt.Errorf("simulate the transfer: %w", err)
			}
			if outOfTime(answer.Err) {
				// It says nothing of the transfer, which another node may carry out.
				return fmt.Errorf("simulate the transfer: %w", answer.Err)
			}
			found.refusal = answer.Err.Error()
			return nil
		}
	}
	// A token returns true, or nothing if it is an old one.
	if success, ok := answeredWord(answers[1]); ok && t.isToken() && success.isZero() {
		found.refusal = "it returns false"
	}
	if charge, ok := answeredWord(answers[2]); ok {
		// Until the transaction is mined it may rise.
		found.extra = charge.amount().Mul(chains.NewAmount(2))
	}
	return found.readGas(answers[0])
}

// answeredWord reads the word that a call returned; it may have failed, or returned
// something else.
func answeredWord(answer rpc.Response) (word, bool) {
	if answer.Err != nil {
		return word{}, false
	}
	returned, ok := returnedBytes(answer.Result)
	if !ok {
		return word{}, false
	}
	return returnedWord(returned)
}

// readGas reads an estimate. What runs code may take more when it is mined: a fifth
// is added.
func (f *findings) readGas(answer rpc.Response) error {
	s := &scanner{text: answer.Result}
	gas := s.number()
	if s.err != nil || gas < plainGas || gas > mostGas {
		return unverified("structure", "an estimate of %d gas", gas)
	}
	if f.gas = gas; gas > plainGas {
		f.gas = gas + gas/5
	}
	return nil
}

// packBytes encodes one argument of type bytes by the contract ABI.
func packBytes(b []byte) []byte {
	offset, size := wordFromUint64(32), wordFromUint64(uint64(len(b)))
	packed := append(offset[:], size[:]...)
	packed = append(packed, b...)
	return append(packed, make([]byte, (32-len(b)%32)%32)...)
}
