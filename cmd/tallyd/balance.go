package main

import (
	"context"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"tallyd/chains"
	"tallyd/config"
	"tallyd/indexer"
)

func balanceCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "balance CHAIN ADDRESS",
		Short: "Ask a chain's node what an address holds, without a database",
		Long: `Balance asks the configured node of a chain once and prints what an address holds,
as of which block, and how far that is proven. No database is opened and nothing
is watched afterwards.

Of a bitcoin node it takes the set of unspent outputs (scantxoutset) if the node can
scan it, else it reads the blocks that the node's filters name, else all blocks. Of an
EVM node it reads the native balance and that of each token in the settings.`,
		Example: "  tallyd balance eth 0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266 --config tallyd.yaml",
		Args:    takes("CHAIN", "ADDRESS"),
		RunE: func(cmd *cobra.Command, args []string) error {
			cfg, log, err := settings(cmd)
			if err != nil {
				return err
			}
			c, ok := cfg.Chains[args[0]]
			if !ok {
				if len(cfg.Chains) == 0 {
					return errNoChain
				}
				return fmt.Errorf("no chain %q in the settings, which name %s", args[0], strings.Join(slices.Sorted(maps.Keys(cfg.Chains)), ", "))
			}
			return balance(cmd.Context(), args[0], c, args[1], log, cmd.OutOrStdout())
		},
	}
}

func balance(ctx context.Context, slug string, c config.Chain, address string, log zerolog.Logger, out io.Writer) error {
	source, err := openChain(ctx, slug, c, zerolog.Nop()) // what goes wrong is returned
	if err != nil {
		return err
	}
	defer source.Close()
	script, canonical, err := source.ParseAddress(address)
	if err != nil {
		return fmt.Errorf("chain %s, %q: %w", slug, address, err)
	}
	about := source.Chain()
	names := map[chains.AssetID]chains.Asset{about.Native.ID: about.Native}
	var tokens []chains.AssetID
	for _, asset := range listed(about, c) {
		names[asset.ID] = asset
		tokens = append(tokens, asset.ID)
	}
	bar := newProgress("reading blocks", os.Stderr, log)
	held, err := indexer.BalanceNow(ctx, source, script, tokens, bar.show)
	bar.done()
	if err != nil {
		return fmt.Errorf("balance of %s: %w", canonical, err)
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "BALANCE\tASSET\tBASE UNITS\tAT BLOCK\tHASH\tPROOF")
	for _, s := range held {
		asset := names[s.Asset]
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\n", s.Amount.Decimal(asset.Decimals), asset.Symbol, s.Amount, s.At.Height, s.At.Hash, s.Proof)
	}
	return table.Flush() //nolint:wrapcheck // the terminal's own words
}
