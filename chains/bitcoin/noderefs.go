package bitcoin

import (
	"sync"

	"tallyd/chains"
)

// refsKept is how many references a refCache holds: the whole window of a
// catch-up that asks for a reference first and for the block later.
const refsKept = 16384

// refCache remembers references by hash. What a hash refers to never changes, so
// that nothing in it becomes stale; but the height of each is a node's word.
type refCache struct {
	mu        sync.Mutex
	young     map[chains.Hash]chains.BlockRef
	old       map[chains.Hash]chains.BlockRef // forgotten when young is full
	perBucket int
}

func newRefCache(size int) *refCache {
	return &refCache{young: map[chains.Hash]chains.BlockRef{}, perBucket: size / 2}
}

func (c *refCache) get(hash chains.Hash) (chains.BlockRef, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if ref, ok := c.young[hash]; ok {
		return ref, true
	}
	ref, ok := c.old[hash]
	return ref, ok
}

func (c *refCache) put(ref chains.BlockRef) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.young) >= c.perBucket {
		c.old, c.young = c.young, map[chains.Hash]chains.BlockRef{}
	}
	c.young[ref.Hash] = ref
}

func (c *refCache) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.young, c.old = map[chains.Hash]chains.BlockRef{}, nil
}
