package rpc_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"tallyd/chains"
	"tallyd/chains/rpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve starts a node that answers with f, and returns its upstream.
func serve(t *testing.T, f http.HandlerFunc) chains.Upstream {
	t.Helper()
	server := httptest.NewServer(f)
	t.Cleanup(server.Close)
	return chains.Upstream{URL: server.URL}
}

// open returns a pool over upstreams that is closed with the test.
func open(t *testing.T, options rpc.Options, upstreams ...chains.Upstream) *rpc.Pool {
	t.Helper()
	spec := chains.Spec{Upstreams: upstreams, Batch: 2, Timeout: 5 * time.Second}
	pool := rpc.New(spec, options, zerolog.Nop())
	t.Cleanup(pool.Close)
	return pool
}

func text(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func TestCallResults(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string // the raw result
		code   int    // of the *rpc.Error
		fails  string // part of another error
	}{
		{name: "Result", status: 200, body: `{"result":{"a":1.10},"error":null,"id":1}`, want: `{"a":1.10}`},
		{name: "Null", status: 200, body: `{"jsonrpc":"2.0","result":null,"id":1}`, want: `null`},
		{name: "BothAsBtcd", status: 200, body: `{"result":null,"error":{"code":-5,"message":"no"},"id":1}`, code: -5},
		{name: "ErrorWith500", status: 500, body: `{"result":null,"error":{"code":-8,"message":"no"},"id":1}`, code: -8},
		{name: "ErrorMessageIsObject", status: 200, body: `{"error":{"code":3,"message":{"x":1}},"id":1}`, code: 3},
		{name: "Login", status: 401, body: ``, fails: "refused the user name or password"},
		{name: "HTML", status: 502, body: "<html>\x1b[31mBad gateway</html>", fails: "HTTP 502: <html> [31mBad gateway"},
		{name: "Truncated", status: 200, body: `{"result":[1,2`, fails: "not JSON-RPC"},
		{name: "Neither", status: 200, body: `{"id":1}`, fails: "neither result nor error"},
		{name: "NotFoundPage", status: 404, body: "nothing here", fails: "HTTP 404"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			u := open(t, rpc.Options{Version: "2.0"}, serve(t, text(tt.status, tt.body))).Upstreams()[0]
			result, err := u.Call(t.Context(), "x")
			switch {
			case tt.fails != "":
				require.ErrorContains(t, err, tt.fails)
				require.Zero(t, rpc.Code(err))
			case tt.code != 0:
				require.Equal(t, tt.code, rpc.Code(err))
			default:
				require.NoError(t, err)
				require.Equal(t, tt.want, string(result))
			}
		})
	}
}

// batcher answers a batch backwards, each call with its own first parameter; a
// parameter of 13 is an error.
func batcher(sizes *atomic.Int64) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var calls []struct {
			ID     int   `json:"id"`
			Params []int `json:"params"`
		}
		_ = json.NewDecoder(r.Body).Decode(&calls)
		sizes.Store(sizes.Load()*10 + int64(len(calls)))
		var answers []string
		for _, call := range slices.Backward(calls) {
			answer := fmt.Sprintf(`{"id":%d,"result":%d}`, call.ID, call.Params[0])
			if call.Params[0] == 13 {
				answer = fmt.Sprintf(`{"id":%d,"error":{"code":-5,"message":"unlucky"}}`, call.ID)
			}
			answers = append(answers, answer)
		}
		_, _ = io.WriteString(w, "["+strings.Join(answers, ",")+"]")
	}
}

func TestBatchIsSplitAndSorted(t *testing.T) {
	t.Parallel()
	var sizes atomic.Int64
	u := open(t, rpc.Options{}, serve(t, batcher(&sizes))).Upstreams()[0]
	var requests []rpc.Request
	for _, n := range []int{11, 12, 13, 14, 15} {
		requests = append(requests, rpc.Request{Method: "echo", Params: []any{n}})
	}
	responses, err := u.Batch(t.Context(), requests)
	require.NoError(t, err)
	require.Len(t, responses, 5)
	require.Equal(t, int64(221), sizes.Load())
	for i, want := range []string{"11", "12", "", "14", "15"} {
		require.Equal(t, want, string(responses[i].Result))
	}
	require.Equal(t, -5, rpc.Code(responses[2].Err))
}

func TestBatchWithFaults(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct{ body, fails string }{
		"Lacking":   {`[{"id":0,"result":1}]`, "lacks answer 1 of 2"},
		"Doubled":   {`[{"id":0,"result":1},{"id":0,"result":1}]`, "foreign id 0"},
		"Foreign":   {`[{"id":0,"result":1},{"id":7,"result":1}]`, "foreign id 7"},
		"Refused":   {`{"error":{"code":-32600,"message":"no batches"},"id":null}`, "no batches"},
		"Truncated": {`[{"id":0,`, "not JSON-RPC"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			u := open(t, rpc.Options{}, serve(t, text(200, tt.body))).Upstreams()[0]
			_, err := u.Batch(t.Context(), []rpc.Request{{Method: "a"}, {Method: "b"}})
			require.ErrorContains(t, err, tt.fails)
		})
	}
}

