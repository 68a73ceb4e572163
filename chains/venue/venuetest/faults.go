package venuetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// declares: what a venue says of itself makes sense.
func declares(t *testing.T, s Subject) {
	t.Helper()
	v := s.Venue
	require.NotEmpty(t, v.Name)
	require.Equal(t, strings.ToLower(v.Name), v.Name)
	require.NotEmpty(t, v.Title)
	require.NotEmpty(t, v.Tick, "which permissions to tick")
	require.NotEmpty(t, v.Regions)
	require.NotEmpty(t, v.Evidence)
	hosts := map[string]bool{}
	for _, region := range v.Regions {
		require.Contains(t, region.Hosts, "", region.Name)
		for name, origin := range region.Hosts {
			hosts[name] = true
			require.True(t, strings.HasPrefix(origin, "https://"), origin)
		}
	}
	secret := false
	for _, field := range v.Fields {
		require.NotEmpty(t, field.Title, field.Name)
		secret = secret || field.Secret
	}
	require.True(t, secret, "a login has a secret")
	for _, route := range v.Routes {
		require.True(t, hosts[route.Host], "route %s is of no host", route.Path)
		if route.Budget != "" {
			require.True(t, slices.ContainsFunc(v.Budgets, func(b venue.Budget) bool { return b.Name == route.Budget }), route.Budget)
		}
		for _, word := range []string{"withdraw/apply", "order/place", "/transfer/out", "AddOrder", "newOrder"} {
			require.NotContains(t, route.Path, word)
		}
	}
	parts := map[string]bool{}
	for _, e := range v.Evidence {
		require.NotEmpty(t, e.Part)
		require.Contains(t, []venue.Standing{venue.ByVector, venue.ByRecording, venue.ByReference, venue.Unverified}, e.By)
		if e.By != venue.Unverified {
			require.NotEmpty(t, e.Source, e.Part)
			require.NotEmpty(t, e.Seen, e.Part)
		}
		parts[e.Part] = true
	}
	require.True(t, parts["signing"])
	require.True(t, parts["balances"])
	stage := s.stage(t)
	for _, h := range stage.histories() {
		require.False(t, h.Since.IsZero(), h.Stream)
		require.True(t, parts[string(h.Stream)], "nothing says how %s was checked", h.Stream)
	}
	_, err := json.Marshal(stage.session.Credentials())
	require.Error(t, err, "credentials are not written")
}

// readsOnly: nothing but the routes can be asked, and what is refused is never
// sent.
func readsOnly(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	routes := s.Venue.Routes
	for _, route := range routes {
		path := strings.NewReplacer("{", "", "}", "").Replace(route.Path)
		for _, r := range []venue.Request{
			{Method: http.MethodDelete, Host: route.Host, Path: path},
			{Method: http.MethodPut, Host: route.Host, Path: path},
			{Method: http.MethodGet + " ", Host: route.Host, Path: path},
			{Method: route.Method, Host: "nowhere", Path: path},
			{Method: route.Method, Host: route.Host, Path: path + "/more"},
			{Method: route.Method, Host: route.Host, Path: path + "%2e"},
			{Method: route.Method, Host: route.Host, Path: "/" + path},
			{Method: route.Method, Host: route.Host, Path: path + "?a=b"},
			{Method: route.Method, Host: route.Host, Path: path + "/.."},
			{Method: route.Method, Host: route.Host, Path: strings.ToUpper(path) + "X"},
		} {
			_, err := stage.session.Ask(t.Context(), r)
			require.ErrorIs(t, err, venue.ErrNotAllowed, "%s %s", r.Method, r.Path)
		}
		other := http.MethodPost
		if route.Method == http.MethodPost {
			other = http.MethodGet
		}
		if !slices.ContainsFunc(routes, func(r venue.Route) bool { return r.Method == other && r.Path == route.Path }) {
			_, err := stage.session.Ask(t.Context(), venue.Request{Method: other, Host: route.Host, Path: path})
			require.ErrorIs(t, err, venue.ErrNotAllowed, "%s %s", other, path)
		}
	}
	if historian, ok := stage.account.(venue.Historian); ok {
		_, err := historian.Page(t.Context(), venue.Query{Stream: "gossip", Range: venue.Range{From: today(), To: today().Add(time.Hour)}})
		require.ErrorIs(t, err, venue.ErrNoStream)
	}
	require.Empty(t, stage.world.Asked(), "something was sent")
}

