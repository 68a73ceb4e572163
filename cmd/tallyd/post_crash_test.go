package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"tallyd/store"
	"tallyd/store/secret"
)

// mailbox is a receiver of webhooks.
type mailbox struct {
	url    string
	answer atomic.Int32 // the status it answers with

	mu    sync.Mutex
	taken map[string]int // deliveries answered with 200, by resource
	last  http.Header    // of the last of them
	body  []byte
}

func newMailbox(t *testing.T) *mailbox {
	t.Helper()
	m := &mailbox{taken: map[string]int{}}
	m.answer.Store(http.StatusOK)
	server := httptest.NewServer(m)
	t.Cleanup(server.Close)
	m.url = server.URL
	return m
}

// ServeHTTP takes a delivery.
func (m *mailbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	var message struct {
		Resource string `json:"resource_id"`
		Type     string
	}
	status := int(m.answer.Load())
	if json.Unmarshal(body, &message) == nil && status == http.StatusOK {
		m.mu.Lock()
		if message.Type == "webhook.test" {
			message.Resource = "test"
		}
		m.taken[message.Resource]++
		m.last, m.body = r.Header.Clone(), body
		m.mu.Unlock()
	}
	w.WriteHeader(status)
}

// count returns how often a resource's event was taken.
func (m *mailbox) count(resource string) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken[resource]
}

// signed reports by how many secrets the last delivery is signed, and whether the
// given one is the newest of them.
func (m *mailbox) signed(text string) (secrets int, newest bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(text, "whsec_"))
	if err != nil {
		return 0, false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(m.body)
	want := "sha256=" + hex.EncodeToString(mac.Sum(nil))
	return len(strings.Fields(m.last.Get("Webhook-Signature"))), m.last.Get("X-Webhook-Signature") == want
}

// post is a daemon that sends events and dies at one commit boundary of that.
type post struct {
	*mortal
	box      *mailbox
	conn     *pgx.Conn
	endpoint string // its id
	secret   string
	done     bool // what it dies of is committed
	events   int  // that happened
}

// postDeath is how a daemon comes to die of a transaction.
type postDeath struct {
	// prepare is done while the daemon lives.
	prepare func(p *post)
	// act makes the daemon run the transaction, by a call of the API; nil where
	// it does so by itself as soon as it is started.
	act func(p *post) (dying bool)
	// after is done by the next one.
	after func(p *post)
}

func newPost(t *testing.T, verb, boundary string) *post {
	t.Helper()
	keyset, err := secret.New()
	require.NoError(t, err)
	// The transactions of calls are parts of the request's.
	_, call := callDeaths()[verb]
	p := &post{box: newMailbox(t), done: boundary == store.AfterCommit && (!call || verb == "request")}
	p.mortal = &mortal{stack: &stack{t: t}, verb: verb, hits: 1, mortality: mortality{
		Database: migratedDatabase(t), Keyset: keyset, Failpoint: verb + boundary,
	}}
	p.conn, err = pgx.Connect(t.Context(), p.Database)
	require.NoError(t, err)
	t.Cleanup(func() { _ = p.conn.Close(context.WithoutCancel(t.Context())) })
	return p
}

// operate calls an operation of the endpoint's, and says whether the daemon died
// of it.
func (p *post) operate(method, path string, body any) (status int, answer map[string]any, dying bool) {
	p.t.Helper()
	if p.endpoint != "" && !strings.HasPrefix(path, "?") {
		path = "/" + p.endpoint + path
	}
	return p.ask(method, "/v1/webhooks/endpoints"+strings.TrimPrefix(path, "?"), "X-API-Key", testMaster, body)
}

// must operates where nobody is to die.
func (p *post) must(status int, method, path string, body any) map[string]any {
	p.t.Helper()
	got, answer, dying := p.operate(method, path, body)
	require.False(p.t, dying && status != http.StatusNoContent, "%s %s: %s", method, path, p.errors)
	if !dying {
		require.Equal(p.t, status, got, answer)
	}
	return answer
}

func (p *post) create() {
	p.t.Helper()
	answer := p.must(http.StatusCreated, "POST", "?", map[string]any{"url": p.box.url})
	p.endpoint, p.secret = answer["id"].(string), answer["secret"].(string)
}

