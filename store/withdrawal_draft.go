package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// TakeTurn implements custody.Desk.
func (s *Store) TakeTurn(ctx context.Context, chain string, ttl time.Duration) (custody.Withdrawal, error) {
	var taken custody.Withdrawal
	err := s.write(ctx, "take_turn", func(q *db.Queries) error {
		if err := q.WakeDue(ctx, chain); err != nil {
			return fmt.Errorf("look for withdrawals that are due: %w", err)
		}
		id, err := q.TakeTurn(ctx, db.TakeTurnParams{Chain: chain, Seconds: ttl.Seconds()})
		if err != nil {
			return fmt.Errorf("take a turn: %w", orNotFound(err))
		}
		taken, err = oneWithdrawal(ctx, q, id)
		return err
	})
	return taken, err
}

// PutDraft implements custody.Desk. The rows that reserve coins and nonces are the
// arbiter: what was read before it may be as old as it likes.
func (s *Store) PutDraft(ctx context.Context, turn custody.Turn, built custody.Built) (custody.Withdrawal, error) {
	text, err := json.Marshal(built.Draft)
	if err != nil {
		return custody.Withdrawal{}, fmt.Errorf("write the draft: %w", err)
	}
	var now custody.Withdrawal
	var change map[string]int64
	err = s.write(ctx, "put_draft", func(q *db.Queries) error {
		if built.Change != nil {
			// The new address is watched from the next block on. The chain's row
			// is locked before any other.
			cursor, err := q.LockCursor(ctx, turn.Chain)
			if err != nil {
				return fmt.Errorf("lock cursor: %w", orNotFound(err))
			}
			if change, err = addScripts(ctx, q, cursor, []indexer.WatchedScript{built.Change.Script}); err != nil {
				return err
			}
		}
		h, err := holdTurn(ctx, q, turn)
		if err != nil {
			return err
		}
		w := &h.Withdrawal
		if noun := h.noun(); !noun.ToBuild() {
			return indexer.ErrStale
		}
		if err := h.reserve(ctx, built, change); err != nil {
			return err
		}
		w.Drafts++
		err = q.PutDraft(ctx, db.PutDraftParams{WithdrawalID: w.ID, N: w.Drafts, Chain: w.Chain, Draft: text})
		if err != nil {
			return fmt.Errorf("put draft %d: %w", w.Drafts, err)
		}
		w.Amount, w.Bump, w.Tries, w.Reason = built.Amount, false, 0, ""
		w.ShortAsset, w.ShortHave, w.ShortNeed = nil, nil, nil
		then := never()
		if w.Signed > 0 {
			// The one it is to replace is broadcast until then.
			w.Reason, then = custody.ReasonReplacementUnsigned, in(0)
		} else {
			w.Status = string(custody.PendingSignature)
		}
		// From the commit on others may be shown the draft: what it spends is
		// nobody else's.
		now, err = h.save(ctx, then)
		return err
	})
	return now, err
}

// reserve makes what a draft spends nobody else's.
func (h *held) reserve(ctx context.Context, built custody.Built, change map[string]int64) error {
	if built.Draft.Payment == nil {
		return h.reserveNonce(ctx, built)
	}
	if err := h.reserveCoins(ctx, built.Draft); err != nil || built.Change == nil {
		return err
	}
	return h.takeChange(ctx, *built.Change, change)
}

func (h *held) reserveCoins(ctx context.Context, draft chains.Draft) error {
	w := &h.Withdrawal
	if err := h.keepsCoins(ctx, draft); err != nil {
		return err
	}
	txs, vouts := outpoints(draft)
	// Those of a draft that this one replaces are reserved already, and spent by
	// it in the mempool.
	err := h.q.ReserveCoins(ctx, db.ReserveCoinsParams{Chain: w.Chain, WithdrawalID: w.ID, Txs: txs, Vouts: vouts})
	if err != nil {
		return fmt.Errorf("reserve %d coins: %w", len(txs), err)
	}
	count, err := h.q.CountReserved(ctx, db.CountReservedParams{Chain: w.Chain, WithdrawalID: w.ID, Txs: txs, Vouts: vouts})
	if err != nil {
		return fmt.Errorf("count reserved coins: %w", err)
	}
	if count != int64(len(txs)) {
		return indexer.ErrStale
	}
	return nil
}

// keepsCoins checks that the coins of what a draft replaces are still reserved. Where
// an end gave one up that a reorg undid, another may have it: it is not read again,
// and nothing replaces that draft for now.
func (h *held) keepsCoins(ctx context.Context, draft chains.Draft) error {
	w := &h.Withdrawal
	if len(h.built) == 0 {
		return nil
	}
	txs, vouts := outpoints(h.built[len(h.built)-1])
	count, err := h.q.CountReserved(ctx, db.CountReservedParams{Chain: w.Chain, WithdrawalID: w.ID, Txs: txs, Vouts: vouts})
	if err != nil {
		return fmt.Errorf("count coins of the draft before: %w", err)
	}
	if count == int64(len(txs)) {
		return nil
	}
	return &chains.ShortageError{Asset: chains.AssetID(h.Native), Need: w.Amount.Add(draft.Fee)}
}

