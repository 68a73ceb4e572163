package venue_test

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
	"tallyd/chains/venue/venuetest"
)

// Answers of one status, and what they are taken for.
func TestAnswersAreJudged(t *testing.T) {
	t.Parallel()
	html := map[string]string{"Content-Type": "text/html"}
	edge := map[string]string{"Content-Type": "text/html", "Cf-Ray": "1"}
	for _, test := range []struct {
		name   string
		status int
		header map[string]string
		body   string
		want   venue.Reason // "" is an answer
	}{
		{name: "Answer", status: 200, body: `{"a":1}`},
		{name: "Created", status: 201, body: `{}`},
		{name: "VenueSaysNo", status: 200, body: `{"error":"permission_missing"}`, want: venue.PermissionMissing},
		{name: "VenueKnowsBetterThanStatus", status: 400, body: `{"error":"key_expired"}`, want: venue.KeyExpired},
		{name: "Unauthorized", status: 401, body: `{}`, want: venue.KeyRefused},
		{name: "Forbidden", status: 403, body: `{}`, want: venue.Refused},
		{name: "ForbiddenInWords", status: 403, body: `Forbidden`, want: venue.Blocked},
		{name: "NotFound", status: 404, body: `not found`, want: venue.Refused},
		{name: "Legal", status: 451, body: `{}`, want: venue.RegionRefused},
		{name: "Teapot", status: 418, body: `{}`, want: venue.Banned},
		{name: "TeapotInWords", status: 418, body: `go away`, want: venue.Banned},
		{name: "Maintenance", status: 503, body: `{}`, want: venue.Maintenance},
		{name: "Gateway", status: 502, body: `{}`, want: venue.Unreachable},
		{name: "PageThatIsFine", status: 200, header: html, body: `<html>`, want: venue.Blocked},
		{name: "PageWithoutType", status: 200, body: "\n <!DOCTYPE html>", want: venue.Blocked},
		{name: "PageOfTheEdge", status: 503, header: edge, body: `<html>`, want: venue.Blocked},
		{name: "PageOfTheVenue", status: 503, header: html, body: `<html>`, want: venue.Maintenance},
		{name: "HalfOfIt", status: 200, body: `{"a":[1,2`, want: venue.Unreadable},
		{name: "TwoOfIt", status: 200, body: `{}{}`, want: venue.Unreadable},
		{name: "Nothing", status: 200, want: venue.Unreadable},
		{name: "NothingAndDown", status: 500, want: venue.Unreachable},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			session := serve(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				for name, value := range test.header {
					w.Header().Set(name, value)
				}
				w.WriteHeader(test.status)
				_, _ = w.Write([]byte(test.body))
			})
			answer, err := session.Ask(t.Context(), balance())
			require.Equal(t, test.want, venue.ReasonOf(err), "%v", err)
			if test.want == "" {
				require.NoError(t, err)
				require.Equal(t, test.body, string(answer.Body))
			}
		})
	}
}

// What others repeat of a request comes out without what is secret in it.
func TestErrorsTellNoSecret(t *testing.T) {
	t.Parallel()
	session := serve(t, func(w http.ResponseWriter, r *http.Request) {
		venuetest.JSON(w, 200, map[string]string{
			"error": "refused", "detail": "bad\r\n\x1b[31m sign " + r.Header.Get("Sign") + " of " + r.Header.Get("Key") + " and " + toySecret + strings.Repeat(" more", 200),
		})
	})
	_, err := session.Ask(t.Context(), balance())
	require.Error(t, err)
	for _, text := range []string{err.Error(), fmt.Sprintf("%+v", err), fmt.Sprintf("%#v", err)} {
		require.NotContains(t, text, toySecret)
		require.NotContains(t, text, "key-of-toy")
		require.NotContains(t, text, "\x1b")
		require.Less(t, len(text), 800)
	}

	// The URL of a request holds its signature at some venues.
	away := toy()
	session, err = venue.NewTransport(venue.TransportOptions{HTTP: &http.Client{Transport: gone{}}}).Open(away, toyLogin())
	require.NoError(t, err)
	_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Path: "/balance", Query: "signature=abcdef0123"})
	require.Equal(t, venue.Unreachable, venue.ReasonOf(err))
	require.NotContains(t, err.Error(), "abcdef0123")
	require.NotContains(t, err.Error(), "api.toy.example")
}

