// Command tallyd is a self-hosted daemon that knows what every connected account
// holds, and proves it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"tallyd/store/synccache"
)

// version is set by the build.
var version = "dev"

// interrupted is the status of a command that was told to stop before it was
// done, as shells give it.
const interrupted = 130

func main() {
	ctx, stop := signals(context.Background())
	defer stop()
	err := root(synccache.LogDriver).ExecuteContext(ctx)
	switch {
	case err == nil:
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintln(os.Stderr, "tallyd: interrupted")
		os.Exit(interrupted)
	default:
		fmt.Fprintln(os.Stderr, "tallyd:", err)
		os.Exit(1)
	}
}

// signals returns a context that ends with the first signal to stop. That one asks
// for an orderly end; a second one ends the process at once.
func signals(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

// root returns all commands. One that opens Redis gives its log to logDriver before:
// the driver's log is one for the whole process.
func root(logDriver func(zerolog.Logger)) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "tallyd",
		Short: "Know what every connected account holds, and prove it",
		Long: `tallyd follows BTC-family and EVM nodes block by block, keeps one ledger in
Postgres, and serves the balances and transactions of connected accounts.

Try it:    tallyd dev
Run it:    tallyd migrate --config tallyd.yaml && tallyd serve --config tallyd.yaml
Look:      tallyd check, tallyd status, tallyd venues
Go on:     tallyd chain resume
Let in:    tallyd keys, tallyd tenants, tallyd secrets

Settings come from one file (--config) and from TALLYD_* variables, which win.
The commented sample is printed by: tallyd check --sample`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		// What is wrong is said in one sentence.
		DisableSuggestions: true,
	}
	cmd.PersistentFlags().StringP("config", "c", "", "settings file (YAML); default: TALLYD_CONFIG, else variables alone")
	cmd.AddCommand(devCommand(logDriver), serveCommand(logDriver), migrateCommand(), checkCommand(), statusCommand(), chainCommand(), keysCommand(), tenantsCommand(), secretsCommand(), balanceCommand(), venuesCommand(), venueCommand())
	return cmd
}
