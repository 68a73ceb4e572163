package api

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// ScrapeTime is how long a scrape waits for the store.
const ScrapeTime = 2 * time.Second

// traffic counts requests by route pattern, never by path: ids would make a
// series each.
type traffic struct {
	requests *prometheus.CounterVec
	duration *prometheus.HistogramVec
	refusals *prometheus.CounterVec
}

func newTraffic(registry *prometheus.Registry, chains Chains) (*traffic, error) {
	t := &traffic{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyd_http_requests_total", Help: "Requests served, by method, route and status.",
		}, []string{"method", "route", "status"}),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "tallyd_http_request_duration_seconds", Help: "Time to answer, by method and route.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}, []string{"method", "route"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "tallyd_refusals_total", Help: "Requests refused without a key that is known, by code of the problem.",
		}, []string{"code"}),
	}
	for _, c := range []prometheus.Collector{t.requests, t.duration, t.refusals, newChainGauges(chains)} {
		if err := registry.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return t, nil
}

func (t *traffic) count(method, route string, status int, took time.Duration) {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
	default:
		// A method is free text: a caller must not be able to make series.
		method = "other"
	}
	t.requests.WithLabelValues(method, route, strconv.Itoa(status)).Inc()
	t.duration.WithLabelValues(method, route).Observe(took.Seconds())
}

// chainGauges reads the state of every chain when it is scraped.
type chainGauges struct {
	chains                               Chains
	up, height, head, state, halted, scr *prometheus.Desc
}

func newChainGauges(chains Chains) *chainGauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc("tallyd_chain_"+name, help, append([]string{"chain"}, labels...), nil)
	}
	return &chainGauges{
		chains: chains,
		up:     prometheus.NewDesc("tallyd_store_up", "1 if the state of the chains could be read.", nil, nil),
		height: desc("height", "Tip of the ledger."),
		head:   desc("head", "Best height seen at the node."),
		state:  desc("state", "1 for the state the chain is in.", "state"),
		halted: desc("credits_halted", "1 while deposits are not credited until an operator resumes the chain, else 0."),
		scr:    desc("scripts", "Scripts watched."),
	}
}

// Describe names the gauges.
func (g *chainGauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.up, g.height, g.head, g.state, g.halted, g.scr} {
		out <- d
	}
}

// Collect reads the gauges. A chain without a block has no height, and one whose
// node never answered has no head: neither is 0.
func (g *chainGauges) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), ScrapeTime)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	all, err := g.chains.ChainStatuses(ctx)
	if err != nil {
		gauge(g.up, 0)
		return
	}
	gauge(g.up, 1)
	for _, c := range all {
		if !c.Tip.Hash.IsZero() {
			gauge(g.height, float64(c.Tip.Height), c.Chain)
		}
		if !c.Tip.Hash.IsZero() || c.Head > 0 {
			gauge(g.head, float64(c.Head), c.Chain)
		}
		gauge(g.state, 1, c.Chain, c.State)
		halted := 0.0
		if c.Halted != "" {
			halted = 1
		}
		gauge(g.halted, halted, c.Chain)
		gauge(g.scr, float64(c.Scripts), c.Chain)
	}
}
