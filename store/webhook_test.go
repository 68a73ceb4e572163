package store_test

import (
	"context"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// heard is what attempts say of endpoints, all the same.
func heard(why string, endpoints ...webhook.Endpoint) []webhook.Heard {
	var all []webhook.Heard
	for _, e := range endpoints {
		all = append(all, webhook.Heard{Endpoint: e.ID, URL: e.URL, Error: why})
	}
	return all
}

// queue is a database with an endpoint.
type queue struct {
	*store.Store
	t        testing.TB
	realm    indexer.Realm
	owner    uuid.UUID
	endpoint webhook.Endpoint
}

func newQueue(t testing.TB, opts store.Options) *queue {
	t.Helper()
	opts.URL, opts.Secrets = newDatabase(t), newKeyset(t)
	q := &queue{Store: openStore(t, opts), t: t, realm: indexer.Realm{Tenant: "default", Environment: chains.Test}, owner: uuid.New()}
	q.endpoint = q.add()
	_, err := q.Beat(t.Context(), q.owner, time.Hour)
	require.NoError(t, err)
	return q
}

func (q *queue) add() webhook.Endpoint {
	q.t.Helper()
	e, err := q.CreateEndpoint(q.t.Context(), webhook.Endpoint{
		ID: uuid.New(), Realm: q.realm, URL: "https://receiver.example", Concurrency: 64,
	}, webhook.NewKey())
	require.NoError(q.t, err)
	return e
}

func (q *queue) exec(sql string, args ...any) {
	q.t.Helper()
	_, err := q.Pool().Exec(q.t.Context(), sql, args...)
	require.NoError(q.t, err)
}

func (q *queue) count(sql string) int {
	q.t.Helper()
	var n int
	require.NoError(q.t, q.Pool().QueryRow(q.t.Context(), sql).Scan(&n))
	return n
}

// happen writes n events, an hour and less ago, numbers them, and queues them.
func (q *queue) happen(n int) {
	q.t.Helper()
	q.exec(`INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data, occurred_at)
		SELECT 'default', 'test', 'transfer.confirmed', '', 'a', i, '{}', now() - make_interval(secs => 3600 * (1 - i / $1::float8))
		FROM generate_series(1, $1::integer) AS i`, n)
	for {
		numbered, err := q.Number(q.t.Context(), q.owner, 1000)
		require.NoError(q.t, err)
		if numbered == 0 {
			return
		}
	}
}

func (q *queue) fanOut() {
	q.t.Helper()
	for {
		n, err := q.FanOut(q.t.Context(), 1000)
		require.NoError(q.t, err)
		if n == 0 {
			return
		}
	}
}

// claim claims what the endpoint has room for, 0 for what an unknown one has.
func (q *queue) claim(free int) []webhook.Outcome {
	q.t.Helper()
	rooms := map[uuid.UUID]webhook.Room{}
	if free > 0 {
		rooms[q.endpoint.ID] = webhook.Room{Version: math.MaxInt64, Free: free}
	}
	claimed, err := q.Claim(q.t.Context(), q.owner, time.Hour, rooms, 1000)
	require.NoError(q.t, err)
	var outcomes []webhook.Outcome
	for _, c := range claimed {
		outcomes = append(outcomes, webhook.Outcome{
			Endpoint: c.Endpoint, Seq: c.Event.Seq, Attempt: c.Attempt, State: webhook.Delivered, URL: c.URL, At: time.Now(), Headers: []byte("{}"),
		})
	}
	return outcomes
}

func (q *queue) complete(outcomes []webhook.Outcome) {
	q.t.Helper()
	counted, err := q.Complete(q.t.Context(), q.owner, outcomes)
	require.NoError(q.t, err)
	require.Len(q.t, outcomes, counted)
}

// Days that nobody made before they came, because no daemon ran or a clock was
// ahead, leave the upkeep with all else it has to do.
func TestUpkeepAfterSleep(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	gone := q.add()
	q.happen(10)
	q.fanOut()
	require.NoError(t, q.DeleteEndpoint(t.Context(), q.realm, gone.ID))
	// As fanning out leaves it that began before the deletion.
	q.exec(`INSERT INTO deliveries (endpoint_id, seq, resource_id) VALUES ($1, 1, 'a')`, gone.ID)
	done := q.claim(0)
	require.Len(t, done, 10)
	q.complete(done)
	spread := func(table, column string) {
		// Today, two days ahead, and long ago: all of it in the rest.
		q.exec(`UPDATE ` + table + ` SET ` + column + ` = now() + CASE seq % 3 WHEN 1 THEN interval '2 days' WHEN 2 THEN interval '-90 days' ELSE interval '0' END`)
	}
	spread("delivery_history", "done_at")
	spread("attempts", "at")
	require.NoError(t, q.RotateSecret(t.Context(), q.realm, q.endpoint.ID, webhook.NewKey(), 0))
	for range 2 {
		require.NoError(t, q.Upkeep(t.Context(), 30*24*time.Hour))
	}
	require.Equal(t, 7, q.count(`SELECT count(*) FROM delivery_history`), "what is too old has gone")
	require.Equal(t, 7, q.count(`SELECT count(*) FROM attempts`))
	require.Equal(t, 2, q.count(`SELECT count(*) FROM pg_inherits WHERE inhparent = 'attempts'::regclass`)-1, "the days of which the rest holds nothing")
	require.Equal(t, 1, q.count(`SELECT count(*) FROM endpoint_secrets`), "what no longer signs has gone")
	require.Zero(t, q.count(`SELECT count(*) FROM deliveries`), "nobody sends to what was deleted")
}

// Whoever changes an endpoint, or sends its events again, holds up nobody who
// queues, claims and completes deliveries; and what he sends again is not sent
// twice because it is under way.
func TestHeldEndpoint(t *testing.T) {
	t.Parallel()
	var inside func()
	q := newQueue(t, store.Options{Failpoint: func(name string) error {
		if name == "recover"+store.BeforeCommit && inside != nil {
			inside()
		}
		return nil
	}})
	q.happen(30)
	q.fanOut()
	_, err := q.ChangeEndpoint(t.Context(), q.realm, q.endpoint.ID, func(*webhook.Endpoint) error {
		q.happen(10)
		q.fanOut()
		q.complete(q.claim(0))
		return nil
	})
	require.NoError(t, err)
	inside = func() {
		q.happen(10)
		q.fanOut()
		require.NoError(t, q.Mark(t.Context(), heard("refused", q.endpoint)))
		q.complete(q.claim(64))
		require.NoError(t, q.Disable(t.Context(), heard("", q.endpoint)))
	}
	queued, err := q.Recover(t.Context(), q.realm, q.endpoint.ID, time.Now().Add(-2*time.Hour))
	require.NoError(t, err)
	require.Zero(t, queued)
	inside = nil
	require.Equal(t, 50, q.count(`SELECT count(*) FROM delivery_history`)+q.count(`SELECT count(*) FROM deliveries`))
	now, err := q.Endpoint(t.Context(), q.realm, q.endpoint.ID)
	require.NoError(t, err)
	require.Equal(t, []string{"disabled", "refused"}, []string{now.State(), now.FailingError})
}

// What an attempt heard at an old URL says nothing of the new one.
func TestHeardAtOldURL(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	_, err := q.ChangeEndpoint(t.Context(), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
		e.URL = "https://new.example"
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, q.Mark(t.Context(), heard("answered 500", q.endpoint)))
	require.NoError(t, q.Disable(t.Context(), heard("", q.endpoint)))
	now, err := q.Endpoint(t.Context(), q.realm, q.endpoint.ID)
	require.NoError(t, err)
	require.Equal(t, "active", now.State())
}

// Of an endpoint of which a process knows nothing it takes few deliveries, and one
// of an endpoint that fails.
func TestClaimOfUnknown(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	q.happen(100)
	q.fanOut()
	require.NoError(t, q.Mark(t.Context(), heard("answered 500", q.endpoint)))
	require.Len(t, q.claim(0), 1)
	require.NoError(t, q.Mark(t.Context(), heard("", q.endpoint)))
	require.Len(t, q.claim(0), webhook.FirstConcurrency)
	require.Len(t, q.claim(40), 40)

	// Its owner has changed it since.
	old := webhook.Room{Version: 1, Free: 0, Flying: 6}
	_, err := q.ChangeEndpoint(t.Context(), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
		e.Enable()
		return nil
	})
	require.NoError(t, err)
	claimed, err := q.Claim(t.Context(), q.owner, time.Hour, map[uuid.UUID]webhook.Room{q.endpoint.ID: old}, 1000)
	require.NoError(t, err)
	require.Len(t, claimed, webhook.FirstConcurrency-old.Flying)
}

