package keys_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// The calls of Blnk's documentation, as they are written there but for the dates,
// which have passed.
func TestBlnkDocument(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	blnk := func(key, method, path, body string) answer {
		return d.call("", method, path, body, "X-Blnk-Key", key)
	}
	made := blnk(master, "POST", "/api-keys", `{
    "name": "Analytics Service",
    "owner": "analytics-team",
    "scopes": ["chains:read", "transactions:read", "balances:read"],
    "expires_at": "`+later+`"
  }`)
	require.Equal(t, http.StatusCreated, made.status, made.raw)
	key, id := made.text(t, "key"), made.text(t, "api_key_id")
	require.True(t, strings.HasPrefix(key, "tly_test_"+id+"_"), key)
	require.Equal(t, "Analytics Service", made.text(t, "name"))
	require.Equal(t, "analytics-team", made.text(t, "owner"))
	require.Equal(t, []any{"chains:read", "transactions:read", "balances:read"}, made.json(t, "scopes"))
	require.Equal(t, later, made.text(t, "expires_at"))
	require.Nil(t, made.json(t, "last_used_at"))
	require.Equal(t, false, made.json(t, "is_revoked"))
	require.NotEmpty(t, made.text(t, "created_at"))
	require.NotContains(t, made.raw, "secret")

	require.Equal(t, http.StatusOK, blnk(key, "GET", "/v1/chains", "").status)
	refused := blnk(key, "POST", "/api-keys", body("analytics-team", "chains:read", ""))
	require.Equal(t, http.StatusForbidden, refused.status)
	require.Equal(t, "Insufficient permissions for api-keys:write", refused.text(t, "error"))
	wrong := blnk("blnk_sk_1234567890abcdefghijklmnopqrstuvwxyz", "GET", "/api-keys?owner=analytics-team", "")
	require.Equal(t, http.StatusUnauthorized, wrong.status)
	require.Equal(t, "Invalid API key", wrong.text(t, "error"))
	require.Equal(t, http.StatusUnauthorized, d.call("", "GET", "/api-keys?owner=analytics-team", "").status)

	require.NoError(t, d.gate.Flush(t.Context()))
	list := blnk(master, "GET", "/api-keys?owner=analytics-team", "")
	require.Equal(t, http.StatusOK, list.status)
	require.Len(t, list.json(t), 1)
	require.Equal(t, id, list.text(t, 0, "api_key_id"))
	require.NotEmpty(t, list.text(t, 0, "last_used_at"))
	require.NotContains(t, list.raw, `"key"`)
	require.NotContains(t, list.raw, "hash")
	require.Equal(t, "[]\n", blnk(master, "GET", "/api-keys?owner=nobody", "").raw)
	require.Equal(t, "owner is required", blnk(master, "GET", "/api-keys", "").text(t, "error"))

	for _, path := range []string{"/api-keys/" + id + "?owner=mobile-team", "/v1/api-keys/" + id + "?owner=mobile-team"} {
		refused = blnk(master, "DELETE", path, "")
		require.Equal(t, http.StatusForbidden, refused.status)
		require.Equal(t, "Unauthorized - owner doesn't match", refused.text(t, "error"))
	}
	missing := blnk(master, "DELETE", "/api-keys/key_1234567890abcdef?owner=analytics-team", "")
	require.Equal(t, http.StatusNotFound, missing.status)
	require.Equal(t, "API key not found", missing.text(t, "error"))
	require.Equal(t, http.StatusBadRequest, blnk(master, "DELETE", "/api-keys/"+id, "").status)
	for range 2 {
		revoked := blnk(master, "DELETE", "/api-keys/"+id+"?owner=analytics-team", "")
		require.Equal(t, http.StatusNoContent, revoked.status)
		require.Empty(t, revoked.raw)
	}
	refused = blnk(key, "GET", "/v1/chains", "")
	require.Equal(t, http.StatusUnauthorized, refused.status)
	require.Equal(t, "API key is expired or revoked", refused.text(t, "error"))
	require.Equal(t, true, blnk(master, "GET", "/api-keys?owner=analytics-team", "").json(t, 0, "is_revoked"))
}

// Who is public is public, and Blnk's ledger is not here.
func TestOutsideTheKeys(t *testing.T) {
	t.Parallel()
	d := newDesk(t, newHouse(t))
	for _, path := range []string{"/", "/health"} {
		require.Equal(t, http.StatusOK, d.call("", "GET", path, "").status, path)
	}
	for _, call := range []string{
		"GET /ledgers", "POST /ledgers", "GET /ledgers/x", "GET /balances/x", "POST /balances", "POST /accounts", "GET /identities", "POST /balance-monitors",
		"POST /hooks", "POST /search/ledgers", "POST /reconciliation/start", "POST /x/metadata", "GET /backup",
	} {
		method, path, _ := strings.Cut(call, " ")
		for _, key := range []string{"", master} {
			missing := d.call(key, method, path, "")
			require.Equal(t, http.StatusNotFound, missing.status, "%s: %s", call, missing.raw)
			require.Equal(t, "no_route", missing.text(t, "code"))
		}
	}
}
