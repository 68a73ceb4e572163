package access

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"

	"tallyd/api/problem"
)

// legibleRule says what a text must be that is compared with what Postgres holds.
const legibleRule = "expected UTF-8 without NUL"

var pathValue = regexp.MustCompile(`\{(\w+)(?:\.\.\.)?\}`)

// legible lets a request through whose path and query are texts: Postgres holds no
// others, so that there is nothing one could name. Bodies are held to the same where
// they are read.
func legible(ctx huma.Context, next func(huma.Context)) {
	if p := illegible(ctx); p != nil {
		problem.Answer(ctx, p)
		return
	}
	next(ctx)
}

// illegible returns the problem of a request that is not legible, or nil.
func illegible(ctx huma.Context) *problem.Problem {
	at := ctx.URL()
	if !isText(at.Path) {
		for _, name := range pathValue.FindAllStringSubmatch(ctx.Operation().Path, -1) {
			if !isText(ctx.Param(name[1])) {
				return problem.Invalid(name[1], legibleRule)
			}
		}
		return notText()
	}
	// Most queries hold nothing that is written in another way than it is meant.
	if !strings.Contains(at.RawQuery, "%") && isText(at.RawQuery) {
		return nil
	}
	query, _ := url.ParseQuery(at.RawQuery) // what cannot be read at all is passed over by everybody
	for name, values := range query {
		if !isText(name) {
			return notText()
		}
		for _, value := range values {
			if !isText(value) {
				return problem.Invalid(name, legibleRule)
			}
		}
	}
	return nil
}

func isText(s string) bool { return utf8.ValidString(s) && !strings.Contains(s, "\x00") }

func notText() *problem.Problem {
	return problem.New(http.StatusBadRequest, problem.InvalidInput, "the path or the query is not a text: "+legibleRule).
		Field("", legibleRule)
}
