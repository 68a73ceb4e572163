package evm

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/ethereum/go-ethereum/common"
	"github.com/ethereum/go-ethereum/crypto"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Broadcast implements chains.Broadcaster.
func (s *Source) Broadcast(ctx context.Context, raw []byte) error {
	id := crypto.Keccak256Hash(raw)
	err := s.pool.Tell(ctx, func(ctx context.Context, u *rpc.Upstream) error { return send(ctx, u, id, raw) })
	if err != nil {
		return fmt.Errorf("broadcast %s: %w", id, err)
	}
	return nil
}

// send hands a transaction to one node. One that the node has already is as good.
func send(ctx context.Context, u *rpc.Upstream, id common.Hash, raw []byte) error {
	result, err := u.Call(ctx, "eth_sendRawTransaction", hexBytes(raw))
	if err == nil {
		answer := &scanner{text: result}
		if got := answer.hash(); answer.err != nil || got != id {
			return unverified("structure", "asked to send %s, sent %s", id, got)
		}
		return nil
	}
	answer, ok := errors.AsType[*rpc.Error](err)
	if !ok {
		return err
	}
	reason, refused := refusalOf(answer)
	if !refused {
		return err
	}
	if reason == "" {
		return nil
	}
	// Of a transaction that is mined a node says that its nonce is used.
	if _, err := placeOf(ctx, u, id); err == nil {
		return nil
	}
	return &chains.RefusalError{Reason: reason, Detail: answer.Message}
}

// refusalOf reads why a node refuses a transaction: "" if because it has it. An
// answer that does not say so is no refusal. There are no codes for it: the words
// are those of geth, reth, Erigon, Nethermind, Besu and anvil.
func refusalOf(answer *rpc.Error) (reason chains.RefusalReason, refused bool) {
	text := strings.ToLower(answer.Message)
	for _, known := range []struct {
		reason chains.RefusalReason
		words  []string
	}{
		{"", []string{"already known", "alreadyknown", "known transaction", "already imported", "already in pool", "already in the pool", "already in mempool", "already exists", "known_transaction"}},
		{chains.RefusedSpent, []string{"nonce too low", "nonce is too low", "nonce_too_low", "oldnonce", "old nonce", "nonce has already been used"}},
		{chains.RefusedFee, []string{"underpriced", "replacementnotallowed", "could not replace existing", "less than block base fee", "fee too low", "feetoolow", "gas price too low", "gas price below", "gas tip cap", "tip too low", "max fee per gas", "below minimum"}},
		{chains.RefusedFunds, []string{"insufficient funds", "insufficientfunds", "insufficient balance", "upfront cost exceeds", "upfront_cost_exceeds"}},
		{chains.RefusedEarly, []string{"nonce too high", "nonce gap", "nonce_too_distant", "noncegap", "txpool is full", "pool is full", "in-flight transaction limit"}},
		{chains.RefusedInvalid, []string{"invalid sender", "invalid signature", "invalid chain id", "chain id", "intrinsic gas", "gas limit", "rlp", "decode transaction", "not supported"}},
	} {
		for _, words := range known.words {
			if strings.Contains(text, words) {
				return known.reason, true
			}
		}
	}
	// A server that says nothing of the transaction may have taken it all the same.
	const serverError, invalidInput, rejected = -32000, -32602, -32003
	switch answer.Code {
	case serverError, invalidInput, rejected:
		return chains.RefusedOther, true
	}
	return "", false
}

// Lookup implements chains.Broadcaster. That a transaction is mined, and whether it
// failed, is what the header of its block proves; where that ties no transactions
// to it, it is the node's word.
func (s *Source) Lookup(ctx context.Context, id chains.Hash) (chains.Sighting, error) {
	var sighting chains.Sighting
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		sighting, err = s.lookAt(ctx, u, common.Hash(id))
		return err
	})
	if err != nil {
		return chains.Sighting{}, fmt.Errorf("look up %s: %w", common.Hash(id), err)
	}
	return sighting, nil
}