// wholeHistory: empty windows are no end, pages are followed, and nothing is lost
// or doubled. What may be asked about the key is asked.
func wholeHistory(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(true)
	access, err := stage.account.Check(t.Context())
	require.NoError(t, err)
	if s.Venue.Introspects {
		require.Equal(t, venue.ReadOnly, access.Verdict, "%v", access)
		require.NoError(t, access.Accept(false))
	} else {
		require.Equal(t, venue.Unknown, access.Verdict)
		require.ErrorIs(t, access.Accept(false), venue.ErrUnacknowledged)
		require.NoError(t, access.Accept(true))
	}
	balances, err := stage.balances(t)
	require.NoError(t, err)
	require.NotEmpty(t, balances.Holdings)
	require.Empty(t, balances.Missing)
	require.False(t, balances.At.IsZero())
	stage.ends(t)
	if valuer, ok := stage.account.(venue.Valuer); ok {
		worth, err := valuer.Value(t.Context())
		require.NoError(t, err)
		require.NotEmpty(t, worth)
	}
}

func pagesOverlap(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(true)
	stage.world.Repeat(true)
	stage.ends(t)
}

// tooMany: every seventh request is one too many, three times in a row each time.
func tooMany(header map[string]string) func(*testing.T, Subject) {
	return func(t *testing.T, s Subject) {
		t.Helper()
		stage := s.stage(t)
		stage.populate(false)
		slow := s.Slow
		slow.Header = header
		stage.world.Break(func(n int) (Reply, bool) { return slow, n%14 > 10 })
		_, err := stage.balances(t)
		require.NoError(t, err)
		stage.ends(t)

		// One that never stops saying so is believed: nothing is sent meanwhile.
		stage.world.Break(func(int) (Reply, bool) { return slow, true })
		_, err = stage.account.Balances(t.Context())
		require.Equal(t, venue.RateLimited, venue.ReasonOf(err), "%v", err)
		asked := len(stage.world.Asked())
		e, _ := errors.AsType[*venue.Error](err)
		require.True(t, e.Until.After(time.Now()), "%v", err)
		require.LessOrEqual(t, asked, 10_000)
	}
}

// banned: a ban is kept, and what is asked meanwhile is not sent.
func banned(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(false)
	stage.world.Break(func(int) (Reply, bool) { return Reply{Status: http.StatusTeapot, Body: "{}"}, true })
	_, err := stage.account.Balances(t.Context())
	require.Equal(t, venue.Banned, venue.ReasonOf(err), "%v", err)
	e, _ := errors.AsType[*venue.Error](err)
	require.WithinRange(t, e.Until, time.Now().Add(2*time.Minute), time.Now().Add(3*time.Minute))
	asked := len(stage.world.Asked())
	_, err = stage.account.Balances(t.Context())
	require.Equal(t, venue.RateLimited, venue.ReasonOf(err), "%v", err)
	require.Len(t, stage.world.Asked(), asked, "a banned client sent more")

	stage.world.Break(func(int) (Reply, bool) {
		return Reply{Status: http.StatusTeapot, Header: map[string]string{"Retry-After": "3600"}, Body: "{}"}, true
	})
	<-time.After(time.Until(e.Until))
	_, err = stage.account.Balances(t.Context())
	e, _ = errors.AsType[*venue.Error](err)
	require.NotNil(t, e)
	require.WithinDuration(t, time.Now().Add(time.Hour), e.Until, time.Second)

	stage.world.Break(nil)
	<-time.After(time.Until(e.Until))
	_, err = stage.account.Balances(t.Context())
	require.NoError(t, err)
}

// skewed: a clock that is an hour off is corrected after one refusal.
func skewed(t *testing.T, s Subject) {
	t.Helper()
	for _, skew := range []time.Duration{time.Hour, -time.Hour} {
		stage := s.stage(t)
		stage.populate(false)
		stage.world.Skew(skew)
		_, err := stage.account.Balances(t.Context())
		require.NoError(t, err)
		if s.Timed {
			require.InDelta(t, skew.Seconds(), stage.session.Skew().Seconds(), 2)
		}
	}
}

// webPage: a page of the network before the venue is no answer, and no loss.
func webPage(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(false)
	stage.world.Break(func(int) (Reply, bool) { return CloudflarePage(), true })
	_, err := stage.account.Balances(t.Context())
	require.Equal(t, venue.Blocked, venue.ReasonOf(err), "%v", err)
	require.False(t, venue.ReasonOf(err).Stops())
	e, _ := errors.AsType[*venue.Error](err)
	require.WithinRange(t, e.Until, time.Now().Add(30*time.Second), time.Now().Add(time.Minute))
	stage.world.Break(func(n int) (Reply, bool) { return CloudflarePage(), n%23 == 22 })
	<-time.After(time.Until(e.Until))
	stage.ends(t)
}

// halfBody: an answer that ends in its middle is asked for again.
func halfBody(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(false)
	half := Reply{Status: http.StatusOK, Body: `{"code":"0","result":{"list":[{"co`}
	cut := half
	cut.Half = true
	stage.world.Break(func(n int) (Reply, bool) {
		if n%5 == 3 {
			return half, true
		}
		return cut, n%5 == 4
	})
	_, err := stage.balances(t)
	require.NoError(t, err)
	stage.ends(t)
	stage.world.Break(func(int) (Reply, bool) { return cut, true })
	_, err = stage.account.Balances(t.Context())
	require.Equal(t, venue.Unreachable, venue.ReasonOf(err), "%v", err)
}

