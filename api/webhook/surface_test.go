package webhook_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/webhook"
	"tallyd/chains/guard"
	"tallyd/indexer"
)

const master = "the-master-key-of-this-test"

// noChains is a daemon that follows nothing.
type noChains struct{}

func (noChains) ChainStatuses(context.Context) ([]indexer.ChainStatus, error) { return nil, nil }

// walletData is what another surface says of a type that this one has too.
type walletData struct {
	WalletID string `json:"walletId"`
}

// desk is the API over a bench.
type desk struct {
	*bench
	url    string
	stream *webhook.Stream
}

func newDesk(t *testing.T) *desk {
	t.Helper()
	d := &desk{bench: newBench(t)}
	tokens, err := access.NewTokens(bytes.Repeat([]byte{7}, 32), nil)
	require.NoError(t, err)
	gate, err := access.NewGate(access.Config{
		Keys: d.Store, Changed: d.Store, Requests: d.Store, Replays: d.Store,
		Pepper: access.Pepper("0123456789abcdef"), Tokens: tokens, Master: master, Environment: realm.Environment,
	})
	require.NoError(t, err)
	router, err := api.New(api.Config{
		Log: zerolog.Nop(), Gate: gate, Events: d.Store, Chains: noChains{}, Store: d.Store, Metrics: prometheus.NewRegistry(),
		Streams: []string{webhook.StreamPath},
	})
	require.NoError(t, err)
	rules := guard.New(guard.Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
	types := append(webhook.Types(), webhook.EventType{Name: "balance.updated", Summary: "A wallet changed.", Data: reflect.TypeFor[walletData]()})
	webhook.Mount(router.Operations(), webhook.SurfaceConfig{
		Gate: gate, Endpoints: d.Store, Deliveries: d.Store, Types: types, Agent: "tallyd/test", Keep: logKept, AllowHTTP: true, Check: rules.Check,
	})
	d.stream = webhook.NewStream(d.Store)
	d.stream.Mount(router.Operations(), gate, types)
	server := httptest.NewUnstartedServer(router)
	server.Config = api.NewServer(router, zerolog.Nop())
	server.Start()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = d.stream.Run(ctx, zerolog.Nop())
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
		server.Close()
	})
	d.url = server.URL
	return d
}

// call makes one request and returns status and body.
func (d *desk) call(method, path, body string, headers ...string) (int, map[string]any) {
	d.Helper()
	request, err := http.NewRequestWithContext(d.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d, err)
	request.Header.Set("X-API-Key", master)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	response, err := http.DefaultClient.Do(request)
	require.NoError(d, err)
	defer response.Body.Close()
	defer http.DefaultClient.CloseIdleConnections()
	text, err := io.ReadAll(response.Body)
	require.NoError(d, err)
	answer := map[string]any{}
	if len(text) > 0 {
		require.NoError(d, json.Unmarshal(text, &answer), "%s", text)
	}
	return response.StatusCode, answer
}

// The one webhook of a tenant, as custody backends know it.
func TestOutbound(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	status, answer := d.call(http.MethodGet, "/webhooks/outbound", "")
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, map[string]any{"url": nil, "signingSecret": nil, "subscribedEventTypes": []any{}, "isConfigured": false}, answer)

	status, answer = d.call(http.MethodPut, "/webhooks/outbound", `{"url":"https://example.com/a"}`)
	require.Equal(t, http.StatusOK, status, answer)
	first := answer["signingSecret"].(string)
	require.True(t, strings.HasPrefix(first, "whsec_"))
	require.Equal(t, true, answer["isConfigured"])
	require.Contains(t, answer["subscribedEventTypes"], "transfer.confirmed")
	types := answer["subscribedEventTypes"].([]any)
	require.Len(t, slices.CompactFunc(types, func(a, b any) bool { return a == b }), len(types), "each type once")

	_, answer = d.call(http.MethodPut, "/v1/webhooks/outbound", `{"url":"https://example.com/a"}`)
	require.Nil(t, answer["signingSecret"], "the same URL keeps its secret")
	_, answer = d.call(http.MethodPut, "/webhooks/outbound", `{"url":"https://example.com/b"}`)
	require.NotNil(t, answer["signingSecret"])
	require.NotEqual(t, first, answer["signingSecret"])
	_, answer = d.call(http.MethodGet, "/v1/webhooks/outbound", "")
	require.Nil(t, answer["signingSecret"])
	require.Equal(t, "https://example.com/b", answer["url"])

	_, list := d.call(http.MethodGet, "/v1/webhooks/endpoints", "")
	require.Len(t, list["endpoints"], 1)
	require.NotContains(t, list["endpoints"].([]any)[0], "secret")
	path := "/v1/webhooks/endpoints/" + list["endpoints"].([]any)[0].(map[string]any)["id"].(string)
	status, answer = d.call(http.MethodPatch, path, `{"url":"https://example.com/c"}`)
	require.Equal(t, http.StatusBadRequest, status, "another URL gets another secret")
	require.Contains(t, answer["errors"], "url")
	status, _ = d.call(http.MethodPatch, path, `{"url":"https://example.com/b","events":["transfer.*"]}`)
	require.Equal(t, http.StatusOK, status)
	_, answer = d.call(http.MethodGet, "/webhooks/outbound", "")
	require.Contains(t, answer["subscribedEventTypes"], "transfer.confirmed")
	require.NotContains(t, answer["subscribedEventTypes"], "account.synced")
	status, _ = d.call(http.MethodGet, "/webhooks/outbound", "", "X-Environment", "live")
	require.Equal(t, http.StatusOK, status)
}

