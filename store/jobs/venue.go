package jobs

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"tallyd/indexer"
)

const (
	// Turns have queues of their own, for balances and for histories: a balance
	// never waits for a history. Most of a turn is waiting for a venue's answer, or
	// for its budget, so that they have more workers than searches have.
	balanceQueue = "venues"
	historyQueue = "venue_histories"
	venueWorkers = 64

	// visitTime bounds a turn: that of its histories, and one request that is
	// answered late and asked again.
	visitTime = 3 * time.Minute

	// askedTime is how long a job that was enqueued is not enqueued again: while
	// it waits, every look finds its account due.
	askedTime = 30 * time.Second
)

// turn is a turn at one account at a venue. It is unique while it waits or runs, for
// all processes. The epoch of the account's last lease is a part of it: a killed
// process leaves its job running in the table, and whoever finds the account due
// once its lease has run out finds another epoch.
type turn struct {
	Account uuid.UUID `json:"account"`
	Epoch   int64     `json:"epoch"`
	History bool      `json:"history"`
}

// Kind implements river.JobArgs.
func (turn) Kind() string { return "venue" }

// InsertOpts implements river.JobArgsWithInsertOpts. A turn that failed is not tried
// again: its account is due still, and the next look enqueues it.
func (t turn) InsertOpts() river.InsertOpts {
	opts := river.InsertOpts{Queue: balanceQueue, MaxAttempts: 1, UniqueOpts: river.UniqueOpts{
		ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStatePending, rivertype.JobStateRunning,
			rivertype.JobStateRetryable, rivertype.JobStateScheduled,
		},
	}}
	if t.History {
		opts.Queue = historyQueue
	}
	return opts
}

// turnWorker works turns at venues.
type turnWorker struct {
	river.WorkerDefaults[turn]
	visit func(ctx context.Context, account uuid.UUID, history bool) error
	asked *asked
}

// Timeout implements river.Worker.
func (*turnWorker) Timeout(*river.Job[turn]) time.Duration { return visitTime }

// Work implements river.Worker.
func (w *turnWorker) Work(ctx context.Context, job *river.Job[turn]) error {
	defer w.asked.forget(job.Args)
	if err := w.visit(ctx, job.Args.Account, job.Args.History); err != nil {
		return fmt.Errorf("visit account %s: %w", job.Args.Account, err)
	}
	return nil
}

// EnqueueTurns asks for turns at accounts at venues. Asking again while one waits
// changes nothing.
func (c *Client) EnqueueTurns(ctx context.Context, due []indexer.DueStream) error {
	var jobs []river.InsertManyParams
	for _, d := range due {
		args := turn{Account: d.Account, Epoch: d.Epoch, History: d.History}
		if c.asked.ask(args) {
			jobs = append(jobs, river.InsertManyParams{Args: args})
		}
	}
	if len(jobs) == 0 {
		return nil
	}
	if _, err := c.river.InsertManyFast(ctx, jobs); err != nil {
		for _, job := range jobs {
			if args, ok := job.Args.(turn); ok {
				c.asked.forget(args)
			}
		}
		return fmt.Errorf("enqueue %d turns: %w", len(jobs), err)
	}
	return nil
}

// asked remembers which turns this process has enqueued. It is a help only: without
// it Postgres would say so each time.
type asked struct {
	mu    sync.Mutex
	until map[turn]time.Time // guarded by mu
	swept time.Time          // guarded by mu
}

// ask reports whether a turn is to be enqueued, and remembers that it was.
func (a *asked) ask(t turn) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	now := time.Now()
	if a.until == nil || now.Sub(a.swept) > askedTime {
		kept := make(map[turn]time.Time, len(a.until))
		for t, until := range a.until {
			if now.Before(until) {
				kept[t] = until
			}
		}
		a.until, a.swept = kept, now
	}
	if now.Before(a.until[t]) {
		return false
	}
	a.until[t] = now.Add(askedTime)
	return true
}

func (a *asked) forget(t turn) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.until, t)
}
