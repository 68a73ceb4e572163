package chains

import (
	"context"
	"fmt"
)

// Split says that two nodes of a chain stand on different branches.
type Split struct {
	Height    uint64    // at which both have a block
	Upstreams [2]string // URLs without credentials, the followed one first
	Hashes    [2]Hash   // what each has there
}

// String names the nodes and their blocks.
func (s *Split) String() string {
	return fmt.Sprintf("upstreams are on different branches: at height %d %s has block %s, and %s has %s",
		s.Height, s.Upstreams[0], s.Hashes[0], s.Upstreams[1], s.Hashes[1])
}

// SplitFinder is a Source that can hold its nodes against each other.
type SplitFinder interface {
	// Split returns two nodes that stand on different branches, by more than
	// their last block, or nil, and the head of the first node that answered as
	// it was then. Nodes that do not answer have no opinion. A Source of which
	// only one node can be asked is never split, and the head is zero.
	Split(ctx context.Context) (head BlockRef, split *Split)
}
