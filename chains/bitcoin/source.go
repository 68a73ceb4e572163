package bitcoin

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Source reads one chain of the bitcoin family from its nodes: Bitcoin Core and
// its relatives, and btcd.
//
// Besides chains.Source it is a HeadWaiter, a MempoolReader, an UnspentScanner, a
// BlockLocator, a Wallets, a Prober and a HealthReporter, and for payments a
// FeeEstimator, a CoinBuilder, a Bumper, a Checker and a Broadcaster. What none of
// its nodes can do returns chains.ErrUnsupported.
//
// A node is believed about nothing that a block or header can prove. It is
// believed about which of the valid branches is best, about the height of a
// header, about its mempool, about what ScanUnspent and Locate leave out, and about
// what becomes of a transaction it was handed.
type Source struct {
	chain    chains.Chain
	params   Params
	mainnet  bool // accept its addresses too
	pool     *rpc.Pool
	nodes    map[*rpc.Upstream]*upstream
	refs     *refCache
	walkers  *walkers
	mempool  mempool
	news     *news
	stop     context.CancelFunc
	watching sync.WaitGroup
	log      zerolog.Logger
}

var (
	_ chains.Source         = (*Source)(nil)
	_ chains.HeadWaiter     = (*Source)(nil)
	_ chains.MempoolReader  = (*Source)(nil)
	_ chains.UnspentScanner = (*Source)(nil)
	_ chains.BlockLocator   = (*Source)(nil)
	_ chains.Wallets        = (*Source)(nil)
	_ chains.FeeEstimator   = (*Source)(nil)
	_ chains.CoinBuilder    = (*Source)(nil)
	_ chains.Bumper         = (*Source)(nil)
	_ chains.Checker        = (*Source)(nil)
	_ chains.Broadcaster    = (*Source)(nil)
	_ chains.Prober         = (*Source)(nil)
	_ chains.SplitFinder    = (*Source)(nil)
	_ chains.HealthReporter = (*Source)(nil)
)

// openTime bounds how long Open waits for nodes that do not answer.
const openTime = 5 * time.Second

// upstream is what the Source remembers of one node between requests.
type upstream struct {
	can  atomic.Pointer[abilities]
	scan chan struct{} // holds one token while the node scans for us: it can do one at a time
}

// Open returns the source of one chain. What the chain is stands in its
// parameters, so that a node which cannot be reached, or serves another network,
// is no error here: methods return errors until one answers that fits. Open asks
// each node once for what it can do, within ctx.
//
// The answer is a *Source.
func Open(ctx context.Context, spec chains.Spec, log zerolog.Logger) (chains.Source, error) {
	params, err := ParamsByName(spec.Network)
	if err != nil {
		return nil, err
	}
	s := &Source{
		chain:   chainOf(spec, params),
		params:  params,
		mainnet: spec.MainnetAddresses,
		nodes:   map[*rpc.Upstream]*upstream{},
		refs:    newRefCache(refsKept),
		walkers: newWalkers(params),
		news:    newNews(),
		log:     log,
	}
	s.pool = rpc.New(spec, rpc.Options{Version: "1.0", Admit: s.admit}, log)
	for _, u := range s.pool.Upstreams() {
		s.nodes[u] = &upstream{scan: make(chan struct{}, 1)}
		s.nodes[u].can.Store(&abilities{})
	}
	watch, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	for _, u := range s.pool.Upstreams() {
		if u.Spec().Websocket != "" {
			s.watching.Go(func() { s.subscribe(watch, u) })
		}
	}
	s.watching.Go(func() { s.pool.Tend(watch) })
	check, cancel := context.WithTimeout(ctx, openTime)
	defer cancel()
	s.pool.Check(check)
	return s, nil
}

func chainOf(spec chains.Spec, params Params) chains.Chain {
	id := params.CAIP2()
	return chains.Chain{
		Slug:        spec.Slug,
		ID:          id,
		Family:      chains.FamilyBitcoin,
		Environment: spec.Environment,
		Genesis:     params.Genesis,
		Native: chains.Asset{
			ID:       chains.AssetID(id + "/slip44:" + strconv.FormatUint(uint64(params.CoinType), 10)),
			Symbol:   params.Symbol,
			Name:     params.Symbol,
			Decimals: params.Decimals,
			Listed:   true,
		},
		Maturity: params.Maturity,
	}
}

