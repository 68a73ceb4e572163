package webhook_test

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/indexer"
	"tallyd/store"
)

// kills is how often the daemon dies in the test of that.
var kills = flag.Int("webhook.kills", 2, "how often TestKilled kills the daemon while 6000 events are under way")

// sendOnly is what a daemon does about events: it numbers and sends them.
func sendOnly(url, stopAt string) error {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	go func() {
		defer stop()
		_, _ = io.Copy(io.Discard, os.Stdin)
	}()
	var once sync.Once
	opts := options(url)
	opts.Failpoint = func(name string) error {
		if name == stopAt {
			once.Do(func() {
				fmt.Println("stops")
				_ = syscall.Kill(os.Getpid(), syscall.SIGSTOP)
			})
		}
		return nil
	}
	s, err := store.Open(ctx, opts)
	if err != nil {
		return fmt.Errorf("open store: %w", err)
	}
	defer s.Close()
	go func() {
		_ = indexer.Numbering{Sequencer: s, Owner: uuid.New(), Every: 20 * time.Millisecond, Log: zerolog.Nop()}.Run(ctx)
	}()
	d := webhook.New(webhook.Config{Outbox: s, Client: client(), Owner: uuid.New(), Agent: "tallyd/test", Log: zerolog.Nop()})
	fmt.Println("up")
	_ = d.Run(ctx) // it returns the cause of ctx's end
	return nil
}

// child is such a daemon in a process of its own.
type child struct {
	*exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func (b *bench) child(settings ...string) *child {
	b.Helper()
	program, err := os.Executable()
	require.NoError(b, err)
	// It ends when its input does: also when this test is killed.
	c := &child{Cmd: exec.CommandContext(context.WithoutCancel(b.Context()), program)}
	c.Env = append(append(os.Environ(), childVariable+"="+b.url), settings...)
	c.Stderr = os.Stderr
	c.in, err = c.StdinPipe()
	require.NoError(b, err)
	out, err := c.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, c.Start())
	c.out = bufio.NewReader(out)
	c.says(b, "up")
	return c
}

// says waits until it has said a line.
func (c *child) says(t testing.TB, line string) {
	t.Helper()
	said, err := c.out.ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, line+"\n", said)
}

// signal sends a signal, and after a deadly one waits for the end.
func (c *child) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	require.NoError(t, c.Process.Signal(s))
	if s == syscall.SIGKILL {
		_ = c.Wait() // it says that it was killed
	}
}

// end stops it in good order.
func (c *child) end(t testing.TB) {
	t.Helper()
	require.NoError(t, c.in.Close())
	require.NoError(t, c.Wait())
}

// slow takes its time, as receivers do.
func slow(http.ResponseWriter, letter) {
	timer := time.NewTimer(time.Duration(rand.IntN(20)) * time.Millisecond)
	<-timer.C
}

// TestKilled kills the daemon while 6 000 events are under way to a slow receiver.
// Every event arrives; those that arrive twice were under way at a kill.
func TestKilled(t *testing.T) {
	t.Parallel()
	const events = 6000
	b := newBench(t)
	in := newInbox(t, slow)
	e, secret := b.endpoint(in.url, func(e *webhook.Endpoint) { e.Concurrency = 64 })
	resources := many(events)
	b.happen("transfer.confirmed", resources[:events/2]...)
	later := make(chan struct{})
	go func() {
		defer close(later)
		b.happenLater("transfer.confirmed", resources[events/2:])
	}()
	flying := map[int64]int{} // kills at which an event was under way
	for i := range *kills {
		c := b.child()
		want := events * (i + 1) / (*kills + 2)
		eventually(t, "some have come", func() bool { return in.distinct() >= want })
		c.signal(t, syscall.SIGKILL)
		for _, seq := range b.leased(e) {
			flying[seq]++
		}
	}
	died := time.Now()
	before := len(in.all())
	last := b.child()
	eventually(t, "it goes on", func() bool { return len(in.all()) > before })
	require.Less(t, time.Since(died), 5*time.Second)
	<-later
	b.settled(e, webhook.Delivered, events)
	last.end(t)
	require.Equal(t, events, in.distinct(), "nothing is lost")
	times := map[int64]int{}
	for _, l := range in.all() {
		times[l.Sequence]++
	}
	for seq, n := range times {
		require.LessOrEqual(t, n, 1+flying[seq], "event %d came again without having been under way", seq)
	}
	t.Logf("%d deliveries of %d events in %d kills", len(in.all()), events, *kills)
	require.Equal(t, len(in.all()), in.verify(t, secret))
}

// leased returns the events that a process holds to send to an endpoint, or held
// when it died.
func (b *bench) leased(e webhook.Endpoint) []int64 {
	b.Helper()
	rows, err := b.pool.Query(b.Context(), `SELECT seq FROM deliveries WHERE endpoint_id = $1 AND lease IS NOT NULL`, e.ID)
	require.NoError(b, err)
	held, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	require.NoError(b, err)
	return held
}

// A process that is stopped for longer than it is believed to live has lost what
// it held: another sends it, and what the first one has to say later is not heard.
func TestStopped(t *testing.T) {
	t.Parallel()
	const events = 200
	b := newBench(t)
	held := make(chan struct{})
	in := newInbox(t, func(w http.ResponseWriter, l letter) {
		if l.headers.Get("X-Webhook-Signature") != "" && l.ResourceVersion <= 5 {
			select {
			case <-held: // the stopped one's requests hang, the others' do not
			default:
				<-held
				w.WriteHeader(http.StatusInternalServerError)
			}
		}
	})
	e, _ := b.endpoint(in.url, nil)
	first := b.child()
	b.happen("transfer.confirmed", many(events)...)
	eventually(t, "five hang", func() bool { return b.states(e)[webhook.Sending] == 5 && in.distinct() == events })
	first.signal(t, syscall.SIGSTOP)
	close(held)
	second := b.child()
	b.settled(e, webhook.Delivered, events)
	first.signal(t, syscall.SIGCONT)
	first.end(t)
	second.end(t)
	require.Equal(t, map[webhook.State]int{webhook.Delivered: events}, b.states(e), "what was said too late did not count")
	require.Equal(t, events, in.distinct())
	require.LessOrEqual(t, len(in.all()), events+5)
}

// Wherever a daemon is stopped between the numbering of an event and the outcome of
// its delivery, it holds nothing that keeps another from doing all of it.
func TestStoppedAnywhere(t *testing.T) {
	t.Parallel()
	for _, failpoint := range store.Failpoints() {
		verb, _, _ := strings.Cut(failpoint, ".")
		if !slices.Contains([]string{"number", "fan_out", "claim", "complete", "beat", "take_over"}, verb) {
			continue
		}
		t.Run(failpoint, func(t *testing.T) {
			t.Parallel()
			const events = 20
			b := newBench(t)
			in := newInbox(t, nil)
			e, _ := b.endpoint(in.url, nil)
			first := b.child(stopVariable + "=" + failpoint)
			b.happenLater("transfer.confirmed", many(events))
			first.says(t, "stops")
			b.happenLater("transfer.confirmed", many(events))
			second := b.child()
			b.settled(e, webhook.Delivered, 2*events)
			first.signal(t, syscall.SIGCONT)
			first.end(t)
			second.end(t)
			require.Equal(t, map[webhook.State]int{webhook.Delivered: 2 * events}, b.states(e))
			require.Equal(t, 2*events, in.distinct())
			require.LessOrEqual(t, len(in.all()), 3*events, "only what was under way came twice")
		})
	}
}
