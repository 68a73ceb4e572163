package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/accounts"
	"tallyd/chains"
	"tallyd/chains/venue"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/indexer/custody"
	"tallyd/store"
	"tallyd/store/jobs"
	"tallyd/store/synccache"
)

// A chain whose nodes do not answer at start, or serve another network, is tried again
// after openRetry.
const openRetry = 5 * time.Second

// daemon is one running tallyd: everything that is open, and what runs on it.
type daemon struct {
	cfg     config.Config
	log     zerolog.Logger
	owner   uuid.UUID // of this process, in every lease
	store   *store.Store
	state   indexer.SyncState // nothing is kept where there is no Redis
	status  statuses          // the cache, or the ledger itself
	limiter access.Limiter
	replays access.Replays
	jobs    *jobs.Client
	sources indexer.Sources // those whose chain the ledger knows
	venues  *venue.Transport
	budgets venue.Budgets // nil counts in this process
	asked   *venueTraffic
	poller  *indexer.Poller
	hooks   *webhooks
	gate    *access.Gate
	prices  *pricing
	wrote   chan struct{} // one slot: events wait to be numbered
	paying  wakes
	opening wakes // accounts wait for their first balance

	describer *describer   // of NFTs
	faults    atomic.Int64 // of the ledger when it was last checked, negative before
}

// run opens everything cfg names, serves on listener, calls ready, and goes on
// until ctx ends. It closes what it opened. The database must be migrated.
func run(ctx context.Context, cfg config.Config, listener net.Listener, log zerolog.Logger, failpoint func(string) error, ready func(*daemon)) error {
	d := &daemon{
		cfg: cfg, log: log, owner: uuid.New(), wrote: make(chan struct{}, 1), paying: newWakes(cfg.Chains), opening: newWakes(cfg.Chains),
		asked: newVenueTraffic(),
	}
	d.faults.Store(-1)
	warnMisplaced(cfg, log)
	var err error
	if d.prices, err = newPricing(cfg.Prices, log); err != nil {
		return err
	}
	if d.store, err = openLedger(ctx, cfg, log, failpoint); err != nil {
		return err
	}
	defer d.store.Close()
	d.state, d.status, d.limiter, d.replays = unkept{}, d.store, access.NewLocal(nil), d.store
	if url := cfg.Redis.URL.Reveal(); url != "" {
		cache, err := synccache.New(url, d.store, log)
		if err != nil {
			return fmt.Errorf("open Redis: %w", err)
		}
		defer cache.Close()
		d.state, d.status, d.limiter, d.replays = cache, cache, cache.Limiter(), cache.Replays(d.store)
		d.budgets = cache.Budgets()
	}
	if err = d.openVenues(); err != nil {
		return err
	}
	if d.describer, err = newDescriber(cfg.NFT); err != nil {
		return err
	}
	defer d.describer.close()
	work := jobsConfig(cfg.Venues)
	work.Pool, work.PollOnly, work.Searches, work.Search = d.store.Pool(), d.store.PollOnly(), d.store, d.search
	work.Visit, work.Describe, work.Log = d.poller.Visit, d.describe, log
	d.jobs, err = jobs.New(work)
	if err != nil {
		return fmt.Errorf("open jobs: %w", err)
	}
	defer d.closeSources()
	d.hooks = newWebhooks(cfg.Webhooks, d.store, d.owner, log)
	if d.gate, err = d.openGate(); err != nil {
		return err
	}
	handler, err := d.router() //nolint:contextcheck // each request brings its own
	if err != nil {
		return err
	}

	regular, err := d.schedule()
	if err != nil {
		return err
	}

	group, ctx := errgroup.WithContext(ctx)
	for _, slug := range slices.Sorted(maps.Keys(cfg.Chains)) {
		group.Go(func() error { return d.chain(ctx, slug, cfg.Chains[slug]) })
	}
	group.Go(func() error {
		return indexer.Numbering{
			Sequencer: announced{d.store, d.hooks}, Owner: d.owner, Every: numberEvery, Wake: d.wrote, Log: log,
		}.Run(ctx)
	})
	group.Go(func() error { return d.hooks.Run(ctx) })
	group.Go(func() error { return d.work(ctx) })
	group.Go(func() error { return indexer.RunJobs(ctx, regular, log) })
	group.Go(func() error { return d.serve(ctx, listener, handler) })
	if ready != nil {
		ready(d)
	}
	err = group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err //nolint:wrapcheck // each part says what it was doing
}

