package webhook_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/require"

	"tallyd/api/webhook"
)

// Everything that happens arrives once, in a form that the libraries of others
// accept. What happened before the endpoint was made does not.
func TestDelivery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.happen("transfer.pending", "before the endpoint")
	in := newInbox(t, nil)
	e, secret := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", many(200)...)
	b.dispatch(nil)
	b.settled(e, webhook.Delivered, 200)
	require.Equal(t, 200, in.verify(t, secret))
	require.Equal(t, 200, in.distinct())

	verifier, err := standardwebhooks.NewWebhook(secret)
	require.NoError(t, err)
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	require.NoError(t, err)
	for _, l := range in.all() {
		require.NoError(t, verifier.Verify(l.body, l.headers))
		mac := hmac.New(sha256.New, key)
		mac.Write(l.body)
		require.Equal(t, "sha256="+hex.EncodeToString(mac.Sum(nil)), l.headers.Get("X-Webhook-Signature"))
		require.Equal(t, "tallyd/test", l.headers.Get("User-Agent"))
		require.Equal(t, "application/json", l.headers.Get("Content-Type"))
		require.Equal(t, l.ID.String(), l.headers.Get("Webhook-Id"))
		require.Equal(t, "transfer.confirmed", l.Type)
		require.Equal(t, "test", l.Environment)
		require.Greater(t, l.Sequence, int64(1))
		require.Contains(t, string(l.Data), `"115792089237316195423570985008687907853269984665640564039457584007913129639935"`)
	}
}

// An event goes to the endpoints whose filter lets it through.
func TestFilters(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	filter := func(entries ...string) func(*webhook.Endpoint) {
		return func(e *webhook.Endpoint) { e.Events = entries }
	}
	all, some, one := newInbox(t, nil), newInbox(t, nil), newInbox(t, nil)
	toAll, _ := b.endpoint(all.url, nil)
	toSome, _ := b.endpoint(some.url, filter("account.synced", "transfer.*"))
	toOne, _ := b.endpoint(one.url, filter("transfer.confirmed"))
	for _, kind := range []string{"transfer.confirmed", "transfer.orphaned", "account.synced", "chain.degraded", "transferred.not"} {
		b.happen(kind, "a")
		require.Equal(t, kind == "transfer.confirmed", webhook.Wants(toOne.Events, kind))
		require.Equal(t, strings.HasPrefix(kind, "transfer.") || kind == "account.synced", webhook.Wants(toSome.Events, kind))
	}
	b.dispatch(nil)
	b.settled(toAll, webhook.Delivered, 5)
	b.settled(toSome, webhook.Delivered, 3)
	b.settled(toOne, webhook.Delivered, 1)
}

// A test event goes to the endpoint it names, whatever its filter.
func TestTestEvent(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in, other := newInbox(t, nil), newInbox(t, nil)
	e, secret := b.endpoint(in.url, func(e *webhook.Endpoint) { e.Events = []string{"account.synced"} })
	beside, _ := b.endpoint(other.url, nil)
	id, err := b.SendTest(t.Context(), realm, e.ID)
	require.NoError(t, err)
	b.numbered()
	b.happen("transfer.confirmed", "a")
	b.dispatch(nil)
	b.settled(e, webhook.Delivered, 1)
	b.settled(beside, webhook.Delivered, 1)
	require.Equal(t, 1, in.verify(t, secret))
	require.Equal(t, id, in.all()[0].ID)
	require.Equal(t, webhook.TypeTest, in.all()[0].Type)
	require.Equal(t, "transfer.confirmed", other.all()[0].Type)
}

// What is not taken is tried again on the first rung, and both attempts are kept.
func TestRetry(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	in := newInbox(t, func(w http.ResponseWriter, _ letter) {
		select {
		case <-first:
			w.Header().Set("Set-Cookie", "session=abc")
			w.Header().Set("X-Note", "try later")
			w.WriteHeader(http.StatusInternalServerError)
			_, _ = io.WriteString(w, "no")
		default:
		}
	})
	e, secret := b.endpoint(in.url, nil)
	b.happen("transfer.confirmed", "a")
	b.dispatch(nil)
	began := time.Now()
	b.settled(e, webhook.Retrying, 1)
	b.settled(e, webhook.Delivered, 1)
	require.Greater(t, time.Since(began), 3*time.Second)
	require.Equal(t, 2, in.verify(t, secret))
	letters := in.all()
	require.Equal(t, letters[0].body, letters[1].body, "the same bytes at every attempt")

	list, tries := b.attempts(e)
	require.Equal(t, 2, list.Attempts)
	require.Len(t, tries, 2)
	require.Equal(t, http.StatusInternalServerError, tries[0].Status)
	require.Equal(t, "no", string(tries[0].Body))
	require.Equal(t, "answered 500", tries[0].Error)
	require.Contains(t, string(tries[0].Headers), "try later")
	require.NotContains(t, string(tries[0].Headers), "abc", "secrets are redacted")
	require.Empty(t, tries[1].Error)
	require.Equal(t, http.StatusOK, tries[1].Status)
}

// attempts returns the only delivery of an endpoint, with its attempts.
func (b *bench) attempts(e webhook.Endpoint) (webhook.Delivery, []webhook.Attempt) {
	b.Helper()
	list, err := b.Deliveries(b.Context(), realm, e.ID, webhook.DeliveryFilter{Limit: 10})
	require.NoError(b, err)
	require.Len(b, list, 1)
	tries, err := b.Attempts(b.Context(), realm, e.ID, list[0].Seq)
	require.NoError(b, err)
	return list[0], tries
}