// Endpoints page by page.
func TestEndpointPages(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	const path = "/v1/webhooks/endpoints"
	var ids []string
	for range 5 {
		_, made := d.call(http.MethodPost, path, `{"url":"https://example.com/"}`)
		ids = append(ids, made["id"].(string))
	}
	list := func(query string) (found []string, next string) {
		status, answer := d.call(http.MethodGet, path+query, "")
		require.Equal(t, http.StatusOK, status, answer)
		for _, e := range answer["endpoints"].([]any) {
			found = append(found, e.(map[string]any)["id"].(string))
		}
		next, _ = answer["next"].(string)
		return found, next
	}
	found, next := list("")
	require.Equal(t, ids, found, "who asks for no pages gets a long one")
	require.Empty(t, next)
	var paged []string
	for query := "?limit=2"; ; query = "?limit=2&after=" + next {
		found, next = list(query)
		require.LessOrEqual(t, len(found), 2)
		if paged = append(paged, found...); next == "" {
			break
		}
	}
	require.Equal(t, ids, paged)
	found, next = list("?limit=5")
	require.Len(t, found, 5)
	require.Empty(t, next, "nothing is behind it")

	status, _ := d.call(http.MethodDelete, path+"/"+ids[1], "")
	require.Equal(t, http.StatusNoContent, status)
	found, _ = list("?after=" + ids[1])
	require.Equal(t, ids[2:], found, "one that was deleted meanwhile is a place yet")
	for _, bad := range []string{"x", "00000000-0000-0000-0000-000000000001"} {
		status, answer := d.call(http.MethodGet, path+"?after="+bad, "")
		require.Equal(t, http.StatusBadRequest, status)
		require.Contains(t, answer["errors"], "after")
	}
	status, _ = d.call(http.MethodGet, path+"?after="+ids[0], "", "X-Environment", "live")
	require.Equal(t, http.StatusBadRequest, status, "it is another realm's")
}

func TestURLs(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	for url, allowed := range map[string]bool{
		"https://example.com/hooks?x=1": true,
		"https://1.1.1.1/":              true,
		"http://127.0.0.1:9999/":        true, // the desk allows loopback and http
		"":                              false,
		"example.com":                   false,
		"/hooks":                        false,
		"ftp://example.com/":            false,
		"https://user:pw@example.com/":  false,
		"https://example.com/#part":     false,
		"https://":                      false,
		"https://10.0.0.1/":             false,
		"https://169.254.169.254/":      false,
		"https://[::1]/":                false,
		"https://[::ffff:10.0.0.1]/":    false,
		"https://1.1.1.1:22/":           false,
		"https://example.com/" + strings.Repeat("x", 2048): false,
	} {
		body, err := json.Marshal(map[string]string{"url": url})
		require.NoError(t, err)
		status, answer := d.call(http.MethodPost, "/v1/webhooks/endpoints", string(body))
		if allowed {
			require.Equal(t, http.StatusCreated, status, url)
			continue
		}
		require.Equal(t, http.StatusBadRequest, status, url)
		require.Contains(t, answer["errors"], "url")
	}
}

