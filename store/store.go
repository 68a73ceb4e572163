package store

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/rs/zerolog"

	"tallyd/chains/venue/identity"
	"tallyd/indexer"
	"tallyd/store/db"
	"tallyd/store/secret"
)

// Options are what a Store is opened with.
type Options struct {
	URL      string // of the database, with its password
	Pooler   string // PoolerSession or PoolerTransaction; "" is PoolerSession
	MaxConns int32  // connections at once; 0 for 10
	Log      zerolog.Logger

	// Secrets seals what has to be read again; without it nothing of the kind
	// can be stored.
	Secrets *secret.Keyset

	// Failpoint is called at every commit boundary with one of Failpoints.
	// An error ends the call there: before the commit nothing is written,
	// after it everything is, and the caller is told otherwise. Tests set it.
	Failpoint func(name string) error
}

// What stands between tallyd and Postgres.
const (
	PoolerSession     = "session"     // nothing, or a pooler that gives a session away whole
	PoolerTransaction = "transaction" // a pooler such as pgbouncer in transaction mode
)

// sideConns are the connections kept apart for reads that a holder of a chain's
// row makes while it holds it. From the common pool they could be taken away by
// those who wait for that row.
const sideConns = 4

// beginWrite begins a transaction that may hold locks. A process that is stopped,
// or cut off, in the middle of one would hold them for as long as Postgres believes
// in its connection, and whatever else needs them would wait; so Postgres ends it.
// Between two statements of ours nothing is waited for, but a request may have
// asked somebody: it has the time of the server that answers it.
const (
	beginWrite   = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '10s'`
	beginRequest = `BEGIN; SET LOCAL idle_in_transaction_session_timeout = '40s'`
)

// utf8 is the encoding of texts, by Postgres' name for it.
const utf8 = "UTF8"

// Store is the ledger. Its methods are safe for concurrent use. After Close they
// return errors.
type Store struct {
	pool      *pgxpool.Pool
	side      *pgxpool.Pool
	pooler    string
	secrets   *secret.Keyset
	failpoint func(name string) error
	log       zerolog.Logger

	// polled reads the balances of accounts.
	polled *gather[accountKey, *indexer.AccountBalance]

	// identities returns what codes of venues stand for. It is read once.
	identities func() (*identity.Table, error)
}

// Open connects to the database. It does not migrate it.
func Open(ctx context.Context, opts Options) (*Store, error) {
	pool, err := connect(ctx, opts, opts.MaxConns)
	if err != nil {
		return nil, err
	}
	side, err := connect(ctx, opts, sideConns)
	if err != nil {
		pool.Close()
		return nil, err
	}
	s := &Store{
		pool: pool, side: side, pooler: opts.Pooler, secrets: opts.Secrets, failpoint: opts.Failpoint, log: opts.Log,
		identities: sync.OnceValues(identity.Load),
	}
	s.polled = &gather[accountKey, *indexer.AccountBalance]{
		read: s.accountBalances, readings: balanceReadings(pool.Config().MaxConns), most: balancesAtOnce,
	}
	return s, nil
}

// connect opens a pool whose connections know our types.
func connect(ctx context.Context, opts Options, conns int32) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(opts.URL)
	if err != nil {
		return nil, fmt.Errorf("parse the database's URL: %w", withoutURL(err))
	}
	switch opts.Pooler {
	case "", PoolerSession:
	case PoolerTransaction:
		// The next statement may run on another server connection: a named
		// prepared statement would not be there.
		cfg.ConnConfig.DefaultQueryExecMode = pgx.QueryExecModeCacheDescribe
	default:
		return nil, fmt.Errorf("pooler %q is neither %s nor %s", opts.Pooler, PoolerSession, PoolerTransaction)
	}
	cfg.MaxConns = 10
	if conns > 0 {
		cfg.MaxConns = conns
	}
	// Whatever the role or the database would have it be: we send nothing else.
	cfg.ConnConfig.RuntimeParams["client_encoding"] = utf8
	cfg.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		if encoding := conn.PgConn().ParameterStatus("server_encoding"); encoding != "" && encoding != utf8 {
			return fmt.Errorf("the encoding of database %q is %s and must be %s: make it with ENCODING '%[3]s' TEMPLATE template0",
				conn.Config().Database, encoding, utf8)
		}
		registerTypes(conn.TypeMap())
		return nil
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fmt.Errorf("open the database: %w", err)
	}
	if err := pool.Ping(ctx); err != nil {
		pool.Close()
		return nil, fmt.Errorf("reach the database: %w", err)
	}
	return pool, nil
}

// withoutURL drops the connection string from an error: it holds the password.
func withoutURL(err error) error {
	if _, malformed := errors.AsType[*pgconn.ParseConfigError](err); malformed {
		return errors.New("it is malformed")
	}
	return err
}

// Close ends all connections.
func (s *Store) Close() {
	s.pool.Close()
	s.side.Close()
}

// Ping returns nil if the database answers.
func (s *Store) Ping(ctx context.Context) error {
	if err := s.pool.Ping(ctx); err != nil {
		return fmt.Errorf("reach the database: %w", err)
	}
	return nil
}

// Pool returns the connections, for package store/jobs.
func (s *Store) Pool() *pgxpool.Pool { return s.pool }

// PollOnly reports whether notifications do not arrive, because a pooler gives
// each transaction another connection. Whoever would wait for one has to poll.
func (s *Store) PollOnly() bool { return s.pooler == PoolerTransaction }

// write runs f in one transaction, named for its failpoints. Within a request it
// is a part of the request's own: a savepoint, so that it leaves nothing behind
// when it fails and the request goes on.
func (s *Store) write(ctx context.Context, name string, f func(q *db.Queries) error) error {
	if err := s.fail(name + BeforeBegin); err != nil {
		return err
	}
	tx, err := s.begin(ctx)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	// After a commit this does nothing. It must run also when ctx has ended.
	defer tx.Rollback(context.WithoutCancel(ctx))
	if err := f(db.New(tx)); err != nil {
		return err
	}
	if err := s.fail(name + BeforeCommit); err != nil {
		return err
	}
	if err := tx.Commit(ctx); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	// From here on a crash loses nothing: the transaction is durable, or will be
	// with the request's.
	return s.fail(name + AfterCommit)
}

// read runs f in one transaction that sees the database at one moment. Within a
// request it is the request's own, which sees what the request wrote, and each
// statement its own moment.
func (s *Store) read(ctx context.Context, f func(tx pgx.Tx) error) error {
	return s.readAs(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, f)
}

// readOften is read for statements that are asked all the time and need the same
// plan whatever they are asked for. Postgres would plan them anew each time, since
// it takes a list of unknown length for a long one, and longer than it reads.
func (s *Store) readOften(ctx context.Context, f func(tx pgx.Tx) error) error {
	const begin = `BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ; SET LOCAL plan_cache_mode = force_generic_plan`
	return s.readAs(ctx, pgx.TxOptions{BeginQuery: begin}, f)
}

func (s *Store) readAs(ctx context.Context, opts pgx.TxOptions, f func(tx pgx.Tx) error) error {
	if r := s.requestOf(ctx); r != nil {
		return f(r.tx)
	}
	tx, err := s.pool.BeginTx(ctx, opts)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	defer tx.Rollback(context.WithoutCancel(ctx))
	return f(tx)
}