// What is recovered are the events since a time, however many came before and
// after, also those from before the endpoint was made.
func TestRecoverSince(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	const events = 12_000
	q.happen(events)
	e := q.add()
	for _, minutes := range []int{10, 45} {
		queued, err := q.Recover(t.Context(), q.realm, e.ID, time.Now().Add(-time.Duration(minutes)*time.Minute))
		require.NoError(t, err)
		require.InDelta(t, events*min(minutes, 35)/60, queued, events/100, "the last ten minutes once") // 10, then the 35 before
	}
	queued, err := q.Recover(t.Context(), q.realm, e.ID, time.Now().Add(-2*time.Hour))
	require.NoError(t, err)
	require.InDelta(t, events/4, queued, events/100)
	require.Equal(t, events, q.count(`SELECT count(*) FROM deliveries`))
	queued, err = q.Recover(t.Context(), q.realm, e.ID, time.Now().Add(-2*time.Hour))
	require.NoError(t, err)
	require.Zero(t, queued)
}

// An event that is not fanned out yet can be sent by name, once, to an endpoint
// that would not get it.
func TestResendBeforeFanOut(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	_, err := q.ChangeEndpoint(t.Context(), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
		e.Events = []string{"account.synced"}
		return nil
	})
	require.NoError(t, err)
	q.happen(1)
	events, err := q.EventsAfter(t.Context(), q.realm, 0, 10)
	require.NoError(t, err)
	queued, err := q.Resend(t.Context(), q.realm, q.endpoint.ID, events[0].ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), queued)
	queued, err = q.Resend(t.Context(), q.realm, q.endpoint.ID, events[0].ID)
	require.NoError(t, err)
	require.Zero(t, queued, "it is on its way")
	q.fanOut()
	require.Len(t, q.claim(0), 1)
}

