package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"tallyd/chains/localnode"
	"tallyd/config"
	"tallyd/indexer"
)

const (
	// devSeed makes the wallet the local bitcoin chain mines to. Its money is
	// worth nothing and its key no secret.
	devSeed = "tallyd dev"

	// devSaveEvery is how much of the local Ethereum chain a kill -9 may cost.
	devSaveEvery = 5 * time.Second

	// devFinality is the depth at which a block of a local chain is final: the
	// tags of such nodes mean nothing.
	devFinality = 300

	// devCredit is how deep a deposit on a local chain is when it is credited: deep
	// enough to see that it is not credited at once.
	devCredit = 2
)

// devNodes are the local chains. Either may be nil where its programs were not
// found.
type devNodes struct {
	bitcoin  *localnode.Bitcoin
	wallet   *localnode.Wallet
	ethereum *localnode.Ethereum
	chainID  string // of ethereum, decimal
	traffic  *localnode.Demo
}

// startNodes starts the chains whose programs are found.
func startNodes(ctx context.Context, data string, log zerolog.Logger) (*devNodes, error) {
	n := &devNodes{}
	if err := n.startBitcoin(ctx, filepath.Join(data, "btc"), log); err != nil {
		return nil, fmt.Errorf("start the chain btc: %w", err)
	}
	if err := n.startEthereum(ctx, filepath.Join(data, "eth"), log); err != nil {
		n.stop(ctx, log)
		return nil, fmt.Errorf("start the chain eth: %w", err)
	}
	for slug, chain := range n.describe() {
		log.Info().Str("chain", slug).Str("rpc", chain.RPC).Msg("chain started")
	}
	n.traffic = &localnode.Demo{Bitcoin: n.bitcoin, Wallet: n.wallet, Ethereum: n.ethereum}
	return n, nil
}

func (n *devNodes) startBitcoin(ctx context.Context, dir string, log zerolog.Logger) error {
	params, start := localnode.Simnet(), localnode.StartBtcd
	bin := program("TALLYD_BTCD", "btcd", "btcd-*/btcd")
	if bin == "" {
		params, start = localnode.Regtest(), localnode.StartBitcoind
		bin = program("TALLYD_BITCOIND", "bitcoind", "bitcoin*/bitcoind")
	}
	if bin == "" {
		log.Warn().Msg("neither btcd nor bitcoind found, no chain btc: make run installs btcd")
		return nil
	}
	wallet, err := localnode.NewWallet(devSeed, params)
	if err != nil {
		return fmt.Errorf("make its wallet: %w", err)
	}
	n.wallet = wallet
	n.bitcoin, err = start(ctx, localnode.BitcoinOptions{
		Bin: bin, Dir: dir, Params: params, MiningAddress: wallet.Address(localnode.P2WPKH), TxIndex: true,
	})
	return err
}

func (n *devNodes) startEthereum(ctx context.Context, dir string, log zerolog.Logger) (err error) {
	options := localnode.EthereumOptions{
		Bin: program("TALLYD_ANVIL", "anvil", "anvil-*/bin/anvil"), Dir: dir,
		StateFile: filepath.Join(dir, "state.json"),
	}
	start := localnode.StartAnvil
	if options.Bin == "" {
		start = localnode.StartGeth
		options.Bin, options.StateFile = program("TALLYD_GETH", "geth", "geth-*/geth"), ""
	}
	if options.Bin == "" {
		log.Warn().Msg("neither anvil nor geth found, no chain eth: make run installs anvil if npm is there")
		return nil
	}
	if n.ethereum, err = start(ctx, options); err != nil {
		return err
	}
	var id string
	if err := n.ethereum.Call(ctx, "eth_chainId", &id); err != nil {
		return fmt.Errorf("ask for the chain id: %w", err)
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(id, "0x"), 16, 64)
	if err != nil {
		return fmt.Errorf("chain id %q: %w", id, err)
	}
	n.chainID = strconv.FormatUint(number, 10)
	return nil
}

// program finds a program: where a variable says, in PATH, or where make
// installs it. It returns "" if it is nowhere. A script in PATH is passed over:
// the node it starts would outlive us.
func program(variable, name, pattern string) string {
	if path := os.Getenv(variable); path != "" {
		return path
	}
	if path, err := exec.LookPath(name); err == nil && !isScript(path) {
		return path
	}
	return cmp.Or(cached(pattern)...)
}

// cached returns what make installed that matches a pattern, the newest first.
func cached(pattern string) []string {
	var all []string
	for _, cache := range cacheFolders() {
		found, err := filepath.Glob(filepath.Join(cache, pattern))
		if err != nil {
			continue // a folder of no such name holds nothing
		}
		slices.Sort(found)
		slices.Reverse(found)
		all = append(all, found...)
	}
	return all
}

func isScript(path string) bool {
	file, err := os.Open(path)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 2)
	_, err = file.Read(head)
	return err == nil && string(head) == "#!"
}

// cacheFolders returns where the scripts of make install tools.
func cacheFolders() []string {
	if folder := os.Getenv("TALLYD_CACHE"); folder != "" {
		return []string{folder}
	}
	if os.Geteuid() == 0 {
		return []string{"/var/cache/tallyd"}
	}
	folder, err := os.UserCacheDir()
	if err != nil {
		return nil
	}
	return []string{filepath.Join(folder, "tallyd")}
}

