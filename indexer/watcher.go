package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"tallyd/chains"
)

// reportEvery bounds how often a chain's status is written while nothing but
// its height changes.
const reportEvery = time.Second

// watcher does one round of everything the owner of a chain does: the next
// block, then, while level, what only a level chain can do. It is used by one
// goroutine.
type watcher struct {
	chain    *Chain
	follower *Follower
	mempool  *Mempool // nil if unconfirmed transactions are not followed

	lookedAt   time.Time
	sweptAt    time.Time
	reportedAt time.Time
	said       StatusChange
	final      uint64
	safe       uint64
}

// work moves the tip by a block, or, if there is none to move to, does one round
// of the rest.
func (w *watcher) work(ctx context.Context) (moved bool, err error) {
	moved, err = w.follower.Step(ctx)
	if w.chain.Wrote != nil && (moved || err == nil) {
		w.chain.Wrote()
	}
	if moved || err != nil || w.follower.cursor.Tip.Hash.IsZero() {
		return moved, err
	}
	for {
		read, err := w.follower.Refresh(ctx)
		if err != nil {
			return false, err
		}
		if read == 0 {
			break
		}
	}
	if err := w.sweep(ctx); err != nil {
		return false, err
	}
	if err := w.name(ctx); err != nil {
		return false, err
	}
	return false, w.look(ctx)
}

func (w *watcher) look(ctx context.Context) error {
	level := w.follower.head.Hash == w.follower.cursor.Tip.Hash
	if w.mempool == nil || !level || time.Since(w.lookedAt) < w.chain.Config.MempoolEvery {
		return nil
	}
	w.lookedAt = time.Now()
	return w.mempool.Look(ctx, w.follower)
}

// sweep asks for every native balance to be read again: an internal transfer
// that no node traced shows up there.
func (w *watcher) sweep(ctx context.Context) error {
	every := w.chain.Config.SweepEvery
	if _, ok := w.chain.Source.(chains.BalanceReader); !ok || every == 0 || time.Since(w.sweptAt) < every {
		return nil
	}
	w.sweptAt = time.Now()
	_, err := w.chain.Ports.Amend(ctx, Amendment{Lease: w.follower.cursor.Lease, Sweep: true})
	if err != nil {
		return fmt.Errorf("mark native balances: %w", err)
	}
	return nil
}

// name asks tokens seen for the first time what they call themselves.
func (w *watcher) name(ctx context.Context) error {
	reader, ok := w.chain.Source.(chains.TokenReader)
	if !ok {
		return nil
	}
	const batch = 20
	lease := w.follower.cursor.Lease
	ids, err := w.chain.Ports.UnnamedAssets(ctx, lease.Chain, batch)
	if err != nil {
		return fmt.Errorf("list unnamed assets: %w", err)
	}
	if len(ids) == 0 {
		return nil
	}
	named := make([]chains.Asset, 0, len(ids))
	for _, id := range ids {
		asset, err := reader.Token(ctx, id)
		if err != nil {
			w.chain.Log.Debug().Err(err).Str("asset", string(id)).Msg("token not named")
			asset = chains.Asset{ID: id, Decimals: -1} // asked; not again for a day
		}
		named = append(named, asset)
	}
	if _, err := w.chain.Ports.Amend(ctx, Amendment{Lease: lease, Assets: named}); err != nil {
		return fmt.Errorf("name %d assets: %w", len(named), err)
	}
	return nil
}

// report writes the chain's status when it changed, and its height now and then.
// A status that cannot be written is written the next time.
func (w *watcher) report(ctx context.Context, fault error) {
	now := w.status(fault)
	tip := w.follower.cursor.Tip
	changed := now.State != w.said.State || now.Reason != w.said.Reason
	if !changed && (now.Head == w.said.Head || time.Since(w.reportedAt) < reportEvery) || ctx.Err() != nil {
		return
	}
	amendment := Amendment{Lease: w.follower.cursor.Lease, Status: &now}
	final, err := w.finalHeight(ctx)
	if err != nil {
		w.chain.Log.Debug().Err(err).Msg("finality not read")
	} else if final != w.final {
		amendment.Final = &final
	}
	safe, err := w.safeHeight(ctx)
	if err != nil {
		w.chain.Log.Debug().Err(err).Msg("safe height not read")
	} else if safe != w.safe {
		amendment.Safe = &safe
	}
	applied, err := w.chain.Ports.Amend(ctx, amendment)
	if err != nil {
		w.chain.Log.Warn().Err(err).Str("state", now.State).Msg("status not written")
		return
	}
	if w.chain.Wrote != nil && applied.Events > 0 {
		w.chain.Wrote()
	}
	if changed {
		event := w.chain.Log.Info().Str("state", now.State).Uint64("height", tip.Height).Uint64("head", now.Head)
		if now.Reason != "" {
			event = event.Str("reason", now.Reason)
		}
		event.Msg("state changed")
	}
	w.said, w.reportedAt = now, time.Now()
	if amendment.Final != nil {
		w.final = final
	}
	if amendment.Safe != nil {
		w.safe = safe
	}
	about := w.chain.Source.Chain()
	w.chain.State.PutChain(ctx, ChainStatus{
		Chain: about.Slug, ID: about.ID, Family: about.Family, Environment: about.Environment,
		Tip: tip, Head: now.Head, Final: w.final, State: now.State, Reason: now.Reason,
		WatchVersion: w.follower.loaded, UpdatedAt: w.reportedAt.UTC(),
	})
}

