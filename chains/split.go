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

// Opinion is what the nodes of a chain say of its branch.
type Opinion struct {
	Head  BlockRef // of the first node that answered, as it was then; zero if fewer than two could be asked
	Split *Split   // two that stand on different branches, by more than their last block, or nil

	// Agreed is the height up to which every node was found to be on one branch: 0
	// if one of them had no opinion, math.MaxUint64 if there is one only.
	Agreed uint64
}

// SplitFinder is a Source that can hold its nodes against each other.
type SplitFinder interface {
	// Split asks every node. Those that do not answer have no opinion.
	Split(ctx context.Context) Opinion
}
