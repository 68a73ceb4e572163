package main

import (
	"context"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"tallyd/api"
	"tallyd/store"
)

// loadGauges tells what custody and webhooks have under way when it is scraped, and
// what the last check of the ledger found.
type loadGauges struct {
	store  *store.Store
	faults *atomic.Int64 // negative before the first check

	withdrawals, waiting, overdue, endpoints, ledger *prometheus.Desc
}

func newLoadGauges(s *store.Store, faults *atomic.Int64) *loadGauges {
	return &loadGauges{
		store: s, faults: faults,
		withdrawals: prometheus.NewDesc("tallyd_withdrawals", "Withdrawals that have not ended, by chain and status.", []string{"chain", "status"}, nil),
		waiting:     prometheus.NewDesc("tallyd_deliveries_waiting", "Webhook deliveries still to be made, without those of disabled endpoints.", nil, nil),
		overdue:     prometheus.NewDesc("tallyd_deliveries_overdue_seconds", "For how long the oldest of them has been due.", nil, nil),
		endpoints:   prometheus.NewDesc("tallyd_endpoints", "Webhook endpoints, by state: working, failing, disabled.", []string{"state"}, nil),
		ledger:      prometheus.NewDesc("tallyd_ledger_faults", "What did not add up in the ledger when this process last checked it.", nil, nil),
	}
}

// Describe names the gauges.
func (g *loadGauges) Describe(out chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.withdrawals, g.waiting, g.overdue, g.endpoints, g.ledger} {
		out <- d
	}
}

// Collect counts. While the store does not answer there is no number.
func (g *loadGauges) Collect(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), api.ScrapeTime)
	defer cancel()
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	if faults := g.faults.Load(); faults >= 0 {
		gauge(g.ledger, float64(faults))
	}
	open, err := g.store.OpenWithdrawals(ctx)
	if err != nil {
		return // tallyd_store_up says so
	}
	for _, w := range open {
		gauge(g.withdrawals, float64(w.Count), w.Chain, string(w.Status))
	}
	load, err := g.store.WebhookLoad(ctx)
	if err != nil {
		return
	}
	gauge(g.waiting, float64(load.Waiting))
	gauge(g.overdue, load.Overdue.Seconds())
	for _, state := range []string{"working", "failing", "disabled"} {
		gauge(g.endpoints, float64(load.Endpoints[state]), state)
	}
}
