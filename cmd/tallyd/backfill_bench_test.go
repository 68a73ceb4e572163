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

// BenchmarkBackfill catches up with a chain of anvil's for 10,000 accounts that
// 100,000 Transfers have paid since the ledger was last level with it, on a
// Postgres that syncs its disk. It ends when every balance is read anew, and
// fails unless every one is exact. TALLYD_BENCH_BLOCKS sets another number of
// blocks. Nothing is traced: anvil keeps the state of its last 500 blocks only.
func BenchmarkBackfill(b *testing.B) {
	blocks := crowdBlocks
	if text := os.Getenv("TALLYD_BENCH_BLOCKS"); text != "" {
		var err error
		blocks, err = strconv.Atoi(text)
		require.NoError(b, err)
	}
	var spent clocks
	for b.Loop() {
		b.StopTimer()
		c := newCrowd(b)
		c.connect(b)
		c.follow(b, nil)
		c.search(b)
		c.pay(b, blocks)
		b.StartTimer()
		c.follow(b, &spent)
		b.StopTimer()
		c.check(b)
		c.close(b)
		b.StartTimer()
	}
	spent.report(b, blocks)
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

// crowd is a node, a ledger that watches many addresses on it, and what these
// hold in truth.
type crowd struct {
	*durableStore
	node     *localnode.Ethereum
	cfg      config.Chain
	source   evmSource
	token    string
	realm    indexer.Realm
	user     uuid.UUID
	accounts map[string]indexer.Account // by address
	truth    []*big.Int                 // by the number of the address
	height   uint64                     // of the node
}

// newCrowd starts a node with nothing but the contract, and an empty ledger.
func newCrowd(b *testing.B) *crowd {
	b.Helper()
	c := &crowd{node: localnode.TestAnvil(b), durableStore: newDurableStore(b), truth: make([]*big.Int, crowdSize)}
	for i := range c.truth {
		c.truth[i] = new(big.Int)
	}
	code, err := hex.DecodeString(strings.TrimSpace(crowdCode))
	require.NoError(b, err)
	receipt, err := c.node.Transact(b.Context(), localnode.Transaction{Data: code})
	require.NoError(b, err)
	require.Equal(b, "0x1", receipt.Status)
	c.token, c.height = receipt.ContractAddress, 1
	c.cfg = config.DefaultChain(config.FamilyEVM)
	c.cfg.Network, c.cfg.Environment, c.cfg.StartHeight, c.cfg.Trace = "31337", "test", config.StartAt(0), "off"
	c.cfg.Tokens = []config.Token{{Symbol: "CROWD", Contract: c.token, Decimals: 6, Slot: -1}}
	c.cfg.Upstreams = []config.Upstream{{URL: config.NewURL(c.node.URL)}}
	source, err := openChain(b.Context(), "eth", c.cfg, zerolog.Nop())
	require.NoError(b, err)
	c.source = source.(evmSource) //nolint:forcetypeassert // a Source of package evm is all of these
	require.NoError(b, c.Register(b.Context(), source.Chain(), listed(source.Chain(), c.cfg)))
	return c
}

// ownAccounts gives every watched script an account of its own, and takes them
// all from the one that brought them. Ten thousand calls of CreateAccount would
// take longer than what is measured.
const ownAccounts = `
WITH own AS (
    INSERT INTO accounts (id, tenant, environment, user_id, chain, kind, wallet, wallet_digest, name, description)
    SELECT gen_random_uuid(), a.tenant, a.environment, a.user_id, a.chain, 'address', s.address, sha256(s.address::bytea), '', ''
    FROM accounts AS a
    JOIN account_scripts AS l ON l.account_id = a.id
    JOIN scripts AS s ON s.id = l.script_id
    WHERE a.id = $1
    RETURNING id, wallet
)
UPDATE account_scripts AS l
SET account_id = own.id
FROM own
JOIN scripts AS s ON s.address = own.wallet
WHERE l.script_id = s.id`

// connect connects every address, each for its own account.
func (c *crowd) connect(b *testing.B) {
	b.Helper()
	ctx := b.Context()
	realm := indexer.Realm{Tenant: "default", Environment: chains.Test}
	user := indexer.User{ID: uuid.New(), Realm: realm, Name: "crowd", CreatedAt: time.Now()}
	require.NoError(b, c.CreateUser(ctx, user))
	var scripts []indexer.WatchedScript
	for n := range crowdSize {
		script, wallet, err := c.source.ParseAddress(crowdAddress(n))
		require.NoError(b, err)
		scripts = append(scripts, indexer.WatchedScript{Script: script, Address: wallet})
	}
	all := indexer.Account{ID: uuid.New(), Realm: realm, UserID: user.ID, Chain: "eth", Kind: indexer.KindDescriptor, Wallet: "all", CreatedAt: time.Now()}
	require.NoError(b, c.CreateAccount(ctx, all, scripts))
	done, err := c.Pool().Exec(ctx, ownAccounts, all.ID)
	require.NoError(b, err)
	require.EqualValues(b, crowdSize, done.RowsAffected())
	require.NoError(b, c.DeleteAccount(ctx, realm, all.ID))
	accounts, err := c.Accounts(ctx, realm, user.ID)
	require.NoError(b, err)
	c.accounts = make(map[string]indexer.Account, len(accounts))
	for _, account := range accounts {
		c.accounts[strings.ToLower(account.Wallet)] = account
	}
	require.Len(b, c.accounts, crowdSize)
	c.realm, c.user = realm, user.ID
}

// search opens every balance and searches what past there is.
func (c *crowd) search(b *testing.B) {
	b.Helper()
	search := indexer.Search{Source: c.source, Ports: c.Store, Config: searchConfig(c.cfg), Log: zerolog.Nop()}
	require.NoError(b, search.Run(b.Context()))
}

// pay makes blocks, each of one transaction that gives to the next addresses:
// value to the first of them, one more to each next.
func (c *crowd) pay(b *testing.B, blocks int) {
	b.Helper()
	ctx := b.Context()
	require.NoError(b, c.node.Call(ctx, "evm_setAutomine", nil, false))
	for n := range blocks {
		first, value := n*crowdGive%crowdSize, int64(n+1)*1_000_003
		var hash string
		err := c.node.Call(ctx, "eth_sendTransaction", &hash, map[string]string{
			"from": c.node.Accounts[0], "to": c.token, "gas": "0x1c9c380",
			// give(uint160,uint160,uint256)
			"input": fmt.Sprintf("0x05a51627%064s%064x%064x", crowdAddress(first)[2:], crowdGive, value),
		})
		require.NoError(b, err)
		require.NoError(b, c.node.Mine(ctx, 1))
		for i := range crowdGive {
			held := c.truth[first+i]
			held.Add(held, big.NewInt(value+int64(i)))
		}
	}
	height, err := c.node.Height(ctx)
	require.NoError(b, err)
	c.height += uint64(blocks)
	require.Equal(b, c.height, height)
}

// crowdAddress is the address of number n. They are consecutive.
func crowdAddress(n int) string { return fmt.Sprintf("0x%040x", 0xc0ffee00000000+n) }

// follow runs what the daemon runs for a chain until the ledger is level with
// the node and no balance is left to be read. It measures into spent, unless
// that is nil.
func (c *crowd) follow(b *testing.B, spent *clocks) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	if spent == nil {
		spent = &clocks{}
	}
	level := make(chan struct{})
	wake := make(chan struct{}, 1)
	chain := &indexer.Chain{
		Source: timedSource{c.source, spent}, Ports: timedPorts{c.Store, spent}, Config: followConfig(c.cfg),
		Owner: uuid.New(), State: &untilLevel{height: c.height, reached: level}, Listed: listed(c.source.Chain(), c.cfg), Log: zerolog.Nop(),
		Wrote: func() {
			select {
			case wake <- struct{}{}:
			default: // it is awake already
			}
		},
	}
	numbering := indexer.Numbering{Sequencer: c.Store, Owner: uuid.New(), Every: numberEvery, Wake: wake, Log: zerolog.Nop()}
	before, began := cpuTimes(b), time.Now()
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return chain.Run(ctx) })
	group.Go(func() error { return numbering.Run(ctx) })
	select {
	case <-level:
	case <-ctx.Done():
	}
	spent.level += time.Since(began)
	c.fresh(ctx, b)
	spent.total += time.Since(began)
	spent.cpu.add(cpuTimes(b).since(before))
	cancel()
	require.ErrorIs(b, group.Wait(), context.Canceled)
}

