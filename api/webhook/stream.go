package webhook

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/indexer"
)

const (
	streamBatch = 500

	// A reader that nothing happens for is looked after at these times: for
	// events that another process has numbered, and to see whether it is there.
	streamPoll  = time.Second
	streamBeat  = 15 * time.Second
	streamWrite = 10 * time.Second // for a reader to take what it is sent
)

// Events reads numbered events.
type Events interface {
	// EventsAfter returns up to limit events of a realm with a number above
	// after, ascending, or none. Events that are not numbered yet are left
	// out, so a reader that is past a number never misses a lower one.
	EventsAfter(ctx context.Context, realm indexer.Realm, after int64, limit int) ([]indexer.Event, error)
}

// StreamPath is where events are streamed. A request for it takes as long as the
// reader likes.
const StreamPath = "/v1/events/stream"

// Stream tells readers of events as they are numbered, as server-sent events.
type Stream struct {
	events Events

	mu   sync.Mutex
	news chan struct{} // closed when there may be some
	done chan struct{} // closed at the end
}

// NewStream returns a Stream.
func NewStream(events Events) *Stream {
	return &Stream{events: events, news: make(chan struct{}), done: make(chan struct{})}
}

// Wake says that events may have been numbered.
func (s *Stream) Wake() {
	s.mu.Lock()
	defer s.mu.Unlock()
	close(s.news)
	s.news = make(chan struct{})
}

// End ends every stream, so that a server can shut down. Call it once.
func (s *Stream) End() { close(s.done) }

func (s *Stream) next() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.news
}

type streamInput struct {
	After int64  `query:"after" minimum:"0" default:"0" doc:"Number of the last event you have; 0 for the beginning"`
	Last  string `header:"Last-Event-ID" doc:"The same, as a browser sends it when it connects again; it wins over after"`
	Types string `query:"types" doc:"Types of events, or prefixes such as transfer.*, with commas between them; empty means all"`
}

// Mount adds the operation to an API.
func (s *Stream) Mount(api huma.API, gate Gate) {
	op := huma.Operation{
		OperationID: "StreamEvents", Method: http.MethodGet, Path: StreamPath, Tags: []string{"Events"},
		Summary:     "Events after a number, as they happen",
		Description: "Server-sent events: id is the number of the event, event its type, data what a webhook's body would be.",
		Responses: map[string]*huma.Response{strconv.Itoa(http.StatusOK): {
			Description: "A stream that does not end", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	huma.Register(api, gate.Guard(op, access.Rule{Surface: access.Own, Scope: "events:read"}), s.open)
}

func (s *Stream) open(ctx context.Context, in *streamInput) (*huma.StreamResponse, error) {
	after := in.After
	if in.Last != "" {
		number, err := strconv.ParseInt(in.Last, 10, 64)
		if err != nil || number < 0 {
			return nil, problem.Invalid("Last-Event-ID", "expected the number of an event")
		}
		after = number
	}
	var filter []string
	if in.Types != "" {
		filter = strings.Split(in.Types, ",")
	}
	realm := access.From(ctx).Realm
	return &huma.StreamResponse{Body: func(out huma.Context) {
		w, ok := out.BodyWriter().(http.ResponseWriter)
		if !ok {
			return
		}
		out.SetHeader("Content-Type", "text/event-stream")
		out.SetHeader("X-Accel-Buffering", "no") // a proxy in between shall not wait for more
		out.SetStatus(http.StatusOK)
		r := reader{w: w, control: http.NewResponseController(w)}
		// The server's own limit on reading a request would end it.
		_ = r.control.SetReadDeadline(time.Time{})
		if err := s.run(ctx, r, realm, after, filter); err != nil {
			problem.TrailOf(ctx).Cause = err
		}
	}}, nil
}

// run sends events until the reader has gone, or the stream has ended: then it
// returns nil.
func (s *Stream) run(ctx context.Context, r reader, realm indexer.Realm, after int64, filter []string) error {
	if r.write(": tallyd\n\n") != nil {
		return nil // the reader has gone
	}
	poll := time.NewTicker(streamPoll)
	defer poll.Stop()
	said := time.Now()
	for {
		news := s.next() // before the look: what comes between is not missed
		found, err := s.events.EventsAfter(ctx, realm, after, streamBatch)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read events: %w", err)
		}
		text := strings.Builder{}
		for _, e := range found {
			after = e.Seq
			if Wants(filter, e.Type) {
				if err := format(&text, e); err != nil {
					return err
				}
			}
		}
		if text.Len() == 0 && time.Since(said) >= streamBeat {
			text.WriteString(": still here\n\n")
		}
		if text.Len() > 0 {
			if r.write(text.String()) != nil {
				return nil // the reader has gone
			}
			said = time.Now()
		}
		if len(found) == streamBatch {
			continue
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.done:
			return nil
		case <-news:
		case <-poll.C:
		}
	}
}

// format writes an event as it stands in a stream. JSON has no line breaks of its
// own, and neither has a type.
func format(text *strings.Builder, e indexer.Event) error {
	data, err := json.Marshal(NewMessage(e))
	if err != nil {
		return fmt.Errorf("write event %d: %w", e.Seq, err)
	}
	fmt.Fprintf(text, "id: %d\nevent: %s\ndata: %s\n\n", e.Seq, e.Type, data)
	return nil
}

// reader is who a stream goes to.
type reader struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// write sends text, or returns an error when the reader does not take it.
func (r reader) write(text string) error {
	// Not every writer has a deadline; then the server's holds.
	_ = r.control.SetWriteDeadline(time.Now().Add(streamWrite))
	if _, err := r.w.Write([]byte(text)); err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err := r.control.Flush(); err != nil {
		return fmt.Errorf("flush: %w", err)
	}
	return nil
}