func TestTooManyEndpoints(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	for range webhook.MaxEndpoints - 1 {
		q.add()
	}
	_, err := q.CreateEndpoint(t.Context(), webhook.Endpoint{ID: uuid.New(), Realm: q.realm, URL: "https://receiver.example", Concurrency: 1}, webhook.NewKey())
	require.ErrorIs(t, err, webhook.ErrEndpoints)
	require.NoError(t, q.DeleteEndpoint(t.Context(), q.realm, q.endpoint.ID))
	q.add()
}

// A process that is stopped, or cut off, within a transaction holds its locks for
// seconds: then others go on, and nothing of it is written.
func TestStoppedWithinTransaction(t *testing.T) {
	t.Parallel()
	held, others := make(chan struct{}), make(chan struct{})
	q := newQueue(t, store.Options{Failpoint: func(name string) error {
		if name == "change_endpoint"+store.BeforeCommit {
			select {
			case <-held: // the other one
			default:
				close(held)
				<-others
			}
		}
		return nil
	}})
	describe := func(text string) error {
		_, err := q.ChangeEndpoint(context.WithoutCancel(t.Context()), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
			e.Description = text
			return nil
		})
		return err
	}
	stopped := make(chan error, 1)
	go func() { stopped <- describe("by the stopped one") }()
	<-held
	require.NoError(t, describe("by the other one"))
	close(others)
	require.ErrorContains(t, <-stopped, "idle-in-transaction")
	now, err := q.Endpoint(t.Context(), q.realm, q.endpoint.ID)
	require.NoError(t, err)
	require.Equal(t, "by the other one", now.Description)
}

// What waits for an earlier delivery of its resource is not looked at by every
// claim, and is due when its turn comes, or when the order is given up.
func TestBlockedBacklog(t *testing.T) {
	t.Parallel()
	q := newQueue(t, store.Options{})
	ordered := func(ordered bool) {
		_, err := q.ChangeEndpoint(t.Context(), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
			e.Ordered = ordered
			return nil
		})
		require.NoError(t, err)
	}
	const due = `SELECT count(*) FROM deliveries WHERE lease IS NULL AND due_at <= now()`
	ordered(true)
	q.happen(600)
	q.fanOut()
	head := q.claim(0)
	require.Len(t, head, 1)
	head[0].State, head[0].Rung, head[0].Wait = webhook.Waiting, 1, time.Hour
	q.complete(head)
	q.exec(`UPDATE deliveries SET due_at = now() WHERE rung = 0`) // what was put off for moments
	for range 3 {
		require.Empty(t, q.claim(0))
	}
	require.Zero(t, q.count(due), "the backlog waits as long as what holds it up")
	require.Equal(t, 1, q.count(`SELECT count(DISTINCT due_at) FROM deliveries`))

	queued, err := q.Recover(t.Context(), q.realm, q.endpoint.ID, time.Now().Add(-2*time.Hour))
	require.NoError(t, err)
	require.Equal(t, int64(1), queued)
	for seq := int64(1); seq <= 3; seq++ {
		next := q.claim(0)
		require.Len(t, next, 1)
		require.Equal(t, seq, next[0].Seq)
		q.complete(next)
	}
	require.Equal(t, 1, q.count(due), "the next one")
	ordered(false)
	require.Equal(t, 597, q.count(due))
	require.Len(t, q.claim(64), 64)
}
