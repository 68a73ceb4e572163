package indexer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
)

// Numbering numbers committed events, so that every reader sees them in one
// order without holes.
type Numbering struct {
	Sequencer Sequencer
	Owner     uuid.UUID
	Every     time.Duration   // between looks when nobody calls
	Wake      <-chan struct{} // a hint that events were written; may be nil
	Log       zerolog.Logger
}

// Run numbers until ctx ends, gives the numbering up, and returns ctx's cause.
func (n Numbering) Run(ctx context.Context) error {
	defer n.leave(ctx)
	tick := time.NewTicker(n.Every)
	defer tick.Stop()
	for {
		if err := n.drain(ctx); err != nil && ctx.Err() == nil {
			n.Log.Warn().Err(err).Msg("events not numbered")
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		case <-n.Wake:
		}
	}
}

// leaveTime bounds how long an end waits to give the numbering up. Where it cannot,
// others wait until the lease runs out.
const leaveTime = 3 * time.Second

func (n Numbering) leave(ctx context.Context) {
	leaving, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	if err := n.Sequencer.LeaveNumbering(leaving, n.Owner); err != nil {
		n.Log.Debug().Err(err).Msg("numbering not given up")
	}
}

// drain numbers until nothing is left.
func (n Numbering) drain(ctx context.Context) error {
	const batch = 1000
	for {
		count, err := n.Sequencer.Number(ctx, n.Owner, batch)
		if errors.Is(err, ErrLeased) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("number events: %w", err)
		}
		if count < batch {
			return nil
		}
	}
}
