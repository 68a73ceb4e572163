package embedded

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/rs/zerolog"

	"tallyd/chains/localnode"
)

const (
	superuser   = "tallyd"
	startTime   = 60 * time.Second
	stopTime    = 20 * time.Second
	portRetries = 3
)

// ErrLocked means that another process runs on the same data folder.
var ErrLocked = errors.New("another tallyd runs on this data folder")

// Options says where a private server keeps its data and which programs it is.
type Options struct {
	// Dir is the data folder. It is made when it is missing; Dir/lock is held as
	// long as the server runs.
	Dir string

	// Bin is the folder of initdb and postgres, see FindPostgres.
	Bin string

	// Log gets one line when the server has started and one when it has stopped.
	Log zerolog.Logger

	// Volatile trades durability for speed: a crash of the machine may leave the
	// cluster unusable. A crash of ours or of the server still loses nothing.
	Volatile bool
}

// Postgres is a private PostgreSQL server. All methods are safe for concurrent
// use.
type Postgres struct {
	cluster *cluster
	process *localnode.Process
	port    int
	lock    *os.File
	log     zerolog.Logger
}

// Start returns a server that accepts connections, after ending whatever a
// killed run left on the same folder. It returns ErrLocked when another live
// process has the folder, and an error, having changed nothing, when the folder
// holds data of another major version.
func Start(ctx context.Context, o Options) (*Postgres, error) {
	began := time.Now()
	base, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("data folder %s: %w", o.Dir, err)
	}
	if err := os.MkdirAll(base, 0o755); err != nil {
		return nil, fmt.Errorf("make the data folder: %w", err)
	}
	lock, err := lockFile(filepath.Join(base, "lock"), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", base, err)
	}
	p := &Postgres{lock: lock, log: o.Log}
	if err := p.start(ctx, base, o); err != nil {
		lock.Close()
		return nil, err
	}
	o.Log.Info().Int("port", p.port).Str("version", p.cluster.major).Dur("took", time.Since(began)).Msg("postgres started")
	return p, nil
}

func (p *Postgres) start(ctx context.Context, base string, o Options) error {
	c, err := openCluster(ctx, base, o.Bin)
	if err != nil {
		return err
	}
	p.cluster = c
	if err := c.clear(ctx); err != nil {
		return err
	}
	settings := []string{"max_connections=200"}
	if o.Volatile {
		settings = append(settings, "fsync=off", "synchronous_commit=off", "full_page_writes=off")
	}
	// Between our choice of a port and the server's bind another program may take
	// it.
	for range portRetries {
		if p.port, err = freePort(ctx); err != nil {
			return err
		}
		err = p.launch(ctx, settings)
		if !errors.Is(err, localnode.ErrEnded) {
			return err
		}
	}
	return err
}

func (p *Postgres) launch(ctx context.Context, settings []string) error {
	process, err := localnode.StartProcess(localnode.Command{
		Path: filepath.Join(p.cluster.bin, "postgres"),
		Args: p.cluster.arguments(p.port, settings...),
		Env:  environment(),
		Log:  filepath.Join(p.cluster.base, "pg.log"),
		User: p.cluster.user,
		// A fast shutdown, also when we are killed with SIGKILL.
		DeathSignal: syscall.SIGINT,
	})
	if err != nil {
		return err //nolint:wrapcheck // it names the program
	}
	waitCtx, cancel := context.WithTimeoutCause(ctx, startTime, errors.New("not ready within a minute"))
	defer cancel()
	if err := process.Await(waitCtx, func(context.Context) bool { return p.cluster.ready() }); err != nil {
		stopErr := process.Stop(context.WithoutCancel(ctx), syscall.SIGINT, stopTime)
		return errors.Join(fmt.Errorf("wait for PostgreSQL: %w", err), stopErr)
	}
	p.process = process
	return nil
}

// URL is the connection string of a database of this server. It holds the
// password.
func (p *Postgres) URL(database string) string { return p.cluster.url(p.port, database) }

// CreateDatabase makes a database, or does nothing when it is there.
func (p *Postgres) CreateDatabase(ctx context.Context, name string) error {
	conn, err := pgx.Connect(ctx, p.URL("postgres"))
	if err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()

	var there bool
	if err := conn.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)", name).Scan(&there); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	if there {
		return nil
	}
	if _, err := conn.Exec(ctx, "CREATE DATABASE "+pgx.Identifier{name}.Sanitize()); err != nil {
		return fmt.Errorf("create database %s: %w", name, err)
	}
	return nil
}

// Done is closed when the server has ended, asked or not.
func (p *Postgres) Done() <-chan struct{} { return p.process.Done() }

// Stop shuts the server down, disconnecting its clients, and releases the folder.
// Everything committed is on disk when it returns. It may be called again.
func (p *Postgres) Stop(ctx context.Context) error {
	err := p.process.Stop(ctx, syscall.SIGINT, stopTime)
	_ = p.lock.Close()
	if err != nil {
		return fmt.Errorf("stop PostgreSQL: %w", err)
	}
	p.log.Info().Msg("postgres stopped")
	return nil
}