// An endpoint through its life, with everything its owner can do to it.
func TestEndpointLife(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	in := newInbox(t, nil)
	status, made := d.call(http.MethodPost, "/v1/webhooks/endpoints", `{"url":"`+in.url+`","description":"mine","events":["account.*"],"ordered_by_resource":true}`)
	require.Equal(t, http.StatusCreated, status, made)
	secret, path := made["secret"].(string), "/v1/webhooks/endpoints/"+made["id"].(string)
	require.EqualValues(t, 16, made["concurrency"])
	require.Equal(t, "active", made["state"])

	for _, bad := range []string{`{"events":["nothing.*"]}`, `{"events":["*"]}`, `{"events":["transfer.*.x"]}`, `{"concurrency":0}`, `{"concurrency":257}`, `{"url":"ftp://x"}`} {
		status, answer := d.call(http.MethodPatch, path, bad)
		require.Equal(t, http.StatusBadRequest, status, answer)
	}
	status, changed := d.call(http.MethodPatch, path, `{"events":["transfer.*"],"concurrency":4}`)
	require.Equal(t, http.StatusOK, status, changed)
	require.Equal(t, []any{"transfer.*"}, changed["events"])
	require.Equal(t, "mine", changed["description"], "what is not named stays")

	_, disabled := d.call(http.MethodPost, path+"/disable", "")
	require.Equal(t, "disabled", disabled["state"])
	require.Equal(t, "caller", disabled["disabled_reason"])
	d.dispatch(nil)
	d.happen("transfer.confirmed", "a", "b")
	d.happen("account.synced", "c")
	eventually(t, "two wait", func() bool {
		_, list := d.call(http.MethodGet, "/v1/webhooks/endpoints", "")
		return list["endpoints"].([]any)[0].(map[string]any)["waiting"] == float64(2)
	})
	_, enabled := d.call(http.MethodPost, path+"/enable", "")
	require.Equal(t, "active", enabled["state"])
	status, test := d.call(http.MethodPost, path+"/test", "")
	require.Equal(t, http.StatusAccepted, status)
	d.numbered()
	eventually(t, "all delivered", func() bool {
		_, list := d.call(http.MethodGet, path+"/deliveries?state=delivered", "")
		return len(list["deliveries"].([]any)) == 3
	})
	require.Equal(t, 3, in.verify(t, secret))

	_, page := d.call(http.MethodGet, path+"/deliveries?limit=2", "")
	require.Len(t, page["deliveries"], 2)
	require.Equal(t, test["event_id"], page["deliveries"].([]any)[0].(map[string]any)["event_id"], "newest first")
	next, err := json.Marshal(page["next"])
	require.NoError(t, err)
	_, page = d.call(http.MethodGet, path+"/deliveries?limit=2&before="+string(next), "")
	require.Len(t, page["deliveries"], 1)
	require.Nil(t, page["next"])
	_, page = d.call(http.MethodGet, path+"/deliveries?resource_id=b&type=transfer.confirmed", "")
	event := page["deliveries"].([]any)[0].(map[string]any)["event_id"].(string)

	status, one := d.call(http.MethodGet, path+"/deliveries/"+event, "")
	require.Equal(t, http.StatusOK, status)
	try := one["log"].([]any)[0].(map[string]any)
	require.EqualValues(t, http.StatusOK, try["response"].(map[string]any)["status"])
	require.Equal(t, "redacted", try["request"].(map[string]any)["headers"].(map[string]any)["Webhook-Signature"])
	require.Equal(t, event, try["request"].(map[string]any)["headers"].(map[string]any)["Webhook-Id"])

	status, _ = d.call(http.MethodPost, path+"/deliveries/"+event+"/resend", "")
	require.Equal(t, http.StatusAccepted, status)
	eventually(t, "sent again, and written down", func() bool {
		_, list := d.call(http.MethodGet, path+"/deliveries?state=delivered", "")
		return len(in.all()) == 4 && len(list["deliveries"].([]any)) == 3
	})
	status, queued := d.call(http.MethodPost, path+"/recover", since(logKept-time.Minute))
	require.Equal(t, http.StatusAccepted, status)
	require.EqualValues(t, 0, queued["queued"])
	status, refusal := d.call(http.MethodPost, path+"/recover", since(logKept+time.Minute))
	require.Equal(t, http.StatusBadRequest, status)
	require.Contains(t, refusal["errors"], "since")

	status, rotated := d.call(http.MethodPost, path+"/secret/rotate", "")
	require.Equal(t, http.StatusOK, status, rotated)
	require.NotEqual(t, secret, rotated["secret"])
	status, _ = d.call(http.MethodPost, path+"/secret/rotate", `{"overlap_seconds":0}`)
	require.Equal(t, http.StatusOK, status)

	status, _ = d.call(http.MethodDelete, path, "")
	require.Equal(t, http.StatusNoContent, status)
	for _, gone := range []string{"", "/deliveries", "/deliveries/" + event} {
		status, _ = d.call(http.MethodGet, path+gone, "")
		require.Equal(t, http.StatusNotFound, status)
	}
}