func (w *watcher) status(fault error) StatusChange {
	tip, head := w.follower.cursor.Tip, w.follower.head
	change := StatusChange{State: StateLevel, Head: max(head.Height, w.said.Head)}
	held := ""
	if reason := w.follower.dispute.Reason; reason != "" {
		held = reason + "; nothing is credited until they agree"
	}
	if head.Height > 0 {
		change.Head = head.Height
	}
	switch {
	case fault != nil && !errors.Is(fault, ErrStale):
		change.State, change.Reason = StateDegraded, fault.Error()
		if held != "" {
			change.Reason += "; " + held
		}
		return change
	case tip.Hash.IsZero():
		change.State = StateStarting
	case head.Hash == tip.Hash:
		change.State = StateLevel
	case w.nearly(head):
		change.Head = max(change.Head, tip.Height)
	case head.Height > tip.Height || head.Hash.IsZero():
		change.State, change.Reason = StateSyncing, w.follower.missing
		change.Head = max(change.Head, tip.Height)
	default:
		change.State = StateLagging
		change.Reason = "the node is behind the ledger"
	}
	if held != "" {
		change.State, change.Reason = StateDegraded, held
		return change
	}
	if reporter, ok := w.chain.Source.(chains.HealthReporter); ok {
		for _, upstream := range reporter.Health() {
			if !upstream.OK {
				change.Reason = upstream.Upstream + ": " + upstream.Reason
			}
		}
	}
	return change
}

// nearly reports whether a chain that was level has only the last few blocks to
// go: that they came together is no news.
func (w *watcher) nearly(head chains.BlockRef) bool {
	const few = 10
	tip := w.follower.cursor.Tip
	return w.said.State == StateLevel && w.follower.missing == "" && head.Height > tip.Height && head.Height-tip.Height <= few
}

// finalHeight returns the highest height that counts as final now.
func (w *watcher) finalHeight(ctx context.Context) (uint64, error) {
	cfg, tip := w.chain.Config, w.follower.cursor.Tip
	reader, ok := w.chain.Source.(chains.FinalityReader)
	if ok && cfg.FinalTag != "" {
		ref, err := reader.Finalized(ctx, cfg.FinalTag)
		if err == nil {
			return w.heldHeight(ctx, ref, w.final)
		}
		if !errors.Is(err, chains.ErrUnsupported) {
			return w.final, fmt.Errorf("read the %s block: %w", cfg.FinalTag, err)
		}
	}
	if tip.Height < cfg.FinalDepth {
		return 0, nil
	}
	return tip.Height - cfg.FinalDepth, nil
}

// safeHeight returns the highest height that the node calls safe, if anybody wants
// to know.
func (w *watcher) safeHeight(ctx context.Context) (uint64, error) {
	reader, ok := w.chain.Source.(chains.FinalityReader)
	if !ok || !w.chain.Config.Safe {
		return w.safe, nil
	}
	ref, err := reader.Finalized(ctx, "safe")
	if err != nil {
		return w.safe, fmt.Errorf("read the safe block: %w", err)
	}
	return w.heldHeight(ctx, ref, w.safe)
}

// heldHeight returns the height of ref if it is on our branch, and what was known
// before if it lies beyond the tip or on another branch.
func (w *watcher) heldHeight(ctx context.Context, ref chains.BlockRef, before uint64) (uint64, error) {
	tip := w.follower.cursor.Tip
	if ref.Height > tip.Height {
		return before, nil
	}
	ours, err := w.chain.Ports.BlockAt(ctx, w.follower.cursor.Lease.Chain, ref.Height)
	if errors.Is(err, ErrNotFound) {
		return before, nil
	}
	if err != nil {
		return before, fmt.Errorf("read our block %d: %w", ref.Height, err)
	}
	if ours.Hash != ref.Hash {
		return before, nil
	}
	return ref.Height, nil
}