// happen writes events, and waits for their numbers if a daemon lives.
func (p *post) happen(n int) {
	p.t.Helper()
	for range n {
		p.events++
		_, err := p.conn.Exec(p.t.Context(), `INSERT INTO events (tenant, environment, type, chain, resource_id, resource_version, data)
			VALUES ('default', 'live', 'transfer.confirmed', '', $1, 1, '{}')`, fmt.Sprint("r", p.events))
		require.NoError(p.t, err)
	}
}

// numbered waits until the daemon has numbered everything.
func (p *post) numbered() {
	p.t.Helper()
	until(p.t, "events are numbered", func() bool { return p.value("SELECT count(*) FROM events WHERE seq IS NULL") == 0 })
}

func (p *post) value(sql string) (n int) {
	p.t.Helper()
	require.NoError(p.t, p.conn.QueryRow(p.t.Context(), sql).Scan(&n), sql)
	return n
}

// arrived waits until each event that happened has come between least and most
// times.
func (p *post) arrived(least, most int) {
	p.t.Helper()
	until(p.t, "all events have come", func() bool {
		for n := range p.events {
			if p.box.count(fmt.Sprint("r", n+1)) < least {
				return false
			}
		}
		return p.value("SELECT count(*) FROM deliveries") == 0
	})
	for n := range p.events {
		require.LessOrEqual(p.t, p.box.count(fmt.Sprint("r", n+1)), most, "event %d", n+1)
	}
}

// tested sends a test event and waits for it.
func (p *post) tested() {
	p.t.Helper()
	before := p.box.count("test")
	p.must(http.StatusAccepted, "POST", "/test", nil)
	until(p.t, "the test event has come", func() bool { return p.box.count("test") == before+1 })
}

// due makes an event due that no daemon has claimed, or, with a daemon that is
// dead by now, one that has been claimed.
func (p *post) due(claimed bool) {
	p.t.Helper()
	ctx := p.t.Context()
	p.happen(1)
	s, err := store.Open(ctx, store.Options{URL: p.Database})
	require.NoError(p.t, err)
	defer s.Close()
	sequencer := uuid.New()
	until(p.t, "the daemon gave the numbering up", func() bool {
		numbered, err := s.Number(ctx, sequencer, 10)
		require.NoError(p.t, err)
		return numbered == 1
	})
	require.NoError(p.t, s.LeaveNumbering(ctx, sequencer))
	if p.verb == "fan_out" {
		return
	}
	moved, err := s.FanOut(ctx, 10)
	require.NoError(p.t, err)
	require.Equal(p.t, 1, moved)
	if claimed {
		dead := uuid.New()
		_, err = s.Beat(ctx, dead, 0)
		require.NoError(p.t, err)
		got, err := s.Claim(ctx, dead, time.Hour, nil, 10)
		require.NoError(p.t, err)
		require.Len(p.t, got, 1)
	}
}

// doomed starts the daemon that dies as soon as it comes to its failpoint.
func (p *post) doomed() {
	p.t.Helper()
	p.Armed = true
	p.begin()
}

// asked is a death of one call of the API.
func asked(method, path string, body any) func(p *post) bool {
	return func(p *post) bool {
		_, _, dying := p.operate(method, path, body)
		return dying
	}
}

// staged is a death of what a daemon does by itself with an event that is due.
func staged(claimed bool, answer int32) func(p *post) {
	return func(p *post) {
		p.create()
		p.end()
		p.due(claimed)
		p.box.answer.Store(answer)
		p.doomed()
	}
}

// postDeaths are the transactions of webhooks of which a daemon dies here.
func postDeaths() map[string]postDeath {
	all := callDeaths()
	maps.Copy(all, ownDeaths())
	return all
}

