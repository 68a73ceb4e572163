package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// TestIllegible sends what is no text in every value of every path and query that
// the document names, with credentials that are good: each is refused by name, and
// never a fault of the store's.
func TestIllegible(t *testing.T) {
	t.Parallel()
	log := &syncWriter{}
	g := newGatehouse(t, log)
	sent := 0
	try := func(route access.Route, path, name string) {
		t.Helper()
		body := g.body(route)
		r := g.request(route.Method, path, body, "Idempotency-Key", uuid.NewString())
		switch rule := route.Rule; {
		case rule.User && !rule.Master && rule.Scope == "":
			r.Header.Set("Authorization", "Bearer "+g.token["good"])
		case rule.Master:
			r.Header.Set("X-API-Key", testMaster)
		default:
			access.Sign(r, g.signed.Public(), g.secret, body, time.Now())
		}
		told := g.do(r)
		require.Equal(t, http.StatusBadRequest, told.status, "%s %s: %s", route.Method, path, told.body)
		require.Contains(t, told.body, `"code":"invalid_input"`, path)
		require.Contains(t, told.body, name, path)
		require.Contains(t, told.body, "expected UTF-8 without NUL", path)
		sent++
	}
	for _, route := range g.daemon.gate.Rules() {
		if route.Rule.Public || route.ID == "" {
			continue
		}
		whole, _ := g.path(route, true)
		whole, _, _ = strings.Cut(whole, "?")
		for _, p := range g.doc.Paths[route.Path][strings.ToLower(route.Method)].Parameters {
			for _, bad := range []string{"%00", "a%00b", "%ff", "%c0%80", "%ed%a0%80"} {
				switch p.In {
				case "query":
					try(route, whole+"?"+p.Name+"="+bad, p.Name)
				case "path":
					named := strings.ReplaceAll(route.Path, "{"+p.Name+"}", bad)
					for _, other := range []string{"chain", "id", "account_id"} {
						named = strings.ReplaceAll(named, "{"+other+"}", uuid.NewString())
					}
					if !strings.Contains(named, "{") {
						try(route, named, p.Name)
					}
				}
			}
		}
		if route.Method == http.MethodGet {
			try(route, whole+"?%00=x", "generalErrors")
		}
	}
	t.Logf("%d requests", sent)
	require.Greater(t, sent, 300)
	require.NotContains(t, log.String(), "invalid byte sequence")

	// What can be read goes on being read.
	for _, text := range []string{"dépôt", "a+b c", "%", "☃", "%zz"} {
		told := g.do(g.request("GET", fmt.Sprintf("/v1/webhooks/endpoints/%s/deliveries?type=%s", g.ids["endpoints"], url.QueryEscape(text)), nil, "X-API-Key", g.good))
		require.NotContains(t, told.body, "expected UTF-8 without NUL", text)
		require.Less(t, told.status, 500, "%s", told.body)
	}
}
