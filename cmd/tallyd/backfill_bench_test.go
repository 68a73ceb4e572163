package main

import (
	"context"
	_ "embed"
	"encoding/hex"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"tallyd/chains"
	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer"
	"tallyd/store"
	"tallyd/store/embedded"
)

// What the benchmark's chain holds: a block is one transaction with as many
// Transfers as give says, to the next of the crowd.
const (
	crowdBlocks = 1000
	crowdSize   = 10_000
	crowdGive   = 100
)

// crowdCode is the creation code of testdata/Crowd.sol.
//
//go:embed testdata/Crowd.hex
var crowdCode string

// BenchmarkBackfill follows a chain of anvil's from block 0 to its head, for
// 10,000 accounts that 100,000 Transfers have paid, on a Postgres that syncs its
// disk. It ends when every balance is level and exact. TALLYD_BENCH_BLOCKS sets
// another number of blocks.
func BenchmarkBackfill(b *testing.B) {
	for _, trace := range []string{"off", "auto"} {
		b.Run("trace="+trace, func(b *testing.B) {
			c := newCrowd(b, trace)
			var spent clocks
			for b.Loop() {
				b.StopTimer()
				run := c.newRun(b, &spent)
				b.StartTimer()
				run.follow(b)
				b.StopTimer()
				run.check(b)
				run.close(b)
				b.StartTimer()
			}
			spent.report(b, c.blocks)
		})
	}
}

// BenchmarkApplyEmpty appends blocks without transfers, one transaction each.
func BenchmarkApplyEmpty(b *testing.B) {
	var spent clocks
	s := newDurableStore(b)
	defer s.close(b)
	ctx := b.Context()
	about := chains.Chain{
		Slug: "eth", ID: "eip155:1", Family: chains.FamilyEVM, Environment: chains.Test, Genesis: chains.Hash{1},
		Native: chains.Asset{ID: "eip155:1/slip44:60", Symbol: "ETH", Decimals: 18},
	}
	require.NoError(b, s.Register(ctx, about, nil))
	cursor, err := s.Acquire(ctx, about.Slug, uuid.New(), time.Hour)
	require.NoError(b, err)
	ports := timedPorts{s.Store, &spent}
	tip := chains.BlockRef{Time: time.Unix(1, 0)}
	n := 0
	for b.Loop() {
		n++
		next := chains.BlockRef{Height: uint64(n), Parent: tip.Hash, Time: tip.Time}
		copy(next.Hash[:], big.NewInt(int64(n)).FillBytes(make([]byte, 32)))
		_, err := ports.Apply(ctx, indexer.Step{Lease: cursor.Lease, Parent: tip.Hash, Block: next})
		require.NoError(b, err)
		tip = next
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "blocks/s")
}

// crowd is a node that has paid many addresses, and what they hold.
type crowd struct {
	node   *localnode.Ethereum
	cfg    config.Chain
	token  string
	blocks int
	truth  []*big.Int // by the number of the address
}