type gone struct{}

func (gone) RoundTrip(*http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
}

// Answers have an end, packed or not; and half of one is none.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	session := serve(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/base/time" {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte(`{"half":`))
			return
		}
		w.Header().Set("Content-Encoding", "gzip")
		packed := gzip.NewWriter(w)
		_, _ = packed.Write([]byte(`{"a":"` + strings.Repeat("a", 17<<20) + `"}`))
		_ = packed.Close()
	})
	_, err := session.Ask(t.Context(), balance())
	require.Equal(t, venue.Unreadable, venue.ReasonOf(err), "%v", err)
	require.ErrorContains(t, err, "more than")
	asked.Store(0)
	_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Path: "/time"})
	require.Equal(t, venue.Unreachable, venue.ReasonOf(err), "%v", err)
	require.ErrorContains(t, err, "ended in its middle")
	require.Equal(t, int64(3), asked.Load(), "it is asked again, and not for ever")
}

// wired opens the toy in a bubble, where time is false.
func wired(t *testing.T, handler http.HandlerFunc, change ...func(*venue.Venue)) (*venuetest.World, *venue.Session) {
	t.Helper()
	world, v := venuetest.NewWorld(), toy()
	for _, c := range change {
		c(&v)
	}
	session, err := venue.NewTransport(venue.TransportOptions{HTTP: world.Wire(handler)}).Open(v, toyLogin())
	require.NoError(t, err)
	return world, session
}

func TestTimeouts(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		session, err := venue.NewTransport(venue.TransportOptions{HTTP: &http.Client{Transport: hanging{}}}).Open(toy(), toyLogin())
		require.NoError(t, err)
		began := time.Now()
		_, err = session.Ask(t.Context(), balance())
		require.Equal(t, venue.Unreachable, venue.ReasonOf(err), "%v", err)
		require.WithinDuration(t, began.Add(91*time.Second), time.Now(), time.Second, "three times the timeout")

		over := errors.New("shutting down")
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(over) })
		_, err = session.Ask(ctx, balance())
		require.ErrorIs(t, err, over)
	})
}

type hanging struct{}

func (hanging) RoundTrip(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// A venue that goes on refusing is asked less and less often.
func TestBackOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		status := http.StatusTooManyRequests
		header := ""
		world, session := wired(t, func(w http.ResponseWriter, _ *http.Request) {
			if header != "" {
				w.Header().Set("Retry-After", header)
			}
			venuetest.JSON(w, status, map[string]string{})
		})
		var waits []time.Duration
		for range 12 {
			_, err := session.Ask(t.Context(), balance())
			e, ok := errors.AsType[*venue.Error](err)
			require.True(t, ok, "%v", err)
			require.Equal(t, venue.RateLimited, e.Reason)
			waits = append(waits, time.Until(e.Until))
			<-time.After(time.Until(e.Until))
		}
		require.Less(t, waits[0], 10*time.Second)
		require.Less(t, waits[0], waits[2], "it did not wait longer: %v", waits)
		require.Greater(t, waits[11], 59*time.Second)
		require.Less(t, waits[11], 76*time.Second)

		// One answer, and all is forgiven.
		status = http.StatusOK
		_, err := session.Ask(t.Context(), balance())
		require.NoError(t, err)
		status, header = http.StatusTooManyRequests, "120"
		before := len(world.Asked())
		_, err = session.Ask(t.Context(), balance())
		require.Equal(t, venue.RateLimited, venue.ReasonOf(err))
		require.Len(t, world.Asked(), before+1, "it was asked again in spite of what it said")
		e, _ := errors.AsType[*venue.Error](err)
		require.WithinDuration(t, time.Now().Add(2*time.Minute), e.Until, time.Second)

		// The budget of a key is one thing, that of the address another.
		status = http.StatusOK
		_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Path: "/time", Public: true})
		require.NoError(t, err, "another budget was held")
		<-time.After(2 * time.Minute)
		status, header = http.StatusTeapot, "Fri, 01 Jan 2100 00:00:00 GMT"
		_, err = session.Ask(t.Context(), balance())
		require.Equal(t, venue.Banned, venue.ReasonOf(err))
		_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Path: "/time", Public: true})
		require.Equal(t, venue.RateLimited, venue.ReasonOf(err), "an address that is banned went on asking")
	})
}

