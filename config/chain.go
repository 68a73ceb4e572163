package config

import (
	"cmp"
	"fmt"
	"strconv"
	"time"
)

// Families of chains.
const (
	FamilyBitcoin = "bitcoin"
	FamilyEVM     = "evm"
)

// Chain is one network that is followed. Its key in Config.Chains is its slug:
// lower-case letters, digits and hyphens.
type Chain struct {
	// Family is bitcoin or evm. Required.
	Family string `yaml:"family"`
	// Network is, for bitcoin, the name of a parameter set such as mainnet, testnet4,
	// signet, regtest or litecoin; for evm the chain id, which the node is asked
	// for and must agree on. Required.
	Network string `yaml:"network"`
	// Environment is live or test: the keys of one never see chains of the other.
	// It is not read off the network, but a test network that is live is warned of.
	// Default live.
	Environment string `yaml:"environment"`
	// Upstreams are the nodes of this chain, the preferred one first. At least one.
	// Nothing is credited while they stand on different branches.
	Upstreams []Upstream `yaml:"upstreams"`

	// StartHeight is the first block followed, a number or tip: the node's head
	// when the chain is first started. It is read once per database. Default tip.
	StartHeight StartHeight `yaml:"start_height"`
	// PollInterval is how often a node that cannot announce blocks is asked.
	// Default 2s for bitcoin, 1s for evm.
	PollInterval time.Duration `yaml:"poll_interval"`
	// FetchConcurrency is the number of requests under way at once to one
	// upstream. Default 4.
	FetchConcurrency int `yaml:"fetch_concurrency"`
	// BatchSize is the number of calls in one JSON-RPC batch. Default 50.
	BatchSize int `yaml:"batch_size"`
	// Timeout is of one request, connection and answer included. Default 30s.
	Timeout time.Duration `yaml:"timeout"`
	// Budget is the requests per second each upstream may be asked. Default 0: no
	// limit.
	Budget float64 `yaml:"budget"`

	Finality    Finality    `yaml:"finality"`
	Deposits    Deposits    `yaml:"deposits"`
	Withdrawals Withdrawals `yaml:"withdrawals"`
	// Mempool says whether unconfirmed transactions are followed; bitcoin only.
	// Default true.
	Mempool bool `yaml:"mempool"`
	// GapLimit is how many unused scripts in a row end the search of an xpub or a
	// descriptor, at most 10000. Default 20.
	GapLimit int `yaml:"gap_limit"`
	// HistoryBlocks is how many blocks before a new address was connected are read
	// for its past, newest first; evm only, since other chains need all of them for
	// a balance. Default 0: all.
	HistoryBlocks int `yaml:"history_blocks"`
	// Tokens are the tokens known from the start; evm only. Default none.
	Tokens []Token `yaml:"tokens"`
	// Trace is auto, which finds internal transfers by tracing where the node can,
	// or off; evm only. Default auto.
	Trace string `yaml:"trace"`

	// AcceptMainnetAddresses takes mainnet's spelling of addresses on a test
	// network of the bitcoin family. For development only. Default false.
	AcceptMainnetAddresses bool `yaml:"accept_mainnet_addresses"`
	// AllowGenesisChange takes a node with another genesis block for a new chain,
	// instead of halting. For development only. Default false.
	AllowGenesisChange bool `yaml:"allow_genesis_change"`
}

// Upstream is one node.
type Upstream struct {
	// URL is the node's JSON-RPC over http or https. Credentials stand in User and
	// Password, never here; a key in the path is kept out of every print. Required.
	URL URL `yaml:"url"`
	// User is of basic authentication. Default none.
	User string `yaml:"user"`
	// Password is of basic authentication. Default none.
	Password Secret `yaml:"password"`
	// REST says whether a bitcoin node's REST interface is tried. Default true.
	REST bool `yaml:"rest"`
	// Websocket is the node's ws or wss address, for announcements. Default none.
	Websocket URL `yaml:"websocket"`
	// Budget is the requests per second this node may be asked. Default 0: the
	// chain's.
	Budget float64 `yaml:"budget"`
}

// Finality is when a block is final. Each chain has a depth; a tag that the
// network's nodes answer for is believed before it.
type Finality struct {
	// Depth is the number of blocks on top of a block with which it is final.
	// Default 6 for bitcoin, 64 for evm.
	Depth uint64 `yaml:"depth"`
	// Tag is finalized or safe, for evm networks where these mean something.
	// Default none: the depth alone.
	Tag string `yaml:"tag"`
}

// Token is one token contract.
type Token struct {
	// Symbol is shown; it identifies nothing. Required.
	Symbol string `yaml:"symbol"`
	// Contract is the address, 0x and 40 hexadecimal digits. Required.
	Contract string `yaml:"contract"`
	// Decimals is how many digits of an amount stand behind the point. Default 18.
	Decimals int `yaml:"decimals"`
	// Slot is the storage slot of the contract's mapping of balances, which lets
	// a balance be proven; -1 when it is not known. Default -1.
	Slot int `yaml:"slot"`
}

// StartHeight is where following a chain begins. The zero value is the node's
// head at the first start.
type StartHeight struct {
	height uint64
	fixed  bool
}

// StartAt returns a start at a height.
func StartAt(height uint64) StartHeight { return StartHeight{height: height, fixed: true} }

// Height returns the height, and false when the start is the node's head.
func (s StartHeight) Height() (uint64, bool) { return s.height, s.fixed }

// String returns the height in decimal, or tip.
func (s StartHeight) String() string {
	if !s.fixed {
		return "tip"
	}
	return strconv.FormatUint(s.height, 10)
}

// MarshalText is String.
func (s StartHeight) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a decimal height or tip.
func (s *StartHeight) UnmarshalText(text []byte) error {
	if string(text) == "tip" {
		*s = StartHeight{}
		return nil
	}
	height, err := strconv.ParseUint(string(text), 10, 63)
	if err != nil {
		return fmt.Errorf("must be a block height or tip, not %q", text)
	}
	*s = StartAt(height)
	return nil
}

// DefaultChain returns a chain of this family with every default; its network
// and upstreams are for the caller to set.
func DefaultChain(family string) Chain {
	chain := newChain()
	chain.Family = family
	chain.settle()
	return chain
}

// newChain returns a chain with the defaults that are not zero's place: what is
// on unless it is turned off.
func newChain() Chain { return Chain{Mempool: true} }

// settle puts the defaults where nothing is set.
func (c *Chain) settle() {
	poll, depth := 2*time.Second, uint64(6)
	if c.Family == FamilyEVM {
		poll, depth = time.Second, 64
	}
	c.Environment = cmp.Or(c.Environment, "live")
	c.PollInterval = cmp.Or(c.PollInterval, poll)
	c.FetchConcurrency = cmp.Or(c.FetchConcurrency, 4)
	c.BatchSize = cmp.Or(c.BatchSize, 50)
	c.Timeout = cmp.Or(c.Timeout, 30*time.Second)
	c.Finality.Depth = cmp.Or(c.Finality.Depth, depth)
	c.GapLimit = cmp.Or(c.GapLimit, 20)
	c.Trace = cmp.Or(c.Trace, "auto")
	c.Deposits.settle(c)
	c.Withdrawals.settle(c.Family)
}

// share gives the chain's budget to the upstreams that have none of their own.
func (c Chain) share() {
	for i := range c.Upstreams {
		c.Upstreams[i].Budget = cmp.Or(c.Upstreams[i].Budget, c.Budget)
	}
}
