package store_test

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/api/webhook"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// expected is what the model holds a delivery to be.
type expected struct {
	resource string
	attempt  int
	rung     int
	state    webhook.State // waiting, sending, delivered, failed
	owner    int           // of a sending one
}

// queueModel is the queue of two endpoints and three processes that send, kept
// twice: in Postgres and in a map.
type queueModel struct {
	*store.Store
	t         *rapid.T
	ctx       context.Context //nolint:containedctx // of one run of the model
	conn      *pgx.Conn
	realm     indexer.Realm
	endpoints []webhook.Endpoint // the second sends in the order of resources
	disabled  []bool
	owners    []uuid.UUID
	events    map[int64]string // numbered: their resource
	fanned    int64
	queue     map[int]map[int64]*expected // by endpoint
	held      map[int][]webhook.Outcome   // by owner: claimed and not completed, also what is no longer its own
}

const bound = 3 // deliveries an endpoint is given at once

func (m *queueModel) happen(*rapid.T) {
	n := rapid.IntRange(1, 4).Draw(m.t, "events")
	for range n {
		resource := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "resource")
		_, err := m.conn.Exec(m.ctx, `INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
			VALUES ($1, 'test', 'transfer.confirmed', '', $2, 1, '{}')`, m.realm.Tenant, resource)
		require.NoError(m.t, err)
		m.events[int64(len(m.events)+1)] = resource
	}
	_, err := m.Number(m.ctx, numberer, 1000)
	require.NoError(m.t, err)
}

func (m *queueModel) fanOut(*rapid.T) {
	limit := rapid.IntRange(1, 6).Draw(m.t, "limit")
	want := min(int64(limit), int64(len(m.events))-m.fanned)
	moved, err := m.FanOut(m.ctx, limit)
	require.NoError(m.t, err)
	require.Equal(m.t, int(want), moved)
	for range moved {
		m.fanned++
		for i := range m.endpoints {
			m.queue[i][m.fanned] = &expected{resource: m.events[m.fanned], state: webhook.Waiting}
		}
	}
}

// claimable returns what an endpoint may be sent now.
func (m *queueModel) claimable(i int) []int64 {
	var seqs []int64
	blocked := map[string]bool{}
	for _, seq := range slices.Sorted(maps.Keys(m.queue[i])) {
		d := m.queue[i][seq]
		done := d.state == webhook.Delivered || d.state == webhook.Failed
		if d.state == webhook.Waiting && !m.disabled[i] && (i == 0 || !blocked[d.resource]) {
			seqs = append(seqs, seq)
		}
		blocked[d.resource] = blocked[d.resource] || !done
	}
	return seqs
}

func (m *queueModel) claim(*rapid.T) {
	owner := rapid.IntRange(0, len(m.owners)-1).Draw(m.t, "owner")
	rooms, can := map[uuid.UUID]webhook.Room{}, []int{0, 0}
	for i, e := range m.endpoints {
		free := rapid.IntRange(0, bound).Draw(m.t, "free")
		rooms[e.ID], can[i] = webhook.Room{Version: math.MaxInt64, Free: free}, min(free, len(m.claimable(i)))
	}
	claimed, err := m.Claim(m.ctx, m.owners[owner], time.Hour, rooms, 100)
	require.NoError(m.t, err)
	got := []int{0, 0}
	for _, c := range claimed {
		i := slices.IndexFunc(m.endpoints, func(e webhook.Endpoint) bool { return e.ID == c.Endpoint })
		d := m.queue[i][c.Event.Seq]
		require.Contains(m.t, m.claimable(i), c.Event.Seq)
		require.Equal(m.t, d.rung, c.Rung)
		got[i]++
		defer func() {
			d.attempt++
			d.state, d.owner = webhook.Sending, owner
			require.Equal(m.t, d.attempt, c.Attempt)
		}()
		m.held[owner] = append(m.held[owner], webhook.Outcome{
			Endpoint: c.Endpoint, Seq: c.Event.Seq, Attempt: c.Attempt, Rung: c.Rung, At: time.Now(), Headers: []byte("{}"),
		})
	}
	require.Equal(m.t, can, got)
}

// complete ends an attempt that somebody holds, or thinks to hold.
func (m *queueModel) complete(*rapid.T) {
	owner := rapid.IntRange(0, len(m.owners)-1).Draw(m.t, "owner")
	var outcomes []webhook.Outcome
	counted := 0
	for _, o := range m.held[owner] {
		if rapid.Bool().Draw(m.t, "later") {
			continue
		}
		o.State = rapid.SampledFrom([]webhook.State{webhook.Waiting, webhook.Delivered, webhook.Failed}).Draw(m.t, "state")
		o.Rung++
		outcomes = append(outcomes, o)
		i := slices.IndexFunc(m.endpoints, func(e webhook.Endpoint) bool { return e.ID == o.Endpoint })
		d := m.queue[i][o.Seq]
		if d.state != webhook.Sending || d.owner != owner || d.attempt != o.Attempt {
			continue
		}
		counted++
		if d.state = o.State; o.State == webhook.Waiting {
			d.rung = o.Rung
		}
	}
	// Completed ones stay held: saying it once more must change nothing.
	n, err := m.Complete(m.ctx, m.owners[owner], outcomes)
	require.NoError(m.t, err)
	require.Equal(m.t, counted, n)
}

