package api_test

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// Every route has a rule, and what the document says of a route is its rule.
func TestRulesAreDocumented(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	var doc struct {
		Paths map[string]map[string]struct {
			OperationID string
			Security    []map[string][]string
			Scope       string `json:"x-scope"`
		}
	}
	require.NoError(t, json.Unmarshal(d.call("GET", "/openapi.json", "").raw, &doc))
	var patterns []string
	for _, route := range d.gate.Rules() {
		patterns = append(patterns, route.Pattern())
		rule := route.Rule
		t.Logf("%-6s %-60s %-10s %-16s user %-5t public %-5t signed %-5t once %t",
			route.Method, route.Path, rule.Surface, rule.Scope, rule.User, rule.Public, rule.Signed, rule.Once)
		op, documented := doc.Paths[route.Path][strings.ToLower(route.Method)]
		if !documented {
			require.True(t, rule.Public, "%s is not in the document", route.Pattern())
			continue
		}
		delete(doc.Paths[route.Path], strings.ToLower(route.Method))
		require.Equal(t, route.ID, op.OperationID)
		byKey, byUser, signed := 0, 0, 0
		for _, way := range op.Security {
			_, key := way[access.SchemeKey]
			_, signature := way[access.SchemeSignature]
			_, user := way[access.SchemeUser]
			switch {
			case user:
				byUser++
			case signature:
				signed++
			case key:
				byKey++
			}
		}
		takesKey := rule.Scope != "" || rule.Master
		require.Equal(t, takesKey && !rule.Signed, byKey == 1, route.Pattern())
		require.Equal(t, takesKey, signed == 1, route.Pattern())
		require.Equal(t, rule.User, byUser == 1, route.Pattern())
		if rule.Master {
			require.Equal(t, "master", op.Scope)
		} else {
			require.Equal(t, rule.Scope, op.Scope, route.Pattern())
		}
	}
	require.ElementsMatch(t, d.router.Routes(), patterns)
	for path, left := range doc.Paths {
		require.Empty(t, left, "operations of %s without a rule", path)
	}
}

// An operation that did not come through the gate is not served.
func TestNoRouteWithoutARule(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	op := huma.Operation{OperationID: "Sneak", Method: http.MethodGet, Path: "/v1/sneak"}
	require.PanicsWithValue(t, "no rule says who may call GET /v1/sneak", func() {
		huma.Register(d.router.Operations(), op, d.nothing)
	})
	for name, rule := range map[string]access.Rule{
		"Nobody":        {Surface: access.Own},
		"NoSurface":     {Scope: "users:read"},
		"NoSuchScope":   {Surface: access.Own, Scope: "users:fly"},
		"Wildcard":      {Surface: access.Own, Scope: "users:*"},
		"PublicAndNot":  {Surface: access.Own, Scope: "users:read", Public: true},
		"ProbeForSome":  {Surface: access.Own, Scope: "users:read", Probe: true},
		"UsersDontSign": {Surface: access.Own, User: true, Signed: true},
		"MasterOfSome":  {Surface: access.Own, Master: true, Scope: "users:read"},
	} {
		require.Panics(t, func() { d.gate.Guard(op, rule) }, name)
	}
	require.Panics(t, func() { d.gate.Page("GET /page", access.Rule{Surface: access.Own, Scope: "users:read"}, nil) })
	op.OperationID, op.Path = "Walk", "/v1/walk"
	good := d.gate.Guard(op, access.Rule{Surface: access.Own, Scope: "users:read"})
	require.Panics(t, func() { d.gate.Guard(op, access.Rule{Public: true}) }, "one route has one rule")
	require.NotPanics(t, func() { huma.Register(d.router.Operations(), good, d.nothing) })
}

// Whoever is refused and has no key that is known is a number in the metrics.
func TestRefusalsAreCounted(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for range 3 {
		d.call("GET", "/v1/events", "")
	}
	d.call("GET", "/v1/events", "", "X-API-Key", "nonsense")
	d.call("GET", "/v1/users", "", "X-API-Key", master, "X-Tenant", "No/Body")
	metrics := string(d.call("GET", "/metrics", "").raw)
	require.Contains(t, metrics, `tallyd_refusals_total{code="missing_key"} 3`+"\n")
	require.Contains(t, metrics, `tallyd_refusals_total{code="invalid_key"} 1`+"\n")
	require.NotContains(t, metrics, `tallyd_refusals_total{code="invalid_input"}`)
}

func TestJWKS(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	a := d.call("GET", "/.well-known/jwks.json", "")
	require.Equal(t, http.StatusOK, a.StatusCode)
	require.Equal(t, "public, max-age=300", a.Header.Get("Cache-Control"))
	require.Equal(t, "Ed25519", a.json(t, "keys", 0, "crv"))
	_, bearer := d.user()
	token, _, err := jwt.NewParser().ParseUnverified(strings.TrimPrefix(bearer, "Bearer "), jwt.MapClaims{})
	require.NoError(t, err)
	require.Equal(t, token.Header["kid"], a.json(t, "keys", 0, "kid"))
	x, err := base64.RawURLEncoding.DecodeString(a.json(t, "keys", 0, "x").(string))
	require.NoError(t, err)
	_, err = jwt.Parse(token.Raw, func(*jwt.Token) (any, error) { return ed25519.PublicKey(x), nil })
	require.NoError(t, err, "whoever has the document can check a token")
}

// An operation that says how long its body may be is believed, whatever the operator
// says of the others, and however short that is.
func TestOwnBodyLimit(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for _, own := range []int64{0, 100, 1 << 20, 2 << 20} {
		path := fmt.Sprintf("/v1/own/%d", own)
		op := huma.Operation{OperationID: path, Method: http.MethodPost, Path: path, MaxBodyBytes: own}
		huma.Register(d.router.Operations(), d.gate.Guard(op, access.Rule{Surface: access.Own, Scope: "users:write"}),
			func(context.Context, *struct{ Body struct{} }) (*struct{}, error) { return &struct{}{}, nil })
		limit := int(own)
		if own == 0 {
			limit = 1 << 10 // the operator's
		}
		send := func(size int) int {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader("{"+strings.Repeat(" ", size-2)+"}"))
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("X-API-Key", master)
			w := httptest.NewRecorder()
			d.router.ServeHTTP(w, r)
			return w.Code
		}
		require.Equal(t, http.StatusNoContent, send(limit), own)
		require.Equal(t, http.StatusRequestEntityTooLarge, send(limit+1), own)
	}
}
