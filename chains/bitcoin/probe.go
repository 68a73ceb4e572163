package bitcoin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// abilities is what a node was found to be able to do when it was admitted. The
// zero value can do what every node of the family can.
type abilities struct {
	version  string
	rest     bool // raw blocks by REST
	scan     bool // scantxoutset
	blocks   bool // scanblocks over a filter index
	filters  bool // getcfilter (btcd)
	longPoll bool // waitfornewblock
	tipParam bool // waitfornewblock takes the tip that is known
	loaded   bool // getmempoolinfo says whether the mempool is loaded
}

// identify checks that a node serves the chain of params.
func identify(ctx context.Context, n node) error {
	genesis, err := n.hashAt(ctx, 0)
	if err != nil {
		return fmt.Errorf("ask for block 0: %w", err)
	}
	if genesis != n.params.Genesis {
		return rpc.Refuse(fmt.Sprintf("%s serves another network: its block 0 is %s, that of %s is %s",
			n.Name(), genesis, n.params.Name, n.params.Genesis))
	}
	return nil
}

// prober asks one node for one ability after the other and writes down what
// came out, for the table an operator reads.
type prober struct {
	node
	best  chains.Hash
	found []chains.Capability
}

// probe finds out what a node can do. Only a node that stops answering is an
// error: a missing ability never is.
func probe(ctx context.Context, n node) (abilities, []chains.Capability, error) {
	p := &prober{node: n}
	steps := []func(ctx context.Context) error{
		p.askChain, p.askVersion, p.askREST, p.askScan, p.askFilters, p.askLongPoll, p.askMempool,
	}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return p.can, p.found, err
		}
	}
	p.note("websocket", p.Spec().Websocket != "", "")
	return p.can, p.found, nil
}

func (p *prober) note(name string, ok bool, detail string) {
	p.found = append(p.found, chains.Capability{Upstream: p.Name(), Name: name, OK: ok, Detail: detail})
}

// try calls a method that a node may lack. It returns the node's own words where
// it refuses, and an error only if the node did not answer.
func (p *prober) try(ctx context.Context, out any, method string, params ...any) (ok bool, refusal string, err error) {
	result, err := p.Call(ctx, method, params...)
	if code := rpc.Code(err); code != 0 && code != codeWarmingUp {
		return false, fmt.Sprintf("%s: code %d", method, code), nil
	}
	if err != nil {
		return false, "", err
	}
	if out != nil {
		if json.Unmarshal(result, out) != nil {
			return false, method + ": the answer has another form", nil //nolint:nilerr // a lack, not a fault
		}
	}
	return true, "", nil
}

func (p *prober) askChain(ctx context.Context) error {
	var info struct {
		Blocks      uint64 `json:"blocks"`
		Pruned      bool   `json:"pruned"`
		PruneHeight uint64 `json:"pruneheight"`
		Syncing     bool   `json:"initialblockdownload"`
	}
	ok, refusal, err := p.try(ctx, &info, "getblockchaininfo")
	if err != nil {
		return err
	}
	detail := fmt.Sprintf("height %d", info.Blocks)
	if info.Syncing {
		detail += ", still catching up"
	}
	if !ok {
		detail = refusal
	}
	p.note("reach", true, detail)
	history := "all blocks"
	if info.Pruned {
		history = fmt.Sprintf("pruned below height %d", info.PruneHeight)
	}
	p.note("history", ok && !info.Pruned, history)
	p.best, err = p.node.best(ctx)
	return err
}

func (p *prober) askVersion(ctx context.Context) error {
	var info struct {
		Version    int    `json:"version"`
		Subversion string `json:"subversion"`
	}
	ok, _, err := p.try(ctx, &info, "getnetworkinfo")
	if err == nil && !ok {
		ok, _, err = p.try(ctx, &info, "getinfo") // btcd
	}
	if err != nil {
		return err
	}
	p.can.version = strings.Trim(info.Subversion, "/")
	if p.can.version == "" && ok {
		p.can.version = fmt.Sprintf("version %d", info.Version)
	}
	p.note("version", ok, p.can.version)
	return nil
}

// askREST reads the best block as the hot path will. A node without -rest
// answers 404 or closes; only JSON-RPC decides whether it is reachable.
func (p *prober) askREST(ctx context.Context) error {
	if !p.Spec().REST {
		p.note("block.rest", false, "not asked for in the configuration")
		return nil
	}
	raw, err := p.Get(ctx, "/rest/block/"+p.best.String()+".bin", maxBlock)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if header, parse := ParseHeader(raw); err == nil && (parse != nil || header.Hash != p.best) {
		err = fmt.Errorf("block.rest: the answer is not block %s", p.best)
	}
	p.can.rest = err == nil
	p.note("block.rest", p.can.rest, why(err))
	_, err = p.Get(ctx, "/rest/spenttxouts/"+p.best.String()+".bin", maxBlock)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	p.note("spenttxouts", err == nil, why(err))
	return nil
}

func (p *prober) askScan(ctx context.Context) error {
	ok, refusal, err := p.try(ctx, nil, "scantxoutset", "status")
	p.can.scan = ok
	p.note("scantxoutset", ok, refusal)
	return err
}

func (p *prober) askFilters(ctx context.Context) error {
	var indexes map[string]struct {
		Synced bool   `json:"synced"`
		Best   uint64 `json:"best_block_height"`
	}
	isCore, _, err := p.try(ctx, &indexes, "getindexinfo")
	if err != nil {
		return err
	}
	if !isCore {
		ok, refusal, err := p.try(ctx, nil, "getcfilter", p.best.String(), 0)
		p.can.filters = ok
		p.note("filters", ok, refusal)
		return err
	}
	index, has := indexes["basic block filter index"]
	if !has {
		p.note("filters", false, "the node runs without -blockfilterindex=1")
		return nil
	}
	ok, refusal, err := p.try(ctx, nil, "scanblocks", "status")
	p.can.blocks = ok
	if ok {
		refusal = fmt.Sprintf("indexed to height %d", index.Best)
	}
	p.note("filters", ok, refusal)
	return err
}

// askLongPoll reads the node's own help, since a call would wait.
func (p *prober) askLongPoll(ctx context.Context) error {
	var help string
	ok, _, err := p.try(ctx, &help, "help", "waitfornewblock")
	if err != nil {
		return err
	}
	p.can.longPoll = ok && strings.HasPrefix(help, "waitfornewblock")
	p.can.tipParam = p.can.longPoll && strings.Contains(help, "current_tip")
	p.note("waitfornewblock", p.can.longPoll, "")
	return nil
}

func (p *prober) askMempool(ctx context.Context) error {
	var info struct {
		Loaded *bool  `json:"loaded"`
		Size   uint64 `json:"size"`
	}
	ok, refusal, err := p.try(ctx, &info, "getmempoolinfo")
	p.can.loaded = info.Loaded != nil
	if ok {
		refusal = fmt.Sprintf("%d transactions", info.Size)
	}
	p.note("mempool", ok, refusal)
	return err
}

// why returns the words of an error, "" for none.
func why(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
