package main

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/accounts"
	"tallyd/api/keys"
	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/indexer/prices"
)

// serveNeeds are the settings that serve cannot do without.
func serveNeeds() []string {
	return []string{"database.url", "api.master_key", "api.key_pepper", "api.jwt_seed", keysetSetting}
}

func serveCommand(logDriver func(zerolog.Logger)) *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Follow the configured chains and serve the API",
		Long: `Serve follows every configured chain and serves the API until it is told to stop
(Ctrl-C or SIGTERM). The database must be migrated.

Any number of them may run on one database: each chain is followed by one at a
time, and within seconds by another when that one dies.`,
		Example: "  tallyd serve --config tallyd.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, log, err := settings(cmd, serveNeeds()...)
			if err != nil {
				return err
			}
			if len(cfg.Chains) == 0 {
				return errNoChain
			}
			listener, err := listen(cmd.Context(), cfg.Listen, "listen in the settings")
			if err != nil {
				return err
			}
			defer listener.Close()
			if !cfg.API.Secure.On() && !onlyHere(listener.Addr()) {
				return fmt.Errorf("api.secure is false, and others than this machine reach %s", listener.Addr())
			}
			logDriver(log)
			return run(cmd.Context(), cfg, listener, log, nil, func(*daemon) {
				fmt.Fprintf(cmd.OutOrStdout(), "tallyd %s serves http://%s\n", version, listener.Addr())
				if !cfg.API.Secure.On() {
					fmt.Fprintln(cmd.OutOrStdout(), "SECURE MODE IS OFF: whoever is on this machine may do everything, without a key")
				}
			})
		},
	}
}

// listen opens the API's address before anything else is opened. How says where
// the operator chooses it.
func listen(ctx context.Context, address, how string) (net.Listener, error) {
	var cfg net.ListenConfig
	listener, err := cfg.Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("listen on %s: another program listens there; choose another address (%s)", address, how)
	}
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", address, err)
	}
	return listener, nil
}

// onlyHere reports whether only this machine reaches an address. A name in the
// settings may stand for any.
func onlyHere(address net.Addr) bool {
	tcp, ok := address.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// serve answers HTTP until ctx ends, and then lets requests under way finish.
func (d *daemon) serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := api.NewServer(handler, d.log)
	// The gate looks after requests until the last one is done.
	looking, done := context.WithCancel(context.WithoutCancel(ctx))
	var gate sync.WaitGroup
	gate.Go(func() { _ = d.gate.Run(looking, d.log) }) // it returns the cause of that, which we know
	defer gate.Wait()
	defer done()
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serve HTTP: %w", err)
	case <-ctx.Done():
	}
	const grace = 5 * time.Second
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := server.Shutdown(closing); err != nil {
		d.log.Warn().Err(err).Msg("requests cut off")
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve HTTP: %w", err)
	}
	return context.Cause(ctx)
}

func (d *daemon) openGate() (*access.Gate, error) {
	seeds, err := d.cfg.API.Seeds()
	if err != nil {
		return nil, fmt.Errorf("api.jwt_seed: %w", err)
	}
	tokens, err := access.NewTokens(seeds[0], nil, seeds[1:]...)
	if err != nil {
		return nil, fmt.Errorf("api.jwt_seed: %w", err)
	}
	cfg := access.Config{
		Keys: d.store, Changed: d.store, Requests: d.store, Replays: d.replays, Limiter: d.limiter, Tokens: tokens,
		Master: d.cfg.API.MasterKey.Reveal(), Environment: d.environment(), Open: !d.cfg.API.Secure.On(),
		Limits: access.Limits{
			Custody: d.cfg.API.Limits.CustodyPerMinute, Other: d.cfg.API.Limits.PerMinute, Anonymous: d.cfg.API.Limits.AnonymousPerMinute,
		},
	}
	for i, pepper := range d.cfg.API.Peppers() {
		if i == 0 {
			cfg.Pepper = pepper
		} else {
			cfg.Accepted = append(cfg.Accepted, pepper)
		}
	}
	for _, network := range d.cfg.API.TrustedProxies {
		cfg.Proxies = append(cfg.Proxies, network.Prefix)
	}
	gate, err := access.NewGate(cfg)
	if err != nil {
		return nil, fmt.Errorf("open the gate: %w", err)
	}
	return gate, nil
}

// environment is the master key's: test where every chain is a test chain, as in
// tallyd dev, else live.
func (d *daemon) environment() chains.Environment {
	for _, c := range d.cfg.Chains {
		if chains.Environment(c.Environment) != chains.Test {
			return chains.Live
		}
	}
	if len(d.cfg.Chains) == 0 {
		return chains.Live
	}
	return chains.Test
}

func (d *daemon) router() (*api.Router, error) {
	metrics := prometheus.NewRegistry()
	metrics.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	metrics.MustRegister(newVenueGauges(d.store), newLoadGauges(d.store, &d.faults), d.asked.requests, d.asked.duration)
	router, err := api.New(api.Config{
		Version: version, Log: d.log, Gate: d.gate, Events: d.store, Chains: d.status, Store: d.store, Metrics: metrics,
		BodyLimit: d.cfg.API.BodyLimit, PublicURL: d.cfg.API.PublicURL, Streams: []string{webhook.StreamPath},
	})
	if err != nil {
		return nil, fmt.Errorf("make the router: %w", err)
	}
	gaps := map[string]uint32{}
	var providers []accounts.Provider
	for _, slug := range slices.Sorted(maps.Keys(d.cfg.Chains)) {
		c := d.cfg.Chains[slug]
		gaps[slug] = followConfig(c).Gap
		providers = append(providers, accounts.NewProvider(slug, chains.Family(c.Family), chains.Environment(c.Environment)))
	}
	connections := indexer.Connections{Accounts: d.store, Sources: &d.sources, Gap: gaps, Search: d.searchNow}
	// Cursors need a key that all instances share and nobody else has.
	cursorKey := sha256.Sum256([]byte("cursor:" + d.cfg.API.KeyPepper.Reveal()))
	accounts.Mount(router.Operations(), accounts.Config{
		Gate: d.gate, Users: d.store, UserChanges: d.store, Accounts: d.store, Balances: d.store, Vaults: d.store, States: d.status,
		Transactions: d.store, NFTs: d.store, Connections: connections, Providers: providers, CursorKey: cursorKey[:],
		Venues: venuesInUse(d.cfg.Venues), Logins: d.logins(), VenueAccounts: d.store, VenueCounts: d.store,
		Past: d.store, Prices: &prices.Book{Rates: d.store, Names: d.prices.names}, Names: d.prices.names,
	})
	d.mountCustody(router.Operations())
	d.hooks.mount(router.Operations(), d.gate)
	keys.Mount(router.Operations(), keys.Config{
		Gate: d.gate, Keys: d.store, Tenants: d.store, Audit: d.store, Pepper: access.Pepper(d.cfg.API.KeyPepper.Reveal()),
	})
	return router, nil
}
