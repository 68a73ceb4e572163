package main

import (
	"context"
	"time"

	"tallyd/indexer"
)

// trimAudit returns the job that drops lines of the audit log that are kept no
// longer.
func (d *daemon) trimAudit() indexer.Job {
	return indexer.Job{Name: "trim the audit log", Spec: "@every 1h", Run: func(ctx context.Context) error {
		days := d.cfg.API.AuditDays
		if days == 0 {
			return nil // nobody said so
		}
		dropped, err := d.store.TrimAudit(ctx, time.Duration(days)*24*time.Hour)
		if dropped > 0 {
			d.log.Info().Int64("lines", dropped).Int("older_than_days", days).Msg("audit log trimmed")
		}
		return err //nolint:wrapcheck // the store says what it was doing
	}}
}
