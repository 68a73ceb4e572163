package store

import (
	"bytes"
	"context"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store/db"
)

// lostMargin is how many blocks above the head at which a nonce was found used are
// waited for: the node that said so may have been ahead of that head.
const lostMargin = 12

// Settle implements custody.Desk. The status is derived anew from what the ledger
// holds; only what it cannot hold is kept from what was observed.
func (s *Store) Settle(ctx context.Context, turn custody.Turn, seen custody.Observation) (custody.Withdrawal, error) {
	var now custody.Withdrawal
	err := s.write(ctx, "settle_withdrawal", func(q *db.Queries) error {
		h, err := holdTurn(ctx, q, turn)
		if err != nil {
			return err
		}
		if h.Withdrawal.Signed > 0 {
			if h, err = h.observe(ctx, seen); err != nil {
				return err
			}
			if err := h.stand(ctx, seen); err != nil {
				return err
			}
		}
		now, err = h.save(ctx, h.then(seen))
		return err
	})
	return now, err
}

// then says when to look again. What is to be done in this turn keeps its lease.
func (h *held) then(seen custody.Observation) next {
	noun := h.noun()
	switch {
	case !noun.ToBuild() && noun.ToSend() == nil:
		return never()
	case seen.Asked:
		return in(seen.Retry)
	}
	return next{after: in(0).after, keep: true}
}

// observe keeps what nodes said, and reads the drafts again with it.
func (h *held) observe(ctx context.Context, seen custody.Observation) (*held, error) {
	w := &h.Withdrawal
	if !seen.Asked {
		return h, nil
	}
	w.Taken = w.Taken || seen.Taken
	w.Tries++
	if place := seen.Seen; place != nil {
		err := h.q.SeeDraft(ctx, db.SeeDraftParams{
			WithdrawalID: w.ID, N: int32(place.Draft), Block: place.Sighting.Block[:], //nolint:gosec // below drafts
			Height: int64(place.Sighting.Height), Failed: place.Sighting.Failed, //nolint:gosec // a height
		})
		if err != nil {
			return nil, fmt.Errorf("keep where draft %d was seen: %w", place.Draft, err)
		}
	}
	if seen.Adopt != nil {
		err := h.q.AdoptDraft(ctx, db.AdoptDraftParams{WithdrawalID: w.ID, N: int32(seen.Adopt.Draft), Txid: seen.Adopt.Tx[:]}) //nolint:gosec // below drafts
		if err != nil {
			return nil, fmt.Errorf("keep the id of draft %d: %w", seen.Adopt.Draft, err)
		}
	}
	if seen.Seen == nil && seen.Adopt == nil {
		return h, nil
	}
	read, err := readWithdrawals(ctx, h.q, indexer.Realm{}, w.ID)
	if err != nil {
		return nil, err
	}
	read[0].Withdrawal = h.Withdrawal
	return &held{withdrawal: read[0], q: h.q, before: h.before}, nil
}

// stand gives the withdrawal the status of its standing.
func (h *held) stand(ctx context.Context, seen custody.Observation) error {
	w := &h.Withdrawal
	standing := custody.Standing{Taken: w.Taken, Mined: h.minedDraft()}
	ended := !custody.Status(w.Status).Open()
	// What was given up stays so, also if a reorg makes room for it again: its
	// wallet had the money back, and may have paid with it. Only being mined
	// after all takes it back.
	givenUp := ended && w.Lost != nil
	// A reorg of the blocks above takes nothing back either.
	stays := false
	switch {
	case standing.Mined != nil:
		stays = ended && bytes.Equal(w.Block, standing.Mined.Block[:])
		w.Lost = nil
	case givenUp:
		stays = true
	default:
		if err := h.lose(ctx, seen); err != nil {
			return err
		}
	}
	standing.Lost = w.Lost != nil
	h.putMined(standing.Mined)
	reached := h.measure(standing)
	standing.Deep = stays || reached && (standing.Mined != nil || h.certain(seen))
	status, reason := standing.Status()
	if err := h.keepCoins(ctx, status, standing.Mined); err != nil {
		return err
	}
	if !status.Open() {
		w.Bump, w.Due, w.Basis = false, nil, ""
	}
	w.Status = string(status)
	w.Reason = h.reason(status, reason, seen)
	return nil
}

