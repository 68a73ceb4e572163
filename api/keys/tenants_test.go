package keys_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTenants(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	made := d.call(master, "POST", "/v1/tenants", `{"id":"acme","name":"Acme Payments","meta_data":{"n":9007199254740993}}`)
	require.Equal(t, http.StatusCreated, made.status, made.raw)
	require.Contains(t, made.raw, `"meta_data":{"n":9007199254740993,"TALLYD_GENERATED_BY":"master"`)
	require.Equal(t, "master", made.text(t, "created_by"))
	again := d.call(master, "POST", "/v1/tenants", `{"id":"acme"}`)
	require.Equal(t, http.StatusConflict, again.status)
	require.Equal(t, "already_exists", again.text(t, "code"))
	for _, id := range []string{"", "Acme", "-a", "a b", strings.Repeat("a", 64)} {
		require.Equal(t, http.StatusBadRequest, d.call(master, "POST", "/v1/tenants", `{"id":"`+id+`"}`).status, id)
	}
	require.Equal(t, "initech", d.call(master, "POST", "/v1/tenants", `{"id":"initech"}`).text(t, "name"))
	list := d.call(master, "GET", "/v1/tenants", "")
	require.Len(t, list.json(t, "tenants"), 3)
	require.Equal(t, "default", list.text(t, "tenants", 0, "id"))
	require.Equal(t, "Acme Payments", list.text(t, "tenants", 1, "name"))
	require.Contains(t, list.raw, `{"n":9007199254740993,`)

	// What it may hold. Here no chain lists anything.
	require.Nil(t, made.json(t, "assets"), "all that is listed")
	for body, status := range map[string]int{
		`{"assets":[]}`: http.StatusOK, `{"assets":null}`: http.StatusOK, `{}`: http.StatusBadRequest, `{"assets":["eip155:1/slip44:60"]}`: http.StatusBadRequest,
	} {
		require.Equal(t, status, d.call(master, "PATCH", "/v1/tenants/acme", body).status, body)
	}
	require.Equal(t, []any{}, d.call(master, "PATCH", "/v1/tenants/acme", `{"assets":[]}`).json(t, "assets"))
	require.Equal(t, []any{}, d.call(master, "GET", "/v1/tenants", "").json(t, "tenants", 1, "assets"))
	require.Equal(t, http.StatusNotFound, d.call(master, "PATCH", "/v1/tenants/nobody", `{"assets":[]}`).status)
	require.Equal(t, http.StatusBadRequest, d.call(master, "POST", "/v1/tenants", `{"id":"other","assets":["eip155:1/slip44:60"]}`).status)
	require.Len(t, d.call(master, "GET", "/v1/tenants", "").json(t, "tenants"), 3)

	// A key with every scope is still a key of one tenant.
	key := d.create(master, "team", "*:*", `,"tenant":"acme","environment":"live"`)
	require.Equal(t, "acme", key.text(t, "tenant"))
	for _, call := range []string{"GET", "POST"} {
		require.Equal(t, http.StatusForbidden, d.call(key.text(t, "key"), call, "/v1/tenants", `{"id":"x"}`).status)
	}
	require.Equal(t, http.StatusForbidden, d.call(key.text(t, "key"), "PATCH", "/v1/tenants/acme", `{"assets":null}`).status)
	// Another tenant's key, and that of the other environment, is not there.
	path := "/api-keys/" + key.text(t, "api_key_id")
	for _, headers := range [][]string{nil, {"X-Tenant", "acme"}, {"X-Environment", "live"}, {"X-Tenant", "initech", "X-Environment", "live"}} {
		require.Equal(t, http.StatusNotFound, d.call(master, "PATCH", path, `{"name":"x"}`, headers...).status)
		require.Equal(t, "[]\n", d.call(master, "GET", "/api-keys?owner=team", "", headers...).raw)
	}
	require.Equal(t, http.StatusOK, d.call(master, "PATCH", path, `{"name":"x"}`, "X-Tenant", "acme", "X-Environment", "live").status)
	require.Equal(t, http.StatusOK, d.call(key.text(t, "key"), "PATCH", path, `{"name":"y"}`).status)
}

// The log tells of every write, and of every refusal of a key that is known, and
// of nobody else's.
func TestAudit(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	reader := d.create(master, "team", "audit:read", "")
	id := reader.text(t, "api_key_id")
	writer := d.create(master, "team", "api-keys:write chains:read", "")
	other := d.create(master, "team", "*:*", `,"environment":"live"`).text(t, "key")
	require.Equal(t, http.StatusBadRequest, d.call(writer.text(t, "key"), "POST", "/api-keys", `{}`).status)
	require.Equal(t, http.StatusForbidden, d.call(reader.text(t, "key"), "GET", "/v1/chains?secret=hunter2", "").status)
	require.Equal(t, http.StatusUnauthorized, d.call("tly_test_nobody", "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusOK, d.call(writer.text(t, "key"), "GET", "/v1/chains", "").status)
	require.Equal(t, http.StatusBadRequest, d.call(other, "POST", "/api-keys", `{}`).status)

	read := func(query string) answer {
		t.Helper()
		got := d.call(reader.text(t, "key"), "GET", "/v1/audit"+query, "")
		require.Equal(t, http.StatusOK, got.status, got.raw)
		return got
	}
	lines := func(a answer) []string {
		t.Helper()
		var list []string
		entries, ok := a.json(t, "entries").([]any)
		require.True(t, ok)
		for _, e := range entries {
			e := e.(map[string]any)
			list = append(list, fmt.Sprint(e["caller"], " ", e["method"], " ", e["route"], " ", e["status"], " ", e["code"]))
		}
		return list
	}
	all := read("")
	want := []string{
		id + " GET /v1/chains 403 insufficient_scope",
		writer.text(t, "api_key_id") + " POST /api-keys 400 invalid_input",
		"master POST /v1/api-keys 201 ",
		"master POST /v1/api-keys 201 ",
		"master POST /v1/api-keys 201 ",
	}
	require.Equal(t, want, lines(all), "the master key wrote a key of live from test")
	require.Nil(t, all.json(t, "next"))
	require.NotContains(t, all.raw, "hunter2")
	require.Equal(t, "127.0.0.1", all.text(t, "entries", 0, "address"))
	require.Equal(t, "/v1/chains", all.text(t, "entries", 0, "path"))
	require.NotEmpty(t, all.text(t, "entries", 0, "request_id"))

	require.Equal(t, want[2:], lines(read("?caller=master")))
	require.Empty(t, lines(read("?caller=nobody")))
	var paged []string
	for before := "0"; before != ""; {
		page := read("?limit=2&before=" + before)
		paged = append(paged, lines(page)...)
		next, more := page.json(t, "next").(json.Number)
		before = next.String()
		require.Equal(t, more, before != "")
	}
	require.Equal(t, want, paged)
	require.Equal(t, http.StatusBadRequest, d.call(reader.text(t, "key"), "GET", "/v1/audit?limit=0", "").status)
	// The other environment has its own.
	require.Len(t, d.call(other, "GET", "/v1/audit", "").json(t, "entries"), 1)
}
