package venue_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/chains/venue"
)

// toy is a venue with three questions.
func toy() venue.Venue {
	return venue.Venue{
		Name: "toy", Title: "Toy",
		Fields: []venue.Field{
			{Name: venue.FieldKey, Title: "Key"}, {Name: venue.FieldSecret, Title: "Secret", Secret: true}, {Name: venue.FieldMemo, Title: "Memo", Optional: true},
		},
		Tick: []string{"Read"},
		Regions: []venue.Region{
			{Name: "global", Hosts: map[string]string{"": "https://api.toy.example", "futures": "https://futures.toy.example"}},
			{Name: "us", Hosts: map[string]string{"": "https://api.toy.example/us"}},
		},
		Routes: []venue.Route{
			{Method: http.MethodGet, Path: "/balance"},
			{Method: http.MethodGet, Path: "/time", Budget: "public"},
			{Method: http.MethodGet, Path: "/accounts/{id}/rows", Cost: 2},
			{Method: http.MethodGet, Host: "futures", Path: "/balance"},
			{Method: http.MethodPost, Path: "/query", Body: func(body string) error {
				if body != "read" {
					return errors.New("not the body that reads")
				}
				return nil
			}},
		},
		Budgets: []venue.Budget{
			{Name: "requests", Scope: venue.PerKey, Limit: 100, Window: time.Second},
			{Name: "public", Scope: venue.PerAddress, Limit: 100, Window: time.Second},
		},
		Dialect: func(c venue.Credentials) (venue.Dialect, error) {
			if c.Get(venue.FieldMemo) == "bad" {
				return nil, errors.New("memo is not one")
			}
			return speech{c}, nil
		},
		Account: func(*venue.Session) venue.Account { return nil },
	}
}

// speech signs in headers, and says no in the field "error".
type speech struct{ credentials venue.Credentials }

func (s speech) Sign(r *venue.Request, stamp venue.Stamp) error {
	r.Header.Set("Key", s.credentials.Get(venue.FieldKey))
	r.Header.Set("Time", venue.Millis(stamp.Time))
	r.Header.Set("Nonce", strconv.FormatUint(stamp.Nonce, 10))
	r.Header.Set("Sign", venue.HexSHA256(s.credentials.Get(venue.FieldSecret), r.Method+r.Target()+r.Body+venue.Millis(stamp.Time)))
	return nil
}

func (speech) Fault(a venue.Answer) error {
	var said struct {
		Error  venue.Reason
		Detail string
	}
	if err := venue.Decode(a.Body, &said); err != nil {
		return err
	}
	if said.Error != "" {
		return venue.Say(said.Error, "E1", said.Detail)
	}
	return nil
}

func (speech) Measure(a venue.Answer) []venue.Usage {
	used, _ := strconv.Atoi(a.Header.Get("Used"))
	limit, _ := strconv.Atoi(a.Header.Get("Limit"))
	return []venue.Usage{{Used: used, Limit: limit}}
}

const toySecret = "a-secret-that-is-nowhere-else"

func toyLogin() venue.Credentials {
	return venue.NewCredentials(map[string]string{venue.FieldKey: "key-of-toy", venue.FieldSecret: toySecret})
}

// serve starts the toy and returns a session that asks it.
func serve(t *testing.T, handler http.HandlerFunc, change ...func(*venue.TransportOptions)) *venue.Session {
	t.Helper()
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	options := venue.TransportOptions{UserAgent: "tallyd/1.2 (test)", Base: func(_, _, host string) string { return server.URL + "/base/" + host }}
	for _, c := range change {
		c(&options)
	}
	session, err := venue.NewTransport(options).Open(toy(), toyLogin())
	require.NoError(t, err)
	return session
}

func balance() venue.Request { return venue.Request{Method: http.MethodGet, Path: "/balance"} }

