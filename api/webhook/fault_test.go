package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/chains/guard"
)

// A receiver that asks for time gets it, within bounds.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	for asked, wait := range map[string]time.Duration{"7": 7 * time.Second, "1": 5 * time.Second, "3600": 10 * time.Second} {
		t.Run(asked, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			e, _ := b.endpoint(receiver(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Retry-After", asked)
				w.WriteHeader(http.StatusTooManyRequests)
			}), nil)
			b.happen("transfer.confirmed", "a")
			b.dispatch(nil)
			b.settled(e, webhook.Retrying, 1)
			delivery, tries := b.attempts(e)
			require.Equal(t, "answered 429", tries[0].Error)
			require.WithinDuration(t, tries[0].At.Add(wait), delivery.DueAt, time.Second)
		})
	}
}

// once delivers one event to a URL and returns its delivery and first attempt.
func once(t *testing.T, b *bench, url string, edit func(*webhook.Config)) (webhook.Delivery, webhook.Attempt) {
	t.Helper()
	e, _ := b.endpoint(url, nil)
	b.happen("transfer.confirmed", "a")
	b.dispatch(edit)
	eventually(t, "an attempt was made", func() bool {
		list, err := b.Deliveries(t.Context(), realm, e.ID, webhook.DeliveryFilter{Limit: 10})
		require.NoError(t, err)
		return len(list) == 1 && (list[0].State == webhook.Retrying || list[0].State == webhook.Delivered)
	})
	delivery, tries := b.attempts(e)
	require.Len(t, tries, 1)
	return delivery, tries[0]
}

func soon(cfg *webhook.Config) { cfg.Timeout = 300 * time.Millisecond }

func TestReceiverHangs(t *testing.T) {
	t.Parallel()
	delivery, try := once(t, newBench(t), receiver(t, hang), soon)
	require.Equal(t, webhook.Retrying, delivery.State)
	require.Equal(t, "no answer in time", try.Error)
	require.Zero(t, try.Status)
	require.Less(t, try.Took, 5*time.Second)
}

// A receiver that drips its headers has not answered.
func TestReceiverDripsHeaders(t *testing.T) {
	t.Parallel()
	url := drip(t, "HTTP/1.1 200 OK\r\nX-Long: ")
	delivery, try := once(t, newBench(t), url, soon)
	require.Equal(t, webhook.Retrying, delivery.State)
	require.Equal(t, "no answer in time", try.Error)
}

// One that drips its body has: the rest is not waited for.
func TestReceiverDripsBody(t *testing.T) {
	t.Parallel()
	url := drip(t, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
	delivery, try := once(t, newBench(t), url, nil)
	require.Equal(t, webhook.Delivered, delivery.State)
	require.Less(t, try.Took, 10*time.Second)
	require.True(t, strings.HasPrefix(string(try.Body), "x"))
}

// drip is a server that begins an answer and goes on a byte at a time.
func drip(t *testing.T, begin string) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			dripInto(conn, begin)
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-ended
	})
	return "http://" + listener.Addr().String()
}

func dripInto(conn net.Conn, begin string) {
	defer conn.Close()
	request, err := http.ReadRequest(bufio.NewReader(conn))
	if err != nil {
		return
	}
	_ = request.Body.Close()
	_, err = conn.Write([]byte(begin))
	for tick := time.NewTicker(20 * time.Millisecond); err == nil; <-tick.C {
		_, err = conn.Write([]byte("x"))
	}
}

func TestReceiverAnswersTenMegabytes(t *testing.T) {
	t.Parallel()
	delivery, try := once(t, newBench(t), receiver(t, func(w http.ResponseWriter, _ *http.Request) {
		piece := []byte(strings.Repeat("\x00\xff", 1<<19))
		for range 10 {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	}), nil)
	require.Equal(t, webhook.Delivered, delivery.State)
	require.Len(t, try.Body, 16<<10)
}

func TestReceiverRedirects(t *testing.T) {
	t.Parallel()
	inner := newInbox(t, nil)
	delivery, try := once(t, newBench(t), receiver(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, inner.url, http.StatusTemporaryRedirect)
	}), nil)
	require.Equal(t, webhook.Retrying, delivery.State)
	require.Equal(t, "answered 307", try.Error)
	require.Contains(t, string(try.Headers), inner.url, "where it led to is kept")
	require.Empty(t, inner.all())
}

// An address that may not be dialled is an attempt that failed, and says nothing
// of the network it stands in. Names that change their answers are package
// guard's to test.
func TestReceiverIsPrivate(t *testing.T) {
	t.Parallel()
	in := newInbox(t, nil)
	address := strings.Replace(in.url, "127.0.0.1", "localhost", 1)
	_, port, err := net.SplitHostPort(strings.TrimPrefix(in.url, "http://"))
	require.NoError(t, err)
	number, err := strconv.ParseUint(port, 10, 16)
	require.NoError(t, err)
	strict := guard.New(guard.Rules{Ports: []uint16{uint16(number)}}).Client(guard.ClientOptions{})
	delivery, try := once(t, newBench(t), address, func(cfg *webhook.Config) { cfg.Client = strict })
	require.Equal(t, webhook.Retrying, delivery.State)
	require.Equal(t, "the address is not allowed", try.Error)
	require.Empty(t, in.all())
}

