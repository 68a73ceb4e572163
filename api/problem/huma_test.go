package problem_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/stretchr/testify/require"

	"tallyd/api/problem"
)

// What a handler did not foresee is a fault, or, when the time was up, a 503.
// The cause stays with the trail.
func TestUnforeseen(t *testing.T) {
	t.Parallel()
	cause := errors.New("password=hunter2")
	mux := http.NewServeMux()
	cfg := huma.DefaultConfig("test", "1")
	problem.Install(&cfg)
	api := humago.New(mux, cfg)
	api.UseMiddleware(problem.Middleware)
	huma.Get(api, "/", func(context.Context, *struct{}) (*struct{}, error) { return nil, cause })

	late, cancel := context.WithCancel(t.Context())
	cancel()
	for status, ctx := range map[int]context.Context{http.StatusInternalServerError: t.Context(), http.StatusServiceUnavailable: late} {
		trail := &problem.Trail{}
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, httptest.NewRequestWithContext(problem.WithTrail(ctx, trail), http.MethodGet, "/", nil))
		require.Equal(t, status, w.Code)
		require.NotContains(t, w.Body.String(), "hunter2")
		require.ErrorContains(t, trail.Cause, "hunter2")
	}
}
