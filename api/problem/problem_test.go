package problem_test

import (
	"net/http/httptest"
	"os"
	"regexp"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/stretchr/testify/require"

	"tallyd/api/problem"
)

func TestWrite(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	problem.New(405, problem.MethodNotAllowed, "Method Not Allowed").Header("Allow", "GET").Field("", "general").Field("a", "b").Write(w)
	require.Equal(t, 405, w.Code)
	require.Equal(t, "GET", w.Header().Get("Allow"))
	require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
	require.JSONEq(t, `{
		"type":"about:blank","title":"Method Not Allowed","status":405,"detail":"Method Not Allowed",
		"code":"method_not_allowed","message":"Method Not Allowed","error":"Method Not Allowed",
		"error_detail":{"code":"method_not_allowed","message":"Method Not Allowed"},
		"statusCode":405,"errors":{"generalErrors":["general"],"a":["b"]}}`, w.Body.String())
}

// Every code is in the table of docs/api.md, and the table names no other.
func TestCodesAreDocumented(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../../docs/api.md")
	require.NoError(t, err)
	var documented, known []string
	for _, row := range regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| [0-9]").FindAllStringSubmatch(string(doc), -1) {
		documented = append(documented, row[1])
	}
	for _, code := range problem.Codes() {
		known = append(known, string(code))
	}
	require.ElementsMatch(t, known, documented)
}

func TestStrictJSON(t *testing.T) {
	t.Parallel()
	for body, good := range map[string]bool{
		`{}`:                            true,
		`{"a":{"a":1},"b":[{"a":1},2]}`: true,
		`{"a":[1,"a","a"],"b":"a"}`:     true,
		`{"a":1,"a":2}`:                 false,
		`{"b":{"a":1,"\u0061":2}}`:      false,
		`[{"a":1,"a":2}]`:               false,
		`{"a":"\u0000"}`:                false,
		`{"\u0000":1}`:                  false,
		"{\"a\":\"\xff\"}":              false,
		`{"a":1} {}`:                    false,
		`{"a":1} x`:                     false,
		`{"a":1`:                        false,
		``:                              false,
	} {
		var v any
		err := problem.StrictJSON().Unmarshal([]byte(body), &v)
		require.Equal(t, good, err == nil, "%s: %v", body, err)
	}
}

func FuzzStrictJSON(f *testing.F) {
	f.Add([]byte(`{"a":[1,{"b":"c"}],"d":null}`))
	f.Add([]byte(`]}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		var strict, lax any
		if problem.StrictJSON().Unmarshal(body, &strict) == nil {
			require.NoError(t, huma.DefaultJSONFormat.Unmarshal(body, &lax))
			require.Equal(t, lax, strict)
		}
	})
}
