package localnode

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// shortChain is the height up to which Stop keeps anvil's past states. anvil
// writes each of its 500 with the hashes of all blocks below: 42 MB and seconds
// at height 700, and more with every block.
const shortChain = 1000

// anvilThreads lets anvil answer while it mines. Its requests block the threads they
// run on, of which there is one for each core: where there are two, a few questions
// beside anvil_mine stop it for good.
const anvilThreads = "TOKIO_WORKER_THREADS=16"

// EthereumOptions says which node to start and where.
type EthereumOptions struct {
	// Bin is the program's file: of anvil itself, not of the script npm puts
	// before it, which would outlive us.
	Bin string

	// Dir is the node's folder. It is made when it is missing.
	Dir string

	// BlockTime is the time between blocks, in whole seconds. Zero means one
	// block for each transaction, at once.
	BlockTime time.Duration

	// StateFile, on anvil, is where SaveState and Stop write the chain, and what a
	// start begins from. Without it anvil forgets.
	StateFile string
}

// Ethereum is a running anvil or geth. All methods are safe for concurrent use
// but those that stop and start it.
type Ethereum struct {
	*node

	// URL is the JSON-RPC endpoint, WebSocket the one with subscriptions.
	URL       string
	WebSocket string

	// Accounts are unlocked and rich: the node signs for them.
	Accounts []string

	stateFile string
}

// StartAnvil returns an anvil that answers calls, after ending one a killed run
// left in the same folder.
func StartAnvil(ctx context.Context, o EthereumOptions) (*Ethereum, error) {
	return startEthereum(ctx, o, func(e *Ethereum, dir string, addresses []string) ([]string, error) {
		host, port, err := net.SplitHostPort(addresses[0])
		if err != nil {
			return nil, fmt.Errorf("start anvil: %w", err)
		}
		// What a former run that was killed has left there is never read again.
		if err := os.RemoveAll(filepath.Join(dir, ".foundry", "anvil", "tmp")); err != nil {
			return nil, fmt.Errorf("remove anvil's leftovers: %w", err)
		}
		e.WebSocket = "ws://" + addresses[0]
		// A bare --prune-history breaks anvil_reorg; without any, past states fill
		// the disk.
		args := []string{"--host", host, "--port", port, "--silent", "--prune-history", "500"}
		if o.BlockTime > 0 {
			args = append(args, "--block-time", strconv.Itoa(int(o.BlockTime/time.Second)))
		}
		if o.StateFile != "" {
			if e.stateFile, err = filepath.Abs(o.StateFile); err != nil {
				return nil, fmt.Errorf("start anvil: %w", err)
			}
			if _, err := os.Stat(e.stateFile); err == nil {
				args = append(args, "--load-state", e.stateFile)
			}
		}
		return args, nil
	})
}

// StartGeth returns a geth with a chain for development, kept in the folder, that
// answers calls and traces, after ending one a killed run left there.
func StartGeth(ctx context.Context, o EthereumOptions) (*Ethereum, error) {
	return startEthereum(ctx, o, func(e *Ethereum, dir string, addresses []string) ([]string, error) {
		e.WebSocket = "ws://" + addresses[1]
		args := []string{
			"--dev", "--datadir", filepath.Join(dir, "data"), "--gcmode", "archive", "--state.scheme", "hash",
			"--networkid", "1337", "--nodiscover", "--maxpeers", "0", "--nat", "none", "--ipcdisable",
			"--http", "--http.api", "eth,net,web3,debug,txpool,admin,dev",
			"--ws", "--ws.api", "eth,net,web3,debug,txpool", "--ws.origins", "*",
		}
		for n, flag := range []string{"http", "ws", "authrpc"} {
			host, port, err := net.SplitHostPort(addresses[n])
			if err != nil {
				return nil, fmt.Errorf("start geth: %w", err)
			}
			args = append(args, "--"+flag+".addr", host, "--"+flag+".port", port)
		}
		if o.BlockTime > 0 {
			args = append(args, "--dev.period", strconv.Itoa(int(o.BlockTime/time.Second)))
		}
		return args, nil
	})
}

func startEthereum(ctx context.Context, o EthereumOptions, arguments func(e *Ethereum, dir string, addresses []string) ([]string, error)) (*Ethereum, error) {
	dir, err := folder(o.Dir)
	if err != nil {
		return nil, err
	}
	e := &Ethereum{}
	err = withPorts(ctx, 3, func(addresses []string) error {
		e.URL = "http://" + addresses[0]
		args, err := arguments(e, dir, addresses)
		if err != nil {
			return err
		}
		e.node = &node{
			client: newClient(e.URL, "", ""),
			stop:   syscall.SIGINT,
			ready:  func(ctx context.Context) bool { return e.Call(ctx, "eth_accounts", &e.Accounts) == nil },
			command: Command{
				Path: o.Bin, Args: args, Dir: dir, Env: append(environment(dir), anvilThreads),
				Log: filepath.Join(dir, "node.log"), PidFile: filepath.Join(dir, "node.pid"),
			},
		}
		return e.launch(ctx)
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Keep saves the state every so often until ctx ends, and returns its cause, or
// the error of a save. A killed run then loses no more than that: the next start
// has a shorter chain.
func (e *Ethereum) Keep(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-ticker.C:
			if err := e.SaveState(ctx); err != nil {
				return err
			}
		}
	}
}

// SaveState writes anvil's chain, all its blocks and receipts and the latest
// state, to the state file, whole or not at all. It does nothing without a state
// file. What was at past blocks the next start can no longer say, unless Stop
// wrote the file last.
func (e *Ethereum) SaveState(ctx context.Context) error { return e.saveState(ctx, false) }

func (e *Ethereum) saveState(ctx context.Context, past bool) error {
	if e.stateFile == "" {
		return nil
	}
	var dump string
	if err := e.Call(ctx, "anvil_dumpState", &dump, past); err != nil {
		return err
	}
	packed, err := hex.DecodeString(strings.TrimPrefix(dump, "0x"))
	if err != nil {
		return fmt.Errorf("read anvil's state: %w", err)
	}
	// anvil packs what it hands out and wants it unpacked.
	unpacked, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return fmt.Errorf("unpack anvil's state: %w", err)
	}
	state, err := e.ownGenesis(ctx, unpacked)
	if err != nil {
		return err
	}
	return replaceFile(e.stateFile, bytes.NewReader(state))
}

