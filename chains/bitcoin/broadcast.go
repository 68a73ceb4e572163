package bitcoin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

const codeInChain = -27 // sendrawtransaction: the transaction is mined

// Broadcast hands a transaction to all nodes that may be asked.
func (s *Source) Broadcast(ctx context.Context, raw []byte) error {
	var id chains.Hash
	err := s.walkers.with(func(w *Walker) error {
		if _, err := w.MatchTx(raw, nil); err != nil {
			return err
		}
		id = w.TxID(0)
		return nil
	})
	if err != nil {
		return fmt.Errorf("broadcast a transaction: %w", err)
	}
	err = s.pool.Tell(ctx, func(ctx context.Context, u *rpc.Upstream) error { return s.node(u).send(ctx, id, raw) })
	if err != nil {
		return fmt.Errorf("broadcast %s: %w", id, err)
	}
	return nil
}

// send hands a transaction to one node. One that the node has already is as good.
func (n node) send(ctx context.Context, id chains.Hash, raw []byte) error {
	var text string
	err := n.CallInto(ctx, &text, "sendrawtransaction", hex.EncodeToString(raw))
	if err == nil {
		if got, err := chains.ParseHash(text); err != nil || got != id {
			return n.lie("sendrawtransaction", errors.New("the answer is the id of another transaction"))
		}
		return nil
	}
	answer, ok := errors.AsType[*rpc.Error](err)
	if !ok || answer.Code == codeWarmingUp || answer.Code == codeUnknownMethod || answer.Code == codeInternal {
		return err
	}
	reason := refusalOf(answer)
	if reason == "" {
		return nil
	}
	// Nodes refuse what they have mined by the words for coins that are spent.
	if _, err := n.look(ctx, id); err == nil {
		return nil
	}
	return &chains.RefusalError{Reason: reason, Detail: answer.Message}
}

// refusalOf reads why a node refuses a transaction: "" if because it has it. The
// words are those of Bitcoin Core and its relatives since 0.14, and of btcd.
func refusalOf(answer *rpc.Error) chains.RefusalReason {
	if answer.Code == codeInChain {
		return ""
	}
	text := strings.ToLower(answer.Message)
	for _, known := range []struct {
		reason chains.RefusalReason
		words  []string
	}{
		{"", []string{"txn-already-known", "txn-already-in-mempool", "already in block chain", "already in utxo set", "already have transaction", "transaction already exists", "already in mempool"}},
		{chains.RefusedEarly, []string{"non-final", "not finalized", "non-bip68-final", "premature-spend-of-coinbase", "required maturity", "too-long-mempool-chain", "mempool full"}},
		{chains.RefusedFee, []string{"insufficient fee", "min relay fee", "mempool min fee", "insufficient priority", "under the required amount", "insufficient absolute fee", "insufficient fee rate", "absurdly-high-fee", "max-fee-exceeded", "fee exceeds maximum", "replacement-adds-unconfirmed", "too many potential replacements", "has an insufficient"}},
		{chains.RefusedConflict, []string{"txn-mempool-conflict", "already spent in mempool"}},
		{chains.RefusedSpent, []string{"missing inputs", "missingorspent", "missing-inputs", "inputs-spent", "orphan transaction", "already spent"}},
		{chains.RefusedInvalid, []string{"script-verify-flag", "failed to validate input", "decode failed", "less than the amount spent", "bad-txns"}},
	} {
		for _, words := range known.words {
			if strings.Contains(text, words) {
				return known.reason
			}
		}
	}
	return chains.RefusedOther
}

// Lookup returns what a node knows of a transaction. A node without an index of
// transactions knows those that wait, and mined ones by their unspent outputs, of
// which it is asked for the first two: payments of ours have no more.
func (s *Source) Lookup(ctx context.Context, id chains.Hash) (chains.Sighting, error) {
	sighting, err := ask(ctx, s, func(ctx context.Context, n node) (chains.Sighting, error) { return n.look(ctx, id) })
	if err != nil {
		return chains.Sighting{}, fmt.Errorf("look up %s: %w", id, err)
	}
	return sighting, nil
}

func (n node) look(ctx context.Context, id chains.Hash) (chains.Sighting, error) {
	answers, err := n.Batch(ctx, []rpc.Request{
		{Method: "getrawtransaction", Params: []any{id.String(), 1}},
		{Method: "gettxout", Params: []any{id.String(), 0, true}},
		{Method: "gettxout", Params: []any{id.String(), 1, true}},
	})
	if err != nil {
		return chains.Sighting{}, err
	}
	for _, answer := range answers {
		if answer.Err != nil || string(answer.Result) == "null" {
			if code := rpc.Code(answer.Err); code == codeWarmingUp {
				return chains.Sighting{}, answer.Err
			}
			continue
		}
		var found struct {
			TxID          string `json:"txid"`      // of a transaction
			Block         string `json:"blockhash"` // of one that is mined
			Best          string `json:"bestblock"` // of an output
			Confirmations int64  `json:"confirmations"`
		}
		if err := json.Unmarshal(answer.Result, &found); err != nil {
			return chains.Sighting{}, n.lie("transaction "+id.String(), err)
		}
		if found.TxID != "" && found.TxID != id.String() {
			return chains.Sighting{}, n.lie("transaction "+id.String(), errors.New("the answer is another transaction"))
		}
		if found.Confirmations > 0 {
			return n.mined(ctx, found.Block, found.Best, found.Confirmations)
		}
		if found.Block == "" {
			return chains.Sighting{}, nil
		}
	}
	return chains.Sighting{}, fmt.Errorf("transaction %s: %w", id, chains.ErrNotFound)
}

// mined returns the block that a node says holds a transaction: by its hash, or as
// so many below the best.
func (n node) mined(ctx context.Context, block, best string, confirmations int64) (chains.Sighting, error) {
	text := block
	if text == "" {
		text = best
	}
	hash, err := chains.ParseHash(text)
	if err != nil {
		return chains.Sighting{}, n.lie("a mined transaction", err)
	}
	ref, err := n.ref(ctx, hash)
	if err != nil {
		return chains.Sighting{}, err
	}
	if block == "" && confirmations > 1 {
		if ref.Height+1 < uint64(confirmations) {
			return chains.Sighting{}, n.lie("a mined transaction", errors.New("it has more confirmations than there are blocks"))
		}
		ref.Height -= uint64(confirmations) - 1
		if ref.Hash, err = n.hashAt(ctx, ref.Height); err != nil {
			return chains.Sighting{}, err
		}
	}
	return chains.Sighting{Mined: true, Block: ref.Hash, Height: ref.Height}, nil
}
