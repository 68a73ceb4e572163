package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
)

// SearchConfig is how the past of a chain is searched.
type SearchConfig struct {
	Ahead  int    // blocks fetched at once
	Chunk  uint64 // heights after which progress is saved
	Gap    uint32 // unused scripts watched beyond the last used one of a branch
	Blocks uint64 // EVM: how many blocks before the hand-over are read; 0 for all
	Batch  int    // scripts searched in one pass
}

// reorgsLast is how many reorgs in a row a search begins again for before it
// leaves the rest to its next run.
const reorgsLast = 30

// Search searches the past of scripts that were connected after their chain was
// first followed.
//
// Coverage is handed over at a recorded height: the follower sees every block
// above it, a search those up to it. A search also follows the outputs it found
// from there to the tip, the last stretch under the ledger's lock, so that
// neither misses what the other must see, nor counts it twice.
type Search struct {
	Source chains.Source
	Ports  Ports
	Config SearchConfig
	Wrote  func() // called after a commit that wrote events; a hint
	Log    zerolog.Logger
}

// Run searches until no script of the chain is left, or ctx ends. What was saved
// is not searched again by the next Run.
func (s *Search) Run(ctx context.Context) error {
	slug := s.Source.Chain().Slug
	reorgs := 0
	for {
		scripts, err := s.Ports.SearchScripts(ctx, slug, s.Config.Batch)
		if err != nil {
			return fmt.Errorf("list scripts to search: %w", err)
		}
		if len(scripts) == 0 {
			return nil
		}
		begun := time.Now()
		pass := pass{Search: s, chain: slug, scripts: scripts}
		err = pass.run(ctx)
		if errors.Is(err, ErrNotCanonical) && reorgs < reorgsLast {
			// The chain moved under us. The follower sorts it out within moments.
			reorgs++
			if err := pause(ctx, leaseRenew); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return fmt.Errorf("search the past of %d scripts: %w", len(scripts), err)
		}
		reorgs = 0
		if s.Wrote != nil {
			s.Wrote()
		}
		s.Log.Info().Int("scripts", len(scripts)).Dur("took", time.Since(begun)).Msg("history searched")
	}
}

// pass is one walk through the past for a batch of scripts.
type pass struct {
	*Search
	chain   string
	scripts []SearchScript
	table   *chains.WatchTable
	locked  bool // the ledger's lock is held: only read
}

// run searches by the way of the chain's family.
func (p *pass) run(ctx context.Context) error {
	if _, ok := p.Source.(chains.BalanceReader); ok {
		return p.descend(ctx)
	}
	return p.ascend(ctx)
}

// open builds the table of a pass: its scripts, and the outputs an earlier,
// interrupted pass has found.
func (p *pass) open(ctx context.Context) error {
	p.table = chains.NewWatchTable(len(p.scripts), len(p.scripts))
	for _, script := range p.scripts {
		p.table.AddScript(script.Script)
	}
	outpoints, err := p.Ports.Outpoints(ctx, p.ids())
	if err != nil {
		return fmt.Errorf("load the outputs found before: %w", err)
	}
	for _, o := range outpoints {
		p.table.AddOutpoint(o)
	}
	return nil
}

func (p *pass) ids() []int64 {
	ids := make([]int64, len(p.scripts))
	for i, script := range p.scripts {
		ids[i] = script.ID
	}
	return ids
}

func (p *pass) raw() [][]byte {
	raw := make([][]byte, len(p.scripts))
	for i, script := range p.scripts {
		raw[i] = script.Script
	}
	return raw
}

// ascend searches a chain of the bitcoin family from its first block on, since
// an output must be known before its spend means anything.
func (p *pass) ascend(ctx context.Context) error {
	if err := p.open(ctx); err != nil {
		return err
	}
	next, last := p.span()
	method := chains.MethodRaw
	for int64(next) <= last {
		to := min(next+p.Config.Chunk-1, uint64(last))
		// Outputs found here are not watched before they are saved. A reorg
		// below the hand-over meanwhile could spend one in a block that is
		// applied without knowing it: Fill refuses if this tip has left.
		tip, err := p.above(ctx, last)
		if err != nil {
			return err
		}
		blocks, used, err := p.chunk(ctx, next, to)
		if err != nil {
			return err
		}
		method = used
		err = p.Ports.Fill(ctx, Filling{
			Chain: p.chain, Scripts: p.ids(), Blocks: blocks,
			Progress: true, From: next, Next: to + 1, Method: method, Through: tip,
		})
		if err != nil {
			return fmt.Errorf("save blocks %d to %d: %w", next, to, err)
		}
		next = to + 1
	}
	return p.finish(ctx, last, method)
}

// above returns the tip, which must not lie below the hand-over height: after a
// reorg it may for a moment, and then the search is done again.
func (p *pass) above(ctx context.Context, last int64) (chains.BlockRef, error) {
	tip, err := p.Ports.Tip(ctx, p.chain)
	if err != nil {
		return tip, fmt.Errorf("read the tip: %w", err)
	}
	if int64(tip.Height) < last || tip.Hash.IsZero() {
		return tip, fmt.Errorf("the tip is below the hand-over height %d: %w", last, ErrNotCanonical)
	}
	return tip, nil
}