// takeChange gives the address for change away.
func (h *held) takeChange(ctx context.Context, change custody.ChangeAddress, ids map[string]int64) error {
	w := &h.Withdrawal
	taken, err := h.q.TakeChange(ctx, db.TakeChangeParams{ID: change.Key, Index: int64(change.Index)})
	if err != nil {
		return fmt.Errorf("move the index for change: %w", err)
	}
	if taken == 0 {
		return indexer.ErrStale
	}
	// One that the realm has in another role already stays what it is: it is its
	// own in any case, and what it is paid by its own pool is no deposit.
	_, err = h.q.PutAddress(ctx, db.PutAddressParams{
		ID: uuid.New(), Tenant: w.Tenant, Environment: w.Environment, Chain: w.Chain, ScriptID: ids[string(change.Script.Script)],
		Address: change.Script.Address, Purpose: "change", KeyID: &change.Key, Branch: new(int64(change.Branch)), Index: new(int64(change.Index)),
	})
	if err != nil && !errors.Is(err, pgx.ErrNoRows) {
		return fmt.Errorf("put address for change: %w", err)
	}
	return nil
}

// reserveNonce gives the draft its nonce, if it is the next one of its sender.
func (h *held) reserveNonce(ctx context.Context, built custody.Built) error {
	w, nonce := &h.Withdrawal, int64(built.Draft.Transfer.Nonce) //nolint:gosec // far below 2^63
	if h.PaysID == 0 || string(h.PaysScript) != string(built.Sender) {
		return indexer.ErrStale // the treasury is another one now
	}
	if err := h.holdSender(ctx, h.PaysID); err != nil {
		return err
	}
	if err := h.afford(ctx, built); err != nil {
		return err
	}
	if w.Nonce != nil {
		if *w.Nonce != nonce {
			return indexer.ErrStale
		}
		return nil // a replacement, or a fill
	}
	next, err := h.q.NextNonce(ctx, db.NextNonceParams{SenderID: h.PaysID, Tenant: w.Tenant, Environment: w.Environment})
	if err != nil {
		return fmt.Errorf("read the next nonce: %w", err)
	}
	if nonce != max(next, int64(built.Pending)) { //nolint:gosec // far below 2^63
		return indexer.ErrStale
	}
	reserved, err := h.q.ReserveNonce(ctx, db.ReserveNonceParams{SenderID: h.PaysID, Nonce: nonce, WithdrawalID: w.ID})
	if err != nil {
		return fmt.Errorf("reserve nonce %d: %w", nonce, err)
	}
	if reserved == 0 {
		return indexer.ErrStale
	}
	w.SenderID, w.Nonce = &h.PaysID, &nonce
	return nil
}

// afford checks that what the sender has suffices for all its drafts together. What
// nobody has read yet is not known to be too little: the node has been asked.
func (h *held) afford(ctx context.Context, built custody.Built) error {
	w := &h.Withdrawal
	if w.Kind == string(custody.KindSweep) {
		return nil // all there is
	}
	for _, of := range []struct {
		id    int64
		asset string
		need  chains.Amount
	}{
		{w.AssetID, h.Caip19, built.Amount},
		{h.NativeID, h.Native, built.Draft.Fee},
	} {
		if of.id == h.NativeID {
			of.need = built.Draft.Fee
			if w.AssetID == h.NativeID {
				of.need = of.need.Add(built.Amount)
			}
		}
		funds, err := h.q.SenderFunds(ctx, db.SenderFundsParams{
			SenderID: h.PaysID, AssetID: of.id, Tenant: w.Tenant, Environment: w.Environment, ExceptID: w.ID,
		})
		if err != nil {
			return fmt.Errorf("read what the sender has: %w", err)
		}
		have := funds.Balance.Sub(funds.Committed)
		if of.id == h.NativeID {
			have = have.Sub(funds.Fees)
		}
		if funds.Balance.Sign() >= 0 && have.Cmp(of.need) < 0 {
			return &chains.ShortageError{Asset: chains.AssetID(of.asset), Have: have, Need: of.need}
		}
	}
	return nil
}

// Decline implements custody.Desk.
func (s *Store) Decline(ctx context.Context, turn custody.Turn, why custody.Declined) (custody.Withdrawal, error) {
	var now custody.Withdrawal
	err := s.write(ctx, "decline", func(q *db.Queries) error {
		h, err := holdTurn(ctx, q, turn)
		if err != nil {
			return err
		}
		w := &h.Withdrawal
		w.Reason, w.Tries = why.Reason, w.Tries+1
		w.ShortAsset, w.ShortHave, w.ShortNeed = nil, nil, nil
		if why.Short != nil {
			if w.ShortAsset, err = h.assetID(ctx, why.Short.Asset); err != nil {
				return err
			}
			w.ShortHave, w.ShortNeed = &why.Short.Have, &why.Short.Need
		}
		then := in(why.Retry)
		switch {
		case w.Bump && why.Reason == custody.ReasonNode:
			w.Reason = custody.ReasonReplacementWanted
		case w.Bump:
			// A replacement that cannot be built is not tried again: who wanted it
			// is told, and what is broadcast goes on.
			w.Bump = false
			if then = in(0); w.Signed == 0 {
				then = never()
			}
		case why.Failed:
			w.Status, then = string(custody.Failed), never()
		}
		now, err = h.save(ctx, then)
		return err
	})
	return now, err
}

func (h *held) assetID(ctx context.Context, id chains.AssetID) (*int64, error) {
	assets, err := h.q.ChainAssets(ctx, h.Withdrawal.Chain)
	if err != nil {
		return nil, fmt.Errorf("read assets: %w", err)
	}
	for i := range assets {
		if assets[i].Caip19 == string(id) {
			return &assets[i].ID, nil
		}
	}
	return nil, fmt.Errorf("asset %s: %w", id, indexer.ErrNotFound)
}
