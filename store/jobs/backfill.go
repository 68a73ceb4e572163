package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

// A search is leased for searchTime and renewed every searchRenew: one that was
// killed is taken over within seconds, and not after the hour in which River
// would notice. A process that finds it leased looks again after that.
const (
	searchTime  = 4 * time.Second
	searchRenew = time.Second
)

// Searches says which process searches the past of a chain.
type Searches interface {
	// AcquireSearch takes or keeps that right until ttl from now, and reports
	// whether the owner has it.
	AcquireSearch(ctx context.Context, chain string, owner uuid.UUID, ttl time.Duration) (bool, error)

	// ReleaseSearch gives it up.
	ReleaseSearch(ctx context.Context, chain string, owner uuid.UUID) error
}

// backfill is the search of one chain's past. It is unique per process, since a
// killed process leaves its job running in the table, and in two slots, since a
// running job may have looked for scripts just before the one it is enqueued for
// was added.
type backfill struct {
	Chain string    `json:"chain"`
	Owner uuid.UUID `json:"owner"`
	Slot  int       `json:"slot"`
}

// Kind implements river.JobArgs.
func (backfill) Kind() string { return "backfill" }

// InsertOpts implements river.JobArgsWithInsertOpts. The states are River's
// default without completed: the same chain is searched again after it was.
func (backfill) InsertOpts() river.InsertOpts {
	return river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
		rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
		rivertype.JobStateRetryable, rivertype.JobStateScheduled,
	}}}
}

// backfillWorker works backfill jobs.
type backfillWorker struct {
	river.WorkerDefaults[backfill]
	searches Searches
	owner    uuid.UUID
	search   func(ctx context.Context, chain string) error
}

// Timeout implements river.Worker: a first search may take days.
func (*backfillWorker) Timeout(*river.Job[backfill]) time.Duration { return -1 }

// NextRetry implements river.Worker: a node that was gone may be back soon.
func (*backfillWorker) NextRetry(*river.Job[backfill]) time.Time { return time.Now().Add(searchTime) }

// Work implements river.Worker.
func (w *backfillWorker) Work(ctx context.Context, job *river.Job[backfill]) error {
	chain := job.Args.Chain
	// Each job owns its search: two slots of one process are two owners.
	owner := uuid.NewSHA1(w.owner, []byte{byte(job.Args.Slot)})
	held, err := w.searches.AcquireSearch(ctx, chain, owner, searchTime)
	if err != nil {
		return fmt.Errorf("acquire the search of %s: %w", chain, err)
	}
	if !held {
		return river.JobSnooze(searchRenew) //nolint:wrapcheck // River knows it by its type
	}
	searching, lose := context.WithCancelCause(ctx)
	renewed := make(chan struct{})
	go func() {
		defer close(renewed)
		w.renew(searching, chain, owner, lose)
	}()
	err = w.search(searching, chain)
	lose(nil)
	<-renewed
	return errors.Join(err, w.searches.ReleaseSearch(context.WithoutCancel(ctx), chain, owner))
}

// errSearchLost ends a search that another process has taken over.
var errSearchLost = errors.New("search lost")

// renew keeps the lease until ctx ends, and ends the search when it is lost.
func (w *backfillWorker) renew(ctx context.Context, chain string, owner uuid.UUID, lose context.CancelCauseFunc) {
	tick := time.NewTicker(searchRenew)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		held, err := w.searches.AcquireSearch(ctx, chain, owner, searchTime)
		switch {
		case err == nil && held:
			last = time.Now()
		case err == nil || time.Since(last) > searchTime:
			lose(errSearchLost)
			return
		}
	}
}
