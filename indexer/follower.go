package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
)

// FollowConfig is how one chain is followed.
type FollowConfig struct {
	Start        *uint64       // first height followed; nil starts at the node's head
	Poll         time.Duration // between looks at the head, and the longest wait for a hint
	Ahead        int           // blocks fetched at once while catching up
	Batch        int           // blocks appended in one transaction while catching up; one if 0
	Gap          uint32        // unused scripts watched beyond the last used one of a branch
	FinalDepth   uint64        // confirmations after which a block counts as final
	FinalTag     string        // "finalized" or "safe"; "" counts by depth alone
	Safe         bool          // EVM: read the safe height too
	Mempool      bool          // follow unconfirmed transactions
	Rewindable   bool          // a shorter chain is a reorg: for one's own development node
	StateDepth   uint64        // EVM: blocks below the head whose state the node surely has
	SweepEvery   time.Duration // EVM: between two readings of every native balance; 0 for never
	MempoolEvery time.Duration // between looks at the mempool
}

// Ports is what a follower and a backfill need to be durable.
type Ports interface {
	Leases
	Ledger
	Watches
	Searches
	Blocks
	Assets
	Windows
}

// batchLegs is how many transfers and spends end a batch of blocks: a transaction
// must be short beside the life of a lease.
const batchLegs = 1000

// Follower keeps the ledger of one chain level with its node: it appends the
// next block, or takes the last one back. While catching up it appends the blocks
// that are at hand in one transaction.
//
// A Follower is used by one goroutine.
type Follower struct {
	source chains.Source
	ports  Ports
	cfg    FollowConfig
	log    zerolog.Logger

	cursor Cursor
	head   chains.BlockRef // as last seen
	table  *chains.WatchTable
	loaded int64            // watch version that table stands for
	fork   *chains.BlockRef // while walking back: where the node's branch left ours
	blocks fetcher

	dispute Dispute // what the ledger has been told of the nodes' branches
	missing string  // why the next block, which a node announced, is not there; "" if it is
}

// NewFollower returns a follower that owns the chain by cursor's lease.
func NewFollower(source chains.Source, ports Ports, cfg FollowConfig, cursor Cursor, log zerolog.Logger) *Follower {
	f := &Follower{source: source, ports: ports, cfg: cfg, log: log, cursor: cursor, loaded: -1, dispute: cursor.Dispute}
	f.table = chains.NewWatchTable(0, 0)
	f.blocks = fetcher{ahead: cfg.Ahead, fetch: f.fetchAt}
	return f
}

// Close ends what the follower reads ahead.
func (f *Follower) Close() { f.blocks.drop() }

// Step moves the tip forward, by one block near the head, or back by one, or finds
// that there is nothing to do. It returns ErrStale when the lease is lost.
func (f *Follower) Step(ctx context.Context) (moved bool, err error) {
	if f.loaded < 0 {
		if err := f.loadWatch(ctx); err != nil {
			return false, err
		}
	}
	if f.fork != nil {
		return f.retreat(ctx)
	}
	tip := f.cursor.Tip
	if !f.knowsNext() {
		f.head, err = f.source.Head(ctx)
		if err != nil {
			return false, fmt.Errorf("ask for the head: %w", err)
		}
		if err := f.agree(ctx); err != nil {
			return false, err
		}
	}
	switch {
	case tip.Hash.IsZero():
		return f.first(ctx)
	case f.head.Hash == tip.Hash:
		f.missing = ""
		return false, nil
	case f.head.Height > tip.Height:
		return f.advance(ctx)
	default:
		return f.compare(ctx)
	}
}

// knowsNext reports whether the last head seen is still far ahead, so that
// catching up need not ask again for every block.
func (f *Follower) knowsNext() bool {
	return !f.cursor.Tip.Hash.IsZero() && f.head.Height > f.cursor.Tip.Height+uint64(max(f.cfg.Ahead, 1))
}

// first appends the first block followed.
func (f *Follower) first(ctx context.Context) (bool, error) {
	height := f.head.Height
	if f.cfg.Start != nil {
		height = *f.cfg.Start
	}
	if height > f.head.Height {
		return false, nil
	}
	block, err := f.blocks.get(ctx, height, f.head.Height)
	if err != nil {
		return false, err
	}
	return f.apply(ctx, block)
}

