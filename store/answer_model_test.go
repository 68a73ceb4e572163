package store_test

import (
	"context"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tallyd/api/access"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/store"
)

// requestModel is requests of two callers with three keys, kept twice: in Postgres
// and in maps.
type requestModel struct {
	*office
	t       *rapid.T
	ctx     context.Context //nolint:containedctx // of one run of the model
	fault   *fault
	kept    map[string]string // by caller and key: the body, of what was carried out
	answers map[string]string // by caller and key: what was answered
	users   []string          // names, in the order they were committed
	lines   []string          // of the audit log
	made    int
}

func (m *requestModel) draw() (caller, key, body string) {
	return rapid.SampledFrom([]string{"k1", "k2"}).Draw(m.t, "caller"), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(m.t, "key"),
		rapid.SampledFrom([]string{"x", "y"}).Draw(m.t, "body")
}

// next returns a request that adds a user and the name of that user.
func (m *requestModel) next() (string, func(context.Context) access.Answer) {
	m.made++
	name := strconv.Itoa(m.made)
	return name, m.add(m.t, name)
}

// expect compares what Write returned with what the model says, for a request that
// was carried out before; it reports false for one that was not.
func (m *requestModel) expect(id, body string, answer access.Answer, replayed bool, err error) bool {
	before, carried := m.kept[id]
	switch {
	case !carried:
		return false
	case before != body:
		require.ErrorIs(m.t, err, access.ErrOtherBody)
	default:
		require.NoError(m.t, err)
		require.True(m.t, replayed)
		require.Equal(m.t, m.answers[id], string(answer.Body))
	}
	return true
}

// committed takes a request into the model.
func (m *requestModel) committed(id, caller, body, name string) {
	m.kept[id], m.answers[id] = body, `{"made":"`+name+`"}`
	m.users = append(m.users, name)
	m.lines = append(m.lines, caller+" 201")
}

// request is one request that goes well, is refused, or dies at a boundary.
func (m *requestModel) request(*rapid.T) {
	caller, key, body := m.draw()
	id := caller + key
	end := rapid.SampledFrom([]string{"well", "refused", store.BeforeBegin, store.BeforeCommit, store.AfterCommit}).Draw(m.t, "end")
	name, do := m.next()
	well := do
	switch end {
	case "well":
	case "refused":
		do = func(ctx context.Context) access.Answer {
			well(ctx)
			return refused(ctx)
		}
	default:
		m.fault.arm("request" + end)
		defer m.fault.at.Store(nil)
	}
	answer, replayed, err := m.Write(m.ctx, m.entry(caller), once(key, body), do)
	if end == store.BeforeBegin {
		require.ErrorIs(m.t, err, errFault)
		return
	}
	if m.expect(id, body, answer, replayed, err) {
		return
	}
	switch end {
	case "well":
		require.NoError(m.t, err)
		require.False(m.t, replayed)
		m.committed(id, caller, body, name)
	case "refused":
		require.NoError(m.t, err)
		require.Equal(m.t, 404, answer.Status)
		m.lines = append(m.lines, caller+" 404")
	case store.BeforeCommit:
		require.ErrorIs(m.t, err, errFault)
	case store.AfterCommit:
		require.ErrorIs(m.t, err, errFault)
		m.committed(id, caller, body, name)
	}
}

// meanwhile makes a request while another one runs.
func (m *requestModel) meanwhile(*rapid.T) {
	caller, key, body := m.draw()
	other, otherKey, otherBody := m.draw()
	name, do := m.next()
	well := rapid.Bool().Draw(m.t, "well")
	ran := false
	answer, replayed, err := m.Write(m.ctx, m.entry(caller), once(key, body), func(ctx context.Context) access.Answer {
		ran = true
		done := do(ctx)
		name, do := m.next()
		answer, replayed, err := m.Write(m.ctx, m.entry(other), once(otherKey, otherBody), do) //nolint:contextcheck // another request
		switch {
		case other+otherKey == caller+key:
			require.ErrorIs(m.t, err, access.ErrRunning)
		case !m.expect(other+otherKey, otherBody, answer, replayed, err):
			require.NoError(m.t, err)
			m.committed(other+otherKey, other, otherBody, name)
		}
		if !well {
			return refused(ctx)
		}
		return done
	})
	switch {
	case !ran:
		require.True(m.t, m.expect(caller+key, body, answer, replayed, err))
	case well:
		require.NoError(m.t, err)
		m.committed(caller+key, caller, body, name)
	default:
		require.NoError(m.t, err)
		m.lines = append(m.lines, caller+" 404")
	}
}

func (m *requestModel) sweep(*rapid.T) { require.NoError(m.t, m.Upkeep(m.ctx, time.Hour)) }

func (m *requestModel) check(*rapid.T) {
	require.ElementsMatch(m.t, m.users, m.names(m.t, m.ctx))
	var lines []string
	for _, e := range m.audited(m.t, m.ctx) {
		lines = append(lines, fmt.Sprint(e.Caller, " ", e.Status))
	}
	require.ElementsMatch(m.t, m.lines, lines)
}

// Requests do what the model says, however they end and whoever asks meanwhile:
// each is carried out once, and effect, line and answer are there together.
func TestRequestModel(t *testing.T) {
	t.Parallel()
	var f fault
	o := newOffice(t, store.Options{Failpoint: f.fail})
	rapid.Check(t, func(rt *rapid.T) {
		own := &office{Store: o.Store, realm: indexer.Realm{Tenant: uuid.NewString()[:8], Environment: chains.Test}, url: o.url}
		require.NoError(rt, own.CreateTenant(t.Context(), access.Tenant{ID: own.realm.Tenant}))
		m := &requestModel{office: own, t: rt, ctx: t.Context(), fault: &f, kept: map[string]string{}, answers: map[string]string{}}
		rt.Repeat(map[string]func(*rapid.T){"request": m.request, "meanwhile": m.meanwhile, "sweep": m.sweep, "": m.check})
	})
}