func newCrowd(b *testing.B, trace string) *crowd {
	b.Helper()
	c := &crowd{node: localnode.TestAnvil(b), blocks: crowdBlocks}
	if text := os.Getenv("TALLYD_BENCH_BLOCKS"); text != "" {
		var err error
		c.blocks, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	code, err := hex.DecodeString(strings.TrimSpace(crowdCode))
	require.NoError(b, err)
	receipt, err := c.node.Transact(b.Context(), localnode.Transaction{Data: code})
	require.NoError(b, err)
	require.Equal(b, "0x1", receipt.Status)
	c.token = receipt.ContractAddress
	c.truth = make([]*big.Int, crowdSize)
	for i := range c.truth {
		c.truth[i] = new(big.Int)
	}
	require.NoError(b, c.node.Call(b.Context(), "evm_setAutomine", nil, false))
	for n := range c.blocks {
		c.give(b, n)
	}
	height, err := c.node.Height(b.Context())
	require.NoError(b, err)
	require.EqualValues(b, c.blocks+1, height, "one transaction is one block")
	c.cfg = config.DefaultChain(config.FamilyEVM)
	c.cfg.Network, c.cfg.Environment, c.cfg.StartHeight, c.cfg.Trace = "31337", "test", config.StartAt(0), trace
	c.cfg.Tokens = []config.Token{{Symbol: "CROWD", Contract: c.token, Decimals: 6, Slot: -1}}
	c.cfg.Upstreams = []config.Upstream{{URL: config.NewURL(c.node.URL)}}
	return c
}

// give makes one block: value to the first address, one more to each next.
func (c *crowd) give(b *testing.B, n int) {
	b.Helper()
	first, value := n*crowdGive%crowdSize, int64(n+1)*1_000_003
	data := "0x05a51627" + // give(uint160,uint160,uint256)
		strings.Repeat("0", 24) + crowdAddress(first)[2:] + fmt.Sprintf("%064x%064x", crowdGive, value)
	var hash string
	err := c.node.Call(b.Context(), "eth_sendTransaction", &hash, map[string]string{
		"from": c.node.Accounts[0], "to": c.token, "gas": "0x1c9c380", "input": data,
	})
	require.NoError(b, err)
	require.NoError(b, c.node.Mine(b.Context(), 1))
	for i := range crowdGive {
		held := c.truth[first+i]
		held.Add(held, big.NewInt(value+int64(i)))
	}
}

// crowdAddress is the address of number n. They are consecutive.
func crowdAddress(n int) string { return fmt.Sprintf("0x%040x", 0xc0ffee00000000+n) }

// crowdRun is one ledger that begins with no block and everybody connected.
type crowdRun struct {
	*crowd
	*durableStore
	source   evmSource
	spent    *clocks
	accounts []indexer.Account
}

func (c *crowd) newRun(b *testing.B, spent *clocks) *crowdRun {
	b.Helper()
	r := &crowdRun{crowd: c, durableStore: newDurableStore(b), spent: spent}
	source, err := openChain(b.Context(), "eth", c.cfg, zerolog.Nop())
	require.NoError(b, err)
	r.source = source.(evmSource) //nolint:forcetypeassert // a Source of package evm is all of these
	require.NoError(b, r.Register(b.Context(), source.Chain(), listed(source.Chain(), c.cfg)))
	r.connect(b)
	return r
}

// connect connects every address, each for its own account.
func (r *crowdRun) connect(b *testing.B) {
	b.Helper()
	realm := indexer.Realm{Tenant: "default", Environment: chains.Test}
	user := indexer.User{ID: uuid.New(), Realm: realm, Name: "crowd", CreatedAt: time.Now()}
	require.NoError(b, r.CreateUser(b.Context(), user))
	r.accounts = make([]indexer.Account, crowdSize)
	group, ctx := errgroup.WithContext(b.Context())
	group.SetLimit(4)
	for n := range r.accounts {
		group.Go(func() error {
			script, wallet, err := r.source.ParseAddress(crowdAddress(n))
			if err != nil {
				return fmt.Errorf("parse address %d: %w", n, err)
			}
			r.accounts[n] = indexer.Account{
				ID: uuid.New(), Realm: realm, UserID: user.ID, Chain: "eth", Kind: indexer.KindAddress, Wallet: wallet, CreatedAt: time.Now(),
			}
			return r.CreateAccount(ctx, r.accounts[n], []indexer.WatchedScript{{Script: script, Address: wallet}})
		})
	}
	require.NoError(b, group.Wait())
}

// follow runs what the daemon runs for a chain until the ledger is level with
// the node and no balance is left to be read.
func (r *crowdRun) follow(b *testing.B) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	before := cpuTimes(b)
	began := time.Now()
	level := make(chan struct{})
	state := &untilLevel{head: uint64(r.blocks + 1), reached: level}
	chain := &indexer.Chain{
		Source: timedSource{r.source, r.spent}, Ports: timedPorts{r.Store, r.spent}, Config: followConfig(r.cfg),
		Owner: uuid.New(), State: state, Listed: listed(r.source.Chain(), r.cfg), Log: zerolog.Nop(),
	}
	wake := make(chan struct{}, 1)
	chain.Wrote = func() {
		select {
		case wake <- struct{}{}:
		default: // it is awake already
		}
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return chain.Run(ctx) })
	group.Go(func() error {
		return indexer.Numbering{Sequencer: r.Store, Owner: uuid.New(), Every: numberEvery, Wake: wake, Log: zerolog.Nop()}.Run(ctx)
	})
	select {
	case <-level:
	case <-ctx.Done():
	}
	r.spent.total += time.Since(began)
	r.spent.cpu.add(cpuTimes(b).since(before))
	cancel()
	require.ErrorIs(b, group.Wait(), context.Canceled)
}