// What the venue has counted is believed, by its share of its own limit.
func TestMeters(t *testing.T) {
	t.Parallel()
	for used, wait := range map[string]time.Duration{"500": time.Second, "250": 0} {
		synctest.Test(t, func(t *testing.T) {
			_, session := wired(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Used", used)
				w.Header().Set("Limit", "500")
				venuetest.JSON(w, 200, map[string]string{})
			})
			_, err := session.Ask(t.Context(), balance())
			require.NoError(t, err)
			began := time.Now()
			_, err = session.Ask(t.Context(), balance())
			require.NoError(t, err)
			require.InDelta(t, wait.Seconds(), time.Since(began).Seconds(), 0.1, used)
		})
	}
}

// Keys have budgets of their own; what they send from one address is counted
// together.
func TestScopes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		world := venuetest.NewWorld()
		transport := venue.NewTransport(venue.TransportOptions{HTTP: world.Wire(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Used", "100")
			venuetest.JSON(w, 200, map[string]string{})
		}))})
		for path, shared := range map[string]bool{"/balance": false, "/time": true} {
			var waits []time.Duration
			for _, key := range []string{"one", "another"} {
				session, err := transport.Open(toy(), venue.NewCredentials(map[string]string{venue.FieldKey: key + path, venue.FieldSecret: "s"}))
				require.NoError(t, err)
				began := time.Now()
				_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Path: path})
				require.NoError(t, err)
				waits = append(waits, time.Since(began))
			}
			require.Less(t, waits[0], 100*time.Millisecond, path)
			require.Equal(t, shared, waits[1] > 900*time.Millisecond, "%s: %v", path, waits)
		}
	})
}

// A clock that is wrong is put right: by the Date of an answer, and by the venue's
// own time where it can be asked.
func TestClocks(t *testing.T) {
	t.Parallel()
	for _, asks := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			var world *venuetest.World
			var session *venue.Session
			world, session = wired(t, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/time" {
					venuetest.JSON(w, 200, map[string]string{"now": venue.Millis(world.Now())})
					return
				}
				sent, _ := venue.ParseMoment(r.Header.Get("Time"))
				if sent.Sub(world.Now()).Abs() > 1500*time.Millisecond {
					venuetest.JSON(w, 200, map[string]string{"error": "clock_skew"})
					return
				}
				venuetest.JSON(w, 200, map[string]string{})
			}, func(v *venue.Venue) {
				if asks {
					v.Clock = &venue.Clock{Path: "/time", Read: func(body []byte) (time.Time, error) {
						var said struct{ Now venue.Moment }
						err := venue.Decode(body, &said)
						return said.Now.Time, err
					}}
				}
			})
			for _, skew := range []time.Duration{time.Hour, -time.Hour, 0} {
				world.Skew(skew)
				_, err := session.Ask(t.Context(), balance())
				require.NoError(t, err, "%v %s", asks, skew)
				require.InDelta(t, skew.Seconds(), session.Skew().Seconds(), 1)
				require.WithinDuration(t, world.Now(), session.Now(), time.Second)
			}

			// The age of a cached answer is not a skew.
			world.Break(func(int) (venuetest.Reply, bool) {
				return venuetest.Reply{Status: 200, Body: `{}`, Header: map[string]string{"Age": "86400", "Date": "Fri, 01 Jan 1999 00:00:00 GMT"}}, true
			})
			_, err := session.Ask(t.Context(), balance())
			require.NoError(t, err)
			require.InDelta(t, 0, session.Skew().Seconds(), 1)
		})
	}
}