func TestGetBoundsTheBody(t *testing.T) {
	t.Parallel()
	u := open(t, rpc.Options{}, serve(t, text(200, "0123456789"))).Upstreams()[0]
	body, err := u.Get(t.Context(), "/x.bin", 10)
	require.NoError(t, err)
	require.Equal(t, "0123456789", string(body))
	_, err = u.Get(t.Context(), "/x.bin", 9)
	require.ErrorIs(t, err, rpc.ErrTooLarge)

	u = open(t, rpc.Options{}, serve(t, text(404, "gone"))).Upstreams()[0]
	_, err = u.Get(t.Context(), "/x.bin", 9)
	var status *rpc.StatusError
	require.ErrorAs(t, err, &status)
	require.Equal(t, 404, status.Status)
}

func TestSecretsStayHidden(t *testing.T) {
	t.Parallel()
	echo := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, password, _ := r.BasicAuth()
		w.WriteHeader(http.StatusInternalServerError)
		_, _ = io.WriteString(w, "you said "+password)
	})
	dead := chains.Upstream{URL: "http://127.0.0.1:1/v3/0123456789abcdef0123456789abcdef?key=hunter2"}
	for _, upstream := range []chains.Upstream{echo, dead} {
		upstream.User, upstream.Password = "bob", "hunter2"
		pool := open(t, rpc.Options{}, upstream)
		err := pool.Do(t.Context(), func(ctx context.Context, u *rpc.Upstream) error {
			_, err := u.Call(ctx, "x")
			return err
		})
		require.Error(t, err)
		shown := fmt.Sprint(err, pool.Health(), pool.Upstreams()[0].Name())
		require.NotContains(t, shown, "hunter2")
		require.NotContains(t, shown, "0123456789abcdef")
		require.False(t, pool.Health()[0].OK)
	}
}

func TestDoTriesTheNextUpstream(t *testing.T) {
	t.Parallel()
	good := serve(t, text(200, `{"result":"good","id":1}`))
	var liarAsked atomic.Int64
	liar := serve(t, func(w http.ResponseWriter, r *http.Request) {
		liarAsked.Add(1)
		text(200, `{"result":"bad","id":1}`)(w, r)
	})
	pool := open(t, rpc.Options{}, liar, good)
	read := func() (answer string, err error) {
		err = pool.Do(t.Context(), func(ctx context.Context, u *rpc.Upstream) error {
			if err := u.CallInto(ctx, &answer, "x"); err != nil {
				return err
			}
			if answer == "bad" {
				return fmt.Errorf("block abc: merkle root: %w", chains.ErrUnverified)
			}
			return nil
		})
		return answer, err
	}
	for range 3 {
		answer, err := read()
		require.NoError(t, err)
		require.Equal(t, "good", answer)
	}
	require.Equal(t, int64(1), liarAsked.Load(), "a liar is avoided at once")
	health := pool.Health()
	require.False(t, health[0].OK)
	require.Contains(t, health[0].Reason, "merkle root")
	require.True(t, health[1].OK)
	u, err := pool.Pick(t.Context())
	require.NoError(t, err)
	require.Equal(t, health[1].Upstream, u.Name())
}

func TestDoReturnsWhatSaysMost(t *testing.T) {
	t.Parallel()
	fault, lie := errors.New("broken pipe"), fmt.Errorf("x: %w", chains.ErrUnverified)
	missing, answer := fmt.Errorf("x: %w", chains.ErrNotFound), &rpc.Error{Code: -1}
	for name, tt := range map[string]struct {
		first, second, want error
	}{
		"LieThenMissing":   {lie, missing, chains.ErrUnverified},
		"MissingThenFault": {missing, fault, chains.ErrNotFound},
		"FaultThenMissing": {fault, missing, chains.ErrNotFound},
		"FaultThenAnswer":  {fault, answer, answer},
		"FaultThenNothing": {fault, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			errs := []error{tt.first, tt.second}
			pool := open(t, rpc.Options{}, serve(t, text(200, "")), serve(t, text(200, "")))
			err := pool.Do(t.Context(), func(context.Context, *rpc.Upstream) error {
				next := errs[0]
				errs = errs[1:]
				return next
			})
			require.ErrorIs(t, err, tt.want)
		})
	}
}

func TestDeadUpstreamIsAvoidedAndComesBack(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	pool := open(t, rpc.Options{}, serve(t, func(w http.ResponseWriter, r *http.Request) {
		if up.Load() {
			text(200, `{"result":1,"id":1}`)(w, r)
			return
		}
		text(503, "loading")(w, r)
	}))
	call := func() error {
		return pool.Do(t.Context(), func(ctx context.Context, u *rpc.Upstream) error {
			_, err := u.Call(ctx, "x")
			return err
		})
	}
	for range 4 {
		require.ErrorContains(t, call(), "HTTP 503: loading")
	}
	require.False(t, pool.Health()[0].OK)
	up.Store(true)
	require.Eventually(t, func() bool { return call() == nil }, 10*time.Second, 10*time.Millisecond)
	require.True(t, pool.Health()[0].OK)
}

