package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"tallyd/config"
	"tallyd/store"
	"tallyd/store/embedded"
)

// stopTime is how long the parts of tallyd dev have to stop in good order.
const stopTime = 30 * time.Second

type devOptions struct {
	data   string
	listen string
	demo   bool
	level  string // lowest level logged; "" for what suits who is looking
}

func devCommand(logDriver func(zerolog.Logger)) *cobra.Command {
	var o devOptions
	cmd := &cobra.Command{
		Use:   "dev",
		Short: "Run everything on this machine: Postgres, Redis, chains, traffic, the API",
		Long: `Dev starts a private PostgreSQL, an in-process Redis, a local bitcoin chain (btcd or
bitcoind) and a local Ethereum chain (anvil or geth) where these programs are found,
a little traffic on both, and the API. It takes no settings and installs nothing.

When all is ready it prints one line and writes DIR/dev.json with the API's address
and keys and the chains' addresses. State is kept in DIR: Ctrl-C stops everything,
and the next start goes on where it was.

On a terminal it logs how it starts and what goes wrong; --log-level info adds a line
for every block and every change, as elsewhere.

Programs are looked for in TALLYD_PG_BIN, TALLYD_BTCD, TALLYD_BITCOIND, TALLYD_ANVIL
and TALLYD_GETH, in PATH, and where make installs them.`,
		Example: "  tallyd dev\n  tallyd dev --demo=false --listen 127.0.0.1:9000 --data /tmp/tally",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if cmd.Flags().Changed("config") {
				return errors.New("tallyd dev takes no settings file (--config): tallyd serve does")
			}
			err := dev(cmd.Context(), o, logDriver)
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // told to stop while it started
			}
			return err
		},
	}
	cmd.AddCommand(devPayCommand())
	cmd.Flags().StringVar(&o.data, "data", ".tallyd", "folder all state is kept in")
	cmd.Flags().StringVar(&o.listen, "listen", "127.0.0.1:8080", "address of the API")
	cmd.Flags().BoolVar(&o.demo, "demo", true, "make traffic on the local chains")
	cmd.Flags().StringVar(&o.level, "log-level", "", "debug, info, warn or error (default warn on a terminal, info elsewhere)")
	return cmd
}

// devLog returns the log of how tallyd dev starts and stops, and the log of the
// daemon in it. On a terminal the second is quiet, so that the line that says all
// is ready stays in sight.
func devLog(level string, out *os.File) (own, daemon zerolog.Logger, err error) {
	own = logger(config.Log{Level: "info", Format: "auto"}, out)
	if level == "" {
		level = "info"
		if isTerminal(out) {
			level = "warn"
		}
	}
	lowest, err := zerolog.ParseLevel(level)
	if err != nil || lowest < zerolog.DebugLevel || lowest > zerolog.ErrorLevel {
		return own, daemon, fmt.Errorf("--log-level %q is none of debug, info, warn, error", level)
	}
	return own, own.Level(lowest), nil
}

// dev runs everything until ctx ends, and stops it in the opposite order.
func dev(ctx context.Context, o devOptions, logDriver func(zerolog.Logger)) error {
	log, daemonLog, err := devLog(o.level, os.Stderr)
	if err != nil {
		return err
	}
	listener, err := listen(ctx, o.listen, "--listen")
	if err != nil {
		return err
	}
	defer listener.Close()
	data, err := filepath.Abs(o.data)
	if err != nil {
		return fmt.Errorf("data folder %s: %w", o.data, err)
	}
	server, err := startDatabase(ctx, data, log)
	if err != nil {
		return err
	}
	defer stopping(ctx, "postgres", server.Stop, log)
	logDriver(daemonLog)
	redis, err := embedded.StartRedis()
	if err != nil {
		return fmt.Errorf("start Redis: %w", err)
	}
	defer redis.Stop()
	nodes, err := startNodes(ctx, data, log)
	if err != nil {
		return err
	}
	defer nodes.stop(ctx, log)
	if o.demo {
		if err := nodes.prepare(ctx, log); err != nil {
			return err
		}
	}
	secrets, err := loadSecrets(data)
	if err != nil {
		return err
	}
	cfg := devConfig(o.listen, server.URL(devDatabase), redis.URL(), secrets, nodes)
	if _, err := store.Migrate(ctx, store.Options{URL: cfg.Database.URL.Reveal(), Log: daemonLog}); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	return devRun(ctx, o, data, listener, cfg, server, redis, nodes, secrets, daemonLog)
}

func devRun(ctx context.Context, o devOptions, data string, listener net.Listener, cfg config.Config,
	server *embedded.Postgres, redis *embedded.Redis, nodes *devNodes, secrets devSecrets, log zerolog.Logger,
) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return redis.Run(ctx) })
	group.Go(func() error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-server.Done():
			return errors.New("PostgreSQL ended, see pg.log in the data folder")
		}
	})
	group.Go(func() error { return nodes.keep(ctx) })
	if o.demo {
		group.Go(func() error { return nodes.demo(ctx, log) })
	}
	group.Go(func() error {
		return run(ctx, cfg, listener, log, nil, func(d *daemon) {
			group.Go(func() error { return announce(ctx, d, data, listener, nodes, secrets) })
		})
	})
	err := group.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err //nolint:wrapcheck // each part says what it was doing
}

// announce waits until the ledger is level with every chain, writes dev.json and prints the
// one line that says all is ready.
func announce(ctx context.Context, d *daemon, data string, listener net.Listener, nodes *devNodes, secrets devSecrets) error {
	if err := d.awaitChains(ctx); err != nil {
		return err
	}
	if err := secrets.storeKey(ctx, d); err != nil {
		return err
	}
	file := devFile{
		URL: "http://" + listener.Addr().String(), MasterKey: secrets.MasterKey, APIKey: secrets.APIKey, Chains: nodes.describe(),
	}
	if err := writeJSON(filepath.Join(data, devFileName), file); err != nil {
		return err
	}
	fmt.Fprintf(os.Stdout, "tallyd is ready: %s (keys in %s)\n", file.URL, filepath.Join(data, devFileName))
	return nil
}

const devDatabase = "tallyd"

func startDatabase(ctx context.Context, data string, log zerolog.Logger) (*embedded.Postgres, error) {
	bin, err := embedded.FindPostgres(os.Getenv, cached("postgres-*/native/bin")...) //nolint:contextcheck // it looks at files and starts nothing that lasts
	if err != nil {
		return nil, fmt.Errorf("find PostgreSQL: %w", err)
	}
	server, err := embedded.Start(ctx, embedded.Options{Dir: data, Bin: bin, Log: log})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	if err := server.CreateDatabase(ctx, devDatabase); err != nil {
		stopping(ctx, "postgres", server.Stop, log)
		return nil, fmt.Errorf("create the database: %w", err)
	}
	return server, nil
}

// stopping stops a part also when ctx has ended, which is when it is called.
func stopping(ctx context.Context, part string, stop func(context.Context) error, log zerolog.Logger) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTime)
	defer cancel()
	if err := stop(ctx); err != nil {
		log.Warn().Err(err).Str("part", part).Msg("not stopped in good order")
	}
}
