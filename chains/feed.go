package chains

import (
	"context"
	"time"
)

// FeedRound is what a contract that answers latestRoundData says: what Chainlink
// calls a data feed.
type FeedRound struct {
	Contract  string // 0x… as it was asked for
	Answer    Amount // signed; a feed that was never written says 0
	Decimals  int    // of Answer
	StartedAt time.Time
	UpdatedAt time.Time // zero if the round has no answer
	Err       string    // why the contract gave no answer; "" if it did
}

// FeedReader is a Source that can call the feeds on its chain.
type FeedReader interface {
	// Feeds reads feeds, by their contracts, from one node at one block, which it
	// returns with them. A contract that answers otherwise than a feed does has
	// its Err set; the error is for when no node could be asked.
	Feeds(ctx context.Context, contracts []string) (BlockRef, []FeedRound, error)
}
