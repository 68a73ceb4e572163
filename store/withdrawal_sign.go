package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// Accept implements custody.Withdrawals. It is the last gate: what made the
// withdrawal allowed is looked at once more.
func (s *Store) Accept(ctx context.Context, realm indexer.Realm, id uuid.UUID, n int, signed chains.Signed) (custody.Withdrawal, error) {
	var now custody.Withdrawal
	err := s.write(ctx, "accept", func(q *db.Queries) error {
		h, err := hold(ctx, q, realm, id)
		if err != nil {
			return err
		}
		now = h.noun()
		if known := draftOf(&now, n); known != nil && known.Signed != nil && bytes.Equal(known.Signed.Raw, signed.Raw) {
			return nil // it was accepted before
		}
		if waits := now.ToSign(); waits == nil || waits.N != n {
			return custody.ErrNotSignable
		}
		if err := h.permitSigned(ctx, realm, now.Drafts[n-1].Draft); err != nil {
			return err
		}
		kept, err := q.SignDraft(ctx, db.SignDraftParams{WithdrawalID: id, N: int32(n), Raw: signed.Raw, Txid: signed.ID[:]}) //nolint:gosec // below drafts
		if err != nil {
			return fmt.Errorf("keep signed draft %d: %w", n, err)
		}
		if kept == 0 {
			return custody.ErrNotSignable // it pays another withdrawal, of a realm with the same key
		}
		w := &h.Withdrawal
		w.Signed, w.Tries, w.Reason = int32(n), 0, "" //nolint:gosec // below drafts
		if w.Status == string(custody.PendingSignature) {
			w.Status = string(custody.Broadcasting)
		}
		// From the commit on the bytes are ours to broadcast: whoever has the
		// next turn does, and goes on until the chain has settled it.
		now, err = h.save(ctx, in(0))
		return err
	})
	return now, err
}

func draftOf(w *custody.Withdrawal, n int) *custody.Draft {
	if n < 1 || n > len(w.Drafts) {
		return nil
	}
	return &w.Drafts[n-1]
}

// permitSigned returns why what was signed may not be broadcast any more, or nil.
func (h *held) permitSigned(ctx context.Context, realm indexer.Realm, draft chains.Draft) error {
	w := &h.Withdrawal
	txs, vouts := outpoints(draft)
	count, err := h.q.CountReserved(ctx, db.CountReservedParams{Chain: w.Chain, WithdrawalID: w.ID, Txs: txs, Vouts: vouts})
	if err != nil {
		return fmt.Errorf("count reserved coins: %w", err)
	}
	if count != int64(len(txs)) {
		return custody.ErrNotSignable // its end came and went, and others have its coins
	}
	if w.WalletID == nil {
		return nil
	}
	wallet, err := oneWallet(ctx, h.q, realm, *w.WalletID)
	if err != nil {
		return err
	}
	if wallet.Status == custody.WalletFrozen {
		return custody.ErrFrozen
	}
	return permitEntry(ctx, h.q, realm, w.Chain, w.Script)
}

// Cancel implements custody.Withdrawals.
func (s *Store) Cancel(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Withdrawal, error) {
	var now custody.Withdrawal
	err := s.write(ctx, "cancel", func(q *db.Queries) error {
		h, err := hold(ctx, q, realm, id)
		if err != nil {
			return err
		}
		w := &h.Withdrawal
		now = h.noun()
		switch {
		case now.Status == custody.Cancelled:
			return nil
		case now.Kind == custody.KindNonceFill:
			return custody.ErrSettled
		case now.Status == custody.Completed || now.Status == custody.Failed:
			return custody.ErrSettled
		case !now.Status.Cancellable():
			return custody.ErrSigned
		}
		if err := h.release(ctx); err != nil {
			return err
		}
		w.Status, w.Reason, w.Bump = string(custody.Cancelled), "", false
		w.ShortAsset, w.ShortHave, w.ShortNeed = nil, nil, nil
		now, err = h.save(ctx, never())
		return err
	})
	return now, err
}

// release gives up what the drafts of a withdrawal spend, none of which was signed.
// A nonce below a later one is passed on to a withdrawal that fills it: until it is
// used, nothing after it is mined.
func (h *held) release(ctx context.Context) error {
	w := &h.Withdrawal
	if err := h.q.ReleaseCoins(ctx, db.ReleaseCoinsParams{WithdrawalID: w.ID, Txs: [][]byte{}, Vouts: []int64{}}); err != nil {
		return fmt.Errorf("release coins: %w", err)
	}
	if w.Nonce == nil {
		return nil
	}
	if err := h.holdSender(ctx, *w.SenderID); err != nil {
		return err
	}
	released, err := h.q.ReleaseNonce(ctx, w.ID)
	if err != nil {
		return fmt.Errorf("release nonce %d: %w", *w.Nonce, err)
	}
	if released > 0 {
		return nil
	}
	// It has to pay more than the draft that nobody signed, and others wait behind it:
	// only the operator's ceiling holds.
	heir := uuid.New()
	err = h.q.PutWithdrawal(ctx, db.PutWithdrawalParams{
		ID: heir, Tenant: w.Tenant, Environment: w.Environment, Chain: w.Chain, Kind: string(custody.KindNonceFill), AssetID: h.NativeID,
		Destination: h.Pays, Script: h.PaysScript, SenderID: w.SenderID, Nonce: w.Nonce, Replaces: &w.ID,
	})
	if err != nil {
		return fmt.Errorf("put a fill of nonce %d: %w", *w.Nonce, err)
	}
	if err := h.q.PassNonce(ctx, db.PassNonceParams{WithdrawalID: w.ID, Heir: heir}); err != nil {
		return fmt.Errorf("pass nonce %d on: %w", *w.Nonce, err)
	}
	return withdrawalEvent(ctx, h.q, heir, "transaction.created")
}

// holdSender locks an address that pays: nonces are given one after another.
func (h *held) holdSender(ctx context.Context, sender int64) error {
	w := &h.Withdrawal
	_, err := h.q.HoldSender(ctx, db.HoldSenderParams{Tenant: w.Tenant, Environment: w.Environment, ScriptID: sender})
	if errors.Is(err, pgx.ErrNoRows) {
		return indexer.ErrStale
	}
	if err != nil {
		return fmt.Errorf("lock the address that pays: %w", err)
	}
	return nil
}

// Bump implements custody.Withdrawals.
func (s *Store) Bump(ctx context.Context, realm indexer.Realm, id uuid.UUID) (custody.Withdrawal, error) {
	var now custody.Withdrawal
	err := s.write(ctx, "bump", func(q *db.Queries) error {
		h, err := hold(ctx, q, realm, id)
		if err != nil {
			return err
		}
		w := &h.Withdrawal
		now = h.noun()
		switch {
		case !now.Status.Open(), now.Mined != nil, now.Newest() == nil:
			return custody.ErrSettled
		case now.Bump:
			return nil
		}
		w.Bump, w.Tries, w.Reason = true, 0, custody.ReasonReplacementWanted
		now, err = h.save(ctx, in(0))
		return err
	})
	return now, err
}