// check compares every balance with the truth, and the truth with the contract
// at some addresses.
func (r *crowdRun) check(b *testing.B) {
	b.Helper()
	ctx := b.Context()
	asset := chains.TokenID(r.source.Chain().ID, r.token)
	for n, account := range r.accounts {
		held, err := r.AccountBalance(ctx, account.Realm, account.ID)
		require.NoError(b, err)
		shown := "none"
		for _, balance := range held.Balances {
			if balance.Asset.ID == asset {
				shown = balance.Amount.String()
			}
		}
		require.Equal(b, r.truth[n].String(), shown, "balance of address %d", n)
		if n%100 == 0 {
			held, err := r.node.TokenBalance(ctx, r.token, crowdAddress(n), "latest")
			require.NoError(b, err)
			require.Equal(b, held.String(), shown, "balance of address %d at the node", n)
		}
	}
}

func (r *crowdRun) close(b *testing.B) {
	b.Helper()
	r.source.Close()
	r.durableStore.close(b)
}

// untilLevel hears the status of the chain.
type untilLevel struct {
	head    uint64
	reached chan struct{}
}

// PutChain implements indexer.SyncState. The status of a level chain is told
// after its balances were read.
func (u *untilLevel) PutChain(_ context.Context, status indexer.ChainStatus) {
	if status.State != indexer.StateLevel || status.Tip.Height < u.head {
		return
	}
	select {
	case <-u.reached:
	default:
		close(u.reached)
	}
}

// durableStore is a store on a Postgres of its own that syncs its disk.
type durableStore struct {
	*store.Store
	server *embedded.Postgres
}

func newDurableStore(b *testing.B) *durableStore {
	b.Helper()
	ctx := b.Context()
	server, err := embedded.Start(ctx, embedded.Options{Dir: filepath.Join(b.TempDir(), "pg"), Bin: embedded.TestPostgres(b), Log: zerolog.Nop()})
	require.NoError(b, err)
	require.NoError(b, server.CreateDatabase(ctx, "tallyd"))
	opts := store.Options{URL: server.URL("tallyd"), Log: zerolog.Nop()}
	_, err = store.Migrate(ctx, opts)
	require.NoError(b, err)
	ledger, err := store.Open(ctx, opts)
	require.NoError(b, err)
	return &durableStore{Store: ledger, server: server}
}

func (s *durableStore) close(b *testing.B) {
	b.Helper()
	s.Store.Close()
	require.NoError(b, s.server.Stop(context.WithoutCancel(b.Context())))
}

// evmSource is what a Source of package evm can.
type evmSource interface {
	chains.Source
	chains.HeadWaiter
	chains.FinalityReader
	chains.BalanceReader
	chains.TokenReader
	chains.HealthReporter
}

// timedSource measures how long blocks are fetched, all fetches added, and how
// long balances are read.
type timedSource struct {
	evmSource
	spent *clocks
}

func (s timedSource) RefAt(ctx context.Context, height uint64) (chains.BlockRef, error) {
	defer s.spent.fetch.since(time.Now())
	return s.evmSource.RefAt(ctx, height) //nolint:wrapcheck // it only measures
}

func (s timedSource) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	defer s.spent.fetch.since(time.Now())
	block, err := s.evmSource.Block(ctx, hash)
	return timedBlock{block, s.spent}, err //nolint:wrapcheck // it only measures
}

func (s timedSource) Balances(ctx context.Context, at chains.BlockRef, touched []chains.Touch) ([]chains.Snapshot, error) {
	defer s.spent.balances.since(time.Now())
	return s.evmSource.Balances(ctx, at, touched) //nolint:wrapcheck // it only measures
}