// statuses says how far chains and accounts are.
type statuses interface {
	api.Chains
	accounts.States
}

// unkept is the sync state where there is no Redis: whoever looks asks Postgres.
type unkept struct{}

// PutChain does nothing.
func (unkept) PutChain(context.Context, indexer.ChainStatus) {}

// numberEvery is the longest a committed event waits for its number.
const numberEvery = 100 * time.Millisecond

// tell wakes the numbering of events. It never waits.
func (d *daemon) tell() { wake(d.wrote) }

// wake wakes whoever waits for a slot to be filled. It never waits.
func wake(slot chan<- struct{}) {
	select {
	case slot <- struct{}{}:
	default: // it is awake already
	}
}

// chain opens one chain, as often as it takes, and follows it. While its nodes do not
// answer, or serve another network, that is its state: it ends one chain, loudly, and
// not the daemon.
func (d *daemon) chain(ctx context.Context, slug string, c config.Chain) error {
	log := d.log.With().Str("chain", slug).Logger()
	bystander := indexer.Bystander{Leases: d.store, Ledger: d.store, Chain: slug, Owner: d.owner}
	for said := ""; ; {
		now := indexer.StatusChange{State: indexer.StateDegraded}
		source, err := openChain(ctx, slug, c, log)
		if err != nil {
			now.Reason = err.Error()
			log.Warn().Err(err).Dur("retry_in", openRetry).Msg("chain not opened")
		} else {
			err = d.followChain(ctx, source, c, log)
			if ctx.Err() != nil || !errors.Is(err, indexer.ErrGenesis) {
				return err
			}
			now.State = indexer.StateHalted
			now.Reason = fmt.Sprintf("the nodes serve another network than the ledger's: their genesis block is %s", source.Chain().Genesis)
			if said != now.Reason {
				log.Error().Err(err).Str("reason", now.Reason).Msg("chain halted")
			}
		}
		said = now.Reason
		if told, err := bystander.Say(ctx, now); err != nil && ctx.Err() == nil {
			log.Warn().Err(err).Msg("status not written")
		} else if told {
			d.tell()
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(openRetry):
		}
	}
}

// followChain follows a chain that is open. It returns ErrGenesis if its nodes serve
// another network than the ledger has.
func (d *daemon) followChain(ctx context.Context, source chains.Source, c config.Chain, log zerolog.Logger) error {
	slug, known := source.Chain().Slug, make(chan struct{})
	registered := false
	defer func() {
		if !registered {
			source.Close() // nobody else has it
		}
	}()
	policy, err := policyOf(source.Chain(), c)
	if err != nil {
		return err
	}
	search := func() { d.searchNow(ctx, slug) }
	ports := windows{Store: d.store, policy: policy, search: search, registered: func() {
		registered = true
		d.sources.Add(source)
		close(known)
		// What a process that was killed had begun goes on here, and does not wait
		// for the schedule.
		search()
	}}
	chain := &indexer.Chain{
		Source: source, Ports: ports,
		Config: followConfig(c), Owner: d.owner, State: d.state, Listed: listed(source.Chain(), c), Log: log,
		Wrote: func() {
			d.tell()
			d.paying.wake(slug)
		},
	}
	payer := &custody.Payer{Source: source, Payouts: d.store, Coins: d.store, Config: payerConfig(c), Wake: d.paying[slug], Log: log}
	opening := indexer.Opening{Source: source, Ports: d.store, Every: openEvery, Wake: d.opening[slug], Wrote: d.tell, Log: log}
	return follow(ctx, chain, known, payer.Run, opening.Run)
}

