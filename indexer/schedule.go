package indexer

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/robfig/cron/v3"
	"github.com/rs/zerolog"
)

// Job is one thing done at regular times. Run must bear being called by several
// processes at once: a job is a trigger, and what it triggers is unique.
type Job struct {
	Name    string
	Spec    string // as cron has it, or @every 15s
	AtStart bool   // do it once at the start as well
	Run     func(ctx context.Context) error
}

// utc begins every schedule, so that no hour is skipped or run twice.
const utc = "CRON_TZ=UTC "

// Interval returns the time between the next two times of a schedule, or what is
// wrong with it.
func Interval(spec string, now time.Time) (time.Duration, error) {
	schedule, err := ParseSchedule(spec)
	if err != nil {
		return 0, err
	}
	next := schedule.Next(now)
	after := schedule.Next(next)
	if next.IsZero() || after.IsZero() {
		return 0, fmt.Errorf("schedule %q never comes", spec)
	}
	return after.Sub(next), nil
}

// RunJobs runs jobs at their times, in UTC, until ctx ends. It waits for those under
// way and returns ctx's cause. A job still running when its time comes again is
// skipped that once.
func RunJobs(ctx context.Context, jobs []Job, log zerolog.Logger) error {
	// A panic of one job is told and ends neither the others nor the process.
	told := cron.PrintfLogger(&log)
	c := cron.New(cron.WithChain(cron.Recover(told), cron.SkipIfStillRunning(cron.DiscardLogger)))
	var first []cron.EntryID
	for _, job := range jobs {
		id, err := c.AddFunc(utc+job.Spec, func() {
			if err := job.Run(ctx); err != nil && ctx.Err() == nil {
				log.Warn().Err(err).Str("job", job.Name).Msg("job not done")
			}
		})
		if err != nil {
			return fmt.Errorf("schedule %s: %w", job.Name, err)
		}
		if job.AtStart {
			first = append(first, id)
		}
	}
	c.Start()
	var starting sync.WaitGroup
	for _, id := range first {
		starting.Go(c.Entry(id).WrappedJob.Run)
	}
	<-ctx.Done()
	<-c.Stop().Done()
	starting.Wait()
	return context.Cause(ctx)
}

// Schedule says when something is done next.
type Schedule interface {
	// Next returns the first time after t.
	Next(t time.Time) time.Time
}

// ParseSchedule reads a schedule as Job.Spec has it, in UTC.
func ParseSchedule(spec string) (Schedule, error) { //nolint:ireturn // the library's own
	schedule, err := cron.ParseStandard(utc + spec)
	if err != nil {
		return nil, fmt.Errorf("read schedule %q: %w", spec, err)
	}
	return schedule, nil
}