// fresh waits until no balance is left to be read.
func (c *crowd) fresh(ctx context.Context, b *testing.B) {
	b.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for ctx.Err() == nil {
		left, err := c.StaleBalances(ctx, "eth", 1)
		require.NoError(b, err)
		if len(left) == 0 {
			return
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
		}
	}
}

// check compares every balance with the truth, and the truth with the contract
// at some addresses.
func (c *crowd) check(b *testing.B) {
	b.Helper()
	ctx := b.Context()
	asset := chains.TokenID(c.source.Chain().ID, c.token)
	all, err := c.AccountBalances(ctx, c.realm, c.user)
	require.NoError(b, err)
	shown := map[uuid.UUID]string{}
	for _, held := range all {
		for _, balance := range held.Balances {
			if balance.Asset.ID == asset {
				require.True(b, balance.Unattributed.IsZero(), "%+v", held)
				shown[held.Account.ID] = balance.Amount.String()
			}
		}
	}
	for n, truth := range c.truth {
		account := c.accounts[crowdAddress(n)]
		require.Equal(b, truth.String(), shown[account.ID], "balance of address %d", n)
		if n%100 == 0 {
			held, err := c.node.TokenBalance(ctx, c.token, crowdAddress(n), "latest")
			require.NoError(b, err)
			require.Equal(b, held.String(), shown[account.ID], "balance of address %d at the node", n)
		}
	}
}

