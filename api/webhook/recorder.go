package webhook

import (
	"context"
	"maps"
	"slices"

	"github.com/google/uuid"
)

// record writes outcomes, as many at once as there are, until there are no more.
// What the database does not take now is offered again: while ctx lives nothing
// is dropped, and then its leases end and it is sent again.
func (d *Dispatcher) record(ctx context.Context) {
	for first := range d.outcomes {
		batch := []flown{first}
		for len(batch) < completeBatch {
			select {
			case next, more := <-d.outcomes:
				if !more {
					d.write(ctx, batch)
					return
				}
				batch = append(batch, next)
				continue
			default:
			}
			break
		}
		d.write(ctx, batch)
	}
}

// write writes one batch, however often it takes. Endpoints that are gone are
// disabled first: their deliveries stay due.
func (d *Dispatcher) write(ctx context.Context, batch []flown) {
	outcomes := make([]Outcome, 0, len(batch))
	last := map[uuid.UUID]Heard{} // of each endpoint
	var gone []Heard
	wake := false
	for _, f := range batch {
		outcomes = append(outcomes, f.Outcome)
		if f.mark != nil {
			last[f.Endpoint] = *f.mark
		}
		if f.gone {
			gone = append(gone, Heard{Endpoint: f.Endpoint, URL: f.URL})
		}
		wake = wake || f.wake
	}
	marks := slices.Collect(maps.Values(last))
	for {
		err := d.put(ctx, outcomes, marks, gone)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return
		}
		d.cfg.Log.Warn().Err(err).Int("deliveries", len(batch)).Msg("outcomes not written")
		pass(ctx, d.cfg.Poll)
	}
	if wake {
		d.Wake()
	}
}

func (d *Dispatcher) put(ctx context.Context, outcomes []Outcome, marks, gone []Heard) error {
	if len(gone) > 0 {
		if err := d.cfg.Outbox.Disable(ctx, gone); err != nil {
			return err //nolint:wrapcheck // the store says what it was doing
		}
	}
	if len(marks) > 0 {
		if err := d.cfg.Outbox.Mark(ctx, marks); err != nil {
			return err //nolint:wrapcheck // the store says what it was doing
		}
	}
	// From here on a crash loses nothing: what is done is done, and the rest
	// has its next time.
	counted, err := d.cfg.Outbox.Complete(ctx, d.cfg.Owner, outcomes)
	if err != nil {
		return err //nolint:wrapcheck // the store says what it was doing
	}
	if late := len(outcomes) - counted; late > 0 {
		d.cfg.Log.Warn().Int("deliveries", late).Msg("outcomes came too late")
	}
	return nil
}