// lookAt asks one node for a transaction, and for the block that its receipt names.
func (s *Source) lookAt(ctx context.Context, u *rpc.Upstream, id common.Hash) (chains.Sighting, error) {
	p, err := placeOf(ctx, u, id)
	if err != nil || p.block == (common.Hash{}) {
		return chains.Sighting{}, err
	}
	b, _, err := s.untraced(ctx, u, p.block)
	if errors.Is(err, chains.ErrNotFound) {
		return chains.Sighting{}, nil // it has left since
	}
	if err != nil {
		return chains.Sighting{}, fmt.Errorf("read the block it is said to be in: %w", err)
	}
	i := slices.IndexFunc(b.txs[:b.inRoots], func(tx transaction) bool { return tx.hash == id })
	if i < 0 {
		return chains.Sighting{}, unverified("structure", "transaction %s is not in block %s, which its receipt names", id, p.block)
	}
	if ok, known := b.receipts[i].succeeded(); known {
		p.failed = !ok
	}
	return chains.Sighting{Mined: true, Block: chains.Hash(p.block), Height: b.header.number, Failed: p.failed}, nil
}

// place is where a transaction or its receipt says that it stands.
type place struct {
	id, block common.Hash // no block while it waits
	failed    bool
}

// placeOf asks one node for a transaction and its receipt, and returns
// chains.ErrNotFound if it does not know the transaction.
func placeOf(ctx context.Context, u *rpc.Upstream, id common.Hash) (place, error) {
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "eth_getTransactionByHash", Params: []any{id.Hex()}},
		{Method: "eth_getTransactionReceipt", Params: []any{id.Hex()}},
	})
	if err != nil {
		return place{}, fmt.Errorf("ask for the transaction: %w", err)
	}
	if answers[0].Err != nil {
		return place{}, fmt.Errorf("ask for the transaction: %w", answers[0].Err)
	}
	if isNull(answers[0].Result) {
		return place{}, chains.ErrNotFound
	}
	if _, err := decodePlace(answers[0].Result, id); err != nil {
		return place{}, err
	}
	if waits := answers[1].Err != nil || isNull(answers[1].Result); waits {
		return place{id: id}, nil
	}
	return decodePlace(answers[1].Result, id)
}

// decodePlace reads the place of the transaction with an id.
func decodePlace(text []byte, id common.Hash) (p place, err error) {
	s := &scanner{text: text}
	for ok := s.open('{') && s.more('}'); ok; ok = s.more('}') {
		switch name := s.key(); string(name) {
		case "hash", "transactionHash":
			p.id = s.hash()
		case "blockHash":
			p.block = s.hash()
		case "status":
			p.failed = s.number() == 0
		default:
			s.skip()
		}
	}
	if s.err != nil {
		return place{}, unverified("structure", "transaction %s: %w", id, s.err)
	}
	if p.id != id {
		return place{}, unverified("structure", "asked for transaction %s, got %s", id, p.id)
	}
	return p, nil
}

// Nonces implements chains.NonceReader.
func (s *Source) Nonces(ctx context.Context, address []byte) (latest, pending uint64, err error) {
	if len(address) != common.AddressLength {
		return 0, 0, fmt.Errorf("read nonces: an address has 20 bytes, not %d", len(address))
	}
	var mu sync.Mutex // guards the results
	err = s.pool.Tell(ctx, func(ctx context.Context, u *rpc.Upstream) error {
		after, waiting, err := noncesFrom(ctx, u, common.Address(address))
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		latest, pending = max(latest, after), max(pending, waiting)
		return nil
	})
	if err != nil {
		return 0, 0, fmt.Errorf("read nonces of %s: %w", common.Address(address), err)
	}
	return latest, max(latest, pending), nil
}

func noncesFrom(ctx context.Context, u *rpc.Upstream, address common.Address) (latest, pending uint64, err error) {
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "eth_getTransactionCount", Params: []any{address.Hex(), "latest"}},
		{Method: "eth_getTransactionCount", Params: []any{address.Hex(), "pending"}},
	})
	if err != nil {
		return 0, 0, fmt.Errorf("ask for nonces: %w", err)
	}
	for i, into := range []*uint64{&latest, &pending} {
		if answers[i].Err != nil {
			return 0, 0, fmt.Errorf("ask for nonces: %w", answers[i].Err)
		}
		s := &scanner{text: answers[i].Result}
		if *into = s.number(); s.err != nil {
			return 0, 0, unverified("structure", "nonce: %w", s.err)
		}
	}
	return latest, pending, nil
}