// callDeaths are those of one call. A call is one transaction, that of its request:
// what dies before that is committed leaves nothing.
func callDeaths() map[string]postDeath {
	return map[string]postDeath{
		"create_endpoint": {
			act: func(p *post) bool {
				_, _, dying := p.operate("POST", "?", map[string]any{"url": p.box.url})
				return dying
			},
			after: func(p *post) {
				listed := p.must(http.StatusOK, "GET", "?", nil)["endpoints"].([]any)
				require.Empty(p.t, listed)
				p.create()
				p.tested()
			},
		},
		"change_endpoint": {
			prepare: (*post).create,
			act:     asked("PATCH", "", map[string]any{"description": "changed"}),
			after: func(p *post) {
				require.Empty(p.t, p.must(http.StatusOK, "GET", "", nil)["description"])
				require.Equal(p.t, "changed", p.must(http.StatusOK, "PATCH", "", map[string]any{"description": "changed"})["description"])
				p.tested()
			},
		},
		"delete_endpoint": {
			prepare: (*post).create,
			act:     asked("DELETE", "", nil),
			after: func(p *post) {
				p.tested()
				p.must(http.StatusNoContent, "DELETE", "", nil)
				p.must(http.StatusNotFound, "GET", "", nil)
				require.Zero(p.t, p.value("SELECT count(*) FROM endpoint_secrets"))
			},
		},
		"rotate_secret": {
			prepare: (*post).create,
			act:     asked("POST", "/secret/rotate", nil),
			after: func(p *post) {
				p.tested()
				secrets, newest := p.box.signed(p.secret)
				require.Equal(p.t, 1, secrets, "nothing of it is left")
				require.True(p.t, newest)
				p.secret = p.must(http.StatusOK, "POST", "/secret/rotate", nil)["secret"].(string)
				p.tested()
				secrets, newest = p.box.signed(p.secret)
				require.Equal(p.t, 2, secrets)
				require.True(p.t, newest)
			},
		},
		"send_test": {
			prepare: (*post).create,
			act:     asked("POST", "/test", nil),
			after: func(p *post) {
				p.tested()
				require.Equal(p.t, 1, p.box.count("test"))
			},
		},
		"request": {
			prepare: (*post).create,
			act:     asked("DELETE", "", nil),
			after: func(p *post) {
				if !p.done {
					p.tested()
					p.must(http.StatusNoContent, "DELETE", "", nil)
				}
				p.must(http.StatusNotFound, "GET", "", nil)
			},
		},
		"resend": {
			prepare: func(p *post) {
				p.create()
				p.happen(1)
				p.arrived(1, 1)
			},
			act: func(p *post) bool {
				_, _, dying := p.operate("POST", "/deliveries/"+p.eventID()+"/resend", nil)
				return dying
			},
			after: func(p *post) {
				p.arrived(1, 1)
				p.must(http.StatusAccepted, "POST", "/deliveries/"+p.eventID()+"/resend", nil)
				p.arrived(2, 2)
			},
		},
		"recover": {
			prepare: func(p *post) {
				p.happen(2)
				p.numbered()
				p.create() // too late for what has happened
			},
			act: asked("POST", "/recover", map[string]any{"since": time.Now().Add(-time.Hour)}),
			after: func(p *post) {
				require.Zero(p.t, p.box.count("r1"))
				p.must(http.StatusAccepted, "POST", "/recover", map[string]any{"since": time.Now().Add(-time.Hour)})
				p.arrived(1, 1)
			},
		},
	}
}

func (p *post) eventID() (id string) {
	p.t.Helper()
	require.NoError(p.t, p.conn.QueryRow(p.t.Context(), "SELECT uid::text FROM events ORDER BY seq LIMIT 1").Scan(&id))
	return id
}

// ownDeaths are those of what a daemon does by itself.
func ownDeaths() map[string]postDeath {
	once := func(p *post) { p.arrived(1, 1) }
	return map[string]postDeath{
		"beat":      {prepare: staged(false, http.StatusOK), after: once},
		"fan_out":   {prepare: staged(false, http.StatusOK), after: once},
		"claim":     {prepare: staged(false, http.StatusOK), after: once},
		"take_over": {prepare: staged(true, http.StatusOK), after: once},
		"complete": {prepare: staged(false, http.StatusOK), after: func(p *post) {
			// What was sent and not written down is sent again: at least once.
			times := map[bool]int{false: 2, true: 1}[p.done]
			p.arrived(times, times)
		}},
		"mark": {
			prepare: func(p *post) {
				p.create()
				p.box.answer.Store(http.StatusInternalServerError)
				p.end()
				p.doomed()
				p.await()
				p.happen(8) // failures in a row
			},
			after: func(p *post) {
				if p.done { // else the next one may have come to it
					require.NotNil(p.t, p.must(http.StatusOK, "GET", "", nil)["failing_since"])
				}
				p.box.answer.Store(http.StatusOK)
				p.arrived(1, 1)
				until(p.t, "the endpoint is well", func() bool { return p.must(http.StatusOK, "GET", "", nil)["failing_since"] == nil })
			},
		},
		"disable": {prepare: staged(false, http.StatusGone), after: func(p *post) {
			if p.done { // else the next one may have come to it
				require.Equal(p.t, "gone", p.must(http.StatusOK, "GET", "", nil)["disabled_reason"])
			}
			p.box.answer.Store(http.StatusOK)
			p.must(http.StatusOK, "POST", "/enable", nil)
			p.arrived(1, 1)
		}},
		"leave": {
			prepare: func(p *post) {
				p.create()
				p.happen(1)
				p.arrived(1, 1)
				p.arm()
				require.NoError(p.t, p.in.Close()) // in good order, but for the last
			},
			after: func(p *post) {
				p.happen(1)
				p.arrived(1, 1)
			},
		},
	}
}