// admit lets a node into the pool that serves our chain, and finds out what it
// can do.
func (s *Source) admit(ctx context.Context, u *rpc.Upstream) error {
	n := s.node(u)
	if err := identify(ctx, n); err != nil {
		return err
	}
	can, _, err := probe(ctx, n)
	if err != nil {
		return fmt.Errorf("probe %s: %w", u.Name(), err)
	}
	s.nodes[u].can.Store(&can)
	s.log.Debug().Str("upstream", u.Name()).Str("version", can.version).Bool("rest", can.rest).
		Bool("scan", can.scan).Bool("filters", can.blocks || can.filters).Msg("node admitted")
	return nil
}

func (s *Source) node(u *rpc.Upstream) node {
	return node{Upstream: u, params: s.params, can: *s.nodes[u].can.Load(), refs: s.refs}
}

// ask gives f one node after the other until one satisfies it.
func ask[T any](ctx context.Context, s *Source, f func(ctx context.Context, n node) (T, error)) (T, error) {
	var answer T
	err := s.pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) (err error) {
		answer, err = f(ctx, s.node(u))
		return err
	})
	return answer, err
}

// Chain returns what this chain is.
func (s *Source) Chain() chains.Chain { return s.chain }

// Head returns the best block of the node now asked.
func (s *Source) Head(ctx context.Context) (chains.BlockRef, error) {
	ref, err := ask(ctx, s, func(ctx context.Context, n node) (chains.BlockRef, error) { return n.head(ctx) })
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("read the head: %w", err)
	}
	return ref, nil
}

// RefAt returns the block at height on the node's best chain, or
// chains.ErrNotFound.
func (s *Source) RefAt(ctx context.Context, height uint64) (chains.BlockRef, error) {
	ref, err := ask(ctx, s, func(ctx context.Context, n node) (chains.BlockRef, error) { return n.refAt(ctx, height) })
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("read block %d: %w", height, err)
	}
	return ref, nil
}

// Split implements chains.SplitFinder.
func (s *Source) Split(ctx context.Context) chains.Opinion {
	return s.pool.Split(ctx,
		func(ctx context.Context, u *rpc.Upstream) (chains.BlockRef, error) { return s.node(u).head(ctx) },
		func(ctx context.Context, u *rpc.Upstream, height uint64) (chains.BlockRef, error) {
			return s.node(u).refAt(ctx, height)
		})
}

// Ref returns the block with a hash on any branch a node knows, or
// chains.ErrNotFound.
func (s *Source) Ref(ctx context.Context, hash chains.Hash) (chains.BlockRef, error) {
	ref, err := ask(ctx, s, func(ctx context.Context, n node) (chains.BlockRef, error) {
		return n.ref(ctx, hash)
	})
	if err != nil {
		return chains.BlockRef{}, fmt.Errorf("read header %s: %w", hash, err)
	}
	return ref, nil
}

// Block fetches the block with a hash and verifies its proof of work, its merkle
// root and its witness commitment.
func (s *Source) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	found, err := ask(ctx, s, func(ctx context.Context, n node) (*block, error) {
		ref, err := n.ref(ctx, hash)
		if err != nil {
			return nil, err
		}
		raw, err := n.rawBlock(ctx, hash)
		if err != nil {
			return nil, err
		}
		found, err := s.newBlock(ref, raw)
		if err != nil {
			return nil, n.lie(fmt.Sprintf("block %s", hash), err)
		}
		return found, nil
	})
	if err != nil {
		return nil, fmt.Errorf("fetch block %s: %w", hash, err)
	}
	return found, nil
}

// Health returns the state of each upstream without asking it.
func (s *Source) Health() []chains.UpstreamHealth { return s.pool.Health() }

// Probe asks every upstream what it can do, those that were refused too.
func (s *Source) Probe(ctx context.Context) []chains.Capability {
	var all []chains.Capability
	for _, u := range s.pool.Upstreams() {
		n := s.node(u)
		err := identify(ctx, n)
		var found []chains.Capability
		if err == nil {
			_, found, err = probe(ctx, n)
		}
		if err != nil {
			found = append(found, chains.Capability{Upstream: u.Name(), Name: "reach", Detail: err.Error()})
		}
		all = append(all, found...)
	}
	return all
}

// Close ends the subscriptions and waits until they have ended.
func (s *Source) Close() {
	s.stop()
	s.watching.Wait()
	s.pool.Close()
}
