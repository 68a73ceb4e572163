package indexer_test

import (
	"context"
	"time"

	"github.com/google/uuid"

	"tallyd/chains"
	"tallyd/indexer"
)

// tape is a ledger that keeps nothing but the blocks, the scripts and how often
// it was written: enough to see what a follower decides.
type tape struct {
	blocks  []chains.BlockRef
	scripts []string
	version int64
	applied []indexer.Step
	batches []int  // blocks of each Apply
	stale   bool   // the next write finds the lease lost
	said    []said // of disputes
	dispute indexer.Dispute
	late    func() // called once, before the next Apply looks at the watch version
}

// said is how high the nodes were in dispute, 0 when they were not any more, and how
// many blocks the ledger had by then.
type said struct {
	height uint64
	blocks int
}

func (l *tape) Register(context.Context, chains.Chain, []chains.Asset) error { return nil }

func (l *tape) Acquire(ctx context.Context, chain string, owner uuid.UUID, _ time.Duration) (indexer.Cursor, error) {
	tip, _ := l.Tip(ctx, chain)
	return indexer.Cursor{Lease: indexer.Lease{Chain: chain, Owner: owner, Epoch: 1}, Tip: tip, WatchVersion: l.version, Dispute: l.dispute}, nil
}

func (l *tape) Release(context.Context, indexer.Lease) error { return nil }

func (l *tape) Rebase(context.Context, chains.Chain) error { l.blocks = nil; return nil }

func (l *tape) Apply(ctx context.Context, steps ...indexer.Step) (indexer.Applied, error) {
	if l.late != nil {
		l.late()
		l.late = nil
	}
	tip, _ := l.Tip(ctx, "")
	switch {
	case l.stale || steps[0].Parent != tip.Hash:
		return indexer.Applied{}, indexer.ErrStale
	case steps[0].WatchVersion != l.version:
		return indexer.Applied{}, indexer.ErrWatchMoved
	}
	var applied indexer.Applied
	for _, step := range steps {
		l.blocks = append(l.blocks, step.Block)
		l.applied = append(l.applied, step)
		for _, t := range step.Match.Transfers {
			if vout, ok := chains.VoutOf(t.Source); ok {
				applied.Watch = append(applied.Watch, chains.Outpoint{Tx: t.Tx, Vout: vout})
			}
		}
	}
	l.batches = append(l.batches, len(steps))
	return applied, nil
}

func (l *tape) Revert(_ context.Context, _ indexer.Lease, tip chains.BlockRef) (indexer.Applied, error) {
	if l.stale || l.blocks[len(l.blocks)-1].Hash != tip.Hash {
		return indexer.Applied{}, indexer.ErrStale
	}
	l.blocks = l.blocks[:len(l.blocks)-1]
	return indexer.Applied{}, nil
}

func (l *tape) Amend(_ context.Context, a indexer.Amendment) (indexer.Applied, error) {
	if a.Dispute != nil {
		l.dispute = *a.Dispute
		l.said = append(l.said, said{a.Dispute.Height, len(l.blocks)})
	}
	return indexer.Applied{}, nil
}

func (l *tape) Fill(context.Context, indexer.Filling) error { return nil }

func (l *tape) LoadWatch(_ context.Context, _ string, _ int64, table *chains.WatchTable) (int64, error) {
	for _, script := range l.scripts {
		table.AddScript([]byte(script))
	}
	return l.version, nil
}

func (l *tape) SearchScripts(context.Context, string, int) ([]indexer.SearchScript, error) {
	return nil, nil
}

func (l *tape) UnopenedScripts(context.Context, string, int) ([]indexer.SearchScript, error) {
	return nil, nil
}

func (l *tape) Outpoints(context.Context, []int64) ([]chains.Outpoint, error) { return nil, nil }

func (l *tape) Tip(context.Context, string) (chains.BlockRef, error) {
	if len(l.blocks) == 0 {
		return chains.BlockRef{}, nil
	}
	return l.blocks[len(l.blocks)-1], nil
}

func (l *tape) BlockAt(_ context.Context, _ string, height uint64) (chains.BlockRef, error) {
	for _, b := range l.blocks {
		if b.Height == height {
			return b, nil
		}
	}
	return chains.BlockRef{}, indexer.ErrNotFound
}

func (l *tape) StaleBalances(context.Context, string, int) ([]chains.Touch, error) { return nil, nil }

func (l *tape) OpenTxs(context.Context, string) (pending, gone []chains.Hash, err error) {
	return nil, nil, nil
}

func (l *tape) KnownAssets(context.Context, string) ([]chains.AssetID, error) { return nil, nil }

func (l *tape) UnnamedAssets(context.Context, string, int) ([]chains.AssetID, error) {
	return nil, nil
}

func (l *tape) MovedWindows(context.Context, string, [][]byte, uint32) ([]indexer.Window, error) {
	return nil, nil
}

func (l *tape) Extend(context.Context, uuid.UUID, []indexer.WatchedScript) error { return nil }
