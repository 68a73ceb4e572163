package localnode

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/btcsuite/btcd/chaincfg/v2"
	"github.com/btcsuite/btcd/chainhash/v2"
	"github.com/btcsuite/btcd/wire/v2"
)

// Simnet returns the network whose chain btcd keeps over restarts.
func Simnet() *chaincfg.Params { return &chaincfg.SimNetParams }

// Regtest returns the network on which blocks cost nothing, at any height.
func Regtest() *chaincfg.Params { return &chaincfg.RegressionNetParams }

// BitcoinOptions says which node to start and where.
type BitcoinOptions struct {
	// Bin is the program's file.
	Bin string

	// Dir is the node's folder. It is made when it is missing.
	Dir string

	// Params is the network: chaincfg.RegressionNetParams, or, on btcd only,
	// chaincfg.SimNetParams. btcd deletes its regtest chain at every start, simnet
	// it keeps; there segwit and taproot are active from height 300, and the
	// difficulty rises fourfold every 2016 blocks that were mined too fast.
	Params *chaincfg.Params

	// MiningAddress is paid by Generate.
	MiningAddress string

	// TxIndex lets the node find any transaction by id.
	TxIndex bool
}

// Bitcoin is a running btcd or bitcoind. All methods are safe for concurrent use
// but those that stop and start it.
type Bitcoin struct {
	*node

	// URL is the JSON-RPC endpoint, without credentials. bitcoind serves REST
	// under the same address.
	URL string

	// WebSocket is btcd's notification endpoint, "" on bitcoind.
	WebSocket string

	User     string
	Password string

	// Peer is the address other nodes connect to.
	Peer string

	Params *chaincfg.Params

	miningAddress string
}

// StartBtcd returns a btcd that answers calls, after ending one a killed run left
// in the same folder.
func StartBtcd(ctx context.Context, o BitcoinOptions) (*Bitcoin, error) {
	network := "regtest=1"
	if o.Params.Net == chaincfg.SimNetParams.Net {
		network = "simnet=1"
	}
	return startBitcoin(ctx, o, "btcd.conf", func(b *Bitcoin, dir string, addresses []string) (string, []string) {
		b.WebSocket = "ws://" + addresses[0] + "/ws"
		lines := []string{
			"[Application Options]", network,
			"datadir=" + filepath.Join(dir, "data"), "logdir=" + filepath.Join(dir, "log"),
			"rpclisten=" + addresses[0], "listen=" + addresses[1], "rpcuser=" + b.User, "rpcpass=" + b.Password,
			"notls=1", "nodnsseed=1", "noonion=1", "nobanning=1", "relaynonstd=1", "trickleinterval=100ms",
			"rpcmaxclients=64", "rpcmaxwebsockets=64", "utxocachemaxsize=32",
			"miningaddr=" + o.MiningAddress,
		}
		if o.TxIndex {
			lines = append(lines, "txindex=1")
		}
		return strings.Join(lines, "\n") + "\n", []string{"--configfile=" + filepath.Join(dir, "btcd.conf")}
	})
}

// StartBitcoind returns a Bitcoin Core or Knots on regtest that answers calls,
// with REST and block filters, after ending one a killed run left in the same
// folder.
func StartBitcoind(ctx context.Context, o BitcoinOptions) (*Bitcoin, error) {
	if o.Params.Net != chaincfg.RegressionNetParams.Net {
		return nil, errors.New("bitcoind is started on regtest only")
	}
	return startBitcoin(ctx, o, "bitcoin.conf", func(b *Bitcoin, dir string, addresses []string) (string, []string) {
		_, port, err := net.SplitHostPort(addresses[0])
		if err != nil {
			return "", nil
		}
		index := 0
		if o.TxIndex {
			index = 1
		}
		conf := fmt.Sprintf(`regtest=1
server=1
rest=1
blockfilterindex=1
txindex=%d
rpcuser=%s
rpcpassword=%s
dnsseed=0
listenonion=0
printtoconsole=1
nodebuglogfile=1
acceptnonstdtxn=1
dbcache=32
[regtest]
rpcbind=127.0.0.1
rpcallowip=127.0.0.1
rpcport=%s
bind=%s
`, index, b.User, b.Password, port, addresses[1])
		return conf, []string{"-datadir=" + dir, "-conf=" + filepath.Join(dir, "bitcoin.conf")}
	})
}

