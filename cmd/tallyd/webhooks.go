package main

import (
	"context"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/rs/zerolog"

	"tallyd/api/webhook"
	"tallyd/chains/guard"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/store"
)

// webhooks is what sends events, and what streams them.
type webhooks struct {
	*webhook.Dispatcher

	cfg    config.Webhooks
	store  *store.Store
	guard  *guard.Guard
	client *http.Client
	stream *webhook.Stream
	log    zerolog.Logger
}

func newWebhooks(cfg config.Webhooks, s *store.Store, owner uuid.UUID, log zerolog.Logger) *webhooks {
	rules := guard.Rules{}
	for _, network := range cfg.Allow {
		rules.Allow = append(rules.Allow, network.Prefix)
	}
	for _, port := range cfg.Ports {
		rules.Ports = append(rules.Ports, uint16(port))
	}
	w := &webhooks{cfg: cfg, store: s, guard: guard.New(rules), stream: webhook.NewStream(s), log: log}
	w.client = w.guard.Client(guard.ClientOptions{Body: webhook.BodyLimit, Conns: webhook.MaxConcurrency})
	w.Dispatcher = webhook.New(webhook.Config{
		Outbox: s, Client: w.client, Refused: guard.ErrRefused, Owner: owner, Agent: userAgent(), Timeout: cfg.Timeout,
		Keep: w.keep(), Flying: cfg.Concurrency, Log: log,
	})
	return w
}

// keep is how long the log of deliveries is kept.
func (w *webhooks) keep() time.Duration { return time.Duration(w.cfg.KeepDays) * 24 * time.Hour }

func userAgent() string { return "tallyd/" + version }

// Run sends until ctx ends.
func (w *webhooks) Run(ctx context.Context) error {
	defer w.client.CloseIdleConnections()
	// Streams end when the server is told to, or it would wait for them.
	var streaming sync.WaitGroup
	defer streaming.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	streaming.Go(func() { _ = w.stream.Run(ctx, w.log) })
	return w.Dispatcher.Run(ctx) //nolint:wrapcheck // it returns ctx's cause
}

// mount adds the operations of webhooks and of the stream.
func (w *webhooks) mount(api huma.API, gate webhook.Gate) {
	w.stream.Mount(api, gate, eventTypes())
	webhook.Mount(api, webhook.SurfaceConfig{
		Gate: gate, Endpoints: w.store, Deliveries: w.store, Types: eventTypes(), Agent: userAgent(),
		Keep: w.keep(), AllowHTTP: w.cfg.AllowHTTP, Check: w.guard.Check,
	})
}

// announced is the numbering of events that wakes those who wait for numbers.
type announced struct {
	indexer.Sequencer
	*webhooks
}

// Number implements indexer.Sequencer.
func (a announced) Number(ctx context.Context, owner uuid.UUID, limit int) (int, error) {
	count, err := a.Sequencer.Number(ctx, owner, limit)
	if count > 0 {
		a.Wake()
		a.stream.Wake()
	}
	return count, err //nolint:wrapcheck // the store says what it was doing
}

// loopback is what dev lets webhooks go to.
func loopback() config.Webhooks {
	return config.Webhooks{
		AllowHTTP: true,
		Allow:     []config.Network{{Prefix: netip.MustParsePrefix("127.0.0.0/8")}, {Prefix: netip.MustParsePrefix("::1/128")}},
	}
}
