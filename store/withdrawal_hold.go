package store

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// held is a withdrawal whose row a transaction has locked, and is about to change.
//
// Who locks several things locks in this order: the chain, the withdrawal, the
// address that pays, the wallets.
type held struct {
	*withdrawal

	q      *db.Queries
	before db.Withdrawal
}

// hold locks a withdrawal of a realm.
func hold(ctx context.Context, q *db.Queries, realm indexer.Realm, id uuid.UUID) (*held, error) {
	p := db.LockWithdrawalParams{ID: id, Tenant: realm.Tenant, Environment: string(realm.Environment)}
	if _, err := q.LockWithdrawal(ctx, p); err != nil {
		return nil, fmt.Errorf("lock withdrawal: %w", orNotFound(err))
	}
	// What belongs to it is read after its row is locked, or it could be older.
	read, err := readWithdrawals(ctx, q, realm, id)
	if err != nil {
		return nil, err
	}
	return &held{withdrawal: read[0], q: q, before: read[0].Withdrawal}, nil
}

// holdTurn locks a withdrawal if a turn lasts, or returns ErrStale.
func holdTurn(ctx context.Context, q *db.Queries, turn custody.Turn) (*held, error) {
	h, err := hold(ctx, q, indexer.Realm{}, turn.ID)
	if err != nil {
		return nil, err
	}
	if h.Withdrawal.Turn != turn.N {
		return nil, indexer.ErrStale
	}
	return h, nil
}

// next says when a withdrawal is looked at again.
type next struct {
	after *time.Duration // nil for not before something happens
	keep  bool           // the lease of its turn
}

// never leaves a withdrawal until something happens to it.
func never() next { return next{} }

// in has a withdrawal looked at again by anybody.
func in(d time.Duration) next { return next{after: &d} }

// save writes what changed: the row, the accounts by a journal, and what shows of it
// by an event. It returns the withdrawal as it is then.
func (h *held) save(ctx context.Context, then next) (custody.Withdrawal, error) {
	if err := h.saveRow(ctx, then); err != nil {
		return custody.Withdrawal{}, err
	}
	was, now := &h.before, &h.Withdrawal
	postings := custody.Between(h.claim(was).Books(custody.Status(was.Status), feeOf(was)), h.claim(now).Books(custody.Status(now.Status), feeOf(now)))
	if len(postings) > 0 || shows(was, now) {
		if err := h.show(ctx, postings); err != nil {
			return custody.Withdrawal{}, err
		}
	}
	read, err := readWithdrawals(ctx, h.q, indexer.Realm{}, now.ID)
	if err != nil {
		return custody.Withdrawal{}, err
	}
	read[0].spender = h.spender
	return read[0].noun(), nil
}

func (h *held) saveRow(ctx context.Context, then next) error {
	w := &h.Withdrawal
	p := db.SaveWithdrawalParams{
		ID: w.ID, Status: w.Status, Reason: w.Reason, Amount: w.Amount, SenderID: w.SenderID, Nonce: w.Nonce, Bump: w.Bump,
		Drafts: w.Drafts, Signed: w.Signed, Taken: w.Taken, Mined: w.Mined, Block: w.Block, Height: w.Height, Paid: w.Paid, Fee: w.Fee,
		LastMined: w.LastMined, LastSigned: w.LastSigned, Lost: w.Lost, Basis: w.Basis, Due: w.Due, ShortAsset: w.ShortAsset, ShortHave: w.ShortHave, ShortNeed: w.ShortNeed,
		Tries: w.Tries, Keep: then.keep,
	}
	if then.after != nil {
		p.Seconds = new(then.after.Seconds())
	}
	if err := h.q.SaveWithdrawal(ctx, p); err != nil {
		return fmt.Errorf("save withdrawal %s: %w", w.ID, err)
	}
	return nil
}

// show posts the journal of a change and tells of it.
func (h *held) show(ctx context.Context, postings []custody.Posting) error {
	w := &h.Withdrawal
	version, err := h.q.ShowWithdrawal(ctx, db.ShowWithdrawalParams{ID: w.ID, Status: w.Status, Reason: w.Reason, Amount: w.Amount})
	if err != nil {
		return fmt.Errorf("show withdrawal %s: %w", w.ID, err)
	}
	if err := withdrawalEvent(ctx, h.q, w.ID, "transaction.status.updated"); err != nil {
		return err
	}
	if len(postings) == 0 {
		return nil
	}
	b := books{q: h.q}
	_, err = b.post(ctx, []custody.Journal{{
		Realm: realmOf(w.Tenant, w.Environment), Kind: custody.JournalWithdrawal, Reference: w.ID, Version: version, Postings: postings,
	}})
	if err != nil {
		return err
	}
	_, err = b.close(ctx)
	return err
}

func withdrawalEvent(ctx context.Context, q *db.Queries, id uuid.UUID, kind string) error {
	if _, err := q.WithdrawalEvents(ctx, db.WithdrawalEventsParams{Type: kind, ID: id}); err != nil {
		return fmt.Errorf("write event of withdrawal %s: %w", id, err)
	}
	return nil
}

// claim returns the money of a withdrawal.
func (h *held) claim(w *db.Withdrawal) custody.Claim {
	return custody.Claim{Wallet: w.WalletID, Asset: w.AssetID, Native: h.NativeID, Amount: w.Amount}
}

func feeOf(w *db.Withdrawal) chains.Amount {
	if w.Fee == nil {
		return chains.Amount{}
	}
	return *w.Fee
}

// shows reports whether a change is one that others are told of.
func shows(was, now *db.Withdrawal) bool {
	return was.Status != now.Status || was.Reason != now.Reason || !was.Amount.Equal(now.Amount) || string(was.Block) != string(now.Block)
}

// outpoints returns the coins of a draft as columns.
func outpoints(drafts ...chains.Draft) (txs [][]byte, vouts []int64) {
	txs, vouts = [][]byte{}, []int64{}
	for _, draft := range drafts {
		if draft.Payment == nil {
			continue
		}
		for i := range draft.Payment.Inputs {
			at := draft.Payment.Inputs[i].Outpoint
			txs, vouts = append(txs, at.Tx[:]), append(vouts, int64(at.Vout))
		}
	}
	return txs, vouts
}
