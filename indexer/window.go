package indexer

import (
	"context"
	"errors"
	"fmt"

	"tallyd/chains"
)

// extendWindows derives and adds the scripts that a match makes necessary: a
// branch keeps gap unused scripts watched beyond its last used one. It reports
// whether any were added; then the same block must be walked again for them.
func extendWindows(ctx context.Context, source chains.Source, windows Windows, chain string, match chains.Match, gap uint32) (bool, error) {
	if _, ok := source.(chains.Wallets); !ok {
		return false, nil // no account of this chain has a window
	}
	used := paidScripts(match)
	if len(used) == 0 {
		return false, nil
	}
	moved, err := windows.MovedWindows(ctx, chain, used, gap)
	if err != nil {
		return false, fmt.Errorf("find moved windows: %w", err)
	}
	for _, w := range moved {
		scripts, err := deriveWindow(source, w)
		if err != nil {
			return false, fmt.Errorf("derive scripts %d to %d of branch %d of account %s: %w", w.Next, w.Want, w.Branch, w.Account, err)
		}
		if err := windows.Extend(ctx, w.Account, scripts); err != nil {
			return false, fmt.Errorf("extend branch %d of account %s: %w", w.Branch, w.Account, err)
		}
	}
	return len(moved) > 0, nil
}

func paidScripts(match chains.Match) [][]byte {
	var scripts [][]byte
	for _, t := range match.Transfers {
		if t.Side == chains.In && len(t.Script) > 0 {
			scripts = append(scripts, t.Script)
		}
	}
	return scripts
}

func deriveWindow(source chains.Source, w Window) ([]WatchedScript, error) {
	wallets, ok := source.(chains.Wallets)
	if !ok {
		return nil, chains.ErrUnsupported
	}
	wallet, ok, err := wallets.ParseWallet(w.Wallet)
	if err != nil {
		return nil, fmt.Errorf("parse the wallet: %w", err)
	}
	if !ok {
		return nil, errors.New("the stored wallet is no descriptor")
	}
	return deriveBranch(source, wallet, w.Branch, w.Next, w.Want)
}

// deriveBranch derives the scripts of one branch from index next up to want,
// which is not included.
func deriveBranch(source chains.Source, wallet chains.Wallet, branch, next, want uint32) ([]WatchedScript, error) {
	var scripts []WatchedScript
	for index := next; index < want; index++ {
		script, err := wallet.Script(branch, index)
		if err != nil {
			return nil, fmt.Errorf("derive script %d of branch %d: %w", index, branch, err)
		}
		scripts = append(scripts, WatchedScript{Script: script, Address: source.FormatAddress(script), Branch: branch, Index: index})
	}
	return scripts, nil
}
