package access_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"syscall"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api/access"
)

// BenchmarkBearer lets a warm bearer key in: who it is, its budget, its scope.
func BenchmarkBearer(b *testing.B) {
	h, _ := warm(b)
	_, text := h.issue()
	h.lets(b, h.request("GET", "/speed", "", "X-API-Key", text))
}

// BenchmarkSigned lets a warm signed key in, with a body of 56 bytes to be read.
func BenchmarkSigned(b *testing.B) {
	h, _ := warm(b)
	key, secret := h.issue(signed)
	h.lets(b, h.sign(key, secret, "GET", "/speed", `{"externalId":"cust_12345","name":"Alice Johnson and co"}`))
}

// BenchmarkUser lets a warm user token in.
func BenchmarkUser(b *testing.B) {
	h, token := warm(b)
	h.lets(b, h.request("GET", "/speed", "", "Authorization", "Bearer "+token))
}

// warm returns a house whose gate runs, and a user token.
func warm(b *testing.B) (*house, string) {
	b.Helper()
	h := newHouse(b, func(c *access.Config) { c.Limits = access.Limits{Other: access.MaxPerMinute} })
	ctx, cancel := context.WithCancel(b.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.gate.Run(ctx, zerolog.Nop())
	}()
	b.Cleanup(func() {
		cancel()
		<-ended
	})
	token, err := h.tokens.Issue(realm, [16]byte{1})
	require.NoError(b, err)
	return h, token
}

// lets measures what the gate alone costs a request.
func (h *house) lets(b *testing.B, r *http.Request) {
	b.Helper()
	op := h.gate.Guard(huma.Operation{Method: "GET", Path: "/speed"}, access.Rule{Surface: access.Own, Scope: "users:read", User: true}) //nolint:contextcheck // each request brings its own
	enter, in := op.Middlewares[0], 0
	w := httptest.NewRecorder()
	serve := func() {
		body := rewound(b, r)
		enter(humago.NewContext(&op, body, w), func(huma.Context) { in++ })
	}
	for deadline := time.Now().Add(10 * time.Second); ; {
		serve()
		if h.asked() == 0 {
			break // warm
		}
		require.True(b, time.Now().Before(deadline))
	}
	in = 0
	b.ReportAllocs()
	began := spent(b)
	for b.Loop() {
		serve()
	}
	// On a machine that does other things too, time is no measure of work.
	b.ReportMetric(float64(spent(b)-began)/float64(b.N), "cpu-ns/op")
	require.Equal(b, b.N, in)
	require.Zero(b, h.asked(), "a warm key costs no trip to the store")
}

// spent returns the CPU time of this process so far.
func spent(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// rewound returns the request with its body to be read again.
func rewound(b *testing.B, r *http.Request) *http.Request {
	b.Helper()
	if r.GetBody == nil {
		return r
	}
	body, err := r.GetBody()
	require.NoError(b, err)
	r.Body = body
	return r
}
