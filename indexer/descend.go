package indexer

import (
	"context"
	"fmt"

	"tallyd/chains"
)

// descend searches an EVM chain: the balance first, then the past, newest block
// first. Legs there stand for themselves, so that every chunk saved is of use at
// once.
func (p *pass) descend(ctx context.Context) error {
	if err := p.openBalances(ctx); err != nil {
		return err
	}
	if err := p.open(ctx); err != nil {
		return err
	}
	high, low := p.depth()
	from := uint64(max(high+1, 0))
	for high >= low {
		bottom := max(high-int64(p.Config.Chunk)+1, low)
		blocks, err := p.walk(ctx, uint64(bottom), uint64(high))
		if err != nil {
			return err
		}
		from = uint64(bottom)
		err = p.Ports.Fill(ctx, Filling{
			Chain: p.chain, Scripts: p.ids(), Blocks: blocks,
			Progress: true, From: from, Next: from, Method: chains.MethodRaw,
		})
		if err != nil {
			return fmt.Errorf("save blocks %d to %d: %w", bottom, high, err)
		}
		high = bottom - 1
	}
	tip, err := p.Ports.Tip(ctx, p.chain)
	if err != nil {
		return fmt.Errorf("read the tip: %w", err)
	}
	// Nothing found here is spent later: there is no stretch to follow.
	nothing := func(context.Context, chains.BlockRef, chains.BlockRef) ([]FilledBlock, error) { return nil, nil }
	err = p.Ports.Fill(ctx, Filling{
		Chain: p.chain, Scripts: p.ids(), Progress: true, From: from, Next: from,
		Method: chains.MethodRaw, Complete: true, Through: tip, Tail: nothing,
	})
	if err != nil {
		return fmt.Errorf("complete the search: %w", err)
	}
	return nil
}

// depth returns the highest height still to be read, and the lowest that is
// read at all.
func (p *pass) depth() (high, low int64) {
	high = -1
	handover := int64(-1)
	for _, script := range p.scripts {
		handover = max(handover, script.Handover)
		top := script.Handover
		if script.Started {
			top = int64(script.Next) - 1
		}
		high = max(high, top)
	}
	if p.Config.Blocks > 0 {
		low = max(0, handover-int64(p.Config.Blocks)+1)
	}
	return high, low
}

// openBalances reads the balances of scripts that have none yet, all at one
// block: our tip while the node still has its state, else the node's head.
func (p *pass) openBalances(ctx context.Context) error {
	assets, err := p.Ports.KnownAssets(ctx, p.chain)
	if err != nil {
		return fmt.Errorf("list known assets: %w", err)
	}
	var touched []chains.Touch
	for _, script := range p.scripts {
		for _, asset := range assets {
			if !script.Opened {
				touched = append(touched, chains.Touch{Script: script.Script, Asset: asset})
			}
		}
	}
	if len(touched) == 0 {
		return nil
	}
	snapshots, err := p.readBalances(ctx, touched)
	if err != nil {
		return err
	}
	if err := p.Ports.Fill(ctx, Filling{Chain: p.chain, Scripts: p.ids(), Snapshots: snapshots}); err != nil {
		return fmt.Errorf("save %d opening balances: %w", len(snapshots), err)
	}
	return nil
}

func (p *pass) readBalances(ctx context.Context, touched []chains.Touch) ([]chains.Snapshot, error) {
	reader, _ := p.Source.(chains.BalanceReader)
	tip, err := p.Ports.Tip(ctx, p.chain)
	if err != nil {
		return nil, fmt.Errorf("read the tip: %w", err)
	}
	if !tip.Hash.IsZero() {
		snapshots, _, err := reader.Balances(ctx, tip, touched)
		if err == nil {
			return snapshots, nil
		}
		p.Log.Debug().Err(err).Uint64("height", tip.Height).Msg("balances not read at the tip")
	}
	head, err := p.Source.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the head: %w", err)
	}
	snapshots, _, err := reader.Balances(ctx, head, touched)
	if err != nil {
		return nil, fmt.Errorf("read %d opening balances at block %d: %w", len(touched), head.Height, err)
	}
	return snapshots, nil
}