// What is not declared is refused before anything is dialled.
func TestTransportOnlyReads(t *testing.T) {
	t.Parallel()
	session := serve(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s %s was sent", r.Method, r.URL) })
	for _, r := range []venue.Request{
		{Method: http.MethodPost, Path: "/balance"},
		{Method: http.MethodPost, Path: "/withdraw"},
		{Method: "get", Path: "/balance"},
		{Path: "/balance"},
		{Method: http.MethodGet, Path: "balance"},
		{Method: http.MethodGet, Path: "//balance"},
		{Method: http.MethodGet, Path: "/balance/"},
		{Method: http.MethodGet, Path: "/balance/../withdraw"},
		{Method: http.MethodGet, Path: "/Balance"},
		{Method: http.MethodGet, Path: "/balance?x=1"},
		{Method: http.MethodGet, Path: "/balance#"},
		{Method: http.MethodGet, Path: "/accounts//rows"},
		{Method: http.MethodGet, Path: "/accounts/../rows"},
		{Method: http.MethodGet, Path: "/accounts/a%2Fb/rows"},
		{Method: http.MethodGet, Path: "/accounts/a/b/rows"},
		{Method: http.MethodGet, Path: "/accounts/" + strings.Repeat("a", 129) + "/rows"},
		{Method: http.MethodGet, Host: "futures", Path: "/time"},
		{Method: http.MethodGet, Host: "elsewhere.example", Path: "/balance"},
		{Method: http.MethodPost, Path: "/query", Body: "order"},
		{Method: http.MethodPost, Path: "/query"},
	} {
		_, err := session.Ask(t.Context(), r)
		require.ErrorIs(t, err, venue.ErrNotAllowed, "%v", r)
	}
	// A region that has no such host does not borrow that of another.
	us, err := venue.NewTransport(venue.TransportOptions{HTTP: &http.Client{Transport: never{t}}}).Open(toy(), venue.NewCredentials(map[string]string{
		venue.FieldKey: "k", venue.FieldSecret: "s", venue.FieldRegion: "us",
	}))
	require.NoError(t, err)
	require.False(t, us.Has("futures"))
	_, err = us.Ask(t.Context(), venue.Request{Method: http.MethodGet, Host: "futures", Path: "/balance"})
	require.ErrorIs(t, err, venue.ErrNotAllowed)
}

type never struct{ t *testing.T }

func (n never) RoundTrip(r *http.Request) (*http.Response, error) {
	n.t.Errorf("%s was sent", r.URL)
	return nil, errors.New("sent")
}

func TestTransportSends(t *testing.T) {
	t.Parallel()
	var got []*http.Request
	session := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r)
		_, _ = w.Write([]byte(`{"total":"12345678901234567890.123456789"}`))
	})
	read, err := venue.Read[struct{ Total venue.Decimal }](t.Context(), session, venue.Request{Method: http.MethodGet, Path: "/accounts/a-1_B/rows", Query: "b=2&a=1%2B1"})
	require.NoError(t, err)
	require.Equal(t, "12345678901234567890.123456789", read.Total.String())
	_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodGet, Host: "futures", Path: "/balance", Public: true})
	require.NoError(t, err)
	_, err = session.Ask(t.Context(), venue.Request{Method: http.MethodPost, Path: "/query", Body: "read"})
	require.NoError(t, err)
	require.Equal(t, "/base/accounts/a-1_B/rows?b=2&a=1%2B1", got[0].RequestURI, "what was signed is not what was sent")
	require.Equal(t, "tallyd/1.2 (test)", got[0].UserAgent())
	require.Equal(t, "key-of-toy", got[0].Header.Get("Key"))
	require.Equal(t, "/base/futures/balance", got[1].RequestURI)
	require.Empty(t, got[1].Header.Get("Key"), "a public question was signed")
	require.Equal(t, int64(4), got[2].ContentLength)
}

func TestTransportOrigins(t *testing.T) {
	t.Parallel()
	open := func(base string) error {
		_, err := venue.NewTransport(venue.TransportOptions{Base: func(string, string, string) string { return base }}).Open(toy(), toyLogin())
		return err
	}
	for _, base := range []string{"", "https://proxy.example", "https://proxy.example:8443/toy/", "http://127.0.0.1:8080", "http://[::1]:1", "http://localhost:1"} {
		require.NoError(t, open(base), base)
	}
	for _, base := range []string{
		"http://proxy.example", "http://10.0.0.1", "ftp://127.0.0.1", "proxy.example", "//proxy.example", "https://", "https://u:p@proxy.example",
		"https://proxy.example?x=1", "https://proxy.example#x", "http://localhost.example", "http://127.0.0.1.example", "https://a b",
	} {
		require.Error(t, open(base), base)
	}
}