// timedBlock measures how long a block is matched.
type timedBlock struct {
	chains.Block
	spent *clocks
}

func (t timedBlock) Match(watch *chains.WatchTable) (chains.Match, error) {
	defer t.spent.match.since(time.Now())
	return t.Block.Match(watch) //nolint:wrapcheck // it only measures
}

// timedPorts measures how long the ledger is written.
type timedPorts struct {
	*store.Store
	spent *clocks
}

func (p timedPorts) Apply(ctx context.Context, step indexer.Step) (indexer.Applied, error) {
	defer p.spent.apply.since(time.Now())
	return p.Store.Apply(ctx, step) //nolint:wrapcheck // it only measures
}

func (p timedPorts) Amend(ctx context.Context, amendment indexer.Amendment) (indexer.Applied, error) {
	if len(amendment.Snapshots) > 0 {
		defer p.spent.keep.since(time.Now())
	}
	return p.Store.Amend(ctx, amendment) //nolint:wrapcheck // it only measures
}

// clocks say where the time went.
type clocks struct {
	total time.Duration
	cpu   cpuTime

	fetch    clock // of all fetches, which overlap: header, block and receipts, verified
	match    clock
	apply    clock
	balances clock // read from the node at the tip
	keep     clock // and written
}

type clock struct{ atomic.Int64 }

func (c *clock) since(t time.Time) { c.Add(int64(time.Since(t))) }

func (c *clocks) report(b *testing.B, blocks int) {
	b.Helper()
	total := c.total.Seconds()
	b.ReportMetric(float64(b.N*blocks*crowdGive)/total, "events/s")
	b.ReportMetric(float64(b.N*blocks)/total, "blocks/s")
	b.ReportMetric(0, "ns/op")
	for name, of := range map[string]*clock{
		"fetch": &c.fetch, "match": &c.match, "apply": &c.apply, "balances": &c.balances, "keep": &c.keep,
	} {
		b.ReportMetric(float64(of.Load())/1e9/float64(b.N), name+"-s")
	}
	b.ReportMetric(total/float64(b.N), "total-s")
	b.ReportMetric(c.cpu.self.Seconds()/float64(b.N), "cpu-tallyd-s")
	b.ReportMetric(c.cpu.node.Seconds()/float64(b.N), "cpu-node-s")
	b.ReportMetric(c.cpu.postgres.Seconds()/float64(b.N), "cpu-postgres-s")
}

// cpuTime is what the processes of a benchmark have used of the processors.
type cpuTime struct{ self, node, postgres time.Duration }

func (c cpuTime) since(before cpuTime) cpuTime {
	return cpuTime{c.self - before.self, c.node - before.node, c.postgres - before.postgres}
}

func (c *cpuTime) add(more cpuTime) {
	c.self, c.node, c.postgres = c.self+more.self, c.node+more.node, c.postgres+more.postgres
}

// cpuTimes reads /proc, see proc(5): of this process, and of the children it has
// started, with theirs.
func cpuTimes(b *testing.B) cpuTime {
	b.Helper()
	files, err := filepath.Glob("/proc/[0-9]*/stat")
	require.NoError(b, err)
	type process struct {
		parent int
		name   string
		used   time.Duration
	}
	all := map[int]process{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			continue // it has ended meanwhile
		}
		head, rest, _ := strings.Cut(string(text), ") ")
		pid, name, _ := strings.Cut(head, " (")
		fields := strings.Fields(rest)
		number := func(n int) int {
			value, err := strconv.Atoi(fields[n])
			require.NoError(b, err)
			return value
		}
		id, err := strconv.Atoi(pid)
		require.NoError(b, err)
		const tick = 10 * time.Millisecond // USER_HZ is 100 everywhere
		all[id] = process{parent: number(1), name: name, used: tick * time.Duration(number(11)+number(12)+number(13)+number(14))}
	}
	var c cpuTime
	self := os.Getpid()
	for id, p := range all {
		switch {
		case id == self:
			c.self = p.used
		case p.parent == self && p.name == "anvil":
			c.node += p.used
		case p.name == "postgres" && (p.parent == self || all[p.parent].parent == self):
			c.postgres += p.used
		}
	}
	return c
}