func (c *crowd) close(b *testing.B) {
	b.Helper()
	c.source.Close()
	c.durableStore.close(b)
	require.NoError(b, c.node.Stop(context.WithoutCancel(b.Context())))
}

// untilLevel hears the status of the chain, of which Tip is durable by then.
type untilLevel struct {
	height  uint64
	reached chan struct{}
}

// PutChain implements indexer.SyncState.
func (u *untilLevel) PutChain(_ context.Context, status indexer.ChainStatus) {
	if status.State != indexer.StateLevel || status.Tip.Height < u.height {
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
	url    string
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
	return &durableStore{Store: ledger, server: server, url: opts.URL}
}

func (s *durableStore) close(b *testing.B) {
	b.Helper()
	s.Close()
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
	return s.evmSource.RefAt(ctx, height)
}

func (s timedSource) Block(ctx context.Context, hash chains.Hash) (chains.Block, error) {
	defer s.spent.fetch.since(time.Now())
	block, err := s.evmSource.Block(ctx, hash)
	return timedBlock{block, s.spent}, err
}

func (s timedSource) Balances(ctx context.Context, at chains.BlockRef, touched []chains.Touch) ([]chains.Snapshot, []chains.Touch, error) {
	defer s.spent.balances.since(time.Now())
	return s.evmSource.Balances(ctx, at, touched)
}

// timedBlock measures how long a block is matched.
type timedBlock struct {
	chains.Block
	spent *clocks
}

func (t timedBlock) Match(watch *chains.WatchTable) (chains.Match, error) {
	defer t.spent.match.since(time.Now())
	return t.Block.Match(watch)
}

// timedPorts measures how long the ledger is written.
type timedPorts struct {
	*store.Store
	spent *clocks
}

func (p timedPorts) Apply(ctx context.Context, steps ...indexer.Step) (indexer.Applied, error) {
	defer p.spent.apply.since(time.Now())
	return p.Store.Apply(ctx, steps...)
}

func (p timedPorts) Amend(ctx context.Context, amendment indexer.Amendment) (indexer.Applied, error) {
	if len(amendment.Snapshots) > 0 {
		defer p.spent.keep.since(time.Now())
	}
	return p.Store.Amend(ctx, amendment)
}

// clocks say where the time went.
type clocks struct {
	level time.Duration // until the tip was the node's head
	total time.Duration // and every balance was read
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
	b.ReportMetric(c.level.Seconds()/float64(b.N), "level-s")
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