// certain reports whether what was observed in this turn, too, says that none of
// the drafts can be mined any more.
func (h *held) certain(seen custody.Observation) bool {
	return seen.Gone(h.Withdrawal.SenderID != nil)
}

// minedDraft returns the draft that stands in the chain, or nil.
func (h *held) minedDraft() *custody.Mined {
	w := &h.Withdrawal
	for i := range h.drafts {
		d := &h.drafts[i]
		if d.Raw == nil || d.Height < 0 {
			continue
		}
		mined := &custody.Mined{Draft: int(d.N), Block: chains.Hash(d.Block), Height: uint64(d.Height), Fee: d.Gas}
		switch {
		case h.built[i].Payment != nil:
			mined.Paid, mined.Fee = true, h.built[i].Fee
		case w.Kind == string(custody.KindNonceFill):
			mined.Paid = true
		case d.Untold:
			// It left no leg. A transfer of a token would have, if it were one; of
			// the native coin there are chains whose headers prove none.
			mined.Paid = w.AssetID == h.NativeID && !d.Failed
		default:
			mined.Paid = d.Moved.Sign() > 0
		}
		return mined
	}
	return nil
}

func (h *held) putMined(mined *custody.Mined) {
	w := &h.Withdrawal
	w.Mined, w.Block, w.Height, w.Paid, w.Fee = nil, nil, nil, nil, nil
	if mined == nil {
		return
	}
	w.LastMined, w.LastSigned = int32(mined.Draft), w.Signed                                       //nolint:gosec // below drafts
	w.Mined, w.Block, w.Height = new(int32(mined.Draft)), mined.Block[:], new(int64(mined.Height)) //nolint:gosec // a height
	w.Paid, w.Fee = &mined.Paid, &mined.Fee
}

// lose finds out whether none of the drafts can be mined any more, and since when.
func (h *held) lose(ctx context.Context, seen custody.Observation) error {
	w := &h.Withdrawal
	if w.SenderID != nil {
		switch {
		case seen.UsedAt != nil && w.Lost == nil:
			w.Lost = new(max(int64(*seen.UsedAt), h.Tip) + lostMargin) //nolint:gosec // a height
		case seen.Searched && seen.UsedAt == nil:
			w.Lost = nil
		}
		return nil
	}
	fates, err := h.q.CoinFates(ctx, w.ID)
	if err != nil {
		return fmt.Errorf("read what became of coins: %w", err)
	}
	byCoin := make(map[chains.Outpoint]*db.CoinFatesRow, len(fates))
	for i := range fates {
		byCoin[chains.Outpoint{Tx: chains.Hash(fates[i].Tx), Vout: uint32(fates[i].Vout)}] = &fates[i] //nolint:gosec // an output
	}
	since, lost := int64(0), true
	for i := range h.drafts {
		if h.drafts[i].Raw == nil {
			continue
		}
		at, dead := h.dead(h.built[i], byCoin)
		since, lost = max(since, at), lost && dead
		// A replacement may spend more coins than the draft that is mined.
		if spender := spenderOf(h.built[i], byCoin); spender != nil {
			spender.Draft, h.spender = int(h.drafts[i].N), spender
		}
	}
	if !lost {
		w.Lost = nil
	} else if w.Lost == nil || *w.Lost > since {
		w.Lost = &since
	}
	return nil
}

