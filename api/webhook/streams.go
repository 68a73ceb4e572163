package webhook

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"tallyd/indexer"
)

const (
	// streamPoll is how often it is asked whether another process has numbered
	// events, and streamPause the least time between two such questions.
	streamPoll  = time.Second
	streamPause = 20 * time.Millisecond

	// pastReads bounds how many readers that are far behind ask the store at once.
	pastReads = 4
)

// Events reads numbered events.
type Events interface {
	// EventsAfter returns up to limit events of a realm with a number above
	// after, ascending, or none. Events that are not numbered yet are left
	// out, so a reader that is past a number never misses a lower one.
	EventsAfter(ctx context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error)

	// LastNumber returns the highest number that an event of any realm was given, 0
	// before the first. All events up to it can be read.
	LastNumber(ctx context.Context) (int64, error)

	// NumberedRealms returns the realms of which events have numbers above after
	// and up to last, once each.
	NumberedRealms(ctx context.Context, after, last int64) ([]indexer.Realm, error)
}

// Stream tells readers of events as they are numbered, as server-sent events. What it
// asks the store does not grow with their number: the readers of a realm share what is
// read for them, and only a realm that has new events is read. It is safe for
// concurrent use.
type Stream struct {
	events Events
	known  []string      // types that readers may name; set by Mount
	wake   chan struct{} // of one place: events may have been numbered
	past   chan struct{} // of pastReads places
	done   chan struct{} // closed at the end

	mu    sync.Mutex
	tails map[indexer.Realm]*tail // of realms that have readers; guarded by mu
	count int                     // of readers in all; guarded by mu
}

// NewStream returns a Stream.
func NewStream(events Events) *Stream {
	return &Stream{
		events: events, wake: make(chan struct{}, 1), past: make(chan struct{}, pastReads), done: make(chan struct{}),
		tails: map[indexer.Realm]*tail{},
	}
}

// Wake says that events may have been numbered.
func (s *Stream) Wake() {
	select {
	case s.wake <- struct{}{}:
	default: // somebody said so already
	}
}

// Run tells the readers of events until ctx ends. Then it ends every stream, so that a
// server can shut down, and returns the cause. Call it once.
func (s *Stream) Run(ctx context.Context, log zerolog.Logger) error {
	defer close(s.done)
	poll := time.NewTicker(streamPoll)
	defer poll.Stop()
	level, deaf := unknownLevel, false
	for {
		next, err := s.step(ctx, level)
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil && !deaf:
			log.Warn().Err(err).Msg("streams hear of no events")
		case err == nil && deaf:
			log.Info().Msg("streams hear of events again")
		}
		level, deaf = next, err != nil
		select {
		case <-s.wake:
		case <-poll.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		select {
		case <-time.After(streamPause): // what is numbered meanwhile is found at once
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// unknownLevel says that nobody has looked.
const unknownLevel = int64(-1)

// step announces news to the readers of the realms that have events behind a level, and
// returns the new level.
func (s *Stream) step(ctx context.Context, level int64) (int64, error) {
	if s.idle() {
		return unknownLevel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, tailTime)
	defer cancel()
	last, err := s.events.LastNumber(ctx)
	if err != nil {
		return level, fmt.Errorf("read the last number: %w", err)
	}
	if level == unknownLevel {
		s.announce(nil)
		return last, nil
	}
	if last == level {
		return level, nil
	}
	realms, err := s.events.NumberedRealms(ctx, level, last)
	if err != nil {
		return level, fmt.Errorf("read whom events are for: %w", err)
	}
	// Whoever comes after this reads up to last by itself.
	s.announce(realms)
	return last, nil
}

func (s *Stream) idle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.count == 0
}

// announce says that there may be news of some realms, of all if they are nil.
func (s *Stream) announce(realms []indexer.Realm) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if realms == nil {
		for _, t := range s.tails {
			t.announce()
		}
	}
	for _, realm := range realms {
		if t := s.tails[realm]; t != nil {
			t.announce()
		}
	}
}

// enter returns the tail for one more reader of a realm, or false if there are too
// many. The caller leaves it.
func (s *Stream) enter(realm indexer.Realm) (*tail, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.tails[realm]
	if s.count >= StreamsInAll || t != nil && t.readers >= StreamsOfRealm {
		return nil, false
	}
	if t == nil {
		t = newTail(realm)
		s.tails[realm] = t
	}
	t.readers++
	s.count++
	return t, true
}

func (s *Stream) leave(t *tail) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count--
	if t.readers--; t.readers == 0 {
		delete(s.tails, t.realm)
	}
}

func (s *Stream) ended() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}