// startBitcoin writes the configuration, in which the password is kept from the
// process list, and starts the node.
func startBitcoin(ctx context.Context, o BitcoinOptions, name string, configure func(b *Bitcoin, dir string, addresses []string) (conf string, args []string)) (*Bitcoin, error) {
	dir, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	b := &Bitcoin{User: "tallyd", Password: rand.Text(), Params: o.Params, miningAddress: o.MiningAddress}
	err = withPorts(ctx, 2, func(addresses []string) error {
		b.URL, b.Peer = "http://"+addresses[0], addresses[1]
		conf, args := configure(b, dir, addresses)
		if err := os.WriteFile(filepath.Join(dir, name), []byte(conf), 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
		b.node = &node{
			client: newClient(b.URL, b.User, b.Password),
			stop:   syscall.SIGINT,
			ready:  func(ctx context.Context) bool { _, err := b.Height(ctx); return err == nil },
			command: Command{
				Path: o.Bin, Args: args, Dir: dir, Env: environment(dir),
				Log: filepath.Join(dir, "node.log"), PidFile: filepath.Join(dir, "node.pid"),
			},
		}
		return b.launch(ctx)
	})
	if err != nil {
		return nil, err
	}
	return b, nil
}

// Height is the height of the node's best block.
func (b *Bitcoin) Height(ctx context.Context) (int32, error) {
	var height int32
	return height, b.Call(ctx, "getblockcount", &height)
}

// Tip is the hash of the node's best block.
func (b *Bitcoin) Tip(ctx context.Context) (chainhash.Hash, error) {
	return b.hash(ctx, "getbestblockhash")
}

// BlockHash is the hash of the block at height on the node's best chain.
func (b *Bitcoin) BlockHash(ctx context.Context, height int32) (chainhash.Hash, error) {
	return b.hash(ctx, "getblockhash", height)
}

func (b *Bitcoin) hash(ctx context.Context, method string, params ...any) (chainhash.Hash, error) {
	var text string
	if err := b.Call(ctx, method, &text, params...); err != nil {
		return chainhash.Hash{}, err
	}
	hash, err := chainhash.NewHashFromStr(text)
	if err != nil {
		return chainhash.Hash{}, fmt.Errorf("read answer of %s: %w", method, err)
	}
	return *hash, nil
}

// Block is the block of a hash, on any branch the node holds.
func (b *Bitcoin) Block(ctx context.Context, hash chainhash.Hash) (*wire.MsgBlock, error) {
	var text string
	if err := b.Call(ctx, "getblock", &text, hash.String(), 0); err != nil {
		return nil, err
	}
	block := new(wire.MsgBlock)
	if err := block.Deserialize(hex.NewDecoder(strings.NewReader(text))); err != nil {
		return nil, fmt.Errorf("decode block %s: %w", hash, err)
	}
	return block, nil
}

// Send hands a transaction to the node's mempool.
func (b *Bitcoin) Send(ctx context.Context, tx *wire.MsgTx) (chainhash.Hash, error) {
	raw, err := serialize(tx)
	if err != nil {
		return chainhash.Hash{}, err
	}
	return b.hash(ctx, "sendrawtransaction", raw)
}

// Mempool is the ids of the transactions that wait for a block.
func (b *Bitcoin) Mempool(ctx context.Context) ([]string, error) {
	var ids []string
	return ids, b.Call(ctx, "getrawmempool", &ids)
}

// ForgetMempool starts a bitcoind again that remembers no transaction that waits.
func (b *Bitcoin) ForgetMempool(ctx context.Context) error {
	if err := b.Stop(ctx); err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(b.command.Dir, "regtest", "mempool.dat")); err != nil {
		return fmt.Errorf("forget the mempool: %w", err)
	}
	return b.Restart(ctx)
}

// Generate mines n blocks with what the mempool holds, paying the mining address,
// and returns their hashes.
func (b *Bitcoin) Generate(ctx context.Context, n int) ([]string, error) {
	var hashes []string
	if b.WebSocket != "" {
		return hashes, b.Call(ctx, "generate", &hashes, n)
	}
	return hashes, b.Call(ctx, "generatetoaddress", &hashes, n, b.miningAddress)
}

// Invalidate makes the node leave a block and everything above it, as if they
// broke the rules.
func (b *Bitcoin) Invalidate(ctx context.Context, hash chainhash.Hash) error {
	return b.Call(ctx, "invalidateblock", nil, hash.String())
}

// Reconsider takes an Invalidate back. The node returns to that branch when it
// has the most work. btcd was seen not to choose the longest of several.
func (b *Bitcoin) Reconsider(ctx context.Context, hash chainhash.Hash) error {
	return b.Call(ctx, "reconsiderblock", nil, hash.String())
}

// serialize is the hex of a transaction or a block.
func serialize(m interface{ Serialize(w io.Writer) error }) (string, error) {
	var raw bytes.Buffer
	if err := m.Serialize(&raw); err != nil {
		return "", fmt.Errorf("serialize: %w", err)
	}
	return hex.EncodeToString(raw.Bytes()), nil
}

// spentBy is what a transaction of the mempool spends, nothing when it has left.
func (b *Bitcoin) spentBy(ctx context.Context, id string) ([]wire.OutPoint, error) {
	var text string
	err := b.Call(ctx, "getrawtransaction", &text, id, 0)
	if _, refused := errors.AsType[*RPCError](err); refused {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	tx := new(wire.MsgTx)
	if err := tx.Deserialize(hex.NewDecoder(strings.NewReader(text))); err != nil {
		return nil, fmt.Errorf("decode transaction %s: %w", id, err)
	}
	outs := make([]wire.OutPoint, 0, len(tx.TxIn))
	for _, in := range tx.TxIn {
		outs = append(outs, in.PreviousOutPoint)
	}
	return outs, nil
}
