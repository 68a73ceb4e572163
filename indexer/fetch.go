package indexer

import (
	"context"
	"fmt"

	"tallyd/chains"
)

// fetcher reads blocks ahead of the one that is asked for, several at a time,
// and hands them out in order of height. It is used by one goroutine.
type fetcher struct {
	ahead int // blocks under way or waiting at once
	fetch func(ctx context.Context, height uint64) (chains.Block, error)

	next  uint64                                // height of the first block in queue
	queue []chan fetched                        // one slot each, so that a reader ends even if nobody takes its block
	begin func(height uint64, out chan fetched) // nil while nothing is read
	end   context.CancelFunc
}

type fetched struct {
	block chains.Block
	err   error
}

// get returns the block at height and goes on reading up to the height last.
// Asking for another height than the one after the last answer drops what was
// read, and so does an error.
func (q *fetcher) get(ctx context.Context, height, last uint64) (chains.Block, error) {
	if q.begin == nil || height != q.next {
		q.drop()
		q.open(ctx, height)
	}
	for len(q.queue) == 0 || len(q.queue) < q.ahead && q.next+uint64(len(q.queue)) <= last {
		out := make(chan fetched, 1)
		q.begin(q.next+uint64(len(q.queue)), out)
		q.queue = append(q.queue, out)
	}
	select {
	case got := <-q.queue[0]:
		q.queue = q.queue[1:]
		q.next++
		if got.err != nil {
			q.drop()
		}
		return got.block, got.err
	case <-ctx.Done():
		q.drop()
		return nil, context.Cause(ctx)
	}
}

// ready returns the next block if it has been read already. It begins no reading,
// and drops what was read when the next block could not be.
func (q *fetcher) ready() (chains.Block, bool) {
	if len(q.queue) == 0 {
		return nil, false
	}
	select {
	case got := <-q.queue[0]:
		q.queue = q.queue[1:]
		q.next++
		if got.err != nil {
			q.drop()
		}
		return got.block, got.err == nil
	default:
		return nil, false
	}
}

func (q *fetcher) open(ctx context.Context, height uint64) {
	reading, end := context.WithCancel(ctx)
	q.next, q.end = height, end
	q.begin = func(height uint64, out chan fetched) {
		go func() {
			block, err := q.fetch(reading, height)
			if err != nil {
				err = fmt.Errorf("fetch block %d: %w", height, err)
			}
			out <- fetched{block: block, err: err}
		}()
	}
}

// drop ends all reading and waits until it has ended.
func (q *fetcher) drop() {
	if q.begin == nil {
		return
	}
	q.end()
	for _, out := range q.queue {
		<-out
	}
	q.queue, q.begin = nil, nil
}