// keep saves what a node keeps in memory, and ends when a node does.
func (n *devNodes) keep(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	if n.ethereum != nil {
		group.Go(func() error { return n.ethereum.Keep(ctx, devSaveEvery) })
		group.Go(func() error { return ended(ctx, n.ethereum.Done(), "eth") })
	}
	if n.bitcoin != nil {
		group.Go(func() error { return ended(ctx, n.bitcoin.Done(), "btc") })
	}
	return group.Wait() //nolint:wrapcheck // each part says what it was doing
}

func ended(ctx context.Context, done <-chan struct{}, chain string) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-done:
		return fmt.Errorf("the node of chain %s ended, see its log in the data folder", chain)
	}
}

// prepare brings the chains to where payments are possible.
func (n *devNodes) prepare(ctx context.Context, log zerolog.Logger) error {
	begun := time.Now()
	if err := n.traffic.Prepare(ctx); err != nil {
		return fmt.Errorf("prepare the local chains: %w", err)
	}
	log.Info().Dur("took", time.Since(begun)).Msg("traffic prepared")
	return nil
}

// demo makes traffic until ctx ends.
func (n *devNodes) demo(ctx context.Context, log zerolog.Logger) error {
	return n.traffic.Run(ctx, func(err error) { log.Debug().Err(err).Msg("traffic not made") }) //nolint:wrapcheck // ctx's cause
}

func (n *devNodes) stop(ctx context.Context, log zerolog.Logger) {
	if n.ethereum != nil {
		stopping(ctx, "eth", n.ethereum.Stop, log)
	}
	if n.bitcoin != nil {
		stopping(ctx, "btc", n.bitcoin.Stop, log)
	}
}

// describe returns how to reach each chain, for dev.json.
func (n *devNodes) describe() map[string]devChain {
	all := map[string]devChain{}
	if n.bitcoin != nil {
		all["btc"] = devChain{RPC: n.bitcoin.URL, User: n.bitcoin.User, Password: n.bitcoin.Password}
	}
	if n.ethereum != nil {
		all["eth"] = devChain{RPC: n.ethereum.URL}
	}
	return all
}

// devConfig returns the settings of tallyd dev: both chains are test chains,
// followed from their first block, and may be wound back.
func devConfig(listen, database, redis string, secrets devSecrets, n *devNodes) config.Config {
	cfg := config.Config{Listen: listen, Chains: map[string]config.Chain{}, Venues: config.DefaultVenues()}
	cfg.Log = config.Log{Level: "info", Format: "auto"}
	cfg.Database = config.Database{URL: config.NewURL(database), Pooler: "session", MaxConns: 20}
	cfg.Redis.URL = config.NewURL(redis)
	cfg.API = config.API{
		MasterKey: config.NewSecret(secrets.MasterKey), KeyPepper: config.NewSecret(secrets.Pepper),
		JWTSeed: config.NewSecret(secrets.Seed), BodyLimit: 64 << 10,
	}
	cfg.Secrets.Keyset = config.NewSecret(secrets.Keyset)
	cfg.Webhooks = loopback()
	cfg.NFT = nearby()
	local := func(c config.Chain) config.Chain {
		c.Environment = "test"
		c.StartHeight = config.StartAt(0)
		c.AllowGenesisChange = true
		c.Finality = config.Finality{Depth: devFinality}
		c.Deposits = config.Deposits{Credit: config.Confirmed(devCredit), ReorgLimit: devFinality}
		c.Withdrawals = config.Withdrawals{MaxFee: "0.05", Blocks: 1}
		return c
	}
	if n.bitcoin != nil {
		c := local(config.DefaultChain(config.FamilyBitcoin))
		c.Network, c.AcceptMainnetAddresses = n.bitcoin.Params.Name, true
		c.Upstreams = []config.Upstream{{
			URL: config.NewURL(n.bitcoin.URL), Websocket: config.NewURL(n.bitcoin.WebSocket),
			User: n.bitcoin.User, Password: config.NewSecret(n.bitcoin.Password), REST: n.bitcoin.WebSocket == "",
		}}
		cfg.Chains["btc"] = c
	}
	if n.ethereum != nil {
		c := local(config.DefaultChain(config.FamilyEVM))
		c.Network = n.chainID
		c.Upstreams = []config.Upstream{{URL: config.NewURL(n.ethereum.URL), Websocket: config.NewURL(n.ethereum.WebSocket)}}
		if n.traffic.Token != "" {
			c.Tokens = []config.Token{{Symbol: "DEMO", Contract: n.traffic.Token, Decimals: 6, Slot: -1}}
		}
		cfg.Chains["eth"] = c
	}
	return cfg
}

// awaitChains waits until the ledger has caught up with every configured chain.
func (d *daemon) awaitChains(ctx context.Context) error {
	const every = 50 * time.Millisecond
	for {
		met, err := d.store.ChainStatuses(ctx)
		if err != nil {
			return fmt.Errorf("read chains: %w", err)
		}
		waiting := len(d.cfg.Chains)
		for _, chain := range met {
			if _, ok := d.cfg.Chains[chain.Chain]; ok && !chain.Tip.Hash.IsZero() && chain.State != indexer.StateStarting && chain.Tip.Height >= chain.Head {
				waiting--
			}
		}
		if waiting <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(every):
		}
	}
}
