package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// answers are what operations answer by the document: the schema of each status, by
// method and path.
type answers struct {
	paths   map[string][]answered // by method
	schemas map[string]shape
}

type answered struct {
	path     *regexp.Regexp
	statuses map[string]struct {
		Content map[string]struct{ Schema shape }
	}
}

// shape is what a schema says of members.
type shape struct {
	Ref        string `json:"$ref"`
	Properties map[string]shape
	Required   []string
	Items      *shape
	AllOf      []shape
	OneOf      []shape
	AnyOf      []shape
	Additional json.RawMessage `json:"additionalProperties"`
}

var documentedAnswers = sync.OnceValues(func() (*answers, error) {
	text, err := everySurface()
	if err != nil {
		return nil, err
	}
	var doc struct {
		Paths map[string]map[string]struct {
			Responses map[string]struct {
				Content map[string]struct{ Schema shape }
			}
		}
		Components struct{ Schemas map[string]shape }
	}
	if err := json.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	a := &answers{paths: map[string][]answered{}, schemas: doc.Components.Schemas}
	for path, item := range doc.Paths {
		pattern := regexp.MustCompile("^" + regexp.MustCompile(`\\\{\w+\\\}`).ReplaceAllString(regexp.QuoteMeta(path), "[^/]+") + "$")
		for method, op := range item {
			one := answered{path: pattern, statuses: op.Responses}
			// A path without parameters stands before one that would cover it.
			if strings.Contains(path, "{") {
				a.paths[strings.ToUpper(method)] = append(a.paths[strings.ToUpper(method)], one)
			} else {
				a.paths[strings.ToUpper(method)] = append([]answered{one}, a.paths[strings.ToUpper(method)]...)
			}
		}
	}
	return a, nil
})

// requireDocumented holds an answer of success against the document: every member of
// it is in the schema of its operation and status, and what the schema calls required
// is there. All problems have one shape, which package problem tests.
func requireDocumented(t testing.TB, method, target string, status int, body any) {
	t.Helper()
	if status >= http.StatusMultipleChoices {
		return
	}
	doc, err := documentedAnswers()
	require.NoError(t, err)
	path, _, _ := strings.Cut(target, "?")
	for _, op := range doc.paths[method] {
		if !op.path.MatchString(path) {
			continue
		}
		response, known := op.statuses[strconv.Itoa(status)]
		require.True(t, known, "%s %s answers %d, and the document does not say so", method, path, status)
		for _, content := range response.Content {
			require.Empty(t, doc.faults(content.Schema, body, ""), "%s %s: %d", method, path, status)
			return
		}
		require.Nil(t, body, "%s %s: %d has no schema", method, path, status)
		return
	}
}

// faults returns where a value is not what a schema says.
func (a *answers) faults(s shape, value any, at string) (found []string) {
	switch v := value.(type) {
	case map[string]any:
		members, required, open := a.members(s)
		for name, member := range v {
			if inner, known := members[name]; known {
				found = append(found, a.faults(inner, member, at+"."+name)...)
			} else if open == nil {
				found = append(found, fmt.Sprintf("%s.%s is not in the schema", at, name))
			} else {
				found = append(found, a.faults(*open, member, at+"."+name)...)
			}
		}
		for _, name := range required {
			if _, there := v[name]; !there {
				found = append(found, fmt.Sprintf("%s.%s is required and not there", at, name))
			}
		}
	case []any:
		for s.Ref != "" {
			s = a.schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]]
		}
		for i := range v {
			if s.Items != nil {
				found = append(found, a.faults(*s.Items, v[i], at+"[]")...)
			}
		}
	}
	return found
}

// members returns what an object may have and what it must have, and the schema of
// everything else, nil if there may be nothing else.
func (a *answers) members(s shape) (members map[string]shape, required []string, open *shape) {
	if s.Ref != "" {
		return a.members(a.schemas[s.Ref[strings.LastIndex(s.Ref, "/")+1:]])
	}
	members, required = map[string]shape{}, s.Required
	maps.Copy(members, s.Properties)
	for _, part := range append(append(append([]shape{}, s.AllOf...), s.OneOf...), s.AnyOf...) {
		more, must, rest := a.members(part)
		maps.Copy(members, more)
		if len(s.AllOf) > 0 {
			required = append(required, must...)
		}
		if rest != nil {
			open = rest
		}
	}
	switch {
	case len(members) == 0 && len(s.Additional) == 0, string(s.Additional) == "true":
		open = &shape{}
	case len(s.Additional) > 0 && string(s.Additional) != "false":
		open = &shape{}
		_ = json.Unmarshal(s.Additional, open)
	}
	return members, required, open
}

// TestAnswersAreDocumented asks every operation that a key can ask without harm, and
// holds each answer against the document. The answers of custody and of accounts are
// held against it by the tests that go the whole way.
func TestAnswersAreDocumented(t *testing.T) {
	t.Parallel()
	g := newGatehouse(t, nil)
	held := 0
	for _, route := range g.daemon.gate.Rules() {
		if _, documented := g.doc.Paths[route.Path]; !documented || strings.HasSuffix(route.Path, "/stream") {
			continue
		}
		path, _ := g.path(route, true)
		headers := []string{"X-API-Key", testMaster, "Idempotency-Key", "answers " + route.ID}
		if route.Rule.User {
			headers = []string{"Authorization", "Bearer " + g.token["good"]}
		}
		if route.Method == http.MethodDelete {
			continue // it would end what others ask for
		}
		answer := g.do(g.request(route.Method, path, g.body(route), headers...))
		if !strings.Contains(answer.header.Get("Content-Type"), "json") {
			continue
		}
		var body any
		require.NoError(t, json.Unmarshal([]byte(answer.body), &body), answer.body)
		requireDocumented(t, route.Method, path, answer.status, body)
		if answer.status < http.StatusMultipleChoices {
			held++
		}
	}
	require.Greater(t, held, 20)

	// A document that left something out would be found.
	doc, err := documentedAnswers()
	require.NoError(t, err)
	narrow := shape{Properties: map[string]shape{"id": {}}, Required: []string{"id"}, Additional: json.RawMessage("false")}
	require.Len(t, doc.faults(narrow, map[string]any{"other": 1}, ""), 2)
}
