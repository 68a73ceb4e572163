package jobs

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/rs/zerolog"
)

const (
	// fetchCooldown bounds how soon after one fetch the next may come. River's
	// default of 100 ms would be most of the latency of a job.
	fetchCooldown = 5 * time.Millisecond

	// pollInterval is how long a job waits where notifications do not arrive.
	pollInterval = 100 * time.Millisecond

	// doneTime is how long a job that was done stays in the table.
	doneTime = 5 * time.Minute

	slots = 2
)

// Config is what a Client needs.
type Config struct {
	Pool     *pgxpool.Pool
	PollOnly bool // notifications do not arrive: there is a pooler in transaction mode
	Workers  int  // jobs at once; 0 for 4
	Searches Searches
	Log      zerolog.Logger

	// Search searches the past of a chain until nothing is left, or ctx ends.
	// An error makes the job come again after some seconds.
	Search func(ctx context.Context, chain string) error

	// Visit has a turn at an account at a venue: see indexer.Poller. Without it
	// this process has none.
	Visit func(ctx context.Context, account uuid.UUID, history bool) error

	// VenueWorkers is how many turns for balances this process has at once, and as
	// many for histories; 0 for 64.
	VenueWorkers int

	// Describe looks at the metadata of a chain's NFTs until none is due, or ctx
	// ends. An error makes the job come again after some seconds. nil for never.
	Describe func(ctx context.Context, chain string) error
}

// Client enqueues jobs, and works them once it was started.
type Client struct {
	river *river.Client[pgx.Tx]
	owner uuid.UUID // of this process
	asked *asked
}

// New returns a client that works nothing yet.
func New(cfg Config) (*Client, error) {
	owner := uuid.New()
	workers := river.NewWorkers()
	river.AddWorker(workers, &backfillWorker{searches: cfg.Searches, owner: owner, search: cfg.Search})
	asked := &asked{}
	queues := map[string]river.QueueConfig{}
	if cfg.Describe != nil {
		river.AddWorker(workers, &describeWorker{describe: cfg.Describe})
		queues[describeQueue] = river.QueueConfig{MaxWorkers: 2}
	}
	count := 4
	if cfg.Workers > 0 {
		count = cfg.Workers
	}
	queues[river.QueueDefault] = river.QueueConfig{MaxWorkers: count}
	settings := &river.Config{
		Queues:        queues,
		Workers:       workers,
		FetchCooldown: fetchCooldown,
		PollOnly:      cfg.PollOnly,
		Logger:        slog.New(zerolog.NewSlogHandler(cfg.Log)),

		// Nobody asks for jobs that were done, and venues are read all day.
		CompletedJobRetentionPeriod: doneTime,

		// A search may run for days and is never taken for stuck: see its Timeout.
		RescueStuckJobsAfter: visitTime + time.Minute,
	}
	if cfg.Visit != nil {
		river.AddWorker(workers, &turnWorker{visit: cfg.Visit, asked: asked})
		settings.Queues[balanceQueue] = river.QueueConfig{MaxWorkers: cmp.Or(cfg.VenueWorkers, venueWorkers)}
		settings.Queues[historyQueue] = settings.Queues[balanceQueue]
	}
	if cfg.PollOnly {
		settings.FetchPollInterval = pollInterval
	}
	client, err := river.NewClient(riverpgxv5.New(cfg.Pool), settings)
	if err != nil {
		return nil, fmt.Errorf("prepare jobs: %w", err)
	}
	return &Client{river: client, owner: owner, asked: asked}, nil
}

// Start begins to work jobs. When ctx ends, those under way are cancelled; Stop
// must be called to wait for them.
func (c *Client) Start(ctx context.Context) error {
	if err := c.river.Start(ctx); err != nil {
		return fmt.Errorf("start jobs: %w", err)
	}
	return nil
}

// Stop cancels the jobs under way and waits for them until ctx ends. They come
// again, here or in another process.
func (c *Client) Stop(ctx context.Context) error {
	if err := c.river.StopAndCancel(ctx); err != nil {
		return fmt.Errorf("stop jobs: %w", err)
	}
	return nil
}

// EnqueueBackfill asks for the past of a chain's new scripts to be searched. What
// was added before the call is found by a search that begins after it. Asking
// again while one waits changes nothing.
func (c *Client) EnqueueBackfill(ctx context.Context, chain string) error {
	for slot := range slots {
		result, err := c.river.Insert(ctx, backfill{Chain: chain, Owner: c.owner, Slot: slot}, nil)
		if err != nil {
			return fmt.Errorf("enqueue backfill of %s: %w", chain, err)
		}
		if !result.UniqueSkippedAsDuplicate {
			return nil
		}
	}
	return nil
}