// advance appends the block after the tip, if the node is still on our branch.
func (f *Follower) advance(ctx context.Context) (bool, error) {
	block, err := f.blocks.get(ctx, f.cursor.Tip.Height+1, f.head.Height)
	if errors.Is(err, chains.ErrNotFound) {
		// The chain became shorter between the two questions, or the second
		// went to a node that is behind the first, or announces what it has not.
		f.head = chains.BlockRef{}
		f.missing = err.Error()
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if block.Ref().Height != f.cursor.Tip.Height+1 {
		f.blocks.drop()
		return false, fmt.Errorf("block %d: the node gave block %d: %w", f.cursor.Tip.Height+1, block.Ref().Height, chains.ErrUnverified)
	}
	if block.Ref().Parent != f.cursor.Tip.Hash {
		f.blocks.drop()
		return f.compare(ctx)
	}
	return f.apply(ctx, block)
}

// apply appends a verified block, and those that are at hand after it while
// catching up. It matches again as often as scripts are added meanwhile.
func (f *Follower) apply(ctx context.Context, block chains.Block) (bool, error) {
	blocks := []chains.Block{block}
	for {
		steps, err := f.steps(ctx, &blocks)
		if err != nil {
			return false, err
		}
		applied, err := f.ports.Apply(ctx, steps...)
		switch {
		case errors.Is(err, ErrWatchMoved):
			if err := f.loadWatch(ctx); err != nil {
				return false, err
			}
			continue
		case err != nil:
			return false, fmt.Errorf("apply block %d: %w", block.Ref().Height, err)
		}
		f.watch(applied.Watch)
		f.cursor.Tip, f.missing = steps[len(steps)-1].Block, ""
		f.logApplied(steps, applied)
		return true, nil
	}
}

// steps matches blocks, and takes more that are at hand until the batch is full.
// When scripts are added, it begins again: the blocks before may pay them.
func (f *Follower) steps(ctx context.Context, blocks *[]chains.Block) ([]Step, error) {
	version, legs := f.loaded, 0
	steps := make([]Step, 0, len(*blocks))
	parent := f.cursor.Tip.Hash
	for i := 0; i < len(*blocks); i++ {
		ref := (*blocks)[i].Ref()
		match, err := f.match(ctx, (*blocks)[i])
		if err != nil {
			return nil, err
		}
		if f.loaded != version {
			version, legs, steps, parent, i = f.loaded, 0, steps[:0], f.cursor.Tip.Hash, -1
			continue
		}
		step := Step{Lease: f.cursor.Lease, Parent: parent, WatchVersion: version, Block: ref, Match: match}
		step.Snapshots, step.Stale = f.balances(ctx, ref, match.Touched)
		steps = append(steps, step)
		parent = ref.Hash
		legs += len(match.Transfers) + len(match.Spends)
		if i+1 == len(*blocks) && i+1 < f.cfg.Batch && legs < batchLegs {
			f.takeReady(blocks, match)
		}
	}
	return steps, nil
}

// takeReady adds the next block to a batch if it has been read, continues the
// last one, and lies far below the head. What the last one pays may be spent by it.
func (f *Follower) takeReady(blocks *[]chains.Block, last chains.Match) {
	ref := (*blocks)[len(*blocks)-1].Ref()
	if f.head.Height <= ref.Height+uint64(max(f.cfg.Ahead, 1)) {
		return
	}
	next, ok := f.blocks.ready()
	if !ok {
		return
	}
	if next.Ref().Height != ref.Height+1 || next.Ref().Parent != ref.Hash {
		f.blocks.drop() // it is read again, and judged, by the next step
		return
	}
	for _, t := range last.Transfers {
		if vout, ok := chains.VoutOf(t.Source); ok && t.Side == chains.In {
			f.table.AddOutpoint(chains.Outpoint{Tx: t.Tx, Vout: vout})
		}
	}
	*blocks = append(*blocks, next)
}

func (f *Follower) logApplied(steps []Step, applied Applied) {
	transfers, spends := 0, 0
	for i := range steps {
		transfers += len(steps[i].Match.Transfers)
		spends += len(steps[i].Match.Spends)
	}
	ref := steps[len(steps)-1].Block
	level := zerolog.InfoLevel
	if f.head.Height > ref.Height+uint64(f.cfg.Ahead) && applied.Events == 0 {
		level = zerolog.DebugLevel // one line per block is too much while catching up
	}
	line := f.log.WithLevel(level).Uint64("height", ref.Height).Stringer("hash", ref.Hash).Int("transfers", transfers).
		Int("spends", spends).Int("events", applied.Events)
	if len(steps) == 1 {
		line.Msg("block applied")
		return
	}
	line.Int("blocks", len(steps)).Msg("blocks applied")
}

// match walks a block until no use of a script in it moves a window any more: a
// script derived by one walk may be paid by the same block.
func (f *Follower) match(ctx context.Context, block chains.Block) (chains.Match, error) {
	for {
		match, err := block.Match(f.table)
		if err != nil {
			return match, fmt.Errorf("walk block %d: %w", block.Ref().Height, err)
		}
		extended, err := extendWindows(ctx, f.source, f.ports, f.cursor.Lease.Chain, match, f.cfg.Gap)
		if err != nil {
			return match, err
		}
		if !extended {
			return match, nil
		}
		if err := f.loadWatch(ctx); err != nil {
			return match, err
		}
	}
}

// balances reads what a block near the head touched. What cannot be read now is
// stale and read later, at the tip: that delays a balance and never makes it
// wrong.
func (f *Follower) balances(ctx context.Context, at chains.BlockRef, touched []chains.Touch) ([]chains.Snapshot, []chains.Touch) {
	reader, ok := f.source.(chains.BalanceReader)
	if !ok || len(touched) == 0 {
		return nil, nil
	}
	if at.Height+f.cfg.StateDepth < f.head.Height {
		return nil, touched
	}
	snapshots, unread, err := reader.Balances(ctx, at, touched)
	if err != nil {
		f.log.Warn().Err(err).Uint64("height", at.Height).Int("balances", len(touched)).Msg("balances left for later")
		return nil, touched
	}
	return snapshots, unread
}

// unnamed returns those of touched that no snapshot is of.
func unnamed(touched []chains.Touch, snapshots []chains.Snapshot) []chains.Touch {
	if len(touched) == len(snapshots) {
		return nil
	}
	type key struct {
		script string
		asset  chains.AssetID
	}
	named := make(map[key]struct{}, len(snapshots))
	for _, s := range snapshots {
		named[key{string(s.Script), s.Asset}] = struct{}{}
	}
	var rest []chains.Touch
	for _, t := range touched {
		if _, ok := named[key{string(t.Script), t.Asset}]; !ok {
			rest = append(rest, t)
		}
	}
	return rest
}

// Refresh reads balances that blocks changed and that were not read then. It
// does nothing unless the tip is near the head. It returns how many it read.
func (f *Follower) Refresh(ctx context.Context) (int, error) {
	reader, ok := f.source.(chains.BalanceReader)
	tip := f.cursor.Tip
	if !ok || tip.Hash.IsZero() || tip.Height+f.cfg.StateDepth < f.head.Height {
		return 0, nil
	}
	const batch = 500
	stale, err := f.ports.StaleBalances(ctx, f.cursor.Lease.Chain, batch)
	if err != nil {
		return 0, fmt.Errorf("list stale balances: %w", err)
	}
	if len(stale) == 0 {
		return 0, nil
	}
	snapshots, _, err := reader.Balances(ctx, tip, stale)
	if err != nil {
		return 0, fmt.Errorf("read %d balances at block %d: %w", len(stale), tip.Height, err)
	}
	if _, err := f.ports.Amend(ctx, Amendment{Lease: f.cursor.Lease, Snapshots: snapshots, Unread: unnamed(stale, snapshots)}); err != nil {
		return 0, fmt.Errorf("write %d balances: %w", len(snapshots), err)
	}
	return len(snapshots), nil
}

func (f *Follower) loadWatch(ctx context.Context) error {
	version, err := f.ports.LoadWatch(ctx, f.cursor.Lease.Chain, f.loaded, f.table)
	if err != nil {
		return fmt.Errorf("load what is watched: %w", err)
	}
	f.loaded = version
	return nil
}

func (f *Follower) watch(outpoints []chains.Outpoint) {
	for _, o := range outpoints {
		f.table.AddOutpoint(o)
	}
}

func (f *Follower) fetchAt(ctx context.Context, height uint64) (chains.Block, error) {
	ref, err := f.source.RefAt(ctx, height)
	if err != nil {
		return nil, err //nolint:wrapcheck // the fetcher names the height
	}
	return f.source.Block(ctx, ref.Hash) //nolint:wrapcheck // the fetcher names the height
}
