package webhook_test

import (
	"encoding/json"
	"flag"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
)

// fan is how many endpoints share the events of a burst.
var fan = flag.Int("webhook.endpoints", 8, "endpoints that BenchmarkBurst sends to")

// BenchmarkBurst sends what has piled up: every delivery signed, through the
// guard, with its attempt logged, to a receiver in the same process.
func BenchmarkBurst(b *testing.B) {
	const events = 2500
	for b.Loop() {
		b.StopTimer()
		bench := newBench(b)
		var taken atomic.Int64
		all := make(chan struct{})
		want := int64(events * *fan)
		url := receiver(b, func(http.ResponseWriter, *http.Request) {
			if taken.Add(1) == want {
				close(all)
			}
		})
		for range *fan {
			bench.endpoint(url, func(e *webhook.Endpoint) { e.Concurrency = 64 })
		}
		bench.happen("transfer.confirmed", many(events)...)
		b.StartTimer()
		began := time.Now()
		_, stop := bench.dispatch(nil)
		<-all
		b.ReportMetric(float64(want)/time.Since(began).Seconds(), "deliveries/s")
		b.StopTimer()
		stop()
		b.StartTimer()
	}
}

// latencies are how long deliveries took, from the commit of the event.
type latencies struct {
	mu   sync.Mutex
	took []time.Duration
}

func (l *latencies) add(took time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = append(l.took, took)
}

// at returns the quantile of q percent.
func (l *latencies) at(q int) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	slices.Sort(l.took)
	return l.took[min(len(l.took)*q/100, len(l.took)-1)]
}

func (l *latencies) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.took)
}

// steady commits events one by one at a rate and wakes numbering and dispatcher as
// the daemon does, until n have arrived at the receiver.
func steady(b *testing.B, bench *bench, d *webhook.Dispatcher, rate, n int) {
	b.Helper()
	wrote, ended := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(ended)
		for range wrote {
			if count, err := bench.Number(b.Context(), bench.number, 1000); err == nil && count > 0 {
				d.Wake()
			}
		}
	}()
	tick := time.NewTicker(time.Second / time.Duration(rate))
	defer tick.Stop()
	for i := range n {
		<-tick.C
		// The moment is taken before the commit, so the figure includes it.
		_, err := bench.pool.Exec(b.Context(), `INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
			VALUES ($1, $2, 'transfer.confirmed', 'btc', $3, 1, jsonb_build_object('at', $4::text))`,
			realm.Tenant, string(realm.Environment), strconv.Itoa(i), strconv.FormatInt(time.Now().UnixNano(), 10))
		require.NoError(b, err)
		select {
		case wrote <- struct{}{}:
		default:
		}
	}
	close(wrote)
	<-ended
	bench.numbered()
	d.Wake()
}

// measured is a receiver that knows when its events were committed.
func measured(b *testing.B) (string, *latencies) {
	b.Helper()
	seen := &latencies{}
	return receiver(b, func(_ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var message struct{ Data struct{ At string } }
		if json.NewDecoder(r.Body).Decode(&message) == nil {
			if at, err := strconv.ParseInt(message.Data.At, 10, 64); err == nil {
				seen.add(now.Sub(time.Unix(0, at)))
			}
		}
	}), seen
}

// BenchmarkLatency measures commit to receipt at 300 events a second.
func BenchmarkLatency(b *testing.B) {
	const rate, n = 300, 1500
	for b.Loop() {
		bench := newBench(b)
		url, seen := measured(b)
		bench.endpoint(url, nil)
		d, stop := bench.dispatch(nil)
		steady(b, bench, d, rate, n)
		eventually(b, "all arrived", func() bool { return seen.count() >= n })
		stop()
		b.ReportMetric(float64(seen.at(50).Microseconds())/1000, "p50-ms")
		b.ReportMetric(float64(seen.at(99).Microseconds())/1000, "p99-ms")
	}
}

// BenchmarkIsolation measures the same beside 99 other endpoints that get every
// event too, once all healthy and once half of them dead in three ways.
func BenchmarkIsolation(b *testing.B) {
	const rate, n, others = 10, 600, 99
	for _, dead := range []int{0, 50} {
		b.Run(strconv.Itoa(dead)+"dead", func(b *testing.B) {
			for b.Loop() {
				bench := newBench(b)
				url, seen := measured(b)
				bench.endpoint(url, nil)
				well := receiver(b, func(http.ResponseWriter, *http.Request) {})
				broken := receiver(b, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) })
				hangs := receiver(b, hang)
				for i := range others {
					at := well
					if i < dead {
						at = []string{broken, hangs, "http://127.0.0.1:1/"}[i%3]
					}
					bench.endpoint(at, nil)
				}
				d, stop := bench.dispatch(func(cfg *webhook.Config) { cfg.Timeout = 5 * time.Second })
				steady(b, bench, d, rate, n)
				eventually(b, "all arrived", func() bool { return seen.count() >= n })
				stop()
				b.ReportMetric(float64(seen.at(50).Microseconds())/1000, "p50-ms")
				b.ReportMetric(float64(seen.at(99).Microseconds())/1000, "p99-ms")
			}
		})
	}
}