// dead reports whether one of the coins of a draft is spent by another transaction
// in the chain, or has left it, and at which height that was seen.
func (h *held) dead(draft chains.Draft, fates map[chains.Outpoint]*db.CoinFatesRow) (at int64, dead bool) {
	for i := range draft.Payment.Inputs {
		fate := fates[draft.Payment.Inputs[i].Outpoint]
		switch {
		case fate == nil:
			continue // reserved by another: what becomes of it is seen there
		case fate.Height >= 0:
			if !dead || fate.Height < at {
				at = fate.Height
			}
		case !fate.Alive:
			if !dead {
				at = h.Tip
			}
		default:
			continue
		}
		dead = true
	}
	return at, dead
}

// spenderOf returns the one transaction that spends all the coins of a draft, or nil.
func spenderOf(draft chains.Draft, fates map[chains.Outpoint]*db.CoinFatesRow) *custody.Spender {
	var found *custody.Spender
	for i := range draft.Payment.Inputs {
		fate := fates[draft.Payment.Inputs[i].Outpoint]
		if fate == nil || fate.Height < 0 || found != nil && found.Tx != chains.Hash(fate.Spender) {
			return nil
		}
		found = &custody.Spender{Tx: chains.Hash(fate.Spender), Block: chains.Hash(fate.Block), Height: uint64(fate.Height)}
	}
	return found
}

// measure says when what stands, or is lost, is final, and whether that is reached.
// Nothing is while nodes are on different branches: on the other one it may be lost,
// or stand after all.
func (h *held) measure(standing custody.Standing) (reached bool) {
	w := &h.Withdrawal
	w.Due, w.Basis = nil, ""
	var height uint64
	switch {
	case standing.Mined != nil:
		height = standing.Mined.Height
	case standing.Lost:
		height = uint64(*w.Lost) //nolint:gosec // a height
	default:
		return false
	}
	due := h.policy.For(chains.AssetID(h.Caip19), w.Amount).Due(height, false, 0)
	w.Due, w.Basis = new(int64(due.Height)), string(due.Basis) //nolint:gosec // a height
	if h.Disputed {
		return false
	}
	switch due.Basis {
	case custody.BasisSafe:
		return h.Safe >= *w.Due
	case custody.BasisFinal:
		return h.Final >= *w.Due
	case custody.BasisDepth:
	}
	return h.Tip >= *w.Due
}

// keepCoins gives up the coins that an end leaves over, and takes them back when it
// was none.
func (h *held) keepCoins(ctx context.Context, status custody.Status, mined *custody.Mined) error {
	w := &h.Withdrawal
	var spent []chains.Draft
	if mined != nil {
		spent = h.built[mined.Draft-1 : mined.Draft]
	}
	txs, vouts := outpoints(spent...)
	was := custody.Status(w.Status)
	switch {
	case was.Open() && !status.Open():
		if err := h.q.ReleaseCoins(ctx, db.ReleaseCoinsParams{WithdrawalID: w.ID, Txs: txs, Vouts: vouts}); err != nil {
			return fmt.Errorf("release coins: %w", err)
		}
	case !was.Open() && status.Open():
		if mined == nil {
			txs, vouts = outpoints(h.built...)
		}
		err := h.q.RetakeCoins(ctx, db.RetakeCoinsParams{WithdrawalID: w.ID, Txs: txs, Vouts: vouts})
		if err != nil {
			return fmt.Errorf("take coins back: %w", err)
		}
	}
	return nil
}

// reason says why the withdrawal is where it is.
func (h *held) reason(status custody.Status, reason string, seen custody.Observation) string {
	w := &h.Withdrawal
	switch {
	case !status.Open() || w.Mined != nil:
		return reason
	case w.Bump:
		return custody.ReasonReplacementWanted
	case w.Signed < w.Drafts:
		return custody.ReasonReplacementUnsigned
	case seen.Refused != "":
		return custody.ReasonRefused(seen.Refused)
	case seen.Taken || h.before.Mined != nil:
		return ""
	}
	return w.Reason
}