func TestCheckBringsANodeBack(t *testing.T) {
	t.Parallel()
	var up atomic.Bool
	first := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if up.Load() {
			text(200, `{"result":1,"id":1}`)(w, r)
			return
		}
		text(503, "loading")(w, r)
	})
	admit := func(ctx context.Context, u *rpc.Upstream) error {
		_, err := u.Call(ctx, "genesis")
		return err
	}
	pool := open(t, rpc.Options{Admit: admit}, first, serve(t, text(200, `{"result":2,"id":1}`)))
	require.Equal(t, "not asked yet", pool.Health()[1].Reason)
	pool.Check(t.Context())
	require.False(t, pool.Health()[0].OK)
	require.True(t, pool.Health()[1].OK)
	picked := func() string {
		u, err := pool.Pick(t.Context())
		require.NoError(t, err)
		return u.Spec().URL
	}
	require.NotEqual(t, first.URL, picked(), "nobody waits for the one that is away")
	up.Store(true)
	ctx, cancel := context.WithCancel(t.Context())
	tended := make(chan struct{})
	go func() { defer close(tended); pool.Tend(ctx) }()
	require.Eventually(t, func() bool { return picked() == first.URL }, 20*time.Second, 10*time.Millisecond)
	cancel()
	<-tended
}

func TestAdmitKeepsAForeignNodeOut(t *testing.T) {
	t.Parallel()
	var right atomic.Bool
	admit := func(context.Context, *rpc.Upstream) error {
		if !right.Load() {
			return rpc.Refuse("it is a node of testnet")
		}
		return nil
	}
	pool := open(t, rpc.Options{Admit: admit}, serve(t, text(200, `{"result":1,"id":1}`)))
	asked := false
	ask := func() error {
		return pool.Do(t.Context(), func(context.Context, *rpc.Upstream) error {
			asked = true
			return nil
		})
	}
	require.ErrorContains(t, ask(), "it is a node of testnet")
	require.False(t, asked)
	_, err := pool.Pick(t.Context())
	require.ErrorContains(t, err, "it is a node of testnet")
	right.Store(true)
	require.Eventually(t, func() bool { return ask() == nil }, 10*time.Second, 10*time.Millisecond)
}

func TestEndOfContextIsNobodysFault(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancelCause(t.Context())
	stopped := errors.New("stopped")
	pool := open(t, rpc.Options{}, serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		cancel(stopped)
		<-r.Context().Done()
	}))
	err := pool.Do(ctx, func(ctx context.Context, u *rpc.Upstream) error {
		_, err := u.Call(ctx, "x")
		return err
	})
	require.ErrorIs(t, err, stopped)
	require.Equal(t, "not asked yet", pool.Health()[0].Reason)
}

func TestClosedIdleConnectionIsNoFault(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(text(200, `{"result":1,"id":1}`))
	t.Cleanup(server.Close)
	u := open(t, rpc.Options{}, chains.Upstream{URL: server.URL}).Upstreams()[0]
	for range 50 {
		_, err := u.Call(t.Context(), "x")
		require.NoError(t, err)
		server.CloseClientConnections()
	}
}

func TestBudgetDelays(t *testing.T) {
	t.Parallel()
	upstream := serve(t, text(200, `{"result":1,"id":1}`))
	upstream.Budget = 20
	u := open(t, rpc.Options{}, upstream).Upstreams()[0]
	start := time.Now()
	for range 24 { // a burst of 20, then 4 more at 20 a second
		_, err := u.Call(t.Context(), "x")
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, time.Since(start), 150*time.Millisecond)
}

func TestRedirectCarriesNoPassword(t *testing.T) {
	t.Parallel()
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	_, err := open(t, rpc.Options{}, upstream).Upstreams()[0].Call(t.Context(), "x")
	require.ErrorContains(t, err, "HTTP 307")
}

func TestSubscribe(t *testing.T) {
	t.Parallel()
	upstream := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "bob" || password != "x" {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var call struct{ Method string }
		_ = conn.ReadJSON(&call)
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"result":null,"error":null,"id":1}`))
		_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"method":"`+call.Method+`d","params":[7],"id":null}`))
		_, _, _ = conn.ReadMessage()
	})
	upstream.Websocket = "ws" + strings.TrimPrefix(upstream.URL, "http")
	upstream.User = "bob"
	wrong := open(t, rpc.Options{}, upstream).Upstreams()[0]
	require.ErrorContains(t, wrong.Subscribe(t.Context(), rpc.Request{}, nil, nil), "refused the user name")
	upstream.Password = "x"
	u := open(t, rpc.Options{}, upstream).Upstreams()[0]
	ctx, cancel := context.WithCancelCause(t.Context())
	done, ready := errors.New("seen"), false
	err := u.Subscribe(ctx, rpc.Request{Method: "notify"}, func() { ready = true }, func(n rpc.Notification) error {
		require.True(t, ready)
		require.Equal(t, "notifyd", n.Method)
		require.JSONEq(t, "[7]", string(n.Params))
		cancel(done)
		return nil
	})
	require.ErrorIs(t, err, done)
}
