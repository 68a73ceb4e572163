package webhook

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/access"
	"tallyd/api/problem"
)

const (
	// A stream that nothing happens for is looked after at these times: to see
	// whether its caller would be let in yet, and whether its reader is there.
	streamLook  = 500 * time.Millisecond
	streamBeat  = 15 * time.Second
	streamWrite = 10 * time.Second // for a reader to take what it is sent

	// StreamsOfRealm bounds the streams of a tenant and environment that are open at
	// once in a process, so that no caller uses up its connections.
	StreamsOfRealm = 32

	// StreamsInAll bounds the streams that are open at once in a process.
	StreamsInAll = 1024

	streamRetry = 5 * time.Second // after which one that is too many may try again
)

// StreamPath is where events are streamed. A request for it takes as long as the
// reader likes.
const StreamPath = "/v1/events/stream"

type streamInput struct {
	After int64  `query:"after" minimum:"0" default:"0" doc:"Number of the last event you have; 0 for the beginning"`
	Last  string `header:"Last-Event-ID" doc:"The same, as a browser sends it when it connects again; it wins over after"`
	Types string `query:"types" doc:"Types of events, or prefixes such as transfer.*, with commas between them; empty means all"`
}

// Mount adds the operation to an API. types are those that a reader may name.
func (s *Stream) Mount(api huma.API, gate Gate, types []EventType) {
	s.known = names(types)
	op := huma.Operation{
		OperationID: "StreamEvents", Method: http.MethodGet, Path: StreamPath, Tags: []string{"Events"},
		Summary: "Events after a number, as they happen",
		Description: "Server-sent events: id is the number of the event, event its type, data what a webhook's body would be. " +
			"The stream ends when its key does, and when the daemon stops: connect again with Last-Event-ID. " +
			"At most " + strconv.Itoa(StreamsOfRealm) + " streams of a tenant and environment are open at once.",
		Responses: map[string]*huma.Response{strconv.Itoa(http.StatusOK): {
			Description: "A stream that does not end by itself", Content: map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: huma.TypeString}}},
		}},
	}
	huma.Register(api, gate.Guard(op, access.Rule{Surface: access.Own, Scope: "events:read", Lasting: true}), s.open)
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
	if err := checkFilter("types", filter, s.known); err != nil {
		return nil, err
	}
	realm := access.From(ctx).Realm
	t, ok := s.enter(realm)
	if !ok {
		return nil, problem.New(http.StatusTooManyRequests, problem.TooManyStreams, "too many streams are open: close one, or try again later").
			Header("Retry-After", strconv.Itoa(int(streamRetry/time.Second)))
	}
	return &huma.StreamResponse{Body: func(out huma.Context) {
		defer s.leave(t)
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
		if err := s.run(ctx, r, t, after, filter); err != nil {
			problem.TrailOf(ctx).Cause = err
		}
	}}, nil
}

// run sends events until the reader has gone or the Stream has ended, and then returns
// nil; or until the caller would be let in no longer.
func (s *Stream) run(ctx context.Context, r reader, t *tail, after int64, filter []string) error {
	if r.write(": tallyd\n\n") != nil {
		return nil // the reader has gone
	}
	look := time.NewTicker(streamLook)
	defer look.Stop()
	said := time.Now()
	for {
		if s.ended() || ctx.Err() != nil {
			return nil
		}
		news := t.next() // before the look: what comes between is not missed
		found, err := s.read(ctx, t, after)
		if ctx.Err() != nil || errors.Is(err, errOver) {
			return nil
		}
		if err != nil {
			return err
		}
		// Last, since a reader may have waited for what it is given.
		if err := access.Still(ctx); err != nil {
			return fmt.Errorf("end a stream: %w", err)
		}
		after = found.reaches
		text := strings.Builder{}
		for _, line := range found.lines {
			if Wants(filter, line.kind) {
				text.WriteString(line.text)
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
		if found.more {
			continue
		}
		select {
		case <-ctx.Done():
		case <-s.done:
		case <-news:
		case <-look.C:
		}
	}
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