func TestOpenChecksTheForm(t *testing.T) {
	t.Parallel()
	for name, fields := range map[string]map[string]string{
		"needs the field api_secret": {venue.FieldKey: "k"},
		"takes no field":             {venue.FieldKey: "k", venue.FieldSecret: toySecret, "password": toySecret},
		"has no region":              {venue.FieldKey: "k", venue.FieldSecret: toySecret, venue.FieldRegion: "mars"},
		"characters that no key has": {venue.FieldKey: "k\x00k", venue.FieldSecret: toySecret},
		"memo is not one":            {venue.FieldKey: "k", venue.FieldSecret: toySecret, venue.FieldMemo: "bad"},
	} {
		_, err := venue.NewTransport(venue.TransportOptions{}).Open(toy(), venue.NewCredentials(fields))
		if name == "has no region" {
			require.ErrorContains(t, err, "region", name)
		} else {
			require.ErrorContains(t, err, name)
		}
		require.NotContains(t, err.Error(), toySecret, name)
	}
	hint := toy().Hint()
	require.Equal(t, venue.FieldRegion, hint[len(hint)-1].Name)
	require.Equal(t, []string{"global", "us"}, hint[len(hint)-1].Choices)
}

// A redirect is not followed: it would take the credentials along.
func TestTransportStaysWhereItIs(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s was followed", r.URL) }))
	t.Cleanup(other.Close)
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return nil }}
	session := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", other.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
		_, _ = w.Write([]byte(`{}`))
	}, func(o *venue.TransportOptions) { o.HTTP = client })
	_, err := session.Ask(t.Context(), balance())
	require.Equal(t, venue.Refused, venue.ReasonOf(err), "%v", err)
	require.NoError(t, client.CheckRedirect(nil, nil), "the caller's client was changed")
}

// ports that do not answer.
type deadPorts struct{ err error }

func (d deadPorts) Take(context.Context, string, venue.Budget, int) (time.Duration, error) {
	return 0, d.err
}
func (d deadPorts) Used(context.Context, string, venue.Budget, int) error { return d.err }
func (d deadPorts) Hold(context.Context, string, time.Time) error         { return d.err }
func (d deadPorts) Next(context.Context, string, uint64, func(uint64) error) error {
	return d.err
}

// What cannot be counted is not sent.
func TestTransportNeedsItsPorts(t *testing.T) {
	t.Parallel()
	dead := deadPorts{err: errors.New("redis is away")}
	session := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("sent") }, func(o *venue.TransportOptions) { o.Budgets = dead })
	_, err := session.Ask(t.Context(), balance())
	require.ErrorIs(t, err, dead.err)

	counted := toy()
	counted.Nonces = true
	session, err = venue.NewTransport(venue.TransportOptions{HTTP: &http.Client{Transport: never{t}}, Nonces: dead}).Open(counted, toyLogin())
	require.NoError(t, err)
	_, err = session.Ask(t.Context(), balance())
	require.ErrorIs(t, err, dead.err)
	require.Equal(t, venue.NonceRefused, venue.ReasonOf(err))
}

// Numbers of one key rise in the order in which the venue sees them, also when two
// accounts share the key.
func TestTransportNumbersRequests(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var last uint64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		n, _ := strconv.ParseUint(r.Header.Get("Nonce"), 10, 64)
		if n <= last {
			t.Errorf("%d came after %d", n, last)
		}
		last = n
		_, _ = w.Write([]byte(`{}`))
	}))
	t.Cleanup(server.Close)
	counted := toy()
	counted.Nonces = true
	transport := venue.NewTransport(venue.TransportOptions{Base: func(string, string, string) string { return server.URL }})
	began := uint64(time.Now().UnixMilli())
	var all sync.WaitGroup
	for range 2 {
		session, err := transport.Open(counted, toyLogin())
		require.NoError(t, err)
		for range 20 {
			all.Go(func() {
				if _, err := session.Ask(t.Context(), balance()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	require.Greater(t, last, began, "a number is not below the time, so that a restart cannot repeat one")
}
