package access_test

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/problem"
	"tallyd/chains"
	"tallyd/indexer"
)

const master = "the-master-key-of-this-test"

var (
	pepper = access.Pepper("0123456789abcdef")
	realm  = indexer.Realm{Tenant: "acme", Environment: chains.Live}
	start  = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// house is an API of one operation of each kind, behind a gate.
type house struct {
	*memory
	t      testing.TB
	gate   *access.Gate
	tokens *access.Tokens
	mux    *http.ServeMux
	clock  atomic.Int64 // nanoseconds since start

	calls atomic.Int64                // of operations
	do    func(context.Context) error // what an operation does before it answers; nil for nothing

	ask func(context.Context) (string, error) // what POST /asked asks first
}

// reply is what every operation answers.
type reply struct {
	Location string `header:"Location"`
	Body     struct {
		Caller string `json:"caller"`
		Tenant string `json:"tenant"`
		Call   int64  `json:"call"`
	}
}

func newHouse(t testing.TB, change ...func(*access.Config)) *house {
	t.Helper()
	h := &house{memory: newMemory(), t: t, mux: http.NewServeMux()}
	var err error
	h.tokens, err = access.NewTokens(make([]byte, 32), h.now)
	require.NoError(t, err)
	cfg := access.Config{
		Keys: h.memory, Changed: h.memory, Requests: h.memory, Replays: h.memory,
		Pepper: pepper, Tokens: h.tokens, Master: master, Now: h.now,
	}
	for _, f := range change {
		f(&cfg)
	}
	h.gate, err = access.NewGate(cfg)
	require.NoError(t, err)
	h.ask = func(context.Context) (string, error) { return "found", nil }
	doc := huma.DefaultConfig("test", "1")
	doc.CreateHooks = nil
	problem.Install(&doc)
	api := humago.New(h.mux, doc)
	api.UseMiddleware(problem.Middleware)
	for _, one := range []struct {
		method, path string
		rule         access.Rule
	}{
		{"GET", "/users", access.Rule{Surface: access.Blockmate, Scope: "users:read"}},
		{"POST", "/users", access.Rule{Surface: access.Blockmate, Scope: "users:create"}},
		{"GET", "/me", access.Rule{Surface: access.Blockmate, User: true, BadUser: http.StatusForbidden}},
		{"POST", "/me", access.Rule{Surface: access.Blockmate, User: true}},
		{"GET", "/vaults", access.Rule{Surface: access.Custody, Scope: "vaults:read"}},
		{"POST", "/vaults", access.Rule{Surface: access.Custody, Scope: "vaults:write"}},
		{"POST", "/pay", access.Rule{Surface: access.Custody, Scope: "transactions:write", Signed: true, Once: true}},
		{"POST", "/long", access.Rule{Surface: access.Custody, Scope: "transactions:write", Signed: true}},
		{"POST", "/asked", access.Rule{Surface: access.Own, Scope: "users:write", Ahead: true}},
		{"GET", "/events", access.Rule{Surface: access.Own, Scope: "events:read"}},
		{"GET", "/lasting", access.Rule{Surface: access.Own, Scope: "events:read", Lasting: true}},
		{"DELETE", "/events/{id}", access.Rule{Surface: access.Own, Scope: "events:delete"}},
		{"POST", "/tenants", access.Rule{Surface: access.Own, Master: true}},
		{"GET", "/either", access.Rule{Surface: access.Own, Scope: "users:read", User: true}},
		{"GET", "/open", access.Rule{Public: true}},
		{"GET", "/probe", access.Rule{Public: true, Probe: true}},
	} {
		op := huma.Operation{OperationID: one.method + one.path, Method: one.method, Path: one.path, MaxBodyBytes: 1 << 10}
		if one.path == "/long" {
			op.MaxBodyBytes = 1 << 20
		}
		if one.rule.Ahead {
			huma.Register(api, h.gate.Guard(op, one.rule), h.answerAsked)
		} else if one.method == http.MethodPost {
			huma.Register(api, h.gate.Guard(op, one.rule), h.answerBody)
		} else {
			huma.Register(api, h.gate.Guard(op, one.rule), h.answer)
		}
	}
	return h
}

func (h *house) now() time.Time { return start.Add(time.Duration(h.clock.Load())) }

// pass lets time pass.
func (h *house) pass(d time.Duration) { h.clock.Add(int64(d)) }

func (h *house) answer(ctx context.Context, _ *struct{}) (*reply, error) {
	out := &reply{Location: "/there"}
	out.Body.Call = h.calls.Add(1)
	if h.do != nil {
		if err := h.do(ctx); err != nil {
			return nil, err
		}
	}
	who := access.From(ctx)
	out.Body.Caller, out.Body.Tenant = who.Name(), who.Realm.Tenant
	return out, nil
}

type bodyInput struct {
	Body struct {
		Name string `json:"name" maxLength:"20"`
	}
}

func (h *house) answerBody(ctx context.Context, _ *bodyInput) (*reply, error) {
	return h.answer(ctx, nil)
}

func (h *house) answerAsked(ctx context.Context, in *bodyInput) (*reply, error) {
	return access.InTwo(ctx, h.ask, func(ctx context.Context, found string) (*reply, error) {
		out, err := h.answerBody(ctx, in)
		if err == nil {
			out.Location = found
		}
		return out, err
	})
}

// issue makes and stores a key, and returns it with its text or its secret.
func (h *house) issue(change ...func(*access.Request)) (access.Key, string) {
	h.t.Helper()
	request := access.Request{Realm: realm, Owner: "o", Name: "n", Scopes: []string{"*:*"}}
	for _, f := range change {
		f(&request)
	}
	key, text, err := access.NewKey(pepper, request, h.now())
	require.NoError(h.t, err)
	h.put(key)
	return key, text
}

func signed(r *access.Request) { r.Kind = access.Signed }

func scopes(list ...string) func(*access.Request) {
	return func(r *access.Request) { r.Scopes = list }
}

const good = `{"name":"n"}`

// watch keeps who called last.
func (h *house) watch(who *access.Principal) {
	h.do = func(ctx context.Context) error {
		*who = access.From(ctx)
		return nil
	}
}

// request returns a request with headers, which come as name, value pairs.
func (h *house) request(method, path, body string, headers ...string) *http.Request {
	r := httptest.NewRequestWithContext(h.t.Context(), method, path, strings.NewReader(body))
	r.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(body)), nil }
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

