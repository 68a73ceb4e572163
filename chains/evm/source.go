package evm

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ethereum/go-ethereum/common"
	"github.com/rs/zerolog"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// Source reads one EVM network from its nodes. It implements chains.Source and
// its abilities HeadWaiter, FinalityReader, BalanceReader, TokenReader, Wallets,
// Prober and HealthReporter, and for transfers FeeEstimator, TransferBuilder,
// Bumper, Checker, Broadcaster and NonceReader.
//
// An answer that fails verification counts against its upstream, and another is
// asked. Nothing of it is kept.
type Source struct {
	spec   chains.Spec
	id     uint64
	chain  chains.Chain
	rules  *rules
	tokens map[common.Address]chains.Token // the operator's
	pool   *rpc.Pool
	log    zerolog.Logger
	heads  *headFeed

	mu      sync.Mutex
	genesis *common.Hash                 // of the first node that answered; guarded by mu
	nodes   map[*rpc.Upstream]*ability   // guarded by mu
	left    map[common.Address]time.Time // contracts whose balances were left for later, and when that was logged; guarded by mu
}

var (
	_ chains.Source          = (*Source)(nil)
	_ chains.SplitFinder     = (*Source)(nil)
	_ chains.Wallets         = (*Source)(nil)
	_ chains.FeeEstimator    = (*Source)(nil)
	_ chains.TransferBuilder = (*Source)(nil)
	_ chains.Bumper          = (*Source)(nil)
	_ chains.Checker         = (*Source)(nil)
	_ chains.Broadcaster     = (*Source)(nil)
	_ chains.NonceReader     = (*Source)(nil)
)

// ability is what was learnt about one node while asking it. Its fields are
// guarded by Source.mu.
type ability struct {
	noTrace, noProof bool // it said that it has no such method
	multicall        bool // Multicall3 stands on its chain
}

// Open opens the network whose decimal chain id is spec.Network. It asks the
// nodes one after the other what chain they are on until one has told its
// genesis, and fails if none does, naming each with its reason. A node that is
// on another chain, or cannot be reached now, is asked again while the Source
// is used, and used only when it is right.
func Open(ctx context.Context, spec chains.Spec, log zerolog.Logger) (chains.Source, error) {
	id, err := strconv.ParseUint(spec.Network, 10, 64)
	if err != nil {
		return nil, fmt.Errorf("open chain %s: network %q is not a decimal chain id", spec.Slug, spec.Network)
	}
	s := &Source{
		spec:   spec,
		id:     id,
		tokens: map[common.Address]chains.Token{},
		nodes:  map[*rpc.Upstream]*ability{},
		log:    log,

		left: map[common.Address]time.Time{},
	}
	for _, token := range spec.Tokens {
		address, _, err := parseAddress(token.Contract)
		if err != nil {
			return nil, fmt.Errorf("open chain %s: token %s: %w", spec.Slug, token.Contract, err)
		}
		s.tokens[common.Address(address)] = token
	}
	s.pool = rpc.New(spec, rpc.Options{Version: "2.0", Admit: s.admit}, log)
	if _, err := s.pool.Pick(ctx); err != nil {
		s.pool.Close()
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		return nil, fmt.Errorf("open chain %s: no node can be used: %s", spec.Slug, s.reasons())
	}
	s.describe()
	s.heads = s.followHeads(ctx)
	return s, nil
}

// reasons says of each node why it cannot be used.
func (s *Source) reasons() string {
	var reasons []string
	for _, health := range s.pool.Health() {
		reasons = append(reasons, health.Upstream+": "+health.Reason)
	}
	return strings.Join(reasons, "; ")
}

// describe sets what follows from the chain id and the genesis.
func (s *Source) describe() {
	known := knownNetwork(s.id)
	s.mu.Lock()
	s.chain = known.chain(s.spec, s.id, *s.genesis)
	s.mu.Unlock()
	s.rules = &rules{
		network: known,
		chainID: s.chain.ID,
		native:  s.chain.Native.ID,
		wrapped: map[common.Address]bool{},
	}
	for contract, token := range s.tokens {
		if token.Symbol == "W"+s.chain.Native.Symbol {
			s.rules.wrapped[contract] = true
		}
	}
}

// admit lets a node in that serves the right chain from the right genesis.
func (s *Source) admit(ctx context.Context, u *rpc.Upstream) error {
	answers, err := u.Batch(ctx, []rpc.Request{
		{Method: "eth_chainId"},
		{Method: "eth_getBlockByNumber", Params: []any{"0x0", false}},
		{Method: "eth_getCode", Params: []any{multicall3.Hex(), "latest"}},
	})
	if err != nil {
		return fmt.Errorf("ask for the chain id: %w", err)
	}
	for _, answer := range answers[:2] {
		if answer.Err != nil {
			return fmt.Errorf("ask for the chain id and block 0: %w", answer.Err)
		}
	}
	scan := &scanner{text: answers[0].Result}
	if id := scan.number(); scan.err != nil || id != s.id {
		return rpc.Refuse(fmt.Sprintf("its chain id is %d, wanted %d", id, s.id))
	}
	genesis, err := decodeHeader(answers[1].Result)
	if err != nil {
		return fmt.Errorf("read block 0: %w", err)
	}
	if genesis.number != 0 {
		return rpc.Refuse("it answers another block for block 0")
	}
	code := &scanner{text: answers[2].Result}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.genesis == nil {
		s.genesis = &genesis.hash
	}
	if *s.genesis != genesis.hash {
		return rpc.Refuse(fmt.Sprintf("its block 0 is %s, that of the chain is %s", genesis.hash, *s.genesis))
	}
	s.nodes[u] = &ability{multicall: answers[2].Err == nil && len(code.bytes()) > 0}
	return nil
}

// ability returns what is known of a node.
func (s *Source) ability(u *rpc.Upstream) ability {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.nodes[u]; a != nil {
		return *a
	}
	return ability{}
}

// learn changes what is known of a node, until it is admitted anew.
func (s *Source) learn(u *rpc.Upstream, change func(*ability)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nodes[u] == nil {
		s.nodes[u] = &ability{}
	}
	change(s.nodes[u])
}

// Chain implements chains.Source.
func (s *Source) Chain() chains.Chain { return s.chain }

// Health implements chains.HealthReporter.
func (s *Source) Health() []chains.UpstreamHealth { return s.pool.Health() }

// Close implements chains.Source.
func (s *Source) Close() {
	s.heads.close()
	s.pool.Close()
}
