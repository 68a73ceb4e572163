package keys_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"tallyd/api"
	"tallyd/api/access"
	"tallyd/api/keys"
	"tallyd/chains"
	"tallyd/indexer"
	"tallyd/migrations"
	"tallyd/store"
	"tallyd/store/embedded"
	"tallyd/store/secret"
)

const (
	master = "the-master-key-of-this-test"
	pepper = "pepper of the tests"
	later  = "2099-12-31T23:59:59Z"
)

// noChains is a daemon that follows nothing.
type noChains struct{}

func (noChains) ChainStatuses(context.Context) ([]indexer.ChainStatus, error) { return nil, nil }

func newDatabase(t testing.TB) string {
	t.Helper()
	digest := sha256.New()
	names, err := fs.Glob(migrations.Files, "*.sql")
	require.NoError(t, err)
	for _, name := range names {
		text, err := migrations.Files.ReadFile(name)
		require.NoError(t, err)
		digest.Write(text)
	}
	return embedded.TestDatabaseFrom(t, "keys"+hex.EncodeToString(digest.Sum(nil)), func(ctx context.Context, url string) error {
		_, err := store.Migrate(ctx, store.Options{URL: url, Log: zerolog.Nop()})
		return err
	})
}

// house is a daemon's secrets.
type house struct {
	database string
	keyset   string
	pepper   string
	accepted []access.Pepper
}

func newHouse(t testing.TB) house {
	t.Helper()
	keyset, err := secret.New()
	require.NoError(t, err)
	return house{database: newDatabase(t), keyset: keyset, pepper: pepper}
}

// desk is the API over a store, in one daemon.
type desk struct {
	*testing.T
	*store.Store
	gate *access.Gate
	url  string
}

func newDesk(t *testing.T, h house) *desk {
	t.Helper()
	secrets, err := secret.Parse(h.keyset)
	require.NoError(t, err)
	d := &desk{T: t}
	d.Store, err = store.Open(t.Context(), store.Options{URL: h.database, Secrets: secrets, Log: zerolog.Nop()})
	require.NoError(t, err)
	t.Cleanup(d.Close)
	tokens, err := access.NewTokens(bytes.Repeat([]byte{7}, 32), nil)
	require.NoError(t, err)
	d.gate, err = access.NewGate(access.Config{
		Keys: d.Store, Changed: d.Store, Requests: d.Store, Replays: d.Store, Tokens: tokens, Master: master,
		Pepper: access.Pepper(h.pepper), Accepted: h.accepted, Environment: chains.Test,
	})
	require.NoError(t, err)
	router, err := api.New(api.Config{
		Log: zerolog.Nop(), Gate: d.gate, Events: d.Store, Chains: noChains{}, Store: d.Store, Metrics: prometheus.NewRegistry(),
	})
	require.NoError(t, err)
	keys.Mount(router.Operations(), keys.Config{Gate: d.gate, Keys: d.Store, Tenants: d.Store, Audit: d.Store, Pepper: access.Pepper(h.pepper)})
	server := httptest.NewUnstartedServer(router)
	server.Config = api.NewServer(router, zerolog.Nop())
	server.Start()
	t.Cleanup(server.Close)
	d.url = server.URL
	return d
}

// answer is one answer with its body read.
type answer struct {
	status int
	header http.Header
	raw    string
}

// json returns a member of the body.
func (a answer) json(t testing.TB, path ...any) any {
	t.Helper()
	decoder := json.NewDecoder(strings.NewReader(a.raw))
	decoder.UseNumber()
	var v any
	require.NoError(t, decoder.Decode(&v), a.raw)
	for _, step := range path {
		switch step := step.(type) {
		case string:
			require.IsType(t, map[string]any{}, v, a.raw)
			v = v.(map[string]any)[step]
		case int:
			require.IsType(t, []any{}, v, a.raw)
			require.Less(t, step, len(v.([]any)), a.raw)
			v = v.([]any)[step]
		}
	}
	return v
}

func (a answer) text(t testing.TB, path ...any) string {
	t.Helper()
	text, ok := a.json(t, path...).(string)
	require.True(t, ok, "%v in %s", path, a.raw)
	return text
}

func (d *desk) send(request *http.Request) answer {
	d.Helper()
	response, err := http.DefaultClient.Do(request)
	require.NoError(d, err)
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	require.NoError(d, err)
	return answer{status: response.StatusCode, header: response.Header, raw: string(raw)}
}

// call makes one request with a key. Headers come as name, value pairs.
func (d *desk) call(key, method, path, body string, headers ...string) answer {
	d.Helper()
	request, err := http.NewRequestWithContext(d.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d, err)
	if key != "" {
		request.Header.Set("X-API-Key", key)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i < len(headers); i += 2 {
		request.Header.Set(headers[i], headers[i+1])
	}
	return d.send(request)
}

// signed makes one request signed with a key's secret.
func (d *desk) signed(key, secret, method, path, body string) answer {
	d.Helper()
	request, err := http.NewRequestWithContext(d.Context(), method, d.url+path, strings.NewReader(body))
	require.NoError(d, err)
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	access.Sign(request, key, secret, []byte(body), time.Now())
	return d.send(request)
}

// create makes a key by another and returns the answer, which must be 201. More
// is members of the body.
func (d *desk) create(by, owner, scopes, more string) answer {
	d.Helper()
	made := d.call(by, "POST", "/v1/api-keys", body(owner, scopes, more))
	require.Equal(d, http.StatusCreated, made.status, made.raw)
	return made
}

func body(owner, scopes, more string) string {
	list, err := json.Marshal(strings.Split(scopes, " "))
	if err != nil {
		panic(err)
	}
	return `{"name":"n","owner":"` + owner + `","scopes":` + string(list) + more + `}`
}
