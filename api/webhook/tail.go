package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sort"
	"sync"
	"time"

	"tallyd/indexer"
)

const (
	streamBatch = 500 // events that are read at once

	// tailBytes bounds what a tail keeps for readers that are a little behind. One
	// that is further behind reads the store by itself.
	tailBytes = 256 << 10

	// tailTime is how long the store may take to answer: readers wait for each other.
	tailTime = 5 * time.Second
)

// errOver says that a reader, or the Stream, has ended while it waited.
var errOver = errors.New("the stream is over")

// tail is the end of the events of one realm, as all readers of that realm share it:
// whoever finds it out of date reads on for all of them.
type tail struct {
	realm   indexer.Realm
	readers int // guarded by Stream.mu

	mu    sync.Mutex
	stale bool          // there may be events behind its end; guarded by mu
	news  chan struct{} // closed when it becomes so; guarded by mu

	turn chan struct{} // of one place: whoever is in it owns what follows

	known  bool   // where it begins
	begins int64  // number that the lines come after
	ends   int64  // number that it was read up to
	lines  []line // ascending
	size   int    // of their texts
}

// line is an event as it stands in a stream.
type line struct {
	seq  int64
	kind string
	text string
}

// found is what a reader is given.
type found struct {
	lines   []line
	reaches int64 // number that the reader is at then
	more    bool  // there may be more already
}

func newTail(realm indexer.Realm) *tail {
	return &tail{realm: realm, stale: true, news: make(chan struct{}), turn: make(chan struct{}, 1)}
}

// next returns what is closed when there may be news.
func (t *tail) next() <-chan struct{} {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.news
}

// announce says that there may be news.
func (t *tail) announce() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.stale = true
	close(t.news)
	t.news = make(chan struct{})
}

// swapStale returns whether the tail is stale, and makes it what is given.
func (t *tail) swapStale(stale bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	was := t.stale
	t.stale = stale
	return was
}

// read returns what a reader that is at a number is to be told next: from memory
// where it can, and from the store where it must.
func (s *Stream) read(ctx context.Context, t *tail, at int64) (found, error) {
	begins, shared, err := s.share(ctx, t, at)
	if err != nil || at >= begins {
		return shared, err
	}
	// The reader is far behind. Few of those may ask at a time: the store is there
	// for others too.
	if !s.hold(ctx, s.past) {
		return found{}, errOver
	}
	defer func() { <-s.past }()
	lines, more, err := s.lines(ctx, t.realm, at)
	if err != nil {
		return found{}, err
	}
	reaches := begins // there is nothing between the last of them and there
	if n := len(lines); more {
		reaches = lines[n-1].seq
	} else if n > 0 {
		reaches = max(begins, lines[n-1].seq)
	}
	return found{lines: lines, reaches: reaches, more: true}, nil
}

// share reads a tail up to its end if that is out of date, and returns what of it lies
// behind a number. A number before the one it begins at is not of it.
func (s *Stream) share(ctx context.Context, t *tail, at int64) (begins int64, shared found, err error) {
	if !s.hold(ctx, t.turn) {
		return 0, found{}, errOver
	}
	defer func() { <-t.turn }()
	// A reader takes what is there before it reads on, or those who wait for their turn
	// would find it gone.
	lines := t.behind(at)
	if len(lines) == 0 && t.swapStale(false) {
		if err := s.extend(ctx, t); err != nil {
			t.swapStale(true)
			return 0, found{}, err
		}
		lines = t.behind(at)
	}
	reaches := max(at, t.ends)
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.begins, found{lines: lines, reaches: reaches, more: t.stale}, nil
}

// behind returns the lines behind a number. The caller has the turn.
func (t *tail) behind(at int64) []line {
	return t.lines[sort.Search(len(t.lines), func(i int) bool { return t.lines[i].seq > at }):]
}

// extend reads what comes behind a tail's end. The caller has its turn.
func (s *Stream) extend(ctx context.Context, t *tail) error {
	if !t.known {
		ctx, cancel := context.WithTimeout(ctx, tailTime)
		defer cancel()
		last, err := s.events.LastNumber(ctx)
		if err != nil {
			return fmt.Errorf("read where a stream begins: %w", err)
		}
		t.begins, t.ends, t.known = last, last, true
		return nil
	}
	lines, more, err := s.lines(ctx, t.realm, t.ends)
	if err != nil {
		return err
	}
	for _, l := range lines {
		t.lines, t.ends = append(t.lines, l), l.seq
		t.size += len(l.text)
	}
	over := 0
	for ; t.size > tailBytes; over++ {
		t.size -= len(t.lines[over].text)
		t.begins = t.lines[over].seq
	}
	t.lines = slices.Clone(t.lines[over:]) // or those before would be kept with them
	if more {
		t.swapStale(true)
	}
	return nil
}

// lines reads a batch of events, and reports whether there may be more of them.
func (s *Stream) lines(ctx context.Context, realm indexer.Realm, after int64) ([]line, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, tailTime)
	defer cancel()
	events, err := s.events.EventsAfter(ctx, realm, after, streamBatch)
	if err != nil {
		return nil, false, fmt.Errorf("read events: %w", err)
	}
	lines := make([]line, 0, len(events))
	for _, e := range events {
		// JSON has no line breaks of its own, and neither has a type.
		data, err := json.Marshal(NewMessage(e))
		if err != nil {
			return nil, false, fmt.Errorf("write event %d: %w", e.Seq, err)
		}
		lines = append(lines, line{seq: e.Seq, kind: e.Type, text: fmt.Sprintf("id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data)})
	}
	return lines, len(events) == streamBatch, nil
}

// hold takes a place in a channel, which its holder gives back by receiving. It reports
// false if the reader or the Stream ends before.
func (s *Stream) hold(ctx context.Context, places chan struct{}) bool {
	select {
	case places <- struct{}{}:
		return true
	case <-ctx.Done():
	case <-s.done:
	}
	return false
}