// ownGenesis returns a state without the blocks of number 0 that are not the
// chain's. An anvil that begins from a state keeps the genesis block it would have
// begun with beside the state's, and the next one would take either for its own.
func (e *Ethereum) ownGenesis(ctx context.Context, state io.Reader) ([]byte, error) {
	type block struct {
		Number    string `json:"number"`
		Timestamp string `json:"timestamp"`
	}
	var own block
	if err := e.Call(ctx, "eth_getBlockByNumber", &own, "0x0", false); err != nil {
		return nil, err
	}
	var parts map[string]json.RawMessage
	if err := json.NewDecoder(state).Decode(&parts); err != nil {
		return nil, fmt.Errorf("read anvil's state: %w", err)
	}
	var blocks []json.RawMessage
	if err := json.Unmarshal(parts["blocks"], &blocks); err != nil {
		return nil, fmt.Errorf("read the blocks of anvil's state: %w", err)
	}
	var kept []json.RawMessage
	for _, text := range blocks {
		var b struct {
			Header block `json:"header"`
		}
		if err := json.Unmarshal(text, &b); err != nil {
			return nil, fmt.Errorf("read a block of anvil's state: %w", err)
		}
		if b.Header.Number != own.Number || b.Header.Timestamp == own.Timestamp {
			kept = append(kept, text)
		}
	}
	var err error
	if parts["blocks"], err = json.Marshal(kept); err != nil {
		return nil, fmt.Errorf("write the blocks of anvil's state: %w", err)
	}
	text, err := json.Marshal(parts)
	if err != nil {
		return nil, fmt.Errorf("write anvil's state: %w", err)
	}
	return text, nil
}

// replaceFile makes content a file's content; a crash leaves the old or the new.
func replaceFile(path string, content io.Reader) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("replace %s: %w", path, err)
	}
	_, err = io.Copy(f, content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("replace %s: %w", path, err)
	}
	return nil
}

// Stop saves the state, of a short chain with its past states, and ends the node
// in good order. It may be called again.
func (e *Ethereum) Stop(ctx context.Context) error {
	select {
	case <-e.Done():
		return e.node.Stop(ctx)
	default:
	}
	height, err := e.Height(ctx)
	if err == nil {
		err = e.saveState(ctx, height <= shortChain)
	}
	return errors.Join(err, e.node.Stop(ctx))
}

// Restart starts a stopped node again, on the same folder and ports, anvil from
// the last saved state.
func (e *Ethereum) Restart(ctx context.Context) error {
	if e.stateFile == "" {
		return e.launch(ctx)
	}
	if _, err := os.Stat(e.stateFile); err == nil && !slices.Contains(e.command.Args, "--load-state") {
		e.command.Args = append(e.command.Args, "--load-state", e.stateFile)
	}
	return e.launch(ctx)
}

// Height is the number of the node's latest block.
func (e *Ethereum) Height(ctx context.Context) (uint64, error) {
	var text string
	if err := e.Call(ctx, "eth_blockNumber", &text); err != nil {
		return 0, err
	}
	height, err := strconv.ParseUint(strings.TrimPrefix(text, "0x"), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("read height: %w", err)
	}
	return height, nil
}

// Balance is what an address has, in wei, at a block: a number in hexadecimal or
// a tag.
func (e *Ethereum) Balance(ctx context.Context, address, block string) (*big.Int, error) {
	return e.number(ctx, "eth_getBalance", address, block)
}

// TokenBalance is what an address has of a token, in its base units, at a block.
func (e *Ethereum) TokenBalance(ctx context.Context, token, address, block string) (*big.Int, error) {
	data := "0x70a08231" + hex.EncodeToString(addressWord(address)) // balanceOf(address)
	return e.number(ctx, "eth_call", map[string]string{"to": token, "data": data}, block)
}

func (e *Ethereum) number(ctx context.Context, method string, params ...any) (*big.Int, error) {
	var text string
	if err := e.Call(ctx, method, &text, params...); err != nil {
		return nil, err
	}
	n, ok := new(big.Int).SetString(strings.TrimPrefix(text, "0x"), 16)
	if !ok {
		return nil, fmt.Errorf("read answer of %s: %q is no number", method, text)
	}
	return n, nil
}

// Mine mines n empty blocks, or with what waits, on anvil.
func (e *Ethereum) Mine(ctx context.Context, n int) error {
	return e.Call(ctx, "anvil_mine", nil, fmt.Sprintf("%#x", n))
}
