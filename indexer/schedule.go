package indexer

import (
	"context"
	"fmt"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"
)

// Job is one thing done at regular times. Run must bear being called by several
// processes at once: a job is a trigger, and what it triggers is unique.
type Job struct {
	Name string
	Spec string // as cron has it, or @every 15s
	Run  func(ctx context.Context) error
}

// RunJobs runs jobs at their times, in UTC so that no hour is skipped or run
// twice, until ctx ends. It waits for those under way and returns ctx's cause. A
// job still running when its time comes again is skipped that once.
func RunJobs(ctx context.Context, jobs []Job, log zerolog.Logger) error {
	// A panic of one job is told and ends neither the others nor the process.
	told := cron.PrintfLogger(&log)
	c := cron.New(cron.WithChain(cron.Recover(told), cron.SkipIfStillRunning(cron.DiscardLogger)))
	for _, job := range jobs {
		_, err := c.AddFunc("CRON_TZ=UTC "+job.Spec, func() {
			if err := job.Run(ctx); err != nil && ctx.Err() == nil {
				log.Warn().Err(err).Str("job", job.Name).Msg("job not done")
			}
		})
		if err != nil {
			return fmt.Errorf("schedule %s: %w", job.Name, err)
		}
	}
	c.Start()
	<-ctx.Done()
	<-c.Stop().Done()
	return context.Cause(ctx)
}