// openEvery is the longest an account waits for its first balance where the one
// that connected it could not say so.
const openEvery = 15 * time.Second

// windows is the ledger for a follower. The new scripts of a window it moves are
// searched at once: until then their account is not level.
type windows struct {
	*store.Store
	policy     custody.Policy
	registered func() // called once the ledger knows the chain
	search     func()
}

// Extend implements indexer.Windows.
func (w windows) Extend(ctx context.Context, account uuid.UUID, scripts []indexer.WatchedScript) error {
	if err := w.Store.Extend(ctx, account, scripts); err != nil {
		return err //nolint:wrapcheck // the store says what it was doing
	}
	w.search()
	return nil
}

// searchNow asks for a search of a chain and for its first balances, within a
// request once what it wrote can be seen. A search that cannot be asked for now is
// found by the schedule.
func (d *daemon) searchNow(ctx context.Context, slug string) {
	d.store.AfterCommit(ctx, func(ctx context.Context) {
		d.opening.wake(slug)
		if err := d.jobs.EnqueueBackfill(ctx, slug); err != nil {
			d.log.Warn().Err(err).Str("chain", slug).Msg("search not asked for")
		}
	})
}

// work works jobs until ctx ends, and waits for those under way.
func (d *daemon) work(ctx context.Context) error {
	if err := d.jobs.Start(ctx); err != nil {
		return err //nolint:wrapcheck // the client says what it was doing
	}
	<-ctx.Done()
	const grace = 10 * time.Second
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	if err := d.jobs.Stop(stopping); err != nil {
		d.log.Warn().Err(err).Msg("jobs cut off")
	}
	return context.Cause(ctx)
}

// search searches the past of one chain's new scripts, once the ledger knows the chain:
// before, the node may serve another network, and what is found be credited by another
// policy than the settings have.
func (d *daemon) search(ctx context.Context, slug string) error {
	source, ok := d.sources.Get(slug)
	if !ok {
		return fmt.Errorf("chain %s is not open here", slug)
	}
	search := indexer.Search{
		Source: source, Ports: d.store, Config: searchConfig(d.cfg.Chains[slug]), Wrote: d.tell,
		Log: d.log.With().Str("chain", slug).Logger(),
	}
	return search.Run(ctx) //nolint:wrapcheck // the search says what it was doing
}

// schedule returns what is done at regular times: a search that was asked for
// and lost is found here.
func (d *daemon) schedule() ([]indexer.Job, error) {
	reading, err := d.prices.jobs(d.store, d.prices.transport(d.budgets, &http.Client{Transport: d.asked}), &d.sources)
	return append(reading, indexer.Job{
		Name: "search", Spec: "@every 15s",
		Run: func(ctx context.Context) error {
			var faults []error
			for _, source := range d.sources.All() {
				faults = append(faults, d.searchSoon(ctx, source))
			}
			return errors.Join(faults...)
		},
	}, d.checkLedger(), d.poller.Job(), d.describeSoon(), d.trimAudit()), err
}

// searchSoon asks for a search of a chain if it has anything to search.
func (d *daemon) searchSoon(ctx context.Context, source chains.Source) error {
	slug := source.Chain().Slug
	scripts, err := d.store.SearchScripts(ctx, slug, 1)
	if err != nil || len(scripts) == 0 {
		return err //nolint:wrapcheck // the store says what it was doing
	}
	return d.jobs.EnqueueBackfill(ctx, slug) //nolint:wrapcheck // the client says what it was doing
}

func (d *daemon) closeSources() {
	for _, source := range d.sources.All() {
		source.Close()
	}
}
