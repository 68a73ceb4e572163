package store_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
	"tallyd/store"
)

// BenchmarkClaimBesideBacklog looks for deliveries while an endpoint that keeps the
// order of resources has 10 000 waiting for one that is not taken.
func BenchmarkClaimBesideBacklog(b *testing.B) {
	q := newQueue(b, store.Options{})
	_, err := q.ChangeEndpoint(b.Context(), q.realm, q.endpoint.ID, func(e *webhook.Endpoint) error {
		e.Ordered = true
		return nil
	})
	require.NoError(b, err)
	q.happen(10_000)
	q.fanOut()
	head := q.claim(0)
	head[0].State, head[0].Rung, head[0].Wait = webhook.Waiting, 1, time.Hour
	q.complete(head)
	q.exec(`ANALYZE deliveries`)
	for b.Loop() {
		require.Empty(b, q.claim(1))
	}
}