// Gone disables the endpoint, and keeps the event and all that follow.
func TestReceiverIsGone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	gone := make(chan struct{}, 1)
	gone <- struct{}{}
	in := newInbox(t, func(w http.ResponseWriter, _ letter) {
		select {
		case <-gone:
			w.WriteHeader(http.StatusGone)
		default:
		}
	})
	e, _ := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", "a")
	b.dispatch(nil)
	eventually(t, "disabled", func() bool {
		now, err := b.Endpoint(t.Context(), realm, e.ID)
		require.NoError(t, err)
		return now.DisabledReason == webhook.DisabledGone && now.State() == "disabled"
	})
	b.happen("transfer.confirmed", "b", "c")
	b.settled(e, webhook.Waiting, 3)
	b.change(e, (*webhook.Endpoint).Enable)
	b.settled(e, webhook.Delivered, 3)
	require.Len(t, in.all(), 4)
}

// An endpoint that takes nothing is marked, is probed and not stormed, and gets
// everything once it is well.
func TestFailingEndpoint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	well := make(chan struct{})
	in := newInbox(t, func(w http.ResponseWriter, _ letter) {
		select {
		case <-well:
		default:
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	e, _ := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", many(300)...)
	b.dispatch(nil)
	eventually(t, "marked", func() bool {
		now, err := b.Endpoint(t.Context(), realm, e.ID)
		require.NoError(t, err)
		return now.State() == "failing" && now.FailingError == "answered 502"
	})
	require.LessOrEqual(t, len(in.all()), webhook.DefaultConcurrency+5, "the rest waits")
	close(well)
	b.settled(e, webhook.Delivered, 300)
	now, err := b.Endpoint(t.Context(), realm, e.ID)
	require.NoError(t, err)
	require.Equal(t, "active", now.State())
}

// Endpoints that take their time, however many deliveries they may be sent at once,
// leave room for one that does not.
func TestSlowEndpoints(t *testing.T) {
	t.Parallel()
	const events = 100
	b := newBench(t)
	release := make(chan struct{})
	held := newInbox(t, func(http.ResponseWriter, letter) { <-release })
	defer close(release)
	only := func(kind string) func(*webhook.Endpoint) {
		return func(e *webhook.Endpoint) { e.Events, e.Concurrency = []string{kind}, 64 }
	}
	for range 3 {
		b.endpoint(held.url, only("account.synced"))
	}
	in := newInbox(t, nil)
	e, _ := b.endpoint(in.url, only("transfer.confirmed"))
	b.happen("account.synced", many(events)...)
	b.dispatch(func(cfg *webhook.Config) { cfg.Flying, cfg.Timeout = 60, time.Hour })
	eventually(t, "the slow ones have taken what they can", func() bool { return len(held.all()) >= 3*webhook.FirstConcurrency })
	b.happen("transfer.confirmed", many(events)...)
	b.settled(e, webhook.Delivered, events)
	require.Len(t, held.all(), 3*webhook.FirstConcurrency)
}

// What stands in a URL behind the host often lets in whoever knows it: the log, which
// others read than the endpoint's owner, does not have it.
func TestLogHasNoURL(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	closed := httptest.NewServer(nil)
	closed.Close()
	b := newBench(t)
	e, _ := b.endpoint(closed.URL+"/hooks/T0KEN?key=T0KEN", nil)
	b.happen("transfer.confirmed", "a")
	_, stop := b.dispatch(func(cfg *webhook.Config) { cfg.Log = zerolog.New(&log) })
	b.settled(e, webhook.Retrying, 1)
	stop()
	_, tries := b.attempts(e)
	require.Equal(t, "connection refused", tries[0].Error)
	require.Contains(t, log.String(), `"cause":"dial tcp 127.0.0.1`)
	require.NotContains(t, log.String(), "T0KEN")
}

// leaving is an outbox whose secrets are not read before the dispatcher is to end.
type leaving struct {
	webhook.Outbox

	asked chan struct{}
}

func (l leaving) Secrets(ctx context.Context, _ uuid.UUID) ([]webhook.Secret, int64, error) {
	select {
	case l.asked <- struct{}{}:
	default:
	}
	<-ctx.Done()
	return nil, 0, ctx.Err()
}

// What was claimed and not begun when a dispatcher ends is another's at once, and no
// attempt was made.
func TestEndBeforeAttempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := newInbox(t, nil)
	e, _ := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", "a", "b")
	asked := make(chan struct{}, 1)
	_, stop := b.dispatch(func(cfg *webhook.Config) { cfg.Outbox = leaving{Outbox: b.Store, asked: asked} })
	<-asked
	stop()
	var attempts, due int
	require.NoError(t, b.pool.QueryRow(t.Context(), `SELECT (SELECT count(*) FROM attempts), count(*) FROM deliveries WHERE due_at <= now()`).Scan(&attempts, &due))
	require.Equal(t, []int{0, 2}, []int{attempts, due})
	b.dispatch(nil)
	b.settled(e, webhook.Delivered, 2)
}