// While a secret is being replaced both sign, and either one verifies; after an
// overlap of nothing only the new one does.
func TestRotation(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := newInbox(t, nil)
	e, old := b.endpoint(in.url, nil)
	b.dispatch(nil)
	next, last := webhook.NewKey(), webhook.NewKey()

	require.NoError(t, b.RotateSecret(t.Context(), realm, e.ID, next, time.Hour))
	b.happen("transfer.confirmed", "a")
	b.settled(e, webhook.Delivered, 1)
	require.Equal(t, 1, in.verify(t, old))
	require.Equal(t, 1, in.verify(t, webhook.Text(next)))

	require.NoError(t, b.RotateSecret(t.Context(), realm, e.ID, last, 0))
	b.happen("transfer.confirmed", "b")
	b.settled(e, webhook.Delivered, 2)
	newest := &inbox{letters: in.all()[1:]}
	require.Equal(t, 1, newest.verify(t, webhook.Text(last)))
	require.Len(t, strings.Fields(newest.all()[0].headers.Get("Webhook-Signature")), 1)

	for range webhook.MaxSecrets - 1 {
		require.NoError(t, b.RotateSecret(t.Context(), realm, e.ID, webhook.NewKey(), time.Hour))
	}
	require.ErrorIs(t, b.RotateSecret(t.Context(), realm, e.ID, webhook.NewKey(), time.Hour), webhook.ErrSecrets)
	b.happen("transfer.confirmed", "c")
	b.settled(e, webhook.Delivered, 3)
	newest.letters = in.all()[2:]
	require.Equal(t, 1, newest.verify(t, webhook.Text(last)), "the oldest of ten is in force still")
}

// A later event of a resource waits until the earlier one is done; those of other
// resources do not.
func TestOrderByResource(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	stumbled := make(chan struct{}, 1)
	in := newInbox(t, func(w http.ResponseWriter, l letter) {
		if l.ResourceID != "a" {
			return
		}
		select {
		case stumbled <- struct{}{}:
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
		}
	})
	e, _ := b.endpoint(in.url, func(e *webhook.Endpoint) { e.Ordered = true })
	b.happen("transfer.confirmed", "a", "b", "a", "b", "a", "b", "c")
	b.dispatch(nil)
	b.settled(e, webhook.Delivered, 4)
	require.Equal(t, map[webhook.State]int{webhook.Delivered: 4, webhook.Retrying: 1, webhook.Waiting: 2}, b.states(e))
	b.settled(e, webhook.Delivered, 7)
	order := map[string][]int64{}
	for _, l := range in.all() {
		order[l.ResourceID] = append(order[l.ResourceID], l.Sequence)
	}
	require.Equal(t, map[string][]int64{"a": {1, 1, 3, 5}, "b": {2, 4, 6}, "c": {7}}, order)
}

// Events are kept while an endpoint is disabled, and sent when it is enabled.
func TestDisabledEndpoint(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	in := newInbox(t, nil)
	e, _ := b.endpoint(in.url, nil)
	b.change(e, func(e *webhook.Endpoint) { e.Disable(webhook.DisabledByCaller, time.Now()) })
	b.happen("transfer.confirmed", many(50)...)
	b.dispatch(nil)
	b.settled(e, webhook.Waiting, 50)
	require.Empty(t, in.all())
	b.change(e, (*webhook.Endpoint).Enable)
	b.settled(e, webhook.Delivered, 50)
}

// change changes an endpoint.
func (b *bench) change(e webhook.Endpoint, edit func(*webhook.Endpoint)) webhook.Endpoint {
	b.Helper()
	changed, err := b.ChangeEndpoint(b.Context(), realm, e.ID, func(e *webhook.Endpoint) error {
		edit(e)
		return nil
	})
	require.NoError(b, err)
	return changed
}

// What was delivered can be sent again, with the same id; what was missed can be
// recovered: what failed, and what was never meant for the endpoint until now.
func TestRecovery(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	began := time.Now().Add(-time.Minute)
	b.happen("account.synced", "before the endpoint")
	in := newInbox(t, nil)
	e, _ := b.endpoint(in.url, func(e *webhook.Endpoint) { e.Events = []string{"transfer.*"} })
	b.happen("transfer.confirmed", "a", "b")
	b.happen("account.synced", "c")
	b.dispatch(nil)
	b.settled(e, webhook.Delivered, 2)

	first := in.all()[0]
	queued, err := b.Resend(t.Context(), realm, e.ID, first.ID)
	require.NoError(t, err)
	require.Equal(t, int64(1), queued)
	eventually(t, "sent again", func() bool { return len(in.all()) == 3 })
	again := in.all()[2]
	require.Equal(t, first.ID, again.ID)
	require.Equal(t, first.body, again.body)
	b.settled(e, webhook.Delivered, 2)

	queued, err = b.Recover(t.Context(), realm, e.ID, began)
	require.NoError(t, err)
	require.Zero(t, queued, "nothing was missed")
	b.change(e, func(e *webhook.Endpoint) { e.Events = nil })
	queued, err = b.Recover(t.Context(), realm, e.ID, began)
	require.NoError(t, err)
	require.Equal(t, int64(2), queued)
	b.settled(e, webhook.Delivered, 4)
	require.Equal(t, 4, in.distinct())
}