// Another realm's endpoint is not there, whatever is asked of it.
func TestOtherRealm(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	e, _ := d.endpoint("https://example.com/", nil)
	d.happen("transfer.confirmed", "a")
	event := d.eventID()
	path := "/v1/webhooks/endpoints/" + e.ID.String()
	for _, call := range [][3]string{
		{"GET", ""},
		{"PATCH", "", `{"description":"x"}`},
		{"DELETE", ""},
		{"POST", "/secret/rotate"},
		{"POST", "/enable"},
		{"POST", "/disable"},
		{"POST", "/test"},
		{"GET", "/deliveries"},
		{"GET", "/deliveries/" + event},
		{"POST", "/deliveries/" + event + "/resend"},
		{"POST", "/recover", since(time.Hour)},
	} {
		status, _ := d.call(call[0], path+call[1], call[2], "X-Environment", "live")
		require.Equal(t, http.StatusNotFound, status, call)
	}
	status, _ := d.call(http.MethodGet, path, "")
	require.Equal(t, http.StatusOK, status)
}

// logKept is how long the log of deliveries goes back.
const logKept = 30 * 24 * time.Hour

// since is the body that asks for what was missed.
func since(ago time.Duration) string {
	return `{"since":"` + time.Now().Add(-ago).UTC().Format(time.RFC3339) + `"}`
}

func (d *desk) eventID() string {
	d.Helper()
	events, err := d.EventsAfter(d.Context(), realm, 0, 1)
	require.NoError(d, err)
	return events[0].ID.String()
}

// The document describes what is sent.
func TestDocument(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	_, doc := d.call(http.MethodGet, "/openapi.json", "")
	hooks := doc["webhooks"].(map[string]any)
	for _, kind := range append(webhook.Types(), webhook.EventType{Name: webhook.TypeTest}) {
		post := hooks[kind.Name].(map[string]any)["post"].(map[string]any)
		require.Len(t, post["parameters"], 4)
		require.NotNil(t, post["requestBody"])
	}
	require.Contains(t, doc["components"].(map[string]any)["schemas"], "WebhookMessage")
	// A type of two surfaces has what either says of it.
	balance, err := json.Marshal(hooks["balance.updated"])
	require.NoError(t, err)
	require.Regexp(t, `"data":\{"oneOf":\[\{"\$ref":"[^"]*enueBalanceData"\},\{"\$ref":"[^"]*alletData"\}\]\}`, string(balance))
	require.Contains(t, string(balance), "A wallet changed.")
}

// A stream begins where its reader was, tells of what happens, and stays open for
// longer than any answer may take.
func TestStream(t *testing.T) {
	t.Parallel()
	d := newDesk(t)
	d.happen("transfer.confirmed", "a", "b")
	d.happen("account.synced", "c")
	status, told := d.call(http.MethodGet, webhook.StreamPath+"?types=transfer.*,transfer.made", "")
	require.Equal(t, http.StatusBadRequest, status, "a stream of what does not exist would stay silent")
	require.Contains(t, told["errors"], "types")
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, d.url+webhook.StreamPath+"?types=transfer.*", nil)
	require.NoError(t, err)
	request.Header.Set("X-API-Key", master)
	request.Header.Set("Last-Event-ID", "1")
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	response, err := (&http.Client{Transport: transport}).Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	require.Equal(t, "text/event-stream", response.Header.Get("Content-Type"))

	lines := bufio.NewScanner(response.Body)
	next := func() (id string, message webhook.Message) {
		for lines.Scan() {
			name, value, _ := strings.Cut(lines.Text(), ": ")
			switch name {
			case "id":
				id = value
			case "data":
				require.NoError(t, json.Unmarshal([]byte(value), &message))
			}
			if lines.Text() == "" && id != "" {
				return id, message
			}
		}
		require.Fail(t, "the stream has ended")
		return "", message
	}
	id, message := next()
	require.Equal(t, "2", id)
	require.Equal(t, "b", message.ResourceID)
	// Of numbers that this process did not give it hears by itself.
	began := time.Now()
	d.happen("transfer.orphaned", "d")
	id, message = next()
	require.Equal(t, "4", id)
	require.Equal(t, "transfer.orphaned", message.Type)
	require.Less(t, time.Since(began), 10*time.Second)

	status, _ = d.call(http.MethodGet, webhook.StreamPath, "", "Last-Event-ID", "x")
	require.Equal(t, http.StatusBadRequest, status)
}
