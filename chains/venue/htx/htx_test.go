package htx_test

import (
	"net/http"
	"strings"
	"testing"

	"tallyd/chains/venue"
	"tallyd/chains/venue/htx"
	"tallyd/chains/venue/venuetest"
)

func login() map[string]string {
	return map[string]string{venue.FieldKey: "test-api-key", venue.FieldSecret: "test-api-secret"}
}

func TestVectors(t *testing.T) {
	t.Parallel()
	venuetest.Signer{Venue: htx.Venue(), Login: login(), Unsigned: func(_ venuetest.Vector, r *venue.Request) {
		var own []string
		for pair := range strings.SplitSeq(r.Query, "&") {
			if c := pair[0]; c >= 'a' && c <= 'z' {
				own = append(own, pair)
			}
		}
		r.Query = strings.Join(own, "&")
	}}.Vectors(t)
}

func TestFacts(t *testing.T) {
	t.Parallel()
	venuetest.Facts(t, htx.Venue(), login())
}

func TestConformance(t *testing.T) {
	t.Parallel()
	for name, falling := range map[string]bool{"Rising": false, "Falling": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			venuetest.Conformance(t, venuetest.Subject{
				Venue: htx.Venue(), Login: login(), Timed: true, Burst: 600,
				Handler: func(w *venuetest.World) http.Handler { return venuetest.HTX(w, falling) },
				Revoked: venuetest.Reply{Status: http.StatusOK, Body: `{"status":"error","err-code":"invalid-access-key","err-msg":"Access key does not exist","data":null}`},
				Slow:    venuetest.Reply{Status: http.StatusTooManyRequests, Body: `{"code":429,"message":"too many requests"}`},
			})
		})
	}
}
