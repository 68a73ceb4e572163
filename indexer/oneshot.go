package indexer

import (
	"context"
	"errors"
	"fmt"

	"tallyd/chains"
)

// BalanceNow asks the node alone, without a ledger, what a script holds: by its
// state where it has one (native and tokens), else by scanning its set of
// unspent outputs, else by reading blocks. progress is told how many blocks of
// how many are read; it may be nil. Assets the script holds nothing of are left
// out, but the native one.
func BalanceNow(ctx context.Context, source chains.Source, script []byte, tokens []chains.AssetID, progress func(done, total uint64)) ([]chains.Snapshot, error) {
	native := source.Chain().Native.ID
	if reader, ok := source.(chains.BalanceReader); ok {
		return stateNow(ctx, source, reader, script, append([]chains.AssetID{native}, tokens...))
	}
	if scanner, ok := source.(chains.UnspentScanner); ok {
		unspent, at, err := scanner.ScanUnspent(ctx, [][]byte{script})
		if err == nil {
			var sum chains.Amount
			for _, coin := range unspent {
				sum = sum.Add(coin.Amount)
			}
			return []chains.Snapshot{{Script: script, Asset: native, Amount: sum, At: at, Proof: chains.Asserted}}, nil
		}
		if !errors.Is(err, chains.ErrUnsupported) {
			return nil, fmt.Errorf("scan the unspent outputs: %w", err)
		}
	}
	return walkNow(ctx, source, script, progress)
}

func stateNow(ctx context.Context, source chains.Source, reader chains.BalanceReader, script []byte, assets []chains.AssetID) ([]chains.Snapshot, error) {
	head, err := source.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the head: %w", err)
	}
	touched := make([]chains.Touch, len(assets))
	for i, asset := range assets {
		touched[i] = chains.Touch{Script: script, Asset: asset}
	}
	all, _, err := reader.Balances(ctx, head, touched)
	if err != nil {
		return nil, fmt.Errorf("read balances at block %d: %w", head.Height, err)
	}
	held := all[:0]
	for _, s := range all {
		if s.Asset == source.Chain().Native.ID || !s.Amount.IsZero() {
			held = append(held, s)
		}
	}
	return held, nil
}

// walkNow sums what blocks from the first to the head do to a script, reading
// those that the node's filters name, or all.
func walkNow(ctx context.Context, source chains.Source, script []byte, progress func(done, total uint64)) ([]chains.Snapshot, error) {
	head, err := source.Head(ctx)
	if err != nil {
		return nil, fmt.Errorf("ask for the head: %w", err)
	}
	table := chains.NewWatchTable(1, 1)
	table.AddScript(script)
	coins := map[chains.Outpoint]chains.Amount{}
	sum := func(block chains.Block) error {
		match, err := block.Match(table)
		if err != nil {
			return fmt.Errorf("walk block %d: %w", block.Ref().Height, err)
		}
		for _, t := range match.Transfers {
			if vout, ok := chains.VoutOf(t.Source); ok && string(t.Script) == string(script) {
				coins[chains.Outpoint{Tx: t.Tx, Vout: vout}] = t.Amount
				table.AddOutpoint(chains.Outpoint{Tx: t.Tx, Vout: vout})
			}
		}
		for _, s := range match.Spends {
			delete(coins, s.Spent)
		}
		return nil
	}
	if err := walkAll(ctx, source, script, head.Height, sum, progress); err != nil {
		return nil, err
	}
	var total chains.Amount
	for _, amount := range coins {
		total = total.Add(amount)
	}
	return []chains.Snapshot{{Script: script, Asset: source.Chain().Native.ID, Amount: total, At: head, Proof: chains.Proven}}, nil
}

func walkAll(ctx context.Context, source chains.Source, script []byte, head uint64, each func(chains.Block) error, progress func(done, total uint64)) error {
	if progress == nil {
		progress = func(uint64, uint64) {}
	}
	if locator, ok := source.(chains.BlockLocator); ok {
		hashes, err := locator.Locate(ctx, [][]byte{script}, 0, head)
		if err == nil {
			for i, hash := range hashes {
				block, err := source.Block(ctx, hash)
				if err != nil {
					return fmt.Errorf("fetch block %s: %w", hash, err)
				}
				if err := each(block); err != nil {
					return err
				}
				progress(uint64(i+1), uint64(len(hashes)))
			}
			return nil
		}
		if !errors.Is(err, chains.ErrUnsupported) {
			return fmt.Errorf("locate blocks: %w", err)
		}
	}
	const ahead = 8
	blocks := fetcher{ahead: ahead, fetch: func(ctx context.Context, height uint64) (chains.Block, error) {
		ref, err := source.RefAt(ctx, height)
		if err != nil {
			return nil, err //nolint:wrapcheck // the fetcher names the height
		}
		return source.Block(ctx, ref.Hash)
	}}
	defer blocks.drop()
	for height := uint64(0); height <= head; height++ {
		block, err := blocks.get(ctx, height, head)
		if err != nil {
			return err
		}
		if err := each(block); err != nil {
			return err
		}
		progress(height+1, head+1)
	}
	return nil
}
