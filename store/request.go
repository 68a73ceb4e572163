package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"tallyd/store/db"
)

// hintTime is how long what follows a commit may take.
const hintTime = 5 * time.Second

// request is the transaction of one request that writes. Its context carries it
// to every method the request calls, so that the effect, the audit entry and the
// kept answer are there together or not at all.
//
// A method that would open a transaction of its own opens a savepoint in it: it
// keeps its promise to write nothing when it fails, and the request may go on. What
// must outlive the request, or not wait for it, goes to the pool whatever the
// context says: see Record and Fresh.
type request struct {
	tx    pgx.Tx
	after []func(context.Context)
}

// requestKey finds the request of one store in a context: another store has
// another database.
type requestKey struct{ s *Store }

// requestOf returns the request that ctx carries, or nil.
func (s *Store) requestOf(ctx context.Context) *request {
	r, _ := ctx.Value(requestKey{s}).(*request)
	return r
}

// querier returns what runs single statements: the request's transaction, or the
// pool.
func (s *Store) querier(ctx context.Context) db.DBTX { //nolint:ireturn // either of two
	if r := s.requestOf(ctx); r != nil {
		return r.tx
	}
	return s.pool
}

func (s *Store) queries(ctx context.Context) *db.Queries { return db.New(s.querier(ctx)) }

// beside is querier for reads that a holder of a chain's row makes: see sideConns.
func (s *Store) beside(ctx context.Context) db.DBTX { //nolint:ireturn // either of two
	if r := s.requestOf(ctx); r != nil {
		return r.tx
	}
	return s.side
}

// begin opens a transaction, within a request a savepoint.
func (s *Store) begin(ctx context.Context) (pgx.Tx, error) { //nolint:ireturn // the driver's own
	if r := s.requestOf(ctx); r != nil {
		return r.tx.Begin(ctx) //nolint:wrapcheck // the caller says what it was doing
	}
	return s.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginWrite}) //nolint:wrapcheck // the caller says what it was doing
}

// try runs one statement that Postgres may refuse where the refusal is an outcome
// and no fault. It would end a request's transaction, so there it has a savepoint.
func (s *Store) try(ctx context.Context, f func(q *db.Queries) error) error {
	r := s.requestOf(ctx)
	if r == nil {
		return f(db.New(s.pool))
	}
	return pgx.BeginFunc(ctx, r.tx, func(tx pgx.Tx) error { return f(db.New(tx)) }) //nolint:wrapcheck // f says what it was doing
}

// AfterCommit calls hint once what the request of ctx wrote can be seen by
// others, and never if it is rolled back; without a request, now. A hint may be
// lost: the process may die between.
func (s *Store) AfterCommit(ctx context.Context, hint func(context.Context)) {
	if r := s.requestOf(ctx); r != nil {
		r.after = append(r.after, hint)
		return
	}
	hint(ctx)
}

// committed calls the hints of a request, also when its caller is gone.
func (r *request) committed(ctx context.Context) {
	if len(r.after) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), hintTime)
	defer cancel()
	for _, hint := range r.after {
		hint(ctx)
	}
}