// garbage: JSON that says nothing of what was asked is not taken for nothing held.
func garbage(t *testing.T, s Subject) {
	t.Helper()
	for _, body := range []string{`{}`, `[]`, `null`, `"ok"`, `{"data":{}}`, `{"result":null,"data":null,"list":[{}]}`, `[{}]`} {
		if slices.Contains(s.Empty, body) {
			continue
		}
		stage := s.stage(t)
		stage.world.Break(func(int) (Reply, bool) { return Reply{Status: http.StatusOK, Body: body}, true })
		balances, err := stage.account.Balances(t.Context())
		require.Error(t, err, "%s was read as %v", body, balances)
		require.Equal(t, venue.Unreadable, venue.ReasonOf(err), "%s: %v", body, err)
	}
}

// revoked: a key that goes in the middle stops the account; what was read stays,
// and a new key goes on from there.
func revoked(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.populate(true)
	stage.world.Break(func(n int) (Reply, bool) { return s.Revoked, n >= 2 })
	rows, kept := book{}, map[venue.Stream]venue.Progress{}
	if len(stage.histories()) > 0 {
		err := stage.follow(t, rows, kept)
		require.Equal(t, venue.KeyRefused, venue.ReasonOf(err), "%v", err)
		require.True(t, venue.ReasonOf(err).Stops())
	}
	stage.world.Break(func(int) (Reply, bool) { return s.Revoked, true })
	_, err := stage.account.Balances(t.Context())
	require.Equal(t, venue.KeyRefused, venue.ReasonOf(err), "%v", err)
	_, err = stage.account.Check(t.Context())
	require.Equal(t, venue.KeyRefused, venue.ReasonOf(err), "%v", err)
	stage.clean(t, err)
	stage.world.Break(nil)
	require.NoError(t, stage.follow(t, rows, kept))
	stage.complete(t, rows)
}

// vanished: a name that is gone is told from a line that is down.
func vanished(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	stage.world.Break(func(int) (Reply, bool) { return Reply{Err: NoSuchHost("api.gone.example")}, true })
	_, err := stage.account.Balances(t.Context())
	require.Equal(t, venue.Vanished, venue.ReasonOf(err), "%v", err)
	stage.world.Break(func(int) (Reply, bool) { return Reply{Err: errors.New("connection refused")}, true })
	_, err = stage.account.Balances(t.Context())
	require.Equal(t, venue.Unreachable, venue.ReasonOf(err), "%v", err)
	require.False(t, venue.ReasonOf(err).Stops())
}

// settled: what was pending is found settled by the next round, under one key.
func settled(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	now := time.Now().UTC().Truncate(time.Second)
	waiting := map[venue.Stream]Row{}
	for _, h := range stage.histories() {
		if slices.Contains(s.Final, h.Stream) {
			continue
		}
		if h.Stream == venue.Deposits || h.Stream == venue.Withdrawals || h.Stream == venue.Transactions {
			row := Row{ID: rowID(h.Stream, 1), At: now.Add(-time.Hour), Code: "BTC", Amount: amountOf(h.Stream, 2), TxHash: fmt.Sprintf("%064x", 0xfeed), Pending: true}
			waiting[h.Stream] = row
			stage.world.Happen(h.Stream, row)
		}
	}
	rows, kept := book{}, map[venue.Stream]venue.Progress{}
	require.NoError(t, stage.follow(t, rows, kept))
	for stream := range waiting {
		require.Len(t, rows[stream], 1, stream)
		for _, m := range rows[stream] {
			require.Equal(t, venue.Pending, m.Status, "%s: %v", stream, m)
		}
	}
	<-time.After(20 * time.Minute)
	for stream, row := range waiting {
		row.Pending = false
		if s.Settle != nil {
			s.Settle(stage.world, stream, row)
		} else {
			stage.world.Happen(stream, row)
		}
	}
	require.NoError(t, stage.follow(t, rows, kept))
	for stream := range waiting {
		require.Len(t, rows[stream], 1, "%s is doubled: %v", stream, rows[stream])
		for _, m := range rows[stream] {
			require.Equal(t, venue.Settled, m.Status, "%s: %v", stream, m)
		}
	}
}

// manyAtOnce: one session serves many at once, and what must rise rises.
func manyAtOnce(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	for _, err := range stage.manyReads(t.Context(), 4) {
		if err != nil {
			require.Equal(t, venue.RateLimited, venue.ReasonOf(err), "%v", err)
		}
	}
}

// cancelled: the end of the caller's context is what comes back.
func cancelled(t *testing.T, s Subject) {
	t.Helper()
	stage := s.stage(t)
	reason := errors.New("shutting down")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(reason)
	_, err := stage.account.Balances(ctx)
	require.ErrorIs(t, err, reason)
}
