package jobs

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// describe is a look at the metadata of one chain's NFTs that are due. It is
// unique per process, as backfill is; two processes may look side by side, each at
// what it has claimed.
type describe struct {
	Chain string    `json:"chain"`
	Owner uuid.UUID `json:"owner"`
}

// Kind implements river.JobArgs.
func (describe) Kind() string { return "describe_nfts" }

// InsertOpts implements river.JobArgsWithInsertOpts. They have a queue of their
// own: what servers of strangers do with their time keeps no search waiting.
func (describe) InsertOpts() river.InsertOpts {
	return river.InsertOpts{Queue: describeQueue, UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

const (
	describeQueue = "nfts"

	// describeAgain is how long a chain waits whose node did not answer.
	describeAgain = 10 * time.Second
)

// describeWorker works describe jobs.
type describeWorker struct {
	river.WorkerDefaults[describe]
	describe func(ctx context.Context, chain string) error
}

// Timeout implements river.Worker: a first look may take days.
func (*describeWorker) Timeout(*river.Job[describe]) time.Duration { return -1 }

// NextRetry implements river.Worker.
func (*describeWorker) NextRetry(*river.Job[describe]) time.Time {
	return time.Now().Add(describeAgain)
}

// Work implements river.Worker. Another process' job that came here is done here:
// that process may be gone.
func (w *describeWorker) Work(ctx context.Context, job *river.Job[describe]) error {
	return w.describe(ctx, job.Args.Chain)
}

// EnqueueNFTs asks for the metadata of a chain's NFTs that are due to be looked at.
// Asking again while one waits or runs changes nothing: what it leaves is due
// still, and asked for again.
func (c *Client) EnqueueNFTs(ctx context.Context, chain string) error {
	if _, err := c.river.Insert(ctx, describe{Chain: chain, Owner: c.owner}, nil); err != nil {
		return fmt.Errorf("enqueue NFTs of %s: %w", chain, err)
	}
	return nil
}
