package access_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"tallyd/api/access"
	"tallyd/api/problem"
)

// An operation that asks others does so before its transaction begins, and writes
// within it; what goes wrong is written down wherever it does.
func TestAhead(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	_, text := h.issue()
	var order []string
	within := func(ctx context.Context) string {
		if ctx.Value(inRequest{}) != nil {
			return " within"
		}
		return " ahead"
	}
	var refusal error
	h.ask = func(ctx context.Context) (string, error) {
		order = append(order, "ask"+within(ctx))
		require.Equal(t, "acme", access.From(ctx).Realm.Tenant)
		return "/found", refusal
	}
	h.do = func(ctx context.Context) error {
		order = append(order, "keep"+within(ctx))
		return nil
	}
	post := func(body string, headers ...string) answer {
		return h.call("POST", "/asked", body, append([]string{"X-API-Key", text}, headers...)...)
	}
	a := post(good)
	require.Equal(t, http.StatusOK, a.Code, "%s", a.Body)
	require.Equal(t, "/found", a.Header().Get("Location"))
	require.Equal(t, []string{"ask ahead", "keep within"}, order)

	// What was carried out is not asked for again, nor is what another body had.
	order = nil
	first := post(good, "Idempotency-Key", "k")
	again := post(good, "Idempotency-Key", "k")
	require.Equal(t, "true", again.Header().Get("Idempotency-Replayed"))
	require.Equal(t, first.Body.String(), again.Body.String())
	requireRefused(t, post(`{"name":"m"}`, "Idempotency-Key", "k"), 400, problem.IdempotencyReused, "The Idempotency-Key was used with another body")
	require.Equal(t, []string{"ask ahead", "keep within"}, order)

	// Refusals of either half, and of the input before both.
	order = nil
	h.log()
	require.Equal(t, http.StatusBadRequest, post(`{"name":7}`).Code)
	require.Empty(t, order)
	refusal = problem.New(http.StatusBadGateway, problem.Unavailable, "no")
	requireRefused(t, post(good, "Idempotency-Key", "l"), 502, problem.Unavailable, "no")
	refusal = errors.New("hidden")
	require.NotContains(t, post(good).Body.String(), "hidden")
	require.Equal(t, []string{"ask ahead", "ask ahead"}, order)
	refusal = nil
	require.Equal(t, http.StatusOK, post(good, "Idempotency-Key", "l").Code, "a refusal is not kept")
	h.do = func(context.Context) error { return problem.Missing() }
	require.Equal(t, http.StatusNotFound, post(good).Code)
	var statuses []int
	for _, entry := range h.log() {
		statuses = append(statuses, entry.Status)
	}
	require.Equal(t, []int{400, 502, 500, 200, 404}, statuses)
}

// Without its rule an operation in two halves does nothing.
func TestAheadNeedsItsRule(t *testing.T) {
	t.Parallel()
	_, err := access.InTwo(t.Context(), func(context.Context) (string, error) { panic("asked") },
		func(context.Context, string) (*struct{}, error) { panic("kept") })
	require.ErrorContains(t, err, "Ahead")
}
