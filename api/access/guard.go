package access

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// Names of the credentials in the OpenAPI document.
const (
	SchemeKey       = "ProjectToken" // header X-API-Key
	SchemeUser      = "UserJWT"      // header Authorization
	SchemeTimestamp = "Timestamp"    // header X-Timestamp
	SchemeSignature = "Signature"    // header X-Signature
)

// Route is one route with the rule that is in force on it.
type Route struct {
	Method string
	Path   string // the pattern: /v1/users/{id}
	ID     string // of the operation; "" for what is no operation
	Rule   Rule
}

// Pattern returns the route as an http.ServeMux names it.
func (r Route) Pattern() string { return r.Method + " " + r.Path }

// Guard puts a rule in force on an operation: the only way one gets in. It writes
// the rule into the operation's description too. A rule that contradicts itself, or
// a second one for the same route, is a mistake in the program, and panics.
func (g *Gate) Guard(op huma.Operation, rule Rule) huma.Operation {
	g.declare(Route{Method: op.Method, Path: op.Path, ID: op.OperationID, Rule: rule})
	describe(&op, rule)
	if op.MaxBodyBytes == 0 {
		op.MaxBodyBytes = BodyUnsaid
	}
	op.Middlewares = append(slices.Clone(op.Middlewares), g.middleware(rule), legible)
	return op
}

// Page puts a rule in force on a route that is no operation, such as a page: it
// must be public.
func (g *Gate) Page(pattern string, rule Rule, serve http.HandlerFunc) http.HandlerFunc {
	if !rule.Public {
		panic(fmt.Sprintf("route %s is no operation, so its rule must be public", pattern))
	}
	method, path, _ := strings.Cut(pattern, " ")
	g.declare(Route{Method: method, Path: path, Rule: rule})
	enter := g.middleware(rule)
	return func(w http.ResponseWriter, r *http.Request) {
		// Whatever context it is called with, what is served is the page.
		enter(humago.NewContext(&huma.Operation{Method: method, Path: path}, r, w), func(huma.Context) { serve(w, r) })
	}
}

// declare adds a route to the table.
func (g *Gate) declare(route Route) {
	if err := route.Rule.check(); err != nil {
		panic(fmt.Sprintf("rule of %s: %s", route.Pattern(), err))
	}
	g.table.Lock()
	defer g.table.Unlock()
	if _, twice := g.routes[route.Pattern()]; twice {
		panic("two rules for " + route.Pattern())
	}
	g.routes[route.Pattern()] = route
}

// Ruled reports whether a rule is in force on a pattern.
func (g *Gate) Ruled(pattern string) bool {
	g.table.Lock()
	defer g.table.Unlock()
	_, ok := g.routes[pattern]
	return ok
}

// Rules returns every route with its rule, by path and method.
func (g *Gate) Rules() []Route {
	g.table.Lock()
	defer g.table.Unlock()
	routes := make([]Route, 0, len(g.routes))
	for _, route := range g.routes {
		routes = append(routes, route)
	}
	slices.SortFunc(routes, func(a, b Route) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Method, b.Method))
	})
	return routes
}

// describe writes a rule into an operation: who may call it as its security and in
// words, the scope it takes as x-scope.
func describe(op *huma.Operation, rule Rule) {
	if rule.Public {
		op.Security = []map[string][]string{}
		return
	}
	op.Security = nil
	if rule.byKey() {
		if !rule.Signed {
			op.Security = append(op.Security, map[string][]string{SchemeKey: {}})
		}
		op.Security = append(op.Security, map[string][]string{SchemeKey: {}, SchemeTimestamp: {}, SchemeSignature: {}})
	}
	if rule.User {
		op.Security = append(op.Security, map[string][]string{SchemeUser: {}})
	}
	if op.Extensions == nil {
		op.Extensions = map[string]any{}
	}
	switch {
	case rule.Master:
		op.Extensions["x-scope"] = "master"
	case rule.Scope != "":
		op.Extensions["x-scope"] = rule.Scope
	}
	if op.Method == http.MethodPost || rule.Once {
		op.Parameters = append(slices.Clone(op.Parameters), &huma.Param{
			Name: headerIdempotency, In: "header", Required: rule.Once,
			Description: "The request is carried out once: sent again with this key and the same body, it gets the first answer",
			Schema:      &huma.Schema{Type: huma.TypeString, Pattern: idempotencyPattern.String()},
		})
	}
}