// span returns the first height no script of the pass has searched and the
// highest hand-over height, -1 if nothing lies below.
func (p *pass) span() (next uint64, last int64) {
	last = -1
	started := true
	for i, script := range p.scripts {
		last = max(last, script.Handover)
		started = started && script.Started
		if i == 0 || script.Next < next {
			next = script.Next
		}
	}
	if !started {
		next = 0
	}
	return next, last
}

// chunk reads the blocks between two heights that touch the scripts: those the
// node's filters name, or every one. An output found is followed from its block
// on, so that blocks are matched in order.
func (p *pass) chunk(ctx context.Context, from, to uint64) ([]FilledBlock, chains.Method, error) {
	if locator, ok := p.Source.(chains.BlockLocator); ok {
		hashes, err := locator.Locate(ctx, p.raw(), from, to)
		if err == nil {
			blocks, err := p.named(ctx, hashes)
			return blocks, chains.MethodFilters, err
		}
		if !errors.Is(err, chains.ErrUnsupported) {
			return nil, "", fmt.Errorf("locate blocks between %d and %d: %w", from, to, err)
		}
	}
	blocks, err := p.walk(ctx, from, to)
	return blocks, chains.MethodRaw, err
}

func (p *pass) named(ctx context.Context, hashes []chains.Hash) ([]FilledBlock, error) {
	var found []FilledBlock
	for _, hash := range hashes {
		block, err := p.Source.Block(ctx, hash)
		if err != nil {
			return nil, fmt.Errorf("fetch block %s: %w", hash, err)
		}
		if found, err = p.collect(ctx, found, block); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// walk reads every block between two heights.
func (p *pass) walk(ctx context.Context, from, to uint64) ([]FilledBlock, error) {
	blocks := fetcher{ahead: p.Config.Ahead, fetch: p.fetchAt}
	defer blocks.drop()
	var found []FilledBlock
	for height := from; height <= to; height++ {
		block, err := blocks.get(ctx, height, to)
		if err != nil {
			return nil, err
		}
		if found, err = p.collect(ctx, found, block); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// collect matches a block and appends it to found if it holds anything.
func (p *pass) collect(ctx context.Context, found []FilledBlock, block chains.Block) ([]FilledBlock, error) {
	match, err := block.Match(p.table)
	if err != nil {
		return nil, fmt.Errorf("walk block %d: %w", block.Ref().Height, err)
	}
	if match.Empty() {
		return found, nil
	}
	for _, t := range match.Transfers {
		if vout, ok := chains.VoutOf(t.Source); ok {
			p.table.AddOutpoint(chains.Outpoint{Tx: t.Tx, Vout: vout})
		}
	}
	// New scripts of a moved window have their own search: this one goes on.
	// Under the lock nothing may be added, and the follower has done so already.
	if !p.locked {
		if _, err := extendWindows(ctx, p.Source, p.Ports, p.chain, match, p.Config.Gap); err != nil {
			return nil, err
		}
	}
	return append(found, FilledBlock{Ref: block.Ref(), Match: match}), nil
}

// finish follows the outputs found from the hand-over height to the tip, and
// completes the search.
func (p *pass) finish(ctx context.Context, last int64, method chains.Method) error {
	tip, err := p.above(ctx, last)
	if err != nil {
		return err
	}
	var blocks []FilledBlock
	if int64(tip.Height) > last {
		if blocks, err = p.walk(ctx, uint64(last+1), tip.Height); err != nil {
			return fmt.Errorf("follow the outputs found: %w", err)
		}
	}
	err = p.Ports.Fill(ctx, Filling{
		Chain: p.chain, Scripts: p.ids(), Blocks: blocks,
		Progress: true, From: 0, Next: uint64(last + 1), Method: method,
		Complete: true, Through: tip, Tail: p.tail,
	})
	if err != nil {
		return fmt.Errorf("complete the search: %w", err)
	}
	return nil
}

// tail walks what the tip moved while finish was walking. It is called under the
// ledger's lock, and the stretch is short. A reorg below through means that
// blocks we walked are gone and others unseen: the search is done again.
func (p *pass) tail(ctx context.Context, through, tip chains.BlockRef) ([]FilledBlock, error) {
	ours, err := p.Ports.BlockAt(ctx, p.chain, through.Height)
	if errors.Is(err, ErrNotFound) || err == nil && ours.Hash != through.Hash {
		return nil, fmt.Errorf("block %d: %w", through.Height, ErrNotCanonical)
	}
	if err != nil {
		return nil, fmt.Errorf("read our block %d: %w", through.Height, err)
	}
	p.locked = true
	defer func() { p.locked = false }()
	return p.walk(ctx, through.Height+1, tip.Height)
}

// fetchAt returns our canonical block at a height, or, below the first one
// followed, the node's.
func (p *pass) fetchAt(ctx context.Context, height uint64) (chains.Block, error) {
	ref, err := p.Ports.BlockAt(ctx, p.chain, height)
	if errors.Is(err, ErrNotFound) {
		ref, err = p.Source.RefAt(ctx, height)
	}
	if err != nil {
		return nil, err //nolint:wrapcheck // the fetcher names the height
	}
	return p.Source.Block(ctx, ref.Hash) //nolint:wrapcheck // the fetcher names the height
}
