package venuetest

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"time"

	"tallyd/chains/venue"
)

// Row is one thing that happened at the mock venue.
type Row struct {
	ID      string
	At      time.Time
	Code    string
	Amount  string // signed, in whole units
	TxHash  string
	Pending bool

	Reversed bool // it was settled, and taken back
}

// World is the venue's side of one login. A connector's test makes an
// http.Handler of it that answers as the venue does.
type World struct {
	mu       sync.Mutex
	rows     map[venue.Stream][]Row
	skew     time.Duration
	requests int
	seen     []string // method and path of each request
	fault    func(n int) (Reply, bool)
	repeat   bool // pages begin with the last row of the page before
	held     []Held
}

// Held is what the login holds of one code, in whole units.
type Held struct{ Code, Available, Locked string }

// Reply is what a fault answers in place of the venue.
type Reply struct {
	Status int
	Header map[string]string
	Body   string
	Half   bool  // the body ends in its middle
	Err    error // there is no answer at all
}

// NewWorld returns a venue where nothing has happened.
func NewWorld() *World { return &World{rows: map[venue.Stream][]Row{}} }

// Now is the time at the venue.
func (w *World) Now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew).UTC()
}

// Happen adds rows to a stream, or replaces those with the same id.
func (w *World) Happen(stream venue.Stream, rows ...Row) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, row := range rows {
		i := slices.IndexFunc(w.rows[stream], func(old Row) bool { return old.ID == row.ID })
		if i >= 0 {
			w.rows[stream][i] = row
			continue
		}
		w.rows[stream] = append(w.rows[stream], row)
	}
	slices.SortFunc(w.rows[stream], func(a, b Row) int {
		if c := a.At.Compare(b.At); c != 0 {
			return c
		}
		return strings.Compare(a.ID, b.ID)
	})
}

// Hold sets all that the login holds.
func (w *World) Hold(held ...Held) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held = append([]Held{}, held...)
}

// Held returns what the login holds, or other if nobody has said.
func (w *World) Held(other ...Held) []Held {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.held == nil {
		return other
	}
	return slices.Clone(w.held)
}

// Plus returns a sum as a venue writes it.
func Plus(a, b string) string {
	x, err := venue.ParseDecimal(a)
	if err != nil {
		return err.Error()
	}
	y, err := venue.ParseDecimal(b)
	if err != nil {
		return err.Error()
	}
	return x.Add(y.Or(venue.NewDecimal(0, 0))).String()
}

// Forget removes a row.
func (w *World) Forget(stream venue.Stream, id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.rows[stream] = slices.DeleteFunc(w.rows[stream], func(r Row) bool { return r.ID == id })
}

// Rows returns all of a stream, the oldest first.
func (w *World) Rows(stream venue.Stream) []Row {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.rows[stream])
}

// Between returns the rows of a stream from one time to another, both included,
// the newest first. A zero time is no bound.
func (w *World) Between(stream venue.Stream, from, to time.Time) []Row {
	var found []Row
	for _, row := range w.Rows(stream) {
		if (from.IsZero() || !row.At.Before(from)) && (to.IsZero() || !row.At.After(to)) {
			found = append(found, row)
		}
	}
	slices.Reverse(found)
	return found
}

// Page returns at most limit rows from an offset, and whether there are more. While
// the world repeats itself, a page begins with the row before it.
func (w *World) Page(rows []Row, offset, limit int) ([]Row, bool) {
	w.mu.Lock()
	repeat := w.repeat
	w.mu.Unlock()
	offset = min(max(offset, 0), len(rows))
	end := min(offset+limit, len(rows))
	page := slices.Clone(rows[offset:end])
	if repeat && offset > 0 && len(page) > 0 {
		page = append([]Row{rows[offset-1]}, page...)
	}
	return page, end < len(rows)
}

// Skew sets how far the venue's clock is ahead.
func (w *World) Skew(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew = d
}

// Break answers requests, which are counted from 0, by a fault where it says so;
// nil ends it.
func (w *World) Break(fault func(n int) (Reply, bool)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.fault, w.requests = fault, 0
}

// Repeat makes pages overlap.
func (w *World) Repeat(on bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.repeat = on
}

// Asked returns method and path of each request so far.
func (w *World) Asked() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.seen)
}

// Wire returns a client whose requests reach the handler without a network, so
// that the clock of a test may be a false one.
func (w *World) Wire(handler http.Handler) *http.Client {
	return &http.Client{Transport: &wire{world: w, handler: handler}}
}

type wire struct {
	world   *World
	handler http.Handler
}

// latency is how long an answer takes.
const latency = 5 * time.Millisecond

// RoundTrip sends one request.
func (w *wire) RoundTrip(r *http.Request) (*http.Response, error) {
	world := w.world
	world.mu.Lock()
	world.seen = append(world.seen, r.Method+" "+r.URL.Path)
	fault, n := world.fault, world.requests
	world.requests++
	world.mu.Unlock()
	select {
	case <-time.After(latency):
	case <-r.Context().Done():
		return nil, fmt.Errorf("wait for the answer: %w", r.Context().Err())
	}
	if fault != nil {
		if reply, broken := fault(n); broken {
			return reply.response(world, r)
		}
	}
	recorder := httptest.NewRecorder()
	recorder.Header().Set("Date", world.Now().Format(http.TimeFormat))
	recorder.Header().Set("Content-Type", "application/json")
	w.handler.ServeHTTP(recorder, r)
	return recorder.Result(), nil
}

func (reply Reply) response(w *World, r *http.Request) (*http.Response, error) {
	if reply.Err != nil {
		return nil, reply.Err
	}
	header := http.Header{"Content-Type": {"application/json"}, "Date": {w.Now().Format(http.TimeFormat)}}
	for name, value := range reply.Header {
		header.Set(name, value)
	}
	var body io.Reader = strings.NewReader(reply.Body)
	if reply.Half {
		body = io.MultiReader(body, broken{})
	}
	return &http.Response{
		StatusCode: reply.Status, Status: http.StatusText(reply.Status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: header, Body: io.NopCloser(body), Request: r,
	}, nil
}

// broken is a connection that ends before the body does.
type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, io.ErrUnexpectedEOF }

// NoSuchHost is the error of a name that is gone.
func NoSuchHost(host string) error {
	return &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// CloudflarePage is what stands before some venues answers to those it does not
// like.
func CloudflarePage() Reply {
	return Reply{
		Status: http.StatusForbidden,
		Header: map[string]string{"Content-Type": "text/html; charset=UTF-8", "Server": "cloudflare", "Cf-Ray": "8a1b2c3d4e5f-FRA"},
		Body:   "<!DOCTYPE html><html><head><title>Access denied</title></head><body>error code: 1010</body></html>",
	}
}

// JSON writes an answer.
func JSON(w http.ResponseWriter, status int, body any) {
	text, err := json.Marshal(body)
	if err != nil {
		text = fmt.Appendf(nil, `{"mock":%q}`, err)
	}
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// Say writes a reply of text.
func Say(w http.ResponseWriter, r Reply) {
	for name, value := range r.Header {
		w.Header().Set(name, value)
	}
	w.WriteHeader(r.Status)
	_, _ = io.WriteString(w, r.Body)
}