// postRules are what must hold of deliveries in every ledger.
func postRules() map[string]string {
	return map[string]string{
		"each event an endpoint wants is queued or done once": `
			SELECT count(*) FROM (
				SELECT p.id, e.seq FROM endpoints AS p JOIN events AS e ON e.seq > p.since
				AND e.tenant = p.tenant AND e.environment = p.environment
				WHERE p.deleted_at IS NULL AND (e.type <> 'webhook.test' OR e.resource_id = p.id::text)
			) AS due LEFT JOIN (
				SELECT endpoint_id, seq, count(*) AS n FROM (
					SELECT endpoint_id, seq FROM deliveries UNION ALL SELECT endpoint_id, seq FROM delivery_history
				) AS all_of_them GROUP BY endpoint_id, seq
			) AS there ON there.endpoint_id = due.id AND there.seq = due.seq
			WHERE there.n IS DISTINCT FROM 1`,
		"each endpoint has a secret in force": `
			SELECT count(*) FROM endpoints AS p WHERE deleted_at IS NULL
			AND NOT EXISTS (SELECT FROM endpoint_secrets AS s WHERE s.endpoint_id = p.id AND s.expires_at IS NULL)`,
		"no secret outlives its endpoint": `
			SELECT count(*) FROM endpoint_secrets AS s JOIN endpoints AS p ON p.id = s.endpoint_id WHERE p.deleted_at IS NOT NULL`,
		"what is queued was numbered": `SELECT count(*) FROM fanout AS f CROSS JOIN sequencer AS s WHERE f.position > s.last`,
		"what is delivered has an attempt that was": `
			SELECT count(*) FROM delivery_history AS h WHERE state = 'delivered' AND NOT EXISTS (
				SELECT FROM attempts AS a WHERE a.endpoint_id = h.endpoint_id AND a.seq = h.seq AND a.status = 200)`,
	}
}

// TestPostCrashes lets a daemon die at every commit boundary of webhooks, start
// again, and lose nothing. Those that die of one transaction wait together for the
// leases of their predecessors to run out.
func TestPostCrashes(t *testing.T) {
	t.Parallel()
	boundaries := map[string][]string{}
	for _, failpoint := range store.Failpoints() {
		verb, boundary, _ := strings.Cut(failpoint, ".")
		boundaries[verb] = append(boundaries[verb], "."+boundary)
	}
	for verb, death := range postDeaths() {
		t.Run(verb, func(t *testing.T) {
			t.Parallel()
			var all []*post
			for _, boundary := range boundaries[verb] {
				p := newPost(t, verb, boundary)
				p.die(death)
				all = append(all, p)
			}
			require.NotEmpty(t, all)
			for _, p := range all {
				death.after(p)
				p.end()
				for rule, broken := range postRules() {
					require.Zero(t, p.value(broken), "died of %s, done=%t: %s", verb, p.done, rule)
				}
			}
		})
	}
}

// die lives until the transaction, dies of it, and is followed by another one.
func (p *post) die(death postDeath) {
	p.t.Helper()
	p.begin()
	p.t.Cleanup(func() { _ = p.in.Close() })
	p.await()
	if death.prepare != nil {
		death.prepare(p)
	}
	if death.act != nil {
		p.arm()
		require.True(p.t, death.act(p), "%s was not reached", p.Failpoint)
	}
	p.dead()
}