// die ends a process: what it held is free, and it does not know.
func (m *queueModel) die(*rapid.T) {
	owner := rapid.IntRange(0, len(m.owners)-1).Draw(m.t, "owner")
	require.NoError(m.t, m.Leave(m.ctx, m.owners[owner]))
	for i := range m.endpoints {
		for _, d := range m.queue[i] {
			if d.state == webhook.Sending && d.owner == owner {
				d.state = webhook.Waiting
			}
		}
	}
	freed, err := m.Beat(m.ctx, m.owners[owner], time.Hour)
	require.NoError(m.t, err)
	require.Zero(m.t, freed, "the others live")
}

func (m *queueModel) toggle(*rapid.T) {
	i := rapid.IntRange(0, 1).Draw(m.t, "endpoint")
	m.disabled[i] = !m.disabled[i]
	_, err := m.ChangeEndpoint(m.ctx, m.realm, m.endpoints[i].ID, func(e *webhook.Endpoint) error {
		if e.Enable(); m.disabled[i] {
			e.Disable(webhook.DisabledByCaller, time.Now())
		}
		return nil
	})
	require.NoError(m.t, err)
}

// recover takes back what failed, and begins the ladder anew for what waits.
func (m *queueModel) recover(*rapid.T) {
	i := rapid.IntRange(0, 1).Draw(m.t, "endpoint")
	var want int64
	for _, d := range m.queue[i] {
		if d.state == webhook.Failed || d.state == webhook.Waiting && d.rung > 0 {
			d.state, d.rung = webhook.Waiting, 0
			want++
		}
	}
	queued, err := m.Recover(m.ctx, m.realm, m.endpoints[i].ID, time.Unix(0, 0))
	require.NoError(m.t, err)
	require.Equal(m.t, want, queued)
}

// check compares all deliveries.
func (m *queueModel) check(*rapid.T) {
	for i, e := range m.endpoints {
		list, err := m.Deliveries(m.ctx, m.realm, e.ID, webhook.DeliveryFilter{Limit: 10_000})
		require.NoError(m.t, err)
		got, want := map[int64]string{}, map[int64]string{}
		for _, d := range list {
			state := d.State
			if state == webhook.Retrying {
				state = webhook.Waiting
			}
			require.NotContains(m.t, got, d.Seq, "one delivery for each event")
			got[d.Seq] = fmt.Sprint(state, d.Attempts)
		}
		for seq, d := range m.queue[i] {
			want[seq] = fmt.Sprint(d.state, d.attempt)
		}
		require.Equal(m.t, want, got)
	}
}

// The queue does what the model does, whoever claims, dies, comes back too late or
// says things twice: no delivery is lost, doubled, or held by two.
func TestQueueModel(t *testing.T) {
	t.Parallel()
	url := newDatabase(t)
	s := openStore(t, store.Options{URL: url, Secrets: newKeyset(t)})
	conn, err := pgx.Connect(t.Context(), url)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	rapid.Check(t, func(rt *rapid.T) {
		_, err := conn.Exec(t.Context(), `TRUNCATE events, deliveries, delivery_history, attempts, endpoints, endpoint_secrets, dispatchers RESTART IDENTITY`)
		require.NoError(rt, err)
		_, err = conn.Exec(t.Context(), `UPDATE fanout SET position = 0`)
		require.NoError(rt, err)
		_, err = conn.Exec(t.Context(), `UPDATE sequencer SET last = 0`)
		require.NoError(rt, err)
		m := &queueModel{
			Store: s, t: rt, ctx: t.Context(), conn: conn, realm: indexer.Realm{Tenant: "default", Environment: chains.Test},
			disabled: make([]bool, 2), events: map[int64]string{}, queue: map[int]map[int64]*expected{0: {}, 1: {}}, held: map[int][]webhook.Outcome{},
		}
		for i := range 2 {
			e, err := s.CreateEndpoint(m.ctx, webhook.Endpoint{
				ID: uuid.New(), Realm: m.realm, URL: "https://receiver.example", Ordered: i == 1, Concurrency: bound,
			}, webhook.NewKey())
			require.NoError(rt, err)
			m.endpoints = append(m.endpoints, e)
		}
		for range 3 {
			m.owners = append(m.owners, uuid.New())
			_, err := s.Beat(m.ctx, m.owners[len(m.owners)-1], time.Hour)
			require.NoError(rt, err)
		}
		rt.Repeat(map[string]func(*rapid.T){
			"": m.check, "happen": m.happen, "fanOut": m.fanOut, "claim": m.claim, "complete": m.complete,
			"die": m.die, "toggle": m.toggle, "recover": m.recover,
		})
	})
}
