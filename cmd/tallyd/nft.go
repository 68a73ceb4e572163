package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"tallyd/chains"
	"tallyd/chains/guard"
	"tallyd/chains/nft"
	"tallyd/config"
	"tallyd/indexer"
)

// describer reads the metadata of NFTs.
type describer struct {
	*nft.Reader
	clients []*http.Client
}

// newDescriber returns a describer. The operator's gateway is dialled wherever it
// is; whatever it or a contract leads to is guarded.
func newDescriber(cfg config.NFT) (*describer, error) {
	d := &describer{}
	reading := nft.Config{
		Refused: guard.ErrRefused, Timeout: cfg.Timeout, MaxBytes: cfg.MaxBytes, AllowHTTP: cfg.AllowHTTP, Agent: userAgent(),
	}
	// What is longer than is taken must be seen to be.
	opts := guard.ClientOptions{Body: math.MaxInt64}
	if cfg.Servers.On() {
		rules := guard.Rules{}
		for _, network := range cfg.Allow {
			rules.Allow = append(rules.Allow, network.Prefix)
		}
		reading.Client = d.client(rules, opts)
	}
	if address := cfg.Gateway.Reveal(); address != "" {
		gateway, err := url.Parse(address)
		if err != nil {
			return nil, errors.New("nft.gateway: it is malformed")
		}
		everywhere := []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
		reading.Gateway, reading.GatewayClient = gateway, d.client(guard.Rules{Allow: everywhere}, opts)
	}
	d.Reader = nft.NewReader(reading)
	return d, nil
}

func (d *describer) client(rules guard.Rules, opts guard.ClientOptions) *http.Client {
	client := guard.New(rules).Client(opts)
	d.clients = append(d.clients, client)
	return client
}

// close ends the connections that are kept.
func (d *describer) close() {
	for _, client := range d.clients {
		client.CloseIdleConnections()
	}
}

// nearby is what dev lets metadata be read from.
func nearby() config.NFT {
	return config.NFT{AllowHTTP: true, Allow: loopback().Allow, Timeout: 10 * time.Second, Concurrency: 8}
}

// describe looks at the metadata of a chain's NFTs.
func (d *daemon) describe(ctx context.Context, slug string) error {
	source, ok := d.sources.Get(slug)
	if !ok {
		return fmt.Errorf("chain %s is not open here", slug)
	}
	describing := indexer.Describing{
		Source: source, Gallery: d.store, Documents: d.describer, AtOnce: d.cfg.NFT.Concurrency, Refresh: d.cfg.NFT.Refresh,
		Log: d.log.With().Str("chain", slug).Logger(),
	}
	return describing.Run(ctx) //nolint:wrapcheck // it says what it was doing
}

// describeSoon returns the job that asks for metadata that is due to be looked at.
func (d *daemon) describeSoon() indexer.Job {
	return indexer.Job{
		Name: "describe", Spec: "@every 2s",
		Run: func(ctx context.Context) error {
			var faults []error
			for _, source := range d.sources.All() {
				if _, able := source.(chains.NFTReader); able {
					faults = append(faults, d.describeDue(ctx, source.Chain().Slug))
				}
			}
			return errors.Join(faults...)
		},
	}
}

func (d *daemon) describeDue(ctx context.Context, slug string) error {
	due, err := d.store.DueNFTs(ctx, slug)
	if err != nil || !due {
		return err //nolint:wrapcheck // the store says what it was doing
	}
	return d.jobs.EnqueueNFTs(ctx, slug) //nolint:wrapcheck // the client says what it was doing
}
