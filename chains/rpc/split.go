package rpc

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"tallyd/chains"
)

// splitTime bounds how long upstreams are waited for that are asked for their
// opinion alone: a slow one has none, and makes nobody wait for ever.
const splitTime = time.Second

// muteTime is how long one that was too slow is not asked again: a node that hangs
// must not make every look at the head as long as it may be.
const muteTime = 30 * time.Second

// each gives ask every upstream of some, all at the same time, and waits for all.
// It returns the outcome of each. Faults are recorded as by Do.
func (p *Pool) each(ctx context.Context, some []*Upstream, ask func(ctx context.Context, i int, u *Upstream) error) []error {
	errs := make([]error, len(some))
	var asking sync.WaitGroup
	for i, u := range some {
		asking.Go(func() {
			errs[i] = p.ask(ctx, u, func(ctx context.Context, u *Upstream) error { return ask(ctx, i, u) })
		})
	}
	asking.Wait()
	return errs
}

// Split holds the branches of the upstreams against the one of the first that
// answers. head returns the best block of one upstream, at the one it has at a height.
//
// Two are on one branch if they have the same block below the lower of their heads:
// the heads themselves may differ for as long as a block takes to spread. One that
// is behind is held against what it has; one that backs off, fails, or needs longer
// than a second has no opinion, and in the last case is not asked for half a minute.
func (p *Pool) Split(ctx context.Context, head func(ctx context.Context, u *Upstream) (chains.BlockRef, error),
	at func(ctx context.Context, u *Upstream, height uint64) (chains.BlockRef, error),
) chains.Opinion {
	if len(p.upstreams) < 2 {
		return chains.Opinion{Agreed: math.MaxUint64}
	}
	open, _ := p.open(time.Now())
	open = slices.DeleteFunc(open, func(u *Upstream) bool { return time.Now().UnixNano() < u.mutedUntil.Load() })
	if len(open) < 2 {
		return chains.Opinion{}
	}
	heads, errs := p.heads(ctx, open, head)
	first := slices.IndexFunc(errs, func(err error) bool { return err == nil })
	if first < 0 {
		return chains.Opinion{}
	}
	opinion := chains.Opinion{Head: heads[first], Agreed: math.MaxUint64}
	if len(open) < len(p.upstreams) || first > 0 {
		opinion.Agreed = 0
	}
	for i := first + 1; i < len(open) && opinion.Split == nil; i++ {
		var agreed uint64
		if errs[i] == nil {
			agreed, opinion.Split = p.compare(ctx, [2]*Upstream{open[first], open[i]}, [2]chains.BlockRef{heads[first], heads[i]}, at)
		}
		opinion.Agreed = min(opinion.Agreed, agreed)
	}
	return opinion
}

// heads asks upstreams for their best blocks, and mutes those that are too slow.
func (p *Pool) heads(ctx context.Context, open []*Upstream, head func(ctx context.Context, u *Upstream) (chains.BlockRef, error)) ([]chains.BlockRef, []error) {
	asking, cancel := context.WithTimeout(ctx, splitTime)
	defer cancel()
	heads := make([]chains.BlockRef, len(open))
	errs := p.each(asking, open, func(ctx context.Context, i int, u *Upstream) (err error) {
		heads[i], err = head(ctx, u)
		return err
	})
	for i := range open {
		if errs[i] != nil && asking.Err() != nil && ctx.Err() == nil {
			open[i].mutedUntil.Store(time.Now().Add(muteTime).UnixNano())
		}
	}
	return heads, errs
}

// compare holds two upstreams against each other. It returns the height up to which
// they are on one branch, 0 for none or if one of them did not say.
func (p *Pool) compare(ctx context.Context, two [2]*Upstream, heads [2]chains.BlockRef,
	at func(ctx context.Context, u *Upstream, height uint64) (chains.BlockRef, error),
) (agreed uint64, split *chains.Split) {
	height := min(heads[0].Height, heads[1].Height)
	if heads[0].Hash == heads[1].Hash || height == 0 {
		return height, nil
	}
	height--
	// Others may have taken all the time that the heads had.
	ctx, cancel := context.WithTimeout(ctx, splitTime)
	defer cancel()
	var blocks [2]chains.BlockRef
	errs := p.each(ctx, two[:], func(ctx context.Context, i int, u *Upstream) (err error) {
		blocks[i], err = at(ctx, u, height)
		return err
	})
	switch {
	case errs[0] != nil || errs[1] != nil:
		return 0, nil
	case blocks[0].Hash == blocks[1].Hash:
		return height, nil
	}
	return 0, &chains.Split{
		Height:    height,
		Upstreams: [2]string{two[0].Name(), two[1].Name()},
		Hashes:    [2]chains.Hash{blocks[0].Hash, blocks[1].Hash},
	}
}
