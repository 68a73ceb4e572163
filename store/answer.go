package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/jackc/pgx/v5"

	"tallyd/api/access"
	"tallyd/indexer"
	"tallyd/store/db"
)

var _ access.Requests = (*Store)(nil)

// answersKept is how long an answer can be had again: an hour more than the three
// days that are promised.
const answersKept = 73 * time.Hour

// keptAnswer is an answer as it is kept, sealed. Its names outlive a version.
type keptAnswer struct {
	Status      int    `json:"status"`
	ContentType string `json:"content_type"`
	Body        []byte `json:"body"`
	Code        string `json:"code"`
}

// errNested says that a request was begun within a request, which a caller must
// not do: the inner one would commit with the outer one, and not when it says so.
var errNested = errors.New("a request within a request")

// Write implements access.Requests.
//
// A request with an Idempotency-Key has a row before it begins. Whoever holds the
// lock of that row carries the request out, or finds its answer there. The lock
// is that of a transaction: it ends with its commit, its rollback, or the death
// of its process, and stands behind any pooler.
func (s *Store) Write(ctx context.Context, entry access.Entry, once *access.Once, do func(ctx context.Context) access.Answer) (access.Answer, bool, error) {
	if s.requestOf(ctx) != nil {
		return access.Answer{}, false, errNested
	}
	c := carrying{Store: s, entry: entry, once: once}
	if once != nil {
		if s.secrets == nil {
			return access.Answer{}, false, ErrNoKeyset
		}
		c.id = answerID(entry, *once)
		err := db.New(s.pool).ClaimRequest(ctx, db.ClaimRequestParams{
			ID: c.id, Tenant: entry.Realm.Tenant, Environment: string(entry.Realm.Environment), Caller: entry.Caller,
		})
		if err != nil {
			return access.Answer{}, false, fmt.Errorf("claim request: %w", err)
		}
	}
	answer, replayed, err := c.run(ctx, do)
	if err != nil {
		return access.Answer{}, false, err
	}
	if answer.Status < http.StatusBadRequest || replayed {
		return answer, replayed, nil
	}
	// Rolled back: its connection is free again for this.
	entry.Status, entry.Code = answer.Status, answer.Code
	return answer, false, s.Record(ctx, entry)
}

// Kept implements access.Requests.
func (s *Store) Kept(ctx context.Context, entry access.Entry, once access.Once) (access.Answer, error) {
	if s.secrets == nil {
		return access.Answer{}, ErrNoKeyset
	}
	q := db.New(s.pool)
	c := carrying{Store: s, entry: entry, once: &once, id: answerID(entry, once)}
	kept, err := c.hold(ctx, q)
	switch {
	case kept != nil:
		return *kept, nil
	case err == nil:
		return access.Answer{}, indexer.ErrNotFound // nobody carried it out
	case !errors.Is(err, access.ErrRunning):
		return access.Answer{}, err
	}
	// Its row is held, or not there.
	claimed, err := q.RequestClaimed(ctx, c.id)
	switch {
	case err != nil:
		return access.Answer{}, fmt.Errorf("look for request: %w", err)
	case !claimed:
		return access.Answer{}, indexer.ErrNotFound
	}
	return access.Answer{}, access.ErrRunning
}

// carrying is one request while it is carried out.
type carrying struct {
	*Store
	entry access.Entry
	once  *access.Once
	id    []byte // of the row of once
}

func (c carrying) run(ctx context.Context, do func(ctx context.Context) access.Answer) (access.Answer, bool, error) {
	if err := c.fail("request" + BeforeBegin); err != nil {
		return access.Answer{}, false, err
	}
	tx, err := c.pool.BeginTx(ctx, pgx.TxOptions{BeginQuery: beginRequest})
	if err != nil {
		return access.Answer{}, false, fmt.Errorf("begin: %w", err)
	}
	// After a commit this does nothing. It must run also when ctx has ended.
	defer tx.Rollback(context.WithoutCancel(ctx))
	q := db.New(tx)
	if c.once != nil {
		kept, err := c.hold(ctx, q)
		if err != nil {
			return access.Answer{}, false, err
		}
		if kept != nil {
			return *kept, true, nil
		}
	}
	r := &request{tx: tx}
	answer := do(context.WithValue(ctx, requestKey{c.Store}, r))
	if answer.Status >= http.StatusBadRequest {
		return answer, false, nil
	}
	if err := c.keep(ctx, q, answer); err != nil {
		return access.Answer{}, false, err
	}
	if err := c.fail("request" + BeforeCommit); err != nil {
		return access.Answer{}, false, err
	}
	if err := tx.Commit(ctx); err != nil {
		return access.Answer{}, false, fmt.Errorf("commit: %w", err)
	}
	// From here on a crash loses nothing but hints: effect, entry and answer are
	// durable, and asking again with the same key returns the answer.
	if err := c.fail("request" + AfterCommit); err != nil {
		return access.Answer{}, false, err
	}
	r.committed(ctx)
	return answer, false, nil
}

// hold locks the row of the request. It returns the answer that is kept there, or
// nil if the request is to be carried out.
func (c carrying) hold(ctx context.Context, q *db.Queries) (*access.Answer, error) {
	row, err := q.LockRequest(ctx, c.id)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, access.ErrRunning
	}
	if err != nil {
		return nil, fmt.Errorf("lock request: %w", err)
	}
	if row.Sealed == nil {
		return nil, nil //nolint:nilnil // nobody carried it out
	}
	if !bytes.Equal(row.Fingerprint, c.once.Fingerprint[:]) {
		return nil, access.ErrOtherBody
	}
	plain, err := c.open(row.Sealed, ofAnswer(c.id))
	if err != nil {
		return nil, fmt.Errorf("open kept answer: %w", err)
	}
	var kept keptAnswer
	if err := json.Unmarshal(plain, &kept); err != nil {
		return nil, fmt.Errorf("read kept answer: %w", err)
	}
	answer := access.Answer(kept)
	return &answer, nil
}

// keep writes what goes with the effect: the entry, and the answer if it may be
// asked for again.
func (c carrying) keep(ctx context.Context, q *db.Queries, answer access.Answer) error {
	c.entry.Status, c.entry.Code = answer.Status, answer.Code
	if err := writeEntry(ctx, q, c.entry); err != nil || c.once == nil {
		return err
	}
	plain, err := json.Marshal(keptAnswer(answer))
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	sealed, err := c.seal(plain, ofAnswer(c.id))
	if err != nil {
		return fmt.Errorf("seal answer: %w", err)
	}
	err = q.AnswerRequest(ctx, db.AnswerRequestParams{ID: c.id, Fingerprint: c.once.Fingerprint[:], Sealed: sealed})
	if err != nil {
		return fmt.Errorf("keep answer: %w", err)
	}
	return nil
}

// answerID names a request: a key is unique for one caller, method and path, however
// the path is spelled. Each part is written with its length, so that none runs into
// the next.
func answerID(e access.Entry, once access.Once) []byte {
	digest := sha256.New()
	for _, part := range []string{e.Realm.Tenant, string(e.Realm.Environment), e.Caller, e.Method, cmp.Or(once.Path, e.Path), once.Key} {
		fmt.Fprintf(digest, "%d:%s", len(part), part)
	}
	return digest.Sum(nil)
}

// ofAnswer is what an answer is sealed together with: under another request it
// does not open.
func ofAnswer(id []byte) []byte { return append([]byte("answer "), id...) }
