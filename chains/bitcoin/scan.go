package bitcoin

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"time"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

// scanPatience bounds one scan of the set of unspent outputs or of the filters,
// which take minutes on the main network.
const scanPatience = 30 * time.Minute

// scanAnswer is the answer of scantxoutset start.
type scanAnswer struct {
	Success   bool   `json:"success"`
	BestBlock string `json:"bestblock"`
	Unspents  []struct {
		TxID     string      `json:"txid"`
		Vout     uint32      `json:"vout"`
		Script   string      `json:"scriptPubKey"`
		Amount   json.Number `json:"amount"`
		Coinbase bool        `json:"coinbase"`
		Height   uint64      `json:"height"`
	} `json:"unspents"`
}

// ScanUnspent lists the unspent coins of scripts as of one block by
// scantxoutset, or returns chains.ErrUnsupported. A node scans for one caller at
// a time, so others wait; a node that scans for somebody else is an error. Nothing
// proves the list: it is what one node says.
func (s *Source) ScanUnspent(ctx context.Context, scripts [][]byte) ([]chains.Unspent, chains.BlockRef, error) {
	var at chains.BlockRef
	coins, err := ask(ctx, s, func(ctx context.Context, n node) (coins []chains.Unspent, err error) {
		if !n.can.scan {
			return nil, fmt.Errorf("scantxoutset at %s: %w", n.Name(), chains.ErrUnsupported)
		}
		coins, at, err = s.scanAt(ctx, n, scripts)
		return coins, err
	})
	if err != nil {
		return nil, chains.BlockRef{}, fmt.Errorf("scan for the coins of %d scripts: %w", len(scripts), err)
	}
	return coins, at, nil
}

func (s *Source) scanAt(ctx context.Context, n node, scripts [][]byte) ([]chains.Unspent, chains.BlockRef, error) {
	result, err := s.runScan(ctx, n, "scantxoutset", "start", rawDescriptors(scripts))
	if err != nil {
		return nil, chains.BlockRef{}, err
	}
	var answer scanAnswer
	if err := json.Unmarshal(result, &answer); err != nil {
		return nil, chains.BlockRef{}, n.lie("scantxoutset", err)
	}
	if !answer.Success {
		return nil, chains.BlockRef{}, fmt.Errorf("scantxoutset of %s was ended by somebody else", n.Name())
	}
	hash, err := chains.ParseHash(answer.BestBlock)
	if err != nil {
		return nil, chains.BlockRef{}, n.lie("scantxoutset", err)
	}
	at, err := n.ref(ctx, hash)
	if err != nil {
		return nil, chains.BlockRef{}, err
	}
	coins, err := answer.coins(scripts, s.params.Decimals, at)
	if err != nil {
		return nil, chains.BlockRef{}, n.lie("scantxoutset", err)
	}
	return coins, at, nil
}

// coins returns the coins of an answer, none of which may belong to a script
// that was not asked for.
func (a scanAnswer) coins(scripts [][]byte, decimals int, at chains.BlockRef) ([]chains.Unspent, error) {
	asked := make(map[string]struct{}, len(scripts))
	for _, script := range scripts {
		asked[string(script)] = struct{}{}
	}
	coins := make([]chains.Unspent, 0, len(a.Unspents))
	for _, u := range a.Unspents {
		tx, err := chains.ParseHash(u.TxID)
		if err != nil {
			return nil, fmt.Errorf("read a coin: %w", err)
		}
		script, err := hex.DecodeString(u.Script)
		if _, ok := asked[string(script)]; err != nil || !ok {
			return nil, fmt.Errorf("coin %s:%d has a script that was not asked for", tx, u.Vout)
		}
		amount, err := chains.ParseDecimal(u.Amount.String(), decimals)
		if err != nil || amount.Sign() < 0 || u.Height > at.Height {
			return nil, fmt.Errorf("coin %s:%d is of %s at height %d", tx, u.Vout, u.Amount, u.Height)
		}
		coins = append(coins, chains.Unspent{
			Outpoint: chains.Outpoint{Tx: tx, Vout: u.Vout},
			Script:   script, Amount: amount, Height: u.Height, Coinbase: u.Coinbase,
		})
	}
	return coins, nil
}

// runScan starts a scan of a node when it has ended our last one. A scan that
// nobody waits for any more is ended at the node too.
func (s *Source) runScan(ctx context.Context, n node, method string, params ...any) (json.RawMessage, error) {
	turn := s.nodes[n.Upstream].scan
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	result, err := n.CallPatient(ctx, scanPatience, method, params...)
	if err != nil && rpc.Code(err) == 0 {
		abort, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
		defer cancel()
		// Without an answer the node ends the scan by itself, only later.
		_, _ = n.Call(abort, method, "abort")
	}
	return result, err
}

// rawDescriptors spells scripts as output descriptors.
func rawDescriptors(scripts [][]byte) []string {
	texts := make([]string, 0, len(scripts))
	for _, script := range scripts {
		texts = append(texts, "raw("+hex.EncodeToString(script)+")")
	}
	return texts
}
