package store

import (
	"context"
	"slices"
	"sync"
	"time"
)

// readingTime ends a reading that nobody may wait for any more.
const readingTime = 30 * time.Second

// gather reads for several callers in one go. A caller who comes while as many
// readings are under way as may be waits for the next one, with all others who wait:
// nobody is told what was read before they asked. What is found is shared, and nobody
// changes it.
type gather[K comparable, V any] struct {
	read     func(ctx context.Context, keys []K) (map[K]V, error)
	readings int // at once
	most     int // keys in one

	mu      sync.Mutex
	running int
	waiting []*reading[K, V] // all but the last are full
}

// reading is one go. What it found is there once it is done.
type reading[K comparable, V any] struct {
	keys  []K // once each
	done  chan struct{}
	found map[K]V
	err   error
}

// get returns what is read of a key, the zero value if nothing is found. It does not
// wait for longer than ctx, whoever else waits for the same reading; a reading of
// several keys that failed is tried again with this one alone.
func (g *gather[K, V]) get(ctx context.Context, key K) (V, error) {
	r := g.join(ctx, key)
	select {
	case <-r.done:
	case <-ctx.Done():
		var none V
		return none, context.Cause(ctx)
	}
	found, err := r.found, r.err
	if err != nil && len(r.keys) > 1 {
		found, err = g.read(ctx, []K{key})
	}
	return found[key], err
}

// join returns a reading of the key that has not begun.
func (g *gather[K, V]) join(ctx context.Context, key K) *reading[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	last := len(g.waiting) - 1
	if last < 0 || len(g.waiting[last].keys) == g.most {
		g.waiting = append(g.waiting, &reading[K, V]{done: make(chan struct{})})
		last++
	}
	r := g.waiting[last]
	if !slices.Contains(r.keys, key) {
		r.keys = append(r.keys, key)
	}
	if g.running < g.readings {
		g.running++
		go g.run(context.WithoutCancel(ctx))
	}
	return r
}

// run does what waits until nothing does.
func (g *gather[K, V]) run(ctx context.Context) {
	for r := g.next(); r != nil; r = g.next() {
		g.do(ctx, r)
	}
}

func (g *gather[K, V]) do(ctx context.Context, r *reading[K, V]) {
	defer close(r.done)
	ctx, cancel := context.WithTimeout(ctx, readingTime)
	defer cancel()
	r.found, r.err = g.read(ctx, r.keys)
}

// next returns the reading that waits for longest, or nil.
func (g *gather[K, V]) next() *reading[K, V] {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.running--
		return nil
	}
	r := g.waiting[0]
	g.waiting[0] = nil
	g.waiting = g.waiting[1:]
	return r
}
