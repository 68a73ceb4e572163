package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"tallyd/chains"
	"tallyd/config"
)

// errNoChain is what commands say that need one.
var errNoChain = errors.New("the settings name no chain: give a file with the key chains by --config, or set TALLYD_CHAINS_*")

func checkCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Check the settings and what every node can do",
		Long: `Check loads the settings, asks every upstream of every chain what it can do, and
prints a table. Nothing is written and no database is opened. What tallyd serve needs and
the settings lack is said below the table, and so is a test network whose environment is live.

It ends with status 1 if a chain has no node that answers for its network.`,
		Example: `  tallyd check --config tallyd.yaml
  tallyd check --sample > tallyd.yaml`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			sample, err := cmd.Flags().GetBool("sample")
			if err != nil {
				return fmt.Errorf("read --sample: %w", err)
			}
			if sample {
				_, err := io.WriteString(cmd.OutOrStdout(), config.Sample())
				return err //nolint:wrapcheck // the terminal's own words
			}
			cfg, _, err := settings(cmd)
			if err != nil {
				return err
			}
			if _, err := keysetOf(cfg.Secrets); err != nil {
				return err
			}
			err = check(cmd.Context(), cfg, cmd.OutOrStdout())
			for _, slug := range misplaced(cfg) {
				fmt.Fprintf(cmd.OutOrStdout(), "\nchain %s is of a test network and its environment is live: set chains.%s.environment to test, or its coins count as live money\n", slug, slug)
			}
			if missing := cfg.Missing(serveNeeds()...); missing != nil && len(cfg.Chains) > 0 {
				fmt.Fprintf(cmd.OutOrStdout(), "\ntallyd serve will not start with these settings:\n%v\n", missing)
			}
			return err
		},
	}
	cmd.Flags().Bool("sample", false, "print the commented sample of all settings instead")
	return cmd
}

// check prints what every node of every chain can do.
func check(ctx context.Context, cfg config.Config, out io.Writer) error {
	if len(cfg.Chains) == 0 {
		return errNoChain
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "CHAIN\tUPSTREAM\tCAPABILITY\t\tDETAIL")
	var silent []error
	for _, slug := range slices.Sorted(maps.Keys(cfg.Chains)) {
		if err := checkChain(ctx, slug, cfg.Chains[slug], table); err != nil {
			silent = append(silent, err)
		}
	}
	if err := table.Flush(); err != nil {
		return fmt.Errorf("print the table: %w", err)
	}
	return errors.Join(silent...)
}

func checkChain(ctx context.Context, slug string, c config.Chain, table io.Writer) error {
	const patience = 30 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	source, err := openChain(ctx, slug, c, zerolog.Nop())
	if err != nil {
		fmt.Fprintf(table, "%s\t\treach\tno\t%v\n", slug, err)
		return err
	}
	defer source.Close()
	prober, ok := source.(chains.Prober)
	if !ok {
		return nil
	}
	reached := false
	for _, capability := range prober.Probe(ctx) {
		mark := "no"
		if capability.OK {
			mark = "yes"
		}
		if capability.Name == chains.CapabilityReach && capability.OK {
			reached = true
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", slug, capability.Upstream, capability.Name, mark, capability.Detail)
	}
	if !reached {
		return fmt.Errorf("chain %s: no upstream answers for network %s", slug, c.Network)
	}
	return nil
}
