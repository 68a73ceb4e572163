package store

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store/db"
)

// What a block may hold is bounded before it is stored: an index entry has a
// size limit, and no content of a block may make a commit fail.
const (
	maxSource = 512  // bytes; a longer one keeps its beginning and a digest
	maxPeer   = 1024 // bytes; a longer one is not named
)

// seen is a match and where it was seen: in a block, or, with the zero block, in
// the mempool.
type seen struct {
	block chains.BlockRef
	match chains.Match
}

// leg is one transfer on its way into the ledger: watched, with row ids.
type leg struct {
	tx       chains.Hash
	txIndex  uint32
	source   string
	side     chains.Side
	script   int64
	asset    int64
	amount   chains.Amount
	coinbase bool
	peer     []byte
	vout     int64            // -1 unless the leg is an output
	spent    *chains.Outpoint // nil unless the leg is an input
	block    chains.BlockRef  // zero while unconfirmed
}

// scriptIDs returns the row ids of those scripts that are watched, by script.
func scriptIDs(ctx context.Context, q *db.Queries, chain string, scripts [][]byte) (map[string]int64, error) {
	ids := make(map[string]int64, len(scripts))
	digests := make([][]byte, 0, len(scripts))
	asked := make(map[string]struct{}, len(scripts))
	for _, script := range scripts {
		if _, seen := asked[string(script)]; seen {
			continue
		}
		asked[string(script)] = struct{}{}
		digest := sha256.Sum256(script)
		digests = append(digests, digest[:])
	}
	if len(digests) == 0 {
		return ids, nil
	}
	rows, err := q.ScriptIDs(ctx, db.ScriptIDsParams{Chain: chain, Digests: digests})
	if err != nil {
		return nil, fmt.Errorf("find watched scripts: %w", err)
	}
	for _, row := range rows {
		ids[string(row.Script)] = row.ID
	}
	return ids, nil
}

// transferLegs returns the legs of those transfers whose script is watched.
func (w *writing) transferLegs(ctx context.Context, sights []seen) ([]leg, error) {
	var scripts [][]byte
	for _, sight := range sights {
		for i := range sight.match.Transfers {
			scripts = append(scripts, sight.match.Transfers[i].Script)
		}
	}
	if err := w.findScripts(ctx, scripts); err != nil {
		return nil, err
	}
	var legs []leg
	var assets []chains.AssetID
	for _, sight := range sights {
		for _, t := range sight.match.Transfers {
			id, watched := w.scripts[string(t.Script)]
			if !watched {
				continue
			}
			legs = append(legs, newLeg(t, id, sight.block))
			assets = append(assets, t.Asset)
		}
	}
	if err := w.findAssets(ctx, assets); err != nil {
		return nil, err
	}
	for i := range legs {
		legs[i].asset = w.assets[assets[i]]
	}
	return legs, nil
}

func newLeg(t chains.Transfer, script int64, block chains.BlockRef) leg {
	l := leg{
		tx: t.Tx, txIndex: t.TxIndex, source: shortSource(t.Source), side: t.Side, script: script,
		amount: t.Amount, coinbase: t.Coinbase, peer: t.Peer, vout: -1, block: block,
	}
	if vout, ok := chains.VoutOf(t.Source); ok && t.Side == chains.In {
		l.vout = int64(vout)
	}
	if len(l.peer) > maxPeer {
		l.peer = nil
	}
	return l
}

func shortSource(source string) string {
	if len(source) <= maxSource {
		return source
	}
	digest := sha256.Sum256([]byte(source))
	return source[:maxSource/2] + "#" + hex.EncodeToString(digest[:])
}

// spendLegs returns the legs of those spends whose funding transfer is alive,
// with its script, asset and amount.
func spendLegs(ctx context.Context, q *db.Queries, chain string, sights []seen) ([]leg, error) {
	outputs := db.FundingParams{Chain: chain}
	for i := range sights {
		spends := sights[i].match.Spends
		for j := range spends {
			outputs.Txs = append(outputs.Txs, spends[j].Spent.Tx[:])
			outputs.Vouts = append(outputs.Vouts, int64(spends[j].Spent.Vout))
		}
	}
	if len(outputs.Txs) == 0 {
		return nil, nil
	}
	rows, err := q.Funding(ctx, outputs)
	if err != nil {
		return nil, fmt.Errorf("find funding transfers: %w", err)
	}
	funding := make(map[chains.Outpoint]db.FundingRow, len(rows))
	for _, row := range rows {
		funding[chains.Outpoint{Tx: row.Tx, Vout: uint32(row.Vout)}] = row
	}
	var legs []leg
	for _, sight := range sights {
		for _, spend := range sight.match.Spends {
			if from, watched := funding[spend.Spent]; watched {
				legs = append(legs, leg{
					tx: spend.Tx, txIndex: spend.TxIndex, source: chains.SourceVin(spend.Vin), side: chains.Out,
					script: from.ScriptID, asset: from.AssetID, amount: from.Amount, vout: -1, spent: &spend.Spent, block: sight.block,
				})
			}
		}
	}
	return legs, nil
}

// distinct drops every leg but the first of a key: one statement cannot write a
// row twice, and a malformed match must not make a commit fail.
func distinct(legs []leg) []leg {
	type key struct {
		tx     chains.Hash
		source string
		side   chains.Side
	}
	known := make(map[key]struct{}, len(legs))
	kept := legs[:0]
	for _, l := range legs {
		k := key{l.tx, l.source, l.side}
		if _, twice := known[k]; !twice {
			known[k] = struct{}{}
			kept = append(kept, l)
		}
	}
	return kept
}

// columns lays legs out as the arrays of PutTransfers.
func columns(chain string, status indexer.TransferStatus, legs []leg) db.PutTransfersParams {
	p := db.PutTransfersParams{Chain: chain, Status: string(status)}
	for i := range legs {
		l := &legs[i]
		p.Txs = append(p.Txs, l.tx[:])
		p.Sources = append(p.Sources, l.source)
		p.Sides = append(p.Sides, string(l.side))
		p.ScriptIds = append(p.ScriptIds, l.script)
		p.AssetIds = append(p.AssetIds, l.asset)
		p.Amounts = append(p.Amounts, l.amount)
		p.TxIndexes = append(p.TxIndexes, int64(l.txIndex))
		p.Coinbases = append(p.Coinbases, l.coinbase)
		p.Peers = append(p.Peers, l.peer)
		p.Vouts = append(p.Vouts, l.vout)
		if l.block.Hash.IsZero() {
			p.Blocks, p.Heights = append(p.Blocks, nil), append(p.Heights, -1)
		} else {
			p.Blocks, p.Heights = append(p.Blocks, l.block.Hash[:]), append(p.Heights, int64(l.block.Height))
		}
		p.BlockTimes = append(p.BlockTimes, l.block.Time)
		if l.spent == nil {
			p.SpentTxs, p.SpentVouts = append(p.SpentTxs, nil), append(p.SpentVouts, -1)
		} else {
			p.SpentTxs, p.SpentVouts = append(p.SpentTxs, l.spent.Tx[:]), append(p.SpentVouts, int64(l.spent.Vout))
		}
	}
	return p
}
