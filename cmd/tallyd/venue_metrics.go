package main

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"tallyd/api"
	"tallyd/store"
)

// venueTraffic counts what is asked of venues, by host: the hosts are those that
// venues declare, or the settings name.
type venueTraffic struct {
	next     http.RoundTripper
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
}

func newVenueTraffic() *venueTraffic {
	return &venueTraffic{
		next: http.DefaultTransport,
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyd_venue_requests_total", Help: "Requests sent to venues, by host and status; none without an answer.",
		}, []string{"host", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyd_venue_request_duration_seconds", Help: "Time until a venue began to answer, by host.",
			Buckets: []float64{.025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"host"}),
	}
}

// RoundTrip sends one request and counts it.
func (t *venueTraffic) RoundTrip(r *http.Request) (*http.Response, error) {
	began := time.Now()
	response, err := t.next.RoundTrip(r)
	status := "none"
	if err == nil {
		status = strconv.Itoa(response.StatusCode)
	}
	t.requests.WithLabelValues(r.URL.Host, status).Inc()
	t.duration.WithLabelValues(r.URL.Host).Observe(time.Since(began).Seconds())
	return response, err //nolint:wrapcheck // an http.RoundTripper returns what the one below it does
}

// venueGauges counts accounts at venues when it is scraped.
type venueGauges struct {
	store    *store.Store
	accounts *prometheus.Desc
}

func newVenueGauges(s *store.Store) *venueGauges {
	return &venueGauges{store: s, accounts: prometheus.NewDesc(
		"tallyd_venue_accounts", "Accounts at venues, by venue, environment and status.", []string{"venue", "environment", "status"}, nil,
	)}
}

// Describe names the gauge.
func (g *venueGauges) Describe(out chan<- *prometheus.Desc) { out <- g.accounts }

// Collect counts. While the store does not answer there is no number.
func (g *venueGauges) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), api.ScrapeTime)
	defer cancel()
	counts, err := g.store.VenueCounts(ctx)
	if err != nil {
		return // tallyd_store_up says so
	}
	type key struct{ venue, environment, status string }
	sums := map[key]int64{}
	for _, c := range counts {
		sums[key{c.Venue, string(c.Realm.Environment), c.Status}] += c.Accounts
	}
	for k, n := range sums {
		out <- prometheus.MustNewConstMetric(g.accounts, prometheus.GaugeValue, float64(n), k.venue, k.environment, k.status)
	}
}