// sign returns a request that is signed with a key, now.
func (h *house) sign(key access.Key, secret, method, path, body string, headers ...string) *http.Request {
	r := h.request(method, path, body, headers...)
	access.Sign(r, key.Public(), secret, []byte(body), h.now())
	return r
}

// answer is one answer.
type answer struct {
	*httptest.ResponseRecorder
	trail *problem.Trail
}

// serve serves a request.
func (h *house) serve(r *http.Request) answer {
	a := answer{ResponseRecorder: httptest.NewRecorder(), trail: &problem.Trail{}}
	h.mux.ServeHTTP(a, r.WithContext(problem.WithTrail(r.Context(), a.trail)))
	return a
}

// call makes one request.
func (h *house) call(method, path, body string, headers ...string) answer {
	return h.serve(h.request(method, path, body, headers...))
}

// said returns a member of the body.
func (a answer) said(t testing.TB, member string) any {
	t.Helper()
	var body map[string]any
	require.NoError(t, json.Unmarshal(a.Body.Bytes(), &body), "%s", a.Body)
	return body[member]
}

// requireRefused checks status, code and text of a refusal.
func requireRefused(t testing.TB, a answer, status int, code problem.Code, text string) {
	t.Helper()
	require.Equal(t, status, a.Code, "%s", a.Body)
	require.Equal(t, string(code), a.said(t, "code"), "%s", a.Body)
	for _, member := range []string{"error", "message", "detail"} {
		require.Equal(t, text, a.said(t, member))
	}
	require.NotEmpty(t, a.Header().Get("Content-Type"))
}
